"""What learned features gain on recordings that nobody trained on: linear heads, with and without.

Every recording of a run is tested once, in folds over sessions (see notebook 06). Copies of the
run's windows tables get the blocks, and each variant's paired difference from the plain head is
told, with its interval over recordings.

    python benchmarks/learned.py artifacts/family [--blocks NAME,NAME] [--folds 5] [--out ROWS.json]

``linear+BLOCK`` reads a block beside the others, ``linear→BLOCK`` ranks windows by it. The copies
are in the run's ``windows/learned``; what was computed for them is found again in its ``cache``.
"""

import argparse
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from xperience.cohort.manifest import SplitManifest, read_manifest
from xperience.evaluation.predictions import predict
from xperience.evaluation.records import Record, holm, records_table, write_records
from xperience.features.learned import EFFICIENTNET, MINILM, add_learned, learned_block
from xperience.progress import progress_bars
from xperience.studies.heldout import folds as across
from xperience.studies.heldout.cohort import CONTRACT, open_cohort, tables_in
from xperience.studies.learned import BESIDE, INSTEAD, own_blocks, retrieves
from xperience.tasks.catalogue import TASKS, tasks_of
from xperience.tasks.problem import in_place
from xperience.tasks.task import Task

SHOWN = ["task", "head", "against", "metric", "value", "ci_low", "ci_high", "p_holm"]


def main() -> None:
    """Add the blocks, predict every task in every fold, tell what the blocks gain."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--blocks", type=lambda names: names.split(","))
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    names = given.blocks or [EFFICIENTNET, MINILM]
    manifest = read_manifest(given.run / "episodes" / "episodes.csv")
    began = time.process_time()
    with progress_bars() as show:
        tables = with_learned(manifest, given.run, names, show)
        taken = time.process_time() - began
        rows = holm(pooled(manifest, tables, names, given.folds, show))
    print(f"CPU time: features {taken:.0f} s, in all {time.process_time() - began:.0f} s")
    if given.out:
        write_records(given.out, rows)
    table = records_table(rows)
    plain = table["head"].eq("linear") & table["against"].isna()
    print(table[plain | table["against"].eq("linear")][SHOWN].round(4).to_string(index=False))


def with_learned(manifest: SplitManifest, run: Path, names: list[str], show: Callable) -> Path:
    """Return the folder of the tables' copies that have the blocks."""
    folder = run / "windows" / "learned"
    folder.mkdir(exist_ok=True)
    for number, entry in enumerate(manifest, 1):
        mine = tables_in(folder)(entry)
        shutil.copy(tables_in(run / "windows")(entry), mine)
        add_learned(mine, manifest.folder(entry), names, run / "cache")
        show("recordings", number, len(manifest))
    return folder


def variants(tasks: list[Task], added: Mapping[str, str]) -> list[tuple[str, str, Task]]:
    """Return (task's name, head, task) of every task as it is and with each learned block.

    Variants have names of their own, as a cohort asks. Tasks are as declared; whether one is given
    a modality is what the corrected contract says.
    """
    found = [(task.name, "", task) for task in tasks]
    for name, modality in added.items():
        for task, asked in zip(tasks, tasks_of(CONTRACT, tasks), strict=True):
            if own := own_blocks(asked, modality):
                pieces = in_place(task.pieces, (*own, name), modality)
                found.append((task.name, BESIDE + name, replace(task, pieces=pieces)))
            if retrieves(task, modality):
                found.append((task.name, INSTEAD + name, replace(task, target_blocks=(name,))))
    return [(name, f"linear{way}", replace(task, name=name + way)) for name, way, task in found]


def pooled(
    manifest: SplitManifest, tables: Path, names: list[str], n_folds: int, show: Callable
) -> Iterator[Record]:
    """Yield the rows of linear heads, pooled over folds."""
    added = {name: learned_block(name).block.modality for name in names}
    tasks, cohort = list(TASKS), open_cohort(manifest, tables_in(tables))
    asked = variants(tasks, added)
    found = {task.name: [] for task in tasks}
    for number, split in enumerate(across.folds(manifest, n_folds), 1):
        problems = across.cohort_problems(cohort.split_as(split), [task for *_, task in asked])
        of_fold = {}
        for (name, head, _), problem in zip(asked, problems, strict=True):
            one = across.fold_scores(problem, {head: predict(problem, "linear")}, gap=False)
            first = of_fold.setdefault(name, one)
            if same_samples(one, first):
                of_fold[name] = replace(first, heads=first.heads | one.heads)
            elif isinstance(one, across.Fold):
                print(f"fold {number}: {name}, {head} is left out: it has other samples")
        for name, one in of_fold.items():
            found[name].append(one)
        show("folds", number, n_folds)
    for task in tasks_of(CONTRACT, tasks):
        yield from across.pooled_rows(task, found[task.name], "learned")


def same_samples(*folds: across.Fold | str) -> bool:
    """Return whether folds were asked of as many samples of each recording."""
    if not all(isinstance(one, across.Fold) for one in folds):
        return False
    return np.array_equal(*(next(iter(one.heads.values())).problem.groups for one in folds))


if __name__ == "__main__":
    main()
