"""The published record: its named files, from whichever source has them, each checked by its hash.

The note's parameters (`params/published.yaml`) name files, places and sources. A list in this
repository says how long each file is and what its SHA-256 is, so it doesn't matter where one comes
from: what arrives is the published file or is refused.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from huggingface_hub import hf_hub_url
from huggingface_hub.utils import build_hf_headers
from pydantic import BaseModel, ConfigDict

from xperience.errors import DownloadError, FileError, reading
from xperience.hub.download import (
    LICENCES,
    UnreachableError,
    absent_files,
    bring_all,
    list_files,
    named_faults,
    page_of,
    resolve,
    transfer,
)
from xperience.hub.source import RECEIPT, RemoteFile
from xperience.project import NOTE, RECORD_FILES, RECORD_VARIABLE
from xperience.storage import file_digest, write_table
from xperience.text import read_table

Places = Mapping[str, Sequence[str]]
"""Places of files by name, as ``files`` of the note's parameters; one may hold ``{task}``."""
COLUMNS = ("path", "bytes", "sha256")


class RecordSource(BaseModel):
    """What may have files of the record: a repository on the hub, or a host of plain files.

    ``at`` is ``owner/name``, or a URL with ``{path}`` in it. A branch will do for a revision of the
    hub, since the list pins every file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["model", "dataset", "code"]
    at: str
    revision: str = "main"

    @property
    def name(self) -> str:
        """What messages call it."""
        return urlsplit(self.at).netloc if self.kind == "code" else f"{self.kind} {self.at}"

    def urls(self, named: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
        """Return where files may be had, by their digests, as their places are given.

        On the hub folders don't matter: what counts is that a path ends like a place, and isn't
        listed with another SHA-256.
        """
        if self.kind == "code":
            return {
                digest: [self.at.format(path=quote(place)) for place in places]
                for digest, places in named.items()
            }
        commit, _ = resolve(self.at, self.revision, self.kind)
        listed = list_files(self.at, commit, kind=self.kind)
        return {
            digest: [
                hf_hub_url(self.at, one.path, repo_type=self.kind, revision=commit)
                for one in listed
                if (one.digest == digest or one.digest.startswith("git-"))
                and any(f"/{one.path}".endswith(f"/{place}") for place in places)
            ]
            for digest, places in named.items()
        }


def download_record(
    note: Mapping[str, Any],
    files: Sequence[RemoteFile],
    out: Path,
    *,
    say: Callable[[str], object] = print,
) -> None:
    """Bring the files of the published record into a folder, or see that they are there.

    Shows the licence first. Each file is asked of one source after the other until one has it with
    the listed size and SHA-256. What is there already is kept, an interrupted file goes on where it
    stopped, and the files appear in their places once all have arrived. The note's parameters hold
    ``source``, ``files`` and ``sources``; ``say`` takes each line for the user.

    If no source that answered has a file, and another one did not answer, that is an
    UnreachableError. If no source has it as listed, or the folder holds something else in its
    place, it is a DownloadError.
    """
    absent = absent_files(out, {file.path: file for file in files})
    if not absent and (out / RECEIPT).is_file():
        say(f"{out}: the published record is here, {len(files)} files, all checked")
        return
    source, size = note["source"], sum(file.size for file in absent.values())
    say(f"The published record: {source['repository']} at {source['revision']}")
    say(f"Licence: {LICENCES.get(source['licence'], source['licence'])}")
    say(f"{len(absent)} files, {size / 1e6:,.1f} MB -> {out}")
    named: dict[str, list[str]] = {file.digest: [] for file in files}
    for file in files:  # those of the same content stand in for each other
        named[file.digest] += places_of(file.path, note["files"])
    sources = [RecordSource.model_validate(one) for one in note["sources"]]
    offers, lost = {}, {}
    for one in sources:
        try:
            offers[one] = one.urls(named)
        except DownloadError as fault:
            lost[one] = fault
    came: dict[str, str] = {}

    def fetch(file: RemoteFile, part: Path) -> None:
        faults: dict[RecordSource, DownloadError] = dict(lost)
        for one, urls in offers.items():
            page = one.at if one.kind == "code" else page_of(one.at, one.kind)
            headers = {} if one.kind == "code" else build_hf_headers()
            for url in urls[file.digest]:
                try:
                    transfer(f"{one.name}: {file.path}", url, file, part, page, headers)
                    came[file.path] = one.name
                    return
                except DownloadError as fault:
                    faults[one] = fault
                    if isinstance(fault, UnreachableError):
                        break
        raise _nowhere(file, {one.name: faults.get(one) for one in sources})

    with named_faults(str(out), NOTE):
        bring_all(out, absent, fetch, lambda: json.dumps({"came_from": came}, indent=1))
    shares = ", ".join(f"{n} from {name}" for name, n in Counter(came.values()).items())
    say(
        f"{len(absent)} files fetched ({shares}), {len(files) - len(absent)} were here; all checked"
    )


def _nowhere(file: RemoteFile, faults: Mapping[str, DownloadError | None]) -> DownloadError:
    """Return the error for a file that no source gave."""
    found = "; ".join(
        f"{name} {fault.found if fault else 'lists no such file'}" for name, fault in faults.items()
    )
    silent = any(isinstance(fault, UnreachableError) for fault in faults.values())
    way_out = f"Compare `sources` in {NOTE} and {RECORD_FILES} with what is there."
    if silent:
        way_out = "Check the network. Run `make record` again: it resumes with what has arrived."
    return (UnreachableError if silent else DownloadError)(
        f"published record: {file.path}",
        f"came from no source: {found}",
        f"{file.size:,} bytes with {file.digest}",
        f"{way_out} Or name a folder that holds the record in {RECORD_VARIABLE}.",
    )


# The list of its files


def places_of(path: str, places: Places) -> list[str]:
    """Return every place where a file may lie, by one of them; none if it isn't named."""
    for alternatives in places.values():
        for place in alternatives:
            head, _, tail = place.partition("{task}")
            task = path.removeprefix(head).removesuffix(tail)
            if place.format(task=task) == path and "/" not in task:
                return [one.format(task=task) for one in alternatives]
    return []


def list_record(folder: Path, places: Places) -> list[RemoteFile]:
    """Return the named files of a folder with their sizes and hashes, sorted by path."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    return [
        RemoteFile(path=name, size=path.stat().st_size, digest=f"sha256:{file_digest(path)}")
        for name, path in sorted(found.items())
        if path.is_file() and places_of(name, places)
    ]


def write_list(path: Path, files: Iterable[RemoteFile]) -> None:
    """Write a list of files with their sizes and hashes, as CSV."""
    rows = ((one.path, one.size, one.digest.removeprefix("sha256:")) for one in files)
    write_table(path, COLUMNS, rows)


def read_list(path: Path) -> list[RemoteFile]:
    """Return what `write_list` wrote; anything else is a FileError."""
    expected = f"a CSV file with the columns {', '.join(COLUMNS)}"
    way_out = "Restore it from the repository, or make it: xperience run record --list FOLDER."
    with reading(str(path), expected, FileError, way_out):
        rows = [row for _, row in read_table(path)]
        columns = dict.fromkeys(name for row in rows for name in row)
        if missing := [name for name in COLUMNS if name not in columns]:
            fault = f"has no column {' or '.join(map(repr, missing))}, but {', '.join(columns)}"
            raise FileError(str(path), fault if rows else "has no rows", expected, way_out)
        found = [[row.get(name) for name in COLUMNS] for row in rows]
        return [RemoteFile(path=p, size=n, digest=f"sha256:{digest}") for p, n, digest in found]


def check_record(files: Iterable[RemoteFile], folder: Path) -> None:
    """Raise a DownloadError for a file that a folder lacks or has otherwise than listed."""
    for file in files:
        path = folder / file.path
        if not file.is_at(path):
            raise DownloadError(
                str(path),
                "has other content" if path.exists() else "is not there",
                f"{file.size:,} bytes with {file.digest}",
                f"Mend that folder; or move it away, unset {RECORD_VARIABLE}, and run again.",
            )
