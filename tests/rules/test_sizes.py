"""Lines of the library and of its tests, room by room, held to a budget.

Run this file with `pytest -s`, or by itself, to see the sizes. A budget may be changed with a
reason; what it is for is that a room doesn't grow unseen.
"""

from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
LIBRARY, TESTS = REPOSITORY / "lib" / "xperience", REPOSITORY / "tests"

TOP = "(top)"
"""Modules and test files that are in no room."""
BUDGETS = {  # room: (lines of the library, lines of tests)
    TOP: (1_583, 325),
    "cohort": (1_735, 1_320),
    "console": (0, 270),
    "evaluation": (4_305, 2_295),
    "export": (1_460, 1_292),
    "faults": (0, 1_640),
    "features": (2_640, 1_900),
    "hub": (780, 800),
    "lab": (0, 180),
    "models": (2_330, 1_165),
    "qwen": (4_040, 2_080),
    "recording": (3_655, 2_195),
    "report": (11_554, 3_790),
    "rules": (0, 880),
    "run": (1_740, 1_300),
    "site": (0, 910),
    "standin": (3_010, 700),
    "storage": (0, 340),
    "studies": (3_125, 1_600),
    "sync": (1_240, 795),
    "tasks": (1_815, 710),
}


def lines_of(folder: Path) -> int:
    """Return the lines of a room's Python files; of the top folder, of those in no room."""
    paths = folder.glob("*.py") if folder in (LIBRARY, TESTS) else folder.rglob("*.py")
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)


@cache
def sizes() -> dict[str, tuple[int, int]]:
    """Return the lines of each room: in the library, in the tests."""
    folders = [path for place in (LIBRARY, TESTS) for path in place.iterdir() if path.is_dir()]
    rooms = sorted({path.name for path in folders if any(path.rglob("*.py"))})
    found = {room: (lines_of(LIBRARY / room), lines_of(TESTS / room)) for room in rooms}
    return {TOP: (lines_of(LIBRARY), lines_of(TESTS))} | found


def table() -> str:
    """Return sizes and budgets as lines for readers."""
    lines = [f"{'room':<12} {'library':>8} {'budget':>8} {'tests':>8} {'budget':>8}"]
    for room, (library, tests) in sizes().items():
        most, most_tests = BUDGETS.get(room, (0, 0))
        lines.append(f"{room:<12} {library:>8,} {most:>8,} {tests:>8,} {most_tests:>8,}")
    library, tests = (sum(column) for column in zip(*sizes().values(), strict=True))
    return "\n".join([*lines, f"{'all':<12} {library:>8,} {'':>8} {tests:>8,}"])


def test_every_room_has_a_budget_and_none_is_of_a_room_that_is_gone():
    print(f"\n{table()}")
    assert set(BUDGETS) == set(sizes())


@pytest.mark.parametrize("room", BUDGETS)
def test_a_room_keeps_to_its_budget(room):
    found = sizes().get(room, (0, 0))
    over = [f"{n:,} of {most:,}" for n, most in zip(found, BUDGETS[room], strict=True) if n > most]
    assert over == [], f"{room} is larger than its budget:\n{table()}"


if __name__ == "__main__":
    print(table())
