"""Small networks of several seeds, trained at once and stopped by a held-out segment.

The weights of all seeds lie in one tensor, seeds first, and a batched product serves them all. Each
seed has its own generator for initial weights, order of batches and dropout, so that what a seed
gives doesn't depend on its company but for rounding.

Training goes in two rounds. The first fits on one part of the training samples and judges every
epoch on the other, until no seed has improved for some epochs; each seed's best epoch is kept. The
second starts anew with all training samples and predicts for each seed after as many epochs.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch.nn import functional

from xperience.models.conditioning import Inputs
from xperience.models.goals import (
    Fit,
    Goal,
    Objective,
    Validation,
    epoch_rows,
    pick_device,
)

LEAST_DEVIATION = 1e-2
"""Vector components count by no less than this share of the largest deviation."""
KEPT_SHARE = 0.99
"""Vectors are predicted on as many principal axes as hold this share of their squares."""
BYTE = 256


@dataclass(frozen=True)
class StackedSettings:
    """Settings of a small network and its training by AdamW."""

    axes: int = 128  # strongest axes of the inputs, of each part, that are used
    width: int = 64  # hidden units
    dropout: float = 0.3
    rate: float = 4e-3
    decay: float = 1e-2
    batch: int = 128
    epochs: int = 60  # at most
    patience: int = 6  # epochs without improvement before a seed is done
    unjudged: int = 30  # epochs where nothing is held out


DENSE = StackedSettings()


class StackedNetwork(Protocol):
    """Networks of several seeds over the same samples."""

    chances: "Chances"
    parameters: list[torch.Tensor]

    def __call__(self, samples: torch.Tensor, dropout: float = 0.0) -> torch.Tensor:
        """Return outputs (n_seeds, n, n_outputs) of samples, int (n_seeds, n)."""
        ...


class Chances:
    """One generator for each seed; what is drawn is brought to the device."""

    def __init__(self, seeds: Sequence[int]):
        self._each = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._device = pick_device()

    def uniform(self, *shape: int) -> torch.Tensor:
        """Return draws from [0, 1), ``(n_seeds, *shape)``."""
        return torch.stack([torch.rand(shape, generator=g) for g in self._each]).to(self._device)

    def orders(self, n: int) -> torch.Tensor:
        """Return an order of n samples for each seed, (n_seeds, n)."""
        return torch.stack([torch.randperm(n, generator=g) for g in self._each]).to(self._device)

    def linear(self, n_in: int, n_out: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return weights (n_seeds, n_in, n_out) and biases (n_seeds, 1, n_out) to start from."""
        bound = 1 / math.sqrt(n_in)
        drawn = ((2 * self.uniform(*shape) - 1) * bound for shape in ((n_in, n_out), (1, n_out)))
        weights, bias = (one.requires_grad_() for one in drawn)
        return weights, bias

    def dropped(self, hidden: torch.Tensor, share: float) -> torch.Tensor:
        """Return hidden values (n_seeds, …) with a share of them zeroed and the rest scaled up.

        A byte of chance a value is enough, eight to a draw: the share is one of 256.
        """
        n_dropped = round(BYTE * share)
        if not n_dropped:
            return hidden
        n = hidden[0].numel()
        words = torch.empty((len(self._each), -(-n // 8)), dtype=torch.int64)
        for row, chance in zip(words, self._each, strict=True):
            row.random_(-(2**63), None, generator=chance)
        kept = words.view(torch.uint8)[:, :n].to(self._device).view(hidden.shape) >= n_dropped
        return hidden * kept.to(hidden.dtype).mul_(BYTE / (BYTE - n_dropped))


@dataclass(frozen=True)
class Job:
    """What the networks of some seeds are trained for.

    ``train`` and ``test`` are samples as the network counts them; the goal's values are of
    ``train``.
    """

    goal: Goal
    validation: Validation
    seeds: tuple[int, ...]
    settings: StackedSettings
    train: np.ndarray
    test: np.ndarray


def fits(job: Job, make: Callable[[Chances, int], StackedNetwork]) -> list[Fit]:
    """Return each seed's fit: epochs chosen on what is held out, weights from all samples.

    ``make`` makes untrained networks from chances and the number of outputs.
    """
    if not job.seeds:
        return []
    first = _Round(job, make, job.validation.fit)
    best = first.judged(job.validation.validate)
    whole = _Round(job, make, np.arange(len(job.train)))
    predictions = whole.predicted(best)
    judged = first if first.train_losses else whole
    return [
        Fit(test, judged.curve(place), seed, int(best[place]), whole.n_parameters)
        for place, (seed, test) in enumerate(zip(job.seeds, predictions, strict=True))
    ]


class _Round:
    """Networks on their way through the epochs, on some of the training samples."""

    def __init__(self, job: Job, make: Callable[[Chances, int], StackedNetwork], fit: np.ndarray):
        self._job = job
        self._objective = Objective(job.goal, fit, LEAST_DEVIATION, KEPT_SHARE)
        self._network = make(Chances(job.seeds), self._objective.n_outputs)
        self._fit, self._places = self._tensor(fit), self._tensor(job.train)
        self.train_losses: list[np.ndarray] = []
        self._held_losses: list[np.ndarray] = []
        settings = job.settings
        self._adam = torch.optim.AdamW(
            self._network.parameters, lr=settings.rate, weight_decay=settings.decay, fused=True
        )

    @property
    def n_parameters(self) -> int:
        """Fitted numbers of one seed's network."""
        return sum(side[0].numel() for side in self._network.parameters)

    def _tensor(self, samples: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.asarray(samples, np.int64)).to(pick_device())

    def _epoch(self) -> None:
        settings, total = self._job.settings, 0.0
        order = self._fit[self._network.chances.orders(len(self._fit))]  # (n_seeds, n_fit)
        for batch in order.split(settings.batch, dim=1):
            outputs = self._network(self._places[batch], settings.dropout)
            losses = self._objective.losses(outputs, batch)  # (n_seeds, n_batch)
            self._adam.zero_grad()
            losses.mean(dim=1).sum().backward()
            self._adam.step()
            total = total + losses.detach().sum(dim=1)
        self.train_losses.append((total / max(len(self._fit), 1)).cpu().numpy())

    @torch.no_grad()
    def _outputs(self, samples: np.ndarray) -> torch.Tensor:
        """Return outputs of samples as the network counts them, (n_seeds, n, n_outputs)."""
        return self._network(self._tensor(samples).expand(len(self._job.seeds), -1))

    def judged(self, held: np.ndarray) -> np.ndarray:
        """Train until held-out samples stop to gain; return each seed's best epoch, from 1."""
        settings, n_seeds = self._job.settings, len(self._job.seeds)
        weight = self._objective.counted(held)
        if not weight or not len(self._fit):
            return np.full(n_seeds, settings.unjudged)
        samples = self._tensor(held).expand(n_seeds, -1)
        for epoch in range(settings.epochs):
            self._epoch()
            outputs = self._outputs(self._job.train[held])
            losses = self._objective.losses(outputs, samples).sum(dim=1) / weight
            self._held_losses.append(losses.cpu().numpy())
            best = np.argmin(self._held_losses, axis=0)
            if (epoch - best >= settings.patience).all():
                break
        return best + 1

    def predicted(self, epochs: np.ndarray) -> list[np.ndarray]:
        """Train; return test predictions of each seed after its number of epochs."""
        found: dict[int, np.ndarray] = {}
        for epoch in range(1, int(epochs.max()) + 1):
            self._epoch()
            done = np.flatnonzero(epochs == epoch)
            if len(done):
                outputs = self._outputs(self._job.test)
                found |= {int(place): self._objective.answers(outputs[place]) for place in done}
        return [found[place] for place in range(len(epochs))]

    def curve(self, place: int) -> tuple:
        """Return the learning curve of a seed."""
        held = [float(losses[place]) for losses in self._held_losses] or None
        return epoch_rows([float(losses[place]) for losses in self.train_losses], held)


def dense(
    inputs: Inputs,
    goal: Goal,
    validation: Validation,
    seeds: Sequence[int],
    settings: StackedSettings = DENSE,
) -> list[Fit]:
    """Train inputs → hidden layer → outputs on conditioned inputs, for all seeds at once.

    Vectors are z-scored on the samples that are fitted, deviations floored, and predicted on their
    principal axes. Classes weigh the same in total; a class that only held-out samples have is left
    out of their loss. Each seed's learning curve is of the first round, if there was one.
    """
    inputs = inputs.first(settings.axes)
    rows = torch.from_numpy(np.concatenate([inputs.train, inputs.test])).to(pick_device())
    n = len(inputs.train)
    rows = rows / rms(rows[:n])
    sides = np.arange(n), np.arange(n, len(rows))
    job = Job(goal, validation, tuple(seeds), settings, *sides)
    return fits(job, lambda chances, n_outputs: _Dense(rows, n_outputs, settings, chances))


def rms(values: torch.Tensor) -> torch.Tensor:
    """Return the root of the mean square, at least a hair: the one scale of all axes."""
    return values.square().mean().sqrt().clamp_min(1e-6) if values.numel() else values.new_ones(())


class _Dense:
    """rows → hidden → outputs."""

    def __init__(
        self, rows: torch.Tensor, n_outputs: int, settings: StackedSettings, chances: Chances
    ):
        self._rows, self.chances = rows, chances
        self._hidden = chances.linear(rows.shape[1], settings.width)
        self._out = chances.linear(settings.width, n_outputs)
        self.parameters = [*self._hidden, *self._out]

    def __call__(self, samples: torch.Tensor, dropout: float = 0.0) -> torch.Tensor:
        rows = self._rows[samples]  # (n_seeds, n, n_axes)
        hidden = functional.gelu(torch.baddbmm(self._hidden[1], rows, self._hidden[0]))
        hidden = self.chances.dropped(hidden, dropout)  # (n_seeds, n, width)
        return torch.baddbmm(self._out[1], hidden, self._out[0])
