"""Files and groups that ``annotation.hdf5`` lacks: each is named, and what is left is used."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from xperience.cli import app
from xperience.errors import EpisodeError, MissingStreamError
from xperience.features.extract import extract
from xperience.features.table import WindowTable
from xperience.recording import layout
from xperience.recording.inspect import inspect_episode
from xperience.recording.recording import Episode

from .expecting import (
    BODY,
    CAMERA,
    FRAME_GROUPS,
    HANDS,
    TEXT,
    Extract,
    N,
    assert_only_missing,
    report_of,
)

# no episode at all


def no_file(folder: Path, builder: ModuleType) -> None:
    (folder / "annotation.hdf5").unlink()


def no_hdf5(folder: Path, builder: ModuleType) -> None:
    (folder / "annotation.hdf5").write_text("<html>Please log in</html>" * 100)


def no_bytes(folder: Path, builder: ModuleType) -> None:
    (folder / "annotation.hdf5").write_bytes(b"")


def cut_off(folder: Path, builder: ModuleType) -> None:
    builder.cut(folder / "annotation.hdf5", 0.6)


def no_calibration(folder: Path, builder: ModuleType) -> None:
    builder.put(folder, calibration=None)


def calibration_is_no_group(folder: Path, builder: ModuleType) -> None:
    builder.put(folder, calibration=3.0)


def only_calibration(folder: Path, builder: ModuleType) -> None:
    builder.put(folder, **dict.fromkeys(FRAME_GROUPS))


def a_file(folder: Path, builder: ModuleType) -> None:
    folder.rename(folder.with_name("moved"))
    folder.write_text("no folder")


def no_folder(folder: Path, builder: ModuleType) -> None:
    folder.rename(folder.with_name("moved"))


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (no_folder, "is not there"),
        (a_file, "is not a folder"),
        (no_file, "there is no such file"),
        (no_hdf5, "is not an HDF5 file"),
        (no_bytes, "is not an HDF5 file"),
        (cut_off, "is cut off"),
        (no_calibration, "has no group 'calibration'"),
        (calibration_is_no_group, "has no group 'calibration'"),
        (only_calibration, "has no group with one row a frame"),
    ],
)
def test_no_usable_annotation(
    tiny: Path, tmp_path: Path, builder: ModuleType, plant: Callable, found: str
) -> None:
    plant(tiny, builder)
    with pytest.raises(EpisodeError) as raised:
        Episode(tiny)
    assert raised.value.found == found
    assert raised.value.place in (str(tiny), "ep/annotation.hdf5")
    assert raised.value.way_out.endswith(".")

    report = inspect_episode(tiny)
    assert not report.usable
    assert found in report.faults[0]
    assert found in report.to_text()
    assert found in report.to_json()

    out = tmp_path / "out" / "windows.parquet"
    with pytest.raises(EpisodeError, match=found):
        extract(tiny, out, workers=1)
    assert not out.exists()
    assert CliRunner().invoke(app, ["inspect", str(tiny)]).exit_code == 1
    told = CliRunner().invoke(app, ["features", str(tiny), "--out", str(out)])
    assert told.exit_code == 1
    assert found in told.stderr
    assert "EpisodeError" in told.stderr
    assert found not in told.stdout


def test_shorter_than_a_window(tiny: Path, tmp_path: Path, builder: ModuleType) -> None:
    builder.put(tiny, **{"slam/frame_names": np.array(builder.frame_names(19), dtype="S32")})
    assert inspect_episode(tiny).usable
    with pytest.raises(EpisodeError, match="has 19 frames"):
        extract(tiny, tmp_path / "windows.parquet", workers=1)
    assert not (tmp_path / "windows.parquet").exists()


def test_damage_to_the_index_of_the_file_is_an_episode_error(
    tiny: Path, builder: ModuleType
) -> None:
    names = np.array(builder.frame_names(N), dtype="S32")
    with h5py.File(tiny / "annotation.hdf5", "r+") as file:
        del file["slam/frame_names"]
        file.create_dataset("slam/frame_names", data=names, chunks=(N,), compression="gzip")
    builder.damage_chunk(tiny, "slam/frame_names", 0)
    report = inspect_episode(tiny)
    assert not report.usable
    assert "slam/frame_names" in report.faults[0]
    assert "cannot be read" in report.faults[0]


# groups that are missing


@pytest.mark.parametrize(
    ("group", "streams", "blocks"),
    [
        ("slam", {"pose", "point_cloud"}, CAMERA | {"slam_point_cloud"}),
        ("hand_mocap", {"hand_left", "hand_right"}, HANDS),
        ("full_body_mocap", {"body", "contacts"}, HANDS | BODY | {"body_contacts"}),
        ("imu", {"imu"}, {"imu_accel_gyro"}),
        ("depth", {"depth"}, {"depth_confidence"}),
        ("caption", {"captions"}, TEXT),
    ],
)
def test_a_missing_group_is_named_and_its_blocks_are_null(
    *,
    tiny: Path,
    builder: ModuleType,
    windows_of: Extract,
    whole_table: WindowTable,
    group: str,
    streams: set[str],
    blocks: set[str],
) -> None:
    builder.put(tiny, **{group: None})
    report = inspect_episode(tiny)
    rows = {row.stream: row for row in report.streams}
    assert {name for name, row in rows.items() if row.status == "missing"} == streams
    for name in streams:
        assert rows[name].coverage == 0
        assert rows[name].shape == []
        assert "ep/annotation.hdf5" in rows[name].faults[0]
        assert rows[name].faults[0] in report.to_text()
    table = windows_of(tiny)
    assert_only_missing(table, whole_table, blocks)
    assert set(table.info.partial_blocks) == set()


def test_asking_for_a_missing_stream_raises(tiny: Path, builder: ModuleType) -> None:
    builder.put(tiny, imu=None)
    with Episode(tiny) as episode, pytest.raises(MissingStreamError, match="imu/accel_xyz"):
        episode.read(layout.IMU_ACCEL)


def test_without_slam_names_are_positions_and_poses_identity(
    tiny: Path, builder: ModuleType
) -> None:
    builder.put(tiny, slam=None)
    with Episode(tiny) as episode:
        assert episode.frame_names[0] == "frame_000001.jpg"
        assert episode.frame_names[-1] == "frame_000060.jpg"
        assert episode.n_frames == N
        pose = episode.camera_to_world(3, 10)
        np.testing.assert_array_equal(pose.rotation, np.tile(np.eye(3), (7, 1, 1)))
        assert episode.fps == pytest.approx(20)  # of the device clock in `video`


def test_names_that_are_numbers_are_no_clock(tiny: Path, builder: ModuleType) -> None:
    names = np.array([f"{i:06d}.jpg" for i in range(1, N + 1)], dtype="S32")
    builder.put(tiny, slam__frame_names=names, video=None)
    with Episode(tiny) as episode:
        assert episode.stamps_ns is None
        assert episode.fps == 20.0


@pytest.mark.parametrize("value", [None, np.zeros((N, 2), "S8"), h5py.Empty("S8")])
def test_unusable_frame_names_are_named(tiny: Path, builder: ModuleType, value: object) -> None:
    builder.put(tiny, slam__frame_names=value)
    row = report_of(tiny, "pose")
    assert row.status == "partial"
    assert "slam/frame_names" in row.faults[0]


def test_absurd_names_and_clocks_do_not_break_the_opening(tiny: Path, builder: ModuleType) -> None:
    names = np.array(["9" * 30 + ".jpg"] * N, dtype="S40")
    builder.put(tiny, slam__frame_names=names, video__device_timestamp=np.full(N, np.nan))
    with Episode(tiny) as episode:
        assert episode.stamps_ns is None
        assert episode.fps == 20.0


# calibration


def test_a_calibration_of_another_size_is_missing(
    tiny: Path, builder: ModuleType, windows_of: Extract, whole_table: WindowTable
) -> None:
    builder.put(tiny, calibration__cam3=None)
    table = windows_of(tiny)
    assert_only_missing(table, whole_table, {"calibration"})
    assert "94 numbers, expected 117" in table.info.missing_blocks["calibration"]


def test_a_calibration_with_nan_says_so(
    tiny: Path, builder: ModuleType, windows_of: Extract
) -> None:
    builder.put(tiny, calibration__cam2__intrinsics=np.full(5, np.nan))
    assert "5 of 117 numbers" in windows_of(tiny).info.partial_blocks["calibration"]


def test_calibration_entries_without_values_are_left_out(tiny: Path, builder: ModuleType) -> None:
    builder.put(tiny, calibration__cam2__note=h5py.Empty("f4"), calibration__cam2__odd="text")
    with Episode(tiny) as episode:
        assert len(episode.calibration.vector) == 117


def test_a_damaged_calibration_is_an_episode_error(tiny: Path, builder: ModuleType) -> None:
    matrix = builder.get(tiny, "calibration/cam0/T_c_b")
    with h5py.File(tiny / "annotation.hdf5", "r+") as file:
        del file["calibration/cam0/T_c_b"]
        kept = {"data": matrix, "chunks": (4, 4), "compression": "gzip"}
        file.create_dataset("calibration/cam0/T_c_b", **kept)
    builder.damage_chunk(tiny, "calibration/cam0/T_c_b", 0)
    report = inspect_episode(tiny)
    assert not report.usable
    assert "ep/annotation.hdf5: calibration: a number cannot be read" in report.faults[0]
