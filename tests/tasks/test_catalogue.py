"""Rules that every declared task keeps, and proof that declared frames are the frames read."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from xperience.errors import ParamsError
from xperience.features.blocks import BLOCKS, BLOCKS_BY_NAME
from xperience.features.windows import cut, window_starts
from xperience.tasks.catalogue import ALL_FEATURE_ACTION, TASKS, TASKS_BY_NAME, TEXT, tasks_of
from xperience.tasks.splits import touched
from xperience.tasks.task import HEADS, WINDOW, Span, Task, registry
from xperience.tasks.truth import Truth

EVERY = (*TASKS, ALL_FEATURE_ACTION)
ids = [task.name for task in EVERY]
N_FEATURES = {
    "timeline_action": 8546, "timeline_subtask": 8546, "transition_detection": 8546,
    "next_action": 8546, "hand_trajectory_forecast": 8546, "contact_prediction": 7503,
    "object_relevance": 7650, "caption_grounding": 7650, "cross_modal_retrieval": 2415,
    "modality_reconstruction": 2415, "temporal_order": 25638, "misalignment_detection": 7511,
    "all_feature_action": 8546, "action_verb": 7650, "action_noun": 7650, "action_change": 7650,
}  # fmt: skip


def make_truth(seed: int) -> Truth:
    rng = np.random.default_rng(seed)
    n = 140
    names = np.array(["", "N/A", "grasp the cup", "pour tea", "stir the pot"])
    return Truth(
        n_frames=n,
        starts=window_starts(n),
        action=np.repeat(names[rng.integers(0, 5, n // 5)], 5).tolist(),
        subtask=np.repeat(names[rng.integers(0, 5, n // 5)], 5).tolist(),
        objects=[(f"thing {i}",) for i in rng.integers(0, 200, n)],
        hands=rng.normal(size=(n, 42, 3)).astype(np.float32),
        contacts=(rng.random((n, 21)) < 0.004).astype(np.float32),
    )


def mixed(truth: Truth, other: Truth, frames: np.ndarray) -> Truth:
    """Return the truth with some frames taken from another."""
    swap = np.isin(np.arange(truth.n_frames), frames)
    pick = lambda a, b: [b[i] if swap[i] else a[i] for i in range(truth.n_frames)]  # noqa: E731
    return dataclasses.replace(
        truth,
        action=pick(truth.action, other.action),
        subtask=pick(truth.subtask, other.subtask),
        objects=pick(truth.objects, other.objects),
        hands=np.where(swap[:, None, None], other.hands, truth.hands),
        contacts=np.where(swap[:, None], other.contacts, truth.contacts),
    )


def changes(task: Task, inside: bool, read: Callable | None = None) -> int:
    """Return how often a target changes when frames inside (or outside) its span are swapped."""
    count = 0
    for seed in range(12):
        truth, other = make_truth(seed), make_truth(seed + 100)
        members = task.members(len(truth.starts))
        spans = np.full((len(members), 2), -1)
        if task.target_span is not None:
            spans = task.target_span.frames(truth.starts[members[:, 0]], truth.n_frames)
        before = (read or task.target)(truth, members)
        for place in range(0, len(members), 3):
            frames = np.arange(truth.n_frames)
            within = (frames >= spans[place, 0]) & (frames <= spans[place, 1])
            swapped = mixed(truth, other, frames[within == inside])
            after = (read or task.target)(swapped, members)[place]
            count += not np.array_equal(after, before[place])
    return count


def test_names_are_unique_and_known():
    assert len(tasks_of("published", TASKS)) == 12
    assert list(TASKS_BY_NAME) == ids
    with pytest.raises(ParamsError, match="declared twice"):
        registry((TASKS[0], dataclasses.replace(TASKS[1], name=TASKS[0].name)))


def test_published_asks_what_is_declared_and_corrected_asks_more_of_the_sensors_alone():
    declared = [task for task in TASKS if "published" in task.contracts]
    assert tasks_of("published", TASKS) == declared
    corrected = tasks_of("corrected")
    assert [task.name for task in corrected] == ids
    told = {task.name for task in corrected if "captions" in task.target_streams}
    assert told > {"timeline_action", "next_action", "action_verb", "action_change"}
    assert not any(TEXT in task.input_blocks for task in corrected if task.name in told)
    for task in corrected:
        balanced = {"temporal_order", "misalignment_detection"}
        assert (task.primary.name == "balanced_accuracy") == (task.name in balanced)


@pytest.mark.parametrize("task", EVERY, ids=ids)
def test_declarations_are_whole(task):
    assert task.question.endswith("?")
    assert task.source
    assert task.n_features == N_FEATURES[task.name]
    assert HEADS[task.kind] == task.head
    assert len({measure.name for measure in task.measures}) == len(task.measures)
    assert task.primary.metric.unit
    assert set(task.input_blocks) <= set(BLOCKS_BY_NAME)
    order = [block.name for block in BLOCKS]
    for piece in task.pieces:
        assert sorted(piece.blocks, key=order.index) == list(piece.blocks)
    assert not set(task.input_blocks) & set(task.target_blocks), "the target is in the input"


@pytest.mark.parametrize("task", [t for t in EVERY if t.target], ids=lambda t: t.name)
def test_targets_read_the_declared_frames_and_no_others(task):
    assert changes(task, inside=False) == 0
    if task.target_span is not None:
        assert changes(task, inside=True) > 0


@pytest.mark.parametrize(
    "task", [t for t in EVERY if t.target_span and t.target], ids=lambda t: t.name
)
@pytest.mark.parametrize("end", ["first", "last"])
def test_declared_spans_are_no_wider_than_what_is_read(task, end):
    span = task.target_span
    tighter = dataclasses.replace(span, **{end: getattr(span, end) + (1 if end == "first" else -1)})
    if (tighter.since, tighter.first) == (tighter.until, tighter.last + 1):
        return  # a single frame has no tighter span
    assert changes(dataclasses.replace(task, target_span=tighter), inside=False) > 0


def test_a_target_that_reads_beyond_its_declared_frames_is_caught():
    task = TASKS_BY_NAME["next_action"]

    def further(truth: Truth, members: np.ndarray) -> list[str]:
        frames = np.minimum(truth.n_frames - 1, truth.ends[members[:, 0]] + 25)
        return [truth.action[frame] for frame in frames]

    assert changes(task, inside=False, read=further) > 0


def test_window_features_read_the_windows_frames():
    frames = np.arange(100)[:, None]
    windows = cut(frames)[..., 0]
    spans = WINDOW.frames(window_starts(100), 100)
    assert np.array_equal(spans, np.stack([windows[:, 0], windows[:, -1]], axis=1))


def test_naive_forecasts_read_the_window_only():
    for task in EVERY:
        for predict in task.naive.values():
            seen = dataclasses.replace(task, target_span=WINDOW)
            assert changes(seen, inside=False, read=predict) == 0


def test_samples_touch_their_windows_and_their_targets_frames():
    truth = make_truth(0)
    shifted = TASKS_BY_NAME["misalignment_detection"]
    assert touched(shifted, truth, np.array([[1, 9]])).tolist() == [[[5, 24], [45, 64]]]
    ahead = TASKS_BY_NAME["next_action"]
    assert touched(ahead, truth, np.array([[0], [23]])).tolist() == [
        [[0, 19], [39, 39]],
        [[115, 134], [139, 139]],
    ]
    assert Span("center", -11, "center", 10).frames(np.array([20]), 140).tolist() == [[18, 39]]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"split": "cronological"}, "Did you mean 'chronological'"),
        ({"kind": "clasify"}, "Did you mean 'classify'"),
        ({"target_blocks": ("body_contact",)}, "Did you mean 'body_contacts'"),
        ({"target_blocks": ("body_contacts",)}, "either target or target_blocks"),
        ({"measures": ()}, "a primary measure"),
    ],
)
def test_a_wrong_declaration_says_what_is_wrong(change, says):
    with pytest.raises(ParamsError, match=says):
        dataclasses.replace(TASKS[0], **change)
