"""The command line starts at once: a verb loads its own room, and only when it is called."""

import subprocess
import sys

import pytest

HEAVY = ("h5py", "librosa", "matplotlib", "numpy", "pandas", "seaborn", "sklearn", "torch")


@pytest.mark.parametrize(
    ("module", "allowed"),
    [("xperience.cli", ()), ("xperience.run.plan", ("h5py", "numpy", "pandas"))],
)
def test_starting_loads_nothing_heavy(module, allowed):
    code = f"import {module}, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert module in loaded
    assert not (set(HEAVY) - set(allowed)) & set(loaded)
