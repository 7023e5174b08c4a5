"""Frames to numbers: the feature blocks of the benchmark contract, and the table of windows."""
