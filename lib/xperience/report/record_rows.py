"""Rows of the published record, found by what they are of."""

from collections.abc import Iterable, Iterator, Sequence

from xperience.evaluation.records import Record

PRIMARY = {
    "timeline_action": "macro_f1",
    "timeline_subtask": "macro_f1",
    "transition_detection": "macro_f1",
    "next_action": "macro_f1",
    "contact_prediction": "macro_f1",
    "object_relevance": "micro_f1",
    "caption_grounding": "mrr",
    "temporal_order": "f1",
    "misalignment_detection": "f1",
}
"""Tasks of the note that are scored by a share, and their primary metric."""


class Rows:
    """Rows of a metrics file, found by what they are of.

    Parameters
    ----------
    rows : iterable of Record
    """

    def __init__(self, rows: Iterable[Record]):
        self._rows = list(rows)

    def __iter__(self) -> Iterator[Record]:
        return iter(self._rows)

    def all(self, **wanted: object) -> list[Record]:
        """Return the rows that have these values in these fields.

        Parameters
        ----------
        **wanted : field=value
            Fields that say which row it is; ``variant`` and ``against`` are None unless given.
        """
        wanted = {"variant": None, "against": None} | wanted
        return [
            row
            for row in self._rows
            if all(getattr(row, key) == one for key, one in wanted.items())
        ]

    def one(self, **wanted: object) -> Record | None:
        """Return the first such row with a value, or None."""
        found = (row for row in self.all(**wanted) if row.value is not None)
        return next(found, None)


def winners(found: Sequence[Record]) -> list[Record]:
    """Return the differences of errors whose whole interval lies below 0."""
    return [row for row in found if row.ci_high is not None and row.ci_high < 0]


def words(head: str | None) -> str:
    """Return a head's name for readers."""
    return (head or "").replace("_", " ")
