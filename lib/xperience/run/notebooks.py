"""A notebook's two halves and its parameters: the ``.py`` half is the source, all else follows."""

import ast
import hashlib
import json
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xperience.errors import NotebookError, ParamsError, did_you_mean
from xperience.storage import write_text

if TYPE_CHECKING:
    from nbformat import NotebookNode

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
FORMATS = "ipynb,py:percent"
TAGS_ONLY = "tags,-all"
NO_VERSION = "-jupytext.text_representation.jupytext_version"
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
    place, text = f"notebooks/{source.name}", read_source(source)
    heads = list(_CELL.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    cells = [
        text[head.end() : end]
        for head, end in zip(heads, ends, strict=True)
        if (tags := _TAGS.search(head.group())) and PARAMETERS in ast.literal_eval(tags.group(1))
    ]
    if len(cells) != 1:
        raise NotebookError(
            place,
            f"has {len(cells)} cells tagged {PARAMETERS!r}",
            "exactly one",
            f'Mark one cell with # %% tags=["{PARAMETERS}"].',
        )
    return dict(_plain_value(statement, place) for statement in ast.parse(cells[0]).body)


def read_source(source: Path) -> str:
    """Return the text of a notebook's ``.py`` half; for an absent one the nearest is suggested."""
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


def _plain_value(statement: ast.stmt, place: str) -> tuple[str, Any]:
    try:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                return name, ast.literal_eval(value)
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                return name, ast.literal_eval(value)
        raise ValueError("no assignment of one name")
    except ValueError as error:
        raise NotebookError(
            f"{place}: parameters cell",
            f"holds {ast.unparse(statement)!r}",
            "only lines like name: type = value, with plain values",
            "Move what is computed to a later cell.",
        ) from error


def check_parameters(given: dict[str, Any], declared: dict[str, Any], place: str) -> None:
    """Refuse parameters that a notebook doesn't declare, and values of another type."""
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


def read_notebook(source: Path | str) -> "NotebookNode":
    """Return the notebook that a ``.py`` half stands for, without outputs.

    Cell ids follow from the cells' content, so equal text gives equal notebooks.
    """
    import jupytext  # plans ask for parameters only, which needs no Jupyter
    from nbformat import NotebookNode

    notebook = jupytext.reads(read_source(Path(source)), fmt="py:percent")
    notebook.metadata = NotebookNode(
        jupytext=NotebookNode(
            cell_metadata_filter=TAGS_ONLY, formats=FORMATS, notebook_metadata_filter=NO_VERSION
        ),
        kernelspec=NotebookNode(KERNEL),
    )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    name_cells(notebook)
    return notebook


def name_cells(notebook: "NotebookNode") -> None:
    """Give each cell an id that follows from its kind, its text and how often both came before."""
    seen: Counter[str] = Counter()
    for cell in notebook.cells:
        text = f"{cell.cell_type}\n{cell.source}"
        digest = hashlib.blake2b(f"{seen[text]}\n{text}".encode(), digest_size=6)
        seen[text] += 1
        cell["id"] = digest.hexdigest()


def as_text(notebook: "NotebookNode") -> str:
    """Return a notebook as the text of an ``.ipynb`` file: same notebook, same bytes."""
    import nbformat

    return nbformat.writes(notebook, sort_keys=True, indent=1, ensure_ascii=False) + "\n"


def write_pair(source: Path | str) -> bool:
    """Write the ``.ipynb`` half of a ``.py`` half; return whether it changed.

    Raises
    ------
    NotebookError
        If the ``.ipynb`` half differs and is the younger one: it may hold edits of its own.
    """
    source = Path(source)
    half, notebook = source.with_suffix(".ipynb"), read_notebook(source)
    text, old = as_text(notebook), half.read_text(encoding="utf-8") if half.is_file() else None
    if old == text:
        return False
    if old is not None and half.stat().st_mtime > source.stat().st_mtime:
        ours = [(cell.cell_type, cell.source) for cell in notebook.cells]
        cells = json.loads(old)["cells"]
        if ours != [(cell["cell_type"], "".join(cell["source"])) for cell in cells]:
            raise NotebookError(
                f"notebooks/{half.name}",
                "differs from its .py half and is the younger one",
                "edits in the .py half, which is the source",
                f"Keep the .ipynb's edits: jupytext --to py:percent notebooks/{half.name}; "
                f"drop them: touch notebooks/{source.name}. Then try again.",
            )
    write_text(half, text)
    return True
