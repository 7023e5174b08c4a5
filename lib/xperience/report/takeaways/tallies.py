"""One comparison on every task, counted: what most tasks say, or that too few say anything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from xperience.evaluation.records import Record
from xperience.report.quantities import counted
from xperience.report.tables import listed, readable
from xperience.report.takeaways.agreement import divided
from xperience.report.takeaways.evidence import Ask, Evidence, Found, Place
from xperience.report.takeaways.outcome import (
    ALL_OUTCOMES,
    ALPHA,
    HALF,
    NEITHER,
    NO,
    OPEN,
    YES,
    Judgement,
    Outcome,
    direction,
)


@dataclass(frozen=True)
class Tally:
    """One comparison on every task, counted; a task that lacks it counts as asked and untold.

    Parameters
    ----------
    asks : tuple of Ask
        The paired differences, one a task.
    guard : str, optional
        Metric that holds each look's p, corrected for the number of looks.
    otherwise : tuple of Ask
        What is asked if none of ``asks`` is there: the same comparison on less.
    """

    asks: tuple[Ask, ...]
    guard: str | None = None
    otherwise: tuple[Ask, ...] = ()

    outcomes = ALL_OUTCOMES

    @property
    def sections(self) -> frozenset[str]:
        """The metric files that it looks at."""
        return frozenset(ask.section for ask in (*self.asks, *self.otherwise))

    def judge(self, evidence: Evidence, place: Place) -> Judgement:
        """Return what most tasks say.

        Supported if the head is better on more than half of the tasks asked and worse on none,
        contradicted the other way round. Can't tell if tasks without a verdict could still bring
        either about; otherwise not supported.
        """
        count = _Count()
        for ask, found in self._found(evidence, place):
            side, why = self._side(evidence, place, ask, found)
            count.add(ask, found.row, side, why)
        outcome = count.outcome()
        why = count.why() if outcome is OPEN else ""
        return Judgement(outcome, tuple(count.rows), count.words(), why)

    def _found(self, evidence: Evidence, place: Place) -> list[tuple[Ask, Found]]:
        """Return what was found of the asks, or of the others if their heads were never scored."""
        scored = any(evidence.has_score(place, ask) for ask in self.asks)
        asks = self.asks if scored or not self.otherwise else self.otherwise
        return [(ask, evidence.find(place, ask)) for ask in asks]

    def _side(self, evidence: Evidence, place: Place, ask: Ask, found: Found) -> tuple[str, str]:
        if found.row is None:
            return "untold", found.why
        side, why = direction(found.row)
        if side not in ("better", "worse"):
            return side, why
        if self.guard:
            p = evidence.find(place, replace(ask, metric=self.guard)).row
            if p is None or p.value is None:
                return "untold", "its chance among so many looks is not known"
            side = side if p.value <= ALPHA else "open"
        why = divided(evidence, place, found.row)
        return ("untold", why) if why else (side, "")


@dataclass
class _Count:
    """Tasks by what their comparison says."""

    rows: list[Record] = field(default_factory=list)
    sides: dict[str, list[str]] = field(
        default_factory=lambda: {"better": [], "worse": [], "open": [], "untold": []}
    )
    reasons: dict[str, None] = field(default_factory=dict)
    n_asked: int = 0

    def add(self, ask: Ask, row: Record | None, side: str, why: str) -> None:
        """Count a task."""
        self.n_asked += 1
        self.sides[side].append(readable(ask.task))
        self.rows += [row] if row is not None else []
        if side == "untold":
            self.reasons[why] = None

    def outcome(self) -> Outcome:
        """Return what most tasks say."""
        better, worse, untold = (len(self.sides[name]) for name in ("better", "worse", "untold"))
        most = HALF * self.n_asked
        if better > most and not worse:
            return YES
        if worse > most and not better:
            return NO
        still_yes = not worse and better + untold > most
        still_no = not better and worse + untold > most
        return OPEN if still_yes or still_no else NEITHER

    def why(self) -> str:
        """Return what keeps tasks from being told."""
        reasons = _first_few(list(self.reasons))
        told = self.n_asked - len(self.sides["untold"])
        if not told:
            return reasons
        lacking = counted(len(self.sides["untold"]), "task")
        return f"{lacking} without a verdict could decide it ({reasons})"

    def words(self) -> dict[str, str]:
        """Return what sentences are filled with."""
        words = {
            name: f"{len(tasks)} of {self.n_asked} tasks ({listed(tasks)})" if tasks else "no task"
            for name, tasks in self.sides.items()
        }
        numbers = {f"n_{name}": f"{len(tasks)}" for name, tasks in self.sides.items()}
        both = bool(self.sides["better"] and self.sides["worse"])
        words["case"] = "Tasks disagree" if both else "Too few tasks show it"
        return words | numbers | {"figures": self._figures(numbers), "seen": self._seen(words)}

    def _figures(self, numbers: Mapping[str, str]) -> str:
        if self.n_asked == 1:
            return ""
        names = ("better", "worse", "open", "untold")
        called = ("better", "worse", "not told apart", "without a verdict")
        shown = [f"{numbers[f'n_{n}']} {c}" for n, c in zip(names, called, strict=True)]
        return f"{', '.join(shown)} of {self.n_asked} tasks"

    def _seen(self, words: Mapping[str, str]) -> str:
        if len(self.sides["untold"]) == self.n_asked:
            return ""
        return f" (better on {words['better']}, worse on {words['worse']})"


def _first_few(reasons: Sequence[str], n_shown: int = 2) -> str:
    rest = len(reasons) - n_shown
    more = [f"and {rest} more such reason{'s' if rest > 1 else ''}"] if rest > 0 else []
    return "; ".join([*reasons[:n_shown], *more])
