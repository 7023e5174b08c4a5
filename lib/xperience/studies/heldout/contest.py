"""Who answered, how right they were, and how sure that is: recordings are drawn again, not windows.

Samples stand recording by recording. Rankings are made within each recording, among its own
windows, whoever was trained on what.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from xperience.evaluation import metrics as scoring
from xperience.evaluation.evidence import Labels, LabelSets
from xperience.evaluation.uncertainty import Resampling
from xperience.evaluation.vectors import Ranks
from xperience.models import baselines
from xperience.studies.heldout.asked import TEST, Asked
from xperience.studies.problem import Answer
from xperience.studies.scores import (
    FLOOR_DRAWS,
    FLOOR_SEED,
    N_RESAMPLES,
    Contestant,
    filled,
    picked,
    strongest,
)
from xperience.tasks.measures import Measure
from xperience.tasks.task import Task

CHANCE = "chance"


@dataclass(frozen=True)
class Truths:
    """The test samples of a task, recording by recording.

    Parameters
    ----------
    task : Task
    values : list of labels, list of sets, or float array (n, n_values)
    episodes : int array, shape (n,)
        Number of each sample's recording, ascending.
    labels : tuple
        Classes or names that could be learnt.
    learnt : sequence
        Targets that could be learnt from, of classes only.
    contract : str
    """

    task: Task
    values: Sequence[Any]
    episodes: np.ndarray
    labels: tuple[Any, ...]
    learnt: Sequence[Any] = ()
    contract: str = "corrected"

    @property
    def train_targets(self) -> Sequence[Any]:
        """Targets that could be learnt from."""
        return self.learnt

    @property
    def test_targets(self) -> Sequence[Any]:
        """Targets to score against."""
        return self.values

    def __len__(self) -> int:
        return len(self.episodes)

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Measures that make sense for a handful of windows of many recordings."""
        takes = {"classify": Labels, "multilabel": LabelSets}.get(self.task.kind)
        return tuple(one for one in self.task.measures if takes in (None, one.metric.takes))

    def keep(self, places: np.ndarray) -> "Truths":
        """Return some of the samples, in their order."""
        return replace(self, values=picked(self.values, places), episodes=self.episodes[places])

    def evidence(self, said: Sequence[Any]) -> list[Any]:
        """Return what measures are computed from."""
        task = self.task
        if task.kind == "classify":
            known = task.positive if task.positive in self.labels else None
            return [scoring.labels(self.values, said, options=self.labels, positive=known)]
        if task.kind == "multilabel":
            more = (name for names in self.values for name in names)
            names = tuple(dict.fromkeys([*self.labels, *more]))
            return [scoring.label_sets(self.values, said, vocabulary=names)]
        if task.kind == "retrieve":
            ways = (said, self.values) if task.query == "prediction" else (self.values, said)
            return [self.ranked(lambda places: scoring.cosine_ranks(*(w[places] for w in ways)))]
        found = [scoring.vectors(self.values, said)]
        if task.value_shape is not None:
            shape = (-1, *task.value_shape)
            sides = (np.reshape(side, shape) for side in (self.values, said))
            found.append(scoring.positions(*sides))
        return found

    def ranked(self, rank: Callable[[np.ndarray], Ranks]) -> Ranks:
        """Return ranks of all samples, each among the windows of its own recording."""
        groups = [np.flatnonzero(self.episodes == one) for one in np.unique(self.episodes)]
        return merged([rank(places) for places in groups])


def merged(each: Sequence[Ranks]) -> Ranks:
    """Return the ranks of several recordings one after the other."""
    columns = (
        np.concatenate([getattr(one, name) for one in each])
        for name in ("better", "tied", "earlier")
    )
    return Ranks(*columns, n_candidates=max(one.n_candidates for one in each))


@dataclass(frozen=True)
class Entrant(Contestant):
    """Somebody's answers to the test samples of a cohort.

    ``problem`` is the samples' `Truths`; intervals draw whole recordings.
    """

    @cached_property
    def resampling(self) -> Resampling:
        """How the samples are drawn again."""
        return Resampling(n_resamples=N_RESAMPLES, groups=self.problem.episodes)


def entrant(name: str, truths: Truths, answers: Sequence[Answer]) -> Entrant:
    """Return a head's answers, ready to be scored."""
    draws = tuple(truths.evidence(answer.predicted) for answer in answers)
    return Entrant(name, truths, draws, tuple(answer.seed for answer in answers))


def truths_of(asked: Asked) -> Truths:
    """Return the test samples of a task, in the units that heads answer in."""
    parts = asked.parts[TEST]
    blocks = asked.task.target_blocks
    if blocks:
        found = [asked.space.scores(p.recording, blocks)[p.samples.members[:, 0]] for p in parts]
        values: Any = np.concatenate(found)
        if asked.task.kind == "regress":  # what is ranked is so recording by recording
            values = values.astype(np.float64)
    elif asked.task.kind in ("classify", "multilabel"):
        values = [value for part in parts for value in part.samples.values]
    else:
        values = np.concatenate([part.samples.values for part in parts])
    learnt = asked.learnt if asked.task.kind == "classify" else ()
    return Truths(asked.task, values, asked.episodes, asked.labels, learnt)


def floors_of(asked: Asked, truths: Truths) -> dict[str, Entrant]:
    """Return every trivial baseline by name; random ones are drawn several times."""
    rng = np.random.default_rng(FLOOR_SEED)
    task, learnt, n = asked.task, asked.learnt, len(truths)
    said: dict[str, list[Any]] = {}
    for name in task.naive:
        said[name] = [filled(task, learnt, asked.naive(name))]
    if task.kind == "classify":
        said["majority"] = [baselines.majority(learnt, n)]
        said["stratified_random"] = [
            baselines.stratified(learnt, n, rng) for _ in range(FLOOR_DRAWS)
        ]
        if task.positive in asked.labels:
            said[f"always_{task.positive}"] = [[task.positive] * n]
    elif task.kind == "multilabel":
        names = [set(one) for one in learnt]
        member = np.array([[label in one for label in asked.labels] for one in names])
        prior = baselines.prior_sets(member, n)
        said["prior"] = [[tuple(asked.labels[i] for i in np.flatnonzero(row)) for row in prior]]
    elif task.kind == "regress":
        mean = np.zeros(truths.values.shape[1])
        if not task.target_blocks:  # z-scores of blocks have a training mean of zero
            mean = np.asarray(learnt, dtype=np.float64).mean(axis=0)
        said["train_mean"] = [np.broadcast_to(mean, (n, len(mean)))]
    found = {name: tuple(truths.evidence(one) for one in each) for name, each in said.items()}
    if task.kind == "retrieve":
        found[CHANCE] = tuple(_by_chance(truths, rng))
    return {name: Entrant(name, truths, draws) for name, draws in found.items()}


def _by_chance(truths: Truths, rng: np.random.Generator) -> Iterator[list[Ranks]]:
    """Yield ranks at random, a draw each; equal vectors are told by a number of their own."""
    alike = np.empty((len(truths), 1), dtype=np.int64)
    for one in np.unique(truths.episodes):  # wide vectors are compared once, not once a draw
        own = truths.episodes == one
        alike[own, 0] = np.unique(truths.values[own], axis=0, return_inverse=True)[1].ravel()
    for _ in range(FLOOR_DRAWS):
        yield [
            truths.ranked(
                lambda places: scoring.ranks(baselines.chance_similarity(alike[places], rng))
            )
        ]


def best(one: Measure, found: Mapping[str, Contestant]) -> str | None:
    """Return the name of the strongest baseline on a measure."""
    return strongest(one, dict(found))[1]


def rivals_of(
    name: str, one: Measure, floors: Mapping[str, Entrant], heads: Mapping[str, Entrant]
) -> dict[str, Entrant]:
    """Return whom a head is held against: the strongest baseline, and the linear head.

    Parameters
    ----------
    name : str
        The head.
    one : Measure
    floors, heads : mapping of {name: Entrant}
    """
    strong = best(one, floors)
    found = {} if strong is None else {strong: floors[strong]}
    return found | {other: heads[other] for other in {"linear"} & heads.keys() - {name}}


def by_episode(each: Entrant, one: Measure) -> list[float | None]:
    """Return a contestant's score of every recording on its own, None where it has none."""
    episodes = each.problem.episodes
    weights = (np.unique(episodes)[:, None] == episodes[None]).astype(float)
    values = each.weighted(one)(weights)
    return [None if np.isnan(value) else float(value) for value in values]
