"""What the rig's sensors measure: cameras and their places, inertial samples, contacts, the map."""

from dataclasses import dataclass

import numpy as np

from xperience.recording import layout
from xperience.recording.geometry import MANO_BONES, RIG, CameraModel, Transform
from xperience.standin.kitchen import FURNITURE, KITCHEN
from xperience.standin.scene import Scene, nearest
from xperience.standin.settings import IMU_RATE_HZ, StandinSettings
from xperience.standin.wearer import axis_rotation

GRAVITY_M_S2 = 9.81
BASELINE_M = 0.10
FIRST_STAMP_NS = 61_200_000_000_000
TOUCH_M = 0.016
ACCEL_NOISE_M_S2, GYRO_NOISE_RAD_S = 0.03, 0.003
ACCEL_BIAS_M_S2, GYRO_BIAS_RAD_S = 0.02, 0.002
FLOOR_TOUCH_M = 0.008

_STEP_S = 2e-3
_CAMERA_AXES = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])  # rig to camera
_PITCH_RAD = np.deg2rad(22)
_JOINT_M = {1: 0.125, 2: 0.125, 4: 0.06, 5: 0.06, 18: 0.04, 19: 0.04}


@dataclass(frozen=True)
class Camera:
    """A camera on the rig: how it projects and where it sits."""

    name: str
    model: CameraModel
    from_rig: Transform


def cameras(settings: StandinSettings) -> dict[str, Camera]:
    """Return the six cameras of the rig, in the layout's order.

    Fisheye 0 and 1 look ahead and down, side by side; 2 and 3 look to the left and to the right.
    The stereo pair are pinhole views from the very places of fisheye 0 and 1, with the same axes,
    so ``cam01/T_c0_b`` equals ``cam0/T_c_b`` and the right camera is ``cam1/T_c_b``. Pixel
    positions count from the image's corner: the middle of the first pixel is (0.5, 0.5).
    """
    rng = np.random.default_rng([settings.seed, 2])
    width, height = settings.size_px
    half = BASELINE_M / 2
    mounts = [(0.02, half, 0, 0, 0), (0.02, -half, 0, 0, 0)]
    mounts += [(0.0, half + 0.03, 0, 55, 18), (0.0, -half - 0.03, 0, -55, 18)]
    found = {}
    for name, (x, y, z, yaw, pitch) in zip(layout.FISHEYE_CAMERAS, mounts, strict=True):
        focal = width * rng.uniform(0.575, 0.585, 2)
        centre = np.array([width, height]) * rng.uniform(0.495, 0.505, 2)
        model = CameraModel(tuple(focal), tuple(centre), (width, height), rng.uniform(0.88, 0.92))
        turn = axis_rotation(1, _PITCH_RAD + np.deg2rad(pitch)).T
        rotation = _CAMERA_AXES @ turn @ axis_rotation(2, np.deg2rad(yaw)).T
        place = -rotation @ np.array([x, y, z])
        found[name] = Camera(name, model, Transform(rotation, place, RIG, name))
    pinhole = CameraModel((0.5 * width, 0.5 * width), (width / 2, height / 2), (width, height))
    for name, twin in zip(layout.STEREO_CAMERAS, layout.FISHEYE_CAMERAS, strict=False):
        at = found[twin].from_rig
        found[name] = Camera(name, pinhole, Transform(at.rotation, at.translation, RIG, name))
    return found


def frame_stamps_ns(settings: StandinSettings) -> np.ndarray:
    """Return the device time of each frame, shape (n_frames,)."""
    return FIRST_STAMP_NS + np.round(np.arange(settings.frames) * 1e9 / settings.fps).astype(
        np.int64
    )


def inertial(scene: Scene, settings: StandinSettings) -> dict[str, np.ndarray]:
    """Return what an inertial unit on the rig measures, by the annotation's paths.

    200 Hz, from 50 ms before the first frame to 50 ms after the last. Accelerometer, shape (n, 3):
    specific force along the rig's axes, m/s² (at rest +9.81 upwards); gyroscope, shape (n, 3): body
    rates, rad/s; both with white noise and a constant bias. Stamps share the frames' device clock,
    but for the offset and drift asked for.
    """
    n_samples = round((settings.frames - 1) / settings.fps * IMU_RATE_HZ) + 21
    time_s = np.arange(n_samples) / IMU_RATE_HZ - 0.05
    before, now, after = (scene.wearer.rig(time_s + shift) for shift in (-_STEP_S, 0.0, _STEP_S))
    accel = (after[0] - 2 * now[0] + before[0]) / _STEP_S**2
    accel[:, 2] += GRAVITY_M_S2
    turn = np.swapaxes(before[1], 1, 2) @ after[1]  # about the middle, rig axes
    rates = np.stack([turn[:, 2, 1], turn[:, 0, 2], turn[:, 1, 0]], -1)
    rates -= np.stack([turn[:, 1, 2], turn[:, 2, 0], turn[:, 0, 1]], -1)
    gyro = rates / (4 * _STEP_S)
    force = np.einsum("nji,nj->ni", now[1], accel)
    rng = np.random.default_rng([settings.seed, 3])
    force += rng.normal(0, ACCEL_NOISE_M_S2, force.shape) + rng.normal(0, ACCEL_BIAS_M_S2, 3)
    gyro += rng.normal(0, GYRO_NOISE_RAD_S, gyro.shape) + rng.normal(0, GYRO_BIAS_RAD_S, 3)
    clock_s = time_s * (1 + settings.clock_drift_ppm * 1e-6) + settings.imu_offset_s
    stamp_ns = FIRST_STAMP_NS + np.round(clock_s * 1e9).astype(np.int64)
    wanted = frame_stamps_ns(settings)
    right = np.clip(np.searchsorted(stamp_ns, wanted), 1, n_samples - 1)
    left = right - 1
    is_left = wanted - stamp_ns[left] <= stamp_ns[right] - wanted
    return {
        layout.IMU_STAMPS: stamp_ns,
        layout.IMU_KEYFRAMES: np.where(is_left, left, right),
        layout.IMU_ACCEL: force,
        layout.IMU_GYRO: gyro,
    }


def contacts(scene: Scene) -> np.ndarray:
    """Return which body joints touch a thing or the furniture, float32, shape (n_frames, 21).

    1 is contact, 0 none. Columns are the SMPL-H body joints 1 to 21, the pelvis left out; the
    wrists (last two columns) stand for whole hands: a joint or the middle of a bone of the hand
    within 16 mm of a surface. Hips touch when the wearer leans against the table.

    The floor does not count. Someone who stands touches it in every frame, and then "does any
    part touch something" would have one answer for the whole episode; `floor_contacts` tells
    when each foot is down.
    """
    out = np.zeros((len(scene.time_s), 21), dtype=np.float32)
    everything = {"table", "furniture", *KITCHEN}
    for column, side in ((19, "left"), (20, "right")):
        joints = scene.hands[side]
        middles = [(joints[:, a] + joints[:, b]) / 2 for a, b in MANO_BONES]
        points = np.concatenate([joints, np.stack(middles, axis=1)], axis=1)  # (n_frames, 41, 3)
        out[:, column] = nearest(scene, points, everything).min(1) < TOUCH_M
    joints = list(_JOINT_M)
    gap = nearest(scene, scene.body[:, joints], {"table", "furniture"})
    out[:, [joint - 1 for joint in joints]] = gap < np.array(list(_JOINT_M.values()))
    return out


def floor_contacts(scene: Scene) -> np.ndarray:
    """Return whether the left and the right foot is down, bool array, shape (n_frames, 2)."""
    feet = [scene.plan.feet[side](scene.time_s)[:, 2] for side in ("left", "right")]
    return np.stack(feet, axis=1) < FLOOR_TOUCH_M


def sparse_map(scene: Scene, seed: int, n_points: int = 4000) -> np.ndarray:
    """Return points on the surfaces that never move, float32, shape (n_points, 3), metres."""
    rng = np.random.default_rng([seed, 4])
    boxes = [(np.array(s.a), np.array(s.b)) for s in FURNITURE if not any(s.radius_m)]
    boxes.append((np.array([-1.9, -1.9, 0.0]), np.array([1.9, 1.1, 2.6])))
    weights = np.sqrt(np.array([np.prod(np.sort(high - low)[1:]) for low, high in boxes]))
    pick = rng.choice(len(boxes), n_points, p=weights / weights.sum())
    low, high = (np.stack([box[k] for box in boxes])[pick] for k in (0, 1))
    points = low + rng.random((n_points, 3)) * (high - low)
    face, side = rng.integers(0, 3, n_points), rng.random(n_points) < 0.5
    rows = np.arange(n_points)
    points[rows, face] = np.where(side, low[rows, face], high[rows, face])
    return (points + rng.normal(0, 0.003, points.shape)).astype(np.float32)
