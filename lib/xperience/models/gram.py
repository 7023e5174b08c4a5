"""Inner products of samples: all that a linear head needs when features outnumber samples.

Gradient descent from W0 and ridge regression never leave the span of W0 and the training rows Z, so
with K = Z Zᵀ a head costs n·n an epoch instead of n·d. What is made here is that K, in chunks of
columns, so that neither z-scored features nor pairs of windows are ever held whole.

**Parts.** A sample is a row of *parts* side by side. A part is some feature blocks of one window,
or of one window minus another. K is the sum of the parts' own K, since z-scoring acts by column.

**Pairs.** The pair samples [a, b, b − a] of neighbouring windows are rows of three parts, each
linear in few *base rows*: the windows, or the differences of neighbours (a reversed pair has the
negative of a forward one). With base rows B, sample i = s_i·B[r_i], column mean μ and deviation σ
over the training samples, and U = B/σ, m = μ/σ,

    z_i · z_j = (s_i U[r_i] − m) · (s_j U[r_j] − m) = (S G Sᵀ)_ij,   G = [U; m] [U; m]ᵀ,

where row i of the sparse S holds s_i at r_i and −1 at the last column. So n samples cost the Gram
matrix of their base rows, plus one row. Differences are base rows of their own rather than products
of windows, because b − a can be a million times smaller than a and would drown in rounding. Where
all s_i are 1, U = (B − μ)/σ needs no extra row.

**z-scores.** μ and σ are those that NumPy gives for the float32 training samples, σ < 1e-6 becoming
1: the published pipeline lets a constant column of large values through with a σ made of rounding,
and such columns act as extra biases, so the rounding is part of that contract. Products of training
rows are summed in float64.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array

TINY_STD = 1e-6
CHUNK_COLUMNS = 1024

BlockSource = Callable[[str], np.ndarray]
"""Name of a feature block -> float32 array (n_windows, dim), finite."""
Moments = dict[tuple[str, int], tuple[np.ndarray, np.ndarray]]
"""{(block, first column of a chunk): means and deviations of the chunk over training samples}"""


@dataclass(frozen=True)
class Part:
    """Some feature blocks of one window of each sample, or of one window minus another.

    ``plus`` and ``minus`` are windows, int (n_samples,).
    """

    blocks: tuple[str, ...]
    plus: np.ndarray
    minus: np.ndarray | None = None


@dataclass(frozen=True)
class Design:
    """The inputs of a head: parts side by side, and which samples train and test."""

    parts: tuple[Part, ...]
    train: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class _Rows:
    """The base rows of a part, training ones first, and how samples are made from them."""

    plus: np.ndarray  # window of each base row
    minus: np.ndarray | None  # the one that is subtracted
    n_fit: int  # base rows that training samples use: the first ones
    train: np.ndarray  # base row of each sample
    test: np.ndarray
    train_sign: np.ndarray | None  # float32, 1 or -1 for each sample; None if all are 1
    test_sign: np.ndarray | None

    @classmethod
    def of(cls, part: Part, design: Design) -> "_Rows":
        """Return the base rows of a design's part."""
        order = np.concatenate([design.train, design.test])
        plus = part.plus[order]
        if part.minus is None:
            keys, sign = plus[:, None], None
        else:
            minus = part.minus[order]
            sign = np.where(plus >= minus, 1, -1).astype(np.float32)
            keys = np.stack([np.maximum(plus, minus), np.minimum(plus, minus)], axis=1)
        base, row = _unique_in_order(keys)
        n = len(design.train)
        return cls(
            plus=base[:, 0],
            minus=base[:, 1] if sign is not None else None,
            n_fit=int(row[:n].max(initial=-1)) + 1,
            train=row[:n],
            test=row[n:],
            train_sign=sign if sign is None else sign[:n],
            test_sign=sign if sign is None else sign[n:],
        )

    @property
    def key(self) -> Hashable:
        """Equal for parts whose samples are the same windows in the same order."""
        arrays = (self.plus, self.minus, self.train, self.test, self.train_sign, self.test_sign)
        return tuple(None if array is None else array.tobytes() for array in arrays)

    def chunks(
        self, name: str, values: np.ndarray, moments: Moments
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield columns and their z-scored base rows, float32 (n_base [+ 1], n_columns)."""
        for first in range(0, values.shape[1], CHUNK_COLUMNS):
            columns = slice(first, min(first + CHUNK_COLUMNS, values.shape[1]))
            base = values[self.plus, columns]
            if self.minus is not None:
                base -= values[self.minus, columns]
            if (name, first) not in moments:
                moments[name, first] = column_moments(self._samples(base))
            mean, std = moments[name, first]
            if self.train_sign is None:
                base -= mean
                base /= std
                yield columns, base
            else:
                yield columns, np.concatenate([base / std, (mean / std)[None]])

    def _samples(self, base: np.ndarray) -> np.ndarray:
        """Return training samples from base rows, float32 (n_train, n_columns)."""
        if self.train_sign is not None:
            return self.train_sign[:, None] * base[self.train]
        return base[: self.n_fit] if self.ordered else base[self.train]

    @property
    def ordered(self) -> bool:
        """Whether training samples are the first base rows, in their order."""
        return np.array_equal(self.train, np.arange(self.n_fit))

    def spread(self, side: str, values: np.ndarray) -> np.ndarray:
        """Return samples' rows from base rows: S @ values, shape (n_side, ...)."""
        fitting = side == "train"
        row = self.train if fitting else self.test
        sign = self.train_sign if fitting else self.test_sign
        if sign is None:
            return values[row]
        n, last = len(row), values.shape[0] - 1
        columns = np.stack([row, np.full(n, last)], axis=1).ravel()
        weights = np.stack([sign, np.full(n, -1.0)], axis=1).ravel()
        mix = csr_array((weights, columns, np.arange(0, 2 * n + 1, 2)), shape=(n, last + 1))
        return mix @ values

    @property
    def n_left(self) -> int:
        """Rows of the scaled base, the extra one included."""
        return len(self.plus) + (self.train_sign is not None)


def _unique_in_order(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return distinct rows in order of appearance, and the place of each row among them."""
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return keys[first[order]], rank[inverse.reshape(-1)]


def column_moments(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what z-scoring subtracts and divides training samples (n, n_columns) by, float32.

    A deviation below 1e-6 is 1.
    """
    mean, std = samples.mean(axis=0), samples.std(axis=0)
    return mean, np.where(std < TINY_STD, np.float32(1), std)


def solve_positive(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the X of matrix @ X = right, float64 (n, n_columns), for a positive definite matrix.

    By PyTorch: SciPy holds Python's lock meanwhile, and heads are fitted side by side. Another
    matrix is a ``torch.linalg.LinAlgError``.
    """
    factor = torch.linalg.cholesky(torch.from_numpy(matrix))
    return torch.cholesky_solve(torch.from_numpy(right), factor).numpy()


class Products:
    """Inner products of z-scored samples, and the way to project weights onto them.

    ``train`` is float64 (n_train, n_train), ``test`` (n_test, n_train).
    """

    def __init__(self, train: np.ndarray, test: np.ndarray, parts: list["_PartOf"]):
        self.train, self.test = np.ascontiguousarray(train), np.ascontiguousarray(test)
        self._parts = parts
        self.n_features = sum(part.n_features for part in parts)
        self._hats: dict[float, np.ndarray] = {}

    def project(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return Z @ weights of training and test samples, float64 (n, n_outputs)."""
        train = np.zeros((len(self.train), weights.shape[1]))
        test = np.zeros((len(self.test), weights.shape[1]))
        first = 0
        for part in self._parts:
            base = part.project(weights[first : first + part.n_features])
            train += part.rows.spread("train", base)
            test += part.rows.spread("test", base)
            first += part.n_features
        return train, test

    def hat(self, penalty: float) -> np.ndarray:
        """Return H, shape (n_test, n_train), with H @ targets the ridge prediction of the test.

        One factorisation serves every target with these inputs. A column of ones is appended to the
        z-scored inputs and penalised like them: K + 1 takes the place of K.
        """
        if penalty not in self._hats:
            kernel = self.train + 1.0
            kernel[np.diag_indices_from(kernel)] += penalty
            self._hats[penalty] = solve_positive(kernel, (self.test + 1.0).T).T
        return self._hats[penalty]


@dataclass
class _PartOf:
    """A part of a design, resolved: its base rows and where its columns come from."""

    blocks: tuple[str, ...]
    rows: _Rows
    moments: Moments
    source: BlockSource

    @property
    def n_features(self) -> int:
        return sum(self.source(name).shape[1] for name in self.blocks)

    def project(self, weights: np.ndarray) -> np.ndarray:
        """Return scaled base rows times weights, float64 (n_left, n_outputs)."""
        weights = weights.astype(np.float64, copy=False)
        result, first = np.zeros((self.rows.n_left, weights.shape[1])), 0
        for name in self.blocks:
            values = self.source(name)
            for columns, scaled in self.rows.chunks(name, values, self.moments):
                result += scaled @ weights[first + columns.start : first + columns.stop]
            first += values.shape[1]
        return result


def products(
    designs: Sequence[Design], source: BlockSource
) -> Iterator[tuple[list[int], Products]]:
    """Yield the inner products of each distinct design, and the places of the designs they are of.

    Designs with the same training and test windows share one pass over the columns: a block is
    z-scored and multiplied once and added to every design that takes it in. Memory is that of one
    group of such designs, n·n each, whatever the number of features.
    """
    groups: dict[Hashable, list[int]] = {}
    for place, design in enumerate(designs):
        rows = tuple(_Rows.of(part, design).key for part in design.parts)
        groups.setdefault(rows, []).append(place)
    for places in groups.values():
        same: dict[tuple[tuple[str, ...], ...], list[int]] = {}
        for place in places:
            blocks = tuple(part.blocks for part in designs[place].parts)
            same.setdefault(blocks, []).append(place)
        example = designs[places[0]]
        for blocks, made in _group_products(example, list(same), source):
            yield same[blocks], made


def _group_products(
    example: Design, wanted: list[tuple[tuple[str, ...], ...]], source: BlockSource
) -> Iterator[tuple[tuple[tuple[str, ...], ...], Products]]:
    """Yield the products of designs that differ from ``example`` in their blocks only."""
    sums: list[dict[tuple[str, ...], np.ndarray]] = []
    resolved: list[tuple[_Rows, Moments]] = []
    for place, part in enumerate(example.parts):
        rows, moments = _Rows.of(part, example), {}
        sets = list(dict.fromkeys(blocks[place] for blocks in wanted))
        sums.append(_base_products(rows, moments, sets, source))
        resolved.append((rows, moments))
    for blocks in wanted:
        grams = [made[names] for made, names in zip(sums, blocks, strict=True)]
        sides = [
            sum(_side(rows, side, gram) for (rows, _), gram in zip(resolved, grams, strict=True))
            for side in ("train", "test")
        ]
        parts = [
            _PartOf(names, rows, moments, source)
            for names, (rows, moments) in zip(blocks, resolved, strict=True)
        ]
        yield blocks, Products(*sides, parts)


def _base_products(
    rows: _Rows, moments: Moments, sets: list[tuple[str, ...]], source: BlockSource
) -> dict[tuple[str, ...], np.ndarray]:
    """Return G of each set of blocks, float64 (n_left, n_right): base rows by those that fit.

    Those are the ones that training samples use, the extra row included.
    """
    fit = np.arange(rows.n_fit)
    right = fit if rows.train_sign is None else np.append(fit, rows.n_left - 1)
    sums = {names: np.zeros((rows.n_left, len(right))) for names in sets}
    for name in dict.fromkeys(name for names in sets for name in names):
        for _, scaled in rows.chunks(name, source(name), moments):
            product = _gram(scaled, right)
            for names in sets:
                if name in names:
                    sums[names] += product
    return sums


def _gram(scaled: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return scaled @ scaled[right].T, float64 where both are training rows.

    The fit feeds its rounding back through hundreds of epochs; test rows are multiplied once.
    """
    fit = scaled[right]
    result = np.empty((len(scaled), len(right)))
    exact = fit.astype(np.float64)
    result[right] = exact @ exact.T
    rest = np.setdiff1d(np.arange(len(scaled)), right)
    result[rest] = scaled[rest] @ fit.T
    return result


def _side(rows: _Rows, side: str, gram: np.ndarray) -> np.ndarray:
    """Return the products of one side's samples with the training samples."""
    left = rows.spread(side, gram)
    if rows.train_sign is None:
        return left if rows.ordered else left[:, rows.train]
    return rows.spread("train", np.ascontiguousarray(left.T)).T
