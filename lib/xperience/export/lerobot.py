"""Recordings as a LeRobot dataset (format v3.0): Parquet, MP4 and what describes them."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from xperience.export.clock import absent_streams
from xperience.export.extras import ExportError
from xperience.export.folders import whole_folder
from xperience.export.frame_table import (
    STATE_NEEDS,
    action_names,
    device_times_s,
    imu_at_frames,
    known_parts,
    state_names,
    states_and_actions,
    texts,
)
from xperience.export.remux import colours, put_on_grid, size_px
from xperience.export.statistics import Statistics, picture_statistics, pooled, statistics
from xperience.recording.layout import CAMERAS
from xperience.recording.recording import Episode
from xperience.storage import write_json, write_text

VERSION = "v3.0"
CHUNK_FILES, DATA_FILE_MB, VIDEO_FILE_MB = 1000, 100, 200
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
EPISODES_PATH = "meta/episodes/chunk-000/file-000.parquet"
STATE, ACTION, IMU = "observation.state", "action", "observation.imu"
KNOWN, DEVICE_TIME = "observation.known", "observation.device_time"
PICTURED = "observation.pictured"
SHORT_FRAMES = 20
"""A camera may lack this many pictures at the end: the episode ends with it."""
_INDEXES = ("timestamp", "frame_index", "episode_index", "index", "task_index")
_TYPES = {"float32": pa.float32(), "int64": pa.int64(), "bool": pa.bool_()}


@dataclass
class Plan:
    """What every episode of a dataset has.

    Parameters
    ----------
    fps : int
    cameras : list of str
    has_state, has_imu : bool
    absent : dict of {stream: reason}
        What is left out, and why.
    """

    fps: int
    cameras: list[str]
    has_state: bool
    has_imu: bool
    absent: dict[str, str] = field(default_factory=dict)


def export_lerobot(episodes: Sequence[Path | str], out: Path | str) -> dict[str, str]:
    """Write recordings as a LeRobot dataset, whole or not at all.

    Parameters
    ----------
    episodes : sequence of path
        Folders of recordings, one episode each, of one frame rate.
    out : path
        The dataset's folder; it must not be there yet.

    Returns
    -------
    dict of {stream: reason}
        Streams that are left out because an episode lacks them; ``README.md`` says so too.

    Raises
    ------
    EpisodeError
        If a recording can't be opened.
    ExportError
        If there is none, frame rates differ, or the folder is there already.

    Notes
    -----
    Row i of an episode is at i / fps seconds, as LeRobot asks, and so is the picture of frame i;
    ``observation.device_time`` says when it really was. Videos with one picture a frame are copied
    without decoding, others are coded anew. A value that isn't known is NaN, never zero;
    ``observation.known`` says which parts are. A frame without a picture is black, since LeRobot
    asks for one; ``observation.pictured`` says which have one. Statistics are those of known rows.
    """
    with ExitStack() as stack, whole_folder(out) as folder:
        opened = [stack.enter_context(Episode(episode)) for episode in episodes]
        plan = _plan(opened)
        tasks = list(dict.fromkeys(text for one in opened for text in texts(one)))
        rows, first = [], 0
        for number, episode in enumerate(opened):
            row = _write_episode(folder, episode, number, first, (plan, tasks))
            rows.append(row)
            first += row["length"]
        _write_meta(folder, plan, tasks, rows)
    return plan.absent


def _plan(episodes: list[Episode]) -> Plan:
    """Return what all episodes have; what one of them lacks is left out with its reason."""
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
    for camera in CAMERAS:
        sizes = {size_px(episode, camera) for episode in episodes if camera not in absent}
        if len(sizes) > 1:
            absent.setdefault(camera, "its pictures have several sizes")
    cameras = [camera for camera in CAMERAS if camera not in absent]
    has_state = not absent.keys() & set(STATE_NEEDS)
    if not has_state:
        reason = next(absent[name] for name in STATE_NEEDS if name in absent)
        absent["state and action"] = reason
    return Plan(rates[0], cameras, has_state, "imu" not in absent, absent)


def _features(plan: Plan, videos: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return LeRobot's declaration of every column and video."""
    found: dict[str, dict[str, Any]] = {}
    if plan.has_state:
        found[STATE] = _vector("float32", state_names())
        found[ACTION] = _vector("float32", action_names())
        found[KNOWN] = _vector("bool", ["body", "hand_left", "hand_right", "action"])
    if plan.has_imu:
        axes = ("accel_x", "accel_y", "accel_z", "gyro_x", "gyro_y", "gyro_z")
        found[IMU] = _vector("float32", list(axes))
    found[DEVICE_TIME] = _vector("float32", None)
    if plan.cameras:
        found[PICTURED] = _vector("bool", plan.cameras)
    for camera in plan.cameras:
        info = videos[camera]
        found[_key(camera)] = {
            "dtype": "video",
            "shape": [info["video.height"], info["video.width"], 3],
            "names": ["height", "width", "channels"],
            "info": info,
        }
    for name in _INDEXES:
        found[name] = _vector("float32" if name == "timestamp" else "int64", None)
    return found


def _vector(dtype: str, names: list[str] | None) -> dict[str, Any]:
    return {"dtype": dtype, "shape": [len(names) if names else 1], "names": names}


def _key(camera: str) -> str:
    return f"observation.images.{camera}"


def _write_episode(
    folder: Path, episode: Episode, number: int, first: int, about: tuple[Plan, list[str]]
) -> dict[str, Any]:
    """Write an episode's rows and videos; return its row in ``meta/episodes``."""
    plan, tasks = about
    place = {"chunk_index": number // CHUNK_FILES, "file_index": number % CHUNK_FILES}
    n = _length(episode, plan.cameras)
    said = texts(episode)[:n]
    columns = _columns(episode, n, plan) | _index_columns(n, number, first, plan.fps)
    code = {task: index for index, task in enumerate(tasks)}
    columns["task_index"] = np.array([[code[text]] for text in said], dtype=np.int64)
    videos, stats, coded_anew, pictured = {}, {}, {}, []
    for camera in plan.cameras:
        path = folder / VIDEO_PATH.format(video_key=_key(camera), **place)
        path.parent.mkdir(parents=True, exist_ok=True)
        info, there, is_copied = put_on_grid(episode, camera, path, plan.fps, n)
        seen = colours(path, plan.fps, there, keys_only=is_copied)
        videos[camera], stats[_key(camera)] = info | place, picture_statistics(seen)
        pictured.append(there)
        if not is_copied:
            coded_anew[camera] = int(np.sum(~there))
    if pictured:
        columns[PICTURED] = np.stack(pictured, axis=1)
    _write_rows(folder / DATA_PATH.format(**place), columns)
    stats |= {
        name: statistics(values, f"{episode.name}: {name}") for name, values in columns.items()
    }
    return {
        "episode_index": number,
        "tasks": list(dict.fromkeys(said)),
        "length": n,
        "dataset_from_index": first,
        "dataset_to_index": first + n,
        "data/chunk_index": place["chunk_index"],
        "data/file_index": place["file_index"],
        "meta/episodes/chunk_index": 0,
        "meta/episodes/file_index": 0,
        "source": episode.name,
        "videos": videos,
        "coded_anew": coded_anew,
        "stats": stats,
    }


def _length(episode: Episode, cameras: list[str]) -> int:
    """Return how many frames an episode has until its first camera ends, if that is soon enough."""
    n = episode.n_frames
    ends = [int(np.flatnonzero(episode.clock(one).pictures >= 0)[-1]) + 1 for one in cameras]
    return min([n, *(end for end in ends if end >= n - SHORT_FRAMES)])


def _columns(episode: Episode, n: int, plan: Plan) -> dict[str, np.ndarray]:
    found = {}
    if plan.has_state:
        state, action = states_and_actions(episode)
        known = np.isfinite(action).all(axis=1, keepdims=True)
        found[STATE], found[ACTION] = state[:n], action[:n]
        found[KNOWN] = np.concatenate([known_parts(state), known], axis=1)[:n]
    if plan.has_imu:
        found[IMU] = imu_at_frames(episode)[:n]
    return found | {DEVICE_TIME: device_times_s(episode)[:n]}


def _index_columns(n: int, number: int, first: int, fps: int) -> dict[str, np.ndarray]:
    frames = np.arange(n, dtype=np.int64)[:, None]
    return {
        "timestamp": (frames / fps).astype(np.float32),
        "frame_index": frames,
        "episode_index": np.full_like(frames, number),
        "index": frames + first,
    }


def _write_rows(path: Path, columns: dict[str, np.ndarray]) -> None:
    """Write a Parquet file; a column of width 1 holds numbers, any other lists of fixed size."""
    arrays = {}
    for name, values in columns.items():
        kind = _TYPES[str(values.dtype)]
        flat = pa.array(values.reshape(-1), kind)
        width = values.shape[1]
        arrays[name] = flat if width == 1 else pa.FixedSizeListArray.from_arrays(flat, width)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(arrays), path)


def _write_meta(folder: Path, plan: Plan, tasks: list[str], rows: list[dict[str, Any]]) -> None:
    videos = {camera: _described(rows[0]["videos"][camera]) for camera in plan.cameras}
    info = {
        "codebase_version": VERSION,
        "robot_type": "human",
        "total_episodes": len(rows),
        "total_frames": sum(row["length"] for row in rows),
        "total_tasks": len(tasks),
        "chunks_size": CHUNK_FILES,
        "data_files_size_in_mb": DATA_FILE_MB,
        "video_files_size_in_mb": VIDEO_FILE_MB,
        "fps": plan.fps,
        "splits": {"train": f"0:{len(rows)}"},
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH if videos else None,
        "features": _features(plan, videos),
    }
    write_json(folder / "meta" / "info.json", info)
    names = rows[0]["stats"]
    stats = {name: pooled([row["stats"][name] for row in rows]) for name in names}
    write_json(folder / "meta" / "stats.json", {name: _plain(one) for name, one in stats.items()})
    _write_tasks(folder / "meta" / "tasks.parquet", tasks)
    _write_episodes(folder / EPISODES_PATH, rows, plan)
    write_text(folder / "README.md", _readme(plan, rows))


def _described(video: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in video.items() if not name.endswith("_index")}


def _plain(found: Statistics) -> dict[str, Any]:
    return {name: value.tolist() for name, value in found.items()}


def _write_tasks(path: Path, tasks: list[str]) -> None:
    """Write tasks with the text as the pandas index, which is how LeRobot looks them up."""
    import pandas as pd  # noqa: PLC0415 - half a second that only this needs

    index = pd.Index(tasks, name="task")
    pd.DataFrame({"task_index": np.arange(len(tasks))}, index=index).to_parquet(path)


def _write_episodes(path: Path, rows: Iterable[dict[str, Any]], plan: Plan) -> None:
    """Write one row an episode: where its rows and videos lie, and its statistics."""
    flat = []
    for row in rows:
        apart = ("videos", "coded_anew", "stats")
        one = {key: value for key, value in row.items() if key not in apart}
        for camera, video in row["videos"].items():
            before = f"videos/{_key(camera)}"
            one |= {f"{before}/{k}": video[k] for k in ("chunk_index", "file_index")}
            one |= {f"{before}/from_timestamp": 0.0}
            one |= {f"{before}/to_timestamp": row["length"] / plan.fps}
        for name, found in row["stats"].items():
            one |= {f"stats/{name}/{key}": value for key, value in _plain(found).items()}
        flat.append(one)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(flat), path)


def _readme(plan: Plan, rows: list[dict[str, Any]]) -> str:
    sources = ", ".join(row["source"] for row in rows)
    lines = [
        "---",
        "task_categories:",
        "- robotics",
        "tags:",
        "- LeRobot",
        "configs:",
        "- config_name: default",
        "  data_files: data/*/*.parquet",
        "---",
        "",
        f"Recordings of people, exported to LeRobot's format {VERSION}: {sources}.",
        "",
        "- Positions are in metres, in the wearer's body frame: x forward, y left, z up.",
        "- The action is where both hands are one frame later, seen from this frame's body.",
        "- What isn't known is NaN; `observation.known` says what is. Statistics: of known rows.",
        "- Rows and pictures stand on an even clock; `observation.device_time` is the real one.",
        "- A frame without a picture is black; `observation.pictured` says which have one.",
        "",
        *(f"- Left out: {name} ({reason})" for name, reason in plan.absent.items()),
        *(
            f"- Coded anew: {camera} of {row['source']} ({n} frames without a picture)"
            for row in rows
            for camera, n in row["coded_anew"].items()
        ),
    ]
    return "\n".join(lines) + "\n"
