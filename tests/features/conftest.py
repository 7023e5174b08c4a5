"""A person who moves as people do; tables of either contract; plain statistics."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from xperience.features.extract import extract
from xperience.features.table import WindowTable

N_WALK = 120
TableOf = Callable[..., WindowTable]


@pytest.fixture(scope="session")
def walk(simulated: Callable[..., Path]) -> Path:
    """A simulated episode of six seconds that nobody changes."""
    return simulated(frames=N_WALK)


@pytest.fixture
def table_of(tmp_path: Path, stream_cache: Path) -> TableOf:
    """Return a function (episode folder, contract) that extracts and opens a windows table."""

    def extracted(folder: Path, contract: str = "corrected") -> WindowTable:
        out = tmp_path / f"{folder.parent.name}.{contract}.parquet"
        extract(folder, out, contract=contract, cache=stream_cache, workers=1)
        return WindowTable(out)

    return extracted


def seven(frames: np.ndarray, there: np.ndarray | None = None) -> np.ndarray:
    """The seven statistics, frame by frame in double precision, over the frames that are there."""
    frames = np.asarray(frames, np.float64).reshape(len(frames), -1)
    there = np.ones(len(frames), bool) if there is None else there
    kept = frames[there]
    pairs = [(a, b) for a, b in pairwise(range(len(frames))) if there[a] and there[b]]
    steps = np.array([frames[b] - frames[a] for a, b in pairs] or [np.zeros(frames.shape[1])])
    rows = [kept.mean(0), kept.std(0), kept.min(0), kept.max(0), kept[-1] - kept[0]]
    return np.concatenate([*rows, steps.mean(0), steps.std(0)])
