"""Label shift: what a split leaks, and what it asks that was never trained."""
