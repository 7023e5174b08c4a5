"""Hands, body and camera in one world: lengths of a person, whatever the world's axes."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.transform import Rotation

from xperience.features.posture import HAND_PATHS, Postures, find_up
from xperience.recording import layout
from xperience.recording.geometry import (
    LEFT_HIP,
    LEFT_WRIST,
    MANO_BONES,
    PELVIS,
    RIGHT_HIP,
    RIGHT_WRIST,
    SMPLH_BODY_PARENTS,
    Points,
    body_frames,
)
from xperience.recording.recording import Recording

from .worlds import copy, move_world

SIDES = {"hand_left": LEFT_WRIST, "hand_right": RIGHT_WRIST}
TURNS = st.integers(0, 999).map(lambda seed: Rotation.random(rng=seed))
UP = np.array([0.0, 0, 1])


def angle_deg(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(a @ b, -1, 1))))


@st.composite
def bodies(draw: st.DrawFn) -> np.ndarray:
    """Poses whose hips are apart along a line that is not upright: (n, 52, 3) metres, z up."""
    joints = draw(hnp.arrays(np.float64, (3, 52, 3), elements=st.floats(-2, 2)))
    turn = draw(st.floats(-3, 3))
    half = 0.07 * np.array([np.cos(turn), np.sin(turn), 0.3])
    joints[:, LEFT_HIP] = joints[:, PELVIS] + half
    joints[:, RIGHT_HIP] = joints[:, PELVIS] - half
    return joints


@given(bodies(), TURNS, hnp.arrays(np.float64, 3, elements=st.floats(-50, 50)))
@settings(max_examples=40)
def test_the_body_frame_is_upright_faces_forward_and_is_that_of_any_world(
    joints: np.ndarray, turn: Rotation, shift_m: np.ndarray
) -> None:
    to_body = body_frames(Points(joints, "world"), UP)
    assert (to_body.source, to_body.target) == ("world", "body")
    turned = to_body.rotation @ np.swapaxes(to_body.rotation, 1, 2)
    np.testing.assert_allclose(turned, np.tile(np.eye(3), (3, 1, 1)), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(to_body.rotation), 1)
    seen = to_body(Points(joints, "world")).xyz
    np.testing.assert_allclose(seen[:, PELVIS], 0, atol=1e-9)
    across = seen[:, LEFT_HIP] - seen[:, RIGHT_HIP]
    assert (across[:, 1] > 0).all()
    np.testing.assert_allclose(across[:, 0], 0, atol=1e-9)
    np.testing.assert_allclose(seen[..., 2], (joints - joints[:, :1])[..., 2], atol=1e-9)
    moved = Points(joints @ turn.as_matrix().T + shift_m, "world")
    np.testing.assert_allclose(body_frames(moved, turn.apply(UP))(moved).xyz, seen, atol=1e-9)


def test_no_heading_is_no_frame() -> None:
    joints = np.random.default_rng(0).normal(size=(3, 52, 3))
    joints[0, LEFT_HIP] = joints[0, RIGHT_HIP] + (0.001, 0, 0.13)  # on one side
    joints[1, PELVIS] = np.nan
    to_body = body_frames(Points(joints, "world"), UP)
    assert np.isnan(to_body.rotation[0]).all()
    assert np.isnan(to_body.translation[:2]).all()
    assert np.isfinite(to_body.translation[2]).all()


def test_bones_keep_their_length_and_reach_as_far_as_people_do(walk: Path) -> None:
    with Recording(walk) as episode:
        postures, n = Postures.of(episode), episode.n_frames
        body = postures.body(0, n).xyz
        camera = {side: episode.read(path) for side, path in HAND_PATHS.items()}
        hands = {side: postures.hand(side, 0, n).xyz for side in SIDES}
    root = body[:, PELVIS]
    for side, wrist in SIDES.items():
        hand, elbow = hands[side], body[:, SMPLH_BODY_PARENTS[wrist]]
        fingers = np.stack([np.linalg.norm(hand[:, a] - hand[:, b], axis=1) for a, b in MANO_BONES])
        assert np.ptp(fingers, axis=1).max() < 1e-9
        assert 0.01 < fingers.min() < fingers.max() < 0.12
        reach_m = np.linalg.norm(hand[:, 0] - root, axis=1)
        assert 0.1 < reach_m.min() < reach_m.max() < 1.1
        forearm_m = np.linalg.norm(hand[:, 0] - elbow, axis=1)
        assert np.ptp(forearm_m) < 1e-9
        assert 0.18 < forearm_m[0] < 0.35
        # as published the elbow is told from the root in the world, the wrist as if it were there
        mixed = np.linalg.norm((camera[side][:, 0] - root) - (elbow - root), axis=1)
        assert np.ptp(mixed) > 0.03
        assert mixed.max() > 0.5


@pytest.mark.parametrize("lost", [None, "imu"])
def test_up_is_found_from_gravity_or_else_from_the_trunk(
    walk: Path, tmp_path: Path, lost: str | None
) -> None:
    """The stand-in's world has z up; a leaning wearer's trunk is some degrees off."""
    turn = Rotation.from_rotvec([1.0, -0.7, 0.4])
    folder = move_world(copy(walk, tmp_path / "ep"), turn, np.array([3.0, -8, 2]))
    if lost:
        with h5py.File(folder / "annotation.hdf5", "r+") as file:
            del file[lost]
    with Recording(folder) as episode:
        up = find_up(episode)
    off_deg = angle_deg(up.direction, turn.apply(UP))
    assert np.linalg.norm(up.direction) == pytest.approx(1)
    if lost:
        assert (up.origin, off_deg < 20) == ("trunk", True)
        assert "no gravity" in up.odd
    else:
        assert (up.origin, up.odd) == ("gravity", "")
        assert off_deg < 2


def test_gravity_along_other_axes_is_not_believed_and_jolts_do_not_tilt_it(
    walk: Path, tmp_path: Path
) -> None:
    folder = copy(walk, tmp_path / "ep")
    with h5py.File(folder / "annotation.hdf5", "r+") as file:
        accel, keys = file[layout.IMU_ACCEL][...], file[layout.IMU_KEYFRAMES][...]
        file[layout.IMU_ACCEL][keys[50]] = (1e6, 0, 0)
        file[layout.IMU_ACCEL][keys[60]] = np.nan
        file[layout.QUATERNION][70:80] = 0
    with Recording(folder) as episode:
        assert angle_deg(find_up(episode).direction, UP) < 3
    with h5py.File(folder / "annotation.hdf5", "r+") as file:
        file[layout.IMU_ACCEL][...] = np.roll(accel, 1, axis=1)
    with Recording(folder) as episode:
        up = find_up(episode)
    assert up.origin == "trunk"
    assert "measured gravity is" in up.odd
    assert angle_deg(up.direction, UP) < 20
