"""One real hand trajectory, stitched from published forecast targets, and forecasts of it.

Targets of neighbouring test windows overlap, so together they are one trajectory, longer than any
of them. On it a task of its own is asked: from the last frames, forecast the next ones; with a
purged chronological split, under the `corrected` contract in all but the coordinates.

**What is forecast is no place in a room.** As published, each position is a joint in the *camera's*
axes minus the body's root in the *world's*. The two can't be separated afterwards, since neither
the camera's path nor the root was published. It stands still where the hand rests relative to the
camera while the body's root rests in the world; it moves when the head turns or the person walks,
even with hands at rest. Zero velocity predicts that none of these happens.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xperience.evaluation import metrics as scoring
from xperience.evaluation.evaluate import (
    Comparison,
    Scores,
    base_of,
    evaluate,
    floors,
)
from xperience.evaluation.intervals import difference, difference_fields
from xperience.evaluation.metrics import Positions
from xperience.evaluation.predictions import Prediction, Predictions
from xperience.evaluation.records import ROLLING, STITCHED, Record
from xperience.models import forecast as forecasting
from xperience.models import penalised
from xperience.models.conditioning import Inputs, Moments
from xperience.models.goals import Goal, Validation
from xperience.models.temporal import TEMPORAL, Sequences, Steps, temporal
from xperience.studies.record.predictions import HANDS, Unpublished, comparison_rows
from xperience.studies.record.record import PublishedRecord, PublishedRecordError
from xperience.tasks.catalogue import TASKS_BY_NAME, tasks_of
from xperience.tasks.problem import INNER_ORIGIN, Blocks, Problem, build
from xperience.tasks.splits import Split, blocked_folds, rolling_origin
from xperience.tasks.targets import FORECAST_FRAMES, N_HAND_JOINTS
from xperience.tasks.task import WINDOW, Piece
from xperience.tasks.truth import Truth

ZERO = "zero_velocity"
FIRST_SHARE, N_PARTS = 0.3, 4
"""Of the rolling origin: share that is learned from first, parts that are tested."""
STRIDE = 3
"""Every third training sample is enough: those in between share nearly all their frames."""
HISTORY_STEPS, JOINT_STEPS = 10, 5
"""Frame steps that forecasts may read, and those that forecasts from all joints at once read."""
SEEDS = (7, 8, 9)
BRIEF = replace(TEMPORAL, epochs=60)
VALIDATION_FOLD = 2


@dataclass(frozen=True)
class Trajectory:
    """Hands over consecutive frames; the module's text says what they are relative to."""

    first_frame: int
    joints_m: np.ndarray  # left then right joints, metres, float32 (n_frames, 42, 3)
    disagreement_m: float  # greatest difference between two targets of the same frame

    def placed(self, n_frames: int) -> np.ndarray:
        """Return the trajectory in a recording of so many frames, NaN elsewhere."""
        hands = np.full((n_frames, *self.joints_m.shape[1:]), np.nan, dtype=np.float32)
        hands[self.first_frame : self.first_frame + len(self.joints_m)] = self.joints_m
        return hands


def stitch(targets: np.ndarray, first_frames: np.ndarray) -> Trajectory:
    """Return the trajectory that overlapping targets are pieces of.

    Parameters
    ----------
    targets : float array, shape (n_windows, n_ahead, 42, 3)
    first_frames : int array, shape (n_windows,)
        Frame of each target's first row.

    Raises
    ------
    PublishedRecordError
        If they leave a gap.
    """
    frames = np.asarray(first_frames)[:, None] + np.arange(targets.shape[1])  # (n_windows, n_ahead)
    first, last = int(frames.min()), int(frames.max())
    lost = np.setdiff1d(np.arange(first, last + 1), frames)
    if len(lost):
        raise PublishedRecordError(
            "published hand targets",
            f"leave {len(lost)} frames open from frame {lost[0]} on",
            "targets that overlap or touch",
            "Fetch the file again.",
        )
    low, high = np.full((2, last + 1 - first, *targets.shape[2:]), np.nan)
    for place, target in zip(frames - first, targets, strict=True):
        low[place], high[place] = np.fmin(low[place], target), np.fmax(high[place], target)
    return Trajectory(first, low.astype(np.float32), float((high - low).max()))


def real_hands(record: PublishedRecord, truth: Truth) -> Trajectory:
    """Return the real hands, from the targets published with the neural head's forecasts.

    A PublishedRecordError says that they aren't there or leave a gap.
    """
    stored = record.vectors("neural_vectors", HANDS)
    targets = stored["y_true"].reshape(-1, FORECAST_FRAMES, N_HAND_JOINTS, 3)
    return stitch(targets, truth.ends[stored["test_window_indices"]] + 1)


def forecast_problem(hands: Trajectory, n_frames: int) -> Problem:
    """Return the forecast as a problem: one sample per frame, purged chronological split."""
    (task,) = tasks_of("corrected", [TASKS_BY_NAME[HANDS]])
    pieces = (Piece(("hand_left_joints", "hand_right_joints")),)
    task = replace(task, name=STITCHED, history=1, feature_span=WINDOW, pieces=pieces,
                   source="published targets of neighbouring windows, stitched")  # fmt: skip
    n_starts = max(0, len(hands.joints_m) - (WINDOW.frames([0], n_frames)[0, 1] + FORECAST_FRAMES))
    starts = hands.first_frame + np.arange(n_starts)
    truth = Truth(n_frames=n_frames, starts=starts, hands=hands.placed(n_frames))
    return build(task, truth, Blocks(Unpublished(n_starts), {}), "corrected")


@dataclass(frozen=True)
class Histories:
    """How hands moved and go on, and which samples may be learned from."""

    steps: np.ndarray  # frame to frame up to the present, last first, metres, (n, 10, 42, 3)
    ahead: np.ndarray  # from the present on, metres, (n, n_ahead, 42, 3); of test samples to score
    frames: np.ndarray  # that each sample touches, int (n, n_spans, 2)
    split: Split

    @classmethod
    def of(cls, problem: Problem) -> "Histories":
        """Return the histories of samples that show `HISTORY_STEPS` steps before their end."""
        samples = problem.samples
        ends = problem.truth.ends[samples.members[:, 0]]
        poses = problem.truth.hands[ends[:, None] - np.arange(HISTORY_STEPS + 1)]
        ahead = np.asarray(samples.values).reshape(-1, *problem.task.value_shape) - poses[:, :1]
        return cls(poses[:, :-1] - poses[:, 1:], ahead, samples.frames, problem.split)

    @property
    def thinned(self) -> "Histories":
        """The same with every third training sample only."""
        return replace(self, split=replace(self.split, train=self.split.train[::STRIDE]))

    @property
    def folds(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Blocked folds of the training part, places in it."""
        return blocked_folds(self.frames[self.split.train])


Forecaster = Callable[[Histories], list[Prediction]]
"""Histories to where the hands of their test samples go, metres from the present, one per seed."""


def damped(histories: Histories) -> list[Prediction]:
    """Forecast that hands go on as they did, slower every frame."""
    train, test = histories.split.train, histories.split.test
    ahead = histories.ahead[train]
    memory, damping = forecasting.damping_of(histories.steps[train], ahead)
    predicted = forecasting.damped(histories.steps[test], memory, damping, ahead.shape[1])
    return [Prediction(predicted, facts={"memory_steps": memory, "damping": damping})]


def chosen(histories: Histories) -> list[Prediction]:
    """Forecast with what a rolling origin inside the training part chooses."""
    train, test = histories.split.train, histories.split.test
    folds = rolling_origin(histories.frames[train], *INNER_ORIGIN)
    predicted, name = forecasting.forecast(
        histories.steps[train],
        histories.ahead[train],
        histories.steps[test],
        [(one.train, one.test) for one in folds],
    )
    facts = {f"chose_{one}": float(one == name) for one in forecasting.FORECASTERS}
    return [Prediction(predicted, facts=facts)]


def ridge_shared(histories: Histories) -> list[Prediction]:
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
    return [Prediction(np.moveaxis(fit.test.reshape(shape), -1, 1), facts={"penalty": fit.penalty})]


def ridge_joint(histories: Histories) -> list[Prediction]:
    """Forecast all coordinates from the last steps of all of them."""
    histories = histories.thinned
    train, test = histories.split.train, histories.split.test
    steps = _flat(histories.steps[:, :JOINT_STEPS])
    scaled = Moments.of(steps[train])
    inputs = Inputs(scaled(steps[train]), scaled(steps[test]))
    fit = penalised.ridge(inputs, _flat(histories.ahead[train]), histories.folds)
    return [
        Prediction(fit.test.reshape(-1, *histories.ahead.shape[1:]), facts={"penalty": fit.penalty})
    ]


def recurrent(histories: Histories) -> list[Prediction]:
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
    fits = temporal(shown, goal, stop, SEEDS, BRIEF)
    shape = histories.ahead.shape[1:]
    return [
        Prediction(fit.test.reshape(-1, *shape), facts={"epochs": float(fit.epochs)}, seed=fit.seed)
        for fit in fits
    ]


def _flat(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), -1)


FORECASTERS: dict[str, Forecaster] = {
    "damped_velocity": damped,
    "ridge_shared": ridge_shared,
    "ridge_joint": ridge_joint,
    "temporal": recurrent,
    "forecast": chosen,
}
"""Forecasters by the name that rows carry; add an entry to add one."""
WALKERS = ("damped_velocity", "ridge_shared", "ridge_joint", "forecast")
"""Forecasters that are fitted fast enough to be fitted again for every part."""


def forecasts(
    problem: Problem, forecasters: Mapping[str, Forecaster] = FORECASTERS
) -> dict[str, Predictions]:
    """Return every forecaster's predictions of a problem of `forecast_problem`."""
    histories = Histories.of(problem)
    return {
        name: _predictions(problem, forecaster(histories))
        for name, forecaster in forecasters.items()
    }


def _predictions(problem: Problem, found: Predictions) -> Predictions:
    start = problem.naive(ZERO)
    return [replace(one, predicted=start + one.predicted.reshape(len(start), -1)) for one in found]


def walk_forward(
    problem: Problem, forecasters: Mapping[str, Forecaster], base: Mapping[str, Any]
) -> Comparison:
    """Return forecasts of successive parts, each learned from all that came before it.

    Over the parts together: more than twice the samples of the one split, and more kinds of
    movement.
    """
    histories = Histories.of(problem)
    splits = rolling_origin(histories.frames, FIRST_SHARE, N_PARTS)
    tested = np.concatenate([split.test for split in splits])
    whole = replace(problem, split=Split(splits[0].train, tested))
    heads = {}
    for name, forecaster in forecasters.items():
        parts = [forecaster(replace(histories, split=split)) for split in splits]
        seeds = [
            Prediction(np.concatenate([one.predicted for one in of_seed]), seed=of_seed[0].seed)
            for of_seed in zip(*parts, strict=True)
        ]
        heads[name] = Scores.of(whole, _predictions(whole, seeds))
    naive = {n: Scores.of(whole, [Prediction(whole.naive(n))]) for n in problem.task.naive}
    return Comparison(whole, heads, naive, base_of(whole, base) | {"variant": ROLLING})


# --- rows -------------------------------------------------------------------------------------


def hand_rows(record: PublishedRecord, truth: Truth, run: str, section: str) -> list[Record]:
    """Return the rows of all forecasts of the real trajectory."""
    hands = real_hands(record, truth)
    return forecast_rows(hands, forecast_problem(hands, truth.n_frames), run, section)


def forecast_rows(hands: Trajectory, problem: Problem, run: str, section: str) -> list[Record]:
    """Return the rows of the forecasts: scores, differences from zero velocity, frame by frame."""
    base = {"run": run, "section": section}
    predictions = forecasts(problem) if problem.ok else dict.fromkeys(FORECASTERS, ())
    rows = evaluate(problem, predictions, run, section)
    rows = [row for row in rows if row.metric != "feature_dim"]
    own = base | {"contract": problem.contract, "task": problem.task.name}
    rows += [
        Record(**own, metric="stitched_frames", unit="frame", value=len(hands.joints_m)),
        Record(**own, metric="overlap_disagreement", unit="m", value=hands.disagreement_m),
    ]
    if problem.ok:
        rows += _rows_by_frame(problem, predictions, base)
        walkers = {name: FORECASTERS[name] for name in WALKERS}
        rows += comparison_rows(walk_forward(problem, walkers, base), f"{ROLLING}_floor")
    return rows


def _rows_by_frame(
    problem: Problem, predictions: Mapping[str, Predictions], base: Mapping[str, Any]
) -> Iterator[Record]:
    """Yield errors of each frame ahead, and the difference from zero velocity there."""
    trivial = floors(problem)
    everybody = {name: trivial[name] for name in (ZERO, "constant_velocity")}
    everybody |= {head: Scores.of(problem, one) for head, one in predictions.items()}
    segmentation = everybody[ZERO].segmentation
    for ahead in range(FORECAST_FRAMES):
        errors = {name: _at(one.draws[0], ahead) for name, one in everybody.items()}
        for name, evidence in errors.items():
            own = base_of(problem, base) | {"head": name, "variant": f"frame_{ahead + 1:02d}"}
            own |= {"metric": "mpjpe", "unit": "m", "higher_is_better": False}
            yield Record(**own, value=scoring.score("mpjpe", evidence).value)
            if name == ZERO:
                continue
            pair = [scoring.weighted("mpjpe", one) for one in (evidence, errors[ZERO])]
            found = difference(*pair, len(evidence), segmentation)
            yield Record(**own, against=ZERO, value=found.estimate, **difference_fields(found))


def _at(draw: list[Any], ahead: int) -> Positions:
    """Return the evidence of one frame ahead."""
    whole = next(one for one in draw if isinstance(one, Positions))
    return replace(whole, error_m=whole.error_m[:, ahead : ahead + 1])
