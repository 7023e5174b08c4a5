"""What heads answered, on the timeline of a recording."""

from itertools import cycle
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa

from xperience.errors import unreadable
from xperience.export.extras import ExportError
from xperience.export.log import Log
from xperience.features.windows import STRIDE_FRAMES, WINDOW_FRAMES
from xperience.recording.recording import Episode

NEEDED = ("task", "head", "seed", "start_frame", "truth", "predicted")
KEYS = ["contract", "task"]
NOTHING = "(none)"
_COLOURS = ((86, 180, 233), (230, 159, 0), (0, 158, 115), (204, 121, 167), (240, 228, 66))
T = TypeVar("T")


def read_predictions(path: Path, episode: Episode) -> pd.DataFrame:
    """Return what heads said of a recording.

    Parameters
    ----------
    path : path
        A table of `xperience.evaluation.predictions`; of a cohort, this recording's rows count.
    episode : Episode

    Raises
    ------
    ExportError
        If the file is no such table, or says nothing of this recording.
    """
    table = _read(path, episode)
    wrong = table["predicted"].isna() & table.get("error", pd.Series(index=table.index)).notna()
    return table.assign(has_error=wrong, unit=table.get("unit", ""))


def error_units(table: pd.DataFrame) -> dict[tuple[str, str], str]:
    """Return the unit of the errors of each contract and task that has some."""
    found = table[table["has_error"]].fillna({"unit": ""})
    return {key: rows["unit"].iloc[0] for key, rows in found.groupby(KEYS, sort=False)}


def said_contracts(table: pd.DataFrame) -> list[str]:
    """Return the contracts under which heads named labels."""
    return list(table.loc[table["predicted"].notna(), "contract"].unique())


def log_predictions(log: Log, table: pd.DataFrame) -> None:
    """Log what heads said of each window at its centre: labels as states, the rest as errors.

    Parameters
    ----------
    log : Log
    table : DataFrame
        From `read_predictions`.
    """
    colours = dict(zip(sorted(table["head"].unique()), cycle(_COLOURS), strict=False))
    for (contract, task), rows in table.groupby(KEYS, sort=False):
        for head, one in rows.groupby("head", sort=False):
            first = one[one["seed"].isna() | (one["seed"] == one["seed"].min())]
            first = first.sort_values("start_frame", kind="stable").drop_duplicates("start_frame")
            _log_said(log, f"{contract}/{task}/{head}", first, "predicted")
            if first["has_error"].any():
                _log_errors(log, f"{contract}/{task}/{head}", first, colours[head])
        _log_said(log, f"{contract}/{task}/truth", _once(rows), "truth")


def _once(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.sort_values("start_frame", kind="stable").drop_duplicates("start_frame")


def _read(path: Path, episode: Episode) -> pd.DataFrame:
    place, way_out = Path(path).name, "Give artifacts/<run>/predictions/<section>.parquet."
    try:
        table = pd.read_parquet(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise ExportError(place, unreadable(error), "a Parquet table", way_out) from error
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


def _log_said(log: Log, name: str, rows: pd.DataFrame, column: str) -> None:
    """Log labels as states, which change where the label does."""
    if rows[column].isna().all():
        return
    said = [text or NOTHING for text in rows[column]]
    frames, spoken = _until(rows["start_frame"].to_numpy(), said, "")
    places = [i for i, text in enumerate(spoken) if not i or text != spoken[i - 1]]
    states = log.rr.StateChange.columns(state=[spoken[i] for i in places if spoken[i]])
    there = np.array([bool(spoken[i]) for i in places], dtype=int)
    log.by_frame(f"predictions/said/{name}", frames[places], states.partition(there))


def _log_errors(log: Log, name: str, rows: pd.DataFrame, colour: tuple[int, int, int]) -> None:
    """Log the errors of one head as a curve."""
    entity, errors = f"predictions/error/{name}", rows["error"].to_numpy(np.float64).tolist()
    frames, errors = _until(rows["start_frame"].to_numpy(), errors, float("nan"))
    lines = log.rr.SeriesLines(names=[name.rpartition("/")[2]], colors=[colour])
    log.still(entity, lines)
    log.by_frame(entity, frames, log.rr.Scalars.columns(scalars=np.array(errors)))


def _until(start: np.ndarray, values: list[T], end: T) -> tuple[np.ndarray, list[T]]:
    """Return the centres of windows and their values, ended where the next window isn't there.

    Without an end the viewer would go on with the last value through what nobody predicted.

    Parameters
    ----------
    start : int array, shape (n,)
        First frame of each window, in order.
    values : list, length n
    end : value
        What stands one stride after the last window before a gap, and after the last of all.
    """
    frames, found = [], []
    for place, first in enumerate(start):
        frames.append((first + first + WINDOW_FRAMES - 1) // 2)
        found.append(values[place])
        if place + 1 == len(start) or start[place + 1] > first + STRIDE_FRAMES:
            frames.append(frames[-1] + STRIDE_FRAMES)
            found.append(end)
    return np.array(frames), found
