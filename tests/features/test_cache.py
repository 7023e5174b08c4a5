"""Finished streams: reused for the same content and settings, never for any other."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from xperience.features import depth, streams, video
from xperience.features.extract import extract
from xperience.features.streams import StreamRows, run_jobs, stream_jobs
from xperience.features.table import WindowTable
from xperience.recording.files import recording_digests
from xperience.recording.recording import Recording

BLOCKS = {
    *(f"video_fisheye_cam{i}" for i in range(4)),
    *("video_stereo_left", "video_stereo_right", "depth_confidence", "audio_fisheye_cam0_aac"),
}


@pytest.fixture
def cache(whole_tiny: Path, stream_cache: Path, tmp_path: Path) -> Path:
    """A cache of its own, with the finished streams of the tiny episode."""
    run(whole_tiny, stream_cache)
    return Path(shutil.copytree(stream_cache, tmp_path / "cache"))


def jobs_of(folder: Path) -> list[streams.StreamJob]:
    with Recording(folder) as episode:
        return stream_jobs(episode, recording_digests(folder))


def run(folder: Path, cache: Path) -> dict[str, StreamRows]:
    return run_jobs(jobs_of(folder), cache, workers=1)


def computed(folder: Path, cache: Path) -> set[str]:
    """Run, and return the blocks that no earlier run had done."""
    return {block for block, rows in run(folder, cache).items() if not rows.reused}


def test_the_same_recording_is_recognised_wherever_it_lies(
    tiny: Path, tmp_path: Path, cache: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    rows = run(Path(shutil.copytree(tiny, tmp_path / "moved")), cache)
    assert set(rows) == BLOCKS
    assert all(one.reused for one in rows.values())
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == before


def test_a_changed_file_costs_its_streams_and_going_back_nothing(
    tiny: Path, cache: Path, builder: ModuleType
) -> None:
    """Neither size nor time of change hide that a byte differs."""
    path = tiny / "fisheye_cam0.mp4"
    old = path.read_bytes()
    raw = bytearray(old)
    raw[-1] ^= 1  # in the file's closing notes: same size, same pictures
    path.write_bytes(raw)
    shutil.copystat(tiny / "stereo_right.mp4", path)
    assert computed(tiny, cache) == {"video_fisheye_cam0", "audio_fisheye_cam0_aac"}
    path.write_bytes(old)
    builder.put(tiny, depth__depth_max=np.float32(3))
    assert computed(tiny, cache) == {"depth_confidence"}


def test_settings_code_and_libraries_are_part_of_the_key(
    whole_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = jobs_of(whole_tiny)
    before = {job: job.path(tmp_path) for job in jobs}
    for change in (
        {"n_frames": 59},
        {"bounds": ((0, 800),)},
        {"counted": False},
        {"quarter_turns": 1},
        {"digest": "0"},
        {"block": "another"},
    ):
        assert all(replace(job, **change).path(tmp_path) != before[job] for job in jobs)
    changed = tmp_path / "video.py"
    changed.write_text(Path(video.__file__).read_text() + "# another formula\n")
    monkeypatch.setattr(video, "__file__", str(changed))
    stale = {job.block for job in jobs if job.path(tmp_path) != before[job]}
    assert stale == {block for block in BLOCKS if block.startswith("video_")}
    monkeypatch.setitem(streams._LIBRARIES, "cv2", "0.0")
    assert not any(job.path(tmp_path) == before[job] for job in jobs)


def test_what_is_not_whole_is_never_taken(tiny: Path, cache: Path) -> None:
    whole = run(tiny, cache)
    want = {block: rows.path.read_bytes() for block, rows in whole.items()}
    damage = {
        "video_stereo_left": b"",
        "video_stereo_right": b"garbage" * 100,
        "video_fisheye_cam1": want["video_fisheye_cam1"][:-400],
        "video_fisheye_cam2": want["video_fisheye_cam2"][:64],
    }
    for block, content in damage.items():
        whole[block].path.write_bytes(content)
    gone = whole["video_fisheye_cam3"].path
    gone.rename(gone.with_name(f".{gone.stem}.x.part.npy"))
    again = run(tiny, cache)
    assert {b for b, rows in again.items() if not rows.reused} == {*damage, "video_fisheye_cam3"}
    assert {block: rows.path.read_bytes() for block, rows in again.items()} == want
    rows = again["depth_confidence"]
    np.testing.assert_array_equal(rows[7:31], np.load(rows.path)[7:31])
    assert rows[55:80].shape == (5, depth.N_KEPT)
    assert len(rows.read) == rows.n_rows == 60


def test_a_stream_that_fails_leaves_nothing_and_is_tried_again(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_rows = video.video_rows

    def broken(*job: Any) -> Iterator[np.ndarray]:
        yield next(true_rows(*job))[:5]
        raise MemoryError("no more")

    monkeypatch.setattr(video, "video_rows", broken)
    with pytest.raises(MemoryError):
        run(tiny, tmp_path / "cache")
    assert [path.name.split("-")[0] for path in (tmp_path / "cache").iterdir()] == [
        "depth_confidence"
    ]
    monkeypatch.undo()
    assert computed(tiny, tmp_path / "cache") == BLOCKS - {"depth_confidence"}


def test_a_failed_table_keeps_the_old_one(
    tiny: Path, tmp_path: Path, stream_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out" / "windows.parquet"
    extract(tiny, out, cache=stream_cache, workers=1)
    old = out.read_bytes()
    monkeypatch.setattr("xperience.features.extract._label", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        extract(tiny, out, cache=stream_cache, workers=1)
    assert out.read_bytes() == old
    assert list(out.parent.iterdir()) == [out]


def test_the_table_does_not_depend_on_the_number_of_processes(
    tiny: Path, tmp_path: Path, whole_table: WindowTable
) -> None:
    steps = {}

    def on_progress(name: str, done: int, total: int) -> None:
        steps[name] = (done, total)

    extract(tiny, tmp_path / "w.parquet", workers=2, on_progress=on_progress)
    assert set(steps) == {*BLOCKS, "digests", "windows"}
    assert all(done == total for done, total in steps.values())
    assert (tmp_path / "w.parquet").read_bytes() == whole_table.path.read_bytes()
