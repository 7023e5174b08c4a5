"""Files that are whole or absent, and digests by which a file is known again."""

import csv
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from xperience.errors import FileError
from xperience.outputs import check_output

CACHE_VARIABLE = "XPERIENCE_CACHE"
"""Names the folder of what may be forgotten; in the user's cache if not set."""

_SETTLED_NS = 2_000_000_000
"""A file that changed less long ago may change again within the same tick of its clock."""


@contextmanager
def whole_file(path: Path | str, *, in_recording: bool = False) -> Iterator[Path]:
    """Yield a scratch path beside ``path`` that becomes ``path`` only if the block succeeds.

    A reader never meets a half-written file: the scratch file is synced, then moved into place in
    one step; after an error or a kill there is no file under ``path`` but the old one. The scratch
    path has the same suffix and folder; parents are made. A place in a recording is an OutputError,
    unless it is the caller's work to write one (``in_recording``): a download, or the discarding of
    what it brought.
    """
    path = Path(path)
    if not in_recording:
        check_output(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        prefix=f".{path.stem[:20]}.", suffix=f".part{path.suffix[-20:]}", dir=path.parent
    )
    os.close(handle)
    scratch = Path(name)
    try:
        yield scratch
        with scratch.open("rb") as written:
            os.fsync(written.fileno())
        os.umask(mask := os.umask(0))
        scratch.chmod(0o666 & ~mask)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path | str, *, replace: bool = False) -> Iterator[Path]:
    """Yield a scratch folder beside ``path`` that takes its place only if the block succeeds.

    A file or a link there is a FileError, and so is a folder that holds something, unless the
    caller may ``replace`` it: then it goes once the new one is in place, and comes back if the new
    one can't be put there.
    """
    path = Path(path)
    _check_free(path, replace)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    old = scratch.with_suffix(".old")
    try:
        yield scratch
        scratch.chmod(0o755)
        _check_free(path, replace)  # it may have come meanwhile
        if replace and path.is_dir():
            path.rename(old)
        scratch.rename(path)  # the system refuses a folder that was filled since
    except BaseException as fault:
        try:
            if old.is_dir():
                old.rename(path)
            shutil.rmtree(scratch)
        except OSError as error:
            fault.add_note(f"{error}; what is left lies in {old} or {scratch}")
        raise
    if old.is_dir():
        try:
            shutil.rmtree(old)
        except OSError as error:
            way_out = f"Remove it by hand; the new folder is whole, in {path}."
            raise FileError(str(old), f"can't be removed ({error})", "nothing", way_out) from error


def _check_free(path: Path, replace: bool) -> None:
    """Refuse what `whole_folder` may not put a folder in place of."""
    found = None
    if path.is_symlink():
        found = "is a link"
    elif path.is_dir():
        found = None if replace or not any(path.iterdir()) else "is a folder that holds something"
    elif path.exists():
        found = "is no folder"
    if found:
        expected = "nothing, or a folder to replace" if replace else "nothing, or an empty folder"
        raise FileError(str(path), found, expected, "Move it away, or name another place.")


def remove_folder(path: Path | str) -> None:
    """Remove a folder of ours with all that is in it; with a recording, that is an OutputError."""
    check_output(path, emptied=True)
    shutil.rmtree(path)


def write_text(path: Path | str, text: str, *, in_recording: bool = False) -> None:
    """Write a text file in UTF-8, whole or not at all; see `whole_file`."""
    with whole_file(path, in_recording=in_recording) as scratch:
        scratch.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: Any, *, in_recording: bool = False) -> None:
    """Write readable JSON, whole or not at all; NaN and infinity are a ValueError."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    write_text(path, f"{text}\n", in_recording=in_recording)


def write_table(path: Path | str, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a CSV file, whole or not at all."""
    with whole_file(path) as scratch, scratch.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])


def file_url(path: Path | str) -> str:
    """Return a path as FFmpeg takes it for a file: else ``10:30/cam.mp4`` names a protocol."""
    return f"file:{path}"


def file_digest(path: Path | str) -> str:
    """Return the SHA-256 digest of a file's content, 64 hex digits."""
    with Path(path).open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def known_digest(path: Path | str) -> str:
    """Return `file_digest`, from the user's cache if the file is what it was when it was read.

    A recording is gigabytes and asked for often. What was read is known by place, size, inode and
    the times of the last change of content and of anything; the last one nobody can set back.
    """
    path = Path(os.path.realpath(path))
    state = _state(path)
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    cache = Path(os.environ.get(CACHE_VARIABLE) or f"{cache}/xperience")
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
    noted = cache / "digests" / f"{name}.json"
    with suppress(OSError, ValueError, KeyError):  # absent or cut off: it is read anew
        found = json.loads(noted.read_text(encoding="utf-8"))
        if found["state"] == state:
            return str(found["digest"])
    digest = file_digest(path)
    if state == _state(path) and time.time_ns() - max(state[-2:]) > _SETTLED_NS:
        with suppress(OSError):  # a cache that can't be written only costs time
            write_json(noted, {"state": state, "digest": digest})
    return digest


def _state(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def digest_state(
    path: Path | str, recorded: str | None
) -> Literal["same", "changed", "absent", "unrecorded"]:
    """Return whether a file is what it was when its digest was written down.

    It is "absent" if there is no file, "unrecorded" if there is one and nobody wrote its digest
    down.
    """
    if not Path(path).is_file():
        return "absent"
    if recorded is None:
        return "unrecorded"
    return "same" if file_digest(path) == recorded else "changed"


def value_digest(value: Any) -> str:
    """Return the digest of a JSON-like value, 64 hex digits; equal values give equal digests."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
