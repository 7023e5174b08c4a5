"""Xperience-10M: from one egocentric recording to a benchmark, its studies and their evidence."""

from importlib.metadata import version

__version__ = version("xperience")
