"""What heads across recordings said of every test window: classes and sets of names."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from xperience.storage import whole_file
from xperience.studies.heldout.asked import TEST
from xperience.studies.heldout.study import Held
from xperience.studies.predictions import BETWEEN

COLUMNS = {
    "episode": pa.string(),
    "task": pa.string(),
    "head": pa.string(),
    "seed": pa.int32(),
    "window": pa.int32(),
    "start_frame": pa.int32(),
    "truth": pa.string(),
    "predicted": pa.string(),
}


def predictions_table(outcomes: Iterable[Held]) -> pd.DataFrame:
    """Return one row a test sample, head and seed, of tasks about classes and sets.

    Parameters
    ----------
    outcomes : iterable of Held

    Returns
    -------
    table
        ``COLUMNS``. ``window`` is the sample's first window and ``start_frame`` its first frame;
        names of a set are joined by ``|``.
    """
    parts = [part for held in outcomes if held.status == "ok" for part in _parts(held)]
    if not parts:
        return pd.DataFrame(columns=list(COLUMNS))
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)]


def write_predictions(path: Path | str, outcomes: Iterable[Held]) -> pd.DataFrame:
    """Write the predictions as Parquet, whole or not at all, and return them."""
    table = predictions_table(outcomes)
    with whole_file(path) as scratch:
        pq.write_table(pa.Table.from_pandas(table, pa.schema(COLUMNS), False), scratch)
    return table


def _parts(held: Held) -> Iterator[pd.DataFrame]:
    if held.task.kind not in ("classify", "multilabel"):
        return
    for head, answers in held.answers.items():
        for answer in answers:
            first = 0
            for part in held.asked.parts[TEST]:
                said = answer.predicted[first : first + len(part)]
                members = part.samples.members[:, 0]
                yield pd.DataFrame(
                    {
                        "episode": part.recording.entry.episode,
                        "task": held.task.name,
                        "head": head,
                        "seed": answer.seed,
                        "window": members,
                        "start_frame": part.recording.truth.starts[members],
                        "truth": list(map(_text, part.samples.values)),
                        "predicted": list(map(_text, said)),
                    }
                )
                first += len(part)


def _text(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else BETWEEN.join(value)
