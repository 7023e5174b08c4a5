"""Figures of one style: each module's functions return a `Picture`, a figure and its description.

Import a figure from its own module: what a notebook rests on is then just what it draws.
"""

from xperience.report.figures.style import Picture, show

__all__ = ["Picture", "show"]
