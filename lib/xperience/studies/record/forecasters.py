"""Forecasts of hands from how they moved: damped velocity, two regressions, a recurrent network."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from xperience.models import penalised
from xperience.models.conditioning import Inputs, Moments
from xperience.models.goals import Goal, Validation
from xperience.models.temporal import TEMPORAL, Sequences, Steps, temporal
from xperience.tasks.problem import Problem
from xperience.tasks.splits import Split, blocked_folds

MEMORIES, DAMPINGS = (1, 2, 3, 5), tuple(round(0.1 * k, 1) for k in range(11))
"""What the damped forecast chooses from: steps that its velocity averages, share kept a frame."""
STRIDE = 3
"""Every third training sample is enough: those in between share nearly all their frames."""
HISTORY_STEPS, JOINT_STEPS = 10, 5
"""Frame steps that forecasts may read, and those that forecasts from all joints at once read."""
SEEDS = (7, 8, 9)
BRIEF = replace(TEMPORAL, epochs=60)
VALIDATION_FOLD = 2


@dataclass(frozen=True)
class Histories:
    """How hands moved and go on, and which samples may be learned from.

    Parameters
    ----------
    steps : float32 array, shape (n, 10, 42, 3)
        Movement from frame to frame up to the present, the last one first, metres.
    ahead : float32 array, shape (n, n_ahead, 42, 3)
        Where the hands go from the present, metres; those of test samples are for scoring.
    frames : int array, shape (n, n_spans, 2)
        Frames that each sample touches.
    split : Split
    """

    steps: np.ndarray
    ahead: np.ndarray
    frames: np.ndarray
    split: Split

    @classmethod
    def of(cls, problem: Problem) -> "Histories":
        """Return the histories of a problem's samples.

        Parameters
        ----------
        problem : Problem
            Its windows show `HISTORY_STEPS` steps or more before their end.
        """
        samples = problem.samples
        ends = problem.truth.ends[samples.members[:, 0]]
        poses = problem.truth.hands[ends[:, None] - np.arange(HISTORY_STEPS + 1)]
        ahead = np.asarray(samples.values).reshape(-1, *problem.task.value_shape) - poses[:, :1]
        return cls(poses[:, :-1] - poses[:, 1:], ahead, samples.frames, problem.split)

    def with_split(self, split: Split) -> "Histories":
        """Return the same samples, split otherwise."""
        return replace(self, split=split)

    @property
    def thinned(self) -> "Histories":
        """The same with every third training sample only."""
        return self.with_split(replace(self.split, train=self.split.train[::STRIDE]))

    @property
    def folds(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Blocked folds of the training part, places in it."""
        return blocked_folds(self.frames[self.split.train])


@dataclass(frozen=True)
class Forecast:
    """Where hands go, as somebody says.

    Parameters
    ----------
    ahead : float array, shape (n_test, n_ahead, 42, 3)
        Metres from the present.
    facts : dict of {name: value}
        What was chosen on the training part.
    seed : int, optional
    """

    ahead: np.ndarray
    facts: dict[str, float] = field(default_factory=dict)
    seed: int | None = None


Forecaster = Callable[[Histories], list[Forecast]]
"""Histories to forecasts of their test samples, one per seed."""


def damped(histories: Histories) -> list[Forecast]:
    """Forecast that hands go on as they did, slower every frame.

    How many steps the velocity averages and how much of it is kept a frame is what served the
    training part best.
    """
    n_ahead = histories.ahead.shape[1]
    judged = histories.split.train

    def forecast(samples: np.ndarray, memory: int, damping: float) -> np.ndarray:
        velocity = histories.steps[samples, :memory].mean(axis=1)
        kept = np.cumsum(damping ** np.arange(1, n_ahead + 1))
        return kept[:, None, None] * velocity[:, None]

    def error(memory: int, damping: float) -> float:
        gone = forecast(judged, memory, damping) - histories.ahead[judged]
        return float(np.linalg.norm(gone, axis=-1).mean())

    choices = [(memory, damping) for memory in MEMORIES for damping in DAMPINGS]
    memory, damping = min(choices, key=lambda choice: error(*choice))
    facts = {"memory_steps": memory, "damping": damping}
    return [Forecast(forecast(histories.split.test, memory, damping), facts)]


def ridge_shared(histories: Histories) -> list[Forecast]:
    """Forecast each coordinate from its own last steps, by one regression for all of them."""
    train, test = histories.split.train, histories.split.test
    n_coordinates = int(np.prod(histories.steps.shape[2:]))

    def rows(values: np.ndarray) -> np.ndarray:
        return np.moveaxis(values, 1, -1).reshape(-1, values.shape[1])  # (n · 126, n_times)

    def of(samples: np.ndarray) -> np.ndarray:
        return (samples[:, None] * n_coordinates + np.arange(n_coordinates)).ravel()

    scaled = Moments.of(rows(histories.steps[train]))
    inputs = Inputs(*(scaled(rows(histories.steps[side]), np.inf) for side in (train, test)))
    folds = [(of(fit), of(held)) for fit, held in histories.folds]
    fit = penalised.ridge(inputs, rows(histories.ahead[train]), folds)
    shape = (len(test), *histories.ahead.shape[2:], histories.ahead.shape[1])
    return [Forecast(np.moveaxis(fit.test.reshape(shape), -1, 1), {"penalty": fit.penalty})]


def ridge_joint(histories: Histories) -> list[Forecast]:
    """Forecast all coordinates from the last steps of all of them."""
    histories = histories.thinned
    train, test = histories.split.train, histories.split.test
    steps = _flat(histories.steps[:, :JOINT_STEPS])
    scaled = Moments.of(steps[train])
    inputs = Inputs(scaled(steps[train]), scaled(steps[test]))
    fit = penalised.ridge(inputs, _flat(histories.ahead[train]), histories.folds)
    return [Forecast(fit.test.reshape(-1, *histories.ahead.shape[1:]), {"penalty": fit.penalty})]


def recurrent(histories: Histories) -> list[Forecast]:
    """Forecast all coordinates with the temporal head: a recurrent network over the last steps."""
    histories = histories.thinned
    train, test = histories.split.train, histories.split.test
    steps = histories.steps[:, JOINT_STEPS - 1 :: -1]  # oldest first
    n, n_steps = steps.shape[:2]
    rows = steps.reshape(n * n_steps, -1)
    scaled = Moments.of(steps[train].reshape(len(train) * n_steps, -1))
    at = np.arange(n * n_steps).reshape(n, n_steps)
    shown = Sequences((Steps(scaled(rows), at),), train, test)
    known = _flat(histories.ahead[train])
    goal = Goal("vectors", known.astype(np.float32), known.shape[1])
    stop = Validation(*histories.folds[VALIDATION_FOLD])
    fits = temporal(shown, goal, stop, SEEDS, BRIEF, "cpu")
    shape = histories.ahead.shape[1:]
    return [
        Forecast(fit.test.reshape(-1, *shape), {"epochs": float(fit.epochs)}, fit.seed)
        for fit in fits
    ]


def _flat(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), -1)


FORECASTERS: dict[str, Forecaster] = {
    "damped_velocity": damped,
    "ridge_shared": ridge_shared,
    "ridge_joint": ridge_joint,
    "temporal": recurrent,
}
"""Forecasters by the name that rows carry; add an entry to add one."""
