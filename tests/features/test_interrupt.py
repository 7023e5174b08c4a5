"""Kill it or interrupt it, and run it again."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from xperience.features.extract import extract

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


@pytest.fixture
def start(tiny: Path, tmp_path: Path) -> Callable[[int], subprocess.Popen]:
    """Return a function (workers) that starts an extraction and waits until it is in the middle.

    That is in a stream that takes half a minute, after at least two others.
    """
    script = tmp_path / "slow.py"
    script.write_text(SLOW)
    processes = []

    def started(workers: int) -> subprocess.Popen:
        command = [sys.executable, str(script), "features", str(tiny)]
        command += ["--out", str(tmp_path / "out" / "w.parquet"), "--workers", str(workers)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        processes.append(process)
        until = time.monotonic() + PATIENCE_S
        while len(finished(tmp_path)) < 2 or not at_work(tmp_path, "video_fisheye_cam2"):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < until
            time.sleep(0.02)
        return process

    yield started
    for process in processes:
        process.kill()
        process.communicate()


def finished(tmp_path: Path) -> dict[Path, int]:
    paths = (tmp_path / "out" / "cache").glob("[a-z]*.npy")
    return {path: path.stat().st_mtime_ns for path in paths}


def at_work(tmp_path: Path, block: str) -> bool:
    return any((tmp_path / "out").rglob(f".{block}*"))


def scratch(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "out").rglob(".*"))


def assert_taken_up(tiny: Path, tmp_path: Path, kept: dict[Path, int]) -> None:
    """Run again: what was finished is not done twice, the table is that of a run in one go."""
    assert 2 <= len(kept) < 8
    assert all(len(np.load(path)) == 60 for path in kept)
    out = tmp_path / "out" / "w.parquet"
    assert not out.exists()
    extract(tiny, out, workers=1)
    assert kept.items() <= finished(tmp_path).items()
    assert len(finished(tmp_path)) == 8
    extract(tiny, tmp_path / "in_one_go" / "w.parquet", workers=1)
    assert out.read_bytes() == (tmp_path / "in_one_go" / "w.parquet").read_bytes()


def test_killed(tiny: Path, tmp_path: Path, start: Callable) -> None:
    process = start(2)
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []  # workers end with their parent
    assert_taken_up(tiny, tmp_path, finished(tmp_path))


@pytest.mark.parametrize(
    ("workers", "sent"), [(1, signal.SIGINT), (2, signal.SIGINT), (2, signal.SIGTERM)]
)
def test_interrupted(
    tiny: Path, tmp_path: Path, start: Callable, workers: int, sent: signal.Signals
) -> None:
    process = start(workers)
    family = psutil.Process(process.pid).children(recursive=True)
    began = time.monotonic()
    process.send_signal(sent)
    assert process.wait(timeout=PATIENCE_S) != 0
    assert time.monotonic() - began < 10
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
    assert scratch(tmp_path) == []
    assert b"Traceback" not in process.stderr.read()
    assert_taken_up(tiny, tmp_path, finished(tmp_path))
