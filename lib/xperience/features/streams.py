"""Per-frame features of the long streams: computed side by side, each kept once it is whole.

A stream's rows land in ``<cache>/<block>-<key>.npy``. The key is a digest of the source file's
content, the settings and the code that reads it, so a changed file, setting or formula never meets
an old result, and going back finds it again.
"""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path
from threading import Thread
from typing import Any

import av
import cv2
import h5py
import numpy as np
from threadpoolctl import threadpool_limits

from xperience.errors import EpisodeError
from xperience.features import audio, blocks, depth, video
from xperience.progress import OnProgress, quiet
from xperience.recording import annotation as annotation_module
from xperience.recording import layout, media, plausible
from xperience.recording.annotation import Annotation
from xperience.recording.files import linked_files
from xperience.recording.recording import Recording
from xperience.storage import file_digest, value_digest, whole_file

_CODE = {
    "video": (video, media, blocks),
    "depth": (depth, annotation_module, plausible, layout, blocks),
    "audio": (audio, media, layout, blocks),
}
_LIBRARIES = {module.__name__: module.__version__ for module in (av, cv2, h5py, np)}


@dataclass(frozen=True)
class StreamJob:
    """One stream to turn into rows."""

    block: str  # feature block that the rows belong to
    kind: str  # "video", "depth" or "audio"
    source: Path  # file that holds the stream
    digest: str  # of that file's content, and of those that its arrays lie in
    n_frames: int  # rows that are wanted: one a frame, or one a shown picture
    quarter_turns: int = 0  # of pictures, counterclockwise
    bounds: tuple[tuple[int, int], ...] = ()  # of sound: each frame's samples [first, last)
    counted: bool = True  # whether samples are counted, or lie where the file's time says
    timeline: media.MediaTimeline | None = field(default=None, compare=False)  # of pictures

    def path(self, cache: Path) -> Path:
        """Return where the rows belong, by content, settings, code and versions of libraries."""
        code = [file_digest(module.__file__) for module in _CODE[self.kind]]
        settings = {"n_frames": self.n_frames, "quarter_turns": self.quarter_turns}
        settings |= {"bounds": self.bounds, "counted": self.counted}
        made_by = {"code": code, "libraries": _LIBRARIES}
        key = value_digest({"content": self.digest, **made_by, **settings})
        return cache / f"{self.block}-{key[:32]}.npy"

    def rows(self) -> Iterator[np.ndarray]:
        """Yield the rows, some at a time."""
        if self.kind == "video":
            line, turns = self.timeline, self.quarter_turns
            yield from video.video_rows(self.source, line, self.n_frames, turns)
        elif self.kind == "audio":
            bounds = np.array(self.bounds)
            yield from audio.audio_rows(self.source, bounds, counted=self.counted)
        else:
            with closing(Annotation(self.source)) as opened:
                yield from depth.depth_rows(opened, self.n_frames)


@dataclass(frozen=True)
class StreamRows:
    """What became of a job: random access to its rows, without holding them."""

    path: Path | None  # of the rows; None if the stream could not be read
    n_rows: int = 0
    reused: bool = False  # whether an earlier run had done it
    problem: str = ""  # why there is no path

    def __getitem__(self, rows: slice | np.ndarray | tuple) -> np.ndarray:
        """Return rows [start, stop), those at some places, or a column of rows, a copy."""
        return np.array(np.load(self.path, mmap_mode="r")[rows])

    @cached_property
    def read(self) -> np.ndarray:
        """Places of the rows that could be read: those that are not NaN."""
        return np.flatnonzero(~np.isnan(self[:, 0]))


def stream_jobs(
    episode: Recording, digests: dict[str, str], contract: str = "published"
) -> list[StreamJob]:
    """Return a job for every usable video, the sound and the depth, the longest first.

    Both contracts share the rows of pictures, and those of sound where counting samples puts them
    where the file says. Digests are those of `xperience.recording.files.recording_digests`.
    """
    jobs = []
    arrays = {name: digests[name] for name in linked_files(episode.folder, digests)}

    def add(block: str, kind: str, path: Path, n_frames: int, **settings: Any) -> None:
        linked = kind == "depth" and len(arrays) > 1
        digest = value_digest(arrays) if linked else digests[path.name]
        jobs.append(StreamJob(block, kind, path, digest, n_frames, **settings))

    if episode.streams["depth"].usable:
        n_depth = min(episode.n_frames, episode.streams["depth"].n_rows)
        add("depth_confidence", "depth", episode.annotation.path, n_depth)
    for camera in layout.CAMERAS:
        if episode.streams[camera].usable:
            try:
                clock = episode.clock(camera)
            except EpisodeError as error:  # it can no longer be read
                episode.lose_video(camera, error.found)
                continue
            line = clock.timeline
            turns = line.rotation_deg // 90 if contract == "corrected" else 0
            shown = {"quarter_turns": turns, "timeline": line}
            n = max(episode.n_frames, int(clock.pictures.max()) + 1)
            add(f"video_{camera}", "video", episode.video_path(camera), n, **shown)
    if episode.streams["audio"].usable:
        camera = layout.AUDIO_CAMERA
        bounds, counted = _sound_bounds(episode, contract)
        name, path = f"audio_{camera}_aac", episode.video_path(camera)
        add(name, "audio", path, episode.n_frames, bounds=bounds, counted=counted)
    return jobs


def _sound_bounds(episode: Recording, contract: str) -> tuple[tuple[tuple[int, int], ...], bool]:
    """Return the samples of each frame, and whether they are to be counted."""
    camera = layout.AUDIO_CAMERA
    edges = audio.frame_bounds(episode.n_frames, float(episode.videos[camera].fps) or episode.fps)
    counted = np.stack([edges[:-1], edges[1:]], axis=1)
    clock = episode.clock(camera)
    timed = clock.samples(np.arange(episode.n_frames), np.arange(episode.n_frames) + 1)
    if contract == "published" or (clock.sound_is_counted and np.array_equal(timed, counted)):
        return tuple(map(tuple, counted.tolist())), True
    return tuple(map(tuple, timed.tolist())), False


def run_jobs(
    jobs: list[StreamJob],
    cache: Path,
    workers: int | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, StreamRows]:
    """Compute what is not in the cache, several streams at a time; return the rows of each block.

    A stream that could not be read is there too, with its problem. Workers are processes, one a
    core by default; 1 computes in this process. Progress tells block, rows done, rows in all.
    """
    cache.mkdir(parents=True, exist_ok=True)
    report = on_progress or quiet
    done, todo = {}, []
    for job in jobs:
        if kept := _kept(job.path(cache)):
            done[job.block] = kept
            report(job.block, job.n_frames, job.n_frames)
        else:
            todo.append(job)
    workers = min(workers or os.cpu_count() or 1, len(todo))
    if workers > 1:
        return done | _side_by_side(todo, cache, workers, report)
    return done | {job.block: _run(job, cache, report) for job in todo}


def _kept(path: Path) -> StreamRows | None:
    """Return the rows of an earlier run; None if there are none, or the file isn't whole."""
    try:
        return StreamRows(path, len(np.load(path, mmap_mode="r")), reused=True)
    except (OSError, ValueError, EOFError):
        return None


def _side_by_side(
    jobs: list[StreamJob], cache: Path, workers: int, report: OnProgress
) -> dict[str, StreamRows]:
    context = multiprocessing.get_context("spawn")
    channel, stop = context.Queue(), context.Event()
    pool = ProcessPoolExecutor(workers, context, _start_worker, (channel, stop))
    try:
        futures = {job.block: pool.submit(_run_apart, job, cache) for job in jobs}
        pending = set(futures.values())
        while pending:
            pending = wait(pending, timeout=0.1).not_done
            while not channel.empty():
                report(*channel.get())
        for job in jobs:
            report(job.block, job.n_frames, job.n_frames)
        return {block: future.result() for block, future in futures.items()}
    except BaseException:
        stop.set()  # else an interrupted run would first finish the streams that it is at
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_channel: Queue | None = None
_stop: Event | None = None


def _start_worker(channel: Queue, stop: Event) -> None:
    """Keep the ways to report and to be stopped; end with the parent, even if that is killed."""
    global _channel, _stop
    _channel, _stop = channel, stop
    channel.cancel_join_thread()
    threadpool_limits(1)  # a process a core: threads below would only get in each other's way
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all: the parent acts on it
    parent = multiprocessing.parent_process()
    Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def _run_apart(job: StreamJob, cache: Path) -> StreamRows:
    def report(*progress: str | int) -> None:
        if _stop.is_set():
            raise KeyboardInterrupt
        _channel.put(progress)

    return _run(job, cache, report)


def _run(job: StreamJob, cache: Path, report: OnProgress) -> StreamRows:
    path = job.path(cache)
    try:
        with whole_file(path) as scratch:
            n_rows = _write_rows(scratch, job, report)
    except EpisodeError as error:
        return StreamRows(None, problem=str(error))
    report(job.block, job.n_frames, job.n_frames)
    return StreamRows(path, n_rows)


def _write_rows(path: Path, job: StreamJob, report: OnProgress) -> int:
    """Stream rows into a .npy file whose length is known only at the end."""
    n_rows = 0
    with path.open("wb") as file:
        for rows in job.rows():
            if not n_rows:
                _write_header(file, rows)
            file.write(np.ascontiguousarray(rows, dtype=np.float32))
            n_rows += len(rows)
            report(job.block, n_rows, job.n_frames)
        if not n_rows:
            place = f"{job.source.parent.name}/{job.source.name}"
            way_out = "Fetch the file again, or go on without this stream."
            raise EpisodeError(
                place, "holds no frame that can be decoded", f"{job.n_frames} frames", way_out
            )
        file.seek(0)
        _write_header(file, np.broadcast_to(rows[:1], (n_rows, rows.shape[1])))
    return n_rows


def _write_header(file, rows: np.ndarray) -> None:
    """Write a header for float32 rows; NumPy pads it, so a longer count fits the same bytes."""
    header = {"descr": "<f4", "fortran_order": False, "shape": rows.shape}
    np.lib.format.write_array_header_1_0(file, header)
