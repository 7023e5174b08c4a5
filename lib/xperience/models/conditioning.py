"""Inputs of the corrected contract: z-scores that cannot explode, and their inner products.

Under the published contract a column whose training SD is rounding noise turns into values
of thousands as soon as it moves in the test part, and one such column can carry a whole prediction.
Here

- columns that hardly vary in training are dropped (a deviation below `MIN_STD` of the column's
  size, or below `TINY_STD`),
- z-scores are clipped at `MAX_SCORE` deviations,
- what is missing (NaN) takes the training mean,
- and 8,546 columns become inner products with the training samples, which is all that a linear
  head or a network on principal axes needs of them.

All is fitted on training samples only.
"""

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from xperience.models.gram import CHUNK_COLUMNS, BlockSource, Design, Part

TINY_STD = 1e-6
MIN_STD = 1e-4
MAX_SCORE = 10.0
KEPT_VARIANCE = 1e-7
"""Axes with less variance than this share of the strongest one's are rounding."""


@dataclass(frozen=True)
class Inputs:
    """Samples in coordinates, float32 (n_train or n_test, n_axes)."""

    train: np.ndarray
    test: np.ndarray

    def first(self, n_axes: int) -> "Inputs":
        """Return the first axes only."""
        return Inputs(self.train[:, :n_axes], self.test[:, :n_axes])

    def rows(self, fit: np.ndarray, held: np.ndarray) -> "Inputs":
        """Return some training samples as training part and others as test part."""
        return Inputs(self.train[fit], self.train[held])


@dataclass(frozen=True)
class InnerProducts:
    """Of all samples, training ones first, with the training samples: float64 (n, n_train)."""

    values: np.ndarray
    _known: dict[int, Inputs] = field(default_factory=dict, init=False, compare=False)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def n_train(self) -> int:
        """Number of training samples."""
        return self.values.shape[1]

    def first(self, n_axes: int) -> Inputs:
        """Return samples in the strongest principal axes of the training part, strongest first."""
        if n_axes not in self._known:
            train, test = np.split(self.values, [self.n_train])
            variance, axes = strongest_axes(train, n_axes)
            scale = np.sqrt(variance)
            fit, held = axes * scale, test @ axes / np.where(scale > 0, scale, 1)
            self._known[n_axes] = Inputs(fit.astype(np.float32), held.astype(np.float32))
        return self._known[n_axes]


def conditioned(design: Design, source: BlockSource) -> InnerProducts:
    """Return the inner products of a design's samples.

    ``source`` returns a block, float32 (n_windows, dim), in which NaN is missing.
    """
    ((_, products),) = conditioned_together([design], source)
    return products


def conditioned_together(
    designs: Sequence[Design], source: BlockSource
) -> Iterator[tuple[list[int], InnerProducts]]:
    """Yield the inner products of each distinct design, and the places of the designs they are of.

    z-scores, clipping and dropping act by column, so a design's inner products are a sum over its
    blocks. A block is multiplied once for all designs with the same training and test samples.
    Memory is that of the inner products of such designs.
    """
    by_samples: dict[Hashable, list[int]] = {}
    for place, design in enumerate(designs):
        samples = design.train.tobytes(), design.test.tobytes()
        by_samples.setdefault(samples, []).append(place)
    for places in by_samples.values():
        example = designs[places[0]]
        same: dict[tuple[Hashable, ...], list[int]] = {}
        terms: dict[Hashable, tuple[Part, str]] = {}
        for place in places:
            found = _terms(designs[place])
            terms |= found
            same.setdefault(tuple(found), []).append(place)
        made = _sums(list(same), terms, example, source)
        for names, of in same.items():
            yield of, InnerProducts(made.pop(names))


def _terms(design: Design) -> dict[Hashable, tuple[Part, str]]:
    """Return what a design's inner products are a sum of: a block of a part each, by identity."""
    found: dict[Hashable, tuple[Part, str]] = {}
    times: Counter[Hashable] = Counter()
    for part in design.parts:
        windows = part.plus.tobytes(), None if part.minus is None else part.minus.tobytes()
        for block in part.blocks:
            times[block, windows] += 1
            found[block, windows, times[block, windows]] = part, block
    return found


def _sums(
    wanted: list[tuple[Hashable, ...]],
    terms: dict[Hashable, tuple[Part, str]],
    example: Design,
    source: BlockSource,
) -> dict[tuple[Hashable, ...], np.ndarray]:
    """Return the inner products of each wanted set of terms, (n, n_train)."""
    n_train, n_test = len(example.train), len(example.test)
    sums = {names: np.zeros((n_train + n_test, n_train)) for names in wanted}

    def place(name: Hashable) -> tuple:
        block, (plus, minus), time = name
        return block, plus, minus or b"", time

    for name in sorted(terms, key=place):  # whatever other designs take in
        part, block = terms[name]
        for train, test in _products(part, source(block), example):
            for names in wanted:
                if name in names:
                    sums[names][:n_train] += train
                    sums[names][n_train:] += test
    return sums


def _products(
    part: Part, values: np.ndarray, example: Design
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the inner products of some columns at a time, of training and of test samples."""
    for first in range(0, values.shape[1], CHUNK_COLUMNS):
        columns = values[:, first : first + CHUNK_COLUMNS]
        rows = columns[part.plus]
        if part.minus is not None:
            rows = rows - columns[part.minus]
        moments = Moments.of(rows[example.train])
        fit, held = moments(rows[example.train]), moments(rows[example.test])
        yield fit @ fit.T, held @ fit.T


def strongest_axes(products: np.ndarray, n_axes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvalues (n_kept,) and eigenvectors (n, n_kept) of a Gram matrix (n, n).

    At most ``n_axes``, strongest first, without those that are rounding beside the strongest; at
    least one unless n is 0. By NumPy: SciPy, which could leave out the others, holds Python's lock.
    """
    variance, axes = np.linalg.eigh(products)
    variance, axes = np.maximum(variance[::-1][:n_axes], 0.0), axes[:, ::-1][:, :n_axes]
    kept = max(1, int((variance > KEPT_VARIANCE * variance[:1]).sum()))
    return variance[:kept], signed(axes[:, :kept])


def signed(axes: np.ndarray) -> np.ndarray:
    """Return axes (n, n_axes), each turned so that its first large entry is positive.

    Whether LAPACK finds an eigenvector or its negative may hang on the processor, and networks
    start from it.
    """
    if not axes.size:
        return axes
    size = np.abs(axes)
    large = (size > size.max(axis=0) / 2).argmax(axis=0)
    return axes * np.sign(np.take_along_axis(axes, large[None], axis=0))


@dataclass(frozen=True)
class Moments:
    """Mean and deviation of columns over training samples, and which columns vary at all."""

    mean: np.ndarray
    std: np.ndarray
    keep: np.ndarray

    @classmethod
    def of(cls, train: np.ndarray) -> "Moments":
        """Return the moments of training samples; NaN is left out."""
        there = np.isfinite(train)
        known = np.where(there, train, 0).astype(np.float64, copy=False)
        n = np.maximum(there.sum(axis=0), 1)
        mean = known.sum(axis=0) / n
        size = np.maximum(known.max(axis=0, initial=0), -known.min(axis=0, initial=0))
        known -= mean
        if not there.all():
            known[~there] = 0
        std = np.sqrt(np.einsum("ij,ij->j", known, known) / n)
        return cls(mean, std, std > np.maximum(TINY_STD, MIN_STD * size))

    def __call__(self, rows: np.ndarray, most: float = MAX_SCORE) -> np.ndarray:
        """Return z-scores of the columns that vary, float32 (n, n_kept); NaN becomes 0."""
        scores = rows[:, self.keep].astype(np.float64, copy=False)
        scores -= self.mean[self.keep]
        scores /= self.std[self.keep]
        scores[np.isnan(scores)] = 0
        return np.clip(scores, -most, most, out=scores).astype(np.float32)

    def back(self, scores: np.ndarray) -> np.ndarray:
        """Return values from z-scores; a column that was dropped is its mean, float64 (n, d)."""
        values = np.repeat(self.mean[None], len(scores), axis=0)
        values[:, self.keep] += scores * self.std[self.keep]
        return values
