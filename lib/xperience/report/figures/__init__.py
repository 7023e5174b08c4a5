"""Figures of one style: each function returns a `Picture`, that is a figure and its description."""

from xperience.report.figures.alignment import draw_place_and_moment, draw_similarity
from xperience.report.figures.audio import draw_audio_forest, draw_mixed_mean
from xperience.report.figures.audio_time import draw_sound, draw_when
from xperience.report.figures.blocks import draw_blocks
from xperience.report.figures.coverage import draw_coverage
from xperience.report.figures.embargo import draw_embargo
from xperience.report.figures.hands import draw_hands, draw_horizon
from xperience.report.figures.heads import draw_curves, draw_gains
from xperience.report.figures.hits import draw_hits
from xperience.report.figures.moment import draw_moment
from xperience.report.figures.rebuilt import draw_rebuilt, draw_weights
from xperience.report.figures.record import (
    draw_agreement,
    draw_differences,
    draw_hand_forecasts,
    draw_scores,
)
from xperience.report.figures.retrieval import draw_ranks, draw_tolerance
from xperience.report.figures.samples import draw_samples
from xperience.report.figures.shift import draw_split_scores, draw_splits
from xperience.report.figures.shift_classes import draw_class_times
from xperience.report.figures.structure import draw_structure
from xperience.report.figures.style import Picture, show
from xperience.report.figures.sync import draw_sync
from xperience.report.figures.timeline import draw_timeline

__all__ = [
    "Picture",
    "draw_agreement",
    "draw_audio_forest",
    "draw_blocks",
    "draw_class_times",
    "draw_coverage",
    "draw_curves",
    "draw_differences",
    "draw_embargo",
    "draw_gains",
    "draw_hand_forecasts",
    "draw_hands",
    "draw_hits",
    "draw_horizon",
    "draw_mixed_mean",
    "draw_moment",
    "draw_place_and_moment",
    "draw_ranks",
    "draw_rebuilt",
    "draw_samples",
    "draw_scores",
    "draw_similarity",
    "draw_sound",
    "draw_split_scores",
    "draw_splits",
    "draw_structure",
    "draw_sync",
    "draw_timeline",
    "draw_tolerance",
    "draw_weights",
    "draw_when",
    "show",
]
