"""The audio ablation: every task, with its sound left out, alone, or in other features.

A variant of a task is the same problem with other blocks: samples, split and target stay, so that
predictions can be compared sample by sample. Under `published` tasks are asked as the published
study asked: windows without a label form a class of their own, vectors are z-scored on the training
part and errors stay in those units, predictions are the queries of every retrieval.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from xperience.errors import MissingStreamError
from xperience.features.audio import LOGMEL_COLUMNS, logmel_windows
from xperience.features.sound import SOUND_COLUMNS, sound_windows
from xperience.features.table import WindowTable
from xperience.models import gram
from xperience.recording.recording import Recording
from xperience.tasks import measures
from xperience.tasks.catalogue import AUDIO, TASKS
from xperience.tasks.problem import REST, Blocks, Problem, problems_of, with_modality
from xperience.tasks.task import Target, Task

UNLABELLED = "N/A"
LOGMEL, LIBROSA = "audio_logmel", "audio_librosa"
_FEATURES = {LOGMEL: (LOGMEL_COLUMNS, logmel_windows), LIBROSA: (SOUND_COLUMNS, sound_windows)}
OTHER = {"published": LOGMEL, "corrected": LIBROSA}
"""The block of alternative audio features, by contract."""

AS_IS, WITHOUT = "all_handcrafted_audio", "all_except_audio"
HANDCRAFTED_ONLY, RAW_ONLY = "handcrafted_audio_only", "raw_logmel_audio_only"
REPLACED, BOTH = "replace_handcrafted_with_raw", "all_plus_raw_logmel"
WITH_SOUND, OTHER_SOUND = (AS_IS, WITHOUT), (REPLACED, AS_IS)
"""Comparisons (variant, against): what sound adds, and what its alternative features add."""

MEASURES = {
    "classify": (
        measures.measure("macro_f1", "macro_f1_union"),
        measures.measure("accuracy"),
        measures.measure("balanced_accuracy"),
    ),
    "multilabel": measures.SETS,
    "regress": (measures.measure("mae", "mae_sd"), measures.measure("r2")),
    "retrieve": measures.RANKS,
}
"""What the published study scores, by kind of task; the first is the primary measure."""


def published_variants(contract: str) -> dict[str, tuple[str, ...]]:
    """Return the published study's six variants, {variant: blocks}; see `with_sound`."""
    other = OTHER[contract]
    return {
        AS_IS: (REST, *AUDIO),
        WITHOUT: (REST,),
        HANDCRAFTED_ONLY: AUDIO,
        RAW_ONLY: (other,),
        REPLACED: (REST, other),
        BOTH: (REST, *AUDIO, other),
    }


with_sound = partial(with_modality, modality="audio")
"""(problem, blocks) -> the same problem with other blocks of sound."""


def audio_problems(
    episode: Path | str,
    table: WindowTable,
    contract: str = "published",
    tasks: Sequence[Task] = TASKS,
) -> list[Problem]:
    """Return every task as the audio ablation asks it, alternative audio features among its blocks.

    See `xperience.tasks.problem.problems_of` for parameters and errors.
    """
    if contract == "published":
        asked = [asked_as_published(task) for task in tasks]
        problems = [_scored_as_published(one) for one in problems_of(episode, table, tasks=asked)]
    else:
        problems = problems_of(episode, table, contract, tasks)
    add_sound(problems[0].blocks, OTHER[contract], episode, table)
    return problems


def problems_by_contract(
    episode: Path | str, tables: Mapping[str, WindowTable]
) -> dict[str, list[Problem]]:
    """Return `audio_problems` of the table of each contract, made side by side."""
    with threadpool_limits(1), ThreadPoolExecutor() as pool:
        made = {
            contract: pool.submit(audio_problems, episode, table, contract)
            for contract, table in tables.items()
        }
        return {contract: problems.result() for contract, problems in made.items()}


def add_sound(blocks: Blocks, name: str, episode: Path | str, table: WindowTable) -> None:
    """Add alternative audio features to the blocks of a recording; named missing without sound."""
    columns, compute = _FEATURES[name]
    starts = table.labels["start_frame"].to_numpy()
    try:
        with Recording(episode) as opened:
            blocks.add(name, compute(opened, starts))
    except MissingStreamError as error:
        nothing = np.full((len(starts), len(columns)), np.nan, dtype=np.float32)
        blocks.add(name, nothing, f"{error.place}: {error.found}")


def asked_as_published(task: Task) -> Task:
    """Return a task as the published audio study asked it."""
    changes: dict[str, Any] = {"measures": MEASURES[task.kind], "query": "prediction"}
    if task.kind == "classify":
        changes["target"] = _labelled(task.target)
        changes["naive"] = {name: _labelled(naive) for name, naive in task.naive.items()}
    return replace(task, value_shape=None, **changes)


def _labelled(target: Target) -> Target:
    """Return a target under which windows without a label have one: that they have none."""
    return lambda truth, members: [label or UNLABELLED for label in target(truth, members)]


def _scored_as_published(problem: Problem) -> Problem:
    """Return a problem with vectors z-scored on training, scored even if that tests nothing."""
    if problem.status == "degenerate":  # its reason stays, beside the scores
        problem = replace(problem, status="ok")
    if not problem.ok or problem.task.kind not in ("regress", "retrieve"):
        return problem
    mean, std = gram.column_moments(np.asarray(problem.train_targets, dtype=np.float32))

    def scaled(forecast: Target) -> Target:
        return lambda truth, members: (np.asarray(forecast(truth, members)) - mean) / std

    naive = {name: scaled(forecast) for name, forecast in problem.task.naive.items()}
    samples = replace(problem.samples, values=(problem.samples.values - mean) / std)
    return replace(problem, samples=samples, task=replace(problem.task, naive=naive))
