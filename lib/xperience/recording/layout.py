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
    """What one HDF5 dataset of an episode must look like, and what it means."""

    path: str
    tail: tuple[int | None, ...]  # shape after the first axis; None is any size
    rows: Literal["frame", "imu", "point", "value"]  # what the first axis counts; a value has none
    unit: str
    dtype: str  # as the simulator writes it; numbers of any type are read
    axes: str  # frame of reference or clock, for readers
    meaning: str  # for readers
    check_zero: bool = False  # whether an all-zero row means that nothing was estimated there
    optional: bool = False  # whether its stream can be used without it


@dataclass(frozen=True)
class StreamLayout:
    """A group of datasets that is usable only as a whole, but for the optional ones."""

    name: str
    datasets: tuple[Dataset, ...]
    meaning: str  # one phrase for readers


_DEVICE_CLOCK, _WORLD, _RIG, _REFERENCE = "device clock", "world", "rig", "reference camera"
_HAND = "21 MANO joints: wrist, then thumb, index, middle, ring, little, each from root to tip"

STREAMS = (
    StreamLayout(
        "pose",
        (
            Dataset(
                QUATERNION, (4,), "frame", "quaternion wxyz", "float64", "world to rig",
                "rotation R of x_rig = R x_world + t", check_zero=True,
            ),
            Dataset(
                TRANSLATION, (3,), "frame", "m", "float64", _RIG,
                "translation t of x_rig = R x_world + t",
            ),
        ),
        "SLAM pose, world to rig",
    ),
    StreamLayout(
        "point_cloud",
        (Dataset(POINT_CLOUD, (3,), "point", "m", "float32", _WORLD, "points of the SLAM map"),),
        "sparse SLAM map",
    ),
    *(
        StreamLayout(
            f"hand_{side}",
            (
                Dataset(
                    path, (N_HAND_JOINTS, 3), "frame", "m", "float64", _REFERENCE, _HAND,
                    check_zero=True,
                ),
            ),
            f"{side} MANO joints, camera coordinate frame",
        )
        for side, path in (("left", HAND_LEFT), ("right", HAND_RIGHT))
    ),
    StreamLayout(
        "body",
        (
            Dataset(
                KEYPOINTS, (N_BODY_JOINTS, 3), "frame", "m", "float64", _WORLD,
                "52 SMPL-H joints: 22 of the body, the pelvis first, then 15 of each hand",
                check_zero=True,
            ),
        ),
        "SMPL-H joints, world coordinate frame",
    ),
    StreamLayout(
        "contacts",
        (
            Dataset(
                CONTACTS, (N_CONTACTS,), "frame", "1", "float32", "",
                "one value per body part; above 0 it touches something",
            ),
        ),
        "contact of body joints",
    ),
    StreamLayout(
        "imu",
        (
            Dataset(IMU_STAMPS, (), "imu", "ns", "int64", _DEVICE_CLOCK, "time of each sample"),
            Dataset(
                IMU_ACCEL, (3,), "imu", "m/s²", "float64", _RIG,
                "acceleration; at rest it points up, with the length of gravity",
            ),
            Dataset(IMU_GYRO, (3,), "imu", "rad/s", "float64", _RIG, "angular velocity"),
            Dataset(
                IMU_KEYFRAMES, (), "frame", "index", "int64", "",
                "the inertial sample taken at each frame, counted from 0",
            ),
        ),
        "accelerometer and gyroscope",
    ),
    StreamLayout(
        "depth",
        (
            Dataset(
                DEPTH, (None, None), "frame", "m", "float16", "depth camera",
                f"depth map; whole numbers are metres after multiplication by `{DEPTH_SCALE}`",
            ),
            Dataset(
                CONFIDENCE, (None, None), "frame", "1", "uint8", "depth camera",
                "confidence of each depth, 0 to 255 (or 0 to 1)", optional=True,
            ),
        ),
        "depth map and its confidence",
    ),
)  # fmt: skip

VIDEO_CLOCK = Dataset(
    VIDEO_STAMPS, (), "frame", "ns", "int64", _DEVICE_CLOCK,
    "time of each frame, where its name tells none",
)  # fmt: skip
CAPTIONS = Dataset(
    CAPTION_KEYS[0], (), "value", "", "text", "",
    "captions as JSON, or the path of a JSON file in the episode's folder; may be named "
    f"`{CAPTION_KEYS[1]}`",
)  # fmt: skip
OTHERS = (
    Dataset(
        FRAME_NAMES, (), "frame", "", "text", _DEVICE_CLOCK,
        "picture's name: its time in ns (`75294505147569.jpg`) or number (`frame_000123.jpg`)",
    ),
    Dataset(
        f"{CALIBRATION}/cam0…3/T_c_b", (4, 4), "value", "m", "float64", "rig to fisheye camera",
        "rigid motion; in its place `T_cn_cnm1`, from the camera before",
    ),
    Dataset(
        f"{CALIBRATION}/cam0…3/intrinsics", (5,), "value", "px", "float64", "picture",
        "xi (without unit), fx, fy, cx, cy of the unified camera model",
    ),
    Dataset(
        f"{CALIBRATION}/cam0…3/resolution", (2,), "value", "px", "int64", "picture",
        "width and height that `intrinsics` are given for",
    ),
    Dataset(
        f"{CALIBRATION}/cam01/T_c0_b", (4, 4), "value", "m", "float64", "rig to reference camera",
        "rigid motion; without it the rig is the reference camera",
    ),
    Dataset(
        f"{CALIBRATION}/cam01/K", (3, 3), "value", "px", "float64", "picture",
        "pinhole matrix of both stereo cameras",
    ),
    Dataset(DEPTH_MIN, (), "value", "m", "float32", "", "least depth; 0 where it is absent"),
    Dataset(DEPTH_MAX, (), "value", "m", "float32", "", "greatest depth; 4 where it is absent"),
    Dataset(
        DEPTH_SCALE, (), "value", "m", "float32", "", "metres of depth 1, if depths are whole"
    ),
    Dataset(
        STEREO_BASELINE, (), "value", "m", "float64", "",
        "distance of the stereo cameras; the release doesn't hold it",
    ),
    VIDEO_CLOCK,
    Dataset(
        VIDEO_NUMBERS, (), "frame", "index", "int64", "", "number of each frame; isn't read"
    ),
    CAPTIONS,
)  # fmt: skip
"""What is read besides the streams."""
