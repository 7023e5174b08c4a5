"""Retrieval looked at closely: ranks against chance, hits in time, the place and the moment.

A score of a retrieval says how far up the true window stands. What it doesn't say is asked here:

- *Is it more than chance?* Neighbouring windows resemble each other, on both sides, so even
  unrelated queries and candidates give ranks in long runs. The null that keeps those runs is the
  same similarity matrix with queries and candidates shifted against each other in time.
- *Is it near?* Windows overlap; the neighbour of the true one is nearly the same answer.
- *Is it the moment, or only the place?* Whoever recognises the counter at which all of an action
  goes on ranks the whole action first, and knows nothing about the moment within it.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from xperience.evaluation.metrics import TIE, Ranks, cosine, ranks
from xperience.evaluation.resampling import Interval, Resampling, interval
from xperience.features.table import WindowTable
from xperience.features.windows import WINDOW_FRAMES
from xperience.studies.heads import HEADS, Context
from xperience.studies.problem import Outcome, Problem
from xperience.studies.scores import N_RESAMPLES
from xperience.studies.suite import pose_all
from xperience.tasks.catalogue import AUDIO, MOTION, TASKS_BY_NAME
from xperience.tasks.targets import window_labels
from xperience.tasks.task import Piece

HEAD = "linear"
RETRIEVALS = ("caption_grounding", "cross_modal_retrieval")
RECONSTRUCTION = "modality_reconstruction"
SOURCES = {"motion": MOTION, "audio": AUDIO, "motion and audio": MOTION + AUDIO}
"""Inputs of the reconstruction; the last is the benchmark's own."""

TOLERANCES_FRAMES = (0, 5, 10, 20, 40, 80, 160, 320)
N_ROTATIONS, ROTATION_SEED = 499, 7


def answer(episode: Path | str, table: WindowTable, contract: str) -> dict[str, Outcome]:
    """Return the linear head's answers to the retrievals and to the reconstruction.

    Parameters
    ----------
    episode : path
    table : WindowTable
        The recording's windows under the contract.
    contract : {"published", "corrected"}

    Returns
    -------
    dict of {name: Outcome}
        By task for the retrievals, by input (see ``SOURCES``) for the reconstruction.

    Notes
    -----
    Cross-modal retrieval and the reconstruction from all of its input have the same samples, inputs
    and targets, hence the same answer: it is fitted once.
    """
    words, across = (TASKS_BY_NAME[name] for name in RETRIEVALS)
    rebuilt = TASKS_BY_NAME[RECONSTRUCTION]
    partial = [replace(rebuilt, pieces=(Piece(SOURCES[name]),)) for name in ("motion", "audio")]
    # Only the last one's problem is wanted: its answer is cross-modal retrieval's.
    asked = [words, across, *partial, rebuilt]
    posed, blocks = pose_all(episode, table, contract, asked)
    problems = [one for one in posed[:-1] if isinstance(one, Problem)]
    answers = dict(HEADS[contract][HEAD](problems, Context(blocks)))
    place = iter(range(len(problems)))
    found = [
        Outcome(one.task, HEAD, one, tuple(answers[next(place)]))
        if isinstance(one, Problem)
        else replace(one, head=HEAD)
        for one in posed[:-1]
    ]
    task = posed[-1].task
    problem = found[1].problem and replace(found[1].problem, task=task)
    found.append(replace(found[1], task=task, problem=problem))
    return dict(zip((*RETRIEVALS, *SOURCES), found, strict=True))


@dataclass(frozen=True)
class Ranking:
    """Every query of a retrieval against every candidate, in the order of the recording.

    Parameters
    ----------
    task, contract : str
    similarity : float array, shape (n, n)
        Cosine of query i (row) and candidate j (column); i is i's own.
    windows : int array, shape (n,)
        Places in the windows table.
    centers : int array, shape (n,)
        Centre frames.
    targets : float array, shape (n, n_values)
        The true vectors.
    actions : tuple of str or None, length n
        Each window's action; None without a label.
    resampling : Resampling
        How samples are drawn again for intervals.
    """

    task: str
    contract: str
    similarity: np.ndarray
    windows: np.ndarray
    centers: np.ndarray
    targets: np.ndarray
    actions: tuple[str | None, ...]
    resampling: Resampling

    @classmethod
    def of(cls, outcome: Outcome) -> "Ranking":
        """Return the ranking of a retrieval that has an answer."""
        problem, task = outcome.problem, outcome.task
        order = problem.by_time
        truth = np.asarray(problem.test_targets)[order]
        predicted = np.asarray(outcome.answer.predicted)[order]
        sides = (predicted, truth) if task.query == "prediction" else (truth, predicted)
        places = problem.split.test[order]
        members = problem.samples.members[places]
        captioned = "captions" not in problem.truth.missing
        labels = (
            window_labels("action")(problem.truth, members) if captioned else [None] * len(truth)
        )
        again = Resampling(n_resamples=N_RESAMPLES, min_block=problem.min_block)
        return cls(
            task.name,
            problem.contract,
            cosine(*sides),
            members[:, 0],
            problem.samples.centers[places],
            truth,
            tuple(labels),
            again,
        )

    def __len__(self) -> int:
        return len(self.similarity)

    @cached_property
    def ranks(self) -> Ranks:
        """Where each query's own candidate stands; equal ones share their places."""
        return ranks(self.similarity)

    @cached_property
    def twins(self) -> np.ndarray:
        """How many windows have the same true vector, the window's own included, int (n,)."""
        _, group, size = np.unique(self.targets, axis=0, return_inverse=True, return_counts=True)
        return size[group.reshape(-1)]

    @property
    def n_distinct(self) -> int:
        """True vectors that differ from each other."""
        return round(float((1 / self.twins).sum()))

    @cached_property
    def distance_frames(self) -> np.ndarray:
        """Frames between the centres of two windows, int (n, n)."""
        return np.abs(self.centers[:, None] - self.centers)

    @cached_property
    def answers(self) -> np.ndarray:
        """The most similar candidate of each query, the earlier of equal ones, int (n,)."""
        best = self.similarity.max(axis=1, keepdims=True)
        return (self.similarity >= best - TIE).argmax(axis=1)

    def curve(self, depths: np.ndarray) -> np.ndarray:
        """Return the share of queries whose own candidate is among the first k, (n_depths,)."""
        return np.array([self.ranks.expected_top(int(k)).mean() for k in depths])

    def curve_ceiling(self, depths: np.ndarray) -> np.ndarray:
        """Return the best `curve` that windows with equal true vectors allow, (n_depths,).

        Of m windows that nobody can tell apart, k are among the first k at best.
        """
        return np.array([np.minimum(1, k / self.twins).mean() for k in depths])

    @property
    def mrr_chance(self) -> float:
        """Mean reciprocal rank of random orders, and of any order that is the same for all."""
        return float((1 / np.arange(1, len(self) + 1)).mean())

    @property
    def mrr_ceiling(self) -> float:
        """The best mean reciprocal rank that windows with equal true vectors allow."""
        harmonic = np.cumsum(1 / np.arange(1, len(self) + 1))
        return float((harmonic[self.twins - 1] / self.twins).mean())

    def mean(self, values: np.ndarray) -> Interval:
        """Return the interval of a mean over queries, NaN left out, from 0 to 1."""
        known = values[np.isfinite(values)]
        return interval(lambda w: w @ known / w.sum(axis=1), len(known), self.resampling, (0, 1))


# --- chance that keeps time -------------------------------------------------------------------


@dataclass(frozen=True)
class Shifted:
    """The same similarities, with queries and candidates shifted against each other in time.

    Parameters
    ----------
    depths : int array, shape (n_depths,)
    curves : float array, shape (n_shifts, n_depths)
        See `Ranking.curve`.
    mrr : float array, shape (n_shifts,)
    """

    depths: np.ndarray
    curves: np.ndarray
    mrr: np.ndarray

    @property
    def least_p(self) -> float:
        """The smallest p-value that this many shifts can give."""
        return 1 / (1 + len(self.mrr))

    def p_value(self, mrr: float) -> float:
        """Return the share of shifts, the true pairing counted as one, that score as high."""
        return float((1 + (self.mrr >= mrr - TIE).sum()) / (1 + len(self.mrr)))

    def band(self, level: float = 0.95) -> np.ndarray:
        """Return the lower and upper ends that hold a share of the curves, (2, n_depths)."""
        tail = (1 - level) / 2
        return np.quantile(self.curves, [tail, 1 - tail], axis=0)


def shifted(ranking: Ranking, depths: np.ndarray) -> Shifted | None:
    """Return what shifted pairings score, or None if the windows are too few to shift.

    Parameters
    ----------
    ranking : Ranking
    depths : int array, shape (n_depths,)

    Notes
    -----
    Query i meets candidate i + s, the last followed by the first. Shifts that leave the pair with
    common frames are left out. Under the null that time doesn't matter, and if the recording is
    the same kind of thing throughout, every shift is as likely to score best as none.
    """
    n = len(ranking)
    near = int((ranking.distance_frames[0] < WINDOW_FRAMES).sum())
    shifts = np.arange(near, n - near + 1)
    if len(shifts) < 2:
        return None
    better, tied = _standings(ranking.similarity)
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, n + 1))])
    reciprocal = (harmonic[better + tied + 1] - harmonic[better]) / (tied + 1)
    rows = np.arange(n)
    columns = (rows + shifts[:, None]) % n  # (n_shifts, n)
    above, ties = better[rows, columns], tied[rows, columns]
    curves = [np.clip((k - above) / (ties + 1), 0, 1).mean(axis=1) for k in depths]
    return Shifted(depths, np.stack(curves, axis=1), reciprocal[rows, columns].mean(axis=1))


def _standings(similarity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how many candidates are above each candidate, and tied with it, int (n, n) each."""
    better, tied = np.empty(similarity.shape, int), np.empty(similarity.shape, int)
    for row, values in enumerate(similarity):
        known = np.sort(values)
        upto = np.searchsorted(known, values + TIE, side="right")
        better[row] = len(values) - upto
        tied[row] = upto - np.searchsorted(known, values - TIE, side="left") - 1
    return better, tied


# --- hits in time -----------------------------------------------------------------------------
