"""The mark of a simulated folder: what was written into it, by content. Nothing else is replaced.

The generator's name inside the annotation is no mark: it travels with every copy, also into a
folder where somebody later puts a recording of their own.
"""

import json
from pathlib import Path

from xperience.errors import ParamsError
from xperience.storage import known_digest, write_json

MARK = ".simulated.json"


def write_mark(folder: Path, *names: str) -> None:
    """Note files of a folder that the simulator wrote: those named, or all that are there."""
    names = names or tuple(path.name for path in folder.iterdir() if path.name != MARK)
    files = {name: known_digest(folder / name) for name in sorted(names)}
    write_json(folder / MARK, {"files": files}, in_recording=True)


def read_mark(folder: Path) -> dict[str, str] | None:
    """Return the digests of a folder's files when it was simulated, None if it bears no mark."""
    try:
        files = json.loads((folder / MARK).read_text(encoding="utf-8"))["files"]
        return {str(name): str(digest) for name, digest in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def is_marked(path: Path) -> bool:
    """Return whether a file is what the simulator wrote there."""
    files = read_mark(path.parent)
    plain = path.is_file() and not path.is_symlink()
    return files is not None and plain and files.get(path.name) == known_digest(path)


def is_simulated(folder: Path) -> bool:
    """Return whether a folder is a simulated one that holds nothing else; files may be gone."""
    if folder.is_symlink() or read_mark(folder) is None:
        return False
    return all(path.name == MARK or is_marked(path) for path in folder.iterdir())


def check_replaceable(path: Path) -> None:
    """Refuse, by a ParamsError, what is there and the simulator did not write, folder or file."""
    is_ours = is_simulated if path.is_dir() else is_marked
    is_there = path.is_symlink() or (any(path.iterdir()) if path.is_dir() else path.exists())
    if is_there and not is_ours(path):
        raise ParamsError(
            str(path),
            "holds something else than the simulator wrote there and noted in its mark, "
            f"{MARK}: a recording of your own, a changed one, or one from before there were marks",
            "nothing, or a marked and unchanged simulation",
            "Move it away, or name another folder; what lies there is never replaced.",
        )
