"""Files that are whole or absent, and names that follow from content."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """Yield a scratch path beside ``path`` that becomes ``path`` only if the block succeeds.

    A reader never meets a half-written file: the scratch file is synced, then moved into place in
    one step; after an error or a kill there is no file under ``path`` but the old one.

    Parameters
    ----------
    path : path
        Where the finished file belongs; parents are made.

    Yields
    ------
    Path
        A path with the same suffix in the same folder, to write to.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        prefix=f".{path.stem}.", suffix=f".part{path.suffix}", dir=path.parent
    )
    os.close(handle)
    scratch = Path(name)
    try:
        yield scratch
        with scratch.open("rb") as written:
            os.fsync(written.fileno())
        scratch.chmod(0o666 & ~_umask())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: Path | str, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    with whole_file(path) as scratch:
        scratch.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: Any) -> None:
    """Write readable JSON, whole or not at all; NaN and infinity are refused.

    Raises
    ------
    ValueError
        If a number is not finite: missing values are ``null``.
    """
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def file_digest(path: Path | str) -> str:
    """Return the SHA-256 digest of a file's content, 64 hex digits."""
    with Path(path).open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def value_digest(value: Any) -> str:
    """Return the digest of a JSON-like value, 64 hex digits; equal values give equal digests."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
