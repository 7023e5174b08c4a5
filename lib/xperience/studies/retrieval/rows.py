"""The tidy rows of the retrieval study, beside those that every task has."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from xperience.evaluation.metrics import metric_named, skill
from xperience.evaluation.records import Record
from xperience.evaluation.resampling import Interval
from xperience.features.table import WindowTable
from xperience.studies.problem import Outcome
from xperience.studies.retrieval.looks import Split, contrast, near, place_and_moment
from xperience.studies.retrieval.reconstruction import GroupScore, Reconstruction, reconstruct
from xperience.studies.retrieval.retrieval import (
    HEAD,
    RECONSTRUCTION,
    RETRIEVALS,
    SOURCES,
    TOLERANCES_FRAMES,
    Ranking,
    Shifted,
    answer,
    shifted,
)
from xperience.studies.rows import Labels, interval_fields, suite_rows

SHIFTED, CEILING = "time_shifted", "equal_targets_ceiling"
"""Variants of rows: pairings shifted in time; the best that equal true vectors allow."""
AUC_CHANCE = 0.5


@dataclass(frozen=True)
class Closely:
    """The retrievals and the reconstruction of a recording under one contract, looked at closely.

    Parameters
    ----------
    contract : str
    fps : float
        Frames per second.
    outcomes : dict of {name: Outcome}
        See `xperience.studies.retrieval.retrieval.answer`.
    rankings : dict of {task: Ranking}
        Of the retrievals that have an answer.
    rebuilt : Reconstruction
    """

    contract: str
    fps: float
    outcomes: Mapping[str, Outcome]
    rankings: Mapping[str, Ranking]
    rebuilt: Reconstruction

    @classmethod
    def of(cls, episode: Path | str, table: WindowTable, contract: str) -> "Closely":
        """Answer the tasks and look at what came of it.

        Parameters
        ----------
        episode : path
        table : WindowTable
            The recording's windows under the contract.
        contract : {"published", "corrected"}
        """
        outcomes = answer(episode, table, contract)
        rankings = {
            name: Ranking.of(outcomes[name]) for name in RETRIEVALS if outcomes[name].answers
        }
        answers = {name: outcomes[name] for name in SOURCES}
        rebuilt = reconstruct(answers, table, contract)
        return cls(contract, table.info.fps, outcomes, rankings, rebuilt)

    @cached_property
    def depths(self) -> dict[str, np.ndarray]:
        """Depths that rank curves are looked at, by task."""
        return {name: depths(len(one)) for name, one in self.rankings.items()}

    @cached_property
    def chances(self) -> dict[str, Shifted | None]:
        """Pairings shifted in time, by task; None where there are too few windows."""
        return {name: shifted(one, self.depths[name]) for name, one in self.rankings.items()}

    @cached_property
    def splits(self) -> dict[str, Split]:
        """What the true candidate beats within its action and across actions, by task."""
        return {name: place_and_moment(one) for name, one in self.rankings.items()}

    def why_not(self, name: str) -> str | None:
        """Return why a task or input has no answer; None if it has one."""
        one = self.outcomes[name]
        return None if one.answers else one.reason or one.status


def depths(n: int) -> np.ndarray:
    """Return the depths from 1 to n that a rank curve is drawn at, evenly spaced on a log scale."""
    return np.unique(np.geomspace(1, max(n, 1), 60).round().astype(int))


def retrieval_rows(study: Closely, run: str, section: str) -> list[Record]:
    """Return the rows of a study: every task's own, then those of the closer look.

    Parameters
    ----------
    study : Closely
    run, section : str
        The run and the notebook's name.

    Returns
    -------
    list of Record
        A retrieval or input without an answer is a skipped row with its reason.
    """
    told = [study.outcomes[name] for name in RETRIEVALS] + [study.outcomes[list(SOURCES)[-1]]]
    rows = suite_rows(told, run, study.contract, section)
    labels = Labels(run, section, study.contract)
    for name, ranking in study.rankings.items():
        base = labels.of(study.outcomes[name].task, HEAD, study.outcomes[name].problem)
        rows += _counts(ranking, base)
        rows += _chance(ranking, study.chances[name], base)
        rows += _near(ranking, base)
        rows += _split(ranking, study.splits[name], base)
        rows += _contrast(ranking, base)
    return rows + list(_rebuilt(study.rebuilt, labels))


def _row(base: dict[str, Any], metric: str, unit: str, value: float | None, **more: Any) -> Record:
    status = "ok" if value is not None else more.pop("status", "skipped")
    return Record(**base, metric=metric, unit=unit, value=value, status=status, **more)


def _counts(ranking: Ranking, base: dict[str, Any]) -> Iterator[Record]:
    yield _row(base, "candidates", "window", len(ranking))
    yield _row(base, "distinct_candidates", "window", ranking.n_distinct)
    limit = {"variant": CEILING, "higher_is_better": True}
    yield _row(base, "mrr", "1", ranking.mrr_ceiling, **limit)


def _chance(ranking: Ranking, chance: Shifted | None, base: dict[str, Any]) -> Iterator[Record]:
    tied = float(ranking.ranks.expected_reciprocal.mean())
    if chance is None:
        why = f"{len(ranking)} test windows: every shift leaves the pair with common frames"
        yield _row(base, "mrr", "1", None, variant=SHIFTED, higher_is_better=True, reason=why)
        return
    mean = float(chance.mrr.mean())
    yield _row(base, "mrr", "1", mean, variant=SHIFTED, higher_is_better=True)
    yield _row(base, "mrr_shift_p", "1", chance.p_value(tied), higher_is_better=False)


def _near(ranking: Ranking, base: dict[str, Any]) -> Iterator[Record]:
    for frames in TOLERANCES_FRAMES:
        found = near(ranking, frames)
        told = base | {"variant": f"within {frames} frames"}
        rank = float(np.median(found.rank))
        floors = {"floor_name": "chance"}
        lower = {"higher_is_better": False, "floor": found.chance_median_rank} | floors
        yield _row(told, "median_rank", "rank", rank, **lower)
        first = ranking.mean(found.first)
        higher = {"higher_is_better": True, "floor": found.chance_first} | floors
        yield _share(told, "top1_accuracy", first, higher)
    rows = np.arange(len(ranking))
    away = float(np.median(ranking.distance_frames[rows, ranking.answers]))
    yield _row(base, "median_answer_distance", "frame", away, higher_is_better=False)


def _share(base: dict[str, Any], metric: str, found: Interval, more: dict[str, Any]) -> Record:
    if found.estimate is None:
        return _row(base, metric, "1", None, reason=found.reason, higher_is_better=True)
    floor = more["floor"]
    gained = (found.estimate - floor) / (1 - floor) if floor < 1 else None
    fields = interval_fields(found) | more | {"skill": gained}
    return _row(base, metric, "1", found.estimate, **fields)


def _split(ranking: Ranking, split: Split, base: dict[str, Any]) -> Iterator[Record]:
    even = {"floor": AUC_CHANCE, "floor_name": "chance", "higher_is_better": True}
    for metric, values in (
        ("within_action_auc", split.within),
        ("across_action_auc", split.across),
    ):
        if not np.isfinite(values).any():
            why = (
                "no two test windows of this kind without common frames"
                if split.names
                else ("no test window has an action")
            )
            yield _row(base, metric, "1", None, reason=why, higher_is_better=True)
            continue
        yield _share(base, metric, ranking.mean(values), even)
        for name in split.names:
            mine = values[np.array([action == name for action in ranking.actions])]
            if np.isfinite(mine).any():
                told = base | {"variant": f"action: {name}", "n_test": len(mine)}
                yield _row(told, metric, "1", float(np.nanmean(mine)), higher_is_better=True)
    if split.p_within is not None:
        yield _row(base, "within_action_rotation_p", "1", split.p_within, higher_is_better=False)


def _contrast(ranking: Ranking, base: dict[str, Any]) -> Iterator[Record]:
    found = contrast(ranking)
    means = {"own window": found.own, "same action": found.action, "elsewhere": found.elsewhere}
    for name, value in means.items():
        why = {} if value is not None else {"reason": "no test windows of this kind"}
        yield _row(base, "similarity", "sd", value, variant=name, **why)


# --- reconstruction ---------------------------------------------------------------------------


def _rebuilt(rebuilt: Reconstruction, labels: Labels) -> Iterator[Record]:
    base = {
        "run": labels.run,
        "section": labels.section,
        "contract": labels.contract,
        "task": RECONSTRUCTION,
    }
    if rebuilt.scores:
        base |= {"n_train": rebuilt.n_train, "n_test": rebuilt.n_test}
    for source, reason in rebuilt.missing.items():
        told = base | {"head": HEAD, "variant": f"from {source}"}
        yield _row(told, "r2", "1", None, higher_is_better=True, reason=reason)
    for source, scores in rebuilt.scores.items():
        for group, one in scores.items():
            told = base | {"head": HEAD, "variant": f"{group} from {source}"}
            yield from _group(one, told)
    for unit, known in rebuilt.in_unit.items():
        for name, value in known.items():
            kind = (
                {"head": HEAD, "variant": f"from {name}, in {unit}"}
                if name in SOURCES
                else {"head": name, "variant": f"floor, in {unit}"}
            )
            why = {} if value is not None else {"reason": "the test windows do not vary"}
            yield _row(base | kind, "r2", "1", value, higher_is_better=True, **why)
    for unit, shares in rebuilt.spread_shares.items():
        for group, share in shares.items():
            yield _row(base, "spread_share", "1", share, variant=f"{group}, in {unit}")
    for group, share in rebuilt.column_shares.items():
        yield _row(base, "column_share", "1", share, variant=group)


def _group(one: GroupScore, base: dict[str, Any]) -> Iterator[Record]:
    name, floor = one.floor
    if one.r2.value is None:
        why = {"status": "degenerate", "reason": one.r2.reason}
        yield _row(base, "r2", "1", None, higher_is_better=True, **why)
        return
    fields = interval_fields(one.interval) | {"floor": floor, "floor_name": name}
    metric = metric_named("r2")
    gained = skill(metric, one.r2, type(one.r2)(floor)).value
    yield _row(base, "r2", "1", one.r2.value, higher_is_better=True, skill=gained, **fields)
    told = base | {"against": name}
    gain = one.r2.value - floor
    yield _row(told, "r2", "1", gain, higher_is_better=True, **interval_fields(one.gain))
