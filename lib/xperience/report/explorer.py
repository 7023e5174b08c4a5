"""The episode page of the site: labels, every head's answers and the views, at one cursor.

The page works from disk, where a browser fetches nothing: data comes as a script that sets one
variable, and each camera's pictures as one sheet of tiles.
"""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from xperience.errors import EpisodeError
from xperience.features.table import WindowTable
from xperience.features.windows import STRIDE_FRAMES, WINDOW_FRAMES
from xperience.recording.layout import CAMERAS
from xperience.recording.recording import Episode
from xperience.tasks.catalogue import ALL_FEATURE_ACTION, TASKS

PAGE, DATA = "explorer", "explorer-data.js"
TILE_WIDTH_PX = 160
MAX_TILES = 600
COLUMNS = 25
QUALITY = 60
NOT_HERE = "the recording isn't on the machine that built this page"
_ABOUT = {task.name: task.question for task in (*TASKS, ALL_FEATURE_ACTION)}
_HEAD = "# The episode\n\n"
_NO_WINDOWS = """There is no windows table here to draw from: `make lab` makes it and the recording,
then `make site` draws this page.
"""
_BODY = """What was seen, what it is called and what each head said of it, at one cursor. Colours
stand for labels; the red line under a head marks where it is wrong, the red curve how large its
error is. Heads that start at random show their first seed.

```{raw} html
<div id="explorer" class="explorer"><noscript>This page needs JavaScript: the timeline is drawn by
it. The same labels and scores are in the notebooks.</noscript></div>
<script src="_static/run/explorer-data.js"></script>
<script src="_static/explorer.js"></script>
```

## Keys and links

The arrows work at once, the other keys once the timeline or a button has the focus (click it, or
reach it with Tab).

| key | does |
|---|---|
| ← → | one frame back or on; with Shift a second |
| Page Up, Page Down | ten seconds back or on |
| Home, End | to the beginning, to the end |
| space | play or stop |
| n, p | the next or previous place where a head is wrong, or its errors from the largest on |
| 1 to 6 | one view large; again for all six |

The address follows the cursor (`#frame=4090&task=timeline_action&contract=corrected`): copy it to
show somebody a moment. Where a row is empty, nothing was asked: heads are tested on a part of the
recording that they were not trained on.
"""


@dataclass(frozen=True)
class Sheet:
    """One camera's tiles, row by row on one picture.

    Parameters
    ----------
    webp : bytes
    n_tiles, width_px, height_px : int
        How many tiles, and the size of each.
    """

    webp: bytes
    n_tiles: int
    width_px: int
    height_px: int


def explorer_files(
    windows: Path | None, predictions: Path | None, recording: Path | None = None
) -> dict[str, bytes]:
    """Return the files of the episode page by their path in the staging folder.

    Parameters
    ----------
    windows : Path, optional
        Windows table of the recording, for labels and times; it may be absent.
    predictions : Path, optional
        What heads answered (see `xperience.evaluation.predictions`); it may be absent.
    recording : Path, optional
        Folder of the recording, for the views; it may be absent.

    Returns
    -------
    dict
        The page alone, saying so, without a windows table. Views that can't be had are named on
        the page, with the reason.

    Raises
    ------
    TableError
        If the table was not made from the recording as it is now.
    """
    if windows is None or not windows.is_file():
        return {f"{PAGE}.md": (_HEAD + _NO_WINDOWS).encode()}
    table = WindowTable(windows)
    if recording is not None and recording.is_dir():
        table.check_made_from(recording)
    every = max(1, -(-table.info.n_frames // MAX_TILES))
    files, views, missing = {}, {}, {}
    for camera, sheet in _sheets(recording, every):
        if isinstance(sheet, str):
            missing[camera] = sheet
            continue
        files[f"_static/run/view_{camera}.webp"] = sheet.webp
        views[camera] = [sheet.n_tiles, sheet.width_px, sheet.height_px]
    data = {
        **_labels(table),
        "tasks": _tasks(predictions),
        "views": {"every": every, "columns": COLUMNS, "cameras": views, "missing": missing},
    }
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True)
    files[f"_static/run/{DATA}"] = f"window.XPERIENCE_EPISODE={text};\n".encode()
    files[f"{PAGE}.md"] = (_HEAD + _BODY).encode()
    return files


def _labels(table: WindowTable) -> dict[str, Any]:
    """Return the recording's windows and labels; a label is its place among the names, or -1."""
    labels = table.labels
    found: dict[str, Any] = {
        "frames": table.info.n_frames,
        "fps": table.info.fps,
        "window": WINDOW_FRAMES,
        "stride": STRIDE_FRAMES,
        "starts": labels["start_frame"].tolist(),
    }
    for name in ("action", "subtask"):
        codes, names = pd.factorize(labels[name])
        found[name] = {"names": list(names), "codes": codes.tolist()}
    return found


def _tasks(predictions: Path | None) -> list[dict[str, Any]]:
    """Return what heads answered, one entry a task and contract."""
    if predictions is None or not predictions.is_file():
        return []
    table = pd.read_parquet(predictions)
    return [
        _task(str(contract), str(task), group)
        for (task, contract), group in table.groupby(["task", "contract"], sort=False)
    ]


def _task(contract: str, task: str, rows: pd.DataFrame) -> dict[str, Any]:
    rows = rows[rows["seed"].isna() | (rows["seed"] == rows["seed"].min())]
    said = pd.concat([rows["truth"], rows["predicted"]]).dropna()
    names = list(dict.fromkeys(said))
    code = {name: place for place, name in enumerate(names)}
    heads = {str(head): _head(group, code) for head, group in rows.groupby("head", sort=False)}
    units = rows["unit"].dropna()
    return {
        "task": task,
        "contract": contract,
        "about": _ABOUT.get(task, ""),
        "names": names,
        "unit": units.iloc[0] if len(units) else "",
        "heads": heads,
    }


def _head(rows: pd.DataFrame, code: dict[str, int]) -> dict[str, Any]:
    """Return a head's answers in the order of time; samples of one window stay side by side."""
    rows = rows.sort_values(["start_frame", "window"], kind="stable")
    found: dict[str, Any] = {"at": rows["start_frame"].tolist()}
    if rows["predicted"].notna().any():
        found["truth"] = [code[name] for name in rows["truth"]]
        found["said"] = [code[name] for name in rows["predicted"]]
    else:
        found["error"] = [float(f"{value:.4g}") for value in rows["error"]]
    return found


def _sheets(recording: Path | None, every: int) -> Iterator[tuple[str, Sheet | str]]:
    """Yield each camera's sheet of tiles, or why there is none."""
    if recording is None or not recording.is_dir():
        yield from ((camera, NOT_HERE) for camera in CAMERAS)
        return
    with Episode(recording) as episode:
        for camera in CAMERAS:
            state = episode.streams[camera]
            if not state.usable:
                yield camera, "; ".join(map(str, state.faults)) or state.status
                continue
            try:
                yield camera, _sheet(episode, camera, every)
            except EpisodeError as error:
                yield camera, str(error)


def _sheet(episode: Episode, camera: str, every: int) -> Sheet:
    """Return every so many frames' pictures as tiles, an empty one where a frame shows none."""
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
    tiles = [tile or Image.new("RGB", size) for tile in shown]
    width, height = size
    sheet = Image.new("RGB", (COLUMNS * width, -(-len(tiles) // COLUMNS) * height))
    for place, tile in enumerate(tiles):
        sheet.paste(tile, (place % COLUMNS * width, place // COLUMNS * height))
    coded = io.BytesIO()
    sheet.save(coded, "WEBP", quality=QUALITY, method=4)
    return Sheet(coded.getvalue(), len(tiles), width, height)
