"""Coordinate frames that do not mix, rigid motions that compose, cameras that go both ways."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

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
def test_rotations_are_rotations(quat: np.ndarray) -> None:
    rotation = rotation_from_quaternion(quat)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)
    np.testing.assert_allclose(rotation_from_quaternion(-3 * quat), rotation, atol=1e-12)


def test_a_quarter_turn_about_z() -> None:
    turn = rotation_from_quaternion(np.array([1.0, 0, 0, 1]))
    np.testing.assert_allclose(turn @ [1, 0, 0], [0, 1, 0], atol=1e-15)


@pytest.mark.parametrize("bad", [[0, 0, 0, 0], [np.nan, 0, 0, 1], [np.inf, 0, 0, 0]])
def test_what_is_no_rotation_is_nan_throughout(bad: list[float]) -> None:
    rotations = rotation_from_quaternion(np.array([bad, [1, 0, 0, 0]]))
    assert np.isnan(rotations[0]).all()
    np.testing.assert_array_equal(rotations[1], np.eye(3))


@given(transforms(), vectors(5, 3))
def test_there_and_back(transform: Transform, xyz: np.ndarray) -> None:
    there = transform(Points(xyz, "rig"))
    assert there.frame == "world"
    back = transform.inverse()(there)
    assert back.frame == "rig"
    np.testing.assert_allclose(back.xyz, xyz, atol=1e-9)


@given(transforms("rig", "world"), transforms("camera", "rig"), vectors(4, 3))
def test_composed_is_one_after_the_other(
    second: Transform, first: Transform, xyz: np.ndarray
) -> None:
    points = Points(xyz, "camera")
    composed = second @ first
    assert (composed.source, composed.target) == ("camera", "world")
    np.testing.assert_allclose(composed(points).xyz, second(first(points)).xyz, atol=1e-9)
    inverse = (first.inverse() @ second.inverse())(composed(points))
    np.testing.assert_allclose(inverse.xyz, xyz, atol=1e-9)


@given(transforms(), vectors(3))
def test_a_matrix_says_the_same(transform: Transform, xyz: np.ndarray) -> None:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = transform.rotation, transform.translation
    same = Transform.from_matrix(matrix, "rig", "world")
    want = (matrix @ [*xyz, 1])[:3]
    np.testing.assert_allclose(same(Points(xyz, "rig")).xyz, want, atol=1e-9)


def test_a_pose_a_frame_moves_one_or_many_points_each() -> None:
    rng = np.random.default_rng(0)
    poses = Transform(
        rotation_from_quaternion(rng.normal(size=(6, 4))), rng.normal(size=(6, 3)), "rig", "world"
    )
    joints = rng.normal(size=(6, 21, 3))
    moved = poses(Points(joints, "rig")).xyz
    for frame in range(6):
        want = joints[frame] @ poses.rotation[frame].T + poses.translation[frame]
        np.testing.assert_allclose(moved[frame], want, atol=1e-12)
    one = poses(Points(joints[:, 0], "rig")).xyz
    np.testing.assert_allclose(one, moved[:, 0], atol=1e-12)


def test_some_of_many_poses() -> None:
    rng = np.random.default_rng(1)
    poses = Transform(
        rotation_from_quaternion(rng.normal(size=(6, 4))), rng.normal(size=(6, 3)), "rig", "world"
    )
    points = Points(rng.normal(size=(2, 4, 3)), "rig")
    picked = np.array([[1, 5, 5, 0], [2, 2, 3, 4]])
    seen = poses[picked](points)
    assert seen.frame == "world"
    for place, frame in np.ndenumerate(picked):
        want = poses.rotation[frame] @ points.xyz[place] + poses.translation[frame]
        np.testing.assert_allclose(seen.xyz[place], want, atol=1e-12)


def test_coordinate_frames_do_not_mix() -> None:
    rig_to_world = Transform(np.eye(3), np.zeros(3), "rig", "world")
    hand, root = Points(np.ones(3), "fisheye_cam0"), Points(np.zeros(3), "world")
    with pytest.raises(CoordinateFrameError, match="'fisheye_cam0' and 'world'"):
        hand - root
    with pytest.raises(CoordinateFrameError, match="fisheye_cam0"):
        rig_to_world(hand)
    with pytest.raises(CoordinateFrameError):
        rig_to_world @ rig_to_world
    with pytest.raises(CoordinateFrameError):
        rig_to_world.inverse()(hand)
    np.testing.assert_array_equal(Points(np.ones(3), "world") - root, np.ones(3))


@st.composite
def cameras(draw: st.DrawFn) -> CameraModel:
    focal = st.floats(50, 900)
    centre = st.floats(100, 500)
    return CameraModel(
        (draw(focal), draw(focal)),
        (draw(centre), draw(centre)),
        (640, 480),
        draw(st.sampled_from([0.0, 0.3, 1.0, 1.7])),
    )


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
    elif depth > 0.05 * np.linalg.norm(xyz):
        ray = camera.rays(uv)
        assert np.linalg.norm(ray) == pytest.approx(1)
        np.testing.assert_allclose(ray, xyz / np.linalg.norm(xyz), atol=1e-5)


@given(cameras(), st.floats(0, 640), st.floats(0, 480), st.floats(0.1, 50))
def test_a_ray_ends_in_its_pixel(
    camera: CameraModel, x_px: float, y_px: float, distance_m: float
) -> None:
    ray = camera.rays(np.array([x_px, y_px]))
    if np.isnan(ray).any():
        assert camera.xi > 1
        return
    assert np.linalg.norm(ray) == pytest.approx(1)
    np.testing.assert_allclose(camera.project(distance_m * ray), [x_px, y_px], atol=1e-4)


@given(vectors(7, 3))
def test_without_a_mirror_it_is_a_pinhole(xyz: np.ndarray) -> None:
    camera = CameraModel((300.0, 310.0), (320.0, 240.0), (640, 480))
    uv = camera.project(xyz)
    for (x, y, z), pixel in zip(xyz, uv, strict=True):
        if z > 1e-6:
            np.testing.assert_allclose(pixel, [300 * x / z + 320, 310 * y / z + 240], rtol=1e-9)
        elif z <= 0:
            assert np.isnan(pixel).all()


@given(cameras(), vectors(3))
def test_a_resized_picture_moves_pixels_with_it(camera: CameraModel, xyz: np.ndarray) -> None:
    small = camera.scaled((320, 120))
    assert small.size_px == (320, 120)
    np.testing.assert_allclose(small.project(xyz), camera.project(xyz) * (0.5, 0.25), rtol=1e-9)


def test_skeletons_are_trees() -> None:
    for parents, n in ((SMPLH_PARENTS, 52), (MANO_PARENTS, 21)):
        assert len(parents) == n
        assert parents[0] == -1
        assert all(0 <= parent < joint for joint, parent in enumerate(parents) if joint)
    assert [j for j, parent in enumerate(SMPLH_PARENTS) if parent == 20] == [22, 25, 28, 31, 34]
    assert [j for j, parent in enumerate(SMPLH_PARENTS) if parent == 21] == [37, 40, 43, 46, 49]
