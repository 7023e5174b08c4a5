"""Xperience-10M: from one egocentric recording to a benchmark, its studies and their evidence."""
