"""The audio study's looks: whether one variant is better than another, task by task, for sure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from xperience.evaluation.uncertainty import Verdict
from xperience.studies.audio.effects import Effect, adjusted, claims, effect_between
from xperience.studies.audio.variants import AS_IS, REPLACED, WITHOUT
from xperience.studies.problem import Outcome
from xperience.studies.scores import Contestant, contestant, floors, strongest
from xperience.tasks.measures import Measure

COMPARED = ((AS_IS, WITHOUT), (REPLACED, AS_IS))
"""(variant, against): what the sound of the windows table gains, and what another account does."""


class Finding(StrEnum):
    """What a look at a task shows."""

    BETTER = "better"
    WORSE = "worse"
    OPEN = "not shown"
    FEW = "too few blocks"
    SAME = "no difference"
    UNDEFINED = "undefined"
    NOT_ASKED = "not asked"


_WITHOUT_INTERVAL = {
    Verdict.TOO_FEW_BLOCKS: Finding.FEW,
    Verdict.NO_VARIATION: Finding.SAME,
    Verdict.UNDEFINED: Finding.UNDEFINED,
}


@dataclass(frozen=True)
class Contest:
    """One task's variants, all answers to the same samples.

    Parameters
    ----------
    outcomes : dict of {variant: Outcome}
    """

    outcomes: dict[str, Outcome]

    @cached_property
    def contestants(self) -> dict[str, Contestant]:
        """Those variants that have an answer."""
        return {
            variant: contestant(variant, one.problem, one.answers)
            for variant, one in self.outcomes.items()
            if one.answers
        }

    @cached_property
    def floors(self) -> dict[str, Contestant]:
        """Trivial baselines: the same for all variants, whose targets are the same."""
        first = next((one.problem for one in self.outcomes.values() if one.answers), None)
        return {} if first is None else floors(first)

    @property
    def primary(self) -> Measure:
        """The measure that the task is judged by."""
        return next(iter(self.outcomes.values())).task.primary

    def missing(self, variants: Iterable[str]) -> Outcome | None:
        """Return the first of some variants that has no answer."""
        found = (self.outcomes[variant] for variant in variants)
        return next((one for one in found if not one.answers), None)

    def effect(self, variant: str, against: str) -> Effect | None:
        """Return how much better a variant is than another; None if either has no answer."""
        if self.missing((variant, against)):
            return None
        sides = (self.contestants[name] for name in (variant, against))
        return effect_between(*sides, self.primary)

    def above_floor(self, variant: str) -> bool | None:
        """Return whether a variant scores better than every trivial baseline; None if unknown."""
        floor, _ = strongest(self.primary, self.floors)
        if variant not in self.contestants or floor is None:
            return None
        said = self.contestants[variant].score(self.primary)
        if said.value is None:
            return None
        lead = said.value - floor.value
        return lead > 0 if self.primary.metric.higher_is_better else lead < 0


def contests(outcomes: Iterable[Outcome]) -> dict[str, Contest]:
    """Return a study's outcomes by task."""
    by_task: dict[str, dict[str, Outcome]] = {}
    for one in outcomes:
        by_task.setdefault(one.task.name, {})[one.task.variant] = one
    return {name: Contest(found) for name, found in by_task.items()}


@dataclass(frozen=True)
class Look:
    """One task asked whether a variant is better than another.

    Parameters
    ----------
    contest : Contest
    variant, against : str
    effect : Effect, optional
        None where either has no answer.
    p_holm : float, optional
        Adjusted for all looks of the same question; None where there is no interval.
    claimed : bool
        Whether the difference may be claimed.
    """

    contest: Contest
    variant: str
    against: str
    effect: Effect | None
    p_holm: float | None = None
    claimed: bool = False

    @property
    def finding(self) -> Finding:
        """What may be said of the difference."""
        if self.effect is None:
            return Finding.NOT_ASKED
        gain = self.effect.gain
        if self.claimed:
            return Finding.BETTER if gain.estimate > 0 else Finding.WORSE
        if gain.low is not None:
            return Finding.OPEN
        return _WITHOUT_INTERVAL[gain.verdict]

    @property
    def reason(self) -> str:
        """Why there is no interval, or no answer; empty if there is one."""
        if self.effect is not None:
            return self.effect.gain.reason or ""
        return self.contest.missing((self.variant, self.against)).reason


Looks = dict[str, Look]
"""One question's looks by task."""


@dataclass(frozen=True)
class Heard:
    """The study under one contract.

    Parameters
    ----------
    contract : str
    contests : dict of {task: Contest}
    looks : dict of {(variant, against): dict of {task: Look}}
    """

    contract: str
    contests: Mapping[str, Contest]
    looks: Mapping[tuple[str, str], Looks]

    @classmethod
    def of(
        cls,
        outcomes: Iterable[Outcome],
        contract: str,
        pairs: Sequence[tuple[str, str]] = COMPARED,
    ) -> "Heard":
        """Return a study's outcomes by task, and what the pairs of variants show.

        Parameters
        ----------
        outcomes : iterable of Outcome
            All variants in ``pairs`` of each task.
        contract : {"published", "corrected"}
        pairs : sequence of (variant, against)
            Each is a question of its own: its looks at the tasks are corrected together.
        """
        found = contests(outcomes)
        return cls(contract, found, {pair: _looks(found, pair) for pair in pairs})


def _looks(found: Mapping[str, Contest], pair: tuple[str, str]) -> Looks:
    effects = {name: contest.effect(*pair) for name, contest in found.items()}
    known = {name: one for name, one in effects.items() if one is not None}
    p_values = dict(zip(known, adjusted([one.p for one in known.values()]), strict=True))
    claimed = dict(zip(known, claims(list(known.values())), strict=True))
    return {
        name: Look(contest, *pair, effects[name], p_values.get(name), claimed.get(name, False))
        for name, contest in found.items()
    }
