"""The corrected table: the same in any world, and gaps that stay gaps."""

from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from xperience.features.blocks import BLOCKS, CONTRACTS, N_FEATURES
from xperience.features.posture import Postures
from xperience.features.table import WindowTable
from xperience.recording import layout
from xperience.recording.geometry import PELVIS
from xperience.recording.recording import Recording

from .conftest import N_WALK, TableOf, seven
from .worlds import copy, move_world

HANDS = ("hand_left_joints", "hand_right_joints")
POSED = (*HANDS, "body_joints", "camera_translation", "camera_rotation_matrix")
STARTS = range(0, N_WALK - 19, 5)


def nulls(table: WindowTable, block: str) -> list[int]:
    """Return which windows of a block are null, each either whole or not at all."""
    lost = np.isnan(table.block(block))
    assert (lost.all(axis=1) == lost.any(axis=1)).all()
    return np.flatnonzero(lost.all(axis=1)).tolist()


def without(n_frames: int, lost: range, most: int = 4) -> list[int]:
    """Return which windows of a recording lack more than ``most`` frames."""
    starts = range(0, n_frames - 19, 5)
    return [w for w, s in enumerate(starts) if len(set(range(s, s + 20)) & set(lost)) > most]


def put(folder: Path, path: str, rows: slice, value: float) -> None:
    with h5py.File(folder / "annotation.hdf5", "r+") as file:
        file[path][rows] = value


def test_contracts_share_streams_and_differ_in_what_is_posed(
    walk: Path, table_of: TableOf, stream_cache: Path
) -> None:
    published = table_of(walk, "published")
    before = {path: path.stat().st_mtime_ns for path in stream_cache.iterdir()}
    corrected = table_of(walk)
    assert {path: path.stat().st_mtime_ns for path in stream_cache.iterdir()} == before
    assert corrected.info.contract == "corrected"
    assert corrected.info.missing_blocks == corrected.info.partial_blocks == {}
    assert corrected.matrix().shape == published.matrix().shape == (21, N_FEATURES)
    assert np.isfinite(corrected.matrix()).all()
    pairs = {block.name: [t.block(block.name) for t in (published, corrected)] for block in BLOCKS}
    differ = {name for name, (old, new) in pairs.items() if not np.array_equal(old, new)}
    assert differ == {*POSED, "depth_confidence"}


def test_hands_body_and_camera_are_seen_from_the_body(walk: Path, table_of: TableOf) -> None:
    """Hands and body from that of their frame, the camera from that of the window's first."""
    table = table_of(walk)
    with Recording(walk) as episode:
        postures = Postures.of(episode)
        body, hand = postures.body(0, N_WALK), postures.hand("hand_left", 0, N_WALK)
        camera, to_body = postures.camera(0, N_WALK), postures.to_body(0, N_WALK)
    for block, joints in (("hand_left_joints", hand), ("body_joints", body)):
        away_m = joints.xyz - body.xyz[:, PELVIS, None]
        seen = np.einsum("tij,tkj->tki", to_body.rotation, away_m)
        want = [seven(seen[s : s + 20]) for s in STARTS]
        np.testing.assert_allclose(table.block(block), want, atol=2e-4)
    for window, s in enumerate(STARTS):
        heading = to_body.rotation[s]
        turn = heading @ camera.rotation[s : s + 20]
        shift = (camera.translation[s : s + 20] - camera.translation[s]) @ heading.T
        for block, rows in (("camera_rotation_matrix", turn), ("camera_translation", shift)):
            np.testing.assert_allclose(table.block(block)[window], seven(rows), atol=2e-4)


@pytest.mark.parametrize(
    ("turn", "shift_m", "least"),
    [([0.3, 0.8, 2.0], [5.0, -3, 1], {"hand": 3, "body": 0.01, "camera": 0.01}),
     ([0, 0, 1.2], [0.0, 0, 0], {"hand": 0.1, "body": 0, "camera": 0})],
)  # fmt: skip
def test_another_world_changes_published_features_only(
    walk: Path, tmp_path: Path, table_of: TableOf, turn: list, shift_m: list, least: dict
) -> None:
    """What a SLAM system calls x, and where it starts, is no property of what hands do."""
    moved = copy(walk, tmp_path / "moved" / "ep")
    move_world(moved, Rotation.from_rotvec(turn), np.array(shift_m))
    for contract in CONTRACTS:
        here, there = table_of(walk, contract), table_of(moved, contract)
        for name in POSED:
            apart = np.nanmax(np.abs(here.block(name) - there.block(name)))
            assert nulls(here, name) == nulls(there, name)
            if contract == "corrected":
                assert apart < 1e-4
            else:
                assert apart > least[name.split("_")[0]]
        assert here.info.partial_blocks == there.info.partial_blocks


@pytest.mark.parametrize(("value", "kind"), [(np.nan, "NaN"), (0.0, "all-zero")])
def test_a_lost_hand_is_null_and_named(
    walk: Path, tmp_path: Path, table_of: TableOf, value: float, kind: str
) -> None:
    folder, lost = copy(walk, tmp_path / "lost" / "ep"), range(43, 83)
    put(folder, layout.HAND_LEFT, slice(43, 83), value)
    whole, table = table_of(walk), table_of(folder)
    assert nulls(table, "hand_left_joints") == without(N_WALK, lost)
    assert nulls(table, "hand_right_joints") == []
    assert set(table.info.partial_blocks) == {"hand_left_joints"}
    why = table.info.partial_blocks["hand_left_joints"]
    assert f"rows 43-82 are {kind}" in why
    assert f"{len(without(N_WALK, lost))} of 21 windows are null" in why
    assert nulls(table_of(folder, "published"), "hand_left_joints") == []
    untouched = [w for w in range(21) if w not in without(N_WALK, lost, most=0)]
    got, want = (t.block("hand_left_joints") for t in (table, whole))
    np.testing.assert_array_equal(got[untouched], want[untouched])
    thinned = [w for w in range(21) if w not in (*untouched, *without(N_WALK, lost))]
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
def test_what_a_gap_takes_with_it(
    walk: Path, tmp_path: Path, table_of: TableOf, path: str, blocks: list, doubtful: list
) -> None:
    folder, lost = copy(walk, tmp_path / "gap" / "ep"), range(23, 31)
    put(folder, path, slice(23, 31), np.nan)
    table = table_of(folder)
    assert set(table.info.partial_blocks) == {*blocks, *doubtful}
    for block in BLOCKS:
        want = without(N_WALK, lost) if block.name in blocks else []
        assert nulls(table, block.name) == want
    rest = [w for w in without(N_WALK, lost, most=0) if w not in without(N_WALK, lost)]
    for name in blocks:
        assert f"{len(rest)} of 21 windows rest on 16 to 19" in table.info.partial_blocks[name]


def test_a_gap_at_the_windows_start_moves_the_cameras_origin(
    walk: Path, tmp_path: Path, table_of: TableOf
) -> None:
    folder = copy(walk, tmp_path / "gap" / "ep")
    put(folder, layout.KEYPOINTS, slice(3), np.nan)
    row = table_of(folder).block("camera_translation")[0]
    with Recording(walk) as episode:
        postures = Postures.of(episode)
        camera, to_body = postures.camera(0, 20), postures.to_body(0, 20)
    shift = (camera.translation[3:] - camera.translation[3]) @ to_body.rotation[3].T
    np.testing.assert_allclose(row, seven(shift), atol=1e-4)


def test_without_a_pose_hands_are_missing(
    tiny: Path, builder: ModuleType, table_of: TableOf
) -> None:
    builder.put(tiny, slam=None)
    info = table_of(tiny).info
    assert all(info.missing_blocks[name].startswith("pose: ") for name in HANDS)
    assert "body_joints" not in info.missing_blocks
    assert "no gravity" in info.partial_blocks["body_joints"]
    assert not set(HANDS) & set(table_of(tiny, "published").info.missing_blocks)


def test_what_ends_early_does_not_repeat_itself(
    tiny: Path, builder: ModuleType, table_of: TableOf
) -> None:
    builder.write_video(tiny / "stereo_left.mp4", 43, seed=4)
    builder.write_video(tiny / "fisheye_cam0.mp4", 60, sound_s=2.0)
    published, corrected = (table_of(tiny, contract) for contract in CONTRACTS)
    name, sound = "video_stereo_left", "audio_fisheye_cam0_aac"
    assert nulls(published, name) == []
    assert nulls(corrected, name) == without(60, range(43, 60)) == [6, 7, 8]
    np.testing.assert_array_equal(corrected.block(name)[:5], published.block(name)[:5])
    why = corrected.info.partial_blocks
    assert "3 of 9 windows are null; 1 of 9 windows rest on 16 to 19" in why[name]
    assert "repeats" not in why[name]
    lost = nulls(corrected, sound)
    assert lost == list(range(lost[0], 9))
    assert "windows are null" in why[sound]


def test_the_least_confidence_is_that_of_valid_pixels_and_a_frame_without_depth_is_lost(
    tiny: Path, table_of: TableOf
) -> None:
    with h5py.File(tiny / "annotation.hdf5", "r+") as file:
        file["depth/depth"][30:40] = 0
        file["depth/confidence"][:30] = 40
        file["depth/confidence"][:30, 0, :2] = 7, 200
        file["depth/depth"][:30, 0, :2] = 0, 1
    table, least = table_of(tiny), 8 + 64 + 2
    assert table.block("depth_confidence")[0, least] == pytest.approx(40 / 255)
    assert nulls(table, "depth_confidence") == without(60, range(30, 40))
    old = table_of(tiny, "published").block("depth_confidence")
    assert np.isfinite(old).all()
    assert (old[:, least::140] == 0).all()


def test_samples_and_calibration_that_are_not_numbers(
    tiny: Path, builder: ModuleType, table_of: TableOf
) -> None:
    put(tiny, layout.IMU_ACCEL, slice(100, 150), np.nan)  # five samples a frame: 20 to 29
    builder.put(tiny, calibration__cam0__intrinsics=[1.2, np.nan, 30.0, 32.0, 24.0])
    table = table_of(tiny)
    assert nulls(table, "imu_accel_gyro") == without(60, range(20, 30))
    assert "windows are null" in table.info.partial_blocks["imu_accel_gyro"]
    assert "1 of 117 numbers are not finite" in table.info.missing_blocks["calibration"]
