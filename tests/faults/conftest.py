"""The clean recording that faults are planted in, and the tally at the end of a run."""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import av
import pytest

from xperience.recording import media

from .judging import NEVER, OUTCOMES, UNDETECTABLE, Readings, read


@pytest.fixture(scope="package", autouse=True)
def _quiet_decoder() -> Iterator[None]:
    """Keep FFmpeg's complaints about damaged videos out of the output."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.PANIC)
    yield
    av.logging.set_level(level)


@pytest.fixture(scope="session")
def clean(simulated) -> Path:
    """A recording of 60 frames that nobody changes."""
    return simulated(frames=60, size_px=(48, 32), depth_size_px=(16, 16), seed=3)


def identity(path: Path) -> tuple[int, int]:
    """Return the device and inode of a file: hard links share it."""
    found = path.stat()
    return found.st_dev, found.st_ino


@pytest.fixture(scope="package", autouse=True)
def _untouched_videos_are_looked_at_once(clean: Path) -> Iterator[None]:
    """Remember probes and times of the clean videos; what a fault leaves alone is a hard link."""
    known = {identity(path): path for path in clean.glob("*.mp4")}

    def remembered(look: Callable[[Path], Any]) -> Callable[[Path], Any]:
        of_clean = cache(look)

        def looked(path: Path) -> Any:
            source = known.get(identity(path)) if path.is_file() else None
            return of_clean(source) if source else look(path)

        return looked

    with pytest.MonkeyPatch.context() as patch:
        for name in ("probe", "read_timeline"):
            patch.setattr(media, name, remembered(getattr(media, name)))
        yield


@pytest.fixture(scope="session")
def fault_cache(tmp_path_factory) -> Path:
    """Finished streams of the clean recording, which most faults leave as they are."""
    return tmp_path_factory.mktemp("streams")


@pytest.fixture(scope="session")
def clean_readings(clean, fault_cache, tmp_path_factory) -> Readings:
    readings = read(clean, tmp_path_factory.mktemp("clean"), fault_cache)
    assert readings.report.usable
    assert not readings.named
    for table in readings.tables.values():
        assert not table.info.missing_blocks
        assert not table.info.partial_blocks
    return readings


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print where kills fell, what became of the faults by kind, and what nobody could detect."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports
               if getattr(report, "when", "") == "call"]  # fmt: skip
    if kills := [text for r in reports for name, text in r.user_properties if name == "kill"]:
        terminalreporter.section(f"{len(kills)} kills")
        terminalreporter.write("\n".join([*kills, ""]))
    told = [dict(report.user_properties) for report in reports]
    if told := [one for one in told if "fault" in one]:
        terminalreporter.section(f"{len(told)} faults: what became of them")
        terminalreporter.write("\n".join([*_tally(told), ""]))


def _tally(told: list[dict[str, str]]) -> Iterator[str]:
    """Yield a table of kinds of faults and outcomes, then the faults that can't be detected."""
    counts = Counter((one["kind"], one["outcome"]) for one in told)
    counts.update(("all", one["outcome"]) for one in told)
    columns = [*OUTCOMES, NEVER]
    width = max(len(one["kind"]) for one in told)
    yield "  ".join([" " * width, *columns])
    for kind in [*sorted({one["kind"] for one in told}), "all"]:
        cells = (f"{counts[kind, column] or '':>{len(column)}}" for column in columns)
        yield "  ".join([kind.ljust(width), *cells])
    hidden = sorted(one["fault"] for one in told if one["outcome"] == UNDETECTABLE)
    yield f"{UNDETECTABLE}, within the range of the stream: {', '.join(hidden)}"
