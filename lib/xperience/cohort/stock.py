"""The stock: every episode that a dataset lists, with its sizes, as far as a listing tells them.

A listing comes from the hub or from a file, CSV or JSON, in one of two forms: one row a *file*
(``path``, ``size``) or one row an *episode* (``folder``, ``annotation_bytes``, ``size_bytes``).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from xperience.errors import TextError, XperienceError, unreadable
from xperience.hub.source import RemoteEpisode, RemoteFile, group_episodes
from xperience.recording.layout import ANNOTATION
from xperience.text import read_json, read_table

ALIASES = {
    "episode_path": "folder",
    "rfilename": "path",
    "top_level_session": "session",
    "training_bytes_excluding_visualization_rrd": "size_bytes",
}
"""Other names of columns: of the published selection and of the hub's own answers."""
_WAY_OUT = (
    "A listing has the columns path and size (one row a file), or folder, annotation_bytes and "
    "size_bytes (one row an episode); as JSON it is a list of such objects, or has it in `files`."
)


class ListingError(XperienceError):
    """A listing of a dataset that cannot be used."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One episode of the stock.

    Parameters
    ----------
    folder : str
        Inside the dataset.
    session : str
        The recording session that it is a part of.
    annotation_bytes, size_bytes : int
        Of the annotation, and of all files that an episode needs.
    missing : tuple of str
        Files of an episode that are not there.
    """

    folder: str
    session: str
    annotation_bytes: int
    size_bytes: int
    missing: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether the annotation and all six videos are there."""
        return not self.missing


def stock_of(episodes: Iterable[RemoteEpisode]) -> list[Listed]:
    """Return the stock of a dataset whose files are known.

    Parameters
    ----------
    episodes : iterable of RemoteEpisode
        As `xperience.hub.download.list_episodes` returns them. The first part of an episode's
        folder is its session.
    """
    return [
        Listed(
            folder=episode.folder,
            session=session_of(episode.folder),
            annotation_bytes=sum(
                file.size for name, file in episode.local_files.items() if name == ANNOTATION
            ),
            size_bytes=episode.size,
            missing=episode.missing,
        )
        for episode in episodes
    ]


def session_of(folder: str) -> str:
    """Return the session of an episode's folder: the first part of its path.

    >>> session_of("8a8e1b3c/ep1")
    '8a8e1b3c'
    """
    return folder.split("/", 1)[0]


def read_stock(path: Path | str) -> list[Listed]:
    """Read a listing.

    Parameters
    ----------
    path : path
        A ``.json`` file, or else a CSV file; see the module. Listed by episode, every episode
        counts as complete; columns that are not needed are passed over.

    Returns
    -------
    list of Listed
        Sorted by folder.

    Raises
    ------
    ListingError
        If the file cannot be read, a value is missing or no number, or an episode stands twice.
    """
    path = Path(path)
    rows = _rows(path)
    if not rows:
        raise ListingError(path.name, "lists nothing", "files or episodes", _WAY_OUT)
    by_file = "path" in rows[0]
    read = _by_file if by_file else _by_episode
    stock = sorted(read(rows, path.name), key=lambda listed: listed.folder)
    for one, other in pairwise(stock):
        if one.folder == other.folder:
            raise ListingError(
                f"{path.name}: {one.folder}", "stands twice", "one row", "Drop the copy."
            )
    return stock


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        by_row = path.suffix != ".json"
        found = [row for _, row in read_table(path)] if by_row else read_json(path)
    except (OSError, TextError) as error:
        raise ListingError(path.name, unreadable(error), "CSV or JSON", _WAY_OUT) from error
    if isinstance(found, Mapping):
        found = found.get("files")
    if not isinstance(found, list) or not all(isinstance(row, Mapping) for row in found):
        raise ListingError(path.name, "is no list of objects", "one object a row", _WAY_OUT)
    return [{ALIASES.get(name, name): value for name, value in row.items()} for row in found]


def _by_file(rows: Sequence[Mapping[str, Any]], place: str) -> list[Listed]:
    files = []
    for number, row in enumerate(rows, 1):
        where = f"{place}: row {number}"
        path = _text(row, "path", where)
        size = _count(row, "size", where)
        try:
            files.append(RemoteFile(path=path, size=size, digest=""))
        except ValidationError as error:
            raise ListingError(
                where, f"path is {path!r}", "a plain relative path", _WAY_OUT
            ) from error
    return stock_of(group_episodes(files))


def _by_episode(rows: Sequence[Mapping[str, Any]], place: str) -> list[Listed]:
    stock = []
    for number, row in enumerate(rows, 1):
        where = f"{place}: row {number}"
        folder = _text(row, "folder", where).strip("/")
        stock.append(
            Listed(
                folder=folder,
                session=str(row.get("session") or session_of(folder)),
                annotation_bytes=_count(row, "annotation_bytes", where),
                size_bytes=_count(row, "size_bytes", where),
            )
        )
    return stock


def _text(row: Mapping[str, Any], name: str, where: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value:
        found = "is missing" if value in (None, "") else f"is {value!r}"
        raise ListingError(f"{where}: {name}", found, "a path inside the dataset", _WAY_OUT)
    return value


def _count(row: Mapping[str, Any], name: str, where: str) -> int:
    value = row.get(name)
    digits = value.strip().isdecimal() if isinstance(value, str) else type(value) is int
    if not digits or int(value) < 0:
        found = "is missing" if value in (None, "") else f"is {value!r}"
        raise ListingError(f"{where}: {name}", found, "a number of bytes", _WAY_OUT)
    return int(value)
