"""Heads: arrays in, predictions out. They know nothing of recordings or tasks."""
