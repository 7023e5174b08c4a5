"""One notebook, executed: whole and kept, or refused with its cell's error."""

import logging
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
from xperience.run.clean import INJECTED, clean
from xperience.run.pairs import as_text, read_notebook
from xperience.run.parameters import check_parameters, declared_parameters
from xperience.storage import write_text

LAST = "xperience-last"
START_TIMEOUT_S = 180
_LAST_SOURCE = "# the kernel answers after the last cell"
_RUNNER_TAGS = {"papermill-error-cell-tag", LAST}
_FRAME = re.compile(r"^File (\S+:\d+, in .+)$", re.MULTILINE)


class OwnKernel(AsyncKernelManager):
    """A kernel of the running interpreter, with its sockets and profile in a folder of its own.

    Kernelspecs of the user are not looked at, and kernels that start side by side can't meet.
    """

    folder: str
    threads: int

    @property
    def kernel_spec(self) -> KernelSpec:
        """The running interpreter's kernel; nothing is installed for it."""
        threads = dict.fromkeys(
            ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(self.threads)
        )
        return KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            language="python",
            env={
                "MPLBACKEND": "module://matplotlib_inline.backend_inline",
                "PYTHONHASHSEED": "0",
                STILL: "1",
                "IPYTHONDIR": self.folder,
                **threads,
            },
        )


def execute_notebook(
    source: Path,
    parameters: dict[str, Any],
    out: Path,
    *,
    log: Path,
    seal: Callable[[], dict[str, Any]] = dict,
    threads: int = 1,
) -> NotebookNode:
    """Execute a notebook's ``.py`` half and keep the result under ``out``, whole or not at all.

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

    Returns
    -------
    NotebookNode
        The executed notebook, as written.

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
    notebook.cells.append(_last_cell())
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    stopped_by = _run(notebook, parameters, log, threads)
    executed = nbformat.read(log, as_version=4) if log.is_file() else notebook
    begun = _n_begun(executed)
    executed = clean(executed, hide_injected=parameters.items() <= defaults.items())
    failure = _failure(executed, begun, stopped_by)
    executed.cells = [cell for cell in executed.cells if not _RUNNER_TAGS & _tags(cell)]
    write_text(log, as_text(executed))
    if failure:
        print(failure.traceback, file=sys.stderr)
        raise failure.as_error(place, log)
    executed.metadata["xperience"] = seal()
    write_text(out, as_text(executed))
    log.unlink(missing_ok=True)
    return executed


def _last_cell() -> NotebookNode:
    return nbformat.v4.new_code_cell(_LAST_SOURCE + "\nNone", metadata={"tags": [LAST]})


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


@contextmanager
def _own_kernel(n_threads: int) -> Iterator[type[OwnKernel]]:
    """Yield a kernel manager whose sockets lie in a folder that lives as long as the run."""
    with tempfile.TemporaryDirectory(prefix="xp-", ignore_cleanup_errors=True) as own:

        class Kernel(OwnKernel):
            folder, threads = own, n_threads

            def __init__(self, **options: Any):
                options |= {"transport": "ipc", "ip": os.path.join(own, "k")}
                super().__init__(**options, connection_file=os.path.join(own, "kernel.json"))

        yield Kernel


@dataclass(frozen=True)
class _Failure:
    """Why a notebook did not run through: the cell, in words, and a traceback to read."""

    where: str
    what: str
    traceback: str

    def as_error(self, place: str, log: Path) -> NotebookError:
        root = project_root()
        kept = log.relative_to(root).as_posix() if log.is_relative_to(root) else log.name
        return NotebookError(
            f"{place}, {self.where}",
            self.what,
            "every cell to run to its end",
            f"The notebook as far as it came is kept: {kept}",
        )


def _failure(executed: NotebookNode, begun: int, stopped_by: Exception | None) -> _Failure | None:
    """Return the cell that failed or never ran; papermill's own verdict isn't enough."""
    cells = [cell for cell in executed.cells if _runs(cell)]
    for index, cell in enumerate(cells):
        number = sum(INJECTED not in _tags(before) for before in cells[: index + 1])
        for output in cell.outputs:
            if output.output_type == "error":
                return _cell_error(cell, number, output)
        if cell.execution_count is None or (stopped_by and index + 1 == begun):
            return _kernel_gone(cell, number, stopped_by)
    return None


def _n_begun(notebook: NotebookNode) -> int:
    """Return how many code cells papermill began to run."""
    notes = [cell.metadata.get("papermill", {}) for cell in notebook.cells if _runs(cell)]
    return sum(bool(note.get("start_time")) for note in notes)


def _runs(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and bool(cell.source.strip())


def _cell_error(cell: NotebookNode, number: int, error: NotebookNode) -> _Failure:
    what = " ".join(f"{error.ename}: {error.evalue}".strip(": ").split())
    text = "\n".join(error.traceback)
    here = re.findall(rf"Cell In\[{cell.execution_count}\], line (\d+)", text)
    line = int(here[-1]) if here else None
    frames = [" ".join(frame.split()) for frame in _FRAME.findall(text)]
    where = f"code cell {number}" + (f", line {line}" if line else "")
    shown = [f"{where}:", *_marked(cell.source, line), *(f"  in {f}" for f in frames[-4:]), what]
    return _Failure(where, f"raised {what}", "\n".join(shown))


def _kernel_gone(cell: NotebookNode, number: int, stopped_by: Exception | None) -> _Failure:
    if LAST in _tags(cell):
        where, shown = "after the last cell", []
    else:
        where, shown = f"code cell {number}", _marked(cell.source, None)
    cause = f" ({' '.join(str(stopped_by).split())})" if stopped_by else ""
    shown = [f"{where}:", *shown, "the kernel is gone"]
    return _Failure(where, f"found the kernel gone{cause}", "\n".join(shown))


def _marked(source: str, line: int | None) -> list[str]:
    """Return a cell's lines, numbered, with an arrow at ``line``; long cells around it only."""
    first = max(1, (line or 1) - 7)
    lines = source.splitlines()[first - 1 : first + 14]
    return [
        f"{'→' if number == line else ' '} {number:3d}  {text}"
        for number, text in enumerate(lines, first)
    ]


def _tags(cell: NotebookNode) -> set[str]:
    return set(cell.metadata.get("tags", []))
