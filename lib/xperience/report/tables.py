"""How rows are found, judged and written for readers: one finder, one verdict, one formatter."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum

import pandas as pd

from xperience.evaluation.records import ALPHA, Record
from xperience.report.quantities import counted
from xperience.text import as_markdown

UNKNOWN = "–"
MIXED = "mixed"
"""Unit of numbers that add up scores of different units: nothing follows from them."""
_MM = 1000
_MOST_DECIMALS = 7
_NAMES = {
    "macro_f1": "macro-F1",
    "micro_f1": "micro-F1",
    "f1": "F1",
    "auroc": "AUROC",
    "mrr": "mean reciprocal rank",
    "mae": "mean absolute error",
    "cross_modal_retrieval": "cross-modal retrieval",
    "mpjpe": "mean joint error",
    "r2": "R²",
    "qwen3_omni": "Qwen3-Omni",
    "all_feature_action": "action, local split",
    "n_frames": "frames",
    "n_windows": "windows",
    "feature_dim": "features",
    "n_blocks_missing": "blocks missing",
    "figures_differs": "figures that differ",
    "within_action_auc": "share of other windows of the action that rank lower",
    "across_action_auc": "share of windows of other actions that rank lower",
    "tasks_with_claimed_gain": "tasks with a significant gain",
    "gyro_rotation": "gyroscope – SLAM rotation",
    "flow_camera": "picture motion – SLAM motion",
    "sound_body": "sound – body motion",
    "container_device": "video clock – device clock",
}


class Verdict(StrEnum):
    """What a paired difference, or the interval of a score against a bound, allows to be said."""

    BETTER = "better"
    WORSE = "worse"
    NO_DIFFERENCE = "no significant difference"
    NOT_TESTED = "not tested"


def verdict(row: Record | None) -> tuple[Verdict, str]:
    """Return what a paired difference says of its head, and why it wasn't tested if it wasn't.

    Better and worse need a p of at most 5 % after Holm's correction for the family of tasks (the
    bare p, or a 95 % interval that excludes 0, where there is no family), and a metric that has a
    direction. Where seeds of a network disagree there is no significant difference. A row that
    rests on too few seeds, or hangs on rounding, is not tested: see `Record.no_verdict`.
    """
    if why := _untested(row):
        return Verdict.NOT_TESTED, why
    if row.no_verdict:
        return Verdict.NO_DIFFERENCE, row.no_verdict
    p = row.p if row.p_holm is None else row.p_holm
    if row.ci_low <= 0 <= row.ci_high if p is None else p > ALPHA:
        return Verdict.NO_DIFFERENCE, ""
    above = row.value > 0
    return (Verdict.BETTER if above == row.higher_is_better else Verdict.WORSE), ""


def verdicts(rows: Iterable[Record | None]) -> dict[Verdict, int]:
    """Return how many differences have each verdict."""
    found = [verdict(row)[0] for row in rows]
    return {one: found.count(one) for one in Verdict}


def any_tested(counts: Mapping[Verdict, int]) -> bool:
    """Return whether anything can be said of some of the differences that were counted."""
    return sum(counts.values()) > counts[Verdict.NOT_TESTED]


def of_tested(counts: Mapping[Verdict, int], noun: str = "task") -> str:
    """Return how many differences were tested and, if there are any, how many were not.

    >>> of_tested({Verdict.BETTER: 1, Verdict.NO_DIFFERENCE: 2, Verdict.NOT_TESTED: 1})
    '3 tested tasks (1 not tested)'
    """
    lost = counts[Verdict.NOT_TESTED]
    text = counted(sum(counts.values()) - lost, f"tested {noun}")
    return f"{text} ({lost:,} not tested)" if lost else text


def _untested(row: Record | None) -> str:
    """Return why nothing can be said of a difference, or nothing."""
    if row is None:
        return "there is no such row"
    if row.value is not None and row.unit == MIXED:
        return "its mean adds up scores of different units"
    if row.value is not None and not row.tells:
        return row.no_verdict
    if row.value is None or (row.p is None and row.ci_low is None):
        return reason_of(row)
    if row.higher_is_better is None:
        return f"{readable(row.metric)} has no better direction"
    holds = row.ci_low is None or row.ci_low <= row.value <= row.ci_high
    return "" if holds else "its interval does not hold its value"


def moved(row: Record, change: Callable[[float], float]) -> Record:
    """Return a row with its value and interval moved or turned round; what p told is lost."""
    names = ("value", "ci_low", "ci_high")
    found = {n: None if getattr(row, n) is None else change(getattr(row, n)) for n in names}
    if None not in found.values():
        found["ci_low"], found["ci_high"] = sorted((found["ci_low"], found["ci_high"]))
    return row.model_copy(update=found | {"p": None, "p_holm": None})


def minus(row: Record, bound: float) -> Record:
    """Return a score as its difference from a bound that has no uncertainty of its own."""
    return moved(row, lambda value: value - bound)


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

        ``variant`` and ``against`` are None unless given.
        """
        wanted = {"variant": None, "against": None} | wanted
        return [
            row
            for row in self._rows
            if all(getattr(row, key) == one for key, one in wanted.items())
        ]

    def one(self, **wanted: object) -> Record | None:
        """Return the first such row, the mean over seeds before one seed's, or None."""
        found = sorted(self.all(**wanted), key=lambda row: row.seed is not None)
        return next(iter(found), None)

    def scored(self, **wanted: object) -> Record | None:
        """Return the first such row that has a value, or None."""
        return next((row for row in self.all(**wanted) if row.value is not None), None)


def readable(name: str | None) -> str:
    """Return the name of a metric, task, head or baseline for readers.

    >>> readable("macro_f1"), readable("zero_velocity")
    ('macro-F1', 'zero velocity')
    """
    return _NAMES.get(name or "", (name or "").replace("_", " "))


def capital(text: str) -> str:
    """Return a text that begins a sentence."""
    return text[:1].upper() + text[1:]


def number(value: float | None, unit: str = "1") -> str:
    """Return a number with its unit for readers; metres as millimetres.

    >>> number(0.1234, "m"), number(1161, "windows"), number(0.98765)
    ('123.4 mm', '1,161', '0.988')
    """
    if value is None:
        return UNKNOWN
    if unit == "m":
        return f"{_written(_MM * value, 1)} mm"
    if float(value).is_integer() and unit != "1":
        return f"{value:,.0f}"
    return _written(value, 3) if abs(value) < 100 else f"{value:,.1f}"


def signed(value: float | None, unit: str = "1") -> str:
    """Return a difference with its sign and unit.

    >>> signed(-0.0041, "m"), signed(0.25), signed(0.00004)
    ('-4.1 mm', '+0.250', '+0.00004')
    """
    if value is None:
        return UNKNOWN
    return f"{_written(_MM * value, 1, '+')} mm" if unit == "m" else _written(value, 3, "+")


def _written(value: float, decimals: int, sign: str = "") -> str:
    """Return a number that reads as zero only if it is: an end just off zero stays off it."""
    if value == 0:
        return f"{0.0:{sign}.{decimals}f}"
    while round(value, decimals) == 0 and decimals < _MOST_DECIMALS:
        decimals += 1
    return f"{value:{sign}.{decimals}f}" if round(value, decimals) else f"{value:{sign}.0e}"


def share(value: float | None, *bounds: float) -> str:
    """Return a share in percent, on the right side of every bound that it is not at.

    >>> share(0.8349, 0.5), share(0.502, 0.5), share(0.9996), share(1.0)
    ('83 %', '50.2 %', '99.96 %', '100 %')
    """
    if value is None:
        return UNKNOWN
    for decimals in range(_MOST_DECIMALS):
        shown = round(100 * value, decimals)
        if all(shown != 100 * bound for bound in {0.0, 1.0, *bounds} - {value}):
            break
    return f"{shown:.{decimals}f} %"


def ends(row: Record | None, *, with_sign: bool = True) -> str:
    """Return an interval in brackets, in the row's unit, or an empty text."""
    if row is None or row.ci_low is None or row.ci_high is None:
        return ""
    shown = signed if with_sign else number
    return f"[{shown(row.ci_low, row.unit)}, {shown(row.ci_high, row.unit)}]"


def score(row: Record | None) -> str:
    """Return a row's value with spread over seeds and interval, or its status and reason.

    One that hangs on rounding is marked.
    """
    if row is None:
        return UNKNOWN
    if row.value is None:
        return f"{row.status}: {row.reason}"
    spread = "" if row.spread is None else f" ± {number(row.spread, row.unit)}"
    text = f"{number(row.value, row.unit)}{spread} {ends(row, with_sign=False)}".rstrip()
    return f"{text} ({told})" if "unstable" in (told := lacks_verdict(row)) else text


def lacks_verdict(row: Record) -> str:
    """Return in few words why nothing follows from a row, or nothing.

    Such as "unstable", "seeds disagree", "1 seed; 5 needed".
    """
    return (row.no_verdict or "").partition(":")[0]


def described(rows: Iterable[Record]) -> str:
    """Return rows as sentences, for readers who can't see the figure of them."""
    parts = []
    for row in rows:
        of = filter(None, (row.contract, row.variant, readable(row.metric)))
        parts.append(f"{capital(readable(row.task))}, {', '.join(of)}: {score(row)}.")
    return " ".join(parts)


def floor(row: Record | None) -> str:
    """Return the best trivial baseline that stands beside a score: its own score and name."""
    if row is None or row.floor is None:
        return UNKNOWN
    return f"{number(row.floor, row.unit)} ({readable(row.floor_name)})"


def rows_table(rows: Iterable[Record]) -> pd.DataFrame:
    """Return one line per row for readers: what it is of, its value, interval and floor, or why."""
    columns = ["task", "metric", "contract", "value", "95 % interval", "best floor"]
    found = [
        (
            readable(row.task),
            " ".join(filter(None, (readable(row.metric), row.variant))),
            row.contract,
            score(row) if row.value is None else number(row.value, row.unit),
            ends(row, with_sign=False) or (row.ci_reason or "").partition(":")[0].replace("_", " "),
            floor(row) if row.floor is not None else "",
        )
        for row in rows
    ]
    return pd.DataFrame(found, columns=columns).set_index(columns[:3])


def difference(row: Record | None) -> str:
    """Return a paired difference with its sign and interval, and what it allows to be said."""
    if row is None or row.value is None:
        return UNKNOWN
    found, why = verdict(row)
    shown = f"{signed(row.value, row.unit)} {ends(row)}".rstrip()
    return f"{shown}, {found}{f' ({why})' if why else ''}"


def times(value: float | None, other: float | None) -> float | None:
    """Return how many times as large a score is as another, if both are above zero."""
    if value is None or other is None or value <= 0 or other <= 0:
        return None
    return value / other


def listed(names: Sequence[str]) -> str:
    """Return names as a text.

    >>> listed(["a", "b", "c"]), listed([])
    ('a, b and c', 'none')
    """
    if len(names) < 2:
        return names[0] if names else "none"
    return f"{', '.join(names[:-1])} and {names[-1]}"


def reason_of(row: Record) -> str:
    """Return why a row has no value, or no interval, in Markdown without the machinery's words."""
    if row.value is None:
        return f"{row.status}, {as_markdown(row.reason or '')}"
    if not row.ci_reason:
        return "no interval was given"
    kind, _, detail = row.ci_reason.partition(": ")
    return f"no interval, {as_markdown(detail or readable(kind))}"
