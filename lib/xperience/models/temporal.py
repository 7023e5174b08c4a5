"""A small causal network over successive windows: what came before counts, and its order."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from xperience.errors import ParamsError
from xperience.models.goals import Fit, Goal, Validation, pick_device
from xperience.models.stacked import Chances, Job, StackedSettings, fits, rms

LEAST_CHANGE = 1e-3
"""Changes of an axis count by no less than this share of the largest."""
TEMPORAL = StackedSettings(axes=64, dropout=0.5, rate=6e-3, epochs=40)


@dataclass(frozen=True)
class Steps:
    """Conditioned features of windows (n_windows, n_axes), and the windows of each sample's steps.

    Windows are int (n_samples, n_steps), oldest first; -1 is before the recording's start.
    """

    values: np.ndarray
    windows: np.ndarray


@dataclass(frozen=True)
class Sequences:
    """Samples as short histories of windows, parts side by side at each step.

    Raises
    ------
    ParamsError
        If the parts disagree in samples or steps.
    """

    parts: tuple[Steps, ...]
    train: np.ndarray
    test: np.ndarray

    def __post_init__(self):
        shapes = {part.windows.shape for part in self.parts}
        if len(shapes) != 1 or any(len(shape) != 2 for shape in shapes):
            raise ParamsError(
                "sequences",
                f"has parts of {sorted(shapes)} samples and steps",
                "one shape (n_samples, n_steps) for all parts",
                "Give a window for every step of every sample, -1 where there is none.",
            )


def temporal(
    inputs: Sequences,
    goal: Goal,
    validation: Validation,
    seeds: Sequence[int],
    settings: StackedSettings = TEMPORAL,
) -> list[Fit]:
    """Train a causal convolutional network that answers at the last step, for all seeds at once.

    Each step shows the parts of its window and how they differ from the step before, brought to
    ``settings.width`` units; convolutions of two taps with dilations 1, 2, 4, … join the steps.
    Steps before the recording's start are zeros. All else is as for
    `xperience.models.stacked.dense`.
    """
    job = Job(goal, validation, tuple(seeds), settings, inputs.train, inputs.test)
    shown = _Shown(inputs, settings.axes)
    return fits(job, lambda chances, n_outputs: _Convolved(shown, n_outputs, settings, chances))


class _Shown:
    """What samples show at each step, written out once: windows and their changes.

    Windows of a part have one scale, so that strong axes stay strong; changes have one an axis,
    since what moves least from window to window is as telling as what moves most.
    """

    def __init__(self, inputs: Sequences, n_axes: int):
        train = np.asarray(inputs.train, np.int64)
        rows = [side for part in inputs.parts for side in _sides(part, train, n_axes)]
        there = np.all([part.windows >= 0 for part in inputs.parts], axis=0)
        self._rows = torch.cat(rows, dim=-1).to(pick_device())  # (n_samples, n_steps, n_columns)
        self._there = torch.from_numpy(there[..., None]).to(self._rows)
        self.n_columns = self._rows.shape[-1]
        self.n_levels = math.ceil(math.log2(max(self._rows.shape[1], 1)))

    def __call__(self, samples: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return rows (…, n_steps, n_columns) and 1 where all parts are there (…, n_steps, 1)."""
        return self._rows[samples], self._there[samples]


def _sides(part: Steps, train: np.ndarray, n_axes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a part's windows, and their changes, of each sample's steps, (n, n_steps, n_axes)."""
    values = torch.from_numpy(np.ascontiguousarray(part.values[:, :n_axes], np.float32))
    windows = torch.from_numpy(np.asarray(part.windows, np.int64))
    known = windows[train]
    values = values / rms(values[known[known >= 0].unique()])
    there = (windows >= 0)[..., None]
    rows = values[windows.clamp_min(0)] * there  # (n, n_steps, n_axes), 0 where there is none
    changes = torch.zeros_like(rows)
    both = there[..., 1:, :] & there[..., :-1, :]
    changes[..., 1:, :] = (rows[..., 1:, :] - rows[..., :-1, :]) * both
    of_train = changes[train]
    moved = of_train[of_train.any(dim=-1)]  # (n, n_axes)
    spread = (moved.square().sum(dim=0) / max(len(moved), 1)).sqrt()
    least = max(float(spread.max()) * LEAST_CHANGE, LEAST_CHANGE)
    return rows, changes / spread.clamp_min(least)


class _Convolved:
    """Rows → width → causal convolutions of two taps, dilated 1, 2, 4, … → outputs.

    Only what the last step's answer rests on is computed: neighbours are joined two by two until
    one is left.
    """

    def __init__(self, shown: _Shown, n_outputs: int, settings: StackedSettings, chances: Chances):
        self._shown, self.chances = shown, chances
        width = settings.width
        self._enter = chances.linear(shown.n_columns, width)
        self._join = [chances.linear(2 * width, width) for _ in range(shown.n_levels)]
        self._out = chances.linear(width, n_outputs)
        layers = (self._enter, *self._join, self._out)
        self.parameters = [side for layer in layers for side in layer]

    def __call__(self, samples: torch.Tensor, dropout: float = 0.0) -> torch.Tensor:
        rows, there = self._shown(samples)  # (n_seeds, n, n_steps, …)
        state = functional.gelu(self._linear(self._enter, rows)) * there
        n_seeds, n, n_steps, width = state.shape
        state = functional.pad(state, (0, 0, 2 ** len(self._join) - n_steps, 0))
        for layer in self._join:
            state = self.chances.dropped(state, dropout).view(n_seeds, n, -1, 2 * width)
            state = state[..., width:] + functional.gelu(self._linear(layer, state))
        return self._linear(self._out, self.chances.dropped(state[:, :, 0], dropout))

    @staticmethod
    def _linear(layer: tuple[torch.Tensor, torch.Tensor], rows: torch.Tensor) -> torch.Tensor:
        weights, bias = layer
        flat = torch.baddbmm(bias, rows.flatten(1, -2), weights)
        return flat.view(*rows.shape[:-1], -1)
