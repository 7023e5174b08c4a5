"""Predicates of comparison: a head against a rival, a score against a bound."""

from dataclasses import dataclass, replace

from xperience.evaluation.records import Record
from xperience.report.tables import (
    UNKNOWN,
    ends,
    number,
    readable,
    reason_of,
    signed,
    times,
)
from xperience.report.takeaways.agreement import divided, unlike
from xperience.report.takeaways.evidence import FLOOR, HEADS, Ask, Evidence, Found, Place
from xperience.report.takeaways.outcome import (
    ALL_OUTCOMES,
    FAR,
    OF_DIRECTION,
    OPEN,
    TURNED,
    Judgement,
    direction,
    known,
)


@dataclass(frozen=True)
class Compares:
    """A head against a rival on the same samples.

    Parameters
    ----------
    ask : Ask
        The paired difference; `Ask.against` is the rival, or `FLOOR`.
    rival_variant : str, optional
        Variant of the rival's own score.
    turned : bool
        Whether the claim is that the head is worse than its rival.
    """

    ask: Ask
    rival_variant: str | None = None
    turned: bool = False

    outcomes = ALL_OUTCOMES

    @property
    def sections(self) -> frozenset[str]:
        """The metric files that it looks at."""
        return frozenset({self.ask.section})

    def judge(self, evidence: Evidence, place: Place) -> Judgement:
        """Return what the paired difference allows to be said."""
        difference = evidence.find(place, self.ask)
        mine = evidence.find(place, replace(self.ask, against=None))
        rival = self._rival(evidence, place, difference.row)
        words = _compared(mine.row, difference.row, rival.row, turned=self.turned)
        rows = known((mine, difference, rival))
        if difference.row is None:
            return Judgement(OPEN, rows, words, difference.why)
        found, why = direction(difference.row)
        why = why or mine.why or rival.why or unlike(mine.row, difference.row, rival.row)
        why = why or divided(evidence, place, difference.row)
        outcome = OPEN if why else OF_DIRECTION[found]
        return Judgement(TURNED[outcome] if self.turned else outcome, rows, words, why)

    def _rival(self, evidence: Evidence, place: Place, difference: Record | None) -> Found:
        if difference is None:
            return Found(None, "no difference")
        name, metric = difference.against, difference.metric
        own = replace(self.ask, head=name, metric=metric, against=None, variant=self.rival_variant)
        found = evidence.find(place, own)
        if found.row is None and name not in HEADS:
            variant = f"{self.ask.variant}/floor" if self.ask.variant else FLOOR
            tries = (replace(own, variant=one) for one in (FLOOR, variant))
            found = next((f for f in (evidence.find(place, a) for a in tries) if f.row), found)
        return found


def _compared(
    mine: Record | None, gap: Record | None, rival: Record | None, *, turned: bool
) -> dict[str, str]:
    """Return what sentences are filled with; turned, the rival is who is spoken of."""
    unit = next((row.unit for row in (mine, gap, rival) if row is not None), "1")
    metric = next((row.metric for row in (gap, mine) if row is not None), None)
    name = gap.against if gap is not None else None
    if turned:
        mine, rival, gap = rival, mine, None if gap is None else _turned(gap)
    score = mine.value if mine is not None else None
    other = rival.value if rival is not None else None
    ratio = times(score, other)
    far = ratio is not None and not 1 / FAR < ratio < FAR
    both = score is not None and other is not None
    pair = f"{readable(metric)} {number(score, unit)} against {number(other, unit)}"
    return {
        "metric": readable(metric),
        "mine": number(score, unit),
        "other": number(other, unit),
        "seen": f" ({pair})" if both else "",
        "figures": f"{pair}{f', difference {ends(gap)}' * bool(ends(gap))}" if both else "",
        "rival": readable(name),
        "gap": signed(gap.value if gap is not None else None, unit),
        "ends": ends(gap),
        "degree": "far " if far else "",
        "times": UNKNOWN if ratio is None else f"{ratio:.1f}",
    }


def _turned(gap: Record) -> Record:
    """Return a difference the other way round."""
    minus = {name: None if v is None else -v for name, v in _ends_of(gap).items()}
    low, high = minus["ci_high"], minus["ci_low"]
    return gap.model_copy(update=minus | {"ci_low": low, "ci_high": high})


def _ends_of(row: Record) -> dict[str, float | None]:
    return {name: getattr(row, name) for name in ("value", "ci_low", "ci_high")}


@dataclass(frozen=True)
class Clears:
    """A score whose whole interval lies on one side of a bound that has no uncertainty of its own.

    Parameters
    ----------
    ask : Ask
        The score.
    bound : Ask, optional
        A printed number.
    constant : float, optional
        Without a printed number: what the score's own floor must be, and for certain.
    """

    ask: Ask
    bound: Ask | None = None
    constant: float | None = None

    outcomes = ALL_OUTCOMES

    @property
    def sections(self) -> frozenset[str]:
        """The metric files that it looks at."""
        return frozenset({self.ask.section} | ({self.bound.section} if self.bound else set()))

    def judge(self, evidence: Evidence, place: Place) -> Judgement:
        """Return on which side of the bound the score's interval lies."""
        score = evidence.find(place, self.ask)
        bound = evidence.find(place, self.bound) if self.bound else Found(None)
        rows = known((score, bound))
        if score.row is None or (self.bound and bound.row is None):
            return Judgement(OPEN, rows, _cleared(score.row, None), score.why or bound.why)
        value, lacking = self._bound(score.row, bound.row)
        moved = score.row if value is None else _minus(score.row, value)
        found, why = direction(moved)
        why = why or lacking or divided(evidence, place, score.row, moved)
        return Judgement(
            OPEN if why else OF_DIRECTION[found], rows, _cleared(score.row, value), why
        )

    def _bound(self, score: Record, printed: Record | None) -> tuple[float | None, str]:
        """Return what is to be cleared, or why there is nothing."""
        if printed is not None:
            if printed.value is None:
                return None, reason_of(printed)
            same = printed.unit == score.unit
            return (printed.value, "") if same else (None, "the units differ")
        if score.floor is None:
            return None, "there is nothing to clear"
        same = score.floor == self.constant
        return (score.floor, "") if same else (None, "its floor is not the constant expected")


def _minus(row: Record, bound: float) -> Record:
    moved = {name: None if v is None else v - bound for name, v in _ends_of(row).items()}
    return row.model_copy(update=moved)


def _cleared(row: Record | None, bound: float | None) -> dict[str, str]:
    unit, score = ("1", None) if row is None else (row.unit, row.value)
    ratio = times(score, bound)
    far = ratio is not None and not 1 / FAR < ratio < FAR
    metric = readable(row.metric if row is not None else None)
    seen = f"{number(score, unit)} {ends(row, with_sign=False)}".rstrip()
    told = score is not None and bound is not None
    return {
        "metric": metric,
        "figures": f"{metric} {seen} against {number(bound, unit)}" if told else "",
        "mine": number(score, unit),
        "other": number(bound, unit),
        "ends": ends(row, with_sign=False),
        "degree": "far " if far else "",
        "times": UNKNOWN if ratio is None else f"{ratio:.1f}",
    }
