"""What a test of a planted fault expects of the report and of the windows table."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from xperience.features.blocks import BLOCKS
from xperience.features.table import WindowTable
from xperience.recording.inspect import StreamReport, inspect_episode

N, N_WINDOWS = 60, 9
HANDS, BODY = {"hand_left_joints", "hand_right_joints"}, {"body_joints"}
CAMERA = {"camera_translation", "camera_rotation_matrix"}
TEXT = {"caption_objects_interaction_text"}
FRAME_GROUPS = ("slam", "hand_mocap", "full_body_mocap", "imu", "depth")

Extract = Callable[[Path], WindowTable]


def report_of(folder: Path, stream: str) -> StreamReport:
    report = inspect_episode(folder)
    assert report.usable, report.faults
    report.to_json()
    return next(row for row in report.streams if row.stream == stream)


def null_windows(table: WindowTable, block: str) -> set[int]:
    """Windows without values; a window is null or finite as a whole."""
    unknown = np.isnan(table.block(block))
    assert (unknown.all(1) == unknown.any(1)).all()
    return set(np.flatnonzero(unknown.all(1)).tolist())


def windows_on(first: int, last: int) -> set[int]:
    """Windows that touch frames first to last."""
    return {w for w in range(N_WINDOWS) if 5 * w <= last and 5 * w + 19 >= first}


def assert_only_missing(table: WindowTable, whole: WindowTable, blocks: set[str]) -> None:
    assert set(table.info.missing_blocks) == blocks
    assert all(table.info.missing_blocks.values())
    for block in BLOCKS:
        if block.name in blocks:
            assert null_windows(table, block.name) == set(range(N_WINDOWS))
        elif block.name not in table.info.partial_blocks:
            np.testing.assert_array_equal(table.block(block.name), whole.block(block.name))
