"""Wrong shapes, lengths, types and values in ``annotation.hdf5``: each is named, all else used."""

from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pytest

from xperience.features.blocks import BLOCKS
from xperience.features.table import WindowTable
from xperience.recording import layout

from .expecting import (
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
