import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from xperience.qwen.media import write_mp4, write_wav


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Tiny products gain nothing from threads, which wait for each other five times as long."""
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(usual)


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


COLOURS = {"Cut paper": (220, 30, 30), "Hold pen": (30, 30, 220)}


def supervised(place, side, action, **media):
    """A supervised record, as a dict."""
    said = answer(
        action=action, subtask="Draw", objects=[["pen"], ["paper", "pen"]][place % 2],
        next_action=action, contact=["yes", "no"][place % 2],
    )  # fmt: skip
    sound = {"audio": None, "audio_sha256": None, "audio_seconds": 0, "why_no_audio": "no stream"}
    return {
        "id": f"{side}:{place:03d}",
        "episode": f"{side}{place % 4}",
        "side": side,
        "system": "You watch clips and answer in JSON.",
        "user": "What goes on at the end?",
        "media": {
            "video": f"clips/{action.split()[0]}.mp4", "video_sha256": "0" * 64, "fps": 2,
            "n_frames": 4, "window_frames": 2, "seconds": 2, "cameras": ["a"], "lost": {},
            "audio_rate_hz": 16000,
        } | sound | media,
        "window": {"start_frame": 20, "end_frame": 39},
        "clip": {"start_frame": 0, "end_frame": 39},
        "answer": json.dumps(said),
        "target": json.dumps(said),
        "action_is_option": True,
    }  # fmt: skip


@pytest.fixture(scope="session")
def write_export() -> Callable[..., Path]:
    """Return a function (folder, records) that writes an export of toy clips."""

    def written(folder, records) -> Path:
        for action, colour in COLOURS.items():
            pictures = [np.full((32, 48, 3), colour, np.uint8)] * 4
            write_mp4(folder / f"clips/{action.split()[0]}.mp4", pictures, 2, 23)
        write_wav(folder / "clips/tone.wav", np.sin(np.arange(32000) / 16000 * 2 * np.pi * 440) / 4)
        options = {"action": list(COLOURS), "subtask": ["Draw"], "objects": ["paper", "pen"]}
        (folder / "options.json").write_text(json.dumps(options))
        (folder / "manifest.json").write_text("{}")
        text = "".join(json.dumps(one) + "\n" for one in records)
        (folder / "records.jsonl").write_text(text)
        return folder

    return written


@pytest.fixture(scope="session")
def toy_export(tmp_path_factory, write_export) -> Path:
    """Records of which only the video tells the action; every other one has sound."""
    sound = {
        "audio": "clips/tone.wav", "audio_sha256": "0" * 64, "audio_seconds": 2,
        "why_no_audio": None,
    }  # fmt: skip
    records = [
        supervised(place, side, list(COLOURS)[place // 2 % 2], **(sound if place % 2 else {}))
        for side, n in (("train", 8), ("val", 2), ("test", 8))
        for place in range(n)
    ]
    return write_export(tmp_path_factory.mktemp("toy") / "records", records)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory, toy_export) -> Path:
    """A tiny Qwen3-Omni that knows the words of the toy export."""
    for package in ("transformers", "peft", "xgrammar"):
        pytest.importorskip(package)
    from xperience.qwen.tiny import make_tiny, words_of  # noqa: PLC0415

    return make_tiny(tmp_path_factory.mktemp("model") / "tiny", words_of(toy_export), seed=1)
