"""One simulated recording of 45 seconds, with its windows under both contracts."""

from collections.abc import Callable
from pathlib import Path

import pytest

from xperience.features.extract import extract
from xperience.features.table import WindowTable


@pytest.fixture(scope="session")
def episode(simulated: Callable[..., Path]) -> Path:
    return simulated(frames=900)


@pytest.fixture(scope="session")
def windows(episode: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The windows table of each contract."""
    folder = tmp_path_factory.mktemp("windows")
    paths = {name: folder / f"{name}.parquet" for name in ("published", "corrected")}
    for contract, path in paths.items():
        extract(episode, path, contract=contract, workers=1)
    return paths


@pytest.fixture(scope="session")
def table(windows: dict[str, Path]) -> WindowTable:
    return WindowTable(windows["corrected"])
