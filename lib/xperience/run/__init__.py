"""Runs: notebooks executed and kept whole, freshness by content, and the graph's front door."""
