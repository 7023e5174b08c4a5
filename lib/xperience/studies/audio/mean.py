"""The published mean over mixed units, taken apart: which unit makes it what it is."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from xperience.evaluation.evidence import Labels, LabelSets
from xperience.evaluation.vectors import Ranks, Vectors
from xperience.studies.audio.looks import Contest, Looks

_KINDS = {Labels: "F1", LabelSets: "F1", Ranks: "MRR", Vectors: "MAE"}


def unit_kind(contest: Contest) -> str:
    """Return what a task's gain is a difference of: "F1", "MRR", "MAE", or the measure's name."""
    measure = contest.primary
    return _KINDS.get(measure.metric.takes, measure.name)


@dataclass(frozen=True)
class MixedMean:
    """A mean of gains that are differences of different things.

    Parameters
    ----------
    gains : dict of {task: gain}
        Each in its own unit.
    kinds : dict of {task: kind of unit}
    """

    gains: Mapping[str, float]
    kinds: Mapping[str, str]

    @classmethod
    def of(cls, looks: Looks) -> "MixedMean":
        """Return the mean of a question's gains; tasks without an answer are left out."""
        known = {name: look for name, look in looks.items() if look.effect is not None}
        gains = {name: look.effect.gain.estimate for name, look in known.items()}
        return cls(gains, {name: unit_kind(look.contest) for name, look in known.items()})

    @property
    def mean(self) -> float:
        """What the note reports."""
        return float(np.mean(list(self.gains.values())))

    @property
    def n_tasks(self) -> dict[str, int]:
        """Tasks of each kind of unit, in the order of the tasks."""
        kinds = list(self.kinds.values())
        return {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}

    @property
    def part(self) -> dict[str, float]:
        """What each kind of unit adds to the mean; the parts sum to it."""
        return {
            kind: sum(self.gains[name] for name, own in self.kinds.items() if own == kind)
            / len(self.gains)
            for kind in self.n_tasks
        }

    @property
    def size(self) -> dict[str, float]:
        """Share of the gains' summed size that each kind of unit has; zeros if all gains are 0."""
        sizes = {
            kind: sum(abs(self.gains[name]) for name, own in self.kinds.items() if own == kind)
            for kind in self.n_tasks
        }
        whole = sum(sizes.values())
        return {kind: size / whole if whole else 0.0 for kind, size in sizes.items()}

    @property
    def heaviest(self) -> str:
        """The kind of unit whose tasks weigh most, each, in the mean."""
        return max(self.n_tasks, key=lambda kind: self.size[kind] / self.n_tasks[kind])

    def rescaled(self, kind: str, factor: float) -> float:
        """Return the mean if gains of one kind were written in a unit that is 1 / factor of it."""
        return self.mean + (factor - 1) * self.part[kind]

    def turning_factor(self, kind: str) -> float | None:
        """Return the factor at which the mean is 0; None if no positive factor makes it so."""
        rest = self.mean - self.part[kind]
        if rest * self.part[kind] >= 0:
            return None
        return -rest / self.part[kind]
