"""The site of a run: its executed notebooks, its scores and the pages of ``docs/``, as HTML.

Pages and notebooks are copied into a staging folder first (links between pages break across
symbolic links), and only what differs is written, so that an unchanged page isn't built again.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from xperience.errors import XperienceError
from xperience.evaluation.records import Record, read_records
from xperience.outputs import check_output
from xperience.report.api import api_pages
from xperience.report.executed import finished, for_reading, pictures, title_of
from xperience.report.explorer import explorer_files
from xperience.report.landing import Shelf, landing_pages
from xperience.report.scoreboard import results_pages
from xperience.report.takeaways.evidence import NAME as TAKEAWAYS
from xperience.report.tasks import tasks_page
from xperience.report.windows import windows_page
from xperience.text import as_markdown

UNUSED = re.compile(r"\.buildinfo|objects\.inv|_static/.*macros\.html")
PAGES = ("*.md", "*.py", "*.css", "*.js", "*.svg", "*.png", "*.webp")


class SiteError(XperienceError):
    """The site could not be built."""


@dataclass(frozen=True)
class Shown:
    """What the site shows besides the run; each may be absent, and the page then says so.

    Parameters
    ----------
    windows : Path, optional
        Windows table of the recording.
    predictions : Path, optional
        What heads answered.
    recording : Path, optional
        Its folder.
    companions : tuple of Path
        Folders of other runs, whose executed notebooks and scores are shown too.
    api : bool
        Whether the library's reference is made.
    """

    windows: Path | None = None
    predictions: Path | None = None
    recording: Path | None = None
    companions: tuple[Path, ...] = ()
    api: bool = False


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
    files = _stage_files(docs, run_folder, list(notebooks), shown.companions)
    files |= {f"_run/{name}.md": page.encode() for name, page in api_pages(shown.api).items()}
    files |= explorer_files(shown.windows, shown.predictions, shown.recording)
    _mirror(files, work / "pages")
    _sphinx(work)
    built = [path for path in (work / "html").rglob("*") if path.is_file()]
    pages = {path.relative_to(work / "html").as_posix(): path.read_bytes() for path in built}
    _mirror({name: page for name, page in pages.items() if not UNUSED.fullmatch(name)}, out)


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


def _stage_files(
    docs: Path, run_folder: Path, notebooks: list[str], companions: tuple[Path, ...]
) -> dict[str, bytes]:
    """Return the content of every staged file by its path in the staging folder."""
    files = {path.relative_to(docs).as_posix(): path.read_bytes() for path in page_sources(docs)}
    executed = {name: finished(run_folder / "notebooks" / f"{name}.ipynb") for name in notebooks}
    rows = _all_rows(run_folder / "metrics", notebooks)
    for folder in companions:
        others = sorted(path.stem for path in (folder / "notebooks").glob("[0-9]*.ipynb"))
        others = [name for name in others if name not in executed]
        executed |= {name: finished(folder / "notebooks" / f"{name}.ipynb") for name in others}
        rows += _all_rows(folder / "metrics", others)
    for name, notebook in executed.items():
        shown = json.dumps(for_reading(name, notebook), sort_keys=True)
        files[f"_run/notebooks/{name}.ipynb"] = shown.encode()
    titles = {name: title_of(name, notebook) for name, notebook in executed.items()}
    shelf = Shelf(run_folder, companions, pictures(executed), titles, rows)
    landing, shown_pictures = landing_pages(shelf)
    files |= shown_pictures
    files |= {f"_run/{name}.md": page.encode() for name, page in landing.items()}
    files["_run/takeaways.md"] = _takeaways(run_folder).encode()
    files["_run/tasks.md"] = tasks_page().encode()
    files["_run/windows.md"] = windows_page().encode()
    for name, page in results_pages(rows, run_folder.name, titles).items():
        files[f"_run/{name}.md"] = page.encode()
    return files


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


def _all_rows(metrics: Path, notebooks: list[str]) -> list[Record]:
    files = [metrics / f"{name}.json" for name in notebooks]
    return [row for file in files if file.is_file() for row in read_records(file)]


def _takeaways(run_folder: Path) -> str:
    """Return the run's takeaways as a page, or one that says that there are none yet."""
    page = run_folder / f"{TAKEAWAYS}.md"
    if page.is_file():
        return page.read_text(encoding="utf-8")
    run = as_markdown(run_folder.name)
    return f"# Research takeaways: run {run}\n\nThis run has drawn none yet.\n"
