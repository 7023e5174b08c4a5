"""A small recurrent network over successive windows: what came before counts, and its order."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from xperience.errors import ParamsError
from xperience.heads.neural_dense import rms
from xperience.heads.neural_goals import Device, Fit, Goal, Validation, pick_device
from xperience.heads.neural_stacked import Chances, Job, StackedSettings, fits

TEMPORAL = StackedSettings(width=64, reduced=48)


@dataclass(frozen=True)
class Steps:
    """One part of what a sample shows at each step.

    Parameters
    ----------
    values : float32 array, shape (n_windows, n_axes)
        Conditioned features of windows.
    windows : int array, shape (n_samples, n_steps)
        Window of each step, oldest first; -1 is before the recording's start.
    """

    values: np.ndarray
    windows: np.ndarray


@dataclass(frozen=True)
class Sequences:
    """Samples as short histories of windows.

    Parameters
    ----------
    parts : tuple of Steps
        Side by side at each step; the same samples and number of steps in each.
    train, test : int array, shape (n_train,), (n_test,)
        Samples.

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
    device: Device = "auto",
) -> list[Fit]:
    """Train a gated recurrent network that answers after the last step, for all seeds at once.

    Each step shows the parts of its window and how they differ from the step before, brought to
    ``settings.reduced`` units. Steps before the recording's start leave the state untouched.

    Parameters
    ----------
    inputs : Sequences
    goal : Goal
        As for `xperience.heads.neural_dense.dense`.
    validation : Validation
        The number of epochs is the one that served ``validate`` best after training on ``fit``;
        then the network is trained anew, on all training samples, for as many epochs.
    seeds : sequence of int
    settings : StackedSettings
    device : {"auto", "cpu", "cuda"}

    Returns
    -------
    list of Fit
        One a seed. The curve is of the first round, where losses are judged.
    """
    place = pick_device(device)
    job = Job(goal, validation, tuple(seeds), settings, inputs.train, inputs.test, place)
    shown = _Shown(inputs, place)
    return fits(job, lambda chances: _Recurrent(shown, goal.n_outputs, settings, chances))


class _Shown:
    """What samples show at each step: windows and their changes, each part to its own scale."""

    def __init__(self, inputs: Sequences, device: str):
        self._parts = []
        for part in inputs.parts:
            values = torch.from_numpy(np.ascontiguousarray(part.values, np.float32)).to(device)
            windows = torch.from_numpy(np.asarray(part.windows, np.int64)).to(device)
            known = windows[torch.from_numpy(np.asarray(inputs.train, np.int64)).to(device)]
            values = values / rms(values[known[known >= 0].unique()])
            changes = self._changes(values, known)
            self._parts.append((values, windows, 1 / rms(changes[changes.any(dim=-1)])))
        self.n_steps = inputs.parts[0].windows.shape[1]
        self.n_axes = sum(values.shape[1] for values, _, _ in self._parts)

    @staticmethod
    def _changes(values: torch.Tensor, windows: torch.Tensor) -> torch.Tensor:
        """Return each step minus the one before, 0 where there is none, (…, n_steps, n_axes)."""
        rows = values[windows.clamp_min(0)]
        there = (windows[..., 1:] >= 0) & (windows[..., :-1] >= 0)
        changes = torch.zeros_like(rows)
        changes[..., 1:, :] = (rows[..., 1:, :] - rows[..., :-1, :]) * there[..., None]
        return changes

    def __call__(self, samples: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return rows (n_seeds, n, n_steps, 2 n_axes) and whether all parts are there (…, 1)."""
        rows, there = [], None
        for values, windows, scale in self._parts:
            own = windows[samples]  # (n_seeds, n, n_steps)
            own_there = (own >= 0)[..., None]
            rows += [values[own.clamp_min(0)] * own_there, self._changes(values, own) * scale]
            there = own_there if there is None else there & own_there
        return torch.cat(rows, dim=-1), there


class _Recurrent:
    """rows → reduced → gated recurrent units → outputs."""

    def __init__(self, shown: _Shown, n_outputs: int, settings: StackedSettings, chances: Chances):
        self._shown, self._width, self.chances = shown, settings.width, chances
        self._reduce = chances.linear(2 * shown.n_axes, settings.reduced)
        self._enter = chances.linear(settings.reduced, 3 * settings.width)
        self._recur = chances.linear(settings.width, 3 * settings.width)
        self._out = chances.linear(settings.width, n_outputs)
        self.parameters = [*self._reduce, *self._enter, *self._recur, *self._out]

    def __call__(self, samples: torch.Tensor, dropout: float = 0.0) -> torch.Tensor:
        rows, there = self._shown(samples)
        n_seeds, n, n_steps, _ = rows.shape
        reduced = torch.baddbmm(
            self._reduce[1], rows.reshape(n_seeds, n * n_steps, -1), self._reduce[0]
        )
        reduced = self.chances.dropped(reduced, dropout)
        entered = torch.baddbmm(self._enter[1], reduced, self._enter[0])
        entered = entered.view(n_seeds, n, n_steps, -1)  # (n_seeds, n, n_steps, 3 width)
        state = rows.new_zeros(n_seeds, n, self._width)
        for step in range(n_steps):
            state = torch.where(there[:, :, step], self._next(entered[:, :, step], state), state)
        return torch.baddbmm(self._out[1], self.chances.dropped(state, dropout), self._out[0])

    def _next(self, entered: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        """Return the state after a step, (n_seeds, n, width)."""
        keep, reset, new = entered.chunk(3, dim=-1)
        own_keep, own_reset, own_new = torch.baddbmm(self._recur[1], state, self._recur[0]).chunk(
            3, dim=-1
        )
        keep, reset = torch.sigmoid(keep + own_keep), torch.sigmoid(reset + own_reset)
        return keep * state + (1 - keep) * torch.tanh(new + reset * own_new)
