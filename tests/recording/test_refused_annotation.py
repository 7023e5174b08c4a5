"""An ``annotation.hdf5`` that HDF5 does not open or read: each reason has its own way out."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pytest

from xperience.errors import EpisodeError
from xperience.recording import layout
from xperience.recording.inspect import inspect_episode
from xperience.recording.recording import Episode

from .expecting import Extract, report_of

WRITER = """
import sys, time, h5py
file = h5py.File(sys.argv[1], sys.argv[2], libver="latest")
file.attrs["half"] = "written"
file.flush()
print("open", flush=True)
time.sleep(600)
"""


class Writer:
    """Another process that has a file open for writing."""

    def __init__(self, path: Path, mode: str):
        argv = [sys.executable, "-c", WRITER, str(path), mode]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"open\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def writer() -> Iterator[Callable[[Path, str], Writer]]:
    begun: list[Writer] = []

    def begin(path: Path, mode: str) -> Writer:
        begun.append(Writer(path, mode))
        return begun[-1]

    yield begin
    for one in begun:
        one.kill()


def refusal(folder: Path) -> EpisodeError:
    """The error, after a look at whether `inspect` says the same."""
    with pytest.raises(EpisodeError) as raised:
        Episode(folder)
    report = inspect_episode(folder)
    assert report.faults == [str(raised.value)]
    assert "\n" not in str(raised.value)
    return raised.value


def test_locked_by_a_writer_then_left_open_by_it(tiny: Path, writer: Callable) -> None:
    path = tiny / layout.ANNOTATION
    path.unlink()
    alive = writer(path, "w")
    error = refusal(tiny)
    assert error.found == "is locked by a program that writes to it"
    assert "Wait" in error.way_out
    alive.kill()
    error = refusal(tiny)
    assert error.found.startswith("was left open by a program that wrote to it")
    assert "`h5clear -s`" in error.way_out
    assert "copy it" in error.way_out  # the recording itself stays as it is


def test_a_writer_that_was_killed_in_the_middle_leaves_damage(tiny: Path) -> None:
    path = tiny / layout.ANNOTATION
    content = bytearray(path.read_bytes())
    content[8] = 77  # the version of the superblock
    path.write_bytes(content)
    error = refusal(tiny)
    assert error.found.startswith("is damaged (")
    assert error.found != "is not an HDF5 file"


def test_cut_off_and_not_hdf5(tiny: Path) -> None:
    path = tiny / layout.ANNOTATION
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert refusal(tiny).found == "is cut off"
    path.write_bytes(b"no such thing" * 1000)
    assert refusal(tiny).found == "is not an HDF5 file"


def test_may_not_be_read(tiny: Path, command: Callable) -> None:
    (tiny / layout.ANNOTATION).chmod(0)
    done = command("inspect", tiny)
    assert done.returncode == 1
    place = "ep/annotation.hdf5: cannot be read (Permission denied), expected your permission"
    assert place in done.stdout
    assert "Ask its owner" in done.stdout
    assert "Traceback" not in done.stderr


def put_filtered(folder: Path, path: str, number: int, mask: int = 0) -> None:
    """Write a dataset again whose chunks go through a filter; ``mask`` leaves it out for them."""
    with h5py.File(folder / layout.ANNOTATION, "r+") as file:
        rows = file[path][()]
        del file[path]
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_chunk(rows.shape)
        made.set_filter(number, h5py.h5z.FLAG_OPTIONAL, ())
        kind, space = h5py.h5t.py_create(rows.dtype), h5py.h5s.create_simple(rows.shape)
        node = h5py.h5d.create(file.id, path.encode(), kind, space, dcpl=made)
        node.write_direct_chunk((0,) * rows.ndim, rows.tobytes(), filter_mask=mask)


@pytest.mark.parametrize(
    ("number", "name"), [(32001, "Blosc"), (32015, "Zstandard"), (40123, "unknown")]
)
def test_a_filter_that_is_absent_costs_its_stream_and_is_named(
    tiny: Path, windows_of: Extract, number: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)  # also where it is installed
    put_filtered(tiny, layout.KEYPOINTS, number)
    row = report_of(tiny, "body")
    assert row.status == "broken"
    said = f"{layout.KEYPOINTS}: needs the compression filter {number} ({name}), expected a filter"
    assert said in row.faults[0]
    assert "pip install hdf5plugin" in row.faults[0]
    missing = windows_of(tiny).info.missing_blocks
    assert said in missing["body_joints"]


def test_chunks_that_were_stored_without_the_absent_filter_are_read(tiny: Path) -> None:
    put_filtered(tiny, layout.KEYPOINTS, 40123, mask=1)
    assert report_of(tiny, "body").status == "ok"


@pytest.mark.parametrize("path", [layout.FRAME_NAMES, "calibration/cam0/T_c_b"])
def test_an_absent_filter_of_what_is_required_is_an_error_at_its_place(
    tiny: Path, path: str
) -> None:
    put_filtered(tiny, path, 40123)
    error = refusal(tiny)
    assert error.place == f"ep/annotation.hdf5: {path}"
    assert error.found == "needs the compression filter 40123 (unknown)"
    assert "pip install hdf5plugin" in error.way_out


@pytest.mark.parametrize("path", [layout.DEPTH, "caption"])
def test_an_absent_filter_elsewhere_is_named(tiny: Path, path: str, builder: ModuleType) -> None:
    if path == "caption":
        builder.put(tiny, caption=np.array([builder.get(tiny, "caption")], dtype="S20000"))
    put_filtered(tiny, path, 40123)
    row = report_of(tiny, "depth" if path == layout.DEPTH else "captions")
    assert row.status == "broken"
    assert "needs the compression filter 40123 (unknown)" in row.faults[0]
