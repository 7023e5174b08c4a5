"""The same tasks with other inputs, or with less to learn from: modality ablation, scaling curve.

Each is an `Ablation` of every task in every fold, pooled over the folds of the cross-validation.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xperience.evaluation.ablation import Ablation, comparison_rows
from xperience.evaluation.evaluate import FLOOR, Scores, strongest
from xperience.evaluation.records import ONE_WORTH, SCALING, Record
from xperience.features.table import WindowTable
from xperience.studies.heldout.cohort import CONTRACT, Cohort
from xperience.studies.heldout.folds import light, pooled_scores, problems_given
from xperience.studies.heldout.problem import LEARN, TEST, CohortProblem
from xperience.tasks.catalogue import ALL, TASKS
from xperience.tasks.problem import Blocks, labels_of
from xperience.tasks.task import Task

Problems = dict[tuple[str, str], CohortProblem]
"""{(task, variant): problem}"""

MAX_HELD = 2**13
"""Windows whose features are held in memory (280 MB), at most."""


class _Held:
    """A windows table whose blocks are read once."""

    def __init__(self, table: WindowTable):
        self.path, self.info = table.path, table.info
        self.block = Blocks(table, {}).raw


def fewer_recordings(
    cohort: Cohort, sizes: Sequence[int], n_draws: int, seed: int, tasks: Sequence[Task] = TASKS
) -> Iterator[Problems]:
    """Yield tasks, learnt from a few recordings at a time and tested on the same ones.

    Training and validation recordings are put in random order and divided into parts of each size,
    so that small parts lie in larger ones. Every size is also learnt from as many windows as one
    recording has: of n recordings, one of n windows each. A regression of feature blocks is left
    out: it is scored in deviations of what was learnt from. Sizes that the cohort doesn't have are
    left out; of the others there are ``n_draws`` parts each, at most.
    """
    tasks = [task for task in tasks if task.kind != "regress" or not task.target_blocks]
    if sum(one.n_windows for one in cohort.recordings) <= MAX_HELD:  # read once, not once a part
        held = (replace(one, table=_Held(one.table)) for one in cohort.recordings)
        cohort = replace(cohort, recordings=tuple(held))
    learn = [one for one in cohort.recordings if one.entry.side in LEARN]
    order = np.random.default_rng(seed).permutation(len(learn))
    for size in sorted((one for one in sizes if one <= len(learn)), reverse=True):
        for first in range(0, min(n_draws, len(learn) // size) * size, size):
            part = [learn[place] for place in sorted(order[first : first + size])]
            moved = (replace(r, entry=r.entry.model_copy(update={"side": "train"})) for r in part)
            some = replace(cohort, recordings=(*moved, *cohort.on(TEST)))
            for step in dict.fromkeys((1, size)):
                inputs = {f"{SCALING}{size}{ONE_WORTH if step > 1 else ''}": ALL}
                for found in problems_given(some, inputs, tasks, step=step):
                    yield {key: _constant(problem) for key, problem in found.items()}


def _constant(problem: CohortProblem) -> CohortProblem:
    """Return a problem that is scored though training has one class only: that is predicted."""
    if problem.status != "degenerate" or problem.task.kind != "classify":
        return problem
    labels = labels_of(problem.task, problem.train_targets)
    return replace(problem, status="ok", labels=labels)


# Pooled over folds


@dataclass(frozen=True)
class _Described:
    """What is known of a task's variant, of one fold or pooled, once its inputs were let go."""

    task: Task
    counts: dict[str, int]
    notes: tuple[str, ...] = ()
    status: str = "ok"
    reason: str | None = None

    contract = CONTRACT


@dataclass(frozen=True)
class PooledAblation(Ablation):
    """A task's ablation over all folds; the best trivial baseline is a variant, `FLOOR`."""

    trivial: Mapping[str, Scores]
    bounded = False

    @property
    def floors(self) -> Mapping[str, Scores]:
        """Trivial baselines over all folds."""
        return self.trivial


def keep(fold: dict[str, Ablation], found: Mapping[str, Ablation]) -> None:
    """Add scores to those of the same fold, brought down to what primary measures need.

    A variant that is there already gets another draw. Baselines are those of what comes first.
    """
    for task, one in found.items():
        if task not in fold:
            fold[task] = PooledAblation(one.head, {}, {}, light(one.floors))
        mine = fold[task]
        for variant, problem in one.problems.items():
            known = _Described(problem.task, problem.counts, problem.sampled)
            if variant not in one.scores:
                lost = replace(known, status=problem.status, reason=problem.reason)
                mine.problems.setdefault(variant, lost)
                continue
            (scores,) = light({variant: one.scores[variant]}).values()
            if variant in mine.scores:
                draws = (*mine.scores[variant].draws, *scores.draws)
                scores = replace(scores, draws=draws, seeds=(None,) * len(draws))
            mine.scores[variant], mine.problems[variant] = scores, known


def pooled(folds: Sequence[Mapping[str, Ablation]]) -> dict[str, PooledAblation]:
    """Return every task's ablation over all folds; a variant counts if every fold has it."""
    found = {}
    for task in dict.fromkeys(name for fold in folds for name in fold):
        each = [fold[task] for fold in folds if task in fold and fold[task].scores]
        if not each:
            continue
        scores, trivial = (
            pooled_scores([getattr(one, name) for one in each]) for name in ("scores", "floors")
        )
        problems = {
            name: _over(
                [one.problems[name] for one in each if name in one.problems], name in scores
            )
            for name in each[0].problems
        }
        best = strongest(each[0].primary, trivial)[1]
        scores |= {FLOOR: trivial[best]} if best else {}
        found[task] = PooledAblation(each[0].head, problems, scores, trivial)
    return found


def _over(each: Sequence[_Described], ok: bool) -> _Described:
    """Return what is known of a variant over all folds."""
    if not ok:
        lost = next((one for one in each if one.status != "ok"), None)
        return lost or _Described(each[0].task, {}, (), "skipped", "not scored in every fold")
    counts = {"n_train": round(np.mean([one.counts["n_train"] for one in each])),
              "n_test": sum(one.counts["n_test"] for one in each)}  # fmt: skip
    notes = dict.fromkeys(note for one in each for note in one.notes)
    return _Described(each[0].task, counts, (f"folds: {len(each)}", *notes))


def compared_rows(
    found: Mapping[str, Ablation], pair: tuple[str, str], base: Mapping[str, Any]
) -> list[Record]:
    """Return the rows of a variant against another, Holm's p over all tasks that have both."""
    both = [one for one in found.values() if pair[0] in one.scores and pair[1] in one.scores]
    return comparison_rows(both, pair, base) if both else []
