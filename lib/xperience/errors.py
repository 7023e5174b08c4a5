"""The one family of errors that bad input raises: place, found, expected, way out."""

import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pydantic import BaseModel

Model = TypeVar("Model", bound="BaseModel")


class XperienceError(ValueError):
    """Bad input, named so that its owner can mend it.

    The place is the file and the path inside it, or the setting, that is at fault; ``found`` is
    what is there, as a verb phrase ("has shape (400, 20, 3)"), ``expected`` what should be, and
    ``way_out`` what the reader can do about it, a full sentence.
    """

    def __init__(self, place: str, found: str, expected: str, way_out: str):
        super().__init__(place, found, expected, way_out)
        self.place, self.found, self.expected, self.way_out = place, found, expected, way_out

    def __str__(self) -> str:
        return f"{self.place}: {self.found}, expected {self.expected}. {self.way_out}"


class EpisodeError(XperienceError):
    """A recording on disk that cannot be used as asked."""


class MissingStreamError(EpisodeError):
    """A stream that the caller asked for is absent from the recording."""


class CoordinateFrameError(XperienceError):
    """Points of two coordinate frames met in one formula."""


class ParamsError(XperienceError):
    """A parameter, in a params file or a call, that names or holds something unknown."""


class DownloadError(XperienceError):
    """A file that could not be fetched whole and unchanged."""


class NotebookError(XperienceError):
    """A notebook that cannot be run, or failed while it ran."""


class FileError(XperienceError):
    """A file or folder that the system refuses to read or to write."""


_REFUSALS = {
    errno.ENOSPC: ("room on the disk", "Free some space, or name a place on another disk."),
    errno.EDQUOT: ("room in your quota", "Free some space, or name a place on another disk."),
    errno.EROFS: ("a disk that can be written", "Name a place on another disk."),
    errno.EACCES: ("your permission for it", "Ask its owner, or name another place."),
    errno.EPERM: ("your permission for it", "Ask its owner, or name another place."),
    errno.EISDIR: ("a file", "Name a file inside that folder."),
    errno.ENOTDIR: ("a folder on the way to it", "A part of the path is a file: correct the path."),
    errno.EEXIST: ("a free name", "Name another place, or move what is there."),
    errno.ENOTEMPTY: ("a free name", "Name another place, or move what is there."),
    errno.ENAMETOOLONG: ("a name of at most 255 bytes", "Choose a shorter name."),
    errno.ELOOP: ("links that lead to a file", "Mend the links: they lead to each other."),
    errno.ENOENT: ("a file or folder", "Correct the path."),
    errno.EIO: ("a disk without errors", "Check the disk, and fetch the file again elsewhere."),
    errno.EMFILE: ("fewer open files", "Raise the limit with `ulimit -n`, or use fewer workers."),
}


def file_error(error: OSError, place: str | os.PathLike = "") -> FileError:
    """Return what the system refused as an error with a place and a way out.

    The place is the file, or what stands for it; the error's own file name where none is given.
    """
    named = place or error.filename2 or error.filename or "a file or the console"
    shown = os.fsdecode(named) if isinstance(named, bytes | os.PathLike) else str(named)
    expected, way_out = _REFUSALS.get(
        error.errno, ("a file or folder that can be used", "Check the disk and the path.")
    )
    said = " ".join((error.strerror or str(error) or type(error).__name__).split())
    return FileError(shown, f"cannot be used ({said})", expected, way_out)


class TextError(ValueError):
    """A text that is not what it should be; whoever knows its file says which it is.

    ``line`` counts from 1; it is 0 where no line can be told.
    """

    def __init__(self, found: str, line: int = 0):
        super().__init__(found)
        self.line = line


def unreadable(error: Exception) -> str:
    """Return why a file could not be read, as a verb phrase for ``found``.

    >>> unreadable(FileNotFoundError(2, "No such file or directory"))
    'cannot be read (there is no such file)'
    """
    if isinstance(error, FileNotFoundError):
        # Some readers put only the path into it, which the place says already.
        return "cannot be read (there is no such file)"
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"cannot be read ({' '.join(said.split())})"


def validated(
    model: type[Model],
    values: Mapping[str, Any],
    place: str,
    kind: type[XperienceError] = ParamsError,
    way_out: str = "Change that value.",
) -> Model:
    """Return a user's values as a pydantic model; None keeps a default.

    The first that is wrong is an error of the kind given, at its name below ``place``.
    """
    from pydantic import ValidationError  # noqa: PLC0415 - whoever has a model has loaded it

    try:
        return model.model_validate({k: one for k, one in values.items() if one is not None})
    except ValidationError as fault:
        first = fault.errors(include_url=False)[0]
        name = ".".join(map(str, first["loc"]))
        found = f"is {first['input']!r}" if name else "contradicts itself"
        expected = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
        if first["type"] == "missing":
            found, expected = "is missing", "a value"
        elif first["type"] == "extra_forbidden":
            found, expected = "is no setting", "a setting"
            way_out = did_you_mean(name, model.model_fields)
        raise kind(f"{place}: {name or 'settings'}", found, expected, way_out) from fault


@contextmanager
def reading(
    place: str,
    expected: str,
    kind: type[XperienceError] = ParamsError,
    way_out: str = "Name another file.",
) -> Iterator[None]:
    """Turn what keeps a file from being read inside the block into an error of the kind given."""
    try:
        yield
    except XperienceError:
        raise
    except (OSError, ValueError) as error:
        raise kind(place, unreadable(error), expected, way_out) from error


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a way out for a misspelt name: the nearest known one, then all of them."""
    known = sorted(known)
    near = get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return f"{hint}Known names: {', '.join(known) or 'none'}."
