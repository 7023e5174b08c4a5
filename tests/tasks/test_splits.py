import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xperience.errors import ParamsError
from xperience.features.windows import window_starts
from xperience.tasks.catalogue import ALL_FEATURE_ACTION, TASKS, TASKS_BY_NAME
from xperience.tasks.splits import (
    Split,
    blocked_folds,
    chronological,
    draw,
    local,
    local_blocks,
    picked,
    purge,
    rolling_origin,
    split_samples,
    touched,
    touching,
)
from xperience.tasks.task import Span
from xperience.tasks.truth import Truth


@st.composite
def spans(draw, n: int | None = None) -> np.ndarray:
    n = draw(st.integers(2, 25)) if n is None else n
    pairs = st.tuples(st.integers(0, 200), st.integers(0, 15))
    rows = draw(st.lists(st.tuples(pairs, pairs), min_size=n, max_size=n))
    return np.array([[[a, a + b] for a, b in row] for row in rows])


def frames_of(sample: np.ndarray) -> set[int]:
    return {frame for first, last in sample for frame in range(first, last + 1)}


@given(frames=spans(), embargo=st.integers(0, 8), data=st.data())
def test_purge_drops_exactly_the_samples_that_touch_the_test_part(frames, embargo, data):
    n = len(frames)
    test = np.array(sorted(data.draw(st.sets(st.integers(0, n - 1), min_size=1))), dtype=int)
    split = Split(np.setdiff1d(np.arange(n), test), test)
    purged = purge(split, frames, embargo)
    tested = {
        f + k for i in test for f in frames_of(frames[i]) for k in range(-embargo, embargo + 1)
    }
    kept = [i for i in split.train if not frames_of(frames[i]) & tested]
    assert purged.train.tolist() == kept
    assert set(purged.purged) == set(split.train) - set(kept)
    assert not touching(frames[purged.train], frames[purged.test], embargo).any()


@given(starts=st.lists(st.integers(0, 200), min_size=4, max_size=25), embargo=st.integers(-20, 20))
def test_an_embargo_is_the_fewest_frames_between_windows(starts, embargo):
    starts = np.array(starts)
    frames = np.stack([starts, starts + 19], axis=-1)[:, None]
    split = Split(np.arange(2, len(starts)), np.arange(2))
    between = np.abs(starts[2:, None] - starts[None, :2]).min(axis=1) - 20  # below 0: shared
    assert purge(split, frames, embargo).train.tolist() == split.train[between >= embargo].tolist()


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=60))
def test_local_split_is_stratified(labels):
    split = local(labels)
    assert sorted([*split.train, *split.test]) == list(range(len(labels)))
    for label in set(labels):
        n = labels.count(label)
        tested = sum(labels[i] == label for i in split.test)
        assert tested == (0 if n == 1 else int(np.clip(round(0.25 * n), 1, n - 1)))


def test_local_split_is_the_published_one(published):
    windows = pd.read_csv(published / "episode_task_suite/windows.csv")
    known = windows[windows["action_label"].notna()]
    split = local(known["action_label"].tolist())
    stored = pd.read_csv(published / "all_feature_action/predictions.csv")
    # the file's window_index counts known ones
    starts = known["start_frame"].to_numpy()[split.test]
    assert starts.tolist() == stored["start_frame"].tolist()


def test_a_rolling_origin_tests_later_parts_once():
    starts = np.arange(0, 400, 2)
    frames = np.stack([starts, starts + 9], axis=1)[:, None]
    splits = rolling_origin(frames, 0.3, 4)
    assert np.array_equal(np.concatenate([one.test for one in splits]), np.arange(60, 200))
    for one in splits:
        assert np.array_equal(one.train, np.arange(one.test.min() - 4))  # those touch its frames


@pytest.mark.parametrize("name", ["timeline_action", "timeline_subtask"])
def test_chronological_test_windows_are_the_published_ones(published, name):
    windows = pd.read_csv(published / "episode_task_suite/windows.csv")
    known = windows[windows[name.removeprefix("timeline_") + "_label"].notna()]
    stored = pd.read_csv(published / f"episode_task_suite/{name}/predictions.csv")
    places = chronological(len(known)).test
    assert known["window_index"].to_numpy()[places].tolist() == stored["window_index"].tolist()


def truth_of(n_frames: int = 400) -> Truth:
    rng = np.random.default_rng(3)
    names = [f"action {i}" for i in rng.integers(0, 9, n_frames // 25)]
    return Truth(
        n_frames=n_frames,
        starts=window_starts(n_frames),
        action=[name for name in names for _ in range(25)],
        subtask=[name for name in names for _ in range(25)],
        objects=[(name,) for name in names for _ in range(25)],
        hands=rng.normal(size=(n_frames, 42, 3)).astype(np.float32),
        contacts=np.zeros((n_frames, 21), np.float32),
    )


@pytest.mark.parametrize("task", [*TASKS, ALL_FEATURE_ACTION], ids=lambda t: t.name)
def test_every_tasks_purged_split_shares_no_frame(task):
    truth = truth_of()
    samples = draw(task, truth, lambda name: np.zeros((len(truth.starts), 2), np.float32))
    split = split_samples(task.split, samples)
    assert touching(samples.frames[split.train], samples.frames[split.test]).any()
    purged = purge(split, samples.frames)
    assert not touching(samples.frames[purged.train], samples.frames[purged.test]).any()
    if task.split == "chronological":
        last = samples.frames[purged.train].max()
        assert last < samples.frames[purged.test].min()
        assert len(purged.train)


def test_a_target_copied_into_a_feature_across_the_cut_is_caught():
    """Plant the label of a second ahead in the features, then in the declaration, then purge."""
    truth = truth_of()
    honest = TASKS_BY_NAME["timeline_action"]
    leaky = dataclasses.replace(honest, name="leaky", feature_span=Span("start", 0, "end", 40))
    members = leaky.members(len(truth.starts))
    frames = touched(leaky, truth, members)
    split = chronological(len(members))
    planted = [truth.action[min(end + 40, truth.n_frames - 1)] for end in truth.ends]
    tested = {f for i in split.test for f in range(truth.starts[i], truth.ends[i] + 1)}
    copied = [i for i in split.train if truth.ends[i] + 40 in tested and planted[i]]
    assert copied, "the planted feature shows test labels to training samples"
    purged = purge(split, frames)
    assert not set(copied) & set(purged.train)
    # what the honest declaration purges would have left the copied labels in
    blind = purge(split, touched(honest, truth, members))
    assert set(copied) & set(blind.train)


@given(
    st.one_of(
        st.lists(st.integers(-10, 9), max_size=6),
        st.integers(0, 9).flatmap(lambda a: st.integers(a, 9).map(lambda b: [*range(a, b + 1)])),
    )
)
def test_what_is_picked_is_in_the_order_of_its_places(places):
    places, values = np.array(places, dtype=int), np.arange(20).reshape(10, 2)
    found = picked(values, places)
    np.testing.assert_array_equal(found, values[places])
    assert picked(values[:, 0].tolist(), places) == values[places, 0].tolist()
    follow = len(places) and places[0] >= 0 and (np.diff(places) == 1).all()
    assert np.shares_memory(found, values) == bool(follow)


def test_unknown_split_says_so():
    truth = truth_of()
    samples = draw(TASKS[0], truth, lambda name: None)
    with pytest.raises(ParamsError, match="Did you mean 'local'"):
        split_samples("locale", samples)


@given(st.lists(st.integers(0, 4), min_size=2, max_size=80), st.integers(0, 9))
def test_local_blocks_hold_out_one_stretch_of_each_class(labels, seed):
    centers = np.arange(len(labels)) * 5
    split = local_blocks(labels, centers, seed)
    assert sorted([*split.train, *split.test]) == list(range(len(labels)))
    for label in set(labels):
        places = [i for i in range(len(labels)) if labels[i] == label]
        tested = [place for place, i in enumerate(places) if i in set(split.test)]
        assert tested == list(range(tested[0], tested[-1] + 1)) if tested else True
        assert len(tested) == min(max(round(0.25 * len(places)), 1), len(places) - 1)


@given(st.integers(30, 200), st.integers(2, 5), st.integers(1, 4), st.integers(1, 60))
def test_blocked_folds_share_no_frame_and_hold_out_everything_once(n, n_folds, n_blocks, extent):
    starts = np.arange(n) * 5
    frames = np.stack([starts, starts + extent - 1], axis=-1)[:, None]
    folds = blocked_folds(frames, n_folds, n_blocks)
    assert sorted(np.concatenate([held for _, held in folds])) == list(range(n))
    for fit, held in folds:
        assert not touching(frames[fit], frames[held]).any()
        assert len(set(fit) & set(held)) == 0
