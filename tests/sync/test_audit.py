"""The audit of whole recordings: clocks that were moved, streams that are gone or say nothing."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from xperience.cli import app
from xperience.errors import ParamsError
from xperience.recording import layout
from xperience.report.contract import Section
from xperience.report.figures.sync import draw_sync
from xperience.report.sync import sync_rows, sync_table
from xperience.sync.audit import PAIRS, Verdict, audit_episode

from .conftest import CAMERA, join

FRAME_MS = 50.0


@pytest.fixture(scope="module")
def as_it_is(short):
    return audit_episode(short.folder)


def offset_ms(audit, pair):
    return audit[pair].misalignment.offset_ms.value


def test_what_was_recorded_together_is_in_step(as_it_is):
    for pair in ("gyro_rotation", "flow_camera", "container_device"):
        assert as_it_is[pair].verdict is Verdict.IN_STEP, as_it_is[pair].headline
        assert abs(offset_ms(as_it_is, pair)) < FRAME_MS / 2
    assert as_it_is["sound_body"].verdict is not Verdict.OFF
    assert as_it_is["sound_body"].n_events > 50


def test_each_knob_moves_its_own_pair_only(short, as_it_is, tmp_path):
    moved = audit_episode(short.with_knobs(tmp_path / "a", audio_offset_s=0.3, imu_offset_s=-0.2))
    shift = {p: offset_ms(moved, p) - offset_ms(as_it_is, p) for p in PAIRS}
    assert shift["gyro_rotation"] == pytest.approx(-200, abs=3)
    assert shift["sound_body"] == pytest.approx(300, abs=5)
    assert shift["flow_camera"] == shift["container_device"] == 0
    assert moved["gyro_rotation"].verdict is Verdict.OFF
    assert f"{round(offset_ms(moved, 'gyro_rotation'))} ms" in moved["gyro_rotation"].headline


def test_truths_that_the_simulator_wrote_down_are_not_read(short, as_it_is, copied):
    folder = copied()
    with h5py.File(folder / layout.ANNOTATION, "r+") as file:
        del file["metadata"]
        del file["caption"]
    assert audit_episode(folder).to_json() == as_it_is.to_json()


def test_pictures_that_lag_behind_the_poses_are_off(copied):
    folder = copied()
    with h5py.File(folder / layout.ANNOTATION, "r+") as file:
        for path in (layout.QUATERNION, layout.TRANSLATION):
            rows = file[path][()]
            file[path][...] = np.concatenate([rows[4:], np.repeat(rows[-1:], 4, axis=0)])
    audit = audit_episode(folder, ["gyro_rotation", "flow_camera"])
    assert offset_ms(audit, "flow_camera") == pytest.approx(200, abs=FRAME_MS / 2)
    assert offset_ms(audit, "gyro_rotation") == pytest.approx(200, abs=FRAME_MS / 5)
    assert audit["flow_camera"].verdict is audit["gyro_rotation"].verdict is Verdict.OFF


def reason(folder: Path, pair: str) -> str:
    """Why a pair cannot be told; it must hold no number then."""
    found = audit_episode(folder, [pair])[pair]
    assert found.verdict is Verdict.CANNOT_TELL
    assert found.misalignment is None
    return found.reason


def still(file: h5py.File) -> None:
    file[layout.QUATERNION][...] = [1, 0, 0, 0]


def unmoved_gyro(file: h5py.File) -> None:
    file[layout.IMU_GYRO][...] = 0.001


def no_body(file: h5py.File) -> None:
    for group in ("full_body_mocap", "hand_mocap"):
        del file[group]


def other_gyro(file: h5py.File) -> None:
    rng = np.random.default_rng(1)
    n = len(file[layout.IMU_GYRO])
    noise = np.repeat(rng.normal(size=(n // 40 + 1, 3)), 40, axis=0)[:n]
    file[layout.IMU_GYRO][...] = noise


PLANTED = {
    "no gyro": (lambda file: file.__delitem__("imu"), "gyro_rotation", "imu is missing"),
    "no poses": (lambda file: file.__delitem__("slam"), "gyro_rotation", "pose is missing"),
    "poses that stand still": (still, "flow_camera", "the head hardly turns"),
    "a gyro that lies still": (unmoved_gyro, "gyro_rotation", "the gyroscope hardly turns"),
    "another recording's gyro": (other_gyro, "gyro_rotation", "wrongly paired signals"),
    "no body": (no_body, "sound_body", "neither body nor contacts nor hands"),
}


@pytest.mark.parametrize(("plant", "pair", "why"), PLANTED.values(), ids=PLANTED)
def test_what_cannot_be_told_says_why(plant, pair, why, copied):
    folder = copied()
    with h5py.File(folder / layout.ANNOTATION, "r+") as file:
        plant(file)
    assert why in reason(folder, pair)


def silent(short, folder: Path) -> None:
    join(short.folder / f"{CAMERA}.mp4", np.zeros(30 * 48_000), folder / f"{CAMERA}.mp4")


def deaf(short, folder: Path) -> None:
    join(short.folder / f"{CAMERA}.mp4", None, folder / f"{CAMERA}.mp4")


def unrelated(short, folder: Path) -> None:
    hiss = np.random.default_rng(0).normal(0, 0.1, 30 * 48_000)
    join(short.folder / f"{CAMERA}.mp4", hiss, folder / f"{CAMERA}.mp4")


@pytest.mark.parametrize(
    ("plant", "why"),
    [(silent, "silent"), (deaf, "no audio stream"), (unrelated, "wrongly paired signals")],
)
def test_sound_that_says_nothing_is_no_offset_of_zero(plant, why, short, copied):
    folder = copied()
    (folder / f"{CAMERA}.mp4").unlink()
    plant(short, folder)
    assert why in reason(folder, "sound_body")


def test_without_any_video_only_the_gyro_is_judged(copied):
    folder = copied()
    (folder / f"{CAMERA}.mp4").unlink()
    audit = audit_episode(folder)
    told = [pair.name for pair in audit.pairs if pair.verdict is not Verdict.CANNOT_TELL]
    assert told == ["gyro_rotation"]


def test_a_device_clock_that_jumps_puts_the_file_off(copied):
    folder = copied()
    with h5py.File(folder / layout.ANNOTATION, "r+") as file:
        stamps = np.array([int(name[:-4]) for name in file[layout.FRAME_NAMES].asstr()[()]])
        stamps[300:320] += 400_000_000
        stamps[320:] += 2_000_000_000
        del file[layout.FRAME_NAMES]
        file[layout.FRAME_NAMES] = np.array([f"{stamp}.jpg" for stamp in stamps], dtype="S32")
    found = audit_episode(folder, ["container_device"])["container_device"]
    assert found.verdict is Verdict.OFF
    assert "on the device 2" in found.evidence


def test_names_without_times_leave_the_gyro_to_the_keyframes(short, copied):
    folder = copied()
    with h5py.File(folder / layout.ANNOTATION, "r+") as file:
        n = len(file[layout.FRAME_NAMES])
        del file[layout.FRAME_NAMES], file[layout.VIDEO_STAMPS]
        file[layout.FRAME_NAMES] = np.array([f"frame_{k:06d}.jpg" for k in range(n)], "S32")
    audit = audit_episode(folder, ["gyro_rotation", "container_device"])
    assert audit["gyro_rotation"].verdict is Verdict.IN_STEP
    assert "no device times" in audit["container_device"].reason


def test_a_few_seconds_are_too_short_and_never_an_error(whole_tiny):
    audit = audit_episode(whole_tiny)
    assert {pair.name for pair in audit.pairs} == set(PAIRS)
    for pair in PAIRS[:3]:
        assert audit[pair].verdict is Verdict.CANNOT_TELL
        assert audit[pair].misalignment is None


def test_a_misspelt_pair_is_told_the_nearest(short):
    with pytest.raises(ParamsError, match="Did you mean 'sound_body'"):
        audit_episode(short.folder, ["sound_boddy"])


def test_the_verb_prints_lines_or_json(short, as_it_is, tmp_path):
    run = CliRunner().invoke
    found = run(app, ["sync", str(short.folder), "--json"])
    assert found.exit_code == 0
    assert json.loads(found.stdout) == json.loads(as_it_is.to_json())
    assert "gyroscope against SLAM rotation: in step" in as_it_is.to_text()
    assert run(app, ["sync", str(tmp_path / "nothing")]).exit_code == 1


def test_rows_table_and_figure_say_what_the_audit_says(as_it_is, copied):
    folder = copied()
    with h5py.File(folder / layout.ANNOTATION, "r+") as file:
        del file["imu"]
    for audit in (as_it_is, audit_episode(folder)):
        rows = {(r.metric, r.variant): r for r in sync_rows(Section("r", "s", "published"), audit)}
        assert len(rows) == 5 * len(PAIRS)
        for pair in audit.pairs:
            row = rows["clock_offset", pair.name]
            told = pair.misalignment is not None
            assert row.value == (pair.misalignment.offset_ms.value if told else None)
            assert row.status == ("ok" if told else "skipped")
            assert pair.headline in sync_table(audit)["verdict"].tolist()
        picture = draw_sync(audit)
        n_good = sum(pair.verdict is Verdict.IN_STEP for pair in audit.pairs)
        assert picture.title.startswith(("No", "One", "Two", "Three", "All four")[n_good])
        assert all(pair.headline in picture.alt for pair in audit.pairs)


KNOBS = (  # sound and gyro are moved together: no pair reads both
    {},
    {"audio_offset_s": 0.05, "imu_offset_s": -0.5},
    {"audio_offset_s": -0.05, "imu_offset_s": 0.5},
    {"audio_offset_s": 0.2, "imu_offset_s": -0.05},
    {"audio_offset_s": -0.5, "imu_offset_s": 0.05},
    {"audio_offset_s": 0.5, "clock_drift_ppm": 200.0},
    {"audio_offset_s": -0.2, "clock_drift_ppm": -200.0, "imu_offset_s": 0.3},
)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("knobs", KNOBS, ids=str)
def test_injected_offsets_and_drifts_are_recovered_within_a_frame(knobs, long, tmp_path):
    audit = audit_episode(long.with_knobs(tmp_path / "a", **knobs))
    offset, late = 1e3 * knobs.get("imu_offset_s", 0.0), 1e3 * knobs.get("audio_offset_s", 0.0)
    gained_ms = 1e-3 * knobs.get("clock_drift_ppm", 0.0) * audit.length_s
    truth = {"gyro_rotation": (offset, offset + gained_ms), "sound_body": (late, late)}
    for pair in audit.pairs:
        start_ms, end_ms = truth.get(pair.name, (0.0, 0.0))
        assert abs(pair.misalignment.start_ms.value - start_ms) < FRAME_MS / 2
        assert abs(pair.misalignment.end_ms.value - end_ms) < FRAME_MS / 2
        moved = max(abs(start_ms), abs(end_ms)) > FRAME_MS / 2
        assert pair.verdict is (Verdict.OFF if moved else Verdict.IN_STEP), pair.headline
