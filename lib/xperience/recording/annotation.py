"""``annotation.hdf5``: opened once, checked against the layout, read by slices."""

import errno
import importlib
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from xperience.errors import EpisodeError, MissingStreamError, file_error
from xperience.recording import layout
from xperience.recording.layout import STREAMS, Dataset, StreamLayout

_BLOCK_ROWS = 4096
_FILTERS = {
    4: "szip",
    305: "LZO",
    307: "bzip2",
    32000: "LZF",
    32001: "Blosc",
    32004: "LZ4",
    32008: "bitshuffle",
    32013: "ZFP",
    32015: "Zstandard",
    32017: "SZ",
    32018: "FCIDECOMP",
    32024: "SZ3",
    32026: "Blosc2",
}
"""Filters that the HDF Group has registered, by number."""


@dataclass(frozen=True)
class Fault:
    """Something in a recording that is not as the layout says."""

    stream: str  # that suffers
    place: str  # file and path inside it
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.place}: {self.found}, expected {self.expected}"


@dataclass
class StreamState:
    """What of a stream is there."""

    status: str  # "ok", "partial" (usable with gaps), "broken" (there but unusable) or "missing"
    n_rows: int = 0  # that can be read
    faults: list[Fault] = field(default_factory=list)

    @property
    def usable(self) -> bool:
        """Whether the stream can be read at all."""
        return self.status in ("ok", "partial")

    def add(self, fault: Fault, status: str) -> None:
        """Record a fault; the status only ever gets worse."""
        order = ("ok", "partial", "broken", "missing")
        self.faults.append(fault)
        self.status = max(self.status, status, key=order.index)


class Annotation:
    """The annotation file of one episode, read-only and lazy: opening reads headers and names.

    Raises
    ------
    EpisodeError
        If the file is absent, is not HDF5, is cut off, has no calibration or no group with one row
        per frame.
    """

    def __init__(self, path: Path):
        self.path = path
        self.place = f"{path.parent.name}/{path.name}"
        self.file = _open(path, self.place)
        self._nodes: dict[str, h5py.HLObject | None] = {}
        try:
            if not isinstance(self._node(layout.CALIBRATION), h5py.Group):
                raise EpisodeError(
                    self.place,
                    "has no group 'calibration'",
                    "one group a camera under 'calibration'",
                    "Export the recording again with its calibration.",
                )
            self.frame_names, odd = self._frames()
            self.n_frames = len(self.frame_names)
            self.streams = {stream.name: self._check(stream) for stream in STREAMS}
        except BaseException as error:
            self.close()
            if isinstance(error, OSError | RuntimeError | KeyError):
                raise _damaged(self.place, f"is damaged ({error})") from error
            raise
        pose = self.streams["pose"]
        if odd and pose.status != "missing":
            place = f"{self.place}: {layout.FRAME_NAMES}"
            pose.add(Fault("pose", place, odd, "one name a frame; numbers stand in"), "partial")

    def close(self) -> None:
        """Close the file, and those that it links to: what was looked up holds them open."""
        self._nodes.clear()
        self.file.close()

    def _frames(self) -> tuple[list[str], str]:
        """Return a name of each frame, and why some had to be made up; "" if none had."""
        node = self._node(layout.FRAME_NAMES)
        if _is_names(node):
            names = list(map(_as_text, self.read(layout.FRAME_NAMES).reshape(-1)))
            lost = [index for index, name in enumerate(names) if name is None]
            odd = ""
            if lost:
                odd = f"{len(lost)} names are not UTF-8, the first is that of frame {lost[0]}"
        else:
            odd = "is absent" if node is None else f"has shape {getattr(node, 'shape', None)}"
            per_frame = (dataset for dataset in _OF_STREAMS.values() if dataset.rows == "frame")
            names = [None] * next(filter(None, map(self._rows, per_frame)), 0)
        if not names:
            raise EpisodeError(
                self.place,
                "has no group with one row per frame",
                f"'{layout.FRAME_NAMES}' or one of hands, body, contacts, IMU keyframes, depth",
                "Export the recording again; calibration alone is not an episode.",
            )
        numbered = enumerate(names, 1)
        return [f"frame_{n:06d}.jpg" if name is None else name for n, name in numbered], odd

    def _rows(self, dataset: Dataset) -> int | None:
        """Return the row count of a dataset of the right shape, else None."""
        node = self._node(dataset.path)
        if not isinstance(node, h5py.Dataset) or node.shape is None:
            return None
        shape = _rows_first(node.shape, len(dataset.tail))
        if len(shape) != len(dataset.tail) + 1 or not self._holds_numbers(node, dataset):
            return None
        fits = all(
            want is None or got == want for want, got in zip(dataset.tail, shape[1:], strict=True)
        )
        return shape[0] if fits and 0 not in shape else None

    def _holds_numbers(self, node: h5py.Dataset, dataset: Dataset) -> bool:
        """Return whether a dataset holds numbers; where one a row, as digits of a text too."""
        if node.dtype.kind in "fiub":
            return True
        if dataset.tail or node.dtype.kind not in "SO":
            return False
        try:
            return self.read(dataset.path).dtype.kind in "fi"
        except ValueError:
            return False

    def holds(self, path: str, n_rows: int | None = None) -> bool:
        """Return whether a dataset of the layout is there in its shape, with so many rows."""
        rows = self._rows(_LAYOUT[path])
        return rows is not None and n_rows in (None, rows)

    def _check(self, stream: StreamLayout) -> StreamState:
        state = StreamState("ok")
        present = [dataset for dataset in stream.datasets if dataset.path in self.file]
        if not present:
            group = stream.datasets[0].path.rpartition("/")[0]
            fault = Fault(stream.name, self.place, f"has no '{group}' data", stream.meaning)
            return StreamState("missing", faults=[fault])
        for dataset in stream.datasets:
            self._check_dataset(stream, dataset, state)
        if not state.usable:
            state.n_rows = 0
        elif stream.name == "imu":
            self._check_imu(state)
        elif stream.name == "depth" and self.holds(layout.CONFIDENCE):
            paths = (layout.DEPTH, layout.CONFIDENCE)
            depth, sure = (_rows_first(self.file[path].shape, 2)[1:] for path in paths)
            if depth != sure:
                place = f"{self.place}: {layout.CONFIDENCE}"
                found, expected = "has maps of {}x{}".format(*sure), "{}x{} as depth has"
                state.add(Fault("depth", place, found, expected.format(*depth)), "partial")
        return state

    def _check_dataset(self, stream: StreamLayout, dataset: Dataset, state: StreamState) -> None:
        place = f"{self.place}: {dataset.path}"
        node, rows = self._node(dataset.path), self._rows(dataset)
        if rows is None:
            found = "is absent"
            if node is not None:
                kind = getattr(node, "dtype", type(node).__name__.lower())
                found = f"has shape {getattr(node, 'shape', None)} and type {kind}"
            worst = "partial" if dataset.optional else "broken"
            state.add(Fault(stream.name, place, found, _shape_text(dataset)), worst)
            return
        if missing := missing_filter(node):
            try:
                node[:1]  # chunks may be stored without its filters
            except OSError:
                expected = "a filter that is installed; try `pip install hdf5plugin`"
                state.add(Fault(stream.name, place, f"needs {missing}", expected), "broken")
        if dataset.rows != "frame":
            return
        state.n_rows = min(rows, state.n_rows or rows)
        if rows != self.n_frames:
            found = f"has {rows} rows"
            state.add(Fault(stream.name, place, found, f"{self.n_frames}, one a frame"), "partial")

    def _check_imu(self, state: StreamState) -> None:
        """Check that samples agree in number and that keyframes point at samples."""
        place = f"{self.place}: imu"
        rows = list(map(self.n_rows, (layout.IMU_STAMPS, layout.IMU_ACCEL, layout.IMU_GYRO)))
        if len(set(rows)) > 1:
            found = f"has {rows[0]} stamps, {rows[1]} accel and {rows[2]} gyro samples"
            state.add(Fault("imu", place, found, "one of each a sample"), "partial")
        try:
            keys = self.keyframes(0, self.n_frames)
        except EpisodeError as error:
            state.add(Fault("imu", error.place, error.found, error.expected), "broken")
            return
        outside = int(np.count_nonzero((keys < 0) | (keys >= min(rows))))
        if outside:
            found = f"{outside} keyframe indices point outside the {min(rows)} samples"
            state.add(Fault("imu", place, found, "indices of samples"), "partial")

    def _node(self, path: str) -> h5py.HLObject | None:
        """Return what the file holds at a path, looked up once; None if nothing."""
        if path not in self._nodes:
            self._nodes[path] = self.file.get(path)
        return self._nodes[path]

    def dataset(self, path: str) -> h5py.Dataset:
        """Return the HDF5 dataset, or raise MissingStreamError naming the place."""
        node = self._node(path)
        if not isinstance(node, h5py.Dataset):
            raise MissingStreamError(
                f"{self.place}: {path}",
                "is absent",
                "a dataset",
                "Run `xperience inspect` on the episode to see what it holds.",
            )
        return node

    def n_rows(self, path: str) -> int:
        """Return how many rows a dataset of the layout has, a leading axis of one left out."""
        node = self.dataset(path)
        return _rows_first(node.shape, len(_LAYOUT[path].tail))[0]

    def read(self, path: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Read rows [start, stop) of a dataset of the layout.

        An axis of length one before or behind the layout's own is dropped, and digits of a text are
        read as the number that they write. Values are in the file's own type, but whole numbers of
        vectors are float64.

        Raises
        ------
        EpisodeError
            If the rows cannot be read, as in a file with damaged chunks.
        """
        node, dataset = self.dataset(path), _LAYOUT.get(path)
        try:
            if dataset is None:
                return node[start:stop]
            n_tail = len(dataset.tail)
            wrapped = _is_wrapped(node.shape, n_tail)
            rows = node[0, start:stop] if wrapped else node[start:stop]
            rows = rows.reshape(rows.shape[: n_tail + 1])
            if rows.dtype.kind in "SO":
                return _numbers(rows)
            lies_in_space = dataset.tail and None not in dataset.tail  # differences are taken
            return rows.astype(np.float64) if lies_in_space and rows.dtype.kind in "iub" else rows
        except OSError as error:
            rows = f"rows {start} to {'the end' if stop is None else stop}"
            raise read_fault(f"{self.place}: {path}", rows, node, error) from error

    def depth(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Return depth and its confidence, each (n, height, width) as stored; None without one."""
        sure = self.read(layout.CONFIDENCE, start, stop) if self.holds(layout.CONFIDENCE) else None
        return self.read(layout.DEPTH, start, stop), sure

    def keyframes(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return the IMU sample of each frame, int64, shape (n,); -1 where there is no number."""
        keys = self.read(layout.IMU_KEYFRAMES, start, stop).astype(np.float64)
        keys = np.nan_to_num(keys, nan=-1, posinf=-1, neginf=-1)
        return keys.clip(-1, 2**53).astype(np.int64)

    def scalar(self, path: str, default: float) -> float:
        """Return a finite scalar, or the default where it is absent or not a number."""
        node = self._node(path)
        if not isinstance(node, h5py.Dataset) or node.size != 1 or node.dtype.kind not in "fiu":
            return default
        try:
            value = float(node[()].reshape(()))
        except OSError as error:
            raise read_fault(f"{self.place}: {path}", "it", node, error) from error
        return value if np.isfinite(value) else default

    def blocks(self, path: str, n_rows: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (first row, rows) over the first ``n_rows`` rows, a bounded number at a time."""
        for start in range(0, n_rows, _BLOCK_ROWS):
            yield start, self.read(path, start, min(start + _BLOCK_ROWS, n_rows))


_OF_STREAMS = {dataset.path: dataset for stream in STREAMS for dataset in stream.datasets}
_LAYOUT = _OF_STREAMS | {layout.VIDEO_STAMPS: layout.VIDEO_CLOCK}


def _open(path: Path, place: str) -> h5py.File:
    if not path.is_file():
        raise EpisodeError(
            place,
            "there is no such file",
            f"{layout.ANNOTATION} in the episode folder",
            "Give the folder that holds the annotation and the videos.",
        )
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise EpisodeError(place, *_refused(path, error)) from error


def _refused(path: Path, error: OSError) -> tuple[str, str, str]:
    """Return what is wrong with a file that HDF5 doesn't open, what is expected, the way out."""
    said = " ".join(str(error).split())
    if "unable to lock file" in said:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return (
                "is locked by a program that writes to it",
                "a file that nobody writes to",
                "Wait until that program has ended, or stop it and see whether the file is whole.",
            )
        found = f"cannot be locked ({os.strerror(error.errno)})"
        way_out = "Set HDF5_USE_FILE_LOCKING=FALSE if no program writes to the file."
        return found, "a file system with locks", way_out
    if "already open for write" in said:
        return (
            "was left open by a program that wrote to it, or is still being written",
            "a file that was closed",
            "If no program writes to it: copy it, run `h5clear -s` (of hdf5-tools) on the copy, "
            "and see whether that is whole.",
        )
    if error.errno:
        fault = file_error(error)
        return f"cannot be read ({os.strerror(error.errno)})", fault.expected, fault.way_out
    if "truncated" in said:
        found, way_out = "is cut off", "Fetch it again: the download stopped early."
    elif not h5py.is_hdf5(path):
        found, way_out = "is not an HDF5 file", "Check what was saved there."
    else:
        found, way_out = f"is damaged ({said})", "Fetch it again; its writer was cut off."
    return found, "a whole HDF5 file", way_out


def _damaged(place: str, found: str) -> EpisodeError:
    way_out = "Fetch the file again; part of it is damaged."
    return EpisodeError(place, found, "a whole HDF5 file", way_out)


def read_fault(place: str, what: str, node: object, error: Exception) -> EpisodeError:
    """Return why part of an HDF5 file, such as "rows 3 to 8" of a node, could not be read."""
    if missing := missing_filter(node):
        way_out = "Install it: `pip install hdf5plugin` brings the usual ones."
        return EpisodeError(place, f"needs {missing}", "a filter that is installed", way_out)
    if isinstance(error, OSError) and error.errno:
        fault = file_error(error, place)
        found = f"{what} cannot be read ({os.strerror(error.errno)})"
        return EpisodeError(place, found, fault.expected, fault.way_out)
    return _damaged(place, f"{what} cannot be read ({error})")


def missing_filter(node: object) -> str | None:
    """Return the name and number of a filter that a dataset needs and HDF5 doesn't find here."""
    if not isinstance(node, h5py.Dataset) or node.chunks is None:
        return None
    made = node.id.get_create_plist()
    filters = [made.get_filter(index) for index in range(made.get_nfilters())]
    if not all(h5py.h5z.filter_avail(number) for number, *_ in filters):
        with suppress(ImportError):
            importlib.import_module("hdf5plugin")  # which registers its filters
    for number, _, _, name in filters:
        if not h5py.h5z.filter_avail(number):
            said = name.decode(errors="replace").rstrip("\0")
            return f"the compression filter {number} ({_FILTERS.get(number) or said or 'unknown'})"
    return None


def _is_names(node: object) -> bool:
    if not isinstance(node, h5py.Dataset) or not node.shape or node.size == 0:
        return False
    return len(_rows_first(node.shape, 0)) == 1


def _is_wrapped(shape: tuple[int, ...], n_tail: int) -> bool:
    return len(shape) > n_tail + 1 and shape[0] == 1


def _rows_first(shape: tuple[int, ...], n_tail: int) -> tuple[int, ...]:
    """Return a shape without an axis of one before the rows or behind the values."""
    if _is_wrapped(shape, n_tail):
        shape = shape[1:]
    return shape[:-1] if len(shape) == n_tail + 2 and shape[-1] == 1 else shape


def _numbers(texts: np.ndarray) -> np.ndarray:
    """Return the numbers that texts write, int64, or float64 if any is no whole number."""
    texts = np.char.strip(texts.astype("S"), b" \0")
    try:
        return texts.astype(np.int64)
    except ValueError:
        return texts.astype(np.float64)


def _shape_text(dataset: Dataset) -> str:
    first = {"frame": "n_frames", "imu": "n_samples", "point": "n_points"}[dataset.rows]
    sizes = [first, *("any" if size is None else str(size) for size in dataset.tail)]
    return f"numbers of shape ({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


def _as_text(value: object) -> str | None:
    """Return the text of a frame's name, None if it is not UTF-8."""
    try:
        return value.rstrip(b"\0").decode() if isinstance(value, bytes) else str(value)
    except UnicodeDecodeError:
        return None
