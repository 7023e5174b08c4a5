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
from torch.nn import functional

from xperience.models.goals import Fit, Goal, Objective, epoch_rows, pick_device
from xperience.models.gram import BlockSource, Design, column_moments

NORM_EPS = 1e-5
"""What LayerNorm adds to the variance."""


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
    of batches and dropout come from the seed alone: on one thread of a CPU a seed gives the same
    bytes every time.
    """
    sides = normalised(design, source)
    train, test = (torch.from_numpy(rows).to(pick_device()) for rows in sides)
    objective = Objective(goal)
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

    The first layer holds nearly all weights, so time goes where they are read and written: its
    gradients are written out, into memory that is kept.
    """

    def __init__(self, rows: torch.Tensor, n_outputs: int, seed: int, settings: Settings):
        self._rows, self._settings = rows, settings
        self._chance = torch.Generator().manual_seed(seed)
        self._dropped = torch.Generator(rows.device).manual_seed(seed)
        width, n_features = settings.width, rows.shape[1]
        sizes = ((n_features, width), (width, width), (width, n_outputs))
        layers = [side for n_in, n_out in sizes for side in start(n_in, n_out, self._chance)]
        gain = [torch.ones(n_features), torch.zeros(n_features)]
        weights = [side.to(rows.device).requires_grad_() for side in (*gain, *layers)]
        self._first, self._upper = weights[:4], weights[4:]
        self._adam = torch.optim.AdamW(
            weights, lr=settings.rate, weight_decay=settings.decay, fused=True
        )
        self._batch = rows.new_empty((settings.batch, n_features))
        self._scaled, self._slope = (rows.new_empty((width, n_features)) for _ in range(2))

    @property
    def n_parameters(self) -> int:
        """Fitted numbers of the network."""
        return sum(side.numel() for side in (*self._first, *self._upper))

    def epoch(self, objective: Objective) -> float:
        """Take one step a batch; return the mean loss of the samples as they were trained on."""
        settings, total, n = self._settings, 0.0, len(self._rows)
        order = torch.randperm(n, generator=self._chance).to(self._rows.device)
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
        drawn = torch.rand(shape, generator=self._dropped, device=self._rows.device)
        return (drawn < kept) / kept

    @torch.no_grad()
    def _entered(self, rows: torch.Tensor) -> torch.Tensor:
        """Return what the first layer makes of normalised samples, (n, width)."""
        gain, shift, weights, bias = self._first
        torch.mul(weights, gain, out=self._scaled)
        return torch.addmm(weights @ shift + bias, rows, self._scaled.T)

    @torch.no_grad()
    def _learn(self, rows: torch.Tensor, slope: torch.Tensor) -> None:
        """Set the first layer's gradients from those of what it made, (n, width)."""
        gain, shift, weights, bias = self._first
        torch.mm(slope.T, rows, out=self._slope)
        gain.grad = torch.mul(self._slope, weights, out=self._scaled).sum(dim=0)
        bias.grad = slope.sum(dim=0)
        shift.grad = bias.grad @ weights
        weights.grad = self._slope.mul_(gain).addr_(bias.grad, shift)

    def _left(self, entered: torch.Tensor, kept: torch.Tensor | None = None) -> torch.Tensor:
        """Return outputs (n, n_outputs) from what the first layer made."""
        second, bias, last, bias_out = self._upper
        hidden = functional.gelu(entered)
        hidden = hidden if kept is None else hidden * kept[0]
        hidden = functional.gelu(functional.linear(hidden, second, bias))
        hidden = hidden if kept is None else hidden * kept[1]
        return functional.linear(hidden, last, bias_out)

    @torch.no_grad()
    def outputs(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the outputs of normalised samples, without dropout, (n, n_outputs)."""
        return self._left(self._entered(rows))


def start(n_in: int, n_out: int, chance: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weights (n_out, n_in) and biases (n_out,), uniform as PyTorch starts its layers."""
    bound = 1 / math.sqrt(n_in)
    shapes = ((n_out, n_in), (n_out,))
    weights, bias = (
        torch.empty(shape).uniform_(-bound, bound, generator=chance) for shape in shapes
    )
    return weights, bias
