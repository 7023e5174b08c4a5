"""Coordinate frames that do not mix, rigid motions that compose, cameras that go both ways."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.transform import Rotation

from xperience.errors import CoordinateFrameError
from xperience.recording.geometry import (
    MANO_PARENTS,
    SMPLH_PARENTS,
    CameraModel,
    Points,
    Transform,
    rotation_from_quaternion,
)

NUMBER = st.floats(-10, 10)


def vectors(*shape: int) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.float64, shape, elements=NUMBER)


QUATERNIONS = vectors(4).filter(lambda q: np.linalg.norm(q) > 1e-3)


@st.composite
def transforms(draw: st.DrawFn, source: str = "rig", target: str = "world") -> Transform:
    return Transform(rotation_from_quaternion(draw(QUATERNIONS)), draw(vectors(3)), source, target)


@given(QUATERNIONS)
def test_rotations_of_quaternions(quat: np.ndarray) -> None:
    rotation = rotation_from_quaternion(quat)
    want = Rotation.from_quat(quat, scalar_first=True).as_matrix()
    np.testing.assert_allclose(rotation, want, atol=1e-12)
    np.testing.assert_allclose(rotation_from_quaternion(-3 * quat), rotation, atol=1e-12)


@pytest.mark.parametrize("bad", [[0, 0, 0, 0], [np.nan, 0, 0, 1], [np.inf, 0, 0, 0]])
def test_what_is_no_rotation_is_nan_throughout(bad: list[float]) -> None:
    rotations = rotation_from_quaternion(np.array([bad, [1, 0, 0, 0]]))
    assert np.isnan(rotations[0]).all()
    np.testing.assert_array_equal(rotations[1], np.eye(3))


@given(transforms("rig", "world"), transforms("camera", "rig"), vectors(4, 3))
def test_composed_is_one_after_the_other_and_there_is_a_way_back(
    second: Transform, first: Transform, xyz: np.ndarray
) -> None:
    points = Points(xyz, "camera")
    composed = second @ first
    assert (composed.source, composed.target) == ("camera", "world")
    there = composed(points)
    assert there.frame == "world"
    np.testing.assert_allclose(there.xyz, second(first(points)).xyz, atol=1e-9)
    np.testing.assert_allclose(composed.inverse()(there).xyz, xyz, atol=1e-9)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = composed.rotation, composed.translation
    want = (matrix @ [*xyz[0], 1])[:3]
    same = Transform.from_matrix(matrix, "camera", "world")
    np.testing.assert_allclose(same(points).xyz[0], want, atol=1e-9)


def test_a_pose_a_frame_moves_one_or_many_points_each() -> None:
    rng = np.random.default_rng(0)
    turns = rotation_from_quaternion(rng.normal(size=(6, 4)))
    poses = Transform(turns, rng.normal(size=(6, 3)), "rig", "world")
    joints = rng.normal(size=(6, 21, 3))
    moved = poses(Points(joints, "rig")).xyz
    want = np.einsum("fij,fkj->fki", turns, joints) + poses.translation[:, None]
    np.testing.assert_allclose(moved, want, atol=1e-12)
    np.testing.assert_allclose(poses(Points(joints[:, 0], "rig")).xyz, moved[:, 0], atol=1e-12)
    picked = np.array([[1, 5, 5, 0], [2, 2, 3, 4]])  # some of many poses
    seen = poses[picked](Points(joints[picked, 0], "rig"))
    np.testing.assert_allclose(seen.xyz, moved[picked, 0], atol=1e-12)


def test_coordinate_frames_do_not_mix() -> None:
    rig_to_world = Transform(np.eye(3), np.zeros(3), "rig", "world")
    hand, root = Points(np.ones(3), "fisheye_cam0"), Points(np.zeros(3), "world")
    with pytest.raises(CoordinateFrameError, match="'fisheye_cam0' and 'world'"):
        hand - root
    with pytest.raises(CoordinateFrameError, match="fisheye_cam0"):
        rig_to_world(hand)
    with pytest.raises(CoordinateFrameError):
        rig_to_world @ rig_to_world
    np.testing.assert_array_equal(Points(np.ones(3), "world") - root, np.ones(3))


@st.composite
def cameras(draw: st.DrawFn) -> CameraModel:
    focal, centre = st.floats(50, 900), st.floats(100, 500)
    xi = draw(st.sampled_from([0.0, 0.3, 1.0, 1.7]))
    return CameraModel((draw(focal), draw(focal)), (draw(centre), draw(centre)), (640, 480), xi)


def is_seen(point: np.ndarray) -> bool:
    """Return whether a point is off the camera, and off its plane by more than rounding."""
    return np.linalg.norm(point) > 0.1 and not 0 < abs(point[2]) < 1e-6


@given(cameras(), vectors(3).filter(is_seen))
def test_what_a_camera_sees_lies_on_its_ray(camera: CameraModel, xyz: np.ndarray) -> None:
    uv = camera.project(xyz)
    depth = xyz[2] + camera.xi * np.linalg.norm(xyz)
    if np.isnan(uv).any():
        assert np.isnan(uv).all()
        assert camera.xi > 1 or depth <= 0
        return
    if depth > 0.05 * np.linalg.norm(xyz):
        np.testing.assert_allclose(camera.rays(uv), xyz / np.linalg.norm(xyz), atol=1e-5)
    if camera.xi == 0:  # a pinhole
        want = camera.focal_px * xyz[:2] / xyz[2] + camera.centre_px
        np.testing.assert_allclose(uv, want, rtol=1e-9)
    small = camera.scaled((320, 120))
    assert small.size_px == (320, 120)
    np.testing.assert_allclose(small.project(xyz), uv * (0.5, 0.25), rtol=1e-9)


@given(cameras(), st.floats(0, 640), st.floats(0, 480), st.floats(0.1, 50))
@settings(max_examples=50)
def test_a_ray_ends_in_its_pixel(
    camera: CameraModel, x_px: float, y_px: float, distance_m: float
) -> None:
    ray = camera.rays(np.array([x_px, y_px]))
    if np.isnan(ray).any():
        assert camera.xi > 1
        return
    assert np.linalg.norm(ray) == pytest.approx(1)
    np.testing.assert_allclose(camera.project(distance_m * ray), [x_px, y_px], atol=1e-4)


def test_skeletons_are_trees() -> None:
    for parents, n in ((SMPLH_PARENTS, 52), (MANO_PARENTS, 21)):
        assert len(parents) == n
        assert parents[0] == -1
        assert all(0 <= parent < joint for joint, parent in enumerate(parents) if joint)
    assert [j for j, parent in enumerate(SMPLH_PARENTS) if parent == 20] == [22, 25, 28, 31, 34]
    assert [j for j, parent in enumerate(SMPLH_PARENTS) if parent == 21] == [37, 40, 43, 46, 49]
