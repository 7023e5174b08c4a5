"""Layer-normalised, z-scored samples times weights, without ever normalising a batch.

A network that begins with LayerNorm (γ, β) and a linear layer (W, b) computes, for sample i with
z-scored features z_i, their mean m_i and inverse deviation r_i over the features,

    y_i = r_i (z_i − m_i 1)ᵀ M + c,        M = γ∘W,  c = b + Wᵀβ.

m and r don't change while the network is trained, so they are computed once, and the gradients are

    G = Σ_i r_i (z_i − m_i 1) dy_iᵀ,  s = Σ_i dy_i,
    dW = γ∘G + β sᵀ,  dγ = rowsum(W∘G),  dβ = W s:

two products of a batch with a matrix where the plain loop takes three, and no pass over a
batch of features. Row factors r_i and the rank-one term of m_i act on the few hidden units.

**Pieces and slots.** Columns are sorted into *pieces* by how they come from *slots*. A slot is a
table of window rows and the row that each sample takes from it. A piece's columns are
z = Σ scale·(slot's columns) + δ:

- columns of one window: one slot, nothing to scale;
- columns that are constant over the training samples: no slot at all, z = δ;
- [a, b, b − a] of pairs of windows: z-scored a, b and b − a are all linear in the rows of one table
  of windows, so three pieces share two slots, and two products serve for three. A column in which
  b − a would drown in rounding (see `DROWNED`) keeps a slot of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from xperience.heads.gram import CHUNK_COLUMNS, BlockSource, Design, Part, column_moments

NORM_EPS = 1e-5
"""What LayerNorm adds to the variance."""
DROWNED = 1e-3
"""Error of a z-scored difference made from z-scored windows beyond which it gets its own slot."""


@dataclass(frozen=True)
class Slot:
    """Rows of a table, and which one each training sample takes.

    Parameters
    ----------
    table : float32 tensor, shape (n_rows, n_columns)
    rows : int tensor, shape (n_train,)
    """

    table: torch.Tensor
    rows: torch.Tensor


@dataclass(frozen=True)
class Piece:
    """Some columns of a sample and how they come from slots.

    Parameters
    ----------
    columns : int tensor, shape (k,)
        Places among all columns of a sample.
    terms : tuple of (int, float32 tensor of shape (k, 1) or None)
        Slot and what its columns are scaled by.
    offset : float32 tensor, shape (k, 1), or None
        δ; None is 0.
    """

    columns: torch.Tensor
    terms: tuple[tuple[int, torch.Tensor | None], ...]
    offset: torch.Tensor | None


@dataclass(frozen=True)
class Columns:
    """The columns of one part of a design, raw and z-scored.

    Parameters
    ----------
    part : Part
    values : float32 array, shape (n_windows, width)
        Its blocks side by side.
    mean, std : float32 array, shape (width,)
        Moments over the training samples.
    """

    part: Part
    values: np.ndarray
    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def of(cls, part: Part, values: np.ndarray, train: np.ndarray) -> "Columns":
        """Return a part's columns with their training moments."""
        empty = cls(part, values, np.zeros(0), np.zeros(0))
        moments = [column_moments(empty.raw(train, columns)) for columns in empty.chunks()]
        return cls(part, values, *(np.concatenate(side) for side in zip(*moments, strict=True)))

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.values.shape[1]

    def chunks(self) -> Iterator[slice]:
        """Yield slices of columns that are small enough to write samples out."""
        for first in range(0, self.width, CHUNK_COLUMNS):
            yield slice(first, min(first + CHUNK_COLUMNS, self.width))

    def raw(self, samples: np.ndarray, columns: slice | np.ndarray) -> np.ndarray:
        """Return samples as they are, float32 (n_samples, n_columns)."""
        values = self.values[:, columns]
        rows = values[self.part.plus[samples]]
        return rows if self.part.minus is None else rows - values[self.part.minus[samples]]

    def scored(self, samples: np.ndarray, columns: slice | np.ndarray) -> np.ndarray:
        """Return z-scored samples, float32 (n_samples, n_columns)."""
        return (self.raw(samples, columns) - self.mean[columns]) / self.std[columns]


@dataclass(frozen=True)
class NormedInputs:
    """A design's samples, ready to be multiplied.

    Parameters
    ----------
    design : Design
    parts : tuple of Columns
    slots : tuple of Slot
    pieces : tuple of Piece
    mean, scale : float32 tensor, shape (n_train, 1)
        m and r of each training sample.
    """

    design: Design
    parts: tuple[Columns, ...]
    slots: tuple[Slot, ...]
    pieces: tuple[Piece, ...]
    mean: torch.Tensor
    scale: torch.Tensor

    @classmethod
    def of(cls, design: Design, source: BlockSource, device: str = "cpu") -> "NormedInputs":
        """Return a design's samples, with moments and tables from its training part."""
        values: dict[tuple[str, ...], np.ndarray] = {}
        for part in design.parts:
            if part.blocks not in values:
                values[part.blocks] = np.concatenate([source(name) for name in part.blocks], axis=1)
        parts = tuple(Columns.of(part, values[part.blocks], design.train) for part in design.parts)
        build = _Build(design, parts, device)
        pairs = _pairs(design.parts)
        for triple in pairs:
            build.pair(*triple)
        for place in set(range(len(parts))) - {place for triple in pairs for place in triple}:
            build.windows(place, np.arange(parts[place].width))
        mean, scale = _statistics(parts, design.train)
        return cls(
            design,
            parts,
            tuple(build.slots),
            tuple(build.pieces),
            build.put(mean),
            build.put(scale),
        )

    @property
    def n_features(self) -> int:
        """Columns of a sample, pairs written out."""
        return sum(part.width for part in self.parts)

    def test(self, weights: torch.Tensor) -> torch.Tensor:
        """Return layer-normalised test samples times weights, float32 (n_test, n_hidden).

        Parameters
        ----------
        weights : float32 tensor, shape (n_features, n_hidden)
            With LayerNorm's γ multiplied in.
        """
        samples, first = self.design.test, 0
        mean, scale = _statistics(self.parts, samples)
        result = weights.new_zeros(len(samples), weights.shape[1])
        for part in self.parts:
            for columns in part.chunks():
                normed = (part.scored(samples, columns) - mean) * scale
                rows = torch.from_numpy(normed.astype(np.float32, copy=False)).to(weights.device)
                result += rows @ weights[first + columns.start : first + columns.stop]
            first += part.width
        return result


def _statistics(parts: Sequence[Columns], samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return m and r of z-scored samples over all their columns, float32 (n_samples, 1)."""
    total, squares, n = np.zeros(len(samples)), np.zeros(len(samples)), 0
    for part in parts:
        for columns in part.chunks():
            rows = part.scored(samples, columns)
            total += rows.sum(axis=1, dtype=np.float64)
            squares += np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
            n += rows.shape[1]
    mean = total / n
    scale = 1 / np.sqrt(np.maximum(squares / n - mean**2, 0) + NORM_EPS)
    return mean[:, None].astype(np.float32), scale[:, None].astype(np.float32)


def _pairs(parts: Sequence[Part]) -> list[tuple[int, int, int]]:
    """Return the places of a, b and b − a where a design has such parts."""
    found = []
    for third, part in enumerate(parts):
        if part.minus is None:
            continue
        whole = [
            place
            for place, other in enumerate(parts)
            if other.minus is None and other.blocks == part.blocks
        ]
        first = [place for place in whole if np.array_equal(parts[place].plus, part.minus)]
        second = [place for place in whole if np.array_equal(parts[place].plus, part.plus)]
        if first and second and first[0] != second[0]:
            found.append((first[0], second[0], third))
    return found[:1]


@dataclass
class _Build:
    """Pieces and slots while they are made."""

    design: Design
    parts: Sequence[Columns]
    device: str
    slots: list[Slot] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)

    def put(self, values: np.ndarray) -> torch.Tensor:
        """Return an array as a tensor on the device."""
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device)

    def slot(self, table: np.ndarray, rows: np.ndarray) -> int:
        """Add a slot, and return its place."""
        self.slots.append(Slot(self.put(table), self.put(rows)))
        return len(self.slots) - 1

    def piece(
        self,
        place: int,
        columns: np.ndarray,
        terms: Sequence[tuple[int, np.ndarray | None]],
        offset: np.ndarray | None = None,
    ) -> None:
        """Add a piece made of some columns of a part, unless it is empty."""
        if not len(columns):
            return
        first = sum(part.width for part in self.parts[:place])
        scaled = [(slot, None if by is None else self._column(by)) for slot, by in terms]
        delta = None if offset is None else self._column(offset)
        self.pieces.append(Piece(self.put(columns + first), tuple(scaled), delta))

    def _column(self, values: np.ndarray) -> torch.Tensor:
        return self.put(values.astype(np.float32)[:, None])

    def windows(self, place: int, columns: np.ndarray) -> None:
        """Add columns of one part with a slot of their own, constant ones without."""
        part, train = self.parts[place], self.design.train
        keys = part.part.plus[train]
        if part.part.minus is not None:
            keys = np.stack([keys, part.part.minus[train]], axis=1)
        _, first, rows = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        table = part.scored(train[first], columns)
        still = (table == table[:1]).all(axis=0)
        if not still.all():
            slot = self.slot(table[:, ~still], rows.reshape(-1))
            self.piece(place, columns[~still], [(slot, None)])
        self.piece(place, columns[still], [], table[0, still])

    def pair(self, first: int, second: int, third: int) -> None:
        """Add the columns of a, b and b − a: two slots of one table, and what does not fit them."""
        a, b, train = self.parts[first], self.parts[second], self.design.train
        rows = np.concatenate([a.part.plus[train], b.part.plus[train]])
        windows, rows = np.unique(rows, return_inverse=True)
        table = (a.values[windows] - a.mean) / a.std
        rows = rows.reshape(2, -1)
        still = (table == table[:1]).all(axis=0)
        scales = (np.ones_like(a.std), a.std / b.std, a.std / self.parts[third].std)
        signs = ((1, 0), (0, 1), (-1, 1))
        fits, offsets = ~still, []
        for place, scale, sign in zip((first, second, third), scales, signs, strict=True):
            offset, error = self._folded(place, table, rows, [one * scale for one in sign])
            offsets.append(offset)
            fits &= error < DROWNED
        kept = np.flatnonzero(fits)
        slots = [self.slot(table[:, kept], one) for one in rows]
        for place, scale, sign, offset in zip(
            (first, second, third), scales, signs, offsets, strict=True
        ):
            terms = [
                (slot, None if place == first else one * scale[kept])
                for slot, one in zip(slots, sign, strict=True)
                if one
            ]
            self.piece(place, kept, terms, None if place == first else offset[kept])
            self.windows(place, np.flatnonzero(~fits))

    def _folded(
        self, place: int, table: np.ndarray, rows: np.ndarray, scales: Sequence[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return δ of a part's columns made from two slots, and the largest error they leave."""
        part, offsets, errors = self.parts[place], [], []
        for columns in part.chunks():
            made = sum(
                table[one, columns] * scale[columns]
                for one, scale in zip(rows, scales, strict=True)
            )
            gap = part.scored(self.design.train, columns) - made
            offsets.append(gap.mean(axis=0))
            errors.append(np.abs(gap - offsets[-1]).max(axis=0))
        return np.concatenate(offsets), np.concatenate(errors)
