"""Answers in strict JSON: what they may say, how they are read, and how they are scored."""

MOST_PIXELS = 768 * 32 * 32
"""Of a frame: the upper bound that the family of Qwen3-Omni states."""
