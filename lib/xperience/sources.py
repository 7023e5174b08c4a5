"""Which library files a notebook or module rests on, found without importing anything."""

import ast
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from xperience.storage import file_digest

LIBRARY = Path(__file__).parent


def sources_of(*starts: Path | str, library: Path = LIBRARY) -> list[Path]:
    """Return the library files that are imported, directly or not, sorted by path.

    One starts from ``.py`` files (a notebook's text half; it isn't listed itself) and dotted names
    of modules; a package's name stands for all of its modules. Files are those in the package's
    folder ``library``, the ``__init__`` of each package on the way included.
    """
    waiting: list[Path] = []
    for start in starts:
        if isinstance(start, Path) or start.endswith(".py"):
            waiting += _imports(Path(start), library)
        else:
            package = library.joinpath(*start.split(".")[1:])
            waiting += [*_modules(start, library), *package.rglob("*.py")]
    found: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imports(path, library)
    return sorted(found)


def source_digests(paths: Iterable[Path], library: Path = LIBRARY) -> dict[str, str]:
    """Return a digest for each library file, 16 hex digits, keyed by its path in the library."""
    return {path.relative_to(library).as_posix(): file_digest(path)[:16] for path in sorted(paths)}


def _imports(path: Path, library: Path) -> list[Path]:
    names = _imported_names(path, path.stat().st_mtime_ns, library)
    return [found for name in names for found in _modules(name, library)]


@lru_cache(maxsize=1024)
def _imported_names(path: Path, _changed_ns: int, library: Path) -> tuple[str, ...]:
    """Return every dotted name that a file imports, wherever the import stands in it."""
    lines = path.read_text(encoding="utf-8").splitlines()
    magics = ("%", "!")  # lines that only IPython understands
    text = "\n".join("" if line.lstrip().startswith(magics) else line for line in lines)
    package: list[str] = []
    if path.is_relative_to(library):
        package = [library.name, *path.relative_to(library).parent.parts]
    nodes = ast.walk(ast.parse(text, str(path)))
    return tuple(name for node in nodes for name in _names(node, package))


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
