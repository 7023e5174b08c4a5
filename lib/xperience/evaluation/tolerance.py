"""How far a row may differ from the same row of another processor: tolerances by kind of row.

The same code rounds otherwise on another processor, with other threads or another BLAS. Counts of
the recording don't change at all, and a fit with one solution changes in its last digits. A network
ends elsewhere, as if it had been trained from other seeds: its mean over n seeds, compared with
another mean over n seeds of spread s, has the deviation s·√(2/n). `N_SPREADS` is 4 for the mean of
`SEEDS` seeds, which is 6.3 such deviations: where a spread is estimated from five seeds (Student's
t with 4 degrees of freedom), an independently seeded network passes it 3 times in 1,000. Without
AVX means were seen to move by 0.2 spreads (median) and by 1.3 at most.
"""

import math
from enum import StrEnum

from xperience.evaluation.records import MIN_SEEDS, UNSTABLE, Record

RELATIVE, ABSOLUTE = 1e-6, 1e-9
"""Of numbers that follow from the data by a computation with one outcome."""
N_SPREADS, SEEDS = 4.0, MIN_SEEDS
"""A mean of `SEEDS` seeds may move by so many spreads; one of n seeds by √(5 / n) as many."""
LEAST_SHARE = 0.01
"""A network's score may move by this share of itself though its seeds agree: few samples tip."""
MEASURED_UNITS = {"h"}
"""Hours of work are measured, and differ from run to run."""
OF_LENGTH = ("train_final_loss",)
"""Metrics of networks that say how long was trained: they fall tenfold within some epochs, so their
spread over seeds doesn't say how far they go where training stops an epoch sooner."""
_DERIVED = 1e-3
"""Of intervals' ends (as a share of the farther one), effective samples and p: sums of small
differences, shown with few digits."""
BINNED, TIPPED = ("calibration_error", "selective_accuracy_50", "selective_accuracy_80"), 0.02
"""Metrics that put samples in order by probability: near ties tip, and move them by so much."""
_EXACT = ("run", "section", "contract", "task", "head", "variant", "against", "metric", "seed",
          "unit", "higher_is_better", "status", "n_seeds", "n_train", "n_test")  # fmt: skip
_ENDS, _OF_TEST = ("ci_low", "ci_high"), ("n_effective", "p")
_SCORES = ("value", "spread", "floor", "skill", "ceiling")
_NUMBERS = (*_SCORES, *_ENDS, *_OF_TEST)


class Kind(StrEnum):
    """What a row's numbers rest on."""

    COUNT = "count"
    DETERMINISTIC = "deterministic"
    NETWORK = "network"
    UNSTABLE = "unstable"
    MEASURED = "measured"


class Agreement(StrEnum):
    """How a row compares with its reference."""

    EQUAL = "equal"
    WITHIN = "within tolerance"
    DIFFERENT = "different"
    NOT_COMPARED = "not compared"


def kind_of(row: Record) -> Kind:
    """Return what a row's numbers rest on, which says how far they may differ."""
    if (row.no_verdict or "").startswith(UNSTABLE):
        return Kind.UNSTABLE
    if row.n_seeds is not None:
        return Kind.NETWORK
    if row.unit in MEASURED_UNITS:
        return Kind.MEASURED
    whole = row.value is None or float(row.value).is_integer()
    is_count = row.higher_is_better is None and row.floor is None and row.ci_low is None
    return Kind.COUNT if whole and is_count else Kind.DETERMINISTIC


def compare_rows(reference: Record, row: Record) -> Agreement:
    """Return how a row compares with its reference: equal, within tolerance, different.

    Parameters
    ----------
    reference, row : Record
        Of the same key. The kind, the spread and the number of seeds are the reference's.

    Returns
    -------
    Agreement
        "not compared" where numbers differ that nothing holds together: rows that are unstable or
        measured, networks of one seed, whose spread isn't known, and their training losses.

    Notes
    -----
    Reasons aren't compared. A network's interval, spread and effective samples only follow its
    score, and a p that is corrected for its family hangs on all of the family: both decide
    verdicts, and those are compared as such.
    """
    if any(getattr(reference, name) != getattr(row, name) for name in _EXACT):
        return Agreement.DIFFERENT
    numbers = (*_NUMBERS, "p_holm", "floor_name")
    if all(getattr(reference, name) == getattr(row, name) for name in numbers):
        return Agreement.EQUAL
    kind = kind_of(reference)
    if kind in (Kind.UNSTABLE, Kind.MEASURED) or Kind.UNSTABLE is kind_of(row):
        return Agreement.NOT_COMPARED
    if kind is Kind.COUNT:
        return Agreement.DIFFERENT
    if kind is Kind.NETWORK:
        spread = (
            reference.spread or row.spread
        )  # seeds that all agree don't say how far they may go
        if reference.spread is None or spread is None or reference.metric in OF_LENGTH:
            return Agreement.NOT_COMPARED
        near = _near_network(reference, row, spread)
    elif reference.metric in BINNED and None not in (reference.value, row.value):
        near = abs(reference.value - row.value) <= TIPPED
    else:
        same = reference.floor_name == row.floor_name
        near = same and all(_close(reference, row, name) for name in _NUMBERS)
    return Agreement.WITHIN if near else Agreement.DIFFERENT


def _close(reference: Record, row: Record, name: str) -> bool:
    was, now = getattr(reference, name), getattr(row, name)
    if was is None or now is None:
        return was is now
    if name in _ENDS:
        far = max(abs(getattr(reference, end) or 0.0) for end in _ENDS)
        return abs(was - now) <= _DERIVED * far + ABSOLUTE
    relative = _DERIVED if name in _OF_TEST else RELATIVE
    return math.isclose(was, now, rel_tol=relative, abs_tol=ABSOLUTE)


def _near_network(reference: Record, row: Record, spread: float) -> bool:
    """Return whether a network's numbers lie where its seeds put them, baselines as they were."""
    size = max(abs(reference.value or 0.0), abs(reference.floor or 0.0))
    seeds = N_SPREADS * spread * math.sqrt(SEEDS / reference.n_seeds)
    allowed = seeds + LEAST_SHARE * size
    both = None not in (reference.value, row.value)
    moved = not both or abs(reference.value - row.value) <= allowed
    return moved and all(_close(reference, row, name) for name in ("floor", "ceiling"))
