"""A person who moves as people do, and the tools to put that recording into another world."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

N_WALK = 120


@pytest.fixture(scope="session")
def worlds() -> ModuleType:
    """The module that moves the world of an episode."""
    spec = importlib.util.spec_from_file_location("worlds", Path(__file__).with_name("worlds.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def walk(simulated: Callable[..., Path]) -> Path:
    """A simulated episode of six seconds that nobody changes."""
    return simulated(frames=N_WALK)
