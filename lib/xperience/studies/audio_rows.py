"""The tidy rows of the audio study: scores of variants, gains between them, and their means."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from xperience.scoring import metrics as scoring
from xperience.scoring.catalogue import MIXED
from xperience.scoring.records import Record
from xperience.studies.audio_effects import Effect, adjusted, claims, effect_between
from xperience.studies.audio_variants import AS_IS, REPLACED, WITHOUT
from xperience.studies.problem import Outcome
from xperience.studies.rows import Labels, interval_fields
from xperience.studies.scores import Contestant, ceiling, contestant, floors, strongest
from xperience.tasks.measures import Measure

SECTION = "audio"
COMPARED = ((AS_IS, WITHOUT), (REPLACED, AS_IS))
"""(variant, against): what the sound of the windows table gains, and what another account does."""

NET_WINS, MIXED_MEAN, P_HOLM = "net_wins", "mean_gain_mixed_units", "gain_p_holm"


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


def contests(outcomes: Iterable[Outcome]) -> dict[str, Contest]:
    """Return a study's outcomes by task."""
    by_task: dict[str, dict[str, Outcome]] = {}
    for one in outcomes:
        by_task.setdefault(one.task.name, {})[one.task.variant] = one
    return {name: Contest(found) for name, found in by_task.items()}


def variant_rows(
    outcomes: Iterable[Outcome], run: str, contract: str = "published"
) -> list[Record]:
    """Return the primary score of every task and variant, a row each.

    Parameters
    ----------
    outcomes : iterable of Outcome
        From `xperience.studies.audio.run_audio`.
    run : str
        Name of the run.
    contract : str

    Returns
    -------
    list of Record
        With interval, best floor and skill; where there is no score, with the reason.
    """
    labels = Labels(run, SECTION, contract)
    return [
        _score_row(one, contest, contest.primary, labels)
        for contest in contests(outcomes).values()
        for one in contest.outcomes.values()
    ]


def detail_rows(outcomes: Iterable[Outcome], run: str, contract: str = "published") -> list[Record]:
    """Return what stands behind the primary scores.

    Parameters
    ----------
    outcomes : iterable of Outcome
        All variants in `COMPARED` of each task.
    run, contract : str

    Returns
    -------
    list of Record
        The other measures and the number of features of each variant; then for each pair of
        `COMPARED` and each task the gain in the primary measure (``<measure>_gain``, above 0 is
        better), net wins, and Holm's p-value over the tasks; then over the tasks the number of
        gains that may be claimed, and mean net wins. Under `published` also the two figures of the
        note: the number of gains above 0, whatever their size, and ``mean_gain_mixed_units``, which
        adds F1, MRR and errors and is comparable with nothing else.
    """
    labels, found = Labels(run, SECTION, contract), contests(outcomes)
    rows: list[Record] = []
    for contest in found.values():
        for one in contest.outcomes.values():
            rows += _other_rows(one, contest, labels)
    for pair in COMPARED:
        rows += _comparison(found, pair, labels)
    return rows


def _base(one: Outcome, labels: Labels, measure: Measure) -> dict[str, Any]:
    metric = measure.metric
    return labels.of(one.task, one.head, one.problem) | {
        "variant": one.task.variant,
        "metric": measure.name,
        "unit": metric.unit,
        "higher_is_better": metric.higher_is_better,
    }


def _score_row(one: Outcome, contest: Contest, measure: Measure, labels: Labels) -> Record:
    base = _base(one, labels, measure)
    if not one.answers:
        return Record(**base, status=one.status, reason=one.reason)
    mine = contest.contestants[one.task.variant]
    said = mine.score(measure)
    if said.value is None:
        return Record(**base, status=said.status, reason=said.reason)
    base |= {"value": said.value, "reason": "; ".join(one.problem.notes) or None}
    base |= {"spread": mine.spread(measure), "ceiling": ceiling(one.problem, measure)}
    floor, name = strongest(measure, contest.floors)
    if floor is not None:
        skill = scoring.skill(measure.metric, said, floor).value
        base |= {"floor": floor.value, "floor_name": name, "skill": skill}
    return Record(**base, **interval_fields(mine.interval(measure)))


def _other_rows(one: Outcome, contest: Contest, labels: Labels) -> Iterator[Record]:
    for measure in one.task.measures[1:]:
        yield _score_row(one, contest, measure, labels)
    if one.answers:
        base = _base(one, labels, contest.primary)
        base |= {"metric": "feature_dim", "unit": "feature", "higher_is_better": None}
        yield Record(**base, value=one.task.n_features)


def _comparison(
    found: dict[str, Contest], pair: tuple[str, str], labels: Labels
) -> Iterator[Record]:
    effects = {name: contest.effect(*pair) for name, contest in found.items()}
    known = [name for name, one in effects.items() if one is not None]
    p_values = dict(zip(known, adjusted([effects[name].p for name in known]), strict=True))
    for name, contest in found.items():
        base = _base(contest.outcomes[pair[0]], labels, contest.primary) | {"against": pair[1]}
        if effects[name] is None:
            lost = contest.missing(pair)
            yield Record(**base | _gain(contest), status=lost.status, reason=lost.reason)
        else:
            yield from _effect_rows(effects[name], p_values[name], contest, base)
    yield from _means(found, effects, pair, labels)


def _gain(contest: Contest) -> dict[str, Any]:
    return {"metric": f"{contest.primary.name}_gain", "higher_is_better": True}


def _effect_rows(
    one: Effect, p_holm: float | None, contest: Contest, base: dict[str, Any]
) -> Iterator[Record]:
    plain = base | {"unit": "1", "higher_is_better": True}
    yield Record(**base | _gain(contest), value=one.gain.estimate, **interval_fields(one.gain))
    yield Record(
        **plain | {"metric": NET_WINS}, value=one.net_wins.estimate, **interval_fields(one.net_wins)
    )
    named = plain | {"metric": P_HOLM, "higher_is_better": None}
    if p_holm is None:
        why = f"the gain has no interval: {one.gain.reason}"
        yield Record(**named, status="degenerate", reason=why)
    else:
        yield Record(**named, value=p_holm)


def _means(
    found: dict[str, Contest],
    effects: dict[str, Effect | None],
    pair: tuple[str, str],
    labels: Labels,
) -> Iterator[Record]:
    """Yield what sums tasks up; nothing if a task is missing, for that would sum up others."""
    base = {"run": labels.run, "section": labels.section, "contract": labels.contract}
    base |= {"head": next(iter(found.values())).outcomes[pair[0]].head, "higher_is_better": True}
    base |= {"variant": pair[0], "against": pair[1]}
    lost = [name for name, one in effects.items() if one is None]
    why = f"{len(lost)} of {len(effects)} tasks cannot be compared: {', '.join(lost)}"
    known = [one for one in effects.values() if one is not None]
    for metric, unit, of in _SUMMARIES:
        if metric in _PUBLISHED_ONLY and labels.contract != "published":
            continue
        said = {"status": "skipped", "reason": why} if lost else {"value": float(of(known))}
        yield Record(**base, metric=metric, unit=unit, **said)


def _claimed(effects: Sequence[Effect]) -> int:
    """Return how many tasks the variant may be claimed to gain in."""
    return sum(
        claim and one.gain.estimate > 0 for claim, one in zip(claims(effects), effects, strict=True)
    )


_PUBLISHED_ONLY = (MIXED_MEAN, "tasks_with_gain")
_SUMMARIES: tuple[tuple[str, str, Callable[[Sequence[Effect]], float]], ...] = (
    (MIXED_MEAN, MIXED, lambda effects: np.mean([one.gain.estimate for one in effects])),
    ("tasks_with_gain", "task", lambda effects: sum(one.gain.estimate > 0 for one in effects)),
    ("tasks_with_claimed_gain", "task", _claimed),
    (f"mean_{NET_WINS}", "1", lambda effects: np.mean([one.net_wins.estimate for one in effects])),
)


def study_rows(outcomes: Sequence[Outcome], run: str, contract: str = "published") -> list[Record]:
    """Return `variant_rows`, then `detail_rows`."""
    return variant_rows(outcomes, run, contract) + detail_rows(outcomes, run, contract)
