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
from xperience.studies.predictions import COLUMNS as OF_ONE_RECORDING

_SHARED = ("task", "head", "seed", "window", "start_frame", "truth", "predicted")
COLUMNS = {"episode": pa.string(), **{name: OF_ONE_RECORDING[name] for name in _SHARED}}


class Said:
    """What heads said, kept while outcomes pass by: the outcomes themselves are large."""

    def __init__(self) -> None:
        self._parts: list[pd.DataFrame] = []

    def of(self, outcomes: Iterable[Held]) -> Iterator[Held]:
        """Pass outcomes on, one at a time, keeping what was said of classes and sets of names.

        Parameters
        ----------
        outcomes : iterable of Held
        """
        return map(self._noted, outcomes)  # a loop would hold each one until the next is made

    def _noted(self, held: Held) -> Held:
        self._parts += _parts(held) if held.status == "ok" else []
        return held

    def table(self) -> pd.DataFrame:
        """Return one row a test sample, head and seed.

        Returns
        -------
        table
            ``COLUMNS``. ``window`` is the sample's first window and ``start_frame`` its first
            frame; names of a set are joined by ``|``.
        """
        if not self._parts:
            return pd.DataFrame(columns=list(COLUMNS))
        return pd.concat(self._parts, ignore_index=True)[list(COLUMNS)]

    def write(self, path: Path | str) -> pd.DataFrame:
        """Write the table as Parquet, whole or not at all, and return it."""
        table = self.table()
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
