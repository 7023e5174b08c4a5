"""What heads answered, on the timeline of a recording."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from xperience.episode.episode import Episode
from xperience.exports.extras import ExportError
from xperience.features.windows import WINDOW_FRAMES

if TYPE_CHECKING:
    from xperience.exports.scene import Log

NEEDED = ("task", "head", "seed", "start_frame", "truth", "predicted")


def log_predictions(log: "Log", path: Path, episode: Episode) -> None:
    """Log what heads said of each window at its centre: labels as states, the rest as errors.

    Parameters
    ----------
    log : Log
    path : path
        A table of `xperience.studies.predictions`; of a cohort, only this recording's rows count.
    episode : Episode

    Raises
    ------
    ExportError
        If the file is no such table, or says nothing of this recording.
    """
    table = _read(path, episode)
    for (contract, task), rows in table.groupby(["contract", "task"], sort=False):
        for head, one in rows.groupby("head", sort=False):
            first = one[one["seed"].isna() | (one["seed"] == one["seed"].min())]
            first = first.sort_values("start_frame", kind="stable").drop_duplicates("start_frame")
            _log_head(log, f"{contract}/{task}/{head}", first, "predicted")
        _log_head(log, f"{contract}/{task}/truth", _once(rows), "truth")


def _once(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.sort_values("start_frame", kind="stable").drop_duplicates("start_frame")


def _read(path: Path, episode: Episode) -> pd.DataFrame:
    place, way_out = Path(path).name, "Give artifacts/<run>/predictions/<section>.parquet."
    try:
        table = pd.read_parquet(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise ExportError(place, f"cannot be read ({error})", "a Parquet table", way_out) from error
    lost = [name for name in NEEDED if name not in table]
    if lost:
        raise ExportError(place, f"has no column {lost[0]!r}", "a table of predictions", way_out)
    if "episode" in table:
        table = table[table["episode"] == episode.name]
    table = table.assign(contract=table.get("contract", "corrected"))
    inside = table["start_frame"] + WINDOW_FRAMES <= episode.n_frames
    if not len(table) or not inside.all():
        found = "says nothing of" if not len(table) else "names frames beyond the end of"
        raise ExportError(place, f"{found} {episode.name}", "predictions of it", way_out)
    return table


def _log_head(log: "Log", name: str, rows: pd.DataFrame, column: str) -> None:
    start = rows["start_frame"].to_numpy()
    centers = (start + start + WINDOW_FRAMES - 1) // 2
    if rows[column].notna().any():
        said = [text or "(none)" for text in rows[column]]
        places = np.array([i for i, text in enumerate(said) if not i or text != said[i - 1]])
        states = log.rr.StateChange.columns(state=[said[i] for i in places])
        log.by_frame(f"predictions/said/{name}", centers[places], states)
    elif column == "predicted" and "error" in rows:
        log.by_frame(
            f"predictions/error/{name}",
            centers,
            log.rr.Scalars.columns(scalars=rows["error"].to_numpy(np.float64)),
        )
