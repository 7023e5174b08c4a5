"""What learned blocks gain: each beside a task's own input, or as what is retrieved.

Rows name what a head was given behind its own name: ``linear+BLOCK`` reads a block beside the
others of its modality, ``linear→BLOCK`` ranks windows by a block instead of the task's own target.
Their paired difference from the head as it is says what the block gains.
"""

from collections.abc import Iterator, Mapping, Sequence

from xperience.evaluation.evaluate import (
    Scores,
    base_of,
    evaluate,
    floors,
    paired_row,
    score_row,
)
from xperience.evaluation.predictions import Predictions, predict_heads
from xperience.evaluation.records import Record
from xperience.features.blocks import BLOCKS_BY_NAME
from xperience.tasks.problem import REST, Problem, with_modality, with_target
from xperience.tasks.task import Task

BESIDE, INSTEAD = "+", "→"
"""Between a head and a block that it reads as well, or that takes the place of its target."""


def suite_rows(
    problems: Sequence[Problem],
    heads: Sequence[str],
    n_seeds: int,
    run: str,
    added: Mapping[str, str],
) -> Iterator[Record]:
    """Yield the rows of every task of a recording, as it is and with each learned block.

    Learned blocks are added by {block: modality}; the problems' table has them.
    """
    variants = [_variants(problem, added) for problem in problems]
    asked = [one for ways in variants for one in ways.values()]
    answers = iter(predict_heads([*problems, *asked], heads, n_seeds))
    plain = [next(answers) for _ in problems]
    for problem, own, ways in zip(problems, plain, variants, strict=True):
        given, predicted = {}, dict(own)
        for way, variant in ways.items():
            for head, found in next(answers).items():
                if way.startswith(BESIDE):
                    given[head + way], predicted[head + way] = variant, found
                else:
                    pair = (variant, found), (problem, own[head])
                    yield from _instead(*pair, {"run": run, "head": head + way, "against": head})
        yield from evaluate(problem, predicted, run, "suite", given=given)


def _variants(problem: Problem, added: Mapping[str, str]) -> dict[str, Problem]:
    """Return a task with each block: {what stands behind the head's name: problem}."""
    task, found = problem.task, {}
    for name, modality in added.items():
        blocks = (REST, *own_blocks(task, modality), name)
        found[BESIDE + name] = with_modality(problem, blocks, modality)
        if problem.ok and retrieves(task, modality):
            found[INSTEAD + name] = with_target(problem, name)
    return found


def own_blocks(task: Task, modality: str) -> tuple[str, ...]:
    """Return the blocks of a modality that a task is given."""
    names = task.input_blocks
    return tuple(name for name in names if BLOCKS_BY_NAME[name].modality == modality)


def retrieves(task: Task, modality: str) -> bool:
    """Return whether a task ranks windows by blocks of a modality and no other."""
    kinds = {BLOCKS_BY_NAME[name].modality for name in task.target_blocks}
    return task.kind == "retrieve" and kinds == {modality}


def _instead(
    mine: tuple[Problem, Predictions], own: tuple[Problem, Predictions], base: dict[str, str]
) -> Iterator[Record]:
    """Yield the scores of a retrieval by another target, and the paired difference."""
    base = base | {"section": "suite"}
    if mine[1]:
        scores, trivial = Scores.of(*mine), floors(mine[0])
        scored = base_of(mine[0], base) | {"against": None}
        yield from (score_row(scores, one, scored, trivial) for one in mine[0].measures)
    yield paired_row(mine, own, base)
