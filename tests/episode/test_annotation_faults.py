"""Faults planted in ``annotation.hdf5``: each is named, and what is left is used."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from xperience.cli import app
from xperience.episode import layout
from xperience.episode.annotation import Annotation
from xperience.episode.episode import Episode
from xperience.episode.inspect import StreamReport, inspect_episode
from xperience.errors import EpisodeError, MissingStreamError
from xperience.features.blocks import BLOCKS
from xperience.features.extract import extract
from xperience.features.table import WindowTable

N, N_WINDOWS = 60, 9
HANDS, BODY = {"hand_left_joints", "hand_right_joints"}, {"body_joints"}
CAMERA = {"camera_translation", "camera_rotation_matrix"}
TEXT = {"caption_objects_interaction_text"}
FRAME_GROUPS = ("slam", "hand_mocap", "full_body_mocap", "imu", "depth")

Extract = Callable[[Path], WindowTable]


def report_of(folder: Path, stream: str) -> StreamReport:
    report = inspect_episode(folder)
    assert report.usable, report.faults
    report.to_json()
    return next(row for row in report.streams if row.stream == stream)


def null_windows(table: WindowTable, block: str) -> set[int]:
    """Windows without values; a window is null or finite as a whole."""
    unknown = np.isnan(table.block(block))
    assert (unknown.all(1) == unknown.any(1)).all()
    return set(np.flatnonzero(unknown.all(1)).tolist())


def windows_on(first: int, last: int) -> set[int]:
    """Windows that touch frames first to last."""
    return {w for w in range(N_WINDOWS) if 5 * w <= last and 5 * w + 19 >= first}


def assert_only_missing(table: WindowTable, whole: WindowTable, blocks: set[str]) -> None:
    assert set(table.info.missing_blocks) == blocks
    assert all(table.info.missing_blocks.values())
    for block in BLOCKS:
        if block.name in blocks:
            assert null_windows(table, block.name) == set(range(N_WINDOWS))
        elif block.name not in table.info.partial_blocks:
            np.testing.assert_array_equal(table.block(block.name), whole.block(block.name))


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
        (no_folder, "is not a folder"),
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


# shapes and types


@pytest.mark.parametrize(
    ("path", "value", "stream", "blocks"),
    [
        (layout.HAND_LEFT, np.ones((N, 20, 3)), "hand_left", {"hand_left_joints"}),
        (layout.HAND_LEFT, np.ones((2, N, 21, 3)), "hand_left", {"hand_left_joints"}),
        (layout.HAND_RIGHT, np.ones((N, 63)), "hand_right", {"hand_right_joints"}),
        (layout.KEYPOINTS, np.ones((N, 51, 3)), "body", BODY | HANDS),
        (layout.KEYPOINTS, np.array(b"joints"), "body", BODY | HANDS),
        (layout.CONTACTS, np.ones(N), "contacts", {"body_contacts"}),
        (layout.CONTACTS, np.ones((0, 21)), "contacts", {"body_contacts"}),
        (layout.CONTACTS, h5py.Empty("f4"), "contacts", {"body_contacts"}),
        (layout.CONTACTS, np.full((N, 21), b"x"), "contacts", {"body_contacts"}),
        (layout.QUATERNION, np.ones((N, 3)), "pose", CAMERA),
        (layout.TRANSLATION, None, "pose", CAMERA),
        (layout.POINT_CLOUD, np.ones((5, 4)), "point_cloud", {"slam_point_cloud"}),
        (layout.IMU_ACCEL, np.ones((5 * N, 2)), "imu", {"imu_accel_gyro"}),
        (layout.IMU_KEYFRAMES, np.ones((N, 2)), "imu", {"imu_accel_gyro"}),
        (layout.DEPTH, np.ones((N, 12)), "depth", {"depth_confidence"}),
        (layout.CONFIDENCE, None, "depth", {"depth_confidence"}),
    ],
)
def test_a_wrong_shape_breaks_its_stream_only(
    *,
    tiny: Path,
    builder: ModuleType,
    windows_of: Extract,
    whole_table: WindowTable,
    path: str,
    value: object,
    stream: str,
    blocks: set[str],
) -> None:
    builder.put(tiny, **{path: value})
    row = report_of(tiny, stream)
    assert row.status == "broken"
    assert f"ep/annotation.hdf5: {path}" in row.faults[0]
    table = windows_of(tiny)
    assert_only_missing(table, whole_table, blocks)
    assert path in table.info.missing_blocks[min(blocks)]


def test_a_group_in_place_of_a_dataset(tiny: Path, builder: ModuleType) -> None:
    builder.put(tiny, **{layout.CONTACTS: None, f"{layout.CONTACTS}/inner": np.ones(3)})
    row = report_of(tiny, "contacts")
    assert row.status == "broken"
    assert "group" in row.faults[0]


def test_a_dataset_in_place_of_a_group(tiny: Path, builder: ModuleType) -> None:
    builder.put(tiny, imu=np.ones(3))
    assert report_of(tiny, "imu").status == "missing"


@pytest.mark.parametrize(
    "path", [layout.KEYPOINTS, layout.CONTACTS, layout.IMU_ACCEL, layout.IMU_KEYFRAMES]
)
def test_a_leading_axis_of_one_changes_nothing(
    tiny: Path, builder: ModuleType, windows_of: Extract, whole_table: WindowTable, path: str
) -> None:
    builder.put(tiny, **{path: builder.get(tiny, path)[None]})
    table = windows_of(tiny)
    np.testing.assert_array_equal(table.matrix(), whole_table.matrix())
    assert table.info.partial_blocks == {}


@pytest.mark.parametrize("kind", ["f4", "f8", "i4", "u2", "i8", "f2"])
def test_confidence_of_any_number_type(
    tiny: Path, builder: ModuleType, windows_of: Extract, whole_table: WindowTable, kind: str
) -> None:
    sure = builder.get(tiny, layout.CONFIDENCE).astype(kind)
    builder.put(tiny, **{layout.CONFIDENCE: sure})
    got, want = (table.block("depth_confidence") for table in (windows_of(tiny), whole_table))
    np.testing.assert_allclose(got, want, atol=1e-5)


# rows that do not fit the number of frames


@pytest.mark.parametrize(
    ("path", "stream", "blocks"),
    [
        (layout.HAND_LEFT, "hand_left", {"hand_left_joints"}),
        (layout.KEYPOINTS, "body", BODY | HANDS),
        (layout.CONTACTS, "contacts", {"body_contacts"}),
        (layout.TRANSLATION, "pose", CAMERA),
        (layout.IMU_KEYFRAMES, "imu", {"imu_accel_gyro"}),
        (layout.DEPTH, "depth", {"depth_confidence"}),
    ],
)
@pytest.mark.parametrize("change", [-3, 4])
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
    lost = windows_on(N + change, N - 1)
    for block in BLOCKS:
        beyond = lost if block.name in blocks else set()
        assert null_windows(table, block.name) == beyond
        kept = [w for w in range(N_WINDOWS) if w not in beyond]
        got, want = (t.block(block.name)[kept] for t in (table, whole_table))
        np.testing.assert_array_equal(got, want)


# spans that hold nothing


@pytest.mark.parametrize("value", [np.nan, 0.0, np.inf])
@pytest.mark.parametrize(
    ("path", "stream", "blocks"),
    [
        (layout.KEYPOINTS, "body", BODY | HANDS),
        (layout.QUATERNION, "pose", CAMERA),
        (layout.HAND_RIGHT, "hand_right", {"hand_right_joints"}),
    ],
)
def test_an_empty_span_is_named(
    *,
    tiny: Path,
    builder: ModuleType,
    windows_of: Extract,
    path: str,
    stream: str,
    blocks: set[str],
    value: float,
) -> None:
    rows = builder.get(tiny, path)
    rows[10:22] = value
    builder.put(tiny, **{path: rows})
    row = report_of(tiny, stream)
    assert row.status == "partial"
    assert "rows 10-21 are" in row.faults[0]
    assert path in row.faults[0]
    assert row.coverage == pytest.approx(1 - 12 / N)
    table = windows_of(tiny)
    assert set(table.info.partial_blocks) == blocks
    assert all("rows 10-21" in reason for reason in table.info.partial_blocks.values())
    assert np.isfinite(table.matrix()).all()


@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_a_stream_of_nothing_is_missing_not_zero(
    tiny: Path, builder: ModuleType, windows_of: Extract, whole_table: WindowTable, value: float
) -> None:
    builder.put(tiny, **{layout.KEYPOINTS: np.full((N, 52, 3), value)})
    assert report_of(tiny, "body").status == "broken"
    assert_only_missing(windows_of(tiny), whole_table, BODY | HANDS)


def test_a_pose_without_a_place_moves_nothing(
    tiny: Path, builder: ModuleType, windows_of: Extract
) -> None:
    """NaN minus the window's first place is NaN, which counts as 0: no jump to the origin."""
    places = builder.get(tiny, layout.TRANSLATION)
    places[7] = np.nan
    builder.put(tiny, **{layout.TRANSLATION: places})
    table = windows_of(tiny)
    lowest, highest = np.split(table.block("camera_translation")[0], 7)[2:4]
    assert np.abs([lowest, highest]).max() < 1
    beyond = np.split(table.block("camera_translation")[2], 7)[3]
    assert np.abs(beyond).max() < 1


# inertial samples


@pytest.mark.parametrize("value", [-1, 10_000, 2**40])
def test_keyframes_out_of_range(
    tiny: Path, builder: ModuleType, windows_of: Extract, whole_table: WindowTable, value: int
) -> None:
    keys = builder.get(tiny, layout.IMU_KEYFRAMES)
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


def test_keyframes_that_are_no_numbers(
    tiny: Path, builder: ModuleType, windows_of: Extract
) -> None:
    keys = builder.get(tiny, layout.IMU_KEYFRAMES).astype(float)
    keys[[0, 19]] = np.nan, 1e300
    builder.put(tiny, **{layout.IMU_KEYFRAMES: keys})
    assert "2 keyframe indices" in report_of(tiny, "imu").faults[0]
    assert null_windows(windows_of(tiny), "imu_accel_gyro") == {0}


def test_keyframes_that_go_back(tiny: Path, builder: ModuleType) -> None:
    keys = builder.get(tiny, layout.IMU_KEYFRAMES)[::-1].astype("u8")
    builder.put(tiny, **{layout.IMU_KEYFRAMES: keys})
    assert "go back" in report_of(tiny, "imu").faults[0]


def test_samples_that_differ_in_number(tiny: Path, builder: ModuleType) -> None:
    builder.put(tiny, **{layout.IMU_GYRO: builder.get(tiny, layout.IMU_GYRO)[:-50]})
    row = report_of(tiny, "imu")
    assert row.status == "partial"
    assert "300 stamps, 300 accel and 250 gyro samples" in row.faults[0]


def test_a_clock_of_nan_has_no_rate(tiny: Path, builder: ModuleType) -> None:
    builder.put(tiny, **{layout.IMU_STAMPS: np.full(5 * N, np.nan)})
    row = report_of(tiny, "imu")
    assert row.rate_hz is None
    assert row.span_s is None


# damaged parts of a file that opens


@pytest.mark.parametrize("path", [layout.DEPTH, layout.CONFIDENCE])
def test_a_damaged_depth_chunk_costs_its_windows_only(
    tiny: Path, builder: ModuleType, windows_of: Extract, whole_table: WindowTable, path: str
) -> None:
    builder.damage_chunk(tiny, path, 1)  # frames 4 to 7
    table = windows_of(tiny)
    lost = windows_on(4, 7)
    assert lost == {0, 1}
    assert null_windows(table, "depth_confidence") == lost
    assert table.info.partial_blocks["depth_confidence"] == "4 of 60 frames cannot be read"
    assert table.info.missing_blocks == {}
    kept = [w for w in range(N_WINDOWS) if w not in lost]
    got, want = (t.block("depth_confidence")[kept] for t in (table, whole_table))
    np.testing.assert_array_equal(got, want)


def test_a_damaged_depth_chunk_is_inspected(tiny: Path, builder: ModuleType) -> None:
    builder.damage_chunk(tiny, layout.DEPTH, 1)
    row = report_of(tiny, "depth")
    assert row.status == "partial"
    assert "cannot be read" in row.faults[0]
    assert 0 < row.coverage < 1


def test_depth_damaged_throughout_is_missing(
    tiny: Path, builder: ModuleType, windows_of: Extract, whole_table: WindowTable
) -> None:
    for chunk in range(N // builder.DEPTH_CHUNK):
        builder.damage_chunk(tiny, layout.DEPTH, chunk)
    assert report_of(tiny, "depth").status == "broken"
    table = windows_of(tiny)
    assert_only_missing(table, whole_table, {"depth_confidence"})
    assert "cannot be read" in table.info.missing_blocks["depth_confidence"]


@pytest.mark.parametrize(
    ("path", "stream", "blocks"),
    [
        (layout.KEYPOINTS, "body", BODY | HANDS),
        (layout.IMU_ACCEL, "imu", {"imu_accel_gyro"}),
        (layout.IMU_KEYFRAMES, "imu", {"imu_accel_gyro"}),
        (layout.IMU_STAMPS, "imu", {"imu_accel_gyro"}),
        (layout.POINT_CLOUD, "point_cloud", {"slam_point_cloud"}),
    ],
)
def test_a_damaged_chunk_elsewhere_costs_its_stream(
    *,
    tiny: Path,
    builder: ModuleType,
    windows_of: Extract,
    whole_table: WindowTable,
    path: str,
    stream: str,
    blocks: set[str],
) -> None:
    rows = builder.get(tiny, path)
    with h5py.File(tiny / "annotation.hdf5", "r+") as file:
        del file[path]
        chunks = (10, *rows.shape[1:])
        file.create_dataset(path, data=rows, chunks=chunks, compression="gzip")
    builder.damage_chunk(tiny, path, 2)
    row = report_of(tiny, stream)
    assert row.status == "broken"
    assert "cannot be read" in row.faults[-1]
    assert_only_missing(windows_of(tiny), whole_table, blocks)


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
    assert "ep/annotation.hdf5: calibration: is damaged" in report.faults[0]


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
