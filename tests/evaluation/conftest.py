"""One simulated recording of 45 seconds, with its windows under both contracts."""

from collections.abc import Callable
from pathlib import Path

import pytest

from xperience.features.blocks import CONTRACTS
from xperience.features.extract import extract
from xperience.features.table import WindowTable


@pytest.fixture(scope="session")
def episode(simulated: Callable[..., Path]) -> Path:
    return simulated(frames=900)


@pytest.fixture(scope="session")
def windows(episode: Path, made_once: Callable[..., Path]) -> dict[str, Path]:
    """The windows table of each contract."""

    def make(folder: Path) -> None:
        for contract in CONTRACTS:
            extract(episode, folder / f"{contract}.parquet", contract=contract, workers=1)

    folder = made_once(f"windows-{episode.parent.name}", make)
    return {contract: folder / f"{contract}.parquet" for contract in CONTRACTS}


@pytest.fixture(scope="session")
def table(windows: dict[str, Path]) -> WindowTable:
    return WindowTable(windows["corrected"])
