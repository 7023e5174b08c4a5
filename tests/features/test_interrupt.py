"""Kill it or interrupt it, and run it again."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest

from xperience.features.extract import extract
from xperience.features.table import WindowTable

SLOW = """
import sys, time
from xperience.features import video

quick_rows = video.video_rows

def slow_rows(path, *job):
    for rows in quick_rows(path, *job):
        for row in rows:
            time.sleep(0.5 if path.stem == "fisheye_cam2" else 0.005)
            yield row[None]

video.video_rows = slow_rows  # workers import this file as well

if __name__ == "__main__":
    from xperience.cli import app
    app()
"""
PATIENCE_S = 60


def finished(out: Path) -> dict[Path, int]:
    paths = (out / "cache").glob("[a-z]*.npy")
    return {path: path.stat().st_mtime_ns for path in paths}


@pytest.fixture
def start(tiny: Path, tmp_path: Path) -> Iterator[Callable[[int], subprocess.Popen]]:
    """Return a function (workers) that starts an extraction and waits until it is in the middle.

    That is in a stream that takes half a minute, after at least two others.
    """
    script, out = tmp_path / "slow.py", tmp_path / "out"
    script.write_text(SLOW)
    processes = []

    def started(workers: int) -> subprocess.Popen:
        command = [sys.executable, str(script), "features", str(tiny)]
        command += ["--out", str(out / "w.parquet"), "--workers", str(workers)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        processes.append(process)
        until = time.monotonic() + PATIENCE_S
        while len(finished(out)) < 2 or not any(out.rglob(".video_fisheye_cam2*")):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < until
            time.sleep(0.02)
        return process

    yield started
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("workers", "sent"), [(2, signal.SIGKILL), (2, signal.SIGINT), (1, signal.SIGTERM)]
)
def test_what_was_finished_is_taken_up(
    *,
    tiny: Path,
    tmp_path: Path,
    start: Callable,
    whole_table: WindowTable,
    workers: int,
    sent: signal.Signals,
) -> None:
    """What was finished is not done twice, the table is that of a run in one go."""
    process, out = start(workers), tmp_path / "out"
    family = psutil.Process(process.pid).children(recursive=True)
    until = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < until:
        process.send_signal(sent)  # again if it was lost, as somebody who waits does
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
    assert process.returncode not in (None, 0)
    _, alive = psutil.wait_procs(family, timeout=PATIENCE_S)
    assert alive == []  # workers end with their parent
    if sent != signal.SIGKILL:
        assert list(out.rglob(".*")) == []
        assert b"Traceback" not in process.stderr.read()
    kept = finished(out)
    assert 2 <= len(kept) < 8
    assert all(len(np.load(path)) == 60 for path in kept)
    assert not (out / "w.parquet").exists()
    extract(tiny, out / "w.parquet", workers=1)
    assert kept.items() <= finished(out).items()
    assert len(finished(out)) == 8
    assert (out / "w.parquet").read_bytes() == whole_table.path.read_bytes()
