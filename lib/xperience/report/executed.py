"""Executed notebooks as the site shows them: checked, folded, with a place to link to a figure."""

import base64
import copy
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xperience.errors import NotebookError

FOLDED_LINES = 3
"""Code cells of more lines than this are folded on the site; a click opens them."""
FRONT = "front"
_IMAGE = re.compile(r'<img alt="([^"]*)"[^>]*base64,([^"]+)"')
_TITLE = re.compile(r"^# +(.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Picture:
    """A figure of an executed notebook, with the words that stand for it.

    Parameters
    ----------
    notebook : str
        Name of the notebook, without ending.
    place : str
        What a link to the figure ends in, after ``#``.
    alt : str
        What it shows, in words.
    png : bytes
    front : bool
        Whether its cell is tagged for the landing page.
    """

    notebook: str
    place: str
    alt: str
    png: bytes
    front: bool

    @property
    def page(self) -> str:
        """Its page on the site, with the place."""
        return f"_run/notebooks/{self.notebook}.html#{self.place}"


def finished(path: Path) -> dict[str, Any]:
    """Return an executed notebook's content.

    Raises
    ------
    NotebookError
        If it is absent, has an error in it or a cell that never ran.
    """
    if not path.is_file():
        raise NotebookError(
            path.name,
            "is not executed",
            "an executed copy",
            "Run `make reproduce` for this run first.",
        )
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for number, cell in enumerate(notebook["cells"], 1):
        fault = _fault(cell)
        if fault:
            raise NotebookError(
                f"{path.name}, cell {number}", fault, "a cell that ran", "Run it: make reproduce."
            )
    return notebook


def _fault(cell: dict[str, Any]) -> str | None:
    if cell["cell_type"] != "code" or not "".join(cell["source"]).strip():
        return None
    if any(output["output_type"] == "error" for output in cell["outputs"]):
        return "holds an error"
    return None if cell["execution_count"] else "never ran"


def title_of(name: str, notebook: Mapping[str, Any]) -> str:
    """Return a notebook's first heading, or its name."""
    texts = ("".join(cell["source"]) for cell in notebook["cells"])
    return next((found[1] for text in texts if (found := _TITLE.search(text))), name)


def pictures(executed: Mapping[str, dict[str, Any]]) -> list[Picture]:
    """Return every figure of executed notebooks, in reading order."""
    return [
        found
        for name, notebook in executed.items()
        for number, cell in enumerate(notebook["cells"], 1)
        for found in _pictures(name, number, cell)
    ]


def front_picture(found: Iterable[Picture]) -> Picture | None:
    """Return the first figure that is tagged for the landing page, or else the first there is."""
    return min(found, key=lambda picture: not picture.front, default=None)


def for_reading(name: str, notebook: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a notebook with long code folded and a place above every figure."""
    shown = copy.deepcopy(dict(notebook))
    cells: list[dict[str, Any]] = []
    for number, cell in enumerate(shown["cells"], 1):
        if next(_pictures(name, number, cell), None):
            place = f'<div id="{_place(number)}" class="place"></div>'
            label = {"id": f"place{number}", "cell_type": "markdown", "metadata": {}}
            cells.append({**label, "source": place})
        cells.append(_folded(cell))
    shown["cells"] = cells
    return shown


def _folded(cell: dict[str, Any]) -> dict[str, Any]:
    if cell["cell_type"] == "code" and "".join(cell["source"]).count("\n") >= FOLDED_LINES:
        cell["metadata"]["tags"] = [*cell["metadata"].get("tags", []), "hide-input"]
    return cell


def _place(number: int) -> str:
    return f"cell-{number}"


def _pictures(notebook: str, number: int, cell: Mapping[str, Any]) -> Iterator[Picture]:
    front = FRONT in cell["metadata"].get("tags", [])
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        shown = _IMAGE.search("".join(data.get("text/html", [])))
        if shown:
            alt, png = html.unescape(shown[1]), base64.b64decode(shown[2])
        elif "image/png" in data:
            alt = f"A figure of {notebook}"
            png = base64.b64decode("".join(data["image/png"]))
        else:
            continue
        yield Picture(notebook, _place(number), " ".join(alt.split()), png, front)
