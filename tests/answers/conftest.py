import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

OPTIONS = ["Cut paper", "Cut cardboard", "Hold pen", "Place pen", "Walk", "Cut"]


def answer(**changed):
    """A whole answer, as a dict."""
    whole = {
        "action": "Hold pen",
        "subtask": "Drawing",
        "objects": ["pen"],
        "contact": "yes",
        "transition": "no",
        "next_action": "Hold pen",
        "evidence_window": {"start_frame": 0, "end_frame": 19},
    }
    return whole | changed


def line(place=0, raw=None, episode=None, truth=None, **more):
    """A line of a predictions file, as a dict."""
    return {
        "id": f"w{place}",
        "episode_id": episode or f"ep{place % 8}",
        "raw_prediction": json.dumps(answer()) if raw is None else raw,
        "true_json": answer(**(truth or {})),
    } | more


@pytest.fixture
def options_file(tmp_path) -> Path:
    path = tmp_path / "options.json"
    path.write_text(json.dumps(OPTIONS))
    return path


@pytest.fixture
def write(tmp_path) -> Callable[..., Path]:
    """Return a function (lines) that writes a predictions file."""

    def written(lines, name="predictions.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(one) + "\n" for one in lines), encoding="utf-8")
        return path

    return written


@pytest.fixture
def mixed(write) -> Path:
    """Answers of 8 recordings: half of them right, some broken, some by chance."""
    rng = np.random.default_rng(3)
    lines = []
    for place in range(48):
        true = {
            "action": OPTIONS[int(rng.integers(5))],
            "contact": str(rng.choice(["yes", "no"])),
            "transition": str(rng.choice(["yes", "no", "unknown"])),
            "objects": [str(o) for o in rng.choice(["pen", "paper", "cup"], 2, replace=False)],
        }
        said = answer(**true) if rng.random() < 0.5 else answer(action="Holding the pen")
        raw = json.dumps(said) if rng.random() < 0.9 else json.dumps(said)[:60]
        lines.append(line(place, raw, truth=true, true_label_seen_in_train=place % 2))
    return write(lines)
