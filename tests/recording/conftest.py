"""What a test of a planted fault expects of the report and of the windows tables."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from xperience.features.blocks import BLOCKS, CONTRACTS
from xperience.features.extract import extract
from xperience.features.table import WindowTable
from xperience.recording.inspect import StreamReport, inspect_episode

N, N_WINDOWS = 60, 9
ALL = set(range(N_WINDOWS))
HANDS, BODY = {"hand_left_joints", "hand_right_joints"}, {"body_joints"}
CAMERA = {"camera_translation", "camera_rotation_matrix"}
TEXT = "caption_objects_interaction_text"

Extract = Callable[[Path], WindowTable]
Tables = Callable[[Path], dict[str, WindowTable]]


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


def windows_on(first: int, last: int, more_than: int = 0) -> set[int]:
    """Windows with more than so many of the frames first to last."""
    frames = set(range(first, last + 1))
    return {w for w in ALL if len(frames & set(range(5 * w, 5 * w + 20))) > more_than}


def assert_only_missing(table: WindowTable, whole: WindowTable, blocks: set[str]) -> None:
    assert set(table.info.missing_blocks) == blocks
    assert all(table.info.missing_blocks.values())
    for block in BLOCKS:
        if block.name in blocks:
            assert null_windows(table, block.name) == ALL
        elif block.name not in table.info.partial_blocks:
            np.testing.assert_array_equal(table.block(block.name), whole.block(block.name))


def of_both_contracts(folder: Path, out: Path, cache: Path) -> dict[str, WindowTable]:
    found = {}
    for contract in CONTRACTS:
        path = out / f"both-{contract}.parquet"
        extract(folder, path, contract=contract, cache=cache, workers=1)
        found[contract] = WindowTable(path)
    return found


@pytest.fixture
def tables(tmp_path: Path, stream_cache: Path) -> Tables:
    """Return a function (episode folder) that gives its table under each contract."""
    return lambda folder: of_both_contracts(folder, tmp_path, stream_cache)


@pytest.fixture(scope="session")
def whole_tables(whole_tiny: Path, stream_cache: Path) -> dict[str, WindowTable]:
    """The tables of the tiny episode before anything is planted."""
    return of_both_contracts(whole_tiny, stream_cache, stream_cache)
