"""How numbers of rows read in a sentence."""

from collections.abc import Sequence

from xperience.evaluation.records import Record
from xperience.report.record_rows import words
from xperience.text import as_markdown

UNKNOWN = "–"
_MM = 1000
_MOST_DECIMALS = 7
_NAMES = {
    "macro_f1": "macro-F1",
    "micro_f1": "micro-F1",
    "f1": "F1",
    "mrr": "mean reciprocal rank",
    "mpjpe": "mean joint error",
    "r2": "R²",
    "n_frames": "frames",
    "n_windows": "windows",
    "feature_dim": "features",
    "n_blocks_missing": "blocks missing",
    "figures_differs": "figures that differ",
    "within_action_auc": "share of other windows of the action that rank lower",
}


def readable(name: str | None) -> str:
    """Return the name of a metric, task, head or baseline for readers.

    >>> readable("macro_f1"), readable("zero_velocity")
    ('macro-F1', 'zero velocity')
    """
    return _NAMES.get(name or "", words(name))


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
