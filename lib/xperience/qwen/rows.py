"""Measured scores as tidy rows, each with its trivial baselines and the gap to the best one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from xperience.evaluation.catalogue import SHARE, Metric
from xperience.evaluation.metrics import Score, skill
from xperience.evaluation.records import Record
from xperience.evaluation.uncertainty import Interval
from xperience.qwen.tallies import Measured

SECTION = "evaluate"
PUBLISHED, HONEST = "published", "corrected"
"""Contracts that rows belong to: the evaluator of the published note, and what we would defend."""
FLOOR = "floor"


def metric(name: str, rule: str, higher_is_better: bool | None = True) -> Metric:
    """Return a metric that is a share of samples, 0 to 1."""
    return Metric(name, "1", higher_is_better, SHARE, None, rule, "No sample counts.")


@dataclass(frozen=True)
class Author:
    """Whose answers the rows are about.

    Parameters
    ----------
    run : str
        Name of the data.
    model : str
        Name of the model; the rows' head.
    """

    run: str
    model: str

    def row(self, contract: str, **fields: Any) -> Record:
        """Return a row of this author; ``head`` may be given instead of the model."""
        base = {"run": self.run, "section": SECTION, "contract": contract, "head": self.model}
        return Record(**base | fields)

    def plain(self, name: str, value: float, unit: str, **fields: Any) -> Record:
        """Return an honest row that describes, without direction or interval."""
        return self.row(HONEST, metric=name, value=value, unit=unit, **fields)

    def rows(self, measured: Measured, note: str | None = None, **fields: Any) -> Iterator[Record]:
        """Yield a score with interval, floor and skill, its floors, and the paired difference.

        Parameters
        ----------
        measured : Measured
        note : str, optional
            What a reader of the score must know.
        **fields
            ``task`` and ``variant``.
        """
        fields |= {"n_test": measured.n_samples, **named(measured.metric)}
        found, floor = measured.score, measured.floor
        yield self.row(HONEST, **fields, **_scored(measured, note))
        if found.value is None or floor[0] is None:
            return
        gap = measured.minus(floor[0])
        value = found.value - floor[1].value
        yield self.row(HONEST, **fields, against=floor[0], value=value, **ends(gap))
        for name, score_of in measured.floors.items():
            variant = "_".join(filter(None, (fields.get("variant"), FLOOR)))
            own = {**fields, "head": name, "variant": variant, **said(measured.value(score_of))}
            yield self.row(HONEST, **own)


def named(one: Metric) -> dict[str, Any]:
    """Return a metric as fields of a row."""
    return {"metric": one.id, "unit": one.unit, "higher_is_better": one.higher_is_better}


def said(score: Score) -> dict[str, Any]:
    """Return a score as fields of a row."""
    return {"value": score.value, "status": score.status, "reason": score.reason}


def ends(found: Interval) -> dict[str, Any]:
    """Return an interval as fields of a row: its ends, or why there are none."""
    n_effective = found.n_effective
    fields = {"n_effective": None if n_effective is None else round(n_effective, 6)}
    if found.low is None or found.high is None:
        return fields | {"ci_reason": f"{found.verdict}: {found.reason}"}
    return fields | {"ci_low": found.low, "ci_high": found.high}


def _scored(measured: Measured, note: str | None) -> dict[str, Any]:
    score, (floor_name, floor) = measured.score, measured.floor
    fields = said(score) | {"reason": score.reason or note, "ceiling": measured.ceiling}
    if floor_name is not None:
        fields |= {"floor": floor.value, "floor_name": floor_name}
        fields["skill"] = skill(measured.metric, score, floor).value
    return fields | (ends(measured.interval) if score.value is not None else {})
