"""What a result section starts from and how it is saved: inputs, rows, provenance, predictions."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from IPython.display import Markdown

from xperience.errors import XperienceError
from xperience.evaluation.predictions import Answered, write_predictions
from xperience.evaluation.records import Record, write_records
from xperience.features.table import TableError, WindowTable
from xperience.project import at_root, metrics_path, predictions_path, windows_path
from xperience.recording.recording import Recording
from xperience.report.provenance import provenance, shown_path


class InputError(XperienceError):
    """A notebook's input that is not there or doesn't fit the others."""


def open_inputs(run: str, episode: str, contract: str) -> tuple[Recording, WindowTable]:
    """Return a run's recording, opened read-only, and its windows table under a contract.

    If one of them is absent or they don't belong together, an InputError says what makes them.
    """
    folder, path = at_root(episode), windows_path(run, episode, contract)
    way_out = (
        f"Run `make reproduce RUN={run} AGAIN=1` in the repository's top folder; it makes both."
    )
    if not folder.is_dir():
        raise InputError(shown_path(folder), "is not there", "the run's recording", way_out)
    if not path.is_file():
        raise InputError(shown_path(path), "is not there", "the run's windows table", way_out)
    table = WindowTable(path)
    try:
        table.check_made_from(folder, contract)
    except TableError as error:
        raise InputError(shown_path(path), error.found, error.expected, way_out) from error
    return Recording(folder), table


def save_section(
    notebook: str,
    parameters: Mapping[str, Any],
    rows: Sequence[Record],
    tables: Iterable[WindowTable],
    answered: Answered | None = None,
) -> Markdown:
    """Write a section's metrics file and predictions, and return what was written in words.

    Parameters
    ----------
    notebook : str
    parameters : mapping
        Those of the notebook, ``run`` among them.
    rows : sequence of Record
    tables : iterable of WindowTable
        The windows that the rows rest on, all of one recording.
    answered : iterable of (Problem, {head: predictions}), optional
        What is kept as the section's predictions.
    """
    tables, run = list(tables), parameters["run"]
    origin = provenance(notebook, parameters, [table.path for table in tables])
    origin |= {"recording": tables[0].info.sources}
    write_records(metrics_path(run, notebook), rows, origin)
    if answered is None:
        return Markdown(f"{len(rows):,} rows.")
    kept = write_predictions(predictions_path(run, notebook), answered)
    return Markdown(f"{len(rows):,} rows, {len(kept):,} predictions.")
