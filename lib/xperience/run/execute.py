"""One notebook, executed: whole and kept, or refused with its cell's error.

What is kept is made plain first: equal runs give equal bytes, without times and machine paths.
"""

import logging
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbformat import NotebookNode
from papermill import execute_notebook as papermill_execute
from papermill.exceptions import PapermillExecutionError

from xperience.errors import NotebookError
from xperience.project import STILL, project_root
from xperience.run.notebooks import (
    as_text,
    check_parameters,
    declared_parameters,
    name_cells,
    read_notebook,
)
from xperience.storage import write_text

LAST = "xperience-last"
START_TIMEOUT_S = 180
INJECTED, HIDDEN = "injected-parameters", "remove-cell"
WIDGET = "application/vnd.jupyter.widget-view+json"
WIDGET_NOTE = "*A control stands here: open the notebook with `make lab` to use it.*"
_LAST_SOURCE = "# the kernel answers after the last cell\nNone"
_RUNNER_TAGS = {"papermill-error-cell-tag", LAST}
_FRAME = re.compile(r"^File (\S+:\d+, in .+)$", re.MULTILINE)
_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,16}\b")
_CELL_FILE = re.compile(r"[\w/.-]{0,200}/ipykernel_\d+/\d+\.py")
_PICTURE = re.compile(r"(base64,[A-Za-z0-9+/=\s]+)")
_PROGRESS = re.compile(r"\d+%\|")
_TABLE = re.compile(r'<table id="(T_[0-9a-f]{5})"')
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def execute_notebook(
    source: Path,
    parameters: dict[str, Any],
    out: Path,
    *,
    log: Path,
    seal: Callable[[], dict[str, Any]] = dict,
    threads: int = 1,
) -> NotebookNode:
    """Execute a notebook's ``.py`` half; keep the result under ``out``, whole or not at all.

    Parameters
    ----------
    source : Path
        The ``.py`` half.
    parameters : dict
        Values for names that its parameters cell declares.
    out : Path
        Where the executed notebook goes; nothing is written there unless every cell succeeds.
    log : Path
        Where the notebook grows while it runs; it stays there if it fails.
    seal : callable, optional
        Called after the last cell; what it returns is stored in the notebook's metadata under
        ``xperience``. It may raise ``NotebookError`` for what the notebook ought to have left.
    threads : int, optional
        Threads for the kernel's linear algebra; part of what makes results repeatable.

    Raises
    ------
    NotebookError
        If a cell fails, the kernel ends early, or the notebook is not one of ours.
    ParamsError
        If a parameter is unknown to the notebook or of another type.
    """
    place = f"notebooks/{source.name}"
    defaults = declared_parameters(source)
    check_parameters(parameters, defaults, place)
    notebook = read_notebook(source)
    notebook.cells.append(nbformat.v4.new_code_cell(_LAST_SOURCE, metadata={"tags": [LAST]}))
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    stopped_by = _run(notebook, parameters, log, threads)
    executed = nbformat.read(log, as_version=4) if log.is_file() else notebook
    notes = [cell.metadata.get("papermill", {}) for cell in executed.cells if _runs(cell)]
    n_begun = sum(bool(note.get("start_time")) for note in notes)
    _make_plain(executed, hide_injected=parameters.items() <= defaults.items())
    failure = _failure(executed, n_begun, stopped_by)
    executed.cells = [cell for cell in executed.cells if not _RUNNER_TAGS & _tags(cell)]
    write_text(log, as_text(executed))
    if failure:
        where, what, shown = failure
        print("\n".join([f"{where}:", *shown]), file=sys.stderr)
        root = project_root()
        kept = log.relative_to(root).as_posix() if log.is_relative_to(root) else log.name
        raise NotebookError(
            f"{place}, {where}",
            what,
            "every cell to run to its end",
            f"The notebook as far as it came is kept: {kept}",
        )
    executed.metadata["xperience"] = seal()
    write_text(out, as_text(executed))
    log.unlink(missing_ok=True)
    return executed


class OwnKernel(AsyncKernelManager):
    """A kernel of the running interpreter, with its sockets and profile in a folder of its own.

    Kernelspecs of the user are not looked at, and kernels that start side by side can't meet.
    """

    folder: str
    threads: int

    def __init__(self, **options: Any):
        options |= {"transport": "ipc", "ip": os.path.join(self.folder, "k")}
        super().__init__(**options, connection_file=os.path.join(self.folder, "kernel.json"))

    @property
    def kernel_spec(self) -> KernelSpec:
        """The running interpreter's kernel; nothing is installed for it."""
        limits = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        return KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            language="python",
            env={
                "MPLBACKEND": "module://matplotlib_inline.backend_inline",
                "PYTHONHASHSEED": "0",
                STILL: "1",
                "IPYTHONDIR": self.folder,
                "MALLOC_ARENA_MAX": "1",  # one heap for all threads: a tenth less memory
                **dict.fromkeys(limits, str(self.threads)),
            },
        )


@contextmanager
def _own_kernel(n_threads: int) -> Iterator[type[OwnKernel]]:
    """Yield a kernel manager whose sockets lie in a folder that lives as long as the run."""
    with tempfile.TemporaryDirectory(prefix="xp-", ignore_cleanup_errors=True) as own:
        yield type("Kernel", (OwnKernel,), {"folder": own, "threads": n_threads})


def _run(
    notebook: NotebookNode, parameters: dict[str, Any], log: Path, threads: int
) -> Exception | None:
    """Run every cell, saving after each; return what stopped it, if anything did."""
    logging.getLogger("papermill").setLevel(logging.CRITICAL)
    grows_at = str(log).replace("{", "{{").replace("}", "}}")  # papermill fills in {parameters}
    with _own_kernel(threads) as manager:
        try:
            papermill_execute(
                notebook,
                grows_at,
                parameters=parameters,
                kernel_name="python3",
                progress_bar=False,
                start_timeout=START_TIMEOUT_S,
                cwd=project_root(),
                kernel_manager_class=manager,
            )
        except (PapermillExecutionError, RuntimeError) as error:
            return error
    return None


def _failure(
    executed: NotebookNode, n_begun: int, stopped_by: Exception | None
) -> tuple[str, str, list[str]] | None:
    """Return the cell that failed or never ran, what it did, and lines to read about it.

    Papermill's own verdict isn't enough: a kernel may end without an error.
    """
    number = 0  # as readers count: without the cell of injected parameters
    for index, cell in enumerate(filter(_runs, executed.cells), 1):
        number += INJECTED not in _tags(cell)
        where = f"code cell {number}"
        for error in (one for one in cell.outputs if one.output_type == "error"):
            what = " ".join(f"{error.ename}: {error.evalue}".strip(": ").split())
            text = "\n".join(error.traceback)
            here = re.findall(rf"Cell In\[{cell.execution_count}\], line (\d+)", text)
            line = int(here[-1]) if here else None
            frames = [f"  in {' '.join(frame.split())}" for frame in _FRAME.findall(text)]
            shown = [*_marked(cell.source, line), *frames[-4:], what]
            return where + (f", line {line}" if line else ""), f"raised {what}", shown
        if cell.execution_count is None or (stopped_by and index == n_begun):
            is_last = LAST in _tags(cell)
            cause = f" ({' '.join(str(stopped_by).split())})" if stopped_by else ""
            shown = [*([] if is_last else _marked(cell.source, None)), "the kernel is gone"]
            where = "after the last cell" if is_last else where
            return where, f"found the kernel gone{cause}", shown
    return None


def _runs(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and bool(cell.source.strip())


def _tags(cell: NotebookNode) -> set[str]:
    return set(cell.metadata.get("tags", []))


def _marked(source: str, line: int | None) -> list[str]:
    """Return a cell's lines, numbered, with an arrow at ``line``; long cells around it only."""
    first = max(1, (line or 1) - 7)
    lines = source.splitlines()[first - 1 : first + 14]
    return [
        f"{'→' if number == line else ' '} {number:3d}  {text}"
        for number, text in enumerate(lines, first)
    ]


def _make_plain(notebook: NotebookNode, *, hide_injected: bool) -> None:
    """Take times, papermill's notes, machine paths and live widgets out of an executed notebook.

    Cells keep their order, text, tags, execution counts and outputs; ids follow from content. The
    cell of injected parameters is tagged to be left out of pages if ``hide_injected``, which is
    right where it repeats the defaults that stand above it.
    """
    about = notebook.metadata
    kept = {key: about[key] for key in ("kernelspec", "language_info") if key in about}
    kept.get("language_info", {}).pop("version", None)
    notebook.metadata = NotebookNode(kept)
    tables: dict[str, str] = {}
    for cell in notebook.cells:
        tags = list(cell.metadata.get("tags", []))
        tags += [HIDDEN] if hide_injected and INJECTED in tags and HIDDEN not in tags else []
        cell.metadata = NotebookNode({"tags": tags} if tags else {})
        if cell.cell_type == "code":
            cell.outputs = [_plain_output(one, tables) for one in _joined_streams(cell.outputs)]
    name_cells(notebook)


def _joined_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join neighbouring prints, standard output first: how they were cut up is chance.

    Progress bars that some library drew as live widgets are left out.
    """
    joined: list[NotebookNode] = []
    block: dict[str, NotebookNode] = {}
    for output in [*outputs, None]:
        data = {} if output is None else output.get("data", {})
        if WIDGET in data and _PROGRESS.search(data.get("text/plain", "")):
            continue
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


def _plain_output(output: NotebookNode, tables: dict[str, str]) -> NotebookNode:
    """Return an output without the machine in it; ``tables`` are the numbers of styled tables."""
    if output.output_type == "stream":  # a carriage return starts its line anew
        lines = _scrub(output.text).split("\n")
        output.text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)
    elif output.output_type == "error":
        output.traceback = [_scrub(_COLOUR.sub("", line)) for line in output.traceback]
        output.evalue = _scrub(output.evalue)
    elif "data" in output:
        output.metadata = NotebookNode()
        if output.data.pop(WIDGET, None) is not None and "text/html" not in output.data:
            output.data = NotebookNode({"text/markdown": WIDGET_NOTE})
        for kind, value in output.data.items():
            if kind.startswith("text/") and isinstance(value, str):
                output.data[kind] = _scrub(value)
        html = output.data.get("text/html", "")
        for name in _TABLE.findall(html):  # pandas names each by chance
            tables.setdefault(name, f"T_{len(tables) + 1}")
            output.data["text/html"] = html = html.replace(name, tables[name])
    return output


def _scrub(text: str) -> str:
    """Take the machine out of a text, leaving pictures in it alone."""
    root = project_root().as_posix()
    folders = [(f"{prefix}/", "") for prefix in (sys.prefix, sys.base_prefix, root)]
    folders += [(root, "."), (f"{Path.home().as_posix()}/", "~/")]
    parts = _PICTURE.split(text)
    for place in range(0, len(parts), 2):
        for folder, shown in folders:
            parts[place] = parts[place].replace(folder, shown) if len(folder) > 2 else parts[place]
        if "/ipykernel_" in parts[place]:
            parts[place] = _CELL_FILE.sub("cell", parts[place])
        parts[place] = _ADDRESS.sub("0x…", parts[place])
    return "".join(parts)
