"""Held-out episodes: every task trained on some recordings, chosen on others, tested on others."""
