"""The audit of whole recordings: clocks that were moved, streams that are gone or say nothing."""

import json
from collections.abc import Callable
from pathlib import Path

import av
import h5py
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from xperience.cli import app
from xperience.errors import ParamsError
from xperience.recording import layout
from xperience.report.contract import sync_rows, sync_table
from xperience.report.figures.contract import draw_sync
from xperience.standin.family import Member, plan_family
from xperience.standin.scene import build_scene
from xperience.standin.settings import FamilySettings
from xperience.standin.sound import soundtrack
from xperience.standin.write import write_annotation
from xperience.sync.audit import PAIRS, SyncVerdict, audit_episode

from .conftest import CAMERA, join

FRAME_MS = 50.0


@pytest.fixture(scope="module")
def as_it_is(short):
    return audit_episode(short.folder)


@pytest.fixture
def changed(copied) -> Callable[[Callable[[h5py.File], None]], Path]:
    """Return a function that gives a copy of the short recording whose annotation was changed."""

    def change(plant: Callable[[h5py.File], None]) -> Path:
        folder = copied()
        with h5py.File(folder / layout.ANNOTATION, "r+") as file:
            plant(file)
        return folder

    return change


def offset_ms(audit, pair):
    return audit[pair].misalignment.offset_ms.value


def test_what_was_recorded_together_is_synchronised(as_it_is):
    for pair in ("gyro_rotation", "flow_camera", "container_device"):
        assert as_it_is[pair].verdict is SyncVerdict.SYNCHRONISED, as_it_is[pair].headline
        assert abs(offset_ms(as_it_is, pair)) < FRAME_MS / 2
    assert as_it_is["sound_body"].verdict is not SyncVerdict.OFF
    assert as_it_is["sound_body"].n_events > 50


def test_each_knob_moves_its_own_pair_only(short, as_it_is, tmp_path):
    moved = audit_episode(short.with_knobs(tmp_path / "a", audio_offset_s=0.3, imu_offset_s=-0.2))
    shift = {p: offset_ms(moved, p) - offset_ms(as_it_is, p) for p in PAIRS}
    assert shift["gyro_rotation"] == pytest.approx(-200, abs=3)
    assert shift["sound_body"] == pytest.approx(300, abs=5)
    assert shift["flow_camera"] == shift["container_device"] == 0
    assert moved["gyro_rotation"].verdict is SyncVerdict.OFF
    assert f"{round(offset_ms(moved, 'gyro_rotation'))} ± " in moved["gyro_rotation"].headline


def without_truths(file: h5py.File) -> None:
    del file["metadata"], file["caption"]


def test_truths_that_the_simulator_wrote_down_are_not_read(as_it_is, changed):
    audit = audit_episode(changed(without_truths), PAIRS[2:])
    assert [pair.to_dict() for pair in audit.pairs] == [p.to_dict() for p in as_it_is.pairs[2:]]


def early_poses(file: h5py.File) -> None:
    for path in (layout.QUATERNION, layout.TRANSLATION):
        rows = file[path][()]
        file[path][...] = np.concatenate([rows[4:], np.repeat(rows[-1:], 4, axis=0)])


def test_pictures_that_lag_behind_the_poses_are_off(changed):
    audit = audit_episode(changed(early_poses), ["gyro_rotation", "flow_camera"])
    assert offset_ms(audit, "flow_camera") == pytest.approx(200, abs=FRAME_MS / 2)
    assert offset_ms(audit, "gyro_rotation") == pytest.approx(200, abs=FRAME_MS / 5)
    assert {pair.verdict for pair in audit.pairs} == {SyncVerdict.OFF}


def jumping_clock(file: h5py.File) -> None:
    stamps = np.array([int(name[:-4]) for name in file[layout.FRAME_NAMES].asstr()[()]])
    stamps[300:320] += 400_000_000
    stamps[320:] += 2_000_000_000
    del file[layout.FRAME_NAMES]
    file[layout.FRAME_NAMES] = np.array([f"{stamp}.jpg" for stamp in stamps], dtype="S32")


def test_a_device_clock_that_jumps_puts_the_file_off(changed):
    found = audit_episode(changed(jumping_clock), ["container_device"])["container_device"]
    assert found.verdict is SyncVerdict.OFF
    assert "on the device 2" in found.evidence


def names_without_times(file: h5py.File) -> None:
    n = len(file[layout.FRAME_NAMES])
    del file[layout.FRAME_NAMES], file[layout.VIDEO_STAMPS]
    file[layout.FRAME_NAMES] = np.array([f"frame_{k:06d}.jpg" for k in range(n)], "S32")


def test_names_without_times_leave_the_gyro_to_the_keyframes(changed):
    audit = audit_episode(changed(names_without_times), ["gyro_rotation", "container_device"])
    assert audit["gyro_rotation"].verdict is SyncVerdict.SYNCHRONISED
    assert "no device times" in audit["container_device"].reason


def still(file: h5py.File) -> None:
    file[layout.QUATERNION][...] = [1, 0, 0, 0]


def unmoved_gyro(file: h5py.File) -> None:
    file[layout.IMU_GYRO][...] = 0.001


def no_body(file: h5py.File) -> None:
    del file["full_body_mocap"], file["hand_mocap"]


def other_gyro(file: h5py.File) -> None:
    n = len(file[layout.IMU_GYRO])
    turns = np.random.default_rng(1).normal(size=(n // 40 + 1, 3))
    file[layout.IMU_GYRO][...] = np.repeat(turns, 40, axis=0)[:n]


PLANTED = {
    "no gyro": (lambda file: file.__delitem__("imu"), "gyro_rotation", "imu is missing"),
    "no poses": (lambda file: file.__delitem__("slam"), "gyro_rotation", "pose is missing"),
    "poses that stand still": (still, "flow_camera", "the head hardly turns"),
    "a gyro that lies still": (unmoved_gyro, "gyro_rotation", "the gyroscope hardly turns"),
    "another recording's gyro": (other_gyro, "gyro_rotation", "wrongly paired signals"),
    "no body": (no_body, "sound_body", "neither body nor contacts nor hands"),
}


def check_untold(folder: Path, pair: str, why: str) -> None:
    """Check that a pair cannot be told, says why, and holds no number."""
    found = audit_episode(folder, [pair])[pair]
    assert found.verdict is SyncVerdict.CANNOT_TELL
    assert found.misalignment is None
    assert why in found.reason


@pytest.mark.parametrize(("plant", "pair", "why"), PLANTED.values(), ids=PLANTED)
def test_what_cannot_be_told_says_why(plant, pair, why, changed):
    check_untold(changed(plant), pair, why)


SOUNDS = {
    "silent": np.zeros(30 * 48_000),
    "no audio stream": None,
    "wrongly paired signals": np.random.default_rng(0).normal(0, 0.1, 30 * 48_000),
}


@pytest.mark.parametrize("why", SOUNDS)
def test_sound_that_says_nothing_is_no_offset_of_zero(why, short, copied):
    folder = copied()
    join(short.folder / f"{CAMERA}.mp4", SOUNDS[why], folder / f"{CAMERA}.mp4")
    check_untold(folder, "sound_body", why)


def test_without_any_video_only_the_gyro_is_judged(copied):
    folder = copied()
    (folder / f"{CAMERA}.mp4").unlink()
    audit = audit_episode(folder)
    told = [pair.name for pair in audit.pairs if pair.verdict is not SyncVerdict.CANNOT_TELL]
    assert told == ["gyro_rotation"]


def test_a_few_seconds_are_too_short_and_never_an_error(whole_tiny):
    audit = audit_episode(whole_tiny)
    assert tuple(pair.name for pair in audit.pairs) == PAIRS
    assert all(pair.verdict is SyncVerdict.CANNOT_TELL for pair in audit.pairs[:3])
    assert not any(pair.misalignment for pair in audit.pairs[:3])
    with pytest.raises(ParamsError, match="Did you mean 'sound_body'"):
        audit_episode(whole_tiny, ["sound_boddy"])


def test_the_verb_prints_lines_or_json(as_it_is, whole_tiny, tmp_path):
    run = CliRunner().invoke
    found = run(app, ["sync", str(whole_tiny), "--json"])
    assert found.exit_code == 0
    assert [pair["name"] for pair in json.loads(found.stdout)["pairs"]] == list(PAIRS)
    assert run(app, ["sync", str(tmp_path / "nothing")]).exit_code == 1
    assert "gyroscope against SLAM rotation: synchronised (" in as_it_is.to_text()
    whole = json.loads(as_it_is.to_json())["pairs"]
    assert [pair["headline"] for pair in whole] == [pair.headline for pair in as_it_is.pairs]


def test_rows_table_and_figure_say_what_the_audit_says(as_it_is, whole_tiny):
    for audit in (as_it_is, audit_episode(whole_tiny)):
        own = {"run": "r", "section": "s", "contract": "published"}
        rows = {(r.metric, r.variant): r for r in sync_rows(own, audit)}
        assert len(rows) == 5 * len(PAIRS)
        for pair in audit.pairs:
            row = rows["clock_offset", pair.name]
            told = pair.misalignment is not None
            assert row.value == (pair.misalignment.offset_ms.value if told else None)
            assert row.status == ("ok" if told else "skipped")
            assert pair.headline in sync_table(audit)["verdict"].tolist()
        picture = draw_sync(audit)
        n_good = sum(pair.verdict is SyncVerdict.SYNCHRONISED for pair in audit.pairs)
        assert picture.title.startswith(f"{n_good} of {len(PAIRS)} pairs of streams synchronised")
        assert all(pair.headline in picture.alt for pair in audit.pairs)


KNOBS = {"audio_offset_s": 0.05, "imu_offset_s": -0.5, "clock_drift_ppm": -200.0}
"""Sound and gyro are moved together: no pair reads both."""


@pytest.mark.slow
def test_injected_offsets_and_drifts_are_recovered_within_a_frame(long, tmp_path):
    audit = audit_episode(long.with_knobs(tmp_path / "a", **KNOBS))
    for pair in audit.pairs:
        start_ms, _, end_ms = truths_ms(pair.name, KNOBS, audit.length_s)
        assert abs(pair.misalignment.start_ms.value - start_ms) < FRAME_MS / 2
        assert abs(pair.misalignment.end_ms.value - end_ms) < FRAME_MS / 2
        moved = max(abs(start_ms), abs(end_ms)) > FRAME_MS / 2
        assert pair.verdict is (SyncVerdict.OFF if moved else SyncVerdict.SYNCHRONISED)


def truths_ms(pair: str, knobs: dict[str, float], length_s: float) -> tuple[float, float, float]:
    """Return the true offset at the start, in the middle and at the end."""
    if pair == "sound_body":
        return (1e3 * knobs.get("audio_offset_s", 0.0),) * 3
    if pair != "gyro_rotation":
        return 0.0, 0.0, 0.0
    start = 1e3 * knobs.get("imu_offset_s", 0.0)
    gained = 1e-3 * knobs.get("clock_drift_ppm", 0.0) * length_s
    return start, start + gained / 2, start + gained


def write_without_pictures(folder: Path, member: Member, knobs: dict[str, float]) -> None:
    """Write what the sound and the gyroscope are compared with, and nothing that must be drawn."""
    folder.mkdir()
    script, pictures = folder / "script.yaml", folder / "pictures.mp4"
    script.write_text(yaml.safe_dump(member.script.document()), encoding="utf-8")
    settings = member.settings.model_copy(update={"script": script, **knobs})
    scene = build_scene(settings)
    write_annotation(folder / layout.ANNOTATION, scene, settings)
    with av.open(str(pictures), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=round(settings.fps))
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        black = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        for number in range(settings.frames):
            black.pts = number
            container.mux(stream.encode(black))
        container.mux(stream.encode(None))
    join(pictures, soundtrack(scene.plan.events, settings), folder / f"{CAMERA}.mp4")
    for path in (script, pictures):
        path.unlink()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_intervals_hold_injected_offsets_whatever_is_done_in_the_recording(tmp_path):
    family = FamilySettings(splits=(3, 1, 1), frames=(2000, 2400), inject_faults=False)
    rng = np.random.default_rng(5)
    held: dict[str, list[bool]] = {"sound_body": [], "gyro_rotation": []}
    for member in plan_family(family):
        late_s, stamped_s = rng.uniform(-0.25, 0.25, 2)
        knobs = {"audio_offset_s": float(late_s), "imu_offset_s": float(stamped_s)}
        knobs["clock_drift_ppm"] = float(rng.uniform(-200, 200))
        write_without_pictures(tmp_path / member.episode, member, knobs)
        audit = audit_episode(tmp_path / member.episode, list(held))
        for pair in audit.pairs:
            if pair.misalignment is None:
                continue
            true_ms = truths_ms(pair.name, knobs, audit.length_s)
            for found, truth in zip(pair.misalignment.moments, true_ms, strict=True):
                held[pair.name].append(found.low <= truth <= found.high)
            if np.abs(true_ms).max() < pair.frame_ms / 2:
                assert pair.verdict is not SyncVerdict.OFF, (knobs, pair.headline)
            if np.abs(true_ms).max() > pair.frame_ms:
                assert pair.verdict is not SyncVerdict.SYNCHRONISED, (knobs, pair.headline)
    for pair, found in held.items():
        assert len(found) >= 3 * 5 / 2, f"{pair} could hardly ever be told"
        assert np.mean(found) >= 0.93, pair
