"""The roster: a CSV with one row an episode, its session and the side of the split it is on."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from xperience.errors import TextError, XperienceError, unreadable
from xperience.storage import write_text
from xperience.text import read_table

SIDES = ("train", "val", "test")
NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"


class RosterError(XperienceError):
    """A list of episodes that cannot be used."""


class Entry(BaseModel):
    """One episode of a cohort.

    Parameters
    ----------
    episode : str
        Its name, unique in the roster; also the stem of its windows tables.
    folder : str
        Folder of the recording: relative to the roster's own folder, or inside the dataset while
        it has not been staged.
    session : str
        The recording session; no session is on two sides.
    side : {"train", "val", "test"}
    activity : str, optional
        What the wearer does, as the captions say; empty while they are unread.
    size_bytes : int, optional
        Bytes of all its files; 0 while unknown.
    size_band : str, optional
        The size band that it was chosen from.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    episode: str = Field(pattern=NAME)
    folder: str = Field(min_length=1)
    session: str = Field(min_length=1)
    side: Literal["train", "val", "test"]
    activity: str = ""
    size_bytes: int = Field(default=0, ge=0)
    size_band: str = ""


COLUMNS = tuple(Entry.model_fields)


@dataclass(frozen=True)
class Roster:
    """Episodes with their sides.

    Parameters
    ----------
    entries : tuple of Entry
        In the order of the file.
    root : Path
        What relative folders are relative to.
    """

    entries: tuple[Entry, ...]
    root: Path

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def on(self, side: str) -> list[Entry]:
        """Return the episodes of one side."""
        return [entry for entry in self.entries if entry.side == side]

    def folder(self, entry: Entry) -> Path:
        """Return where an episode's recording is."""
        return self.root / entry.folder


def make_roster(entries: Iterable[Entry], root: Path | str, place: str = "roster") -> Roster:
    """Return a checked roster.

    Parameters
    ----------
    entries : iterable of Entry
    root : path
        What relative folders are relative to.
    place : str, optional
        What errors name.

    Raises
    ------
    RosterError
        If there is no episode, a name stands twice or a session is on two sides.
    """
    entries = tuple(entries)
    if not entries:
        raise RosterError(place, "names no episode", "at least one", "Choose episodes first.")
    name, count = Counter(entry.episode for entry in entries).most_common(1)[0]
    if count > 1:
        raise RosterError(f"{place}: {name}", f"stands {count} times", "once", "Drop the copies.")
    sides: dict[str, str] = {}
    for entry in entries:
        if sides.setdefault(entry.session, entry.side) != entry.side:
            raise RosterError(
                f"{place}: session {entry.session}",
                f"is on two sides, {sides[entry.session]} and {entry.side}",
                "each session on one side",
                "Windows of one session are not independent: move its episodes together.",
            )
    return Roster(entries, Path(root))


def read_roster(path: Path | str) -> Roster:
    """Read a roster.

    Parameters
    ----------
    path : path
        A CSV file with the columns of `Entry`, parted by commas, semicolons or tabs; optional ones
        may be absent.

    Raises
    ------
    RosterError
        If the file cannot be read, or a row is not as declared.
    """
    path = Path(path)
    try:
        rows = read_table(path)
    except (OSError, TextError) as error:
        raise RosterError(
            path.name, unreadable(error), "a CSV file of episodes", "Name another file."
        ) from error
    entries = [_entry(row, f"{path.name}: line {number}") for number, row in rows]
    return make_roster(entries, path.parent, path.name)


def write_roster(path: Path | str, roster: Roster) -> None:
    """Write a roster as CSV, whole or not at all."""
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(entry.model_dump() for entry in roster)
    write_text(path, text.getvalue())


def _entry(row: dict[str, str], place: str) -> Entry:
    given = {name: value for name, value in row.items() if value}
    try:
        return Entry.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = f"{place}: {'.'.join(map(str, first['loc']))}"
        absent = first["type"] == "missing"
        found = "is missing" if absent else f"is {first['input']!r}"
        expected = "a value in every line" if absent else first["msg"]
        raise RosterError(
            where, found, expected, f"The columns are {', '.join(COLUMNS)}."
        ) from error
