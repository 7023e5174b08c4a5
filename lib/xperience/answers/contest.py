"""Several models' answers to the same records, scored side by side as rows of one section."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from xperience.answers.evaluate import evaluate
from xperience.answers.fields import PARSED
from xperience.answers.grounding import EVIDENCE
from xperience.answers.rows import HONEST
from xperience.answers.schema import AnswersError
from xperience.answers.supervised import OPTIONS, Export, write_predictions
from xperience.scoring.records import Record

if TYPE_CHECKING:
    import pandas as pd

    from xperience.answers.baselines import Said

SHUFFLED = "shuffled"
SHOWN = ("strict_validity", "lenient_validity", "accuracy", "micro_f1", EVIDENCE)


def write_answers(folder: Path | str, said_by: Mapping[str, "Said"]) -> dict[str, Path]:
    """Write the answers of several models, a file each; return where they are.

    Parameters
    ----------
    folder : path
    said_by : dict of {model: records with texts}
    """
    paths = {name: Path(folder) / f"{name}.jsonl" for name in said_by}
    for name, said in said_by.items():
        write_predictions(paths[name], said)
    return paths


def contest_rows(
    predictions: Mapping[str, Path], export: Export, run: str, section: str
) -> Iterator[Record]:
    """Yield the honest scores of several models; each carries its strongest floor.

    Parameters
    ----------
    predictions : dict of {model: file of predictions}
        All of them about the same records.
    export : Export
    run, section : str
        What the rows belong to.

    Raises
    ------
    AnswersError
        If a file cannot be used, or the files are about different records.
    """
    asked: dict[str, frozenset[str]] = {}
    for name, path in predictions.items():
        rows = evaluate(path, export.folder / OPTIONS, name)
        asked[name] = frozenset(_ids(path))
        first = next(iter(asked))
        if asked[name] != asked[first]:
            raise AnswersError(
                f"predictions: {name}", f"answer other records than {first}",
                "the same records, each once", "Let every model answer the same side.",
            )  # fmt: skip
        for row in rows:
            if row.contract == HONEST and row.head == name:
                yield row.model_copy(update={"run": run, "section": section})


def _ids(path: Path) -> Iterator[str]:
    with Path(path).open(encoding="utf-8") as lines:
        yield from (json.loads(line)["id"] for line in lines if line.strip())


def contest_table(rows: Iterable[Record]) -> "pd.DataFrame":
    """Return the models' scores side by side.

    Parameters
    ----------
    rows : iterable of Record
        As `contest_rows` yields them.

    Returns
    -------
    table
        One row a field and metric, one column a model, in their order; then ``floor``, the
        strongest answer that is always the same, ``floor_name``, and ``ceiling``, what options
        allow. NaN where there is no score. (A model's own floors, its answers dealt out anew,
        differ from model to model: they are in its rows.)
    """
    import pandas as pd  # noqa: PLC0415 - only where a table is shown

    found: dict[tuple[str, str], dict[str, float | str | None]] = {}
    for row in rows:
        own = row.against is None and row.variant in (None, PARSED)
        if not own or row.metric not in SHOWN:
            continue
        line = found.setdefault((row.task or "", row.metric), {})
        line[row.head] = row.value
        if row.floor_name is not None and not row.floor_name.startswith(SHUFFLED):
            line |= {"floor": row.floor, "floor_name": row.floor_name}
        if row.ceiling is not None:
            line["ceiling"] = row.ceiling
    table = pd.DataFrame.from_dict(found, orient="index")
    last = [name for name in ("floor", "floor_name", "ceiling") if name in table]
    table = table[[name for name in table if name not in last] + last]
    return table.set_axis(pd.MultiIndex.from_tuples(list(found), names=["field", "metric"]))
