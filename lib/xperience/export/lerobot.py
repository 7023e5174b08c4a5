"""Recordings as a LeRobot dataset (format v3.0): Parquet, MP4 and what describes them."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from xperience.export.common import ExportError, absent_streams, check_new
from xperience.export.remux import colours, put_on_grid, size_px
from xperience.features.posture import Postures
from xperience.recording import layout
from xperience.recording.captions import is_labelled
from xperience.recording.geometry import Points
from xperience.recording.recording import Recording
from xperience.storage import whole_folder, write_json, write_text

VERSION = "v3.0"
CHUNK_FILES, DATA_FILE_MB, VIDEO_FILE_MB = 1000, 100, 200
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
EPISODES_PATH = "meta/episodes/chunk-000/file-000.parquet"
STATE, ACTION, IMU = "observation.state", "action", "observation.imu"
KNOWN, DEVICE_TIME = "observation.known", "observation.device_time"
PICTURED, VIDEO = "observation.pictured", "observation.images."
HANDS = ("hand_left", "hand_right")
STATE_NEEDS = ("body", "pose", *HANDS)
"""Streams without which there is no state and no action."""
N_JOINTS = {"body": layout.N_BODY_JOINTS} | dict.fromkeys(HANDS, layout.N_HAND_JOINTS)
SHORT_FRAMES = 20
"""A camera may lack this many pictures at the end: the episode ends with it."""
QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
Statistics = dict[str, np.ndarray]
_TYPES = {"float32": pa.float32(), "int64": pa.int64(), "bool": pa.bool_()}
_ROWS = 1024


@dataclass(frozen=True)
class DatasetPlan:
    """What every episode of a dataset has, and why the rest is left out.

    ``tasks`` are all texts that describe a frame, in the order of their first use.
    """

    fps: int
    cameras: list[str]
    has_state: bool
    has_imu: bool
    absent: dict[str, str]
    tasks: list[str]


@dataclass(frozen=True)
class WrittenEpisode:
    """What describes an episode whose rows and videos are written."""

    row: dict[str, Any]  # of ``meta/episodes``
    columns: dict[str, tuple[str, int]]  # dtype and width
    videos: dict[str, dict[str, Any]]  # what LeRobot wants to know, by camera
    re_encoded: dict[str, int]  # cameras whose videos are no copies: frames without a picture
    stats: dict[str, Statistics]  # of columns and videos


def export_lerobot(episodes: Sequence[Path | str], out: Path | str) -> dict[str, str]:
    """Write recordings of one frame rate as a LeRobot dataset, whole or not at all.

    Returned are the streams that are left out because an episode lacks them, with the reason;
    ``README.md`` says so too. If a recording can't be opened, that is an EpisodeError; if there is
    none, frame rates differ, or the folder is there already, an ExportError.

    Row i of an episode is at i / fps seconds, as LeRobot asks, and so is the picture of frame i;
    ``observation.device_time`` says when it really was. Videos with one picture per frame are
    copied without decoding, others are re-encoded. A value that isn't known is NaN, never zero;
    ``observation.known`` says which parts are. A frame without a picture is black, since LeRobot
    asks for one; ``observation.pictured`` says which have one. Statistics are those of known rows.
    """
    check_new(out)
    with ExitStack() as stack, whole_folder(out) as folder:
        opened = [stack.enter_context(Recording(episode)) for episode in episodes]
        plan = _plan(opened)
        written, first = [], 0
        for number, episode in enumerate(opened):
            written.append(_write_episode(folder, episode, number, first, plan))
            first = written[-1].row["dataset_to_index"]
        _write_meta(folder, plan, written)
        check_new(out)  # it may have come meanwhile
    return plan.absent


def _plan(episodes: list[Recording]) -> DatasetPlan:
    if not episodes:
        raise ExportError("EPISODES", "are none", "at least one", "Name a recording's folder.")
    rates = sorted({round(episode.fps) for episode in episodes})
    if len(rates) > 1:
        raise ExportError(
            "frame rates", f"are {', '.join(map(str, rates))} Hz", "one", "Export them apart."
        )
    absent: dict[str, str] = {}
    for episode in episodes:
        for name, reason in absent_streams(episode).items():
            absent.setdefault(name, f"{episode.name}: {reason}")
    for camera in layout.CAMERAS:
        sizes = {size_px(episode, camera) for episode in episodes if camera not in absent}
        if len(sizes) > 1:
            absent.setdefault(camera, "its pictures have several sizes")
    lacking = [name for name in STATE_NEEDS if name in absent]
    if lacking:
        absent["state and action"] = absent[lacking[0]]
    cameras = [camera for camera in layout.CAMERAS if camera not in absent]
    tasks = list(dict.fromkeys(text for one in episodes for text in texts(one)))
    return DatasetPlan(rates[0], cameras, not lacking, "imu" not in absent, absent, tasks)


# The rows of an episode


def texts(episode: Recording) -> list[str]:
    """Return what the wearer does in each frame: the action, else the subtask, else the whole.

    A label that says nothing, such as ``N/A``, counts as none.
    """
    said = episode.labels_of("corrected")
    whole = said.main_task or "(no caption)"
    pairs = zip(said.action, said.subtask, strict=True)
    return [next(filter(is_labelled, pair), whole) for pair in pairs]


def states_and_actions(episode: Recording) -> tuple[np.ndarray, np.ndarray]:
    """Return each frame's posture and the hands of the next one, as seen from this frame's body.

    Returns
    -------
    state : float32 array, shape (n_frames, 282)
        Body, left hand, right hand in the body frame, metres; NaN where a joint isn't known.
    action : float32 array, shape (n_frames, 126)
        Both hands of the next frame in the body frame of this one; no frame follows the last.
    """
    postures, n = Postures.of(episode), episode.n_frames

    def flat(parts: list[Points]) -> np.ndarray:
        rows = [part.xyz.reshape(len(part.xyz), -1) for part in parts]
        return np.concatenate(rows, axis=1).astype(np.float32)

    def ahead(side: str, start: int, stop: int) -> Points:
        """Return a hand one frame later, in the world; NaN after the last frame."""
        now = postures.hand(side, start, stop)
        later = np.full_like(now.xyz, np.nan)
        if start + 1 < n:
            found = postures.hand(side, start + 1, min(stop + 1, n)).xyz
            later[: len(found)] = found
        return Points(later, now.frame)

    states, actions = [], []
    for start in range(0, n, _ROWS):
        span = start, min(start + _ROWS, n)
        to_body = postures.to_body(*span)
        parts = [postures.body(*span), *(postures.hand(side, *span) for side in HANDS)]
        states.append(flat([to_body(part) for part in parts]))
        actions.append(flat([to_body(ahead(side, *span)) for side in HANDS]))
    return np.concatenate(states), np.concatenate(actions)


def _imu_at_frames(episode: Recording) -> np.ndarray:
    """Return the IMU sample of each frame, float32 (n_frames, 6): acceleration, then rotation.

    NaN where a frame has no sample, or one that is not a number.
    """
    keys = episode.annotation.keyframes()[: episode.n_frames]
    samples = np.concatenate([episode.read(layout.IMU_ACCEL), episode.read(layout.IMU_GYRO)], 1)
    rows = np.full((episode.n_frames, 6), np.nan, dtype=np.float32)
    inside = np.flatnonzero((keys >= 0) & (keys < len(samples)))
    rows[inside] = samples[keys[inside]]
    rows[~np.isfinite(rows).all(axis=1)] = np.nan
    return rows


def _columns(
    episode: Recording, number: int, first: int, n: int, plan: DatasetPlan
) -> dict[str, np.ndarray]:
    """Return every column but that of pictures, each of shape (n, width)."""
    found = {}
    if plan.has_state:
        state, action = states_and_actions(episode)
        ends = np.cumsum([0, *(3 * n for n in N_JOINTS.values())])
        parts = [*(state[:, a:b] for a, b in pairwise(ends)), action]
        known = np.stack([np.isfinite(part).all(axis=1) for part in parts], axis=1)
        found |= {STATE: state[:n], ACTION: action[:n], KNOWN: known[:n]}
    if plan.has_imu:
        found[IMU] = _imu_at_frames(episode)[:n]
    frames = np.arange(n, dtype=np.int64)[:, None]
    code = {task: index for index, task in enumerate(plan.tasks)}
    return found | {
        DEVICE_TIME: episode.frame_times_s.astype(np.float32)[:n, None],
        "timestamp": (frames / plan.fps).astype(np.float32),
        "frame_index": frames,
        "episode_index": np.full_like(frames, number),
        "index": frames + first,
        "task_index": np.array([[code[text]] for text in texts(episode)[:n]], dtype=np.int64),
    }


def _write_episode(
    folder: Path, episode: Recording, number: int, first: int, plan: DatasetPlan
) -> WrittenEpisode:
    """Write an episode's rows and videos."""
    place = {"chunk_index": number // CHUNK_FILES, "file_index": number % CHUNK_FILES}
    n = episode.n_frames
    for camera in plan.cameras:  # the episode ends with its first camera, if that is soon enough
        end = int(np.flatnonzero(episode.clock(camera).pictures >= 0)[-1]) + 1
        if end >= episode.n_frames - SHORT_FRAMES:
            n = min(n, end)
    columns = _columns(episode, number, first, n, plan)
    videos, stats, re_encoded, pictured = {}, {}, {}, []
    for camera in plan.cameras:
        path = folder / VIDEO_PATH.format(video_key=VIDEO + camera, **place)
        path.parent.mkdir(parents=True, exist_ok=True)
        videos[camera], there, is_copied = put_on_grid(episode, camera, path, plan.fps, n)
        seen = colours(path, plan.fps, there, keys_only=is_copied)
        stats[VIDEO + camera] = _picture_statistics(seen)
        pictured.append(there)
        if not is_copied:
            re_encoded[camera] = int(np.sum(~there))
    if pictured:
        columns[PICTURED] = np.stack(pictured, axis=1)
    _write_rows(folder / DATA_PATH.format(**place), columns)
    for name, values in columns.items():
        stats[name] = statistics(values, f"{episode.name}: {name}")
    row = {
        "episode_index": number,
        "tasks": list(dict.fromkeys(texts(episode)[:n])),
        "length": n,
        "dataset_from_index": first,
        "dataset_to_index": first + n,
        "data/chunk_index": place["chunk_index"],
        "data/file_index": place["file_index"],
        "meta/episodes/chunk_index": 0,
        "meta/episodes/file_index": 0,
        "source": episode.name,
    }
    shown = place | {"from_timestamp": 0.0, "to_timestamp": n / plan.fps}
    row |= {f"videos/{VIDEO}{camera}/{k}": v for camera in videos for k, v in shown.items()}
    row |= {f"stats/{name}/{k}": v.tolist() for name, of in stats.items() for k, v in of.items()}
    declared = {name: (str(values.dtype), values.shape[1]) for name, values in columns.items()}
    return WrittenEpisode(row, declared, videos, re_encoded, stats)


def _write_rows(path: Path, columns: dict[str, np.ndarray]) -> None:
    """Write a Parquet file; a column of width 1 holds numbers, any other lists of fixed size."""
    arrays = {}
    for name, values in columns.items():
        flat, width = pa.array(values.reshape(-1), _TYPES[str(values.dtype)]), values.shape[1]
        arrays[name] = flat if width == 1 else pa.FixedSizeListArray.from_arrays(flat, width)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(arrays), path)


# Statistics in LeRobot's form


def statistics(rows: np.ndarray, place: str = "column") -> Statistics:
    """Return the statistics of each column of (n, d) rows, over those without a NaN, arrays (d,).

    They are min, max, mean, std and quantiles; ``count``, shape (1,), is the number of known rows.
    If no row is known, that is an ExportError at the place.
    """
    rows = np.asarray(rows, dtype=np.float64)
    known = rows[np.isfinite(rows).all(axis=1)]
    if not len(known):
        raise ExportError(place, "is known in no frame", "some frames", "Leave this episode out.")
    found = {name: np.quantile(known, share, axis=0) for name, share in QUANTILES.items()}
    found |= {"min": known.min(axis=0), "max": known.max(axis=0)}
    found |= {"mean": known.mean(axis=0), "std": known.std(axis=0)}
    return found | {"count": np.array([len(known)])}


def _picture_statistics(pictures: np.ndarray) -> Statistics:
    """Return the statistics of each colour, arrays of shape (3, 1, 1); ``count`` is of pictures."""
    found = statistics(pictures.reshape(-1, 3))
    found = {name: value.reshape(3, 1, 1) for name, value in found.items() if name != "count"}
    return found | {"count": np.array([len(pictures)])}


def pooled(parts: Sequence[Statistics]) -> Statistics:
    """Return the statistics of several episodes together.

    Extremes, mean and standard deviation are those of all rows. Quantiles are means of the
    episodes' quantiles, weighted by their rows, as LeRobot itself pools them: not those of all
    rows, unless there is one episode.
    """
    counts = np.array([part["count"][0] for part in parts], dtype=np.float64)
    share = counts / counts.sum()

    def mean(values: list[np.ndarray]) -> np.ndarray:
        return np.tensordot(share, np.stack(values), axes=1)

    middle = mean([part["mean"] for part in parts])
    spread = mean([part["std"] ** 2 + (part["mean"] - middle) ** 2 for part in parts])
    found = {name: mean([part[name] for part in parts]) for name in QUANTILES}
    found |= {"min": np.min([part["min"] for part in parts], axis=0)}
    found |= {"max": np.max([part["max"] for part in parts], axis=0)}
    found |= {"mean": middle, "std": np.sqrt(spread)}
    return found | {"count": np.array([int(counts.sum())])}


# What describes the dataset


def _features(plan: DatasetPlan, one: WrittenEpisode) -> dict[str, dict[str, Any]]:
    """Return LeRobot's declaration of every column and video."""

    def axes(parts: Sequence[str]) -> list[str]:
        return [f"{part}_{j}_{a}" for part in parts for j in range(N_JOINTS[part]) for a in "xyz"]

    names = {
        STATE: axes(["body", *HANDS]),
        ACTION: [f"next_{name}" for name in axes(HANDS)],
        KNOWN: ["body", *HANDS, "action"],
        IMU: [f"{kind}_{axis}" for kind in ("accel", "gyro") for axis in "xyz"],
        PICTURED: plan.cameras,
    }
    found = {
        name: {"dtype": dtype, "shape": [width], "names": names.get(name)}
        for name, (dtype, width) in one.columns.items()
    }
    for camera, info in one.videos.items():
        found[VIDEO + camera] = {
            "dtype": "video",
            "shape": [info["video.height"], info["video.width"], 3],
            "names": ["height", "width", "channels"],
            "info": info,
        }
    return found


def _write_meta(folder: Path, plan: DatasetPlan, written: list[WrittenEpisode]) -> None:
    import pandas as pd  # noqa: PLC0415 - half a second that only this needs

    info = {
        "codebase_version": VERSION,
        "robot_type": "human",
        "total_episodes": len(written),
        "total_frames": sum(one.row["length"] for one in written),
        "total_tasks": len(plan.tasks),
        "chunks_size": CHUNK_FILES,
        "data_files_size_in_mb": DATA_FILE_MB,
        "video_files_size_in_mb": VIDEO_FILE_MB,
        "fps": plan.fps,
        "splits": {"train": f"0:{len(written)}"},
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH if plan.cameras else None,
        "features": _features(plan, written[0]),
    }
    write_json(folder / "meta" / "info.json", info)
    stats = {name: pooled([one.stats[name] for one in written]) for name in written[0].stats}
    plain = {name: {k: v.tolist() for k, v in found.items()} for name, found in stats.items()}
    write_json(folder / "meta" / "stats.json", plain)
    index = pd.Index(plan.tasks, name="task")  # LeRobot looks tasks up by the pandas index
    tasks = pd.DataFrame({"task_index": np.arange(len(plan.tasks))}, index=index)
    tasks.to_parquet(folder / "meta" / "tasks.parquet")
    (folder / EPISODES_PATH).parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist([one.row for one in written]), folder / EPISODES_PATH)
    write_text(folder / "README.md", _readme(plan, written))


def _readme(plan: DatasetPlan, written: list[WrittenEpisode]) -> str:
    sources = ", ".join(one.row["source"] for one in written)
    notes = [f"- Left out: {name} ({reason})" for name, reason in plan.absent.items()]
    notes += [
        f"- Re-encoded: {camera} of {one.row['source']} ({n} frames without a picture)"
        for one in written
        for camera, n in one.re_encoded.items()
    ]
    text = f"""\
---
task_categories:
- robotics
tags:
- LeRobot
configs:
- config_name: default
  data_files: data/*/*.parquet
---

Recordings of people, exported to LeRobot's format {VERSION}: {sources}.

- Positions are in metres, in the wearer's body frame: x forward, y left, z up.
- The action is where both hands are one frame later, seen from this frame's body.
- What isn't known is NaN; `observation.known` says what is. Statistics: of known rows.
- Rows and pictures stand on an even clock; `observation.device_time` is the real one.
- A frame without a picture is black; `observation.pictured` says which have one.

"""
    return text + "".join(f"{note}\n" for note in notes)
