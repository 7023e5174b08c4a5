"""Research takeaways: sentences that metric rows allow, each decided by a rule."""
