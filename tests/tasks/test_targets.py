"""Targets against loops that follow the contract's words."""

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from xperience.features.windows import window_starts
from xperience.tasks import targets
from xperience.tasks.truth import Truth

LABELS = st.sampled_from(["", "N/A", "grasp", "pour", "stir"])


@st.composite
def truths(draw) -> Truth:
    n = draw(st.integers(20, 90))
    runs = draw(st.lists(st.tuples(LABELS, st.integers(1, 30)), min_size=1, max_size=12))
    action = ([label for label, times in runs for _ in range(times)] + ["stir"] * n)[:n]
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    return Truth(
        n_frames=n,
        starts=window_starts(n),
        action=action,
        subtask=action[::-1],
        objects=[tuple(rng.choice(["cup", "pot", "lid"], rng.integers(0, 3))) for _ in range(n)],
        hands=rng.normal(size=(n, 42, 3)).astype(np.float32),
        contacts=(rng.random((n, 21)) < 0.01).astype(np.float32),
    )


def members(truth: Truth) -> np.ndarray:
    return np.arange(len(truth.starts))[:, None]


@settings(max_examples=60, deadline=None)
@given(truths())
def test_targets_are_those_of_plain_loops(truth):
    n, every = truth.n_frames, members(truth)
    known = ["grasp", "pour", "stir"]
    said = {
        "action": targets.window_labels("action")(truth, every),
        "near": targets.near_transition(truth, every),
        "next": targets.next_action(truth, every),
        "soon": targets.soon_changed(truth, every),
        "hands": targets.future_hands(truth, every),
        "contact": targets.any_contact(truth, every),
        "objects": targets.named_objects(truth, every),
    }
    for window, start in enumerate(range(0, n - 19, 5)):
        frames = range(start, start + 20)
        counts = Counter(truth.action[f] for f in frames if truth.action[f] in known)
        label, number = counts.most_common(1)[0] if counts else (None, 0)
        share = number / max(sum(counts.values()), 1)
        assert said["action"][window] == (label if share >= 0.6 else None)
        centre, end = (start + start + 19) // 2, start + 19
        near = any(
            abs(f - centre) <= 10
            for f in range(1, n)
            if truth.action[f] != truth.action[f - 1]
            and truth.action[f] in known
            and truth.action[f - 1] in known
        )
        assert said["near"][window] == ("transition" if near else "steady")
        ahead = truth.action[min(n - 1, end + 20)]
        assert said["next"][window] == (ahead if ahead in known else None)
        second = range(end, end + 21)
        if end + 20 > n - 1:
            assert said["soon"][window] is None
        elif any({truth.action[f], truth.action[f + 1]} <= set(known)
                 and truth.action[f] != truth.action[f + 1] for f in second[:-1]):  # fmt: skip
            assert said["soon"][window] == "change"
        else:
            silent = any(truth.action[f] not in known for f in second)
            assert said["soon"][window] == (None if silent else "steady")
        if end + 10 > n - 1:
            assert said["hands"][window] is None
        else:
            future = [truth.hands[end + 1 + k] for k in range(10)]
            assert np.array_equal(said["hands"][window].reshape(10, 42, 3), future)
        touch = any((truth.contacts[f] > 0).any() for f in frames)
        assert said["contact"][window] == ("contact" if touch else "no_contact")
        assert set(said["objects"][window]) == {o for f in frames for o in truth.objects[f]}
        assert len(set(said["objects"][window])) == len(said["objects"][window])


def test_an_action_is_asked_by_its_verb_and_by_its_noun():
    said = ["Place paper star on table"] * 25 + ["Placing the stars"] * 20 + ["N/A"] * 25
    truth = Truth(n_frames=70, starts=window_starts(70), action=said)
    parts = [targets.action_part(part)(truth, members(truth)) for part in ("verb", "noun")]
    assert [found[0] for found in parts] == ["place", "star"]
    assert [found[5] for found in parts] == ["placing", "stars"], "words as they are written"
    assert [found[-1] for found in parts] == [None, None]


@given(st.integers(0, 30))
def test_pairs_come_in_turns(n):
    order = targets.adjacent_windows(max(n, 1)).tolist()
    assert order == [pair for i in range(n - 1) for pair in ([i, i + 1], [i + 1, i])]
    shifted = targets.shifted_windows(n).tolist()
    assert shifted == [pair for i in range(n - 8) for pair in ([i, i], [i, i + 8])]


@given(truths())
def test_naive_hands_start_from_the_windows_last_frames(truth):
    every = members(truth)
    ends = truth.ends
    still = targets.resting_hands(truth, every).reshape(-1, 10, 42, 3)
    moving = targets.coasting_hands(truth, every).reshape(-1, 10, 42, 3)
    assert np.array_equal(still[:, 9], truth.hands[ends])
    step = truth.hands[ends] - truth.hands[ends - 1]
    np.testing.assert_allclose(moving[:, 9], truth.hands[ends] + 10 * step, rtol=1e-5, atol=1e-5)
