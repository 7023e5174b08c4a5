"""A recording's own file names, and the checks of where a command writes."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from xperience.errors import FileError, XperienceError, file_error

ANNOTATION = "annotation.hdf5"
FISHEYE_CAMERAS = ("fisheye_cam0", "fisheye_cam1", "fisheye_cam2", "fisheye_cam3")
STEREO_CAMERAS = ("stereo_left", "stereo_right")
CAMERAS = FISHEYE_CAMERAS + STEREO_CAMERAS
FILES = (ANNOTATION, *(f"{camera}.mp4" for camera in CAMERAS))

Node = tuple[int, int]

_PROBE_BYTES = 2**16
"""Small beside every output, and more than a full disk takes."""


class OutputError(XperienceError):
    """A place to write to that is, holds or lies in something that is only read."""


def check_output(
    out: Path | str, inputs: Iterable[Path | str] = (), *, emptied: bool = False
) -> None:
    """Refuse a place to write to where a recording or another input would be changed.

    Parameters
    ----------
    out : path
        File or folder to be written, there or not.
    inputs : iterable of path, optional
        Files and folders that the caller reads. Any recording is guarded whether it is named or
        not; absent inputs, and those in which ``out`` has no part, cost nothing.
    emptied : bool, optional
        Whether ``out`` is a folder whose content may be replaced or removed: then no input and no
        recording may lie in it.

    Raises
    ------
    OutputError
        If ``out`` is an input or lies in one or in a recording's folder, under whatever spelling,
        through links of either kind, or where the file system folds case.
    """
    out = Path(out)
    for place in _places(out):
        folders = [place, *place.parents]
        for folder in folders:
            if _is_recording(folder, nearest=folder in folders[:2]):
                raise _refused(out, f"lies in the recording {folder}")
        above = {node for folder in folders if (node := _node(folder))}
        for given in map(Path, inputs):
            if _node(given) in above or _node(place) in _linked_files(given, place):
                raise _refused(out, f"is, or lies in, the input {given}")
            if emptied and place.is_dir() and _node(place) in _above(given):
                raise _refused(out, f"holds the input {given}")
        if emptied and (found := _recording_in(place)):
            raise _refused(out, f"holds the recording {found}")


def check_writable(path: Path | str, *, folder: bool = False) -> None:
    """Make sure that an output can be written, before any time is spent on what goes into it.

    Parameters
    ----------
    path : path
        Where the output belongs.
    folder : bool, optional
        Whether it is to be a folder.

    Raises
    ------
    FileError
        If it can't: a folder in place of a file or a file in place of a folder, a link to nowhere,
        a read-only or full disk, no permission, a name that is too long.
    """
    path = Path(path)
    kind = "folder" if folder else "file"
    way_out = "Name another place to write to."
    try:
        if path.exists() and not (path.is_dir() if folder else path.is_file()):
            found = "folder" if path.is_dir() else "file" if path.is_file() else "device or pipe"
            raise FileError(str(path), f"is a {found}", f"a {kind}", way_out)
        whole = path.absolute()
        for one in (whole, *whole.parents):
            if one.is_symlink() and not one.exists():
                found = f"goes by the link {one}, which leads nowhere"
                raise FileError(str(path), found, f"a {kind}", way_out)
        places = [whole, *whole.parents] if folder else whole.parents
        place = next(one for one in places if one.exists())
        if not place.is_dir():
            found = f"lies under {place}, which is no folder"
            raise FileError(str(path), found, f"a {kind}", way_out)
        with tempfile.TemporaryFile(dir=place, buffering=0) as scratch:
            scratch.write(bytes(_PROBE_BYTES))
    except OSError as error:
        raise file_error(error, path) from error


def _refused(out: Path, found: str) -> OutputError:
    return OutputError(
        str(out), found, "a place apart from all that is read", "Name another place to write to."
    )


def _places(out: Path) -> list[Path]:
    """Return where ``out`` leads, and where the link stands if it is one: that is replaced."""
    led_to = Path(os.path.realpath(out))
    if out.name in ("", ".."):
        return [led_to]
    return list(dict.fromkeys([led_to, Path(os.path.realpath(out.parent)) / out.name]))


def _is_recording(folder: Path, nearest: bool) -> bool:
    """Return whether a folder holds an annotation or, right above the output, a camera's video."""
    names = FILES if nearest else FILES[:1]
    return any(os.path.lexists(folder / name) for name in names)


def _node(path: Path) -> Node | None:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None  # what isn't there can't be harmed
    return found.st_dev, found.st_ino


def _above(path: Path) -> list[Node | None]:
    return [_node(folder) for folder in Path(os.path.realpath(path)).parents]


def _linked_files(given: Path, place: Path) -> Iterator[Node | None]:
    """Yield the files of an input folder, if ``place`` is a file that stands in several folders."""
    if place.is_file() and place.stat().st_nlink > 1 and given.is_dir():
        yield from (_node(path) for path in given.rglob("*") if path.is_file())


def _recording_in(folder: Path) -> Path | None:
    if not folder.is_dir():
        return None
    return next((path.parent for path in folder.rglob("*") if path.name == ANNOTATION), None)
