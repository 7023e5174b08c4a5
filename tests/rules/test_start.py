"""The command line starts at once: a verb loads its own room, and only when it is called."""

import resource
import subprocess
import sys

import pytest

HEAVY = (
    "av",
    "cv2",
    "h5py",
    "librosa",
    "matplotlib",
    "numpy",
    "pandas",
    "seaborn",
    "sklearn",
    "torch",
)
MAX_CPU_S, TYPER_CPU_S = 0.5, 0.12


def children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize(
    ("module", "refused"),
    [
        ("xperience.cli", (*HEAVY, "pydantic", "yaml", "importlib.metadata")),
        ("xperience.run.plan", tuple(set(HEAVY) - {"h5py", "numpy", "pandas"})),
    ],
)
def test_starting_loads_nothing_heavy(module, refused):
    code = f"import {module}, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert module in loaded
    assert set(refused) & set(loaded) == set()


def test_help_answers_in_half_a_second_of_cpu():
    """Half a second on the processor it was set on; another's speed is what importing Typer takes.

    Typer's own import took 0.12 s there. The two are measured by turns, since a busy machine slows
    both; the best of five counts.
    """
    call = "from xperience.cli import app; app(['--help'], prog_name='xperience')"
    spent: dict[str, list[float]] = {call: [], "import typer": []}
    for code in list(spent) * 5:
        before = children_s()
        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        spent[code].append(children_s() - before)
        assert code != call or b"standin" in answer.stdout
    best, typer = (min(each) for each in spent.values())
    assert best <= MAX_CPU_S * max(1, typer / TYPER_CPU_S)
