"""Features of a cohort in few coordinates, fitted on training recordings, read one at a time.

z-scores (clipped, near-constant columns dropped, gaps at the training mean: see
`xperience.models.conditioning`) and principal axes are fitted on an even sample of the training
windows: neighbours share most of their frames, so that leaving out most of them loses little.
Then recordings are read one at a time and projected. What is held is the sample, while axes are
fitted, and then the coordinates that the next tasks need.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from xperience.models.conditioning import KEPT_VARIANCE, Moments, signed
from xperience.studies.heldout.cohort import CohortRecording

MAX_WINDOWS = 4096
"""Training windows that axes are fitted on, at most."""

Blocks = tuple[str, ...]


@dataclass(frozen=True)
class Axes:
    """The principal axes of some feature blocks."""

    weights: dict[str, np.ndarray]  # a block's z-scores to coordinates, float32 (n_kept, n_axes)
    kept_variance: float  # share of the training sample's variance

    @property
    def n_axes(self) -> int:
        """Coordinates."""
        return next(iter(self.weights.values())).shape[1]

    def back(self, coordinates: np.ndarray) -> np.ndarray:
        """Return z-scores of all blocks from coordinates, float64 (n, n_kept_of_all_blocks)."""
        return np.concatenate([coordinates @ w.T for w in self.weights.values()], axis=1)


@dataclass(frozen=True)
class Folded:
    """Vectors of some blocks, held as coordinates (n, n_axes) and written out when rows are picked.

    Thousands of columns of every test window would be the largest thing in memory.
    """

    coordinates: np.ndarray
    axes: Axes

    def __len__(self) -> int:
        return len(self.coordinates)

    def __getitem__(self, places: np.ndarray | slice) -> np.ndarray:
        """Return some of the vectors, float64 (n, n_kept_of_all_blocks)."""
        return self.axes.back(self.coordinates[places])

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        """Return all of the vectors."""
        del copy  # they are always made anew
        return np.asarray(self[:], dtype=dtype)


@dataclass(frozen=True)
class Space:
    """Where a cohort's features live: moments of each block, axes of each set of blocks.

    ``absent`` says why blocks are left out everywhere: no training recording has them.
    """

    moments: dict[str, Moments]
    axes: dict[Blocks, Axes]
    absent: dict[str, str]

    def scores(self, recording: CohortRecording, blocks: Blocks) -> np.ndarray:
        """Return the z-scores of some blocks of a recording side by side, float32 (n_windows, …).

        What is missing is 0, the training mean.
        """
        source = recording.blocks()
        return self.scaled({name: source.raw(name) for name in blocks})

    def scaled(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the z-scores of some blocks' values side by side, float32 (n, …)."""
        there = [name for name in values if name not in self.absent]
        return np.concatenate([self.moments[name](values[name]) for name in there], axis=1)


@dataclass(frozen=True)
class Projected:
    """One recording's coordinates, and the windows in which a block is there."""

    coordinates: dict[Blocks, np.ndarray]  # float32 (n_windows, n_axes) each
    known: dict[str, np.ndarray]  # bool (n_windows,) each, by block


def fit_space(
    recordings: Sequence[CohortRecording], sets: Iterable[Blocks], n_axes: int, step: int = 1
) -> Space:
    """Fit moments and axes on an even sample of windows of the training recordings.

    Sets of feature blocks are those that tasks read or predict; each has ``n_axes`` axes at most.
    Of every ``step`` windows one is taken at most.
    """
    sets = list(dict.fromkeys(sets))
    step = max(step, -(-sum(one.n_windows for one in recordings) // MAX_WINDOWS))
    moments, scores, absent = {}, {}, {}
    for name in dict.fromkeys(name for blocks in sets for name in blocks):
        # a block at a time: the sample of one block is all that is held in full
        parts = [one.table.block(name)[::step].copy() for one in recordings]  # not views of it all
        rows = np.concatenate(parts)
        if not np.isfinite(rows).any():
            absent[name] = "no training recording has it"
            continue
        moments[name] = Moments.of(rows)
        scores[name] = moments[name](rows)
    n = len(next(iter(scores.values()), ()))
    lower = np.tri(n, dtype=bool)  # inner products of the windows: half of them says it all
    halves = {name: (rows @ rows.T)[lower] for name, rows in scores.items()}
    axes = {}
    for blocks in sets:
        if there := [name for name in blocks if name in scores]:
            gram = np.zeros((n, n))
            gram[lower] = sum(halves[name].astype(np.float64) for name in there)
            axes[blocks] = _axes({name: scores[name] for name in there}, gram, n_axes)
    return Space(moments, axes, absent)


def _axes(scores: dict[str, np.ndarray], gram: np.ndarray, n_axes: int) -> Axes:
    n = len(gram)
    first = max(0, n - n_axes)
    variance, vectors = eigh(gram, lower=True, subset_by_index=(first, n - 1))
    variance, vectors = variance[::-1], vectors[:, ::-1]
    kept = variance > KEPT_VARIANCE * max(variance[0], 0.0)
    vectors = signed(vectors[:, kept]) / np.sqrt(variance[kept])
    weights = {name: (rows.T @ vectors).astype(np.float32) for name, rows in scores.items()}
    return Axes(weights, float(variance[kept].sum() / max(np.trace(gram), 1e-12)))


def project(
    recordings: Sequence[CohortRecording],
    space: Space,
    sets: Sequence[Blocks],
    on_episode: Callable[[int, int], None] | None = None,
) -> list[Projected]:
    """Return the coordinates of every recording on the axes of some sets, each block read once.

    ``on_episode`` is called with how many recordings are done, and how many there are.
    """
    wanted = {blocks: space.axes[blocks] for blocks in sets if blocks in space.axes}
    names = {name for blocks in sets for name in blocks}
    found = []
    for number, recording in enumerate(recordings, 1):
        n = recording.n_windows
        coordinates = {b: np.zeros((n, axes.n_axes), np.float32) for b, axes in wanted.items()}
        known = {name: np.zeros(n, dtype=bool) for name in space.absent}
        for name, moments in space.moments.items():
            if name not in names:
                continue
            rows = recording.table.block(name)
            known[name] = np.isfinite(rows).any(axis=1)
            scores = moments(rows)
            for blocks, axes in wanted.items():
                if name in axes.weights:
                    coordinates[blocks] += scores @ axes.weights[name]
        found.append(Projected(coordinates, known))
        if on_episode:
            on_episode(number, len(recordings))
    return found
