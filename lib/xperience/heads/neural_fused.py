"""The first layer's step on a CPU: one pass over its weights does all that is not a product.

Gradients, AdamW and the folded weights of the next batch are made feature by feature while a row
of weights is in the nearest cache. Left to whole-array operations each of them is a pass over
megabytes, and together they take longer than the two products of a step. Compiled by numba.
"""

from typing import NamedTuple

import numpy as np
import torch
from numba import njit

from xperience.heads.neural_inputs import NormedInputs, Piece
from xperience.heads.neural_layer import BETAS, EPS, Adam

_GAIN, _SHIFT = 0, 1


class _Block(NamedTuple):
    """Parameters of a piece's k columns, their AdamW moments, and how columns come from slots.

    ``weights`` (3, k, n_hidden): W, mean and mean square of its gradient. ``vectors`` (6, k): γ, β,
    means of their gradients, mean squares. ``scales`` (2, k) and ``offset`` (k,) are those of the
    piece; ``terms`` holds the number of its terms and, for each, whether it is the first to write
    the folded weights of its slot.
    """

    weights: np.ndarray
    vectors: np.ndarray
    scales: np.ndarray
    offset: np.ndarray
    terms: np.ndarray


class FusedLayer:
    """LayerNorm with affine, then a linear layer, with AdamW, over a design's samples on a CPU.

    Parameters
    ----------
    inputs : NormedInputs
    weight : float32 tensor, shape (n_hidden, n_features)
        To start from.
    bias : float32 tensor, shape (n_hidden,)
    adam : Adam
    """

    def __init__(self, inputs: NormedInputs, weight: torch.Tensor, bias: torch.Tensor, adam: Adam):
        self._inputs, self._adam, self._steps = inputs, adam, 0
        self._tables = [slot.table.numpy() for slot in inputs.slots]
        self._picks = [slot.rows.numpy() for slot in inputs.slots]
        self._mean, self._scale = inputs.mean.numpy(), inputs.scale.numpy()
        n_hidden = len(bias)
        self._bias = np.zeros((3, 1, n_hidden), np.float32)
        self._bias[0, 0] = bias.numpy()
        shapes = [(table.shape[1], n_hidden) for table in self._tables]
        self._folded = [np.zeros(shape, np.float32) for shape in shapes]
        self._products = [np.zeros(shape, np.float32) for shape in shapes]
        self._rows: list[np.ndarray] = [np.empty((0, table.shape[1])) for table in self._tables]
        self._nothing = np.zeros((0, n_hidden), np.float32)
        written: set[int] = set()
        self._blocks = [_block(piece, weight, written) for piece in inputs.pieces]
        self._sums = np.zeros((3, n_hidden), np.float32)  # of M, of δ M and of β W over columns
        self._pass(np.zeros((3, n_hidden), np.float32), _rates(Adam(0.0, 0.0), 1))

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """Return what the layer gives for some training samples, (n_batch, n_hidden)."""
        self._batch = batch.numpy()
        total = self._sums[1] - self._mean[self._batch] * self._sums[0]  # (n_batch, n_hidden)
        for place, (table, picks) in enumerate(zip(self._tables, self._picks, strict=True)):
            rows = self._buffer(place, len(self._batch))
            np.take(table, picks[self._batch], axis=0, out=rows, mode="clip")
            total += rows @ self._folded[place]
        total *= self._scale[self._batch]
        total += self._bias[0] + self._sums[2]
        return torch.from_numpy(total)

    def _buffer(self, place: int, n: int) -> np.ndarray:
        """Return room for n rows of a slot, the same for every batch."""
        if len(self._rows[place]) != n:
            self._rows[place] = np.empty((n, self._tables[place].shape[1]), np.float32)
        return self._rows[place]

    def learn(self, slope: torch.Tensor) -> None:
        """Take an AdamW step, for the samples of the last call.

        Parameters
        ----------
        slope : float32 tensor, shape (n_batch, n_hidden)
            The loss's gradient with respect to what the layer gave.
        """
        self._steps += 1
        slope = slope.numpy()
        scaled = slope * self._scale[self._batch]
        shares = (self._mean[self._batch] * scaled).sum(axis=0)
        slopes = np.stack([-shares, scaled.sum(axis=0), slope.sum(axis=0)])  # (3, n_hidden)
        for rows, product in zip(self._rows, self._products, strict=True):
            np.matmul(rows.T, scaled, out=product)
        rates = _rates(self._adam, self._steps)
        self._pass(slopes, rates)
        _adam_rows(*self._bias, slopes[2:], rates)

    def _pass(self, slopes: np.ndarray, rates: np.ndarray) -> None:
        """Bring all weights a step on, and fold them for the next batch."""
        self._sums[:] = 0
        for block, piece in zip(self._blocks, self._inputs.pieces, strict=True):
            places = [slot for slot, _ in piece.terms]
            sides = [
                tuple([*(side[place] for place in places), self._nothing, self._nothing][:2])
                for side in (self._products, self._folded)
            ]
            _step(block, *sides, slopes, self._sums, rates)

    def test(self) -> torch.Tensor:
        """Return what the layer gives for the test samples, (n_test, n_hidden)."""
        weights = torch.empty(self._inputs.n_features, self._bias.shape[-1])
        for block, piece in zip(self._blocks, self._inputs.pieces, strict=True):
            folded = block.weights[0] * block.vectors[_GAIN][:, None]
            weights[piece.columns] = torch.from_numpy(folded)
        bias = torch.from_numpy(self._bias[0, 0] + self._sums[2])
        return self._inputs.test(weights) + bias


def _block(piece: Piece, weight: torch.Tensor, written: set[int]) -> _Block:
    """Return the parameters of a piece before training; ``written`` gains its slots."""
    start = weight.numpy().T[piece.columns.numpy()]  # (k, n_hidden)
    k, terms = len(start), [len(piece.terms), 0, 0]
    weights, vectors = np.zeros((3, *start.shape), np.float32), np.zeros((6, k), np.float32)
    weights[0], vectors[_GAIN] = start, 1
    scales, offset = np.ones((2, k), np.float32), np.zeros(k, np.float32)
    for place, (slot, by) in enumerate(piece.terms):
        terms[1 + place] = slot not in written
        written.add(slot)
        if by is not None:
            scales[place] = by.numpy()[:, 0]
    if piece.offset is not None:
        offset[:] = piece.offset.numpy()[:, 0]
    return _Block(weights, vectors, scales, offset, np.array(terms))


def _rates(adam: Adam, step: int) -> np.ndarray:
    """Return what a step of AdamW multiplies by: see `_moved`."""
    first, second = (1 - beta**step for beta in BETAS)
    kept = 1 - adam.rate * adam.decay
    return np.array([kept, adam.rate / first, 1 / np.sqrt(second)], np.float32)


_KEEP_MEAN, _KEEP_SQUARE = (np.float32(beta) for beta in BETAS)
_ADD_MEAN, _ADD_SQUARE = (np.float32(1 - beta) for beta in BETAS)
_HAIR = np.float32(EPS)
_FAST = {"reassoc", "contract", "arcp", "nsz"}


@njit(cache=True, fastmath=_FAST, error_model="numpy", inline="always")
def _moved(value, mean, square, grad, rates):
    """Return a parameter and its two moments after a step of AdamW."""
    mean = _KEEP_MEAN * mean + _ADD_MEAN * grad
    square = _KEEP_SQUARE * square + _ADD_SQUARE * grad * grad
    value = value * rates[0] - rates[1] * mean / (np.sqrt(square) * rates[2] + _HAIR)
    return value, mean, square


@njit(cache=True, fastmath=_FAST, error_model="numpy")
def _adam_rows(values, means, squares, grads, rates):
    """Bring parameters (n, m) a step on, in place."""
    for i in range(values.shape[0]):
        for h in range(values.shape[1]):
            values[i, h], means[i, h], squares[i, h] = _moved(
                values[i, h], means[i, h], squares[i, h], grads[i, h], rates
            )


@njit(cache=True, fastmath=_FAST, error_model="numpy")
def _step(block, products, folded, slopes, sums, rates):
    """Bring a piece's parameters a step on; add to the folded weights and to ``sums``."""
    values, means, squares = block.weights[0], block.weights[1], block.weights[2]
    vectors, n_hidden = block.vectors, block.weights.shape[2]
    ones, along, whole = slopes[0], slopes[1], slopes[2]
    of_ones, of_offset, of_shift = sums[0], sums[1], sums[2]
    grad = np.empty(n_hidden, np.float32)
    for j in range(values.shape[0]):
        offset, gain, shift = block.offset[j], vectors[0, j], vectors[1, j]
        row = values[j]
        for h in range(n_hidden):
            grad[h] = ones[h] + offset * along[h]
        for term in range(block.terms[0]):
            by, product = block.scales[term, j], products[term][j]
            for h in range(n_hidden):
                grad[h] += by * product[h]
        of_gain, of_own_shift = np.float32(0), np.float32(0)
        for h in range(n_hidden):
            of_gain += row[h] * grad[h]
            of_own_shift += row[h] * whole[h]
        for h in range(n_hidden):
            row[h], means[j, h], squares[j, h] = _moved(
                row[h], means[j, h], squares[j, h], gain * grad[h] + shift * whole[h], rates
            )
        gain, vectors[2, j], vectors[4, j] = _moved(
            gain, vectors[2, j], vectors[4, j], of_gain, rates
        )
        shift, vectors[3, j], vectors[5, j] = _moved(
            shift, vectors[3, j], vectors[5, j], of_own_shift, rates
        )
        vectors[0, j], vectors[1, j] = gain, shift
        for h in range(n_hidden):
            product_h = row[h] * gain
            grad[h] = product_h
            of_ones[h] += product_h
            of_offset[h] += offset * product_h
            of_shift[h] += shift * row[h]
        for term in range(block.terms[0]):
            by, target = block.scales[term, j], folded[term][j]
            if block.terms[1 + term]:
                for h in range(n_hidden):
                    target[h] = by * grad[h]
            else:
                for h in range(n_hidden):
                    target[h] += by * grad[h]
