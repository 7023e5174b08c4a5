"""The site of a run: its executed notebooks, its scores and the pages of ``docs/``, as HTML.

Pages and notebooks are copied into a staging folder first (links between pages break across
symbolic links), and only what differs is written, so that an unchanged page isn't built again.
"""

import ast
import copy
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xperience.errors import NotebookError, XperienceError
from xperience.evaluation.records import Record, read_records
from xperience.outputs import check_output
from xperience.project import PAGE, entries_folder
from xperience.report.entries import entries_page, read_entries
from xperience.report.explorer import explorer_files, explorer_page
from xperience.report.pages import (
    Landing,
    claims_page,
    landing_pages,
    pictures_of,
    reproduction_page,
    results_pages,
    tasks_page,
    windows_page,
)
from xperience.sources import LIBRARY
from xperience.text import as_markdown

UNUSED = re.compile(r"\.buildinfo|objects\.inv|_static/.*macros\.html")
PAGES = ("*.md", "*.py", "*.css", "*.js", "*.svg", "*.png", "*.webp")
FOLDED_LINES = 3
"""Code cells of more lines than this are folded on the site; a click opens them."""
NOT_DOCUMENTED = ("__init__", "__main__", "verbs")
"""Modules without anything to call: packages say what they are on their room's page."""
_TITLE = re.compile(r"^# +(.+)$", re.MULTILINE)
_NO_API = (
    "This site was built without the reference: `api: true` in the run's params file adds it.\n"
)


class SiteError(XperienceError):
    """The site could not be built."""


@dataclass(frozen=True)
class Shown:
    """What the site shows besides the run; each may be absent, and the page then says so."""

    windows: Path | None = None  #: Windows table of the recording.
    predictions: Path | None = None  #: What heads predicted.
    recording: Path | None = None  #: Its folder.
    companions: tuple[Path, ...] = ()  #: Folders of other runs whose notebooks are shown too.
    api: bool = False  #: Whether the library's reference is made; it takes half a minute.


def page_sources(docs: Path) -> list[Path]:
    """Return the files of ``docs/`` that the site is made of."""
    found = {path for pattern in PAGES for path in docs.rglob(pattern)}
    built = (docs / "_build", docs / "_run")
    return sorted(p for p in found if not any(p.is_relative_to(folder) for folder in built))


def build_site(
    docs: Path,
    run_folder: Path,
    notebooks: Iterable[str],
    out: Path,
    shown: Shown = Shown(),
) -> None:
    """Build a run's site; it opens from disk and needs no network.

    Parameters
    ----------
    docs : Path
        The folder of the pages and of ``conf.py``.
    run_folder : Path
        What the run left: ``notebooks/`` and ``metrics/``; ``cache/`` is used for staging.
    notebooks : iterable of str
        Names of its notebooks.
    out : Path
        Folder of the site; ``index.html`` is its first page.
    shown : Shown, optional
        What the episode page is drawn from, and other runs.

    Raises
    ------
    NotebookError
        If a notebook is absent, has an error in it or a cell that never ran.
    SiteError
        If Sphinx finds anything wrong with the pages.
    OutputError
        If a recording lies where the site would be.
    """
    work = run_folder / "cache" / "site"
    for place in (work, out):
        check_output(place, [shown.recording] if shown.recording else [], emptied=True)
    files = {path.relative_to(docs).as_posix(): path.read_bytes() for path in page_sources(docs)}
    files |= staged_run(run_folder, list(notebooks), shown.companions, shown.api)
    files["_run/explorer.md"] = explorer_page(shown.windows).encode()
    _mirror(files, work / "pages")
    drawn = shown.windows, shown.predictions, shown.recording, run_folder / "cache" / "views"
    with ThreadPoolExecutor(1) as beside:  # Sphinx is a process of its own
        drawing = beside.submit(explorer_files, *drawn)
        _sphinx(work)
    built = [path for path in (work / "html").rglob("*") if path.is_file()]
    pages = {path.relative_to(work / "html").as_posix(): path.read_bytes() for path in built}
    kept = {name: page for name, page in pages.items() if not UNUSED.fullmatch(name)}
    _mirror(kept | drawing.result(), out)


def staged_run(
    run_folder: Path, notebooks: list[str], companions: tuple[Path, ...] = (), api: bool = False
) -> dict[str, bytes]:
    """Return the site's files that a run fills, by path in the staging folder; see `build_site`."""
    executed: dict[str, dict[str, Any]] = {}
    rows: list[Record] = []
    for folder in (run_folder, *companions):
        there = (path.stem for path in (folder / "notebooks").glob("[0-9]*.ipynb"))
        names = notebooks if folder == run_folder else sorted(set(there) - executed.keys())
        for name in names:
            executed[name] = _finished(folder / "notebooks" / f"{name}.ipynb")
            metrics = folder / "metrics" / f"{name}.json"
            rows += read_records(metrics) if metrics.is_file() else []
    titles = {name: _title_of(name, notebook) for name, notebook in executed.items()}
    pictures = [
        found
        for name, notebook in executed.items()
        for number, cell in enumerate(notebook["cells"], 1)
        for found in pictures_of(name, number, cell)
    ]
    takeaways = run_folder / f"{PAGE}.md"
    none = f"# Research takeaways: run {as_markdown(run_folder.name)}\n\nThis run has drawn none.\n"
    landing, files = landing_pages(Landing(run_folder, companions, pictures, titles, rows))
    pages = landing | results_pages(rows, run_folder.name, titles) | _api_pages(api)
    pages["tasks"], pages["windows"] = tasks_page(), windows_page()
    runs = dict.fromkeys(folder.name for folder in (run_folder, *companions))
    entries = [row for run in runs for row in read_entries(entries_folder(run))]
    pages["entries"] = entries_page(rows, entries)
    pages["reproduction"] = reproduction_page(run_folder)
    pages["claims"] = claims_page(run_folder)
    pages["takeaways"] = takeaways.read_text(encoding="utf-8") if takeaways.is_file() else none
    files |= {f"_run/{name}.md": page.encode() for name, page in pages.items()}
    for name, notebook in executed.items():
        text = json.dumps(_for_reading(name, notebook), sort_keys=True)
        files[f"_run/notebooks/{name}.ipynb"] = text.encode()
    return files


def _finished(path: Path) -> dict[str, Any]:
    """Return an executed notebook's content, or refuse one that did not run through."""
    if not path.is_file():
        way_out = "Run `make reproduce` for this run first."
        raise NotebookError(path.name, "is not executed", "an executed copy", way_out)
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for number, cell in enumerate(notebook["cells"], 1):
        if cell["cell_type"] != "code" or not "".join(cell["source"]).strip():
            continue
        failed = any(output["output_type"] == "error" for output in cell["outputs"])
        if failed or not cell["execution_count"]:
            fault = "holds an error" if failed else "never ran"
            place, way_out = f"{path.name}, cell {number}", "Run it: make reproduce."
            raise NotebookError(place, fault, "a cell that ran", way_out)
    return notebook


def _title_of(name: str, notebook: Mapping[str, Any]) -> str:
    """Return a notebook's first heading, or its name."""
    texts = ("".join(cell["source"]) for cell in notebook["cells"])
    return next((found[1] for text in texts if (found := _TITLE.search(text))), name)


def _for_reading(name: str, notebook: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a notebook with long code folded and a place above every figure."""
    shown = copy.deepcopy(dict(notebook))
    cells: list[dict[str, Any]] = []
    for number, cell in enumerate(shown["cells"], 1):
        if any(pictures_of(name, number, cell)):
            label = {"id": f"place{number}", "cell_type": "markdown", "metadata": {}}
            place = f'<div id="cell-{number}" class="place"></div>'
            cells.append({**label, "source": place})
        if cell["cell_type"] == "code" and "".join(cell["source"]).count("\n") >= FOLDED_LINES:
            cell["metadata"]["tags"] = [*cell["metadata"].get("tags", []), "hide-input"]
        cells.append(cell)
    shown["cells"] = cells
    return shown


def _api_pages(on: bool) -> dict[str, str]:
    """Return the library's reference: its index and a page a room; `reference` fills these."""
    head = "# Library reference\n\n"
    if not on:
        return {"api": head + _NO_API}
    rooms: dict[str, list[str]] = {}  # modules outside rooms are rooms themselves
    for path in sorted(LIBRARY.rglob("*.py")):
        parts = path.relative_to(LIBRARY).with_suffix("").parts
        if parts[-1] not in NOT_DOCUMENTED:
            rooms.setdefault(parts[0], []).append(".".join((LIBRARY.name, *parts)))
    pages, lines = {}, []
    for room, modules in sorted(rooms.items()):
        own = (
            LIBRARY / room / "__init__.py" if (LIBRARY / room).is_dir() else LIBRARY / f"{room}.py"
        )
        about = (ast.get_docstring(ast.parse(own.read_text(encoding="utf-8"))) or "").split("\n")[0]
        lines.append(f"- [{room}](api/{room}.md): {about}")
        blocks = [f"## {module}\n\n```{{library}} {module}\n```" for module in modules]
        pages[f"api/{room}"] = "\n\n".join([f"# {room}", about, *blocks]) + "\n"
    told, listed = "\n".join(lines), "\n".join(pages)
    head += "One page per room of `lib/xperience`, made from its docstrings.\n\n"
    return {
        "api": f"{head}{told}\n\n```{{toctree}}\n:hidden:\n\n{listed}\n```\n",
        **pages,
    }


def _sphinx(work: Path) -> None:
    """Build ``pages`` into ``html``; what hasn't changed since the last time isn't built again."""
    pages = work / "pages"
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q"]
    command += ["-d", str(work / "doctrees"), str(pages), str(work / "html")]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode:
        shutil.rmtree(work, ignore_errors=True)  # else the next build would not warn again
        found = (built.stderr or built.stdout).replace(f"{pages}/", "docs/")
        raise SiteError(
            "site", f"has faults:\n{found.strip()}\n", "pages without warnings", "Mend those pages."
        )


def _mirror(files: Mapping[str, bytes], stage: Path) -> None:
    """Make a folder hold just these files, writing only what differs."""
    for path in [path for path in stage.rglob("*") if path.is_file()]:
        if path.relative_to(stage).as_posix() not in files:
            path.unlink()
    for name, content in files.items():
        path = stage / name
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
