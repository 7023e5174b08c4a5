"""The tidy rows of the audio study: scores of variants, gains between them, and their means."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from xperience.evaluation import metrics as scoring
from xperience.evaluation.catalogue import MIXED
from xperience.evaluation.records import Record
from xperience.studies.audio.looks import COMPARED, Contest, Finding, Heard, Look, contests
from xperience.studies.problem import Outcome
from xperience.studies.rows import Labels, interval_fields
from xperience.studies.scores import ceiling, strongest
from xperience.tasks.measures import Measure

__all__ = ["COMPARED", "MIXED_MEAN", "NET_WINS", "contests", "heard_rows", "variant_rows"]

SECTION = "audio"
NET_WINS, MIXED_MEAN, P_HOLM = "net_wins", "mean_gain_mixed_units", "gain_p_holm"


def variant_rows(
    outcomes: Iterable[Outcome], run: str, contract: str = "published"
) -> list[Record]:
    """Return the primary score of every task and variant, a row each.

    Parameters
    ----------
    outcomes : iterable of Outcome
        From `xperience.studies.audio.study.run_audio`.
    run : str
        Name of the run.
    contract : str

    Returns
    -------
    list of Record
        With interval, best floor and skill; where there is no score, with the reason.
    """
    return _variant_rows(contests(outcomes).values(), Labels(run, SECTION, contract))


def _variant_rows(found: Iterable[Contest], labels: Labels) -> list[Record]:
    return [
        _score_row(one, contest, contest.primary, labels)
        for contest in found
        for one in contest.outcomes.values()
    ]


def heard_rows(study: Heard, run: str, section: str = SECTION) -> list[Record]:
    """Return all rows of a study under one contract.

    Parameters
    ----------
    study : Heard
    run : str
        Name of the run.
    section : str
        Notebook or command that scores.

    Returns
    -------
    list of Record
        The primary score of every task and variant (see `variant_rows`); the other measures and
        the number of features of each variant; then for each question and each task the gain in
        the primary measure (``<measure>_gain``, above 0 is better), net wins, and Holm's p-value
        over the tasks; then over the tasks the number of gains that may be claimed, and mean net
        wins. Under `published` also the two figures of the note: the number of gains above 0,
        whatever their size, and ``mean_gain_mixed_units``, which adds F1, MRR and errors and is
        comparable with nothing else.
    """
    labels = Labels(run, section, study.contract)
    rows = _variant_rows(study.contests.values(), labels)
    for contest in study.contests.values():
        for one in contest.outcomes.values():
            rows += _other_rows(one, contest, labels)
    for pair, looks in study.looks.items():
        rows += _comparison(list(looks.values()), pair, labels)
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


def _comparison(looks: Sequence[Look], pair: tuple[str, str], labels: Labels) -> Iterator[Record]:
    for look in looks:
        base = _base(look.contest.outcomes[pair[0]], labels, look.contest.primary)
        base |= {"against": pair[1]}
        if look.effect is None:
            lost = look.contest.missing(pair)
            yield Record(**base | _gain(look.contest), status=lost.status, reason=lost.reason)
        else:
            yield from _effect_rows(look, base)
    yield from _means(looks, pair, labels)


def _gain(contest: Contest) -> dict[str, Any]:
    return {"metric": f"{contest.primary.name}_gain", "higher_is_better": True}


def _effect_rows(look: Look, base: dict[str, Any]) -> Iterator[Record]:
    gain, net_wins = look.effect.gain, look.effect.net_wins
    plain = base | {"unit": "1", "higher_is_better": True}
    yield Record(**base | _gain(look.contest), value=gain.estimate, **interval_fields(gain))
    yield Record(
        **plain | {"metric": NET_WINS}, value=net_wins.estimate, **interval_fields(net_wins)
    )
    named = plain | {"metric": P_HOLM, "higher_is_better": None}
    if look.p_holm is None:
        why = f"the gain has no interval: {gain.reason}"
        yield Record(**named, status="degenerate", reason=why)
    else:
        yield Record(**named, value=look.p_holm)


def _means(looks: Sequence[Look], pair: tuple[str, str], labels: Labels) -> Iterator[Record]:
    """Yield what sums tasks up; nothing if a task is missing, for that would sum up others."""
    base = {"run": labels.run, "section": labels.section, "contract": labels.contract}
    base |= {"head": looks[0].contest.outcomes[pair[0]].head, "higher_is_better": True}
    base |= {"variant": pair[0], "against": pair[1]}
    lost = [look.contest.outcomes[pair[0]].task.name for look in looks if look.effect is None]
    why = f"{len(lost)} of {len(looks)} tasks cannot be compared: {', '.join(lost)}"
    for metric, unit, of in _SUMMARIES:
        if metric in _PUBLISHED_ONLY and labels.contract != "published":
            continue
        said = {"status": "skipped", "reason": why} if lost else {"value": float(of(looks))}
        yield Record(**base, metric=metric, unit=unit, **said)


def _claimed(looks: Sequence[Look]) -> int:
    """Return how many tasks the variant may be claimed to gain in."""
    return sum(look.finding is Finding.BETTER for look in looks)


def _mean_gain(looks: Sequence[Look]) -> float:
    return float(np.mean([look.effect.gain.estimate for look in looks]))


def _mean_net_wins(looks: Sequence[Look]) -> float:
    return float(np.mean([look.effect.net_wins.estimate for look in looks]))


_PUBLISHED_ONLY = (MIXED_MEAN, "tasks_with_gain")
_SUMMARIES: tuple[tuple[str, str, Callable[[Sequence[Look]], float]], ...] = (
    (MIXED_MEAN, MIXED, _mean_gain),
    ("tasks_with_gain", "task", lambda looks: sum(one.effect.gain.estimate > 0 for one in looks)),
    ("tasks_with_claimed_gain", "task", _claimed),
    (f"mean_{NET_WINS}", "1", _mean_net_wins),
)


def study_rows(outcomes: Iterable[Outcome], run: str, contract: str = "published") -> list[Record]:
    """Return `heard_rows` of a study's outcomes."""
    return heard_rows(Heard.of(outcomes, contract), run)
