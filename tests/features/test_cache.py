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
from xperience.recording.files import recording_digests
from xperience.recording.recording import Episode

BLOCKS = {
    *(f"video_fisheye_cam{i}" for i in range(4)),
    *("video_stereo_left", "video_stereo_right", "depth_confidence", "audio_fisheye_cam0_aac"),
}


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def run(folder: Path, cache: Path) -> dict[str, StreamRows]:
    with Episode(folder) as episode:
        return run_jobs(stream_jobs(episode, recording_digests(episode.folder)), cache, workers=1)


def computed(folder: Path, cache: Path) -> set[str]:
    """Run, and return the blocks that no earlier run had done."""
    return {block for block, rows in run(folder, cache).items() if not rows.reused}


def job_of(folder: Path, block: str) -> streams.StreamJob:
    with Episode(folder) as episode:
        jobs = stream_jobs(episode, recording_digests(episode.folder))
    return next(job for job in jobs if job.block == block)


def test_a_second_run_computes_nothing(tiny: Path, cache: Path) -> None:
    assert computed(tiny, cache) == BLOCKS
    before = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    assert len(before) == len(BLOCKS)
    assert computed(tiny, cache) == set()
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == before


def test_a_changed_video_costs_itself_and_going_back_nothing(
    tiny: Path, cache: Path, builder: ModuleType
) -> None:
    path = tiny / "stereo_left.mp4"
    old, first = path.read_bytes(), run(tiny, cache)
    builder.write_video(path, 60, seed=17)
    second = run(tiny, cache)
    assert {block for block, rows in second.items() if not rows.reused} == {"video_stereo_left"}
    assert second["video_stereo_left"].path != first["video_stereo_left"].path
    path.write_bytes(old)
    third = run(tiny, cache)
    assert all(rows.reused for rows in third.values())
    assert third["video_stereo_left"].path == first["video_stereo_left"].path


def test_one_byte_is_enough(tiny: Path, cache: Path) -> None:
    run(tiny, cache)
    path = tiny / "fisheye_cam0.mp4"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1  # in the file's closing notes: same size, same pictures
    path.write_bytes(raw)
    assert computed(tiny, cache) == {"video_fisheye_cam0", "audio_fisheye_cam0_aac"}


def test_same_size_and_time_of_change_do_not_hide_a_change(tiny: Path, cache: Path) -> None:
    run(tiny, cache)
    path, other = tiny / "stereo_left.mp4", tiny / "stereo_right.mp4"
    keep = path.stat()
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    shutil.copystat(other, path)
    assert path.stat().st_size == keep.st_size
    assert computed(tiny, cache) == {"video_stereo_left"}


def test_another_number_of_frames_is_another_setting(
    tiny: Path, cache: Path, builder: ModuleType
) -> None:
    run(tiny, cache)
    names = np.array(builder.frame_names(40), dtype="S32")
    builder.put(tiny, slam__frame_names=names)
    shorter = run(tiny, cache)
    assert not any(rows.reused for rows in shorter.values())
    assert {rows.n_rows for rows in shorter.values()} == {40}


def test_a_changed_annotation_costs_depth_only(
    tiny: Path, cache: Path, builder: ModuleType
) -> None:
    run(tiny, cache)
    builder.put(tiny, depth__depth_max=np.float32(3))
    assert computed(tiny, cache) == {"depth_confidence"}


def test_the_same_recording_elsewhere_is_recognised(
    tiny: Path, tmp_path: Path, cache: Path
) -> None:
    run(tiny, cache)
    assert computed(Path(shutil.copytree(tiny, tmp_path / "moved")), cache) == set()


@pytest.mark.parametrize(
    "change",
    [
        {"n_frames": 59},
        {"bounds": ((0, 800),)},
        {"counted": False},
        {"quarter_turns": 1},
        {"digest": "0"},
        {"block": "video_stereo_left"},
    ],
)
def test_each_part_of_a_job_is_part_of_its_key(tiny: Path, cache: Path, change: dict) -> None:
    job = job_of(tiny, "video_stereo_right")
    assert job.path(cache) == replace(job).path(cache)
    assert job.path(cache) != replace(job, **change).path(cache)


def test_code_and_libraries_are_part_of_the_key(
    tiny: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = {block: job_of(tiny, block) for block in BLOCKS}
    before = {block: job.path(cache) for block, job in jobs.items()}
    changed = tmp_path / "video.py"
    changed.write_text(Path(video.__file__).read_text() + "# another formula\n")
    monkeypatch.setattr(video, "__file__", str(changed))
    stale = {block for block, job in jobs.items() if job.path(cache) != before[block]}
    assert stale == {block for block in BLOCKS if block.startswith("video_")}
    monkeypatch.setitem(streams._LIBRARIES, "cv2", "0.0")
    assert not any(job.path(cache) == before[block] for block, job in jobs.items())


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
    stray = gone.with_name(f".{gone.stem}.x.part.npy")
    gone.rename(stray)
    again = run(tiny, cache)
    assert {b for b, rows in again.items() if not rows.reused} == {*damage, "video_fisheye_cam3"}
    assert {block: rows.path.read_bytes() for block, rows in again.items()} == want


def test_a_stream_that_fails_leaves_nothing_and_is_tried_again(
    tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_rows = video.video_rows

    def broken(*job: Any) -> Iterator[np.ndarray]:
        yield next(true_rows(*job))[:5]
        raise MemoryError("no more")

    monkeypatch.setattr(video, "video_rows", broken)
    with pytest.raises(MemoryError):
        run(tiny, cache)
    assert [path.name.split("-")[0] for path in cache.iterdir()] == ["depth_confidence"]
    monkeypatch.undo()
    assert computed(tiny, cache) == BLOCKS - {"depth_confidence"}


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


def test_the_table_does_not_depend_on_the_number_of_processes(tiny: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    for workers in (1, 2):
        extract(
            tiny,
            tmp_path / f"{workers}.parquet",
            cache=tmp_path / f"cache{workers}",
            workers=workers,
            on_progress=lambda *step: seen.append(step),
        )
        steps = {name: (done, total) for name, done, total in seen}
        assert set(steps) == {*BLOCKS, "digests", "windows"}
        assert all(done == total for done, total in steps.values())
        seen.clear()
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()


def test_rows_are_there_at_random(tiny: Path, cache: Path) -> None:
    rows = streams.FrameRows(run(tiny, cache)["depth_confidence"].path)
    everything = np.load(rows.path)
    assert rows.n_rows == len(everything) == 60
    np.testing.assert_array_equal(rows[7:31], everything[7:31])
    assert rows[55:80].shape == (5, depth.N_KEPT)
    assert rows.count_unread() == 0
