"""LayerNorm and the linear layer after it as one, with the gradients written out."""

from dataclasses import dataclass
from typing import Protocol

import torch

from xperience.heads.neural_inputs import NormedInputs, Piece

BETAS = (0.9, 0.999)
EPS = 1e-8
"""What AdamW keeps of its moments at each step, and adds to a root: PyTorch's own defaults."""


@dataclass(frozen=True)
class Adam:
    """Step and weight decay of AdamW."""

    rate: float
    decay: float


class Layer(Protocol):
    """A first layer that trains itself."""

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """Return what it gives for some training samples, (n_batch, n_hidden)."""
        ...

    def learn(self, slope: torch.Tensor) -> None:
        """Take a step, given the loss's gradient with respect to what the last call gave."""
        ...

    def test(self) -> torch.Tensor:
        """Return what it gives for the test samples, (n_test, n_hidden)."""
        ...


@dataclass
class _Weights:
    """Parameters of the columns of a piece: γ, β and W, feature by feature.

    Parameters
    ----------
    piece : Piece
    gain, shift : float32 tensor, shape (k, 1)
    weight : float32 tensor, shape (k, n_hidden)
    """

    piece: Piece
    gain: torch.Tensor
    shift: torch.Tensor
    weight: torch.Tensor

    @classmethod
    def of(cls, piece: Piece, weight: torch.Tensor) -> "_Weights":
        """Return the parameters of a piece before training, γ = 1 and β = 0."""
        weight = weight.T[piece.columns].contiguous()  # (k, n_hidden)
        gain = torch.ones_like(weight[:, :1])
        return cls(piece, gain, torch.zeros_like(gain), weight)


class NormedLinear:
    """LayerNorm with affine, then a linear layer, with AdamW, over a design's samples, anywhere.

    Parameters
    ----------
    inputs : NormedInputs
    weight : float32 tensor, shape (n_hidden, n_features)
        To start from.
    bias : float32 tensor, shape (n_hidden,)
    adam : Adam
    """

    def __init__(self, inputs: NormedInputs, weight: torch.Tensor, bias: torch.Tensor, adam: Adam):
        self._inputs = inputs
        self._parts = [_Weights.of(piece, weight) for piece in inputs.pieces]
        self._bias = bias
        self._rows: list[torch.Tensor] = []
        self._batch = torch.empty(0)
        trained = [side for one in self._parts for side in (one.gain, one.shift, one.weight)]
        self._adam = torch.optim.AdamW(
            [*trained, bias],
            lr=adam.rate,
            weight_decay=adam.decay,
            betas=BETAS,
            eps=EPS,
            fused=True,
        )

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """Return what the layer gives for some training samples, (n_batch, n_hidden).

        Parameters
        ----------
        batch : int tensor, shape (n_batch,)
        """
        inputs, self._batch = self._inputs, batch
        self._rows = [slot.table[slot.rows[batch]] for slot in inputs.slots]
        folded: list[torch.Tensor | None] = [None] * len(inputs.slots)
        bias, ones, offset = self._bias.clone(), 0, 0
        for part in self._parts:
            product = part.weight * part.gain  # (k, n_hidden)
            for slot, by in part.piece.terms:
                term = product if by is None else product * by
                folded[slot] = term if folded[slot] is None else folded[slot] + term
            ones = ones + product.sum(dim=0)
            if part.piece.offset is not None:
                offset = offset + part.piece.offset[:, 0] @ product
            bias += part.shift[:, 0] @ part.weight
        total = sum(rows @ weight for rows, weight in zip(self._rows, folded, strict=True))
        return inputs.scale[batch] * (total + offset - inputs.mean[batch] * ones) + bias

    def learn(self, slope: torch.Tensor) -> None:
        """Take an AdamW step, for the samples of the last call.

        Parameters
        ----------
        slope : float32 tensor, shape (n_batch, n_hidden)
            The loss's gradient with respect to what the layer gave.
        """
        inputs, batch = self._inputs, self._batch
        whole = slope.sum(dim=0)
        slope = slope * inputs.scale[batch]
        along = slope.sum(dim=0)
        ones = -(inputs.mean[batch] * slope).sum(dim=0)
        products = [rows.T @ slope for rows in self._rows]  # (k, n_hidden) each
        for part in self._parts:
            grad = ones.expand_as(part.weight)
            if part.piece.offset is not None:
                grad = torch.addcmul(grad, part.piece.offset, along)
            for slot, by in part.piece.terms:
                grad = (
                    grad + products[slot] if by is None else torch.addcmul(grad, products[slot], by)
                )
            part.gain.grad = (part.weight * grad).sum(dim=1, keepdim=True)
            part.shift.grad = (part.weight @ whole)[:, None]
            part.weight.grad = torch.addcmul(part.shift * whole, part.gain, grad)
        self._bias.grad = whole
        self._adam.step()

    def test(self) -> torch.Tensor:
        """Return what the layer gives for the test samples, (n_test, n_hidden)."""
        shape = (self._inputs.n_features, len(self._bias))
        weights, bias = self._bias.new_empty(shape), self._bias.clone()
        for part in self._parts:
            weights[part.piece.columns] = part.weight * part.gain
            bias += part.shift[:, 0] @ part.weight
        return self._inputs.test(weights) + bias
