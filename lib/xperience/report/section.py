"""How a result section is saved: rows with their provenance, and what heads predicted."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from IPython.display import Markdown

from xperience.evaluation.predictions import Answered, write_predictions
from xperience.evaluation.records import Record, write_records
from xperience.features.table import WindowTable
from xperience.project import metrics_path, predictions_path
from xperience.report.provenance import provenance


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
