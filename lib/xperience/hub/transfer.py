"""One file from the hub into a folder: resumed, checked, then placed in one step."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

from huggingface_hub import hf_hub_url
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers, silent_tqdm

from xperience.errors import DownloadError
from xperience.hub.faults import AGAIN, endpoint, named_faults
from xperience.hub.listing import Listing, RemoteFile
from xperience.storage import whole_file

CHUNK_BYTES = 1 << 20
_RANGE_NOT_SATISFIABLE = 416


def content_digest(path: Path, kind: str) -> str:
    """Return a file's digest as the hub's listing writes it.

    Parameters
    ----------
    path : Path
        The file.
    kind : {"sha256", "git-sha1"}
        Plain SHA-256, or SHA-1 of the git blob.

    Returns
    -------
    str
        ``<kind>:<hex>``.
    """
    if kind == "sha256":
        state = hashlib.sha256()
    else:
        state = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as content:
        while chunk := content.read(CHUNK_BYTES):
            state.update(chunk)
    return f"{kind}:{state.hexdigest()}"


def matches(path: Path, file: RemoteFile) -> bool:
    """Return whether a file on disk has the size and content that the hub lists."""
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    return content_digest(path, file.digest.partition(":")[0]) == file.digest


def partial_path(store: Path, file: RemoteFile) -> Path:
    """Return where the part of a file that has arrived is kept, named after its content."""
    return store / f"{file.digest.replace(':', '-')}.part"


def arrived_bytes(store: Path, file: RemoteFile) -> int:
    """Return how many bytes of a file an earlier try left behind."""
    part = partial_path(store, file)
    return part.stat().st_size if part.is_file() else 0


def fetch_file(
    listing: Listing,
    file: RemoteFile,
    target: Path,
    store: Path,
    on_bytes: Callable[[int], object] | None = None,
) -> None:
    """Fetch one file, beginning where an earlier try stopped; it appears only once checked.

    Parameters
    ----------
    listing : Listing
        The dataset and commit that the file belongs to.
    file : RemoteFile
        What to fetch, and the size and hash it must have.
    target : Path
        Where the finished file belongs.
    store : Path
        Folder for the unfinished part, on the same disk as ``target``.
    on_bytes : callable, optional
        Called with the bytes of this file that are here. None shows the library's own bar.

    Raises
    ------
    UnreachableError
        If the transfer breaks off; what has arrived stays for the next try.
    DownloadError
        If the hub refuses the file, or its size or hash is not the listed one.
    """
    store.mkdir(parents=True, exist_ok=True)
    part = partial_path(store, file)
    if arrived_bytes(store, file) > file.size:
        part.unlink()
    with named_faults(listing.repo_id, listing.commit[:12], file.path):
        _receive(listing, file, part, on_bytes)
    _check(listing, file, part)
    with whole_file(target, in_recording=True) as scratch:
        part.replace(scratch)


class _Counted:
    """A file that tells how far it has been written; all else is the file's own."""

    def __init__(self, inner: BinaryIO, on_bytes: Callable[[int], object]):
        self._inner, self._on_bytes = inner, on_bytes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def write(self, chunk: bytes) -> int:
        written = self._inner.write(chunk)
        self._on_bytes(self._inner.tell())
        return written


def _receive(
    listing: Listing, file: RemoteFile, part: Path, on_bytes: Callable[[int], object] | None
) -> None:
    """Append what is missing to the part, by plain HTTP with a byte range.

    The library's own one-call download begins each try anew (its scratch file is unique to the
    process), so its transfer function is given our file and the place to go on from.
    """
    url = hf_hub_url(
        listing.repo_id,
        file.path,
        repo_type="dataset",
        revision=listing.commit,
        endpoint=endpoint(),
    )
    with part.open("ab") as sink:
        try:
            http_get(
                url,
                cast(BinaryIO, _Counted(sink, on_bytes)) if on_bytes else sink,
                resume_size=sink.seek(0, os.SEEK_END),
                headers=build_hf_headers() | {"Accept-Encoding": "identity"},
                expected_size=file.size,
                displayed_filename=file.path,
                tqdm_class=cast(Any, silent_tqdm) if on_bytes else None,
            )
        except HfHubHTTPError as fault:
            if fault.response.status_code != _RANGE_NOT_SATISFIABLE:
                raise  # else the file ends before the place to go on from: `_check` says so
        except OSError as fault:
            if type(fault) is not OSError or fault.errno is not None:
                raise  # else it is the library's own word for a wrong size: `_check` says more


def _check(listing: Listing, file: RemoteFile, part: Path) -> None:
    """See that a part is the whole file as listed.

    Raises
    ------
    DownloadError
        If size or hash is wrong. A part that is too short is kept, any other is removed.
    """
    place = f"{listing.repo_id}@{listing.commit[:12]}: {file.path}"
    size = part.stat().st_size
    if size < file.size:
        raise DownloadError(
            place,
            f"ended after {size:,} bytes",
            f"{file.size:,} bytes as the hub lists",
            f"{AGAIN} If it stops at the same place, delete {part} and pin another revision.",
        )
    kind = file.digest.partition(":")[0]
    found = content_digest(part, kind) if size == file.size else f"{size:,} bytes"
    if found != file.digest:
        part.unlink()
        raise DownloadError(
            place,
            f"has arrived with {found}",
            f"{file.size:,} bytes with {file.digest} as the hub lists",
            "Run the same command again: this file begins anew, finished ones are kept. If it "
            "comes back, the network alters the file or the dataset is damaged at this revision.",
        )
