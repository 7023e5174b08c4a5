"""Every stream, damaged in every way: named, masked or refused; never a wrong value in silence."""

import os
import shutil
import warnings
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from xperience.cli import app

from . import annotation_faults, video_faults
from .catalogue import Case
from .judging import (
    ERROR,
    MASKED,
    NAMED,
    NEVER,
    UNCHANGED,
    UNDETECTABLE,
    Readings,
    outcome,
    read,
)

CASES = (*annotation_faults.cases(), *video_faults.cases())
FEWEST_CASES = 200
REFUSED = ("calibration: absent", "file: headers' bit flips #1", "file: truncated at 99.9%")
SAMPLED = [case for n, case in enumerate(CASES) if n % 18 == 0 or case.name in REFUSED]
"""Those that go through the command line too, down to the scores."""

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120, method="thread")]


@pytest.fixture
def damaged(clean: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A recording with the fault of the test's case; files it leaves alone are hard links."""
    case: Case | str = request.getfixturevalue("case")
    if isinstance(case, str):
        case = next(known for known in CASES if known.name == case)
    folder = tmp_path / "ep"
    folder.mkdir()
    for path in clean.iterdir():
        (shutil.copyfile if path.name == case.file else os.link)(path, folder / path.name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of arithmetic with what is planted
        case.plant(folder, case.rng)
    return folder


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_fault_is_named_masked_or_refused(
    *,
    case: Case,
    damaged: Path,
    clean: Path,
    clean_readings: Readings,
    fault_cache: Path,
    tmp_path: Path,
    record_property,
) -> None:
    record_property("fault", case.name)
    record_property("kind", case.kind.partition(" (")[0].partition(" at ")[0])
    result = NEVER
    try:
        seen = read(damaged, tmp_path, fault_cache)
        result = outcome(clean_readings, seen, (clean, damaged))
    finally:
        record_property("outcome", result)


@pytest.mark.parametrize("case", SAMPLED, ids=lambda case: case.name)
def test_a_fault_through_the_command_line(
    case: Case, damaged: Path, fault_cache: Path, tmp_path: Path
) -> None:
    table, rows = tmp_path / "windows.parquet", tmp_path / "rows.json"
    corrected, codes = ("--contract", "corrected"), []
    for words in (
        ("inspect", damaged),
        ("sync", damaged),
        ("features", damaged, "--out", table, *corrected, "--workers", 1, "--cache", fault_cache),
        ("suite", damaged, "--windows", table, "--out", rows, *corrected),
    ):
        done = CliRunner().invoke(app, [str(word) for word in words])
        assert isinstance(done.exception, SystemExit | None), repr(done.exception)
        assert done.exit_code in (0, 1)
        codes.append(done.exit_code)
        if done.exit_code:
            assert len(done.output.strip().splitlines()) <= 2  # inspect has a title
    assert len(set(codes)) == 1, f"exit codes {codes} of inspect, sync, features, suite"
    assert rows.exists() == (codes[-1] == 0)


@pytest.fixture
def planted(damaged: Path, fault_cache: Path, tmp_path: Path) -> tuple[Path, Readings]:
    return damaged, read(damaged, tmp_path, fault_cache)


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("stereo_right: packed anew", UNCHANGED),  # the tools add nothing of their own
        ("video-stamps: absent", UNCHANGED),
        ("left: bit flips (1)", UNDETECTABLE),
        ("left: NaN span", MASKED),
        ("cloud: NaN span", NAMED),
        ("file: empty", ERROR),
    ],
)
def test_the_judge_knows_its_classes(
    case: str,
    expected: str,
    clean: Path,
    clean_readings: Readings,
    planted: tuple[Path, Readings],
) -> None:
    folder, seen = planted
    assert outcome(clean_readings, seen, (clean, folder)) == expected


@pytest.mark.parametrize("case", ["left: implausible", "quat: no unit length", "keys: goes back"])
def test_the_judge_fails_a_change_that_nobody_names(
    case: str, clean: Path, clean_readings: Readings, planted: tuple[Path, Readings]
) -> None:
    """With readings that tell of nothing, though values differ."""
    folder, seen = planted
    for table in seen.tables.values():
        for notes in (table.info.missing_blocks, table.info.partial_blocks):
            notes.clear()
    silent = Readings(clean_readings.report, seen.tables)
    with pytest.raises(AssertionError, match="cannot be true"):
        outcome(clean_readings, silent, (clean, folder))


def test_there_are_enough_cases_each_with_a_name_of_its_own() -> None:
    names = Counter(case.name for case in CASES)
    assert len(CASES) >= FEWEST_CASES
    assert [name for name, n in names.items() if n > 1] == []
    assert {case.file for case in CASES} == {
        "annotation.hdf5",
        "fisheye_cam0.mp4",
        "stereo_right.mp4",
    }
