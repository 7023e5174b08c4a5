"""The network of the published contract, as a plain loop: LayerNorm, two hidden layers, AdamW.

LayerNorm → 128 → GELU → dropout → 128 → GELU → dropout → outputs, 80 epochs in batches of 128. The
inputs don't change while it trains, so they are normalised once, and LayerNorm's gain and shift
fold into the first layer's weights: y = n (γ∘W) + Wᵀβ + b, with n the normalised sample.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from xperience.models.goals import Device, Fit, Goal, Objective, epoch_rows, pick_device
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
    device: Device = "auto",
) -> list[Fit]:
    """Train the published network once for each seed.

    Inputs and vectors are z-scored with the moments of the training samples. Classes weigh the same
    in total; positives of a label weigh clip(negatives / positives, 1, 20). Initial weights, order
    of batches and dropout come from the seed alone: on a CPU a seed gives the same bytes every
    time, on one number of threads.
    """
    place = pick_device(device)
    train, test = (torch.from_numpy(rows).to(place) for rows in normalised(design, source))
    objective = Objective(goal, device=place)
    fits = []
    for seed in seeds:
        began = time.perf_counter()
        network = Network(train, goal.n_outputs, seed, settings)
        curve = [network.epoch(objective) for _ in range(settings.epochs)]
        answers = [objective.answers(network.outputs(side)) for side in (test, train)]
        spent = time.perf_counter() - began
        fits.append(Fit(*answers, epoch_rows(curve), seed, settings.epochs, spent, place))
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
    """The published network and its training on normalised samples (n_train, n_features)."""

    def __init__(self, rows: torch.Tensor, n_outputs: int, seed: int, settings: Settings):
        self._rows, self._settings = rows, settings
        self._chance = torch.Generator().manual_seed(seed)
        self._dropped = torch.Generator(rows.device).manual_seed(seed)
        width, n_features = settings.width, rows.shape[1]
        sizes = ((n_features, width), (width, width), (width, n_outputs))
        layers = [side for n_in, n_out in sizes for side in start(n_in, n_out, self._chance)]
        gain = [torch.ones(n_features), torch.zeros(n_features)]
        self._weights = [side.to(rows.device).requires_grad_() for side in (*gain, *layers)]
        self._adam = torch.optim.AdamW(
            self._weights, lr=settings.rate, weight_decay=settings.decay, fused=True
        )

    def epoch(self, objective: Objective) -> float:
        """Take one step a batch; return the mean loss of the samples as they were trained on."""
        settings, total, n = self._settings, 0.0, len(self._rows)
        order = torch.randperm(n, generator=self._chance).to(self._rows.device)
        masks = self._masks(n)
        for first in range(0, n, settings.batch):
            batch = order[first : first + settings.batch]
            outputs = self(self._rows[batch], masks[:, first : first + settings.batch])
            loss = objective.losses(outputs, batch).mean()
            self._adam.zero_grad()
            loss.backward()
            self._adam.step()
            total += loss.item() * len(batch)
        return total / n

    def _masks(self, n: int) -> torch.Tensor:
        """Return what the epoch's hidden values are multiplied by, (2, n, width)."""
        kept, shape = 1 - self._settings.dropout, (2, n, self._settings.width)
        drawn = torch.rand(shape, generator=self._dropped, device=self._rows.device)
        return (drawn < kept) / kept

    def __call__(self, rows: torch.Tensor, masks: torch.Tensor | None = None) -> torch.Tensor:
        """Return the outputs of normalised samples, (n, n_outputs)."""
        gain, shift, first, bias, second, bias_2, last, bias_out = self._weights
        hidden = functional.linear(rows, first * gain, first @ shift + bias)
        hidden = functional.gelu(hidden)
        hidden = hidden if masks is None else hidden * masks[0]
        hidden = functional.gelu(functional.linear(hidden, second, bias_2))
        hidden = hidden if masks is None else hidden * masks[1]
        return functional.linear(hidden, last, bias_out)

    @torch.no_grad()
    def outputs(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the outputs of normalised samples, without dropout."""
        return torch.cat([self(part) for part in rows.split(self._settings.batch)])


def start(n_in: int, n_out: int, chance: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weights (n_out, n_in) and biases (n_out,), uniform as PyTorch starts its layers."""
    bound = 1 / math.sqrt(n_in)
    shapes = ((n_out, n_in), (n_out,))
    weights, bias = (
        torch.empty(shape).uniform_(-bound, bound, generator=chance) for shape in shapes
    )
    return weights, bias
