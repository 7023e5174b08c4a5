"""One real hand trajectory, stitched from published forecast targets, and forecasts of it.

Targets of neighbouring test windows overlap, so together they are one trajectory, longer than any
of them. On it a task of its own is posed: from the last frames, forecast the next ones; with a
purged chronological split, under the `corrected` contract in all but the coordinates.

**What is forecast is no place in a room.** As published, each position is a joint in the *camera's*
axes minus the body's root in the *world's*. The two can't be told apart afterwards, since neither
the camera's path nor the root was published. It stands still where the hand rests relative to the
camera while the body's root rests in the world; it moves when the head turns or the person walks,
even with hands at rest. Zero velocity predicts that none of these happens.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from xperience.evaluation import metrics as scoring
from xperience.evaluation.records import Record
from xperience.evaluation.uncertainty import difference
from xperience.evaluation.vectors import Positions
from xperience.studies.blocks import Blocks
from xperience.studies.posing import pose
from xperience.studies.problem import Answer, Outcome, Problem
from xperience.studies.record.contests import contest_rows
from xperience.studies.record.forecasters import FORECASTERS, Forecast, Forecaster, Histories
from xperience.studies.record.record import PublishedRecord, PublishedRecordError
from xperience.studies.record.scores import HANDS, Contest
from xperience.studies.rows import Labels, interval_fields, suite_rows
from xperience.studies.scores import contestant, floors
from xperience.tasks.catalogue import TASKS_BY_NAME, tasks_of
from xperience.tasks.splits import Split, purge
from xperience.tasks.targets import FORECAST_FRAMES, N_HAND_JOINTS
from xperience.tasks.task import WINDOW, Piece
from xperience.tasks.truth import Truth

STITCHED = "stitched_hand_forecast"
ZERO = "zero_velocity"

WALK, FIRST_SHARE, N_PARTS = "walk_forward", 0.3, 4
"""Variant of rows; share that the first part of a walk forward learns from; parts that it tests."""
WALKERS = ("damped_velocity", "ridge_shared", "ridge_joint")
"""Forecasters that are fitted fast enough to be fitted again for every part."""


@dataclass(frozen=True)
class Trajectory:
    """Hands over a stretch of frames.

    Parameters
    ----------
    first_frame : int
    joints_m : float32 array, shape (n_frames, 42, 3)
        Left then right joints, metres: see the module's text for what they are relative to.
    disagreement_m : float
        Greatest difference between two targets of the same frame.
    """

    first_frame: int
    joints_m: np.ndarray
    disagreement_m: float

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

    Parameters
    ----------
    record : PublishedRecord
    truth : Truth
        Of the same recording, for its windows.

    Raises
    ------
    PublishedRecordError
        If they aren't there or leave a gap.
    """
    stored = record.vectors("neural_vectors", HANDS)
    targets = stored["y_true"].reshape(-1, FORECAST_FRAMES, N_HAND_JOINTS, 3)
    return stitch(targets, truth.ends[stored["test_window_indices"]] + 1)


def pose_forecast(hands: Trajectory, n_frames: int) -> Problem | Outcome:
    """Return the forecast as a problem: a sample a frame, purged chronological split.

    Parameters
    ----------
    hands : Trajectory
    n_frames : int
        Frames of the recording.
    """
    (task,) = tasks_of("corrected", [TASKS_BY_NAME[HANDS]])
    pieces = (Piece(("hand_left_joints", "hand_right_joints")),)
    task = replace(task, name=STITCHED, history=1, feature_span=WINDOW, pieces=pieces,
                   source="published targets of neighbouring windows, stitched")  # fmt: skip
    n_starts = max(0, len(hands.joints_m) - (WINDOW.frames([0], n_frames)[0, 1] + FORECAST_FRAMES))
    starts = hands.first_frame + np.arange(n_starts)
    truth = Truth(n_frames=n_frames, starts=starts, hands=hands.placed(n_frames))
    return pose(task, truth, Blocks(_NoFeatures(n_starts), {}), "corrected")


@dataclass(frozen=True)
class _NoFeatures:
    """A table of windows without features: forecasters read the trajectory itself."""

    n_windows: int

    def block(self, name: str) -> np.ndarray:
        """Return no columns."""
        return np.zeros((self.n_windows, 0), dtype=np.float32)


def forecasts(
    problem: Problem, forecasters: Mapping[str, Forecaster] = FORECASTERS
) -> list[Outcome]:
    """Return every forecaster's answer to a problem of `pose_forecast`.

    Parameters
    ----------
    problem : Problem
    forecasters : mapping of {name: Forecaster}
    """
    histories = Histories.of(problem)
    return [
        Outcome(problem.task, name, problem, _answers(problem, forecaster(histories)))
        for name, forecaster in forecasters.items()
    ]


def _answers(problem: Problem, found: Sequence[Forecast]) -> tuple[Answer, ...]:
    members = problem.samples.members[problem.split.test]
    start = problem.task.naive[ZERO](problem.truth, members)
    return tuple(
        Answer(start + one.ahead.reshape(len(start), -1), facts=one.facts, seed=one.seed)
        for one in found
    )


def walk_forward(problem: Problem, forecasters: Mapping[str, Forecaster]) -> Contest:
    """Return forecasts of successive parts, each learned from all that came before it.

    Parameters
    ----------
    problem : Problem
        Of `pose_forecast`.
    forecasters : mapping of {name: Forecaster}

    Returns
    -------
    Contest
        Over the parts together: more than twice the samples of the one split, and more kinds of
        movement.
    """
    histories = Histories.of(problem)
    splits = walk_splits(histories)
    tested = np.concatenate([split.test for split in splits])
    whole = replace(problem, split=Split(splits[0].train, tested))
    members = problem.samples.members[tested]
    naive = {name: [Answer(of(problem.truth, members))] for name, of in problem.task.naive.items()}
    heads = {}
    for name, forecaster in forecasters.items():
        parts = [forecaster(histories.with_split(split)) for split in splits]
        seeds = [Forecast(np.concatenate([one.ahead for one in of_seed]), seed=of_seed[0].seed)
                 for of_seed in zip(*parts, strict=True)]  # fmt: skip
        heads[name] = contestant(name, whole, _answers(whole, seeds))
    floor = {name: contestant(name, whole, answer) for name, answer in naive.items()}
    return Contest(whole, len(splits[0].train), heads, floor, WALK, f"{WALK}_floor")


def walk_splits(histories: Histories) -> list[Split]:
    """Return the purged splits of a walk forward: later parts test, all before them trains.

    Parameters
    ----------
    histories : Histories
    """
    n = len(histories.ahead)
    edges = [round(share * n) for share in np.linspace(FIRST_SHARE, 1, N_PARTS + 1)]
    splits = [Split(np.arange(start), np.arange(start, stop)) for start, stop in pairwise(edges)]
    return [purge(split, histories.frames) for split in splits]


# --- rows -------------------------------------------------------------------------------------


def forecast_rows(hands: Trajectory, outcomes: Sequence[Outcome], labels: Labels) -> list[Record]:
    """Return the rows of the forecasts: scores, differences from doing nothing, frame by frame.

    Parameters
    ----------
    hands : Trajectory
    outcomes : sequence of Outcome
        Of `forecasts`, or the one that says why there is no problem.
    labels : Labels
        Run, section, contract `corrected`.
    """
    rows = suite_rows(outcomes, labels.run, labels.contract, labels.section)
    rows = [row for row in rows if row.metric != "feature_dim"]
    base = labels.of(outcomes[0].task, None)
    rows += [
        Record(**base, metric="stitched_frames", unit="frame", value=len(hands.joints_m)),
        Record(**base, metric="overlap_disagreement", unit="m", value=hands.disagreement_m),
    ]
    if outcomes[0].status == "ok":
        rows += _rows_by_frame(outcomes, labels)
        walkers = {name: FORECASTERS[name] for name in WALKERS}
        rows += contest_rows(walk_forward(outcomes[0].problem, walkers), labels)
    return rows


def hand_rows(record: PublishedRecord, truth: Truth, labels: Labels) -> list[Record]:
    """Return the rows of all forecasts of the real trajectory.

    Parameters
    ----------
    record : PublishedRecord
    truth : Truth
    labels : Labels
        Run, section, contract `corrected`.

    Raises
    ------
    PublishedRecordError
        If the published targets aren't there or leave a gap.
    """
    hands = real_hands(record, truth)
    problem = pose_forecast(hands, truth.n_frames)
    outcomes = [problem] if isinstance(problem, Outcome) else forecasts(problem)
    return forecast_rows(hands, outcomes, labels)


def _rows_by_frame(outcomes: Sequence[Outcome], labels: Labels) -> Iterator[Record]:
    """Yield errors of each frame ahead, and what doing nothing errs more or less there."""
    problem, task = outcomes[0].problem, outcomes[0].task
    everybody = {
        ZERO: floors(problem)[ZERO],
        "constant_velocity": floors(problem)["constant_velocity"],
    }
    everybody |= {one.head: contestant(one.head, problem, one.answers) for one in outcomes}
    resampling = everybody[ZERO].resampling
    for ahead in range(FORECAST_FRAMES):
        errors = {name: _at(one.draws[0], ahead) for name, one in everybody.items()}
        for name, evidence in errors.items():
            base = labels.of(task, name, problem) | {"variant": f"frame_{ahead + 1:02d}"}
            base |= {"metric": "mpjpe", "unit": "m", "higher_is_better": False}
            yield Record(**base, value=scoring.score("mpjpe", evidence).value)
            if name == ZERO:
                continue
            pair = [scoring.weighted("mpjpe", one) for one in (evidence, errors[ZERO])]
            found = difference(*pair, len(evidence), resampling)
            yield Record(**base, against=ZERO, value=found.estimate, **interval_fields(found))


def _at(draw: list[Any], ahead: int) -> Positions:
    """Return the evidence of one frame ahead."""
    whole = next(one for one in draw if isinstance(one, Positions))
    return replace(whole, error_m=whole.error_m[:, ahead : ahead + 1])
