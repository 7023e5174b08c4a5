"""Shared by all tests: repeatable examples, and a tiny episode to plant faults in."""

import importlib.util
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import settings

from xperience.features.extract import extract
from xperience.features.table import WindowTable

settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")

ROOT = Path(__file__).parents[1]
N_TINY = 60


@pytest.fixture(scope="session")
def builder() -> ModuleType:
    """The module that writes tiny episodes and plants faults in them."""
    path = ROOT / "tests" / "episode" / "builder.py"
    spec = importlib.util.spec_from_file_location("tiny_episode_builder", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def whole_tiny(builder: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole episode of 60 frames that nobody changes."""
    return builder.write_episode(tmp_path_factory.mktemp("whole") / "ep", N_TINY)


@pytest.fixture
def tiny(whole_tiny: Path, tmp_path: Path) -> Path:
    """A copy of the tiny episode, to plant faults in."""
    return Path(shutil.copytree(whole_tiny, tmp_path / "ep"))


@pytest.fixture(scope="session")
def oracle() -> Path:
    """The folder of a small episode and what the published pipeline computed from it."""
    shared = Path(os.environ.get("XPERIENCE_SHARED", ROOT.parent / "shared"))
    folder = shared / "oracle" / "small"
    if not folder.is_dir():
        pytest.skip("no oracle: XPERIENCE_SHARED names no folder that holds oracle/small")
    return folder


@pytest.fixture(scope="session")
def stream_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finished streams of the tiny episode, for tests that change something else."""
    return tmp_path_factory.mktemp("streams")


@pytest.fixture
def windows_of(tmp_path: Path, stream_cache: Path) -> Callable[[Path], WindowTable]:
    """Return a function (episode folder) that extracts and opens its windows table."""

    def extracted(folder: Path) -> WindowTable:
        out = tmp_path / "windows.parquet"
        extract(folder, out, cache=stream_cache, workers=1)
        return WindowTable(out)

    return extracted


@pytest.fixture
def whole_table(whole_tiny: Path, stream_cache: Path) -> WindowTable:
    """The windows table of the tiny episode before anything is planted in it."""
    out = stream_cache / "whole.parquet"
    if not out.is_file():
        extract(whole_tiny, out, cache=stream_cache, workers=1)
    return WindowTable(out)


@pytest.fixture(scope="session")
def published() -> Path:
    """The published record, read in place."""
    folder = Path(os.environ.get("XPERIENCE_SHARED", ROOT / ".." / "shared")) / "published"
    if not folder.is_dir():
        pytest.skip(f"the published record is not at {folder}; set XPERIENCE_SHARED")
    return folder
