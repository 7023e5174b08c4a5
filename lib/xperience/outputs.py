"""A recording's own file names, and the checks of where a command writes."""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from xperience.errors import FileError, XperienceError, file_error

ANNOTATION = "annotation.hdf5"
FISHEYE_CAMERAS = ("fisheye_cam0", "fisheye_cam1", "fisheye_cam2", "fisheye_cam3")
STEREO_CAMERAS = ("stereo_left", "stereo_right")
CAMERAS = FISHEYE_CAMERAS + STEREO_CAMERAS
FILES = (ANNOTATION, *(f"{camera}.mp4" for camera in CAMERAS))

_PROBE_BYTES = 2**16
"""Small beside every output, and more than a full disk takes."""


class OutputError(XperienceError):
    """A place to write to that is, holds or lies in something that is only read."""


def check_output(
    out: Path | str, inputs: Iterable[Path | str] = (), *, emptied: bool = False
) -> None:
    """Refuse a place to write to where a recording or another input would be changed.

    If ``out``, a file or folder that need not be there, is an input or lies in one or in a
    recording's folder, under whatever spelling, through links of either kind, or where the file
    system folds case, that is an OutputError. Any recording is guarded whether it is named or not;
    absent inputs, and those in which ``out`` has no part, cost nothing. In a folder whose content
    may be replaced or removed, one to be ``emptied``, no input and no recording may lie.
    """
    out = Path(out)
    for place in _places(out):
        folders = [place, *place.parents]
        for depth, folder in enumerate(folders):
            marks = FILES if depth < 2 else FILES[:1]  # a video counts right above the output
            if any(os.path.lexists(folder / name) for name in marks):
                raise _refused(out, f"lies in the recording {folder}")
        above = {node for folder in folders if (node := _node(folder))}
        for given in map(Path, inputs):
            if _node(given) in above or _is_linked_into(given, place):
                raise _refused(out, f"is, or lies in, the input {given}")
            inside = Path(os.path.realpath(given)).parents
            if emptied and place.is_dir() and _node(place) in map(_node, inside):
                raise _refused(out, f"holds the input {given}")
        if emptied and place.is_dir():
            found = next((path for path in place.rglob("*") if path.name == ANNOTATION), None)
            if found:
                raise _refused(out, f"holds the recording {found.parent}")


def check_writable(path: Path | str, *, folder: bool = False) -> None:
    """Make sure that an output can be written, before any time is spent on what goes into it.

    If it can't: a folder in place of a file or a file in place of a folder, a link to nowhere, a
    read-only or full disk, no permission, a name that is too long, that is a FileError.
    """
    path = Path(path)
    found = None
    try:
        whole = path.absolute()
        nowhere = (p for p in (whole, *whole.parents) if p.is_symlink() and not p.exists())
        if path.exists() and not (path.is_dir() if folder else path.is_file()):
            is_file = "file" if path.is_file() else "device or pipe"
            found = f"is a {'folder' if path.is_dir() else is_file}"
        elif link := next(nowhere, None):
            found = f"goes by the link {link}, which leads nowhere"
        else:
            places = [whole, *whole.parents] if folder else whole.parents
            place = next(one for one in places if one.exists())
            if place.is_dir():
                with tempfile.TemporaryFile(dir=place, buffering=0) as scratch:
                    scratch.write(bytes(_PROBE_BYTES))
            else:
                found = f"lies under {place}, which is no folder"
    except OSError as error:
        raise file_error(error, path) from error
    if found:
        kind = "a folder" if folder else "a file"
        raise FileError(str(path), found, kind, "Name another place to write to.")


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


def _node(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None  # what isn't there can't be harmed
    return found.st_dev, found.st_ino


def _is_linked_into(given: Path, place: Path) -> bool:
    """Return whether ``place`` is a file that an input folder holds under another name."""
    if not (place.is_file() and place.stat().st_nlink > 1 and given.is_dir()):
        return False
    return any(_node(path) == _node(place) for path in given.rglob("*") if path.is_file())
