"""A notebook's parameters cell: the names it declares, and values checked against them.

Only the ``.py`` half's text is read, so that asking is cheap.
"""

import ast
import re
from pathlib import Path
from typing import Any

from xperience.errors import NotebookError, ParamsError, did_you_mean

PARAMETERS = "parameters"
_CELL = re.compile(r"^# %%.*$", re.MULTILINE)
_TAGS = re.compile(r"tags=(\[[^\]]*\])")


def declared_parameters(source: Path) -> dict[str, Any]:
    """Return the names and default values that a notebook's one ``parameters`` cell declares.

    Raises
    ------
    NotebookError
        If the file is absent, there isn't exactly one such cell, or it holds anything but plain
        values.
    """
    place = f"notebooks/{source.name}"
    cells = _parameter_cells(read_source(source))
    if len(cells) != 1:
        raise NotebookError(
            place,
            f"has {len(cells)} cells tagged {PARAMETERS!r}",
            "exactly one",
            f'Mark one cell with # %% tags=["{PARAMETERS}"].',
        )
    declared: dict[str, Any] = {}
    for statement in ast.parse(cells[0]).body:
        declared |= _plain_value(statement, place)
    return declared


def read_source(source: Path) -> str:
    """Return the text of a notebook's ``.py`` half.

    Raises
    ------
    NotebookError
        If the file is absent; the nearest name is suggested.
    """
    try:
        return source.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        known = [other.stem for other in source.parent.glob("*.py")]
        raise NotebookError(
            f"notebooks/{source.name}",
            "is not there",
            "a notebook's .py half",
            did_you_mean(source.stem, known),
        ) from error


def _parameter_cells(text: str) -> list[str]:
    """Return the text of every cell of a percent script that is tagged as parameters."""
    heads = list(_CELL.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    return [
        text[head.end() : end]
        for head, end in zip(heads, ends, strict=True)
        if (tags := _TAGS.search(head.group())) and PARAMETERS in ast.literal_eval(tags.group(1))
    ]


def _plain_value(statement: ast.stmt, place: str) -> dict[str, Any]:
    match statement:
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            pass
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            pass
        case _:
            raise _not_plain(statement, place)
    try:
        return {name: ast.literal_eval(value)}
    except ValueError as error:
        raise _not_plain(statement, place) from error


def _not_plain(statement: ast.stmt, place: str) -> NotebookError:
    return NotebookError(
        f"{place}: parameters cell",
        f"holds {ast.unparse(statement)!r}",
        "only lines like name: type = value, with plain values",
        "Move what is computed to a later cell.",
    )


def check_parameters(given: dict[str, Any], declared: dict[str, Any], place: str) -> None:
    """Refuse parameters that a notebook doesn't declare, and values of another type.

    Raises
    ------
    ParamsError
        Naming the parameter; for an unknown name, the nearest one.
    """
    for name, value in given.items():
        if name not in declared:
            raise ParamsError(
                f"{place}: {name}",
                "is not a parameter of this notebook",
                "a name that its parameters cell declares",
                did_you_mean(name, declared),
            )
        if not _same_kind(value, declared[name]):
            raise ParamsError(
                f"{place}: {name}",
                f"is {value!r} ({type(value).__name__})",
                f"{type(declared[name]).__name__}, as in the default {declared[name]!r}",
                "In YAML write 1.0e-3, not 1e-3, and no quotes around numbers.",
            )


def _same_kind(value: Any, default: Any) -> bool:
    if value is None or default is None:
        return True
    if isinstance(default, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(default, list | tuple):
        return isinstance(value, list | tuple)
    return type(value) is type(default)
