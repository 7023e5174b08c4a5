"""Which library files a notebook or module rests on, found without importing anything."""

import ast
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from xperience.storage import file_digest

LIBRARY = Path(__file__).parent


def sources_of(*starts: Path | str, library: Path = LIBRARY) -> list[Path]:
    """Return the library files that are imported, directly or not, sorted by path.

    Parameters
    ----------
    *starts : path or str
        A ``.py`` file (a notebook's text half; it isn't listed itself) or the dotted name of a
        module. A package's name stands for all of its modules.
    library : Path
        The package's folder; the import name is the folder's name.

    Returns
    -------
    list of Path
        Files under ``library``, the ``__init__`` of each package on the way included.
    """
    waiting = [path for start in starts for path in _first(start, library)]
    found: set[Path] = set()
    for start in starts:
        if _is_file(start):
            waiting.extend(_imports(Path(start), library))
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting.extend(_imports(path, library))
    return sorted(found)


def source_digests(paths: Iterable[Path], library: Path = LIBRARY) -> dict[str, str]:
    """Return a digest for each library file, 16 hex digits, keyed by its path in the library."""
    return {path.relative_to(library).as_posix(): file_digest(path)[:16] for path in sorted(paths)}


def _is_file(start: Path | str) -> bool:
    return isinstance(start, Path) or start.endswith(".py")


def _first(start: Path | str, library: Path) -> list[Path]:
    """Return the files that a dotted name stands for; a file outside the library has none."""
    if _is_file(start):
        return []
    folder = library.joinpath(*str(start).split(".")[1:])
    if folder.is_dir():
        return sorted(folder.rglob("*.py")) + _modules(str(start), library)
    return _modules(str(start), library)


def _imports(path: Path, library: Path) -> list[Path]:
    names = _imported_names(path, path.stat().st_mtime_ns, library)
    return [found for name in names for found in _modules(name, library)]


@lru_cache(maxsize=1024)
def _imported_names(path: Path, _changed_ns: int, library: Path) -> tuple[str, ...]:
    """Return every dotted name that a file imports, wherever the import stands in it."""
    tree = ast.parse(_without_magics(path.read_text(encoding="utf-8")), str(path))
    package = _package_of(path, library)
    return tuple(name for node in ast.walk(tree) for name in _names(node, package))


def _without_magics(text: str) -> str:
    """Blank out lines that only IPython understands."""
    lines = text.splitlines()
    return "\n".join("" if line.lstrip().startswith(("%", "!")) else line for line in lines)


def _package_of(path: Path, library: Path) -> list[str]:
    if not path.is_relative_to(library):
        return []
    return [library.name, *path.relative_to(library).parent.parts]


def _names(node: ast.AST, package: list[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = package[: len(package) - node.level + 1] if node.level else []
        base = ".".join([*above, *(node.module or "").split(".")]).strip(".")
        yield base
        yield from (f"{base}.{alias.name}" for alias in node.names)


def _modules(name: str, library: Path) -> list[Path]:
    """Return the files that importing a dotted name runs: packages on the way and the module."""
    first, *rest = name.split(".")
    if first != library.name:
        return []
    ways = [library.joinpath(*rest[:depth]) for depth in range(len(rest) + 1)]
    files = [way / "__init__.py" for way in ways] + [ways[-1].with_suffix(".py")]
    return [file for file in files if file.is_file()]
