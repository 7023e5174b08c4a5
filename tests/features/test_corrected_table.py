"""The corrected table: the same in any world, the same kept streams, and gaps that stay gaps."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.transform import Rotation

from xperience.features import depth, windows
from xperience.features.blocks import BLOCKS, CONTRACTS, N_FEATURES
from xperience.features.extract import extract
from xperience.features.posture import Postures
from xperience.features.table import WindowTable
from xperience.recording import layout
from xperience.recording.geometry import PELVIS
from xperience.recording.plausible import DepthLimits
from xperience.recording.recording import Episode

Extract = Callable[..., WindowTable]

HANDS = ("hand_left_joints", "hand_right_joints")
POSED = (*HANDS, "body_joints", "camera_translation", "camera_rotation_matrix")


@pytest.fixture
def table_of(tmp_path: Path, stream_cache: Path) -> Extract:
    """Return a function (episode folder, contract) that extracts and opens a windows table."""

    def extracted(folder: Path, contract: str = "corrected") -> WindowTable:
        out = tmp_path / f"{folder.parent.name}.{contract}.parquet"
        extract(folder, out, contract=contract, cache=stream_cache, workers=1)
        return WindowTable(out)

    return extracted


def nulls(table: WindowTable, block: str) -> list[int]:
    """Return which windows of a block are null, each either whole or not at all."""
    lost = np.isnan(table.block(block))
    assert (lost.all(axis=1) == lost.any(axis=1)).all()
    return np.flatnonzero(lost.all(axis=1)).tolist()


def without(n_frames: int, lost: range, most: int = 4) -> list[int]:
    """Return which windows of a recording lack more than ``most`` frames."""
    starts = range(0, n_frames - 19, 5)
    return [w for w, s in enumerate(starts) if len(set(range(s, s + 20)) & set(lost)) > most]


def plain_stats(frames: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Frame by frame, in double precision."""
    kept = frames[there].astype(np.float64)
    pairs = [i for i in range(len(frames) - 1) if there[i] and there[i + 1]]
    steps = np.array([frames[i + 1].astype(np.float64) - frames[i] for i in pairs])
    rows = [kept.mean(0), kept.std(0), kept.min(0), kept.max(0), kept[-1] - kept[0]]
    return np.concatenate([*rows, steps.mean(0), steps.std(0)])


@given(
    hnp.arrays(np.float32, (20, 3), elements=st.floats(-100, 100, width=32)),
    st.sets(st.integers(0, 19), max_size=8),
    st.sampled_from([np.nan, np.inf]),
)
def test_statistics_over_what_is_there(frames: np.ndarray, lost: set[int], what: float) -> None:
    there = np.array([i not in lost for i in range(20)])
    gappy = np.where(there[:, None], frames, np.float32([1, what, 2]))
    (got,) = windows.stats_of_known(gappy[None])
    if not lost:
        np.testing.assert_array_equal(got, windows.stats(frames))
    elif len(lost) > 4:
        assert np.isnan(got).all()
    else:
        np.testing.assert_allclose(got, plain_stats(frames, there), rtol=1e-4, atol=1e-3)


def test_published_streams_serve_corrected_too(walk: Path, tmp_path: Path) -> None:
    cache, tables = tmp_path / "cache", {}
    seen: dict[str, dict[Path, int]] = {}
    for contract in CONTRACTS:
        out = tmp_path / f"{contract}.parquet"
        extract(walk, out, contract=contract, cache=cache, workers=1)
        tables[contract] = WindowTable(out)
        seen[contract] = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    assert seen["published"] == seen["corrected"]
    published, corrected = tables.values()
    assert corrected.info.contract == "corrected"
    assert corrected.info.missing_blocks == corrected.info.partial_blocks == {}
    assert corrected.matrix().shape == published.matrix().shape == (21, N_FEATURES)
    assert np.isfinite(corrected.matrix()).all()
    differ = {
        block.name
        for block in BLOCKS
        if not np.array_equal(published.block(block.name), corrected.block(block.name))
    }
    assert differ == {*POSED, "depth_confidence"}


def test_hands_and_body_are_seen_from_the_body_of_their_frame(
    walk: Path, table_of: Extract
) -> None:
    table = table_of(walk)
    with Episode(walk) as episode:
        postures = Postures.of(episode)
        body = postures.body(0, 120)
        hand = postures.hand("hand_left", 0, 120)
        to_body = postures.to_body(0, 120)
    every = np.ones(20, dtype=bool)
    for block, joints in (("hand_left_joints", hand), ("body_joints", body)):
        rows = np.stack(
            [to_body.rotation[t] @ (joints.xyz[t] - body.xyz[t, PELVIS]).T for t in range(120)]
        )
        rows = np.swapaxes(rows, 1, 2).reshape(120, -1)
        want = [plain_stats(rows[s : s + 20], every) for s in range(0, 101, 5)]
        np.testing.assert_allclose(table.block(block), want, atol=2e-4)


def test_the_camera_is_seen_from_the_body_of_the_first_frame(walk: Path, table_of: Extract) -> None:
    table = table_of(walk)
    with Episode(walk) as episode:
        postures = Postures.of(episode)
        camera, to_body = postures.camera(0, 120), postures.to_body(0, 120)
    every = np.ones(20, dtype=bool)
    for window, s in enumerate(range(0, 101, 5)):
        heading = to_body.rotation[s]
        turn = np.stack([(heading @ camera.rotation[t]).reshape(-1) for t in range(s, s + 20)])
        shift = (camera.translation[s : s + 20] - camera.translation[s]) @ heading.T
        for block, rows in (("camera_rotation_matrix", turn), ("camera_translation", shift)):
            want = plain_stats(rows, every)
            np.testing.assert_allclose(table.block(block)[window], want, atol=2e-4)


@pytest.mark.parametrize("source", ["walk", "oracle"])
def test_another_world_changes_published_features_only(
    source: str,
    request: pytest.FixtureRequest,
    worlds: ModuleType,
    tmp_path: Path,
    table_of: Extract,
) -> None:
    """What a SLAM system calls x, and where it starts, is no property of what hands do."""
    folder = request.getfixturevalue(source)
    folder = folder if source == "walk" else folder / "episode"
    moved = worlds.copy(folder, tmp_path / "moved" / "ep")
    worlds.move_world(moved, Rotation.from_rotvec([0.3, 0.8, 2.0]), np.array([5.0, -3, 1]))
    for contract in CONTRACTS:
        here, there = table_of(folder, contract), table_of(moved, contract)
        apart = {name: np.nanmax(np.abs(here.block(name) - there.block(name))) for name in POSED}
        for name in POSED:
            assert nulls(here, name) == nulls(there, name)
            if contract == "corrected":
                assert apart[name] < 1e-4
            elif name in HANDS:
                assert apart[name] > 3
            else:
                assert apart[name] > 0.01
        assert here.info.partial_blocks == there.info.partial_blocks


def test_turning_about_up_alone_changes_published_hands(
    walk: Path, worlds: ModuleType, tmp_path: Path, table_of: Extract
) -> None:
    moved = worlds.copy(walk, tmp_path / "moved" / "ep")
    worlds.move_world(moved, Rotation.from_rotvec([0, 0, 1.2]), np.zeros(3))
    for contract, least, most in (("published", 0.1, np.inf), ("corrected", 0, 1e-4)):
        here, there = table_of(walk, contract), table_of(moved, contract)
        for name in HANDS:
            assert least <= np.abs(here.block(name) - there.block(name)).max() < most


@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_a_lost_hand_is_null_and_said_to_be(
    walk: Path, tmp_path: Path, table_of: Extract, worlds: ModuleType, value: float
) -> None:
    folder = worlds.copy(walk, tmp_path / "lost" / "ep")
    lost = range(43, 83)
    with h5py.File(folder / "annotation.hdf5", "r+") as file:
        file[layout.HAND_LEFT][lost.start : lost.stop] = value
    whole, table = table_of(walk), table_of(folder)
    assert nulls(table, "hand_left_joints") == without(120, lost)
    assert nulls(table, "hand_right_joints") == []
    why = table.info.partial_blocks
    assert set(why) == {"hand_left_joints"}
    kind = "NaN" if np.isnan(value) else "all-zero"
    assert f"rows 43-82 are {kind}" in why["hand_left_joints"]
    assert f"{len(without(120, lost))} of 21 windows are null" in why["hand_left_joints"]
    assert nulls(table_of(folder, "published"), "hand_left_joints") == []
    untouched = [w for w in range(21) if w not in without(120, lost, most=0)]
    got, want = (t.block("hand_left_joints") for t in (table, whole))
    np.testing.assert_array_equal(got[untouched], want[untouched])
    thinned = [w for w in range(21) if w not in (*untouched, *without(120, lost))]
    assert thinned
    assert not np.isclose(got[thinned], want[thinned], atol=1e-6).all()


@pytest.mark.parametrize(
    ("path", "blocks", "doubtful"),
    [
        (layout.KEYPOINTS, POSED, []),
        # up is measured from what the poses leave
        (layout.QUATERNION, [name for name in POSED if name != "body_joints"], ["body_joints"]),
        (layout.CONTACTS, ["body_contacts"], []),
    ],
)
def test_what_a_gap_takes_with_it(  # noqa: PLR0917
    walk: Path,
    tmp_path: Path,
    table_of: Extract,
    worlds: ModuleType,
    path: str,
    blocks: list[str],
    doubtful: list[str],
) -> None:
    folder, lost = worlds.copy(walk, tmp_path / "gap" / "ep"), range(23, 31)
    with h5py.File(folder / "annotation.hdf5", "r+") as file:
        file[path][lost.start : lost.stop] = np.nan
    table = table_of(folder)
    assert set(table.info.partial_blocks) == {*blocks, *doubtful}
    for block in BLOCKS:
        assert nulls(table, block.name) == (without(120, lost) if block.name in blocks else [])
    rest = [w for w in without(120, lost, most=0) if w not in without(120, lost)]
    assert rest
    for name in blocks:
        assert f"{len(rest)} of 21 windows rest on 16 to 19" in table.info.partial_blocks[name]


def test_a_gap_at_the_windows_start_moves_the_cameras_origin(
    walk: Path, tmp_path: Path, table_of: Extract, worlds: ModuleType
) -> None:
    folder = worlds.copy(walk, tmp_path / "gap" / "ep")
    with h5py.File(folder / "annotation.hdf5", "r+") as file:
        file[layout.KEYPOINTS][:3] = np.nan
    row = table_of(folder).block("camera_translation")[0]
    with Episode(walk) as episode:
        postures = Postures.of(episode)
        camera, to_body = postures.camera(0, 20), postures.to_body(0, 20)
    shift = (camera.translation[3:] - camera.translation[3]) @ to_body.rotation[3].T
    np.testing.assert_allclose(row, plain_stats(shift, np.ones(17, dtype=bool)), atol=1e-4)


def test_without_a_pose_hands_are_missing(
    tiny: Path, builder: ModuleType, table_of: Extract
) -> None:
    builder.put(tiny, slam=None)
    table = table_of(tiny)
    for name in HANDS:
        assert table.info.missing_blocks[name].startswith("pose: ")
    assert "body_joints" not in table.info.missing_blocks
    assert "no gravity" in table.info.partial_blocks["body_joints"]
    assert not set(HANDS) & set(table_of(tiny, "published").info.missing_blocks)


def test_a_video_that_ends_early_does_not_repeat_itself(
    tiny: Path, builder: ModuleType, table_of: Extract
) -> None:
    builder.write_video(tiny / "stereo_left.mp4", 43, seed=4)
    published, corrected = (table_of(tiny, contract) for contract in CONTRACTS)
    name = "video_stereo_left"
    assert nulls(published, name) == []
    assert nulls(corrected, name) == without(60, range(43, 60)) == [6, 7, 8]
    np.testing.assert_array_equal(corrected.block(name)[:5], published.block(name)[:5])
    why = corrected.info.partial_blocks[name]
    assert "3 of 9 windows are null; 1 of 9 windows rest on 16 to 19" in why
    assert "repeats" not in why


def test_sound_that_ends_early(tiny: Path, builder: ModuleType, table_of: Extract) -> None:
    builder.write_video(tiny / "fisheye_cam0.mp4", 60, sound_s=2.0)
    table = table_of(tiny)
    lost = nulls(table, "audio_fisheye_cam0_aac")
    assert lost == list(range(lost[0], 9))
    assert "windows are null" in table.info.partial_blocks["audio_fisheye_cam0_aac"]


def test_depth(tiny: Path, builder: ModuleType, table_of: Extract) -> None:
    """The minimum of the confidence is that of valid pixels; a frame without one isn't there."""
    with h5py.File(tiny / "annotation.hdf5", "r+") as file:
        file["depth/depth"][30:40] = 0
        file["depth/confidence"][:30] = 40
        file["depth/confidence"][:30, 0, 0] = 7
        file["depth/confidence"][:30, 0, 1] = 200
        file["depth/depth"][:30, 0, 0] = 0
        file["depth/depth"][:30, 0, 1] = 1
    table = table_of(tiny)
    least = 8 + 64 + 2
    assert table.block("depth_confidence")[0, least] == pytest.approx(40 / 255)
    assert nulls(table, "depth_confidence") == without(60, range(30, 40))
    old = table_of(tiny, "published").block("depth_confidence")
    assert np.isfinite(old).all()
    assert (old[:, least::140] == 0).all()


@given(
    hnp.arrays(np.float16, (4, 5), elements=st.sampled_from([0.0, 1.0, np.nan, np.inf, 2.5])),
    hnp.arrays(np.uint8, (4, 5)),
    st.sampled_from([np.float16, np.float32]),
)
def test_the_least_confidence_is_that_of_a_valid_pixel(
    depth_m: np.ndarray, sure: np.ndarray, kind: type
) -> None:
    depth_m[0, 0] = 3.5  # not one value throughout
    depth_m = depth_m.astype(kind)[None]
    rows = depth.frame_features(depth_m, sure[None], (0, 4))
    kept = depth.kept_rows(depth_m, sure[None], (0, 4), DepthLimits(0, 4, 1, ()))
    valid = sure[np.isfinite(depth_m[0]) & (depth_m[0] > 0)]
    scale = 255 if sure.max() > 1 else 1
    if valid.size > 1:
        assert rows[0, 74] == pytest.approx(valid.min() / scale)
        np.testing.assert_array_equal(depth.as_corrected(kept), rows)
    published = depth.as_published(kept)
    assert published[0, 74] == 0
    np.testing.assert_array_equal(np.delete(published, 74), np.delete(rows, 74))


def test_inertial_samples_that_are_not_numbers(
    tiny: Path, builder: ModuleType, table_of: Extract
) -> None:
    accel = builder.get(tiny, layout.IMU_ACCEL)
    accel[5 * 20 : 5 * 30] = np.nan  # five samples a frame: frames 20 to 29
    builder.put(tiny, imu__accel_xyz=accel)
    table = table_of(tiny)
    assert nulls(table, "imu_accel_gyro") == without(60, range(20, 30))
    assert "windows are null" in table.info.partial_blocks["imu_accel_gyro"]


def test_a_calibration_with_gaps_is_missing(
    tiny: Path, builder: ModuleType, table_of: Extract
) -> None:
    builder.put(tiny, calibration__cam0__intrinsics=[1.2, np.nan, 30.0, 32.0, 24.0])
    table = table_of(tiny)
    assert "1 of 117 numbers are not finite" in table.info.missing_blocks["calibration"]
    assert np.isnan(table.block("calibration")).all()


def test_damaged_annotation_does_not_stop_the_rest(
    walk: Path, tmp_path: Path, table_of: Extract, worlds: ModuleType
) -> None:
    folder = worlds.copy(walk, tmp_path / "damaged" / "ep")
    with h5py.File(folder / "annotation.hdf5", "r+") as file:
        values = file[layout.IMU_ACCEL][...]
        del file[layout.IMU_ACCEL]
        node = file.create_dataset(layout.IMU_ACCEL, data=values, chunks=True, compression="gzip")
        place = node.id.get_chunk_info(0)
    with (folder / "annotation.hdf5").open("r+b") as raw:
        raw.seek(place.byte_offset)
        raw.write(b"\xff" * place.size)
    table = table_of(folder)
    assert set(table.info.missing_blocks) == {"imu_accel_gyro"}
    assert "no gravity" in table.info.partial_blocks["hand_left_joints"]
    assert np.isfinite(table.block("hand_left_joints")).all()
