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

Rows = Literal["frame", "imu", "point"]


@dataclass(frozen=True)
class Dataset:
    """What one HDF5 dataset of an episode must look like.

    Parameters
    ----------
    path : str
        Path inside ``annotation.hdf5``.
    tail : tuple of int or None
        Shape after the first axis; ``None`` is any size.
    rows : {"frame", "imu", "point"}
        What the first axis counts.
    unit : str
        Unit of the values.
    check_zero : bool
        Whether an all-zero row means that nothing was estimated there.
    optional : bool
        Whether its stream can be used without it.
    """

    path: str
    tail: tuple[int | None, ...]
    rows: Rows
    unit: str
    check_zero: bool = False
    optional: bool = False


@dataclass(frozen=True)
class Stream:
    """A group of datasets that is usable only as a whole.

    Parameters
    ----------
    name : str
        Name in reports and tables.
    datasets : tuple of Dataset
        All are needed but the optional ones.
    meaning : str
        One phrase for readers.
    """

    name: str
    datasets: tuple[Dataset, ...]
    meaning: str


STREAMS = (
    Stream(
        "pose",
        (
            Dataset(QUATERNION, (4,), "frame", "quaternion wxyz", check_zero=True),
            Dataset(TRANSLATION, (3,), "frame", "m"),
        ),
        "SLAM pose, world to rig",
    ),
    Stream("point_cloud", (Dataset(POINT_CLOUD, (3,), "point", "m"),), "sparse SLAM map"),
    Stream(
        "hand_left",
        (Dataset(HAND_LEFT, (N_HAND_JOINTS, 3), "frame", "m", check_zero=True),),
        "left MANO joints, camera coordinate frame",
    ),
    Stream(
        "hand_right",
        (Dataset(HAND_RIGHT, (N_HAND_JOINTS, 3), "frame", "m", check_zero=True),),
        "right MANO joints, camera coordinate frame",
    ),
    Stream(
        "body",
        (Dataset(KEYPOINTS, (N_BODY_JOINTS, 3), "frame", "m", check_zero=True),),
        "SMPL-H joints, world coordinate frame",
    ),
    Stream("contacts", (Dataset(CONTACTS, (N_CONTACTS,), "frame", "1"),), "contact of body joints"),
    Stream(
        "imu",
        (
            Dataset(IMU_STAMPS, (), "imu", "ns"),
            Dataset(IMU_ACCEL, (3,), "imu", "m/s²"),
            Dataset(IMU_GYRO, (3,), "imu", "rad/s"),
            Dataset(IMU_KEYFRAMES, (), "frame", "index"),
        ),
        "accelerometer and gyroscope",
    ),
    Stream(
        "depth",
        (
            Dataset(DEPTH, (None, None), "frame", "m"),
            Dataset(CONFIDENCE, (None, None), "frame", "1", optional=True),
        ),
        "depth map and its confidence",
    ),
)
