"""Folders that are whole or absent."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xperience.export.extras import ExportError
from xperience.outputs import check_output


@contextmanager
def whole_folder(path: Path | str) -> Iterator[Path]:
    """Yield a scratch folder that becomes ``path`` only if the block succeeds.

    Parameters
    ----------
    path : path
        Must not be there yet, or be empty.

    Yields
    ------
    Path
        A new folder beside it.

    Raises
    ------
    ExportError
        If there is something under ``path`` already.
    OutputError
        If it would lie in a recording.
    """
    path = Path(path)
    check_output(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ExportError(
            path.name, "is there already", "a new folder", "Name another, or move it."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    try:
        yield scratch
        scratch.chmod(0o755)
        if path.exists():
            path.rmdir()
        scratch.rename(path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
