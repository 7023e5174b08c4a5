"""The script: its proportions, its gaps, its words, and the actions that come only at the end."""

import json
from collections import Counter

import numpy as np
import pytest
import yaml

from xperience.errors import ParamsError
from xperience.standin.choreography import DOES
from xperience.standin.script import (
    WORDS,
    activities,
    captions,
    choose_words,
    load_script,
    read_words,
    worded,
)
from xperience.standin.settings import DEFAULT_SCRIPT

N_FRAMES = 5821


def frame_labels(document: dict, names: list[str]) -> tuple[list[str], list[str]]:
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


def test_labels_of_the_default_recording_are_as_shifted_as_a_real_one() -> None:
    names = [f"{10**12 + k}.jpg" for k in range(N_FRAMES)]
    action, step = frame_labels(captions(load_script(DEFAULT_SCRIPT), names), names)
    assert len(set(action) - {"N/A"}) == 18
    assert len(set(step) - {"N/A"}) == 14
    assert "" not in action
    assert 0.02 < action.count("N/A") / N_FRAMES < 0.06
    windows = window_labels(action)
    assert len(set(windows)) == 18
    cut = round(0.7 * len(windows))
    assert len(set(windows[cut:]) - set(windows[:cut])) == 4, "actions only in the last part"
    steps = window_labels(step)
    cut = round(0.7 * len(steps))
    assert set(steps[cut:]) - set(steps[:cut]), "steps only in the last part"
    lengths_s = np.array([n for label, n in Counter(action).items() if label != "N/A"]) / 20
    assert lengths_s.min() >= 2.5
    assert 35 < lengths_s.max() < 45


def test_a_short_episode_keeps_the_order(small) -> None:
    names = [name.decode() for name in small["slam/frame_names"]]
    action, _ = frame_labels(json.loads(small["caption"]), names)
    seen = list(dict.fromkeys(label for label in action if label != "N/A"))
    script = load_script(DEFAULT_SCRIPT)
    assert seen == [a.label for step in script.steps for a in getattr(step, "actions", [])]


def one_move(move: str) -> str:
    action = "{label: b, description: c, share: 1, moves: [" + move + "]}"
    return "main_task: x\nsteps: [{name: a, actions: [" + action + "]}]"


def test_a_script_can_ask_for_whatever_the_wearer_can_do(tmp_path) -> None:
    path = tmp_path / "script.yaml"
    for name in DOES:
        path.write_text(one_move(f"{{move: {name}, object: cup, into: cup, from: jar}}"))
        load_script(path)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("main_task: x\nsteps: [{gap: 1, gop: 2}]", "gop"),
        ("main_task: [", "YAML"),
        (one_move("{move: poor, object: kettle}"), "Did you mean 'pour'"),
        (one_move("{move: tap, object: kattle}"), "Did you mean 'kettle'"),
        (one_move("{move: pour, object: kettle}"), "pour needs into"),
        (one_move("{move: take, object: grinder}"), "fixed"),
    ],
)
def test_broken_scripts_are_refused(tmp_path, text: str, hint: str) -> None:
    path = tmp_path / "script.yaml"
    path.write_text(text)
    with pytest.raises(ParamsError, match=hint):
        load_script(path)


def test_a_name_without_words_is_named_with_its_place(tmp_path) -> None:
    action = {"label": "{take} the {jug}", "description": "x", "share": 1}
    step = {"name": "x", "actions": [action | {"moves": [{"move": "wait", "object": "kettle"}]}]}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump({"main_task": "x", "steps": [step]}))
    (tmp_path / WORDS).write_text("take: [take]\njog: [jog]\n")
    words = choose_words(read_words(tmp_path), np.random.default_rng(0))
    (activity,) = activities(tmp_path)
    with pytest.raises(ParamsError, match="jug"):
        worded(activity, words)
    (tmp_path / WORDS).write_text("take: take\n")
    with pytest.raises(ParamsError, match="something else"):
        read_words(tmp_path)
    with pytest.raises(ParamsError, match="no activity"):
        activities(tmp_path / "nowhere")
