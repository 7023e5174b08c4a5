"""The split manifest: a CSV with one row per episode, its session and its split."""

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from xperience.errors import XperienceError, reading, validated
from xperience.outputs import ANNOTATION
from xperience.storage import known_digest, write_table
from xperience.text import read_table

SPLITS = ("train", "val", "test")


class ManifestError(XperienceError):
    """A split manifest that cannot be used."""


class Entry(BaseModel):
    """One episode of a cohort."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    episode: str = Field(pattern=r"^\w[\w.-]*$")  # unique; also the stem of its windows tables
    folder: str = Field(min_length=1)
    """Relative to the manifest's own folder, or inside the dataset while it is not downloaded."""
    session: str = Field(min_length=1)  # of recording; none is in two splits
    side: Literal["train", "val", "test"]  # its split
    activity: str = ""  # what the wearer does, as the captions say; empty while they are unread
    size_bytes: int = Field(default=0, ge=0)  # of all its files; 0 while unknown
    size_band: str = ""  # that it was chosen from


COLUMNS = tuple(Entry.model_fields)


@dataclass(frozen=True)
class SplitManifest:
    """Episodes with their splits, in the order of the file; folders are relative to ``root``."""

    entries: tuple[Entry, ...]
    root: Path

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def on(self, side: str) -> list[Entry]:
        """Return the episodes of one split."""
        return [entry for entry in self.entries if entry.side == side]

    def folder(self, entry: Entry) -> Path:
        """Return where an episode's recording is."""
        return self.root / entry.folder


def make_manifest(
    entries: Iterable[Entry], root: Path | str, place: str = "manifest"
) -> SplitManifest:
    """Return a checked split manifest.

    If there is no episode, a name or a recording stands twice, a session is in two splits, or two
    differ only by case, spaces or letter forms, that is a ManifestError. The error names ``place``.
    """
    manifest = SplitManifest(tuple(entries), Path(root))
    if not manifest.entries:
        raise ManifestError(place, "names no episode", "at least one", "Choose episodes first.")
    stems = Counter(_plain(entry.episode) for entry in manifest)
    sessions: dict[str, Entry] = {}
    for entry in manifest:
        # windows tables would be one file, where the file system folds case
        stem, own = _plain(entry.episode), f"{place}: {entry.episode}"
        table_of = stem.removesuffix(".corrected")
        if stems[stem] > 1 or (table_of != stem and table_of in stems):
            twice = f"stands {stems[stem]} times"
            found = twice if stems[stem] > 1 else f"names a table of {table_of!r} too"
            raise ManifestError(own, found, "once, whatever its case", "Drop the copies.")
        first = sessions.setdefault(_plain(entry.session), entry)
        if first.session != entry.session:
            raise ManifestError(
                f"{own}: session {entry.session!r}",
                f"is written {first.session!r} on the line of {first.episode}",
                "one session written one way, two with names of their own",
                "Their case, spaces or letter forms differ: taken for two, they could be parted.",
            )
        if first.side != entry.side:
            raise ManifestError(
                f"{place}: session {entry.session}",
                f"is in two splits, {first.side} and {entry.side}",
                "each session in one split",
                "Windows of one session are not independent: move its episodes together.",
            )
    _check_recordings(manifest, place)
    return manifest


def _plain(name: str) -> str:
    """Return a name without what may differ by accident: case, spaces, form of letters."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def _check_recordings(manifest: SplitManifest, place: str) -> None:
    """Refuse the same recording under two names: by its real place, then by its annotation."""
    annotations = {entry: manifest.folder(entry) / ANNOTATION for entry in manifest}
    there = [entry for entry, path in annotations.items() if path.is_file()]
    sizes = Counter(annotations[entry].stat().st_size for entry in there)
    twins = [entry for entry in there if sizes[annotations[entry].stat().st_size] > 1]
    marks = [("is the same folder as that of", e, os.path.realpath(manifest.folder(e)))
             for e in manifest]  # fmt: skip
    marks += [("holds the same annotation as that of", e, known_digest(annotations[e]))
              for e in twins]  # fmt: skip
    owners: dict[str, Entry] = {}
    for found, entry, mark in marks:
        if other := owners.get(mark):
            raise ManifestError(
                f"{place}: {entry.episode}: {entry.folder}",
                f"{found} {other.episode}",
                "each recording once",
                "Keep one of the two lines: what is trained on must not be tested on.",
            )
        owners[mark] = entry


def read_manifest(path: Path | str) -> SplitManifest:
    """Read a split manifest: CSV with the columns of `Entry`, of which optional ones may be absent.

    If the file cannot be read, or a row is not as declared, that is a ManifestError.
    """
    path = Path(path)
    with reading(path.name, "a CSV file of episodes", ManifestError):
        rows = read_table(path)
    way_out = f"The columns are {', '.join(COLUMNS)}."
    entries = [
        validated(
            Entry,
            {name: value for name, value in row.items() if value},
            f"{path.name}: line {number}",
            ManifestError,
            way_out,
        )
        for number, row in rows
    ]
    return make_manifest(entries, path.parent, path.name)


def write_manifest(path: Path | str, manifest: SplitManifest) -> None:
    """Write a split manifest as CSV, whole or not at all."""
    write_table(path, COLUMNS, (entry.model_dump().values() for entry in manifest))
