"""Executed notebooks made plain: equal runs give equal bytes, without the machine's paths."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from xperience.project import project_root
from xperience.run.pairs import name_cells

INJECTED = "injected-parameters"
KEPT = ("kernelspec", "language_info")
HIDDEN = "remove-cell"
WIDGET = "application/vnd.jupyter.widget-view+json"
WIDGET_NOTE = "*A control stands here: open the notebook with `make lab` to use it.*"
_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,16}\b")
_CELL_FILE = re.compile(r"[\w/.-]{0,200}/ipykernel_\d+/\d+\.py")
_PICTURE = re.compile(r"(base64,[A-Za-z0-9+/=\s]+)")
_PROGRESS = re.compile(r"\d+%\|")
_TABLE = re.compile(r'<table id="(T_[0-9a-f]{5})"')
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def clean(notebook: NotebookNode, *, hide_injected: bool = True) -> NotebookNode:
    """Return an executed notebook without times, papermill's notes, machine paths and live widgets.

    Cells keep their order, text, tags, execution counts and outputs; ids follow from content. The
    cell of injected parameters is tagged to be left out of pages if ``hide_injected``, which is
    right where it repeats the defaults that stand above it.
    """
    kept = {key: notebook.metadata[key] for key in KEPT if key in notebook.metadata}
    kept.get("language_info", {}).pop("version", None)
    notebook.metadata = NotebookNode(kept)
    for cell in notebook.cells:
        cell.metadata = NotebookNode(_tags(cell, hide_injected))
        if cell.cell_type == "code":
            outputs = [out for out in cell.outputs if not _is_progress(out)]
            cell.outputs = [_clean_output(out) for out in _joined_streams(outputs)]
    _name_tables(notebook)
    name_cells(notebook)
    return notebook


def _tags(cell: NotebookNode, hide_injected: bool) -> dict[str, list[str]]:
    tags = list(cell.metadata.get("tags", []))
    if hide_injected and INJECTED in tags and HIDDEN not in tags:
        tags.append(HIDDEN)
    return {"tags": tags} if tags else {}


def _joined_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join neighbouring prints, standard output first: how they were cut up is chance."""
    joined: list[NotebookNode] = []
    block: dict[str, NotebookNode] = {}
    for output in [*outputs, None]:
        if output is not None and output.output_type == "stream":
            if output.name in block:
                block[output.name].text += output.text
            else:
                block[output.name] = output
            continue
        joined += [block[name] for name in sorted(block, reverse=True)]
        block = {}
        joined += [output] if output is not None else []
    return joined


def _name_tables(notebook: NotebookNode) -> None:
    """Give styled tables numbers: pandas names each by chance."""
    names: dict[str, str] = {}
    shown = (
        out.data for cell in notebook.cells for out in cell.get("outputs", []) if "data" in out
    )
    for data in shown:
        html = data.get("text/html", "")
        for name in _TABLE.findall(html):
            names.setdefault(name, f"T_{len(names) + 1}")
            html = html.replace(name, names[name])
        if html:
            data["text/html"] = html


def _is_progress(output: NotebookNode) -> bool:
    """Return whether an output is a progress bar that some library drew as a live widget."""
    data = output.get("data", {})
    return WIDGET in data and bool(_PROGRESS.search(data.get("text/plain", "")))


def _clean_output(output: NotebookNode) -> NotebookNode:
    if output.output_type == "stream":
        output.text = _overwritten(_scrub(output.text))
    elif "data" in output:
        output.metadata = NotebookNode()
        if output.data.pop(WIDGET, None) is not None and "text/html" not in output.data:
            output.data = NotebookNode({"text/markdown": WIDGET_NOTE})
        output.data = NotebookNode(
            {kind: _in_texts(value, kind, _scrub) for kind, value in output.data.items()}
        )
    elif output.output_type == "error":
        output.traceback = [_scrub(_COLOUR.sub("", line)) for line in output.traceback]
        output.evalue = _scrub(output.evalue)
    return output


def _in_texts(value: Any, kind: str, change: Callable[[str], str]) -> Any:
    return change(value) if isinstance(value, str) and kind.startswith("text/") else value


def _overwritten(text: str) -> str:
    """Return a console text as it looks in the end: a carriage return starts the line anew."""
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    return "\n".join(lines)


def _scrub(text: str) -> str:
    """Take the machine out of a text, leaving pictures in it alone."""
    parts = _PICTURE.split(text)
    return "".join(part if i % 2 else _scrub_words(part) for i, part in enumerate(parts))


def _scrub_words(text: str) -> str:
    for folder, shown in _machine_folders():
        text = text.replace(folder, shown)
    text = _CELL_FILE.sub("cell", text) if "/ipykernel_" in text else text
    return _ADDRESS.sub("0x…", text)


def _machine_folders() -> list[tuple[str, str]]:
    """Return folders of this machine and what to show for them, the most particular first."""
    root = project_root().as_posix()
    folders = [(f"{prefix}/", "") for prefix in (sys.prefix, sys.base_prefix, root)]
    folders += [(root, "."), (f"{Path.home().as_posix()}/", "~/")]
    return [(folder, shown) for folder, shown in folders if len(folder) > 2]
