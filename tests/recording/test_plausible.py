"""What a file itself contradicts: named, masked under `corrected`, unchanged under `published`."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xperience.features.blocks import BLOCKS, CONTRACTS
from xperience.features.table import WindowTable
from xperience.recording import layout
from xperience.recording.inspect import inspect_episode
from xperience.recording.plausible import SETTLE_ROWS, out_of_order, unreachable
from xperience.recording.recording import Recording

from .conftest import ALL, BODY, CAMERA, HANDS, N, Tables, null_windows, report_of, windows_on

IMU, DEPTH = {"imu_accel_gyro"}, {"depth_confidence"}
SPAN = slice(20, 40)
LOST = windows_on(20, 39, more_than=4)


def changed(path: str, change: Callable[[np.ndarray], np.ndarray | None]) -> Callable:
    """Return a plant: what becomes of one dataset."""

    def plant(folder: Path, builder: ModuleType) -> None:
        builder.put(folder, **{path: change(builder.get(folder, path))})

    return plant


def at(path: str, rows: object, value: object) -> Callable:
    """Return a plant: a value at some rows."""

    def change(values: np.ndarray) -> np.ndarray:
        values = values.astype(np.float64)
        values[rows] = value
        return values

    return changed(path, change)


def moved(path: str, rows: slice, by: float) -> Callable:
    def change(values: np.ndarray) -> np.ndarray:
        values = values.copy()
        values[rows] += by
        return values

    return changed(path, change)


def scaled(path: str, by: float) -> Callable:
    return changed(path, lambda values: values * by)


TO_BODY = BODY | HANDS | CAMERA
BY_POSE = CAMERA | HANDS
SAMPLES = slice(100, 200)  # five a frame
PLANTS = [
    # poses, hands, body
    (at(layout.HAND_LEFT, SPAN, 1e30), "hand_left", "rows 20-39: distance from the camera "
     "up to", {"hand_left_joints"}, LOST),
    (at(layout.HAND_LEFT, SPAN, 0.5), "hand_left", "span of the hand 0 m", {"hand_left_joints"},
     LOST),
    (scaled(layout.HAND_LEFT, 1000), "hand_left", ": in millimetres?", {"hand_left_joints"}, ALL),
    (moved(layout.KEYPOINTS, SPAN, 10.0), "body", "rows 20-39 are a jump", TO_BODY, LOST),
    (moved(layout.KEYPOINTS, slice(None), 10.0), "body", "distance from pelvis to camera", TO_BODY,
     ALL),
    (at(layout.QUATERNION, SPAN, 0.0), "pose", "rows 20-39 are all-zero", BY_POSE, LOST),
    (moved(layout.TRANSLATION, SPAN, 2.5), "pose", "rows 20-39 are a jump", BY_POSE, LOST),
    # inertial samples and their clock
    (at(layout.IMU_ACCEL, SAMPLES, 1e6), "imu", "rows 100-199: acceleration", IMU, LOST),
    (scaled(layout.IMU_GYRO, 400.0), "imu", "in degrees per second?", IMU, ALL),
    (at(layout.IMU_STAMPS, SAMPLES, 5.0), "imu", "rows 100-199 repeat or go back", IMU, LOST),
    # depth
    (changed(layout.DEPTH, lambda d: (d.astype("f4") * 1000).astype("u2")), "depth",
     "in millimetres?", DEPTH, ALL),
    (changed(layout.DEPTH, lambda d: (d > 0) * np.float32(2.0)), "depth",
     "maps are the same throughout", DEPTH, ALL),
    (changed(layout.CONFIDENCE, lambda c: c.astype("f4") * 300), "depth",
     "pixels are not numbers from 0 to 255", DEPTH, ALL),
]  # fmt: skip


@pytest.mark.parametrize(("plant", "stream", "found", "blocks", "lost"), PLANTS)
def test_what_cannot_be_is_named_and_masked(
    *,
    tiny: Path,
    builder: ModuleType,
    tables: Tables,
    whole_tables: dict[str, WindowTable],
    plant: Callable,
    stream: str,
    found: str,
    blocks: set[str],
    lost: set[int],
) -> None:
    plant(tiny, builder)
    row = report_of(tiny, stream)
    assert row.status in ("partial", "broken")
    assert any(found in fault for fault in row.faults), row.faults
    table = tables(tiny)
    for block in BLOCKS:
        want = lost if block.name in blocks else set()
        assert null_windows(table["corrected"], block.name) == want, block.name
        assert null_windows(table["published"], block.name) <= want, block.name
        if block.name not in blocks and stream != "depth":
            got, before = (t["corrected"].block(block.name) for t in (table, whole_tables))
            np.testing.assert_array_equal(got, before)
    for contract in CONTRACTS:
        note = table[contract].info.partial_blocks | table[contract].info.missing_blocks
        assert any(found in note.get(block, "") for block in blocks), note


def test_far_depths_are_no_depths_and_the_rest_of_the_map_stays(
    tiny: Path, builder: ModuleType, tables: Tables
) -> None:
    """Pixels beyond the file's own limits count as not valid, as 0 does."""
    depth_m = builder.get(tiny, layout.DEPTH)
    beyond, nothing = depth_m.copy(), depth_m.copy()
    beyond[:, :2], nothing[:, :2] = 17.5, 0
    builder.put(tiny, depth__depth=nothing)
    want = tables(tiny)["corrected"].block("depth_confidence")
    builder.put(tiny, depth__depth=beyond)
    table = tables(tiny)
    np.testing.assert_array_equal(table["corrected"].block("depth_confidence"), want)
    assert table["published"].block("depth_confidence")[0, 3] == 17.5  # the mean greatest depth
    for contract in CONTRACTS:
        note = table[contract].info.partial_blocks["depth_confidence"]
        assert "valid pixels are beyond depth_max, in 60 of 60 maps" in note
        assert "expected at most 5 m" in note


def test_whole_numbers_are_metres_by_the_scale_that_the_file_states(
    tiny: Path, builder: ModuleType, tables: Tables, whole_tables: dict[str, WindowTable]
) -> None:
    depth_mm = (builder.get(tiny, layout.DEPTH).astype("f8") * 1000).round().astype("u2")
    builder.put(tiny, depth__depth=depth_mm, depth__scale=np.float32(0.001))
    assert "uint16 of 0.001 m by depth/scale" in report_of(tiny, "depth").faults[0]
    table = tables(tiny)
    got, want = (
        t.block("depth_confidence") for t in (table["corrected"], whole_tables["corrected"])
    )
    np.testing.assert_allclose(got, want, atol=2e-3)
    assert table["published"].block("depth_confidence")[0, 3] > 4000


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda t: t + 3_000_000_000, "are +3 s from the frames' clock throughout"),
        (lambda t: t - t[0], "from the frames' clock throughout: another zero"),
        (lambda t: t // 1000, "0.001 times as fast as the frames' clock: in microseconds?"),
        (lambda t: t / 1e9, "1e-09 times as fast as the frames' clock: in seconds?"),
        (lambda t: t[0] + (t - t[0]) * 21 // 20, "drift from the frames' clock by 0.14"),
    ],
)
def test_another_clock_is_named_and_keyframes_still_serve(
    *,
    tiny: Path,
    builder: ModuleType,
    tables: Tables,
    whole_tables: dict[str, WindowTable],
    change: Callable,
    found: str,
) -> None:
    stamps = builder.get(tiny, layout.IMU_STAMPS)
    builder.put(tiny, imu__device_timestamp_ns=change(stamps))
    numbered = np.array([f"frame_{i:06d}.jpg" for i in range(1, N + 1)], "S")
    for names in (numbered, builder.get(tiny, layout.FRAME_NAMES)):  # numbers: the videos' clock
        builder.put(tiny, slam__frame_names=names)
        row = report_of(tiny, "imu")
        assert row.status == "partial"
        assert any(found in fault for fault in row.faults), row.faults
    corrected = tables(tiny)["corrected"]
    got, want = (t.block("imu_accel_gyro") for t in (corrected, whole_tables["corrected"]))
    np.testing.assert_array_equal(got, want)


def test_the_clock_of_the_video_group_will_do(tiny: Path, builder: ModuleType) -> None:
    """Names of another zero than the inertial samples and the videos, as in the published data."""
    stamps = builder.get(tiny, layout.IMU_STAMPS)
    frames = builder.get(tiny, layout.VIDEO_STAMPS)
    builder.put(tiny, imu__device_timestamp_ns=stamps - stamps[0])
    builder.put(tiny, video__device_timestamp=frames - frames[0])
    assert report_of(tiny, "imu").faults == []


def test_keyframes_that_name_samples_of_another_time(
    tiny: Path, builder: ModuleType, tables: Tables
) -> None:
    keys = builder.get(tiny, layout.IMU_KEYFRAMES)
    keys[SPAN] -= 75
    builder.put(tiny, imu__keyframe_indices=keys)
    (fault,) = report_of(tiny, "imu").faults
    assert "rows 20-39 name samples of another time than the frame's" in fault
    ends = {w for w in ALL if {5 * w, 5 * w + 19} & set(range(20, 40))}
    assert null_windows(tables(tiny)["corrected"], "imu_accel_gyro") == ends


@pytest.mark.parametrize(
    ("entry", "value", "found"),
    [
        ("cam2/T_c_b", np.diag([2.0, 1, 1, 1]), "is no rotation and shift"),
        ("cam2/T_c_b", np.diag([-1.0, 1, 1, 1]), "is no rotation and shift"),
        ("cam1/intrinsics", [1.2, 0.0, 30, 32, 24], "has focal lengths of 0 and 30 px"),
        ("cam01/K", np.zeros((3, 3)), "has focal lengths of 0 and 0 px"),
        ("cam0/resolution", [0, 48], "is [0.0, 48.0]"),
    ],
)
def test_a_calibration_that_cannot_be(
    tiny: Path, builder: ModuleType, entry: str, value: object, found: str
) -> None:
    builder.put(tiny, **{f"calibration/{entry}": value})
    row = report_of(tiny, "calibration")
    assert row.status == "partial"
    assert f"calibration/{entry}: {found}" in row.faults[0]
    with Recording(tiny) as episode:
        camera = "stereo_left" if entry == "cam01/K" else f"fisheye_{entry.partition('/')[0]}"
        known = episode.calibration
        assert (known.camera_from_rig if "T_c" in entry else known.model)(camera) is None


def test_poses_through_a_motion_that_is_not_rigid_are_lost(
    tiny: Path, builder: ModuleType, tables: Tables
) -> None:
    builder.put(tiny, calibration__cam01__T_c0_b=np.zeros((4, 4)))
    row = report_of(tiny, "pose")
    assert row.status == "broken"
    table = tables(tiny)
    assert set(table["corrected"].info.missing_blocks) == CAMERA | HANDS
    assert set(table["published"].info.missing_blocks) == set()
    assert all("cam01/T_c0_b" in table["published"].info.partial_blocks[b] for b in CAMERA)


# forms that the data set's own loader reads


@pytest.mark.parametrize(
    "change",
    [
        {layout.IMU_STAMPS: lambda v: v[None, :, None], layout.IMU_KEYFRAMES: lambda v: v[:, None]},
        {
            layout.IMU_STAMPS: lambda v: v.astype("f8"),
            layout.IMU_KEYFRAMES: lambda v: v[None] * 1.0,
        },
        {
            layout.IMU_STAMPS: lambda v: v.astype("u8"),
            layout.IMU_KEYFRAMES: lambda v: v.astype("i2"),
        },
        {
            layout.IMU_STAMPS: lambda v: v.astype("S20"),
            layout.IMU_KEYFRAMES: lambda v: v.astype("S9"),
        },
        {layout.FRAME_NAMES: lambda v: v[:, None]},
        {layout.KEYPOINTS: lambda v: v[None], layout.DEPTH: lambda v: v[..., None]},
        {layout.VIDEO_STAMPS: lambda v: v.astype("S20")},
        {"caption": lambda v: np.frombuffer(v, dtype="u1")},
    ],
)
def test_other_forms_say_the_same(
    tiny: Path,
    builder: ModuleType,
    tables: Tables,
    whole_tables: dict[str, WindowTable],
    change: dict[str, Callable],
) -> None:
    for path, to in change.items():
        builder.put(tiny, **{path: to(builder.get(tiny, path))})
    assert [row.faults for row in inspect_episode(tiny).streams if row.faults] == []
    for contract, table in tables(tiny).items():
        whole = whole_tables[contract]
        assert table.info.missing_blocks == {}
        assert table.info.partial_blocks == whole.info.partial_blocks
        np.testing.assert_array_equal(table.matrix(), whole.matrix())
        assert table.labels["action"].tolist() == whole.labels["action"].tolist()


# the two rules that look at more than a row


@given(st.lists(st.integers(0, 30), max_size=40))
def test_the_fewest_values_are_left_out(values: list[int]) -> None:
    array = np.array(values, dtype=np.int64)
    kept = array[~out_of_order(array)]
    assert (np.diff(kept) > 0).all()
    longest = []
    for i, value in enumerate(values):
        longest.append(1 + max((longest[j] for j in range(i) if values[j] < value), default=0))
    assert len(kept) == max(longest, default=0)


@given(
    start=st.integers(1, 70),
    length=st.integers(1, 60),
    far=st.floats(3, 1e6),
    speed=st.floats(0, 9),
)
def test_an_excursion_is_lost_until_it_returns_or_lasts(
    start: int, length: int, far: float, speed: float
) -> None:
    times_s = np.arange(150) / 20
    place = np.stack([speed * times_s, np.zeros(150)], axis=1)
    place[start : start + length, 1] += far
    bad = np.flatnonzero(unreachable(place, times_s, 40.0))
    assert start in bad
    assert set(bad) <= set(range(start, start + length + SETTLE_ROWS))
    moved, reach = speed * (length + 1) / 20, 40.0 / 20
    if length < SETTLE_ROWS and moved < reach:  # where it returns is near where it was believed
        assert bad.tolist() == list(range(start, start + length))
