"""What a file itself contradicts: named, masked under `corrected`, unchanged under `published`."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xperience.features.blocks import BLOCKS, CONTRACTS
from xperience.features.extract import extract
from xperience.features.table import WindowTable
from xperience.recording import layout
from xperience.recording.inspect import inspect_episode
from xperience.recording.plausible import SETTLE_ROWS, out_of_order, unreachable
from xperience.recording.recording import Episode

from .expecting import BODY, CAMERA, HANDS, N_WINDOWS, N, null_windows, report_of

Tables = Callable[[Path], dict[str, WindowTable]]
IMU, DEPTH = {"imu_accel_gyro"}, {"depth_confidence"}
SPAN = slice(20, 40)
LOST = {w for w in range(N_WINDOWS) if len(set(range(20, 40)) & set(range(5 * w, 5 * w + 20))) > 4}
ALL = set(range(N_WINDOWS))


@pytest.fixture
def tables(tmp_path: Path, stream_cache: Path) -> Tables:
    """Return a function (episode folder) that gives its table under each contract."""

    def extracted(folder: Path) -> dict[str, WindowTable]:
        found = {}
        for contract in CONTRACTS:
            out = tmp_path / f"{contract}.parquet"
            extract(folder, out, contract=contract, cache=stream_cache, workers=1)
            found[contract] = WindowTable(out)
        return found

    return extracted


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


def samples(first: int, last: int) -> slice:
    """Five inertial samples a frame."""
    return slice(5 * first, 5 * last)


TO_BODY = BODY | HANDS | CAMERA
BY_POSE = CAMERA | HANDS
PLANTS = [
    # poses, hands, body
    (at(layout.HAND_LEFT, SPAN, 1e30), "hand_left", "rows 20-39: distance from the camera "
     "up to", {"hand_left_joints"}, LOST),
    (moved(layout.HAND_LEFT, SPAN, 10.0), "hand_left", "distance from the camera up to 17",
     {"hand_left_joints"}, LOST),
    (at(layout.HAND_RIGHT, SPAN, -np.inf), "hand_right", "rows 20-39 are infinite",
     {"hand_right_joints"}, LOST),
    (at(layout.HAND_LEFT, SPAN, 0.5), "hand_left", "span of the hand 0 m", {"hand_left_joints"},
     LOST),
    (scaled(layout.HAND_LEFT, 1000), "hand_left", ": in millimetres?", {"hand_left_joints"}, ALL),
    (scaled(layout.KEYPOINTS, 1000), "body", "span of the body", TO_BODY, ALL),
    (moved(layout.KEYPOINTS, SPAN, 10.0), "body", "rows 20-39 are a jump", TO_BODY, LOST),
    (moved(layout.KEYPOINTS, slice(None), 10.0), "body", "distance from pelvis to camera", TO_BODY,
     ALL),
    (at(layout.KEYPOINTS, (SPAN, 30), 9.0), "body", "rows 20-39: span of the body", TO_BODY,
     LOST),
    (at(layout.QUATERNION, (SPAN, 0), 5.0), "pose", "rows 20-39: length up to 5",
     BY_POSE, LOST),
    (at(layout.QUATERNION, SPAN, 0.0), "pose", "rows 20-39 are all-zero", BY_POSE, LOST),
    (moved(layout.TRANSLATION, SPAN, 2.5), "pose", "rows 20-39 are a jump", BY_POSE, LOST),
    (at(layout.TRANSLATION, SPAN, 1e30), "pose", "distance from the world's origin", BY_POSE, LOST),
    (at(layout.CONTACTS, (SPAN, 3), 7.0), "contacts", "rows 20-39: contact up to 7",
     {"body_contacts"}, LOST),
    (at(layout.CONTACTS, (SPAN, 3), -1.0), "contacts", "contact -1", {"body_contacts"}, LOST),
    # inertial samples and their clock
    (at(layout.IMU_ACCEL, samples(20, 40), 1e6), "imu", "rows 100-199: acceleration", IMU,
     LOST),
    (scaled(layout.IMU_ACCEL, 1 / 9.81), "imu", "in multiples of gravity?", IMU, ALL),
    (at(layout.IMU_GYRO, samples(20, 40), 50.0), "imu", "rate of turn", IMU, ALL),
    (scaled(layout.IMU_GYRO, 400.0), "imu", "in degrees per second?", IMU, ALL),
    (changed(layout.IMU_STAMPS, lambda t: np.where(np.arange(300) // 100 == 1, t[99], t)), "imu",
     "rows 100-199 repeat or go back", IMU, LOST),
    (at(layout.IMU_STAMPS, samples(20, 40), 5.0), "imu", "rows 100-199 repeat or go back", IMU,
     LOST),
    # depth
    (scaled(layout.DEPTH, 10), "depth", "valid pixels are beyond depth_max", set(), set()),
    (changed(layout.DEPTH, lambda d: (d.astype("f4") * 1000).astype("u2")), "depth",
     "in millimetres?", DEPTH, ALL),
    (changed(layout.DEPTH, lambda d: (d > 0) * np.float32(2.0)), "depth",
     "maps are the same throughout", DEPTH, ALL),
    (changed(layout.CONFIDENCE, lambda c: c[:, ::2, ::2]), "depth", "has maps of 6x8", DEPTH, ALL),
    (changed(layout.CONFIDENCE, lambda c: c.astype("f4") * 300), "depth",
     "pixels are not numbers from 0 to 255", DEPTH, ALL),
    (changed(layout.CONFIDENCE, lambda c: None), "depth", "depth/confidence: is absent", DEPTH,
     ALL),
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
            got, before = (t.block(block.name) for t in (table["corrected"], whole_tables[1]))
            np.testing.assert_array_equal(got, before)
    if blocks:
        noted = [table[c].info.partial_blocks | table[c].info.missing_blocks for c in CONTRACTS]
        for note in noted:
            assert any(found in note.get(block, "") for block in blocks), note


@pytest.fixture(scope="session")
def whole_tables(whole_tiny: Path, stream_cache: Path) -> list[WindowTable]:
    """The tables of the tiny episode before anything is planted, in the contracts' order."""
    found = []
    for contract in CONTRACTS:
        out = stream_cache / f"whole-{contract}.parquet"
        extract(whole_tiny, out, contract=contract, cache=stream_cache, workers=1)
        found.append(WindowTable(out))
    return found


def test_far_depths_are_no_depths_and_the_rest_of_the_map_stays(
    tiny: Path, builder: ModuleType, tables: Tables, whole_tables: list[WindowTable]
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
    tiny: Path, builder: ModuleType, tables: Tables, whole_tables: list[WindowTable]
) -> None:
    depth_mm = (builder.get(tiny, layout.DEPTH).astype("f8") * 1000).round().astype("u2")
    builder.put(tiny, depth__depth=depth_mm, depth__scale=np.float32(0.001))
    assert "uint16 of 0.001 m by depth/scale" in report_of(tiny, "depth").faults[0]
    table = tables(tiny)
    got, want = (t.block("depth_confidence") for t in (table["corrected"], whole_tables[1]))
    np.testing.assert_allclose(got, want, atol=2e-3)
    assert table["published"].block("depth_confidence")[0, 3] > 4000


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda t, f: t + 3_000_000_000, "are +3 s from the frames' clock throughout"),
        (lambda t, f: t - t[0], "from the frames' clock throughout: another zero"),
        (lambda t, f: t // 1000, "0.001 times as fast as the frames' clock: in microseconds?"),
        (lambda t, f: t / 1e9, "1e-09 times as fast as the frames' clock: in seconds?"),
        (lambda t, f: t[0] + (t - t[0]) * 21 // 20, "drift from the frames' clock by 0.14"),
    ],
)
@pytest.mark.parametrize("names", [True, False])
def test_another_clock_is_named_and_keyframes_still_serve(
    *,
    tiny: Path,
    builder: ModuleType,
    tables: Tables,
    whole_tables: list[WindowTable],
    change: Callable,
    found: str,
    names: bool,
) -> None:
    if not names:  # then the frames' clock is that of the videos
        builder.put(
            tiny, slam__frame_names=np.array([f"frame_{i:06d}.jpg" for i in range(1, 61)], "S")
        )
    stamps = builder.get(tiny, layout.IMU_STAMPS)
    builder.put(tiny, imu__device_timestamp_ns=change(stamps, None))
    row = report_of(tiny, "imu")
    assert row.status == "partial"
    assert any(found in fault for fault in row.faults), row.faults
    corrected = tables(tiny)["corrected"]
    got, want = (t.block("imu_accel_gyro") for t in (corrected, whole_tables[1]))
    np.testing.assert_array_equal(got, want)


def test_the_clock_of_the_video_group_will_do(tiny: Path, builder: ModuleType) -> None:
    """Names of another zero than the inertial samples and the videos, as in the published data."""
    stamps = builder.get(tiny, layout.IMU_STAMPS)
    frames = builder.get(tiny, layout.VIDEO_STAMPS)
    builder.put(tiny, imu__device_timestamp_ns=stamps - stamps[0])
    builder.put(tiny, video__device_timestamp=frames - frames[0])
    assert report_of(tiny, "imu").faults == []


@pytest.mark.parametrize("jump", [100, -75])
def test_keyframes_that_name_samples_of_another_time(
    tiny: Path, builder: ModuleType, tables: Tables, jump: int
) -> None:
    keys = builder.get(tiny, layout.IMU_KEYFRAMES)
    keys[SPAN] += jump
    builder.put(tiny, imu__keyframe_indices=keys)
    (fault,) = report_of(tiny, "imu").faults
    assert "rows 20-39 name samples of another time than the frame's" in fault
    ends = {w for w in ALL if {5 * w, 5 * w + 19} & set(range(20, 40))}
    assert null_windows(tables(tiny)["corrected"], "imu_accel_gyro") == ends


@pytest.mark.parametrize("path", [layout.FRAME_NAMES, layout.VIDEO_STAMPS])
@pytest.mark.parametrize("value", [0, -1_000_000_000, 10**12])
def test_frame_times_that_do_not_grow(
    tiny: Path, builder: ModuleType, path: str, value: int
) -> None:
    stamps = builder.FIRST_NS + np.arange(N) * builder.STEP_NS
    stamps[30] = stamps[29] + value
    builder.put(tiny, video__device_timestamp=stamps)
    names = [f"{s}.jpg" if path == layout.FRAME_NAMES else f"{i}.jpg" for i, s in enumerate(stamps)]
    builder.put(tiny, slam__frame_names=np.array(names, dtype="S32"))
    found = [fault for fault in report_of(tiny, "pose").faults if path in fault]
    assert "1 of 60 times repeat or go back, first at frame 30" in found[0]


@pytest.mark.parametrize(
    ("entry", "value", "found"),
    [
        ("cam2/T_c_b", np.zeros((4, 4)), "is no rotation and shift"),
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
    with Episode(tiny) as episode:
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
        {layout.IMU_STAMPS: lambda v: v[:, None], layout.IMU_KEYFRAMES: lambda v: v[:, None]},
        {layout.IMU_STAMPS: lambda v: v[None, :, None], layout.IMU_KEYFRAMES: lambda v: v[None]},
        {layout.IMU_STAMPS: lambda v: v.astype("f8"), layout.IMU_KEYFRAMES: lambda v: v * 1.0},
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
    whole_tables: list[WindowTable],
    change: dict[str, Callable],
) -> None:
    for path, to in change.items():
        builder.put(tiny, **{path: to(builder.get(tiny, path))})
    assert [row.faults for row in inspect_episode(tiny).streams if row.faults] == []
    for table, whole in zip(tables(tiny).values(), whole_tables, strict=True):
        assert table.info.missing_blocks == {}
        assert table.info.partial_blocks == whole.info.partial_blocks
        np.testing.assert_array_equal(table.matrix(), whole.matrix())
        assert table.labels["action"].tolist() == whole.labels["action"].tolist()


def test_times_in_texts_are_the_frames_clock(tiny: Path, builder: ModuleType) -> None:
    """Captions refer to device times; with names that are mere numbers the videos tell them."""
    names = np.array([f"frame_{i:06d}.jpg" for i in range(1, N + 1)], dtype="S32")
    stamps = builder.get(tiny, layout.VIDEO_STAMPS)
    with Episode(tiny) as episode:
        labels = episode.labels
    document = builder.caption_document([str(stamp) for stamp in stamps])
    builder.put(
        tiny, slam__frame_names=names, video__device_timestamp=stamps.astype("S20")[:, None]
    )
    builder.put_captions(tiny, document)
    with Episode(tiny) as episode:
        np.testing.assert_array_equal(episode.stamps_ns, stamps)
        assert episode.labels.action == labels.action


@pytest.mark.parametrize("value", [np.full(N, b"noon"), np.full(N, np.nan), np.ones((N, 2))])
def test_times_that_are_none_are_no_clock(tiny: Path, builder: ModuleType, value: object) -> None:
    names = np.array([f"frame_{i:06d}.jpg" for i in range(1, N + 1)], dtype="S32")
    builder.put(tiny, slam__frame_names=names, video__device_timestamp=value)
    with Episode(tiny) as episode:
        assert episode.stamps_ns is None


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
    if length <= SETTLE_ROWS // 4:
        assert bad.tolist() == list(range(start, start + length))
