"""Notebook pairs: the ``.py`` half is the source, the ``.ipynb`` half follows from it."""

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat import NotebookNode

from xperience.errors import NotebookError
from xperience.run.parameters import read_source
from xperience.storage import write_text

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
FORMATS = "ipynb,py:percent"
TAGS_ONLY = "tags,-all"
NO_VERSION = "-jupytext.text_representation.jupytext_version"


def read_notebook(source: Path | str) -> NotebookNode:
    """Return the notebook that a ``.py`` half stands for, without outputs.

    Cell ids follow from the cells' content, so equal text gives equal notebooks.

    Raises
    ------
    NotebookError
        If the file is absent.
    """
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


def name_cells(notebook: NotebookNode) -> None:
    """Give each cell an id that follows from its kind, its text and how often both came before."""
    seen: Counter[str] = Counter()
    for cell in notebook.cells:
        text = f"{cell.cell_type}\n{cell.source}"
        name = hashlib.blake2b(f"{seen[text]}\n{text}".encode(), digest_size=6).hexdigest()
        seen[text] += 1
        cell["id"] = name


def as_text(notebook: NotebookNode) -> str:
    """Return a notebook as the text of an ``.ipynb`` file: same notebook, same bytes."""
    return nbformat.writes(notebook, sort_keys=True, indent=1, ensure_ascii=False) + "\n"


def pair_text(source: Path | str) -> str:
    """Return the text that the ``.ipynb`` half of a ``.py`` half must have."""
    return as_text(read_notebook(source))


def header(source: Path | str) -> dict[str, Any]:
    """Return the jupytext header of a ``.py`` half as a mapping."""
    text = Path(source).read_text(encoding="utf-8")
    return dict(jupytext.reads(text, fmt="py:percent").metadata)


def write_pair(source: Path | str) -> bool:
    """Write the ``.ipynb`` half of a ``.py`` half; return whether it changed.

    Raises
    ------
    NotebookError
        If the ``.ipynb`` half differs and is the younger one: it may hold edits of its own.
    """
    source = Path(source)
    half, text = source.with_suffix(".ipynb"), pair_text(source)
    if half.is_file():
        if half.read_text(encoding="utf-8") == text:
            return False
        _refuse_lost_edits(source, half)
    write_text(half, text)
    return True


def _refuse_lost_edits(source: Path, half: Path) -> None:
    ours = [(cell.cell_type, cell.source) for cell in read_notebook(source).cells]
    theirs = [
        (cell["cell_type"], "".join(cell["source"]))
        for cell in json.loads(half.read_text(encoding="utf-8"))["cells"]
    ]
    if ours != theirs and half.stat().st_mtime > source.stat().st_mtime:
        raise NotebookError(
            f"notebooks/{half.name}",
            "differs from its .py half and is the younger one",
            "edits in the .py half, which is the source",
            f"Keep the .ipynb's edits: jupytext --to py:percent notebooks/{half.name}; "
            f"drop them: touch notebooks/{source.name}. Then try again.",
        )
