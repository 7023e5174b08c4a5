"""Probes: heads that see less than they seem to need, so that their score is a leak's measure.

- *copy_nearest* says of a test window what the training window nearest in time is called. It never
  looks at a feature, and scores as high as a split lets neighbours stand for each other.
- *only_time* is smoother: training windows vote, the nearer in time the louder.
- the *text* probe is the contract's linear head on one block, the words that annotators wrote about
  objects and hands; the *sensor* variant has every block but that one.
"""

from dataclasses import replace

import numpy as np
from scipy.special import logsumexp

from xperience.models import baselines
from xperience.studies.blocks import Blocks
from xperience.studies.problem import Answer, Outcome, Problem
from xperience.tasks.catalogue import ALL, NO_TEXT, TEXT
from xperience.tasks.task import Piece

TEXT_ONLY, SENSORS_ONLY = "linear_text_only", "linear_sensors_only"
INPUTS = {"linear": ALL, TEXT_ONLY: (TEXT,), SENSORS_ONLY: NO_TEXT}
"""Feature blocks that each variant of the linear head sees."""

TIME, COPY = "time_only", "copy_nearest"
UNSENSED = (COPY, TIME, TEXT_ONLY)
"""Who answers without any camera, microphone, tracker or inertial unit."""

TIME_SCALE_FRAMES = 40
"""Deviation of the normal curve by which a vote fades with its distance: two window lengths."""


def with_inputs(
    one: Problem | Outcome, names: tuple[str, ...], blocks: Blocks
) -> Problem | Outcome:
    """Return a problem whose head sees certain blocks only, or why there is nothing to see.

    Parameters
    ----------
    one : Problem or Outcome
        An outcome stays what it is.
    names : tuple of str
        Feature blocks.
    blocks : Blocks
    """
    if isinstance(one, Outcome):
        return one
    if all(name in blocks.missing for name in names):
        reason = "no input: " + "; ".join(sorted({blocks.missing[name] for name in names}))
        return Outcome(one.task, "", one, status="skipped", reason=reason)
    task = replace(one.task, pieces=(Piece(names),))
    left_out = tuple(f"{name} is " for name in one.task.input_blocks if name not in names)
    kept = tuple(note for note in one.notes if not note.startswith(left_out))
    return replace(one, task=task, notes=kept)


def copy_nearest(problem: Problem) -> Answer:
    """Return the label of the training window nearest in time to each test window.

    Parameters
    ----------
    problem : Problem
    """
    train, test = _times(problem)
    places = baselines.nearest_in_time(train, test)
    return Answer([problem.train_targets[place] for place in places])


def only_time(problem: Problem, scale_frames: float = TIME_SCALE_FRAMES) -> Answer:
    """Return the label that training windows around each test window vote for.

    Parameters
    ----------
    problem : Problem
    scale_frames : float
        A training window d frames away votes with weight exp(-(d / scale)² / 2).

    Notes
    -----
    Weights are summed in logarithms, so far from all training windows the nearest one decides.
    """
    train, test = _times(problem)
    codes = problem.train_codes
    votes = -0.5 * np.square((test[:, None] - train[None]) / scale_frames)  # (n_test, n_train)
    known = np.unique(codes)
    scores = np.stack([logsumexp(votes[:, codes == code], axis=1) for code in known], axis=1)
    return Answer([problem.labels[known[place]] for place in scores.argmax(axis=1)])


def _times(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Return the centre frames of training and test samples."""
    centers = problem.samples.centers
    return centers[problem.split.train], centers[problem.split.test]
