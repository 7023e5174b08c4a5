"""The feature blocks of a window: names, sizes, order. The layout is fixed, whatever is missing."""

from dataclasses import dataclass

from xperience.errors import ParamsError, did_you_mean
from xperience.recording import layout

N_STATS = 7
N_VIDEO, N_DEPTH, N_AUDIO, N_TEXT = 98, 140, 24, 128
N_CLOUD, N_CALIBRATION = 22, 117

CONTRACTS = ("published", "corrected")


@dataclass(frozen=True)
class Block:
    """One feature block."""

    name: str  # column of the windows table
    per_frame: int  # values a frame; 0 for a static block, which is the same in every window
    dim: int  # values a window
    modality: str  # what it measures: "motion", "visual", "audio", "text" or "scene"
    streams: tuple[str, ...]  # that it needs, all of them; see `streams_needed`


def _moving(name: str, per_frame: int, modality: str, *streams: str) -> Block:
    return Block(name, per_frame, N_STATS * per_frame, modality, streams)


_HAND, _BODY = 3 * layout.N_HAND_JOINTS, 3 * layout.N_BODY_JOINTS

BLOCKS = (
    _moving("hand_left_joints", _HAND, "motion", "hand_left", "body"),
    _moving("hand_right_joints", _HAND, "motion", "hand_right", "body"),
    _moving("body_joints", _BODY, "motion", "body"),
    _moving("body_contacts", layout.N_CONTACTS, "motion", "contacts"),
    _moving("camera_translation", 3, "motion", "pose"),
    _moving("camera_rotation_matrix", 9, "motion", "pose"),
    _moving("imu_accel_gyro", 6, "motion", "imu"),
    _moving("depth_confidence", N_DEPTH, "visual", "depth"),
    *(_moving(f"video_{camera}", N_VIDEO, "visual", camera) for camera in layout.CAMERAS),
    _moving(f"audio_{layout.AUDIO_CAMERA}_aac", N_AUDIO, "audio", "audio"),
    _moving("caption_objects_interaction_text", N_TEXT, "text", "captions"),
    Block("slam_point_cloud", 0, N_CLOUD, "scene", ("point_cloud",)),
    Block("calibration", 0, N_CALIBRATION, "scene", ("calibration",)),
)
MODALITIES: dict[str, tuple[str, ...]] = {
    "motion": tuple(block.name for block in BLOCKS if block.modality == "motion"),
    "video": tuple(f"video_{camera}" for camera in layout.CAMERAS),
    "depth": ("depth_confidence",),
    "audio": tuple(block.name for block in BLOCKS if block.modality == "audio"),
    "text": tuple(block.name for block in BLOCKS if block.modality == "text"),
}
"""Blocks by what a study gives alone or leaves out; those of the scene are in none."""
BLOCKS_BY_NAME = {block.name: block for block in BLOCKS}
"""Those of the layout, and learned ones that were declared; see `xperience.features.learned`."""
N_FEATURES = sum(block.dim for block in BLOCKS)


_ALSO = {
    "hand_left_joints": ("pose",),
    "hand_right_joints": ("pose",),
    "camera_translation": ("body",),
    "camera_rotation_matrix": ("body",),
}


def streams_needed(block: Block, contract: str) -> tuple[str, ...]:
    """Return the streams that a block needs under a contract, all of them.

    Under `corrected` the pose brings hands from the camera to the world, and the camera's motion is
    relative to the body's heading.
    """
    return block.streams + (_ALSO.get(block.name, ()) if contract == "corrected" else ())


def check_contract(contract: str) -> str:
    """Return a contract's name, or raise ParamsError with the nearest one."""
    if contract not in CONTRACTS:
        way_out = did_you_mean(contract, CONTRACTS)
        raise ParamsError("contract", f"is {contract!r}", "the name of a feature contract", way_out)
    return contract
