"""What a cohort costs: bytes to download and to keep, core-hours, hours; and what that rests on.

Rates come from what shards of a run reported, or are measured on one episode. Both are files of the
same form: ``{"episodes": [{"episode", "status", "n_frames", "bytes_read", "seconds", …}]}``.
"""

import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
from pydantic import BaseModel, ConfigDict, Field

from xperience.cohort.manifest import COLUMNS, read_manifest
from xperience.cohort.selection import ListingError, read_listing
from xperience.cohort.shards import BULK, recording_bytes, tables_of
from xperience.errors import (
    EpisodeError,
    ParamsError,
    TextError,
    XperienceError,
    reading,
    validated,
)
from xperience.evaluation.records import Record
from xperience.features.blocks import CONTRACTS
from xperience.features.extract import extract
from xperience.progress import OnProgress
from xperience.project import episode_name
from xperience.recording.layout import ANNOTATION
from xperience.recording.recording import Recording
from xperience.text import read_json, read_table

_WAY_OUT = (
    "Name a run whose shards are done, or a file that `xperience cohort measure EPISODE` wrote."
)
METRICS = {
    "download": "B",
    "keep_with_recordings": "B",
    "keep_without_videos": "B",
    "core_hours_by_frames": "h",
    "core_hours_by_bytes": "h",
    "download_time": "h",
    "least_wall_time": "h",
    "most_wall_time": "h",
}
"""Metrics of a cost and their units.

Work grows with frames, but a frame of more bytes costs more, though less than in proportion: the
cost is expected between the two figures of core-hours. Download and work overlap wholly in the
least time, not at all in the most.
"""


class MeasurementError(XperienceError):
    """A file of measurements that cannot be used."""


# What was measured


class MeasuredCost(BaseModel):
    """What one episode cost."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    episode: str
    n_frames: int = Field(gt=0)
    bytes_read: int = Field(gt=0)  # of the recording's files
    seconds: float = Field(gt=0)  # from opening the recording to its finished tables
    core_seconds: float | None = Field(default=None, gt=0)  # processor time, where it was taken
    workers: int = Field(default=1, ge=1)  # processes that shared the work
    table_bytes: int | None = Field(default=None, ge=0)  # of its windows tables
    slim_bytes: int | None = Field(default=None, ge=0)  # of its annotation without its bulk

    @property
    def core_s(self) -> float:
        """Core-seconds."""
        return self.core_seconds or self.seconds * self.workers


def measure(
    folder: Path | str, workers: int | None = None, on_progress: OnProgress | None = None
) -> MeasuredCost:
    """Make the tables of an episode under every contract, and take the time; keep nothing.

    If it cannot be opened or is shorter than a window, that is an EpisodeError.
    """
    folder, workers = Path(folder), workers or os.cpu_count() or 1
    with Recording(folder) as episode:
        n_frames = episode.n_frames
    with tempfile.TemporaryDirectory(prefix="xperience-measure-") as scratch:
        tables = [Path(scratch) / f"{contract}.parquet" for contract in CONTRACTS]
        start_s, start = time.perf_counter(), os.times()
        for contract, table in zip(CONTRACTS, tables, strict=True):
            extract(folder, table, contract=contract, workers=workers, on_progress=on_progress)
        end = os.times()  # the first four are processor time: ours, and of finished children
        return MeasuredCost(
            episode=episode_name(folder),
            n_frames=n_frames,
            bytes_read=recording_bytes(folder),
            seconds=time.perf_counter() - start_s,
            core_seconds=sum(end[:4]) - sum(start[:4]),
            workers=workers,
            table_bytes=sum(table.stat().st_size for table in tables),
            slim_bytes=slim_bytes(folder / ANNOTATION),
        )


def slim_bytes(annotation: Path | str) -> int:
    """Return the stored bytes of an annotation's datasets without depth and point cloud."""
    sizes = []

    def count(name: str, node: h5py.Group | h5py.Dataset) -> None:
        is_bulk = any(f"{name}/".startswith(f"{bulky}/") for bulky in BULK)
        if isinstance(node, h5py.Dataset) and not is_bulk:
            sizes.append(node.id.get_storage_size())

    try:
        with h5py.File(annotation) as file:
            file.visititems(count)
    except OSError as error:
        raise EpisodeError(
            str(annotation), f"cannot be read ({error})", "an HDF5 file", "Stage it again."
        ) from error
    return sum(sizes)


@dataclass(frozen=True)
class Rates:
    """Measurements of several episodes, pooled; ``basis`` says in words what was measured."""

    basis: str
    episodes: Sequence[MeasuredCost]

    def total(self, name: str) -> float:
        """Return the sum of a field over the episodes."""
        return sum(getattr(one, name) for one in self.episodes)

    def kept_per_frame(self, name: str) -> float | None:
        """Return bytes a frame of ``table_bytes`` or ``slim_bytes``, None if never measured."""
        known = [one for one in self.episodes if getattr(one, name) is not None]
        return Rates("", known).total(name) / Rates("", known).total("n_frames") if known else None


def read_rates(path: Path | str) -> Rates:
    """Read a file of measurements, or the reports in a run's folder.

    Of a run, the sizes of what it keeps are taken from its tables and annotations.

    If there is no such file, it is of another form, or no episode in it was measured, that is a
    MeasurementError.
    """
    path = Path(path)
    files = sorted((path / "shards").glob("shard-*.json")) if path.is_dir() else [path]
    rows = [row for file in files for row in _rows(file)]
    done = [row for row in rows if row.get("status", "ok") == "ok" and row.get("seconds")]
    if not done:
        raise MeasurementError(
            str(path), f"holds no measured episode ({len(files)} files, {len(rows)} episodes)",
            "at least one", _WAY_OUT,
        )  # fmt: skip
    episodes = []
    for row in done:
        name, kept = str(row.get("episode")), {}
        tables, annotation = tables_of(path, name), path / "episodes" / name / ANNOTATION
        if all(table.is_file() for table in tables):
            kept["table_bytes"] = sum(table.stat().st_size for table in tables)
        if annotation.is_file():
            kept["slim_bytes"] = slim_bytes(annotation)
        place = f"{path.name}: {name}"
        episodes.append(validated(MeasuredCost, kept | row, place, MeasurementError, _WAY_OUT))
    frames, read = (Rates("", episodes).total(name) for name in ("n_frames", "bytes_read"))
    return Rates(
        f"{path.name}: {len(episodes)} episodes, {frames:,} frames, {read / 1e6:,.1f} MB "
        f"({read / frames / 1e3:,.1f} kB a frame)",
        episodes,
    )


def _rows(file: Path) -> list[dict]:
    with reading(file.name, "JSON with `episodes`", MeasurementError, _WAY_OUT):
        found = read_json(file)
    rows = found.get("episodes") if isinstance(found, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise MeasurementError(file.name, "has no list `episodes`", "a list of objects", _WAY_OUT)
    return rows


# What that means for a cohort


@dataclass(frozen=True)
class Cost:
    """The cost of turning a cohort's recordings into windows tables under both contracts."""

    n_episodes: int
    basis: str  # where sizes and lengths come from, and what was measured
    values: dict[str, float | None]  # bytes or hours, see `METRICS`; None where nothing tells
    text: str  # for people


def cost_of(
    rates: Rates,
    episodes: Path | str | None = None,
    n_episodes: int | None = None,
    frames_per_episode: float | None = None,
    *,
    cores: int = 1,
    mbit_per_s: float = 1000,
) -> Cost:
    """Extrapolate measured rates to a cohort.

    Episodes are those of a split manifest or listing, whose sizes count, or ``n_episodes`` as large
    as measured ones; both scale the first to the second. ``frames_per_episode`` is the mean length,
    that of the measured episodes without. ``cores`` are over all machines, taken to share the work
    without loss; the download's bandwidth is in 10⁶ bits per second.
    """
    for name, value in (("cores", cores), ("bandwidth", mbit_per_s)):
        if not value > 0:
            raise ParamsError(name, f"is {value}", "a number above 0", "Correct it.")
    if episodes is not None:
        total, read, basis = _volume(Path(episodes))
    elif n_episodes is not None:
        total, read, basis = len(rates.episodes), rates.total("bytes_read"), "sizes as measured"
    else:
        raise ParamsError(
            "cohort", "is neither a manifest nor a number", "one of them",
            "Name a split manifest or a listing, or give --episodes.",
        )  # fmt: skip
    number = n_episodes or total
    if number != total:
        basis += f", scaled from {total:,} to {number:,} episodes"
    length = frames_per_episode or rates.total("n_frames") / len(rates.episodes)
    basis += (
        f"; {length:,.0f} frames an episode, {'given' if frames_per_episode else 'as measured'}"
    )
    n_frames, n_bytes = length * number, read * number / total
    longer = n_frames / rates.total("n_frames")
    heavier = n_bytes / rates.total("bytes_read")
    core_h = rates.total("core_s") / 3600
    download_h = n_bytes * 8 / (mbit_per_s * 1e6) / 3600
    low, high = sorted((core_h * longer / cores, core_h * heavier / cores))
    tables, slim = (rates.kept_per_frame(name) for name in ("table_bytes", "slim_bytes"))
    values = {
        "download": n_bytes,
        "keep_with_recordings": None if tables is None else n_bytes + tables * n_frames,
        "keep_without_videos": None if None in (tables, slim) else (tables + slim) * n_frames,
        "core_hours_by_frames": core_h * longer,
        "core_hours_by_bytes": core_h * heavier,
        "download_time": download_h,
        "least_wall_time": max(low, download_h),
        "most_wall_time": high + download_h,
    }
    shown = {name: _shown(value, METRICS[name]) for name, value in values.items()}
    text = f"""\
episodes      {number:,}
download      {shown["download"]}, {shown["download_time"]} at {mbit_per_s:,g} Mbit/s
keep          {shown["keep_with_recordings"]} with recordings, \
{shown["keep_without_videos"]} without videos and depth
core-hours    {_short(core_h * longer)} by frames, {_short(core_h * heavier)} by bytes
wall time     {shown["least_wall_time"]} to {shown["most_wall_time"]} on \
{cores:,} {"core" if cores == 1 else "cores"}
volume from   {basis}
rates from    {rates.basis}
extrapolated  to {_short(longer)} times the frames, \
each of {_short(heavier / longer)} times the bytes"""
    return Cost(number, f"{basis}; rates from {rates.basis}", values, text)


def _volume(path: Path) -> tuple[int, int, str]:
    """Return the number of episodes in a manifest or listing, their bytes, and a note."""
    try:
        rows = [] if path.suffix == ".json" else read_table(path)
    except (OSError, TextError):
        rows = []  # the reader of listings says what is wrong with it
    is_manifest = bool(rows) and set(COLUMNS[:4]) <= rows[0][1].keys()
    found = read_manifest(path) if is_manifest else read_listing(path)
    sizes = [one.size_bytes for one in found if not getattr(one, "missing", ())]
    known = [size for size in sizes if size]
    if not known:
        raise ListingError(
            path.name, f"tells the size of none of {len(sizes)} episodes", "size_bytes",
            "Choose from a listing with sizes, or give --episodes alone.",
        )  # fmt: skip
    note = f"sizes of {len(known)} episodes in {path.name}"
    if len(known) < len(sizes):
        note += f", their mean for {len(sizes) - len(known)} others"
    return len(sizes), round(sum(known) / len(known) * len(sizes)), note


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


_SCALES = {
    "B": [("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)],
    "h": [("days", 24), ("h", 1), ("min", 1 / 60), ("s", 1 / 3600)],
}


def _shown(value: float | None, unit: str) -> str:
    """Return bytes or hours in the unit that suits their size; days from two of them on."""
    if value is None:
        return "unknown"
    scales = _SCALES[unit]
    enough = [one for one in scales if value >= (48 if one[0] == "days" else one[1])]
    name, factor = (*enough, scales[-1])[0]
    return f"{value / factor:.3g} {name}"


def cost_rows(costs: Iterable[Cost], run: str, section: str) -> Iterator[Record]:
    """Yield costs as tidy rows; ``variant`` is the number of episodes, ``reason`` the basis."""
    for cost in costs:
        base = {"run": run, "section": section, "contract": "corrected"}
        base["variant"] = f"{cost.n_episodes}_episodes"
        for metric, value in cost.values.items():
            base |= {"metric": metric, "unit": METRICS[metric]}
            if value is None:
                reason = "the measurements tell no sizes of tables or slim annotations"
                yield Record(**base, status="skipped", reason=reason)
            else:
                yield Record(**base, value=value, reason=cost.basis)
