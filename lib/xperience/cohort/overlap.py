"""Label overlap: how much of what validation and test ask for ever occurs in training."""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xperience.cohort.roster import Roster
from xperience.cohort.wordings import KINDS, WAYS, KeyOf, Way, Wording, keys
from xperience.evaluation.catalogue import SHARE
from xperience.evaluation.records import Record
from xperience.evaluation.resampling import Resampling
from xperience.evaluation.uncertainty import interval

if TYPE_CHECKING:
    import pandas as pd

TRAIN, ASKED = "train", ("val", "test")
OF_WINDOWS, OF_LABELS = "share_of_windows_seen_in_train", "share_of_labels_seen_in_train"


@dataclass(frozen=True)
class Overlap:
    """One kind of label on one side, compared in one way with training.

    Parameters
    ----------
    kind, side, way : str
    n_train : int
        Distinct labels in training.
    n_labels, n_seen : int
        Distinct labels on this side, and those of them that training has.
    windows, seen : int array, shape (n_episodes,)
        For each of the side's episodes: windows with a label (for objects: pairs of a window and an
        object), and those of them whose label training has.
    """

    kind: str
    side: str
    way: str
    n_train: int
    n_labels: int
    n_seen: int
    windows: np.ndarray
    seen: np.ndarray


def overlap(
    roster: Roster, wordings: Mapping[str, Wording], kind: str, side: str, way: Way
) -> Overlap | None:
    """Compare the labels of a side with those of training.

    Parameters
    ----------
    roster : Roster
    wordings : dict of {episode: Wording}
        For each of the roster's episodes.
    kind : str
        One of `xperience.cohort.wordings.KINDS`.
    side : {"val", "test"}
    way : Way
        When two labels count as one.

    Returns
    -------
    Overlap or None
        None if this way says nothing of such labels.
    """
    key_of = way.key_of(kind)
    if key_of is None:
        return None
    train = _distinct((wordings[e.episode].counts[kind] for e in roster.on(TRAIN)), key_of)
    counted = [wordings[entry.episode].counts[kind] for entry in roster.on(side)]
    here = _distinct(counted, key_of)
    totals = np.array([_windows(counts, key_of, here) for counts in counted], dtype=np.int64)
    seen = np.array([_windows(counts, key_of, train) for counts in counted], dtype=np.int64)
    return Overlap(kind, side, way.name, len(train), len(here), len(here & train), totals, seen)


def _distinct(counted: Iterable[Counter[str]], key_of: KeyOf) -> set[Hashable]:
    return {key for counts in counted for key in keys(counts, key_of).values()}


def _windows(counts: Counter[str], key_of: KeyOf, among: set[Hashable]) -> int:
    return sum(counts[label] for label, key in keys(counts, key_of).items() if key in among)


def overlap_rows(
    roster: Roster, wordings: Mapping[str, Wording], run: str, section: str
) -> Iterator[Record]:
    """Yield the overlap of every kind of label, on both sides, in every way, as tidy rows.

    Parameters
    ----------
    roster : Roster
    wordings : dict of {episode: Wording}
        See `xperience.cohort.wordings.read_wordings`.
    run, section : str
        What the rows belong to.

    Yields
    ------
    Record
        ``task`` is the kind of label and ``variant`` is ``<side>_<way>``. A metric each for windows
        (with an interval over recordings) and for distinct labels; ``n_train`` counts distinct
        labels in training, ``n_test`` what the share is of. A way that lacks a package, or a side
        without such labels, is a row with its reason.
    """
    for kind in KINDS:
        for way in WAYS.values():
            if way.key_of(kind) is None:
                continue
            for side in ASKED:
                fields = {"run": run, "section": section, "contract": "corrected", "task": kind}
                fields["variant"] = f"{side}_{way.name}"
                found = None if way.missing else overlap(roster, wordings, kind, side, way)
                for row in _both(found, way):
                    yield Record(**fields | row)


def _both(found: Overlap | None, way: Way) -> Iterator[dict]:
    """Yield the fields of both metrics."""
    for metric in (OF_WINDOWS, OF_LABELS):
        if found is None:
            yield {"metric": metric, "status": "skipped", "reason": way.missing}
            continue
        counts = {"n_train": found.n_train}
        total = int(found.windows.sum()) if metric == OF_WINDOWS else found.n_labels
        counts["n_test"] = total
        if not total:
            reason = f"no {found.kind} label on the side {found.side}"
            yield counts | {"metric": metric, "status": "skipped", "reason": reason}
        elif metric == OF_WINDOWS:
            share = float(found.seen.sum() / total)
            yield counts | {"metric": metric, "value": share, **_ends(found)}
        else:
            yield counts | {"metric": metric, "value": found.n_seen / total}


def _ends(found: Overlap) -> dict:
    """Return the interval over recordings, or why there is none, as fields of a row."""
    n = len(found.windows)

    def share(weights: np.ndarray) -> np.ndarray:
        total = weights @ found.windows
        return np.divide(weights @ found.seen, total, out=np.full(len(weights), np.nan),
                         where=total > 0)  # fmt: skip

    over = interval(share, n, Resampling(groups=np.arange(n)), SHARE)
    if over.low is None or over.high is None:
        return {"ci_reason": f"{over.verdict}: {over.reason}"}
    return {"ci_low": over.low, "ci_high": over.high}


def overlap_table(rows: Sequence[Record]) -> "pd.DataFrame":
    """Return rows of overlap as a table: a line a kind and way, a column a side and metric.

    Parameters
    ----------
    rows : sequence of Record
        Others are passed over; rows without a value are NaN.
    """
    import pandas as pd  # noqa: PLC0415 - half a second that only tables need

    per = {OF_WINDOWS: "windows", OF_LABELS: "labels"}
    cells: dict[tuple[str, str], dict[tuple[str, str], float]] = {}
    for row in rows:
        if row.metric in per and row.task and row.variant:
            side, _, way = row.variant.partition("_")
            value = float("nan") if row.value is None else row.value
            cells.setdefault((row.task, way), {})[side, per[row.metric]] = value
    table = pd.DataFrame.from_dict(cells, orient="index")
    table.index = pd.MultiIndex.from_tuples(cells, names=["labels", "way"])
    table.columns = pd.MultiIndex.from_tuples(table.columns, names=["side", "share of"])
    return table
