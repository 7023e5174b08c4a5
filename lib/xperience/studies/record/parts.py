"""The published record's study, part by part; what isn't there is said, not fatal."""

from collections.abc import Callable, Sequence

from xperience.evaluation.records import Record
from xperience.studies.record.audio import logmel_rows
from xperience.studies.record.contests import score_rows
from xperience.studies.record.hands import hand_rows
from xperience.studies.record.note import Figure, figure_rows, report_rows
from xperience.studies.record.record import PublishedRecord, PublishedRecordError, real_truth
from xperience.studies.rows import Labels
from xperience.tasks.truth import Truth

Part = Callable[[PublishedRecord, Truth, Labels], Sequence[Record]]

PARTS: dict[tuple[str, str], Part] = {
    ("published_scores", "published"): score_rows,
    ("real_hands", "corrected"): hand_rows,
    ("real_logmel", "published"): logmel_rows,
    ("real_logmel", "corrected"): logmel_rows,
}
"""What makes the rows of a part under a contract."""


def part_rows(record: PublishedRecord, part: str, run: str, section: str) -> list[Record]:
    """Return a part's rows under every contract that it follows.

    Parameters
    ----------
    record : PublishedRecord
    part : str
        A name in ``PARTS``.
    run, section : str
        What rows are labelled with.

    Returns
    -------
    list of Record
        One skipped row, named as the part, where the record lacks what it needs.
    """
    rows: list[Record] = []
    for (name, contract), made_by in PARTS.items():
        if name != part:
            continue
        labels = Labels(run, section, contract)
        try:
            rows += made_by(record, real_truth(record), labels)
        except PublishedRecordError as error:
            reason = record.absence or f"{error.place}: {error.found}"
            base = {"run": run, "section": section, "contract": contract, "metric": part}
            rows.append(Record(**base, status="skipped", reason=reason))
    return rows


def note_rows(
    record: PublishedRecord,
    figures: Sequence[Figure],
    rows: Sequence[Record],
    run: str,
    section: str,
) -> list[Record]:
    """Return the rows of the note's figures, and of how the record's own scores come out.

    Parameters
    ----------
    record : PublishedRecord
    figures : sequence of Figure
    rows : sequence of Record
        What was scored.
    run, section : str
    """
    labels = Labels(run, section, "published")
    return [*figure_rows(figures, labels), *report_rows(record, rows, labels)]
