"""The reference of the library on the site: one page a room, made from its docstrings."""

import ast
from pathlib import Path

from xperience.sources import LIBRARY

SILENT = ("__init__", "__main__", "verbs")
"""Modules without anything to call: packages say what they are on their room's page."""
_OFF = "This site was built without the reference: `api: true` in the run's params file adds it.\n"
_OPTIONS = "   :members:\n   :exclude-members: model_config"
_HEAD = """# Library reference

A page a room of `lib/xperience`, made from its docstrings.

"""


def api_pages(on: bool) -> dict[str, str]:
    """Return the reference's pages by name, as Markdown for Sphinx's autodoc.

    Parameters
    ----------
    on : bool
        Whether to make it; it takes half a minute to build.
    """
    if not on:
        return {"api": _HEAD.partition("\n")[0] + "\n\n" + _OFF}
    found = _modules()
    names = sorted(found)
    lines = [f"- [{name}](api/{name}.md): {_about(LIBRARY / name)}" for name in names]
    listed = "\n".join(f"api/{name}" for name in names)
    index = "\n".join(lines)
    pages = {f"api/{name}": _page(name, found[name]) for name in names}
    return {"api": f"{_HEAD}{index}\n\n```{{toctree}}\n:hidden:\n\n{listed}\n```\n", **pages}


def _modules() -> dict[str, list[str]]:
    """Return the dotted names of modules, by room; modules outside rooms are rooms themselves."""
    found: dict[str, list[str]] = {}
    for path in sorted(LIBRARY.rglob("*.py")):
        parts = path.relative_to(LIBRARY).with_suffix("").parts
        if parts[-1] not in SILENT:
            found.setdefault(parts[0], []).append(".".join((LIBRARY.name, *parts)))
    return found


def _page(room: str, modules: list[str]) -> str:
    parts = [f"# {room}", _about(LIBRARY / room)]
    for module in modules:
        block = f".. automodule:: {module}\n{_OPTIONS}"
        parts += [f"## {module}", f"```{{eval-rst}}\n{block}\n```"]
    return "\n\n".join(parts) + "\n"


def _about(room: Path) -> str:
    """Return the first line of a room's docstring."""
    path = room / "__init__.py" if room.is_dir() else room.with_suffix(".py")
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return said.partition("\n")[0]
