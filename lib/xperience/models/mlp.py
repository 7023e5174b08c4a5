"""The network of the published contract, as a plain loop: LayerNorm, two hidden layers, AdamW.

LayerNorm → 128 → GELU → dropout → 128 → GELU → dropout → outputs, 80 epochs in batches of 128. The
inputs don't change while it trains, so they are normalised once, and LayerNorm's gain and shift
fold into the first layer's weights: y = n (γ∘W) + Wᵀβ + b, with n the normalised sample.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numba import njit
from torch.nn import functional

from xperience.models.goals import Fit, Goal, Objective, epoch_rows
from xperience.models.gram import BlockSource, Design, column_moments

NORM_EPS = 1e-5
"""What LayerNorm adds to the variance."""
BETAS, ADAM_EPS = (0.9, 0.999), 1e-8
"""AdamW's, as PyTorch has them."""


@dataclass(frozen=True)
class Settings:
    """Settings of the published network: units of each hidden layer, and its training by AdamW."""

    width: int = 128
    dropout: float = 0.1
    rate: float = 1e-3
    decay: float = 1e-4
    batch: int = 128
    epochs: int = 80


PUBLISHED = Settings()


def published_mlp(
    design: Design,
    source: BlockSource,
    goal: Goal,
    seeds: Sequence[int],
    settings: Settings = PUBLISHED,
) -> list[Fit]:
    """Train the published network once for each seed.

    Inputs and vectors are z-scored with the moments of the training samples. Classes weigh the same
    in total; positives of a label weigh clip(negatives / positives, 1, 20). Initial weights, order
    of batches and dropout come from the seed alone. It is trained on the CPU; on one thread a seed
    gives the same bytes every time.
    """
    train, test = (torch.from_numpy(rows) for rows in normalised(design, source))
    objective = Objective(goal, device="cpu")
    fits = []
    for seed in seeds:
        network = Network(train, goal.n_outputs, seed, settings)
        curve = [network.epoch(objective) for _ in range(settings.epochs)]
        answer = objective.answers(network.outputs(test))
        fits.append(Fit(answer, epoch_rows(curve), seed, settings.epochs, network.n_parameters))
    return fits


def normalised(design: Design, source: BlockSource) -> tuple[np.ndarray, np.ndarray]:
    """Return z-scored, layer-normalised samples, float32 (n_train, d) and (n_test, d)."""
    order = np.concatenate([design.train, design.test])
    n_train = len(design.train)
    widths = [source(name).shape[1] for part in design.parts for name in part.blocks]
    rows = np.empty((len(order), sum(widths)), np.float32)
    first = 0
    for part in design.parts:
        for name in part.blocks:
            values = source(name)
            made = rows[:, first : first + values.shape[1]]
            np.take(values, part.plus[order], axis=0, out=made)
            if part.minus is not None:
                made -= values[part.minus[order]]
            mean, std = column_moments(made[:n_train])
            made -= mean
            made /= std
            first += values.shape[1]
    for some in np.array_split(np.arange(len(rows)), max(1, len(rows) // 256)):
        batch = torch.from_numpy(rows[some])
        rows[some] = functional.layer_norm(batch, batch.shape[1:], eps=NORM_EPS).numpy()
    return rows[:n_train], rows[n_train:]


class Network:
    """The published network and its training on normalised samples (n_train, n_features).

    The first layer holds nearly all weights and waits for memory, not for arithmetic. So its
    weights lie features first, which makes the products fastest, and `_descend` passes over them
    once a step.
    """

    def __init__(self, rows: torch.Tensor, n_outputs: int, seed: int, settings: Settings):
        self._rows, self._settings, self._n_steps = rows, settings, 0
        self._chance = torch.Generator().manual_seed(seed)
        self._dropped = torch.Generator().manual_seed(seed)
        width, n_features = settings.width, rows.shape[1]
        sizes = ((n_features, width), (width, width), (width, n_outputs))
        layers = [side for n_in, n_out in sizes for side in start(n_in, n_out, self._chance)]
        self._upper = [side.requires_grad_() for side in layers[1:]]
        self._adam = torch.optim.AdamW(
            self._upper, lr=settings.rate, weight_decay=settings.decay, betas=BETAS, fused=True
        )
        weights = layers[0].T.contiguous()  # (n_features, width)
        self._layer = weights, torch.zeros_like(weights), torch.zeros_like(weights)
        affine = torch.tensor([1.0, 0.0]).repeat(n_features, 1)  # gain and shift of each feature
        self._norm = affine, torch.zeros_like(affine), torch.zeros_like(affine)
        self._scaled, self._slope = weights.clone(), torch.empty_like(weights)
        self._shifted = torch.zeros(width)
        self._batch = rows.new_empty((settings.batch, n_features))

    @property
    def n_parameters(self) -> int:
        """Fitted numbers of the network."""
        return sum(side.numel() for side in (self._layer[0], self._norm[0], *self._upper))

    def epoch(self, objective: Objective) -> float:
        """Take one step a batch; return the mean loss of the samples as they were trained on."""
        settings, total, n = self._settings, 0.0, len(self._rows)
        order = torch.randperm(n, generator=self._chance)
        masks = self._masks(n).split(settings.batch, dim=1)
        for batch, kept in zip(order.split(settings.batch), masks, strict=True):
            rows = torch.index_select(self._rows, 0, batch, out=self._batch[: len(batch)])
            entered = self._entered(rows).requires_grad_()
            loss = objective.losses(self._left(entered, kept), batch).mean()
            self._adam.zero_grad()
            loss.backward()
            self._learn(rows, entered.grad)
            self._adam.step()
            total += loss.item() * len(batch)
        return total / n

    def _masks(self, n: int) -> torch.Tensor:
        """Return what the epoch's hidden values are multiplied by, (2, n, width)."""
        kept, shape = 1 - self._settings.dropout, (2, n, self._settings.width)
        return (torch.rand(shape, generator=self._dropped) < kept) / kept

    @torch.no_grad()
    def _entered(self, rows: torch.Tensor) -> torch.Tensor:
        """Return what the first layer makes of normalised samples, (n, width)."""
        return torch.addmm(self._shifted + self._upper[0], rows, self._scaled)

    @torch.no_grad()
    def _learn(self, rows: torch.Tensor, slope: torch.Tensor) -> None:
        """Step the first layer's weights, from the gradients of what it made, (n, width)."""
        settings, self._n_steps = self._settings, self._n_steps + 1
        torch.mm(rows.T, slope, out=self._slope)
        self._upper[0].grad = slope.sum(dim=0)
        first, second = (1 - beta**self._n_steps for beta in BETAS)
        pace = 1 - settings.rate * settings.decay, settings.rate / first, 1 / math.sqrt(second)
        slopes, made = (self._slope, self._upper[0].grad), (self._scaled, self._shifted)
        given = (self._layer, self._norm, slopes, made)
        arrays = (tuple(side.numpy() for side in sides) for sides in given)
        _descend(*arrays, np.array(pace, np.float32))

    def _left(self, entered: torch.Tensor, kept: torch.Tensor | None = None) -> torch.Tensor:
        """Return outputs (n, n_outputs) from what the first layer made."""
        second, bias, last, bias_out = self._upper[1:]
        hidden = functional.gelu(entered)
        hidden = hidden if kept is None else hidden * kept[0]
        hidden = functional.gelu(functional.linear(hidden, second, bias))
        hidden = hidden if kept is None else hidden * kept[1]
        return functional.linear(hidden, last, bias_out)

    @torch.no_grad()
    def outputs(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the outputs of normalised samples, without dropout, (n, n_outputs)."""
        return self._left(self._entered(rows))


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _descend(layer, normed, slopes, made, pace):
    """Step weights and the norm's gains and shifts by AdamW, in place, all float32.

    Parameters
    ----------
    layer, normed : (array, array, array)
        Weights (n_features, width), or gain and shift of each feature (n_features, 2); the running
        means of their gradients and of these squared.
    slopes : (array, array)
        Gradients of the weights as they were used, gain included, and of the bias (width,).
    made : (array, array)
        To be set: weights times gain, and the sum over features of weights times shift, (width,).
    pace : array, shape (3,)
        The share that decay keeps, the step, and what roots are multiplied by.
    """
    weights, mean, square = layer
    norm, norm_mean, norm_square = normed
    slope, bias_slope = slopes
    scaled, shifted = made
    kept, step, root = pace[0], pace[1], pace[2]
    first, second, hair = np.float32(BETAS[0]), np.float32(BETAS[1]), np.float32(ADAM_EPS)
    rest, rest_square = np.float32(1 - BETAS[0]), np.float32(1 - BETAS[1])
    shifted[:] = 0
    for row in range(weights.shape[0]):
        of_gain, of_shift = np.float32(0), np.float32(0)  # their gradients
        for unit in range(weights.shape[1]):
            of_gain += slope[row, unit] * weights[row, unit]
            of_shift += bias_slope[unit] * weights[row, unit]
        gain, shift = norm[row]
        for side in range(2):
            own = of_shift if side else of_gain
            norm_mean[row, side] = first * norm_mean[row, side] + rest * own
            moved = second * norm_square[row, side] + rest_square * own * own
            norm_square[row, side] = moved
            off = norm_mean[row, side] / (np.sqrt(moved) * root + hair)
            norm[row, side] = kept * norm[row, side] - step * off
        new_gain, new_shift = norm[row]
        for unit in range(weights.shape[1]):
            one = slope[row, unit] * gain + bias_slope[unit] * shift
            average = first * mean[row, unit] + rest * one
            moved = second * square[row, unit] + rest_square * one * one
            mean[row, unit], square[row, unit] = average, moved
            weight = kept * weights[row, unit] - step * average / (np.sqrt(moved) * root + hair)
            weights[row, unit] = weight
            scaled[row, unit] = weight * new_gain
            shifted[unit] += weight * new_shift


def start(n_in: int, n_out: int, chance: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weights (n_out, n_in) and biases (n_out,), uniform as PyTorch starts its layers."""
    bound = 1 / math.sqrt(n_in)
    shapes = ((n_out, n_in), (n_out,))
    weights, bias = (
        torch.empty(shape).uniform_(-bound, bound, generator=chance) for shape in shapes
    )
    return weights, bias
