"""A small dense network on conditioned inputs, stopped early on a held-out stretch of time."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from xperience.heads.conditioning import Inputs
from xperience.heads.neural_goals import Device, Fit, Goal, Validation, pick_device
from xperience.heads.neural_stacked import Chances, Job, StackedSettings, fits

DENSE = StackedSettings()


def dense(
    inputs: Inputs,
    goal: Goal,
    validation: Validation,
    seeds: Sequence[int],
    settings: StackedSettings = DENSE,
    device: Device = "auto",
) -> list[Fit]:
    """Train inputs → hidden layer → outputs, for all seeds at once.

    Parameters
    ----------
    inputs : Inputs
        Conditioned, strongest axis first.
    goal : Goal
        Vectors are z-scored on the samples that are fitted, deviations floored, and answered on
        their principal axes (`xperience.heads.neural_axes`). Classes weigh the same in total; a
        class that only held-out samples have is left out of their loss.
    validation : Validation
        The number of epochs that served ``validate`` best after training on ``fit``; then the
        network is trained anew, on all training samples, for as many epochs.
    seeds : sequence of int
    settings : StackedSettings
    device : {"auto", "cpu", "cuda"}

    Returns
    -------
    list of Fit
        One a seed. The curve is of the first round, where losses are judged, if there was one.
    """
    place = pick_device(device)
    inputs = inputs.first(settings.axes)
    rows = torch.from_numpy(np.concatenate([inputs.train, inputs.test])).to(place)
    n = len(inputs.train)
    rows = rows / rms(rows[:n])
    job = Job(
        goal, validation, tuple(seeds), settings, np.arange(n), np.arange(n, len(rows)), place
    )
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
