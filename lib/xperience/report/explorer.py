"""What the site's episode page draws: labels, every head's predictions and the views.

The page works from disk, where a browser fetches nothing: data comes as a script that sets one
variable, and each camera's pictures as one sheet of tiles.
"""

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from xperience.errors import EpisodeError
from xperience.features.table import WindowTable
from xperience.features.windows import STRIDE_FRAMES, WINDOW_FRAMES
from xperience.recording.layout import CAMERAS
from xperience.recording.recording import Recording
from xperience.storage import value_digest
from xperience.tasks.catalogue import ALL_FEATURE_ACTION, TASKS

DATA = "_static/run/explorer-data.js"
TILE_WIDTH_PX = 160
MAX_TILES = 600
COLUMNS = 25
QUALITY = 70
NOT_HERE = "the recording isn't on the machine that built this page"
_ABOUT = {task.name: task.question for task in (*TASKS, ALL_FEATURE_ACTION)}
_NO_WINDOWS = """There is no windows table here to draw from: `make lab` makes it and the recording,
then `make site` draws this page.
"""
_DRAWN = """```{raw} html
<div id="explorer" class="explorer"><noscript>This page needs JavaScript: the timeline is drawn by
it. The same labels and scores are in the notebooks.</noscript></div>
<script src="_static/run/explorer-data.js"></script>
<script src="_static/explorer.js"></script>
```
"""
Sheet = tuple[bytes, list[int]]
"""One camera's tiles, row by row in one JPEG: how many, and each one's width and height."""


def explorer_page(windows: Path | None) -> str:
    """Return the episode page's Markdown; without a windows table it says so."""
    return _NO_WINDOWS if windows is None or not windows.is_file() else _DRAWN


def explorer_files(
    windows: Path | None,
    predictions: Path | None,
    recording: Path | None = None,
    kept: Path | None = None,
) -> dict[str, bytes]:
    """Return what the episode page draws, by path in the site; nothing without a windows table.

    Views that can't be had are named on the page, with the reason.

    Parameters
    ----------
    windows : Path, optional
        Windows table of the recording, for labels and times. One that was not made from the
        recording as it is now is a TableError.
    predictions : Path, optional
        What heads predicted (see `xperience.evaluation.predictions`).
    recording : Path, optional
        Folder of the recording, for the views.
    kept : Path, optional
        Folder in which views are kept for the next time, as long as their videos stay the same.
    """
    if windows is None or not windows.is_file():
        return {}
    table = WindowTable(windows)
    if recording is not None and recording.is_dir():
        table.check_made_from(recording)
    every = max(1, -(-table.info.n_frames // MAX_TILES))
    files, views, missing = {}, {}, {}
    for camera, sheet in _sheets(recording, every, table.info.sources, kept):
        if isinstance(sheet, str):
            missing[camera] = sheet
            continue
        files[f"_static/run/view_{camera}.jpg"], views[camera] = sheet
    data: dict[str, Any] = {
        "frames": table.info.n_frames,
        "fps": table.info.fps,
        "window": WINDOW_FRAMES,
        "stride": STRIDE_FRAMES,
        "starts": table.labels["start_frame"].tolist(),
    }
    for name in ("action", "subtask"):  # a label is its place among the names, or -1
        codes, names = pd.factorize(table.labels[name])
        data[name] = {"names": list(names), "codes": codes.tolist()}
    data["tasks"] = _tasks(predictions)
    data["views"] = {"every": every, "columns": COLUMNS, "cameras": views, "missing": missing}
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True)
    files[DATA] = f"window.XPERIENCE_EPISODE={text};\n".encode()
    return files


def _tasks(predictions: Path | None) -> list[dict[str, Any]]:
    """Return what heads predicted from their first seed, one entry a task and contract."""
    if predictions is None or not predictions.is_file():
        return []
    found, table = [], pd.read_parquet(predictions)
    for (task, contract), every in table.groupby(["task", "contract"], sort=False):
        rows = every[every["seed"].isna() | (every["seed"] == every["seed"].min())]
        names = list(dict.fromkeys(pd.concat([rows["truth"], rows["predicted"]]).dropna()))
        code, units = {name: place for place, name in enumerate(names)}, rows["unit"].dropna()
        heads = {str(head): _head(group, code) for head, group in rows.groupby("head", sort=False)}
        found.append(
            {
                "task": str(task),
                "contract": str(contract),
                "about": _ABOUT.get(task, ""),
                "names": names,
                "unit": units.iloc[0] if len(units) else "",
                "heads": heads,
            }
        )
    return found


def _head(rows: pd.DataFrame, code: dict[str, int]) -> dict[str, Any]:
    """Return a head's predictions in time order; samples of one window stay side by side."""
    rows = rows.sort_values(["start_frame", "window"], kind="stable")
    found: dict[str, Any] = {"at": rows["start_frame"].tolist()}
    if rows["predicted"].notna().any():
        found["truth"] = [code[name] for name in rows["truth"]]
        found["said"] = [code[name] for name in rows["predicted"]]
    else:
        found["error"] = [float(f"{value:.4g}") for value in rows["error"]]
    return found


def _sheets(
    recording: Path | None, every: int, sources: Mapping[str, str], kept: Path | None
) -> Iterator[tuple[str, Sheet | str]]:
    """Yield each camera's sheet of tiles, or why there is none."""
    if recording is None or not recording.is_dir():
        yield from ((camera, NOT_HERE) for camera in CAMERAS)
        return
    with Recording(recording) as episode:
        for camera in CAMERAS:
            state = episode.streams[camera]
            if not state.usable:
                yield camera, "; ".join(map(str, state.faults)) or state.status
                continue
            video = sources.get(episode.video_path(camera).name)
            key = value_digest([video, every, TILE_WIDTH_PX, COLUMNS, QUALITY])
            path = kept / f"{camera}.{key[:16]}.jpg" if kept and video else None
            try:
                yield camera, _sheet(episode, camera, every, path)
            except EpisodeError as error:
                yield camera, str(error)


def _sheet(episode: Recording, camera: str, every: int, path: Path | None) -> Sheet:
    """Return every so many frames' pictures as tiles, an empty one where a frame shows none."""
    n = len(range(0, episode.n_frames, every))
    if path is not None and path.is_file():
        coded = path.read_bytes()
        height = Image.open(io.BytesIO(coded)).height // -(-n // COLUMNS)
        return coded, [n, TILE_WIDTH_PX, height]
    shown: list[Image.Image | None] = []
    for rgb in episode.pictures(camera, np.arange(0, episode.n_frames, every)):
        shown.append(None)
        if rgb is not None:
            height = round(rgb.shape[0] * TILE_WIDTH_PX / rgb.shape[1])
            whole = Image.fromarray(np.ascontiguousarray(rgb))
            shown[-1] = whole.resize((TILE_WIDTH_PX, height), Image.Resampling.BOX)
    size = next((tile.size for tile in shown if tile), None)
    if size is None:
        place = episode.video_path(camera).name
        raise EpisodeError(place, "holds no frame", "a video", "Record or copy it again.")
    width, height = size
    sheet = Image.new("RGB", (COLUMNS * width, -(-n // COLUMNS) * height))
    for place, tile in enumerate(shown):
        if tile is not None:
            sheet.paste(tile, (place % COLUMNS * width, place // COLUMNS * height))
    stream = io.BytesIO()
    sheet.save(stream, "JPEG", quality=QUALITY, optimize=True)
    coded = stream.getvalue()
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        for other in path.parent.glob(f"{camera}.*.jpg"):
            other.unlink()
        path.write_bytes(coded)
    return coded, [n, width, height]
