"""The script: its proportions, its gaps, and the actions that come only at the end."""

import json
from collections import Counter

import numpy as np
import pytest

from xperience.errors import ParamsError
from xperience.standin.script import captions, load_script
from xperience.standin.settings import DEFAULT_SCRIPT

N_FRAMES = 5821


def frame_actions(document: dict, names: list[str]) -> tuple[list[str], list[str]]:
    """Return action and step of each frame, straight from the ranges in the captions."""
    position = {name: number for number, name in enumerate(names)}
    action, step = [""] * len(names), [""] * len(names)
    for segment in document["segments"]:
        for each in segment["Current Action"]:
            span = range(position[each["start_frame_name"]], position[each["end_frame_name"]] + 1)
            for frame in span:
                action[frame], step[frame] = each["label"], segment["Sub Task"]
    return action, step


def window_labels(labels: list[str]) -> list[str]:
    """Return the label of each labelled window: the most frequent one, if it fills 60 %."""
    found = []
    for start in range(0, len(labels) - 19, 5):
        counts = Counter(x for x in labels[start : start + 20] if x not in {"", "N/A"})
        if counts:
            label, count = counts.most_common(1)[0]
            if count >= 0.6 * sum(counts.values()):
                found.append(label)
    return found


@pytest.fixture(scope="module")
def labels() -> tuple[list[str], list[str]]:
    names = [f"{10**12 + k}.jpg" for k in range(N_FRAMES)]
    return frame_actions(captions(load_script(DEFAULT_SCRIPT), names), names)


def test_eighteen_actions_in_fourteen_steps(labels) -> None:
    action, step = labels
    assert len(set(action) - {"N/A"}) == 18
    assert len(set(step) - {"N/A"}) == 14
    assert "" not in action


def test_four_actions_only_in_the_last_part(labels) -> None:
    windows = window_labels(labels[0])
    cut = round(0.7 * len(windows))
    assert len(set(windows[cut:]) - set(windows[:cut])) == 4
    assert len(set(windows)) == 18


def test_four_steps_or_so_only_in_the_last_part(labels) -> None:
    windows = window_labels(labels[1])
    cut = round(0.7 * len(windows))
    assert set(windows[cut:]) - set(windows[:cut])


def test_gaps_leave_windows_unlabelled(labels) -> None:
    missing = sum(label == "N/A" for label in labels[0]) / N_FRAMES
    assert 0.02 < missing < 0.06


def test_actions_have_very_different_lengths(labels) -> None:
    counts = Counter(labels[0])
    lengths = np.array([n for label, n in counts.items() if label != "N/A"]) / 20
    assert lengths.min() >= 2.5
    assert 35 < lengths.max() < 45


def test_small_episode_keeps_the_order(small) -> None:
    document = json.loads(small["caption"])
    names = [name.decode() for name in small["slam/frame_names"]]
    action, _ = frame_actions(document, names)
    seen = list(dict.fromkeys(label for label in action if label != "N/A"))
    planned = [
        a.label for s in load_script(DEFAULT_SCRIPT).steps for a in getattr(s, "actions", [])
    ]
    assert seen == planned
    assert len(set(window_labels(action))) >= 6


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("main_task: x\nsteps: [{gap: 1, gop: 2}]", "gop"),
        ("main_task: [", "YAML"),
        (
            "main_task: x\nsteps: [{name: a, actions: [{label: b, description: c, share: 1,"
            " moves: [{move: poor, object: kettle}]}]}]",
            "Did you mean 'pour'",
        ),
        (
            "main_task: x\nsteps: [{name: a, actions: [{label: b, description: c, share: 1,"
            " moves: [{move: take, object: grinder}]}]}]",
            "fixed",
        ),
    ],
)
def test_broken_scripts_are_refused(tmp_path, text: str, hint: str) -> None:
    path = tmp_path / "script.yaml"
    path.write_text(text)
    with pytest.raises(ParamsError, match=hint):
        load_script(path)
