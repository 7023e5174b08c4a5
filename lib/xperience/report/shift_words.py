"""What readers call the splits and the heads of the label-shift study."""

from collections.abc import Iterable

from xperience.evaluation.records import Record
from xperience.studies.shift.probes import COPY, SENSORS_ONLY, TEXT_ONLY, TIME
from xperience.studies.shift.study import BLOCKS, CHRONOLOGICAL, LINEAR, LOCAL, PURGED, THINNED

SPLIT_NAMES = {
    LOCAL: "local",
    BLOCKS: "local stretches, purged",
    CHRONOLOGICAL: "chronological",
    PURGED: "chronological, purged",
}
HEAD_NAMES = {
    LINEAR: "linear head, all features",
    SENSORS_ONLY: "linear head, sensors only",
    TEXT_ONLY: "linear head, annotators' words only",
    TIME: "time alone, smooth vote",
    COPY: "time alone, nearest window's label",
    THINNED: "linear head, as many windows at random",
}


def scored(row: Record | None) -> str:
    """Return a score with its interval for readers, or that there is none."""
    if row is None or row.value is None:
        return "–"
    return f"{row.value:.2f}{bracket(row)}"


def bracket(row: Record) -> str:
    """Return " [low, high]", or nothing where there is no interval."""
    if row.ci_low is None or row.ci_high is None:
        return ""
    low, high = (round(end, 2) + 0.0 for end in (row.ci_low, row.ci_high))  # no "-0.00"
    return f" [{low:.2f}, {high:.2f}]"


def excludes_zero(row: Record) -> bool:
    """Return whether a difference may be claimed."""
    return row.ci_low is not None and row.ci_high is not None and not row.ci_low <= 0 <= row.ci_high


def one_row(rows: Iterable[Record], **wanted: object) -> Record | None:
    """Return the first row whose fields are as wanted; None if there is none."""
    return next(
        (row for row in rows if all(getattr(row, name) == v for name, v in wanted.items())), None
    )
