"""Names and shapes of an episode folder, once: what the reader expects and the simulator writes.

The layout is the one of the Xperience-10M release: ``annotation.hdf5`` beside six videos.
"""

from dataclasses import dataclass
from typing import Literal

from xperience.outputs import (  # noqa: F401 they belong to the layout
    ANNOTATION,
    CAMERAS,
    FISHEYE_CAMERAS,
    STEREO_CAMERAS,
)

AUDIO_CAMERA = "fisheye_cam0"
AUDIO_RATE_HZ = 16_000

FRAME_NAMES = "slam/frame_names"
QUATERNION = "slam/quat_wxyz"
TRANSLATION = "slam/trans_xyz"
POINT_CLOUD = "slam/point_cloud"
CALIBRATION = "calibration"
HAND_LEFT = "hand_mocap/left_joints_3d"
HAND_RIGHT = "hand_mocap/right_joints_3d"
KEYPOINTS = "full_body_mocap/keypoints"
CONTACTS = "full_body_mocap/contacts"
IMU_STAMPS = "imu/device_timestamp_ns"
IMU_ACCEL = "imu/accel_xyz"
IMU_GYRO = "imu/gyro_xyz"
IMU_KEYFRAMES = "imu/keyframe_indices"
DEPTH = "depth/depth"
CONFIDENCE = "depth/confidence"
DEPTH_MIN, DEPTH_MAX, DEPTH_SCALE = "depth/depth_min", "depth/depth_max", "depth/scale"
STEREO_BASELINE = "metadata/stereo_baseline_m"
CAPTION_KEYS = ("caption", "captions")
VIDEO_STAMPS, VIDEO_NUMBERS = "video/device_timestamp", "video/frame_number"

DEFAULT_DEPTH_MIN_M, DEFAULT_DEPTH_MAX_M = 0.0, 4.0
DEFAULT_FPS = 20.0

N_HAND_JOINTS, N_BODY_JOINTS, N_CONTACTS = 21, 52, 21


@dataclass(frozen=True)
class Dataset:
    """What one HDF5 dataset of an episode must look like."""

    path: str
    tail: tuple[int | None, ...]  # shape after the first axis; None is any size
    rows: Literal["frame", "imu", "point"]  # what the first axis counts
    unit: str
    check_zero: bool = False  # whether an all-zero row means that nothing was estimated there
    optional: bool = False  # whether its stream can be used without it


@dataclass(frozen=True)
class StreamLayout:
    """A group of datasets that is usable only as a whole, but for the optional ones."""

    name: str
    datasets: tuple[Dataset, ...]
    meaning: str  # one phrase for readers


STREAMS = (
    StreamLayout(
        "pose",
        (
            Dataset(QUATERNION, (4,), "frame", "quaternion wxyz", check_zero=True),
            Dataset(TRANSLATION, (3,), "frame", "m"),
        ),
        "SLAM pose, world to rig",
    ),
    StreamLayout("point_cloud", (Dataset(POINT_CLOUD, (3,), "point", "m"),), "sparse SLAM map"),
    StreamLayout(
        "hand_left",
        (Dataset(HAND_LEFT, (N_HAND_JOINTS, 3), "frame", "m", check_zero=True),),
        "left MANO joints, camera coordinate frame",
    ),
    StreamLayout(
        "hand_right",
        (Dataset(HAND_RIGHT, (N_HAND_JOINTS, 3), "frame", "m", check_zero=True),),
        "right MANO joints, camera coordinate frame",
    ),
    StreamLayout(
        "body",
        (Dataset(KEYPOINTS, (N_BODY_JOINTS, 3), "frame", "m", check_zero=True),),
        "SMPL-H joints, world coordinate frame",
    ),
    StreamLayout(
        "contacts", (Dataset(CONTACTS, (N_CONTACTS,), "frame", "1"),), "contact of body joints"
    ),
    StreamLayout(
        "imu",
        (
            Dataset(IMU_STAMPS, (), "imu", "ns"),
            Dataset(IMU_ACCEL, (3,), "imu", "m/s²"),
            Dataset(IMU_GYRO, (3,), "imu", "rad/s"),
            Dataset(IMU_KEYFRAMES, (), "frame", "index"),
        ),
        "accelerometer and gyroscope",
    ),
    StreamLayout(
        "depth",
        (
            Dataset(DEPTH, (None, None), "frame", "m"),
            Dataset(CONFIDENCE, (None, None), "frame", "1", optional=True),
        ),
        "depth map and its confidence",
    ),
)
