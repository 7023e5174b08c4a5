"""Memory of the whole command: below 1 GB, and no more for a longer recording."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import psutil
import pytest

from xperience.features.table import WindowTable

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def long_episode(
    builder: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[int], Path]:
    def written(n_frames: int) -> Path:
        folder = tmp_path_factory.mktemp("long") / f"ep{n_frames}"
        folder.mkdir()
        builder.write_annotation(folder / "annotation.hdf5", n_frames)
        first, *others = (folder / f"{camera}.mp4" for camera in builder.CAMERAS)
        builder.write_video(first, n_frames, sound_s=n_frames / builder.FPS)
        for path in others:
            os.link(first, path)
        return folder

    return written


def own_memory(process: psutil.Process) -> int:
    """Bytes of a process, what it shares with others counted in parts where the system says so."""
    try:
        memory = process.memory_full_info()
        return getattr(memory, "pss", memory.uss)
    except psutil.Error:
        return 0


def peak_mb(folder: Path, out: Path) -> float:
    """Extract features with two workers; return the highest memory of all processes together."""
    call = "from xperience.cli import app; app()"
    command = [sys.executable, "-c", call, "features", str(folder), "--out", str(out)]
    process = psutil.Popen(
        [*command, "--workers", "2"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    highest = 0
    while process.poll() is None:
        try:
            family = [process, *process.children(recursive=True)]
        except psutil.Error:
            break
        highest = max(highest, sum(map(own_memory, family)))
        time.sleep(0.05)
    assert process.wait() == 0, process.stderr.read()
    assert len(WindowTable(out)) > 0
    shutil.rmtree(out.parent)
    return highest / 2**20


@pytest.mark.timeout(900)
def test_memory_is_bounded_whatever_the_length(
    long_episode: Callable[[int], Path], tmp_path: Path
) -> None:
    peaks = {
        n_frames: peak_mb(long_episode(n_frames), tmp_path / str(n_frames) / "w.parquet")
        for n_frames in (1_500, 5_000)
    }
    assert peaks[5_000] < 1000
    assert peaks[5_000] - peaks[1_500] < 25  # 7 KB a frame: less than a picture of each camera
