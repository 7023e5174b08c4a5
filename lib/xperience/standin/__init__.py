"""Simulated episodes: a wearer makes coffee, and every sensor of the rig records it."""
