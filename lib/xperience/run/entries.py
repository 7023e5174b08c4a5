"""Entries: predictions that others made of a run's test samples, scored and kept for the site."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from xperience.cohort.manifest import read_manifest
from xperience.errors import ParamsError
from xperience.evaluation.predictions import N_SEEDS, predict_heads
from xperience.evaluation.records import Record, holm
from xperience.evaluation.submission import SubmissionError, read_submission, submission_rows
from xperience.features.table import WindowTable
from xperience.project import entries_folder
from xperience.report.entries import primary_rows
from xperience.run.plan import RunPlan
from xperience.storage import file_digest, write_json
from xperience.studies.heldout.cohort import CONTRACT, open_cohort, tables_in
from xperience.studies.heldout.folds import cohort_problems
from xperience.tasks.catalogue import TASKS_BY_NAME
from xperience.tasks.problem import Problem, problems_of

SECTION = "evaluate"


def score_submission(
    path: Path, plan: RunPlan, split: str | None = None, heads: Sequence[str] = ("linear",)
) -> list[Record]:
    """Return the rows of a table of predictions, beside our heads on the same samples.

    Differences are corrected for the number of tasks in it.

    Parameters
    ----------
    path : path
        See `xperience.evaluation.submission`.
    plan : RunPlan
        The run whose recording, or whose test recordings, were predicted.
    split : str, optional
        In place of each task's own: "chronological", "local" or "local_blocks". Its name is then
        the rows' variant.
    heads : sequence of str
        Ours, predicted again.
    """
    table = read_submission(path)
    base = {"run": plan.params.run, "section": SECTION} | ({"variant": split} if split else {})
    rows: list[Record] = []
    for contract, own in table.groupby("contract", sort=False):
        for problem in _problems(plan, contract, list(own["task"].unique()), split):
            (ours,) = predict_heads([problem], heads, N_SEEDS)
            mine = own[own["task"] == problem.task.name]
            ours = {name: one for name, one in ours.items() if one}
            rows += submission_rows(problem, mine, ours, base, path.name)
    return holm(rows)


def _problems(
    plan: RunPlan, contract: str, names: Sequence[str], split: str | None
) -> Iterator[Problem]:
    tasks = [TASKS_BY_NAME[name] for name in names]
    if not plan.is_cohort:
        tasks = [replace(task, split=split) if split else task for task in tasks]
        yield from problems_of(plan.episode, WindowTable(plan.windows(contract)), contract, tasks)
        return
    if split or contract != CONTRACT:
        asked = f"split {split!r}" if split else f"contract {contract!r}"
        way_out = "Leave --split out, and predict what `corrected` asks."
        raise ParamsError(
            f"run {plan.params.run}", f"was asked for {asked}", "its test recordings", way_out
        )
    cohort = open_cohort(read_manifest(plan.manifest), tables_in(plan.folder / "windows"))
    yield from cohort_problems(cohort, tasks)


def keep_entry(name: str, predictions: Path, rows: Sequence[Record], plan: RunPlan) -> Path:
    """Write an entry of the run's table: primary scores and differences, under a name.

    Raises
    ------
    ParamsError
        If the name isn't one for a file, or an entry has it.
    SubmissionError
        If the predictions are of several heads.
    """
    path = entries_folder(plan.params.run) / f"{name}.json"
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,47}", name) or path.exists():
        found = "is taken" if path.exists() else "can't name a file"
        way_out = "Take another name of letters, digits, dots and dashes, or remove the old entry."
        raise ParamsError(f"--entry {name}", found, "a free name", way_out)
    shown = list(primary_rows(rows))
    heads = sorted({row.head for row in shown})
    if len(heads) != 1:
        way_out = "Write a file for each and name it apart."
        raise SubmissionError(predictions.name, f"holds heads {heads}", "one an entry", way_out)
    kept = [
        row.model_copy(update={"head": name}).model_dump(mode="json", exclude_none=True)
        for row in shown
    ]
    write_json(path, {"entry": name, "predictions": file_digest(predictions), "rows": kept})
    return path
