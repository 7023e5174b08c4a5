"""Intervals and verdicts over recordings in which other things happen: each has its own script."""

import json
from pathlib import Path

import av
import numpy as np
import pytest
import yaml

from xperience.recording import layout
from xperience.standin.family import Member, plan_family
from xperience.standin.scene import build_scene
from xperience.standin.settings import FamilySettings
from xperience.standin.sound import soundtrack
from xperience.standin.write import write_annotation
from xperience.sync.audit import Verdict, audit_episode

from .conftest import CAMERA, join

N_RECORDINGS = 12
LONGEST_MS = 250.0


def write_blank(path: Path, n_frames: int, fps: float) -> None:
    """Write a video that shows nothing: only its times are read."""
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=round(fps))
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        black = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        for number in range(n_frames):
            black.pts = number
            container.mux(stream.encode(black))
        container.mux(stream.encode(None))


def write_without_pictures(folder: Path, member: Member, knobs: dict[str, float]) -> Path:
    """Write what the sound and the gyroscope are compared with, and nothing that must be drawn."""
    folder.mkdir()
    script = folder / "script.yaml"
    document = member.script.document()
    script.write_text(yaml.safe_dump(document), encoding="utf-8")
    settings = member.settings.model_copy(update={"script": script, **knobs})
    scene = build_scene(settings)
    write_annotation(folder / layout.ANNOTATION, scene, settings)
    pictures = folder / "pictures.mp4"
    write_blank(pictures, settings.frames, settings.fps)
    join(pictures, soundtrack(scene.plan.events, settings), folder / f"{CAMERA}.mp4")
    for path in (script, pictures):
        path.unlink()
    return folder


def truths_ms(pair: str, knobs: dict[str, float], length_s: float) -> tuple[float, float, float]:
    """Return the true offset at the start, in the middle and at the end."""
    if pair == "sound_body":
        return (1e3 * knobs["audio_offset_s"],) * 3
    start, gained = 1e3 * knobs["imu_offset_s"], 1e-3 * knobs["clock_drift_ppm"] * length_s
    return start, start + gained / 2, start + gained


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_intervals_hold_injected_offsets_whatever_is_done_in_the_recording(tmp_path):
    family = FamilySettings(
        sides=(N_RECORDINGS - 2, 1, 1), frames=(2000, 2400), inject_faults=False
    )
    rng = np.random.default_rng(5)
    held: dict[str, list[bool]] = {"sound_body": [], "gyro_rotation": []}
    for member in plan_family(family):
        late_s, stamped_s = rng.uniform(-LONGEST_MS, LONGEST_MS, 2) / 1e3
        knobs = {"audio_offset_s": float(late_s), "imu_offset_s": float(stamped_s)}
        knobs["clock_drift_ppm"] = float(rng.uniform(-200, 200))
        folder = write_without_pictures(tmp_path / member.episode, member, knobs)
        audit = audit_episode(folder, list(held))
        for pair in audit.pairs:
            if pair.misalignment is None:
                continue
            true_ms = truths_ms(pair.name, knobs, audit.length_s)
            for found, truth in zip(pair.misalignment.moments, true_ms, strict=True):
                held[pair.name].append(found.low <= truth <= found.high)
            said = (json.dumps(knobs), pair.headline)
            if np.abs(true_ms).max() < pair.frame_ms / 2:
                assert pair.verdict is not Verdict.OFF, said
            if np.abs(true_ms).max() > pair.frame_ms:
                assert pair.verdict is not Verdict.IN_STEP, said
    for pair, found in held.items():
        assert len(found) >= 3 * N_RECORDINGS / 2, f"{pair} could hardly ever be told"
        assert np.mean(found) >= 0.93, pair
