"""Answers in strict JSON: what they may say, how they are read, and how they are scored."""
