"""What an episode costs, as measured: core-seconds a frame and a byte, and bytes that remain.

Measurements are read from what shards of a run reported, or made on the spot on one episode. Both
are files of the same form: ``{"episodes": [{"episode", "status", "n_frames", "bytes_read",
"seconds", …}]}``.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import h5py
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from xperience.cohort.shards import tables_of
from xperience.cohort.slim import BULK
from xperience.errors import EpisodeError, XperienceError
from xperience.features.blocks import CONTRACTS
from xperience.features.extract import extract
from xperience.progress import OnProgress
from xperience.project import episode_name
from xperience.recording.layout import ANNOTATION, CAMERAS
from xperience.recording.recording import Episode
from xperience.text import read_json

_WAY_OUT = (
    "Name a run whose shards are done, or a file that `xperience cohort measure EPISODE` wrote."
)


class MeasurementError(XperienceError):
    """A file of measurements that cannot be used."""


class Measured(BaseModel):
    """What one episode cost.

    Parameters
    ----------
    episode : str
    n_frames : int
    bytes_read : int
        Of its annotation and videos.
    seconds : float
        From opening the recording to its finished tables.
    core_seconds : float, optional
        Processor time; ``seconds`` times ``workers`` where it was not taken.
    workers : int
        Processes that shared the work.
    table_bytes, slim_bytes : int, optional
        Of its windows tables, and of its annotation once it is slim.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    episode: str
    n_frames: int = Field(gt=0)
    bytes_read: int = Field(gt=0)
    seconds: float = Field(gt=0)
    core_seconds: float | None = Field(default=None, gt=0)
    workers: int = Field(default=1, ge=1)
    table_bytes: int | None = Field(default=None, ge=0)
    slim_bytes: int | None = Field(default=None, ge=0)

    @property
    def cores_taken_s(self) -> float:
        """Core-seconds."""
        return self.core_seconds or self.seconds * self.workers


class Rates(BaseModel):
    """Measurements of several episodes, pooled.

    Parameters
    ----------
    basis : str
        What was measured, in words.
    episodes : tuple of Measured
    """

    model_config = ConfigDict(frozen=True)

    basis: str
    episodes: tuple[Measured, ...] = Field(min_length=1)

    def total(self, name: str) -> float:
        """Return the sum of a field over the episodes."""
        return sum(getattr(one, name) for one in self.episodes)

    @property
    def core_s_per_frame(self) -> float:
        """Core-seconds a frame."""
        return self.total("cores_taken_s") / self.total("n_frames")

    @property
    def core_s_per_byte(self) -> float:
        """Core-seconds a byte of recording."""
        return self.total("cores_taken_s") / self.total("bytes_read")

    @property
    def frames_per_episode(self) -> float:
        """Mean length."""
        return self.total("n_frames") / len(self.episodes)

    @property
    def bytes_per_frame(self) -> float:
        """Bytes of recording a frame."""
        return self.total("bytes_read") / self.total("n_frames")

    def kept_per_frame(self, name: str) -> float | None:
        """Return bytes a frame of ``table_bytes`` or ``slim_bytes``, None if never measured."""
        known = [one for one in self.episodes if getattr(one, name) is not None]
        if not known:
            return None
        return sum(getattr(one, name) for one in known) / sum(one.n_frames for one in known)


def read_rates(path: Path | str) -> Rates:
    """Read measurements.

    Parameters
    ----------
    path : path
        A file of measurements, or the folder of a run: then the reports in its ``shards`` are read,
        and the sizes of what it keeps are taken from its tables and annotations.

    Raises
    ------
    MeasurementError
        If there is no such file, it is of another form, or no episode in it was measured.
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
    sized = _sizes_in(path) if path.is_dir() else dict
    measured = tuple(_measured(sized(**row), path.name) for row in done)
    return Rates(basis=_basis(path.name, measured), episodes=measured)


def _basis(name: str, measured: Sequence[Measured]) -> str:
    frames = sum(one.n_frames for one in measured)
    read = sum(one.bytes_read for one in measured)
    return (
        f"{name}: {len(measured)} episodes, {frames:,} frames, {read / 1e6:,.1f} MB "
        f"({read / frames / 1e3:,.1f} kB a frame)"
    )


def _rows(file: Path) -> list[dict]:
    try:
        rows = read_json(file)["episodes"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MeasurementError(
            file.name, f"is no file of measurements ({error!r})", "JSON with `episodes`", _WAY_OUT
        ) from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise MeasurementError(file.name, "has no list `episodes`", "a list of objects", _WAY_OUT)
    return rows


def _measured(row: dict, place: str) -> Measured:
    try:
        return Measured.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        where = f"{place}: {row.get('episode')}: {'.'.join(map(str, first['loc']))}"
        found = "is missing" if first["type"] == "missing" else f"is {first['input']!r}"
        raise MeasurementError(where, found, first["msg"], _WAY_OUT) from error


def _sizes_in(run: Path) -> Callable[..., dict]:
    """Return a function that adds to a report's row what the run keeps of the episode."""

    def sized(**row: object) -> dict:
        name = str(row.get("episode"))
        tables = tables_of(run, name)
        annotation = run / "episodes" / name / ANNOTATION
        found = {}
        if all(table.is_file() for table in tables):
            found["table_bytes"] = sum(table.stat().st_size for table in tables)
        if annotation.is_file():
            found["slim_bytes"] = slim_bytes(annotation)
        return found | row

    return sized


def slim_bytes(annotation: Path | str) -> int:
    """Return the stored bytes of an annotation's datasets, without the bulky ones.

    Parameters
    ----------
    annotation : path
        Of a whole annotation, or of one that is slim already.

    Raises
    ------
    EpisodeError
        If it cannot be read.
    """
    sizes = []

    def count(name: str, node: h5py.Group | h5py.Dataset) -> None:
        if isinstance(node, h5py.Dataset) and not f"{name}/".startswith(
            tuple(f"{bulky}/" for bulky in BULK)
        ):
            sizes.append(node.id.get_storage_size())

    try:
        with h5py.File(annotation) as file:
            file.visititems(count)
    except OSError as error:
        raise EpisodeError(
            str(annotation), f"cannot be read ({error})", "an HDF5 file", "Stage it again."
        ) from error
    return sum(sizes)


def measure(
    folder: Path | str, workers: int | None = None, on_progress: OnProgress | None = None
) -> Measured:
    """Make the tables of an episode under every contract, and take the time; keep nothing.

    Parameters
    ----------
    folder : path
        The episode; it is only read.
    workers : int, optional
        Processes; one a core by default.
    on_progress : callable (step, done, total), optional

    Raises
    ------
    EpisodeError
        If it cannot be opened or is shorter than a window.
    """
    folder = Path(folder)
    workers = workers or os.cpu_count() or 1
    with Episode(folder) as episode:
        n_frames = episode.n_frames
    with tempfile.TemporaryDirectory(prefix="xperience-measure-") as scratch:
        tables = [Path(scratch) / f"{contract}.parquet" for contract in CONTRACTS]
        start_s, start_core_s = time.perf_counter(), _core_s()
        for contract, table in zip(CONTRACTS, tables, strict=True):
            extract(folder, table, contract=contract, workers=workers, on_progress=on_progress)
        return Measured(
            episode=episode_name(folder),
            n_frames=n_frames,
            bytes_read=recording_bytes(folder),
            seconds=time.perf_counter() - start_s,
            core_seconds=_core_s() - start_core_s,
            workers=workers,
            table_bytes=sum(table.stat().st_size for table in tables),
            slim_bytes=slim_bytes(folder / ANNOTATION),
        )


def recording_bytes(folder: Path) -> int:
    """Return the bytes of an episode's annotation and videos."""
    names = (ANNOTATION, *(f"{camera}.mp4" for camera in CAMERAS))
    return sum((folder / name).stat().st_size for name in names if (folder / name).is_file())


def _core_s() -> float:
    """Return the processor time of this process and of its finished children."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def as_report(measured: Iterable[Measured]) -> dict:
    """Return measurements in the form that `read_rates` reads."""
    return {"episodes": [{"status": "ok"} | one.model_dump() for one in measured]}
