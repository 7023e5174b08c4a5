"""One simulated recording of 45 seconds, with its windows under both contracts."""

from collections.abc import Callable
from pathlib import Path

import pytest

from xperience.features.table import WindowTable


@pytest.fixture(scope="session")
def episode(simulated: Callable[..., Path]) -> Path:
    return simulated(frames=900)


@pytest.fixture(scope="session")
def windows(episode: Path, tables_of: Callable[[Path], dict[str, Path]]) -> dict[str, Path]:
    """The windows table of each contract."""
    return tables_of(episode)


@pytest.fixture(scope="session")
def table(windows: dict[str, Path]) -> WindowTable:
    return WindowTable(windows["corrected"])
