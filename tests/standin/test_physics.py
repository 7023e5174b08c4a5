"""Do the streams of one episode agree with each other and with the scene?"""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, RotationSpline

from xperience.recording import layout
from xperience.recording.geometry import (
    LEFT_WRIST,
    MANO_BONES,
    RIGHT_WRIST,
    SMPLH_BONES,
    CameraModel,
    Points,
    Transform,
    rotation_from_quaternion,
)
from xperience.standin.kitchen import KITCHEN, TABLE_HEIGHT_M
from xperience.standin.raycast import ROOM_HIGH, ROOM_LOW, Renderer
from xperience.standin.scene import nearest
from xperience.standin.sensors import GRAVITY_M_S2, floor_contacts


def poses(small) -> Transform:
    rotation = rotation_from_quaternion(small[layout.QUATERNION])
    return Transform(rotation, small[layout.TRANSLATION], "world", "rig")


def mount(small, camera: str) -> Transform:
    """Return rig-to-camera, from the file alone; the right stereo camera sits where cam1 does."""
    number = camera[-1] if camera.startswith("fisheye") else str(int(camera == "stereo_right"))
    return Transform.from_matrix(small[f"calibration/cam{number}/T_c_b"], "rig", camera)


def model(small, camera: str) -> CameraModel:
    if camera.startswith("stereo"):
        k = small["calibration/cam01/K"]
        return CameraModel((k[0, 0], k[1, 1]), (k[0, 2], k[1, 2]), small.settings.size_px)
    xi, fx, fy, cx, cy = small[f"calibration/cam{camera[-1]}/intrinsics"]
    return CameraModel((fx, fy), (cx, cy), small.settings.size_px, xi)


def test_gyroscope_is_the_turning_of_the_poses(small) -> None:
    back, time_s = poses(small).inverse(), small[layout.VIDEO_STAMPS] * 1e-9
    turning = RotationSpline(time_s - time_s[0], Rotation.from_matrix(back.rotation))
    rates = turning(time_s - time_s[0], 1)
    error = (rates - small[layout.IMU_GYRO][small[layout.IMU_KEYFRAMES]])[5:-5]
    assert np.sqrt((error**2).mean()) < 0.02
    assert np.sqrt((rates**2).mean()) > 0.1  # there is something to recover


def test_accelerometer_is_the_second_derivative_of_the_poses(small) -> None:
    """A second difference of places is a mean of accelerations with triangular weights."""
    back, frames_ns = poses(small).inverse(), small[layout.VIDEO_STAMPS]
    time_s = (frames_ns - frames_ns[0]) * 1e-9
    stamps_s = (small[layout.IMU_STAMPS] - frames_ns[0]) * 1e-9
    inside = (stamps_s >= 0) & (stamps_s <= time_s[-1])
    turning = RotationSpline(time_s, Rotation.from_matrix(back.rotation))
    force = turning(stamps_s[inside]).apply(small[layout.IMU_ACCEL][inside])
    triangle = np.concatenate([np.arange(11), np.arange(10)[::-1]]) / 100
    smooth = np.stack([np.convolve(axis, triangle, "same") for axis in force.T], axis=1)
    measured = smooth[::10][5:-5] - [0, 0, GRAVITY_M_S2]
    truth = np.diff(back.translation, 2, axis=0)[4:-4] / 0.05**2
    error = measured - truth
    assert np.sqrt((error**2).mean()) < 0.05
    assert np.sqrt((truth**2).mean()) > 0.3


def test_keyframes_are_the_nearest_samples(small) -> None:
    stamps, frames = small[layout.IMU_STAMPS], small[layout.VIDEO_STAMPS]
    gap = np.abs(stamps[small[layout.IMU_KEYFRAMES]] - frames)
    assert gap.max() <= 2_500_000
    assert (np.diff(stamps) == 5_000_000).all()


def test_wrists_of_hands_and_body_agree(small) -> None:
    to_camera = mount(small, "fisheye_cam0") @ poses(small)
    body = to_camera(Points(small[layout.KEYPOINTS], "world")).xyz
    for path, joint in ((layout.HAND_LEFT, LEFT_WRIST), (layout.HAND_RIGHT, RIGHT_WRIST)):
        assert np.abs(body[:, joint] - small[path][:, 0]).max() < 1e-6


@pytest.mark.parametrize(
    ("path", "bones"),
    [
        (layout.HAND_LEFT, MANO_BONES),
        (layout.HAND_RIGHT, MANO_BONES),
        (layout.KEYPOINTS, SMPLH_BONES),
    ],
)
def test_bones_are_rigid(small, path: str, bones) -> None:
    parent, child = np.array(bones).T
    length = np.linalg.norm(small[path][:, child] - small[path][:, parent], axis=-1)
    assert np.ptp(length, axis=0).max() < 1e-6
    assert length.min() > 0.01


def test_hands_have_human_proportions(small) -> None:
    hand = small[layout.HAND_RIGHT][0]
    roots = np.linalg.norm(hand[[1, 5, 9, 13, 17]] - hand[0], axis=1)
    assert roots == pytest.approx([0.0385, 0.091, 0.095, 0.086, 0.082], rel=0.06)


def test_the_wearer_reaches_what_the_script_asks_for(full_scene) -> None:
    for side in ("left", "right"):
        planned = full_scene.plan.hands[side].wrist(full_scene.time_s)
        missed = np.linalg.norm(full_scene.hands[side][:, 0] - planned, axis=1)
        assert (missed > 0.005).mean() < 0.01


def test_things_stand_on_something_when_nobody_holds_them(full_scene) -> None:
    lowest = {name: full_scene.things[name][0][:, 2].min() for name in KITCHEN}
    assert min(lowest.values()) > TABLE_HEIGHT_M - 1e-6
    assert full_scene.things["dripper"][0][-1, 2] == pytest.approx(TABLE_HEIGHT_M + 0.010)
    assert full_scene.things["kettle"][0][-1] == pytest.approx(full_scene.things["kettle"][0][0])


def test_contacts_follow_from_geometry(full_scene, small) -> None:
    contacts = small[layout.CONTACTS]
    assert set(np.unique(contacts)) <= {0.0, 1.0}
    held = np.zeros(len(contacts), dtype=bool)
    for hold in small.scene.plan.holds:
        if hold.hand == "right":
            held |= (small.scene.time_s >= hold.start_s) & (small.scene.time_s < hold.end_s)
    assert contacts[held, 20].mean() > 0.95
    hand = small.scene.hands["right"]
    gap = nearest(small.scene, hand, {"table", "furniture", *KITCHEN}).min(1)
    assert (contacts[gap > 0.04, 20] == 0).all()
    assert 0.05 < (~contacts.any(1)).mean() < 0.6


def test_feet_lift_when_the_wearer_steps(full_scene) -> None:
    down = floor_contacts(full_scene)
    assert down.any(1).all()
    assert 0.8 < down.mean() < 1


SPOTS = {  # a point on a thing, and whether a pixel has its colour
    "jug": ((0, 0, 0.19), lambda p: p[2] > p[0] + 25),
    "dripper": ((0.055, 0, 0.06), lambda p: p[0] > p[2] + 25),
    "saucer": ((0, 0, 0.01), lambda p: min(p) > 140),
}


@pytest.mark.parametrize("camera", layout.CAMERAS)
def test_things_appear_where_the_calibration_says(small, camera: str) -> None:
    pictures = small.frames(camera).astype(int)
    to_camera, lens = mount(small, camera) @ poses(small), model(small, camera)
    picture = Renderer(lens, small.scene, small.settings.seed)
    inside, right = 0, []
    for name, (local, has_colour) in SPOTS.items():
        origin, rotation = small.scene.things[name]
        points = Points(origin + rotation @ np.asarray(local), "world")
        uv = lens.project(to_camera(points).xyz)
        for frame in np.flatnonzero(((uv > 3) & (uv < np.array(lens.size_px) - 4)).all(1))[::9]:
            u, v = uv[frame].astype(int)
            picture.draw(frame, to_camera[frame])
            inside += 1
            if small.scene.solids.owner[picture.hits[v, u]] == name:  # else it is hidden
                right.append(has_colour(pictures[frame, v, u]))
    assert len(right) > max(20, 0.2 * inside)
    assert np.mean(right) > 0.9


def test_depth_lies_on_the_surfaces(small) -> None:
    depth = small[layout.DEPTH].astype(float)
    height, width = depth.shape[1:]
    lens = model(small, "stereo_left").scaled((width, height))
    v, u = np.mgrid[:height, :width]
    rays = lens.rays(np.stack([u, v], -1) + 0.5)
    camera = Transform.from_matrix(small["calibration/cam01/T_c0_b"], "rig", "camera")
    back = (camera @ poses(small)).inverse()
    points = (rays / rays[..., 2:])[None] * depth[..., None]
    points = points.reshape(len(depth), -1, 3)
    world = back(Points(points, "camera")).xyz[:, ::61]
    room = np.minimum(np.abs(world - ROOM_LOW), np.abs(world - ROOM_HIGH)).min(-1)
    gap = np.minimum(np.abs(nearest(small.scene, world, set(small.scene.solids.owner))), room)
    seen = (depth.reshape(len(depth), -1) > 0)[:, ::61]
    assert np.median(gap[seen]) < 0.006
    assert np.quantile(gap[seen], 0.95) < 0.025
    assert 0.5 < seen.mean() < 1


def test_confidence_falls_with_distance_and_at_edges(small) -> None:
    depth, trust = small[layout.DEPTH].astype(float), small[layout.CONFIDENCE].astype(float)
    assert (trust[depth == 0] == 0).all()
    near, far = (depth > 0.3) & (depth < 0.7), depth > 1.2
    assert np.median(trust[near]) > np.median(trust[far]) + 15
    edge = np.abs(np.diff(depth, axis=2)) > 0.15
    assert trust[:, :, 1:][edge].mean() < 0.6 * trust[depth > 0].mean()
