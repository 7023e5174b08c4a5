"""Faults of ``annotation.hdf5``: what is lost is named, what is left is used."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from xperience.cli import app
from xperience.errors import EpisodeError, MissingStreamError
from xperience.features.blocks import BLOCKS
from xperience.features.extract import extract
from xperience.features.table import WindowTable
from xperience.recording import layout
from xperience.recording.annotation import Annotation
from xperience.recording.inspect import inspect_episode
from xperience.recording.recording import Recording

from .conftest import (
    BODY,
    CAMERA,
    HANDS,
    N_WINDOWS,
    Extract,
    N,
    assert_only_missing,
    null_windows,
    report_of,
    windows_on,
)

NUMBERED = np.array([f"frame_{i:06d}.jpg" for i in range(1, N + 1)], dtype="S32")
FRAME_GROUPS = ("slam", "hand_mocap", "full_body_mocap", "imu", "depth")
WRITER = """
import sys, time, h5py
file = h5py.File(sys.argv[1], "w", libver="latest")
file.attrs["half"] = "written"
file.flush()
print("open", flush=True)
time.sleep(600)
"""


def refusal(folder: Path) -> EpisodeError:
    """The error, after a look at whether `inspect` says the same."""
    with pytest.raises(EpisodeError) as raised:
        Recording(folder)
    report = inspect_episode(folder)
    assert not report.usable
    assert report.faults == [str(raised.value)]
    assert "\n" not in str(raised.value)
    assert raised.value.way_out.endswith(".")
    return raised.value


# no usable annotation


def to(content: bytes) -> Callable:
    return lambda folder, builder: (folder / layout.ANNOTATION).write_bytes(content)


def other_version(folder: Path, builder: ModuleType) -> None:
    raw = bytearray((folder / layout.ANNOTATION).read_bytes())
    raw[8] = 77  # the version of the superblock
    (folder / layout.ANNOTATION).write_bytes(raw)


def a_file(folder: Path, builder: ModuleType) -> None:
    folder.rename(folder.with_name("moved"))
    folder.write_text("no folder")


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (lambda folder, _: folder.rename(folder.with_name("moved")), "is not there"),
        (a_file, "is not a folder"),
        (lambda folder, _: (folder / layout.ANNOTATION).unlink(), "there is no such file"),
        (to(b"<html>Please log in</html>" * 100), "is not an HDF5 file"),
        (to(b""), "is not an HDF5 file"),
        (lambda folder, builder: builder.cut(folder / layout.ANNOTATION, 0.6), "is cut off"),
        (other_version, "is damaged ("),
        (lambda folder, builder: builder.put(folder, calibration=None), "has no group 'calib"),
        (lambda folder, builder: builder.put(folder, calibration=3.0), "has no group 'calib"),
        (
            lambda folder, builder: builder.put(folder, **dict.fromkeys(FRAME_GROUPS)),
            "has no group with one row per frame",
        ),
    ],
)
def test_no_usable_annotation(
    tiny: Path, tmp_path: Path, builder: ModuleType, plant: Callable, found: str
) -> None:
    plant(tiny, builder)
    error = refusal(tiny)
    assert error.found.startswith(found)
    assert error.place in (str(tiny), "ep/annotation.hdf5")
    assert found in inspect_episode(tiny).to_text()
    assert CliRunner().invoke(app, ["inspect", str(tiny)]).exit_code == 1
    out = tmp_path / "out" / "windows.parquet"
    told = CliRunner().invoke(app, ["features", str(tiny), "--out", str(out)])
    assert told.exit_code == 1
    assert f"EpisodeError: {error.place}: {found}" in told.stderr
    assert not out.exists()


def test_shorter_than_a_window(tiny: Path, tmp_path: Path, builder: ModuleType) -> None:
    builder.put(tiny, **{layout.FRAME_NAMES: np.array(builder.frame_names(19), dtype="S32")})
    assert inspect_episode(tiny).usable
    with pytest.raises(EpisodeError, match="has 19 frames"):
        extract(tiny, tmp_path / "windows.parquet", workers=1)
    assert not (tmp_path / "windows.parquet").exists()


@pytest.fixture
def writer(tiny: Path) -> Iterator[subprocess.Popen]:
    """Another process that has the annotation open for writing."""
    (tiny / layout.ANNOTATION).unlink()
    argv = [sys.executable, "-c", WRITER, str(tiny / layout.ANNOTATION)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"open\n"
        yield process
        process.kill()


def test_locked_by_a_writer_then_left_open_by_it(tiny: Path, writer: subprocess.Popen) -> None:
    error = refusal(tiny)
    assert error.found == "is locked by a program that writes to it"
    assert "Wait" in error.way_out
    writer.kill()
    writer.wait()
    error = refusal(tiny)
    assert error.found.startswith("was left open by a program that wrote to it")
    assert "`h5clear -s`" in error.way_out
    assert "copy it" in error.way_out  # the recording itself stays as it is


def test_may_not_be_read(tiny: Path, command: Callable) -> None:
    (tiny / layout.ANNOTATION).chmod(0)
    done = command("inspect", tiny)
    assert done.returncode == 1
    place = "ep/annotation.hdf5: cannot be read (Permission denied), expected your permission"
    assert place in done.stdout
    assert "Ask its owner" in done.stdout
    assert "Traceback" not in done.stderr


# filters and damaged parts


def stored(folder: Path, path: str, builder: ModuleType, chunk: tuple | None = None) -> None:
    """Store a dataset again in compressed chunks."""
    rows = builder.get(folder, path)
    with h5py.File(folder / layout.ANNOTATION, "r+") as file:
        del file[path]
        file.create_dataset(path, data=rows, chunks=chunk or rows.shape, compression="gzip")


def put_filtered(folder: Path, path: str, number: int, mask: int = 0) -> None:
    """Write a dataset again whose chunks go through a filter; ``mask`` leaves it out for them."""
    with h5py.File(folder / layout.ANNOTATION, "r+") as file:
        rows = file[path][()]
        del file[path]
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_chunk(rows.shape)
        made.set_filter(number, h5py.h5z.FLAG_OPTIONAL, ())
        kind, space = h5py.h5t.py_create(rows.dtype), h5py.h5s.create_simple(rows.shape)
        node = h5py.h5d.create(file.id, path.encode(), kind, space, dcpl=made)
        node.write_direct_chunk((0,) * rows.ndim, rows.tobytes(), filter_mask=mask)


@pytest.mark.parametrize(("number", "name"), [(32001, "Blosc"), (40123, "unknown")])
def test_an_absent_filter_costs_its_stream_and_is_named(
    tiny: Path, windows_of: Extract, number: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)  # also where it is installed
    put_filtered(tiny, layout.KEYPOINTS, number)
    put_filtered(tiny, layout.POINT_CLOUD, number, mask=1)  # stored without it
    row = report_of(tiny, "body")
    assert row.status == "broken"
    said = f"{layout.KEYPOINTS}: needs the compression filter {number} ({name}), expected a filter"
    assert said in row.faults[0]
    assert "pip install hdf5plugin" in row.faults[0]
    assert said in windows_of(tiny).info.missing_blocks["body_joints"]
    assert report_of(tiny, "point_cloud").status == "ok"


@pytest.mark.parametrize("path", [layout.FRAME_NAMES, "calibration/cam0/T_c_b"])
def test_what_is_required_and_cannot_be_read_is_an_error_at_its_place(
    tiny: Path, builder: ModuleType, path: str
) -> None:
    stored(tiny, path, builder)
    builder.damage_chunk(tiny, path, 0)
    assert "cannot be read" in refusal(tiny).found
    with h5py.File(tiny / layout.ANNOTATION, "r+") as file:
        del file[path]
        file[path] = np.zeros(N)
    put_filtered(tiny, path, 40123)
    error = refusal(tiny)
    assert error.place == f"ep/annotation.hdf5: {path}"
    assert error.found == "needs the compression filter 40123 (unknown)"
    assert "pip install hdf5plugin" in error.way_out


def test_a_damaged_depth_chunk_costs_its_windows_only(
    tiny: Path, builder: ModuleType, windows_of: Extract, whole_table: WindowTable
) -> None:
    builder.damage_chunk(tiny, layout.CONFIDENCE, 1)  # frames 4 to 7
    row = report_of(tiny, "depth")
    assert row.status == "partial"
    assert "cannot be read" in row.faults[0]
    assert 0 < row.coverage < 1
    table = windows_of(tiny)
    assert null_windows(table, "depth_confidence") == windows_on(4, 7) == {0, 1}
    assert table.info.partial_blocks["depth_confidence"] == "4 of 60 frames cannot be read"
    assert table.info.missing_blocks == {}
    got, want = (t.block("depth_confidence")[2:] for t in (table, whole_table))
    np.testing.assert_array_equal(got, want)
    for chunk in range(N // builder.DEPTH_CHUNK):
        builder.damage_chunk(tiny, layout.DEPTH, chunk)
    assert report_of(tiny, "depth").status == "broken"
    table = windows_of(tiny)
    assert_only_missing(table, whole_table, {"depth_confidence"})
    assert "cannot be read" in table.info.missing_blocks["depth_confidence"]


def test_a_damaged_chunk_elsewhere_costs_its_stream(
    tiny: Path, builder: ModuleType, windows_of: Extract, whole_table: WindowTable
) -> None:
    for path in (layout.KEYPOINTS, layout.IMU_KEYFRAMES):
        stored(tiny, path, builder, (10, *builder.get(tiny, path).shape[1:]))
        builder.damage_chunk(tiny, path, 2)
    for stream in ("body", "imu"):
        row = report_of(tiny, stream)
        assert row.status == "broken"
        assert "cannot be read" in row.faults[-1]
    assert_only_missing(windows_of(tiny), whole_table, BODY | HANDS | {"imu_accel_gyro"})


def test_depth_is_never_read_whole(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    true_read = Annotation.read

    def counted(self: Annotation, path: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        rows = true_read(self, path, start, stop)
        if path in (layout.DEPTH, layout.CONFIDENCE):
            asked.append(len(rows))
        return rows

    monkeypatch.setattr(Annotation, "read", counted)
    inspect_episode(tiny)
    assert set(asked) == {1}
    monkeypatch.setattr("xperience.features.depth._BATCH_BYTES", 7 * 12 * 16 * 4)
    asked.clear()
    assert extract(tiny, tmp_path / "w.parquet", workers=1).missing_blocks == {}
    assert sum(asked) == 2 * N
    assert max(asked) == 7


# what is missing, of another shape, or of another length


@pytest.mark.parametrize(
    ("group", "streams", "blocks"),
    [
        ("slam", {"pose", "point_cloud"}, CAMERA | {"slam_point_cloud"}),
        ("full_body_mocap", {"body", "contacts"}, HANDS | BODY | {"body_contacts"}),
        ("imu", {"imu"}, {"imu_accel_gyro"}),
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
        assert (rows[name].coverage, rows[name].shape) == (0, [])
        assert "ep/annotation.hdf5" in rows[name].faults[0]
        assert rows[name].faults[0] in report.to_text()
    table = windows_of(tiny)
    assert_only_missing(table, whole_table, blocks)
    assert table.info.partial_blocks == {}
    with Recording(tiny) as episode:
        assert episode.fps == pytest.approx(20)  # of the names, or of the clock in `video`
        if group == "imu":
            with pytest.raises(MissingStreamError, match="imu/accel_xyz"):
                episode.read(layout.IMU_ACCEL)
        if group == "slam":
            assert episode.frame_names == [name.decode() for name in NUMBERED]
            pose = episode.camera_to_world(3, 10)
            np.testing.assert_array_equal(pose.rotation, np.tile(np.eye(3), (7, 1, 1)))


@pytest.mark.parametrize(
    ("path", "stream", "blocks", "change"),
    [
        (layout.KEYPOINTS, "body", BODY | HANDS, -3),
        (layout.IMU_KEYFRAMES, "imu", {"imu_accel_gyro"}, -3),
        (layout.DEPTH, "depth", {"depth_confidence"}, 4),
    ],
)
def test_a_few_rows_more_or_fewer(
    *,
    tiny: Path,
    builder: ModuleType,
    windows_of: Extract,
    whole_table: WindowTable,
    path: str,
    stream: str,
    blocks: set[str],
    change: int,
) -> None:
    rows = builder.get(tiny, path)
    more = np.concatenate([rows, rows[:change]]) if change > 0 else rows[:change]
    builder.put(tiny, **{path: more})
    row = report_of(tiny, stream)
    assert row.status == "partial"
    assert f"has {N + change} rows, expected {N}" in row.faults[0]
    if stream != "imu":  # its coverage is that of its own samples
        assert row.coverage == pytest.approx(min(1, (N + change) / N))
    table = windows_of(tiny)
    assert table.info.missing_blocks == {}
    assert set(table.info.partial_blocks) == blocks
    for block in BLOCKS:
        beyond = windows_on(N + change, N - 1) if block.name in blocks else set()
        assert null_windows(table, block.name) == beyond
        kept = [w for w in range(N_WINDOWS) if w not in beyond]
        got, want = (t.block(block.name)[kept] for t in (table, whole_table))
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("value", [-1, 2**40, np.nan])
def test_keyframes_out_of_range(
    tiny: Path, builder: ModuleType, windows_of: Extract, whole_table: WindowTable, value: float
) -> None:
    keys = builder.get(tiny, layout.IMU_KEYFRAMES).astype(np.float64)
    keys[24] = value  # the last frame of window 1
    builder.put(tiny, **{layout.IMU_KEYFRAMES: keys})
    row = report_of(tiny, "imu")
    assert row.status == "partial"
    assert "1 keyframe indices point outside the 300" in row.faults[0]
    table = windows_of(tiny)
    assert null_windows(table, "imu_accel_gyro") == {1}
    assert "point outside" in table.info.partial_blocks["imu_accel_gyro"]
    kept = [0, *range(2, N_WINDOWS)]
    got, want = (t.block("imu_accel_gyro")[kept] for t in (table, whole_table))
    np.testing.assert_array_equal(got, want)


def test_a_pose_without_a_place_moves_nothing(
    tiny: Path, builder: ModuleType, windows_of: Extract
) -> None:
    """NaN minus the window's first place is NaN, which counts as 0: no jump to the origin."""
    places = builder.get(tiny, layout.TRANSLATION)
    places[7] = np.nan
    builder.put(tiny, **{layout.TRANSLATION: places})
    moved = windows_of(tiny).block("camera_translation")
    assert np.abs(np.split(moved[0], 7)[2:4]).max() < 1
    assert np.abs(np.split(moved[2], 7)[3]).max() < 1


# frame names and calibration


@pytest.mark.parametrize(
    ("names", "stamps"),
    [
        (np.array([f"{i:06d}.jpg" for i in range(1, N + 1)], dtype="S32"), None),
        (NUMBERED, np.full(N, b"noon")),
        (NUMBERED, np.ones((N, 2))),
        (np.array(["9" * 30 + ".jpg"] * N, dtype="S40"), np.full(N, np.nan)),
    ],
)
def test_names_and_times_that_are_no_clock(
    tiny: Path, builder: ModuleType, names: np.ndarray, stamps: object
) -> None:
    builder.put(tiny, slam__frame_names=names, video__device_timestamp=stamps)
    with Recording(tiny) as episode:
        assert episode.stamps_ns is None
        assert episode.fps == 20.0


@pytest.mark.parametrize("value", [None, np.zeros((N, 2), "S8"), h5py.Empty("S8")])
def test_unusable_frame_names_are_named(tiny: Path, builder: ModuleType, value: object) -> None:
    builder.put(tiny, slam__frame_names=value)
    row = report_of(tiny, "pose")
    assert row.status == "partial"
    assert "slam/frame_names" in row.faults[0]


def test_a_calibration_of_another_size_is_missing(
    tiny: Path, builder: ModuleType, windows_of: Extract, whole_table: WindowTable
) -> None:
    builder.put(tiny, calibration__cam2__intrinsics=np.full(5, np.nan))
    builder.put(tiny, calibration__cam2__note=h5py.Empty("f4"), calibration__cam2__odd="text")
    assert "5 of 117 numbers" in windows_of(tiny).info.partial_blocks["calibration"]
    builder.put(tiny, calibration__cam2=None)
    table = windows_of(tiny)
    assert_only_missing(table, whole_table, {"calibration"})
    assert "94 numbers, expected 117" in table.info.missing_blocks["calibration"]
