"""Memory and time of the tasks across recordings, for a cohort of the size that a study plans.

A cohort is made from one recording: each copy has that recording's labels, in one of some wordings,
and its windows table with every column scaled and noise added, so that recordings differ, as they
do, by more than their windows do. Then every task is answered as notebook 06 answers it, outcomes
brought down to rows one at a time, and the process's own memory is looked at all along.

    python benchmarks/heldout.py --windows W.corrected.parquet --episode EPISODE [--recordings 128]
                                 [--wordings 1] [--heads linear,neural] [--tasks TASK …]
                                 [--keep FOLDER] [--json OUT.json]

Measured of 128 recordings of 1,161 windows each, on one thread: both heads' answers to
modality_reconstruction, whose vectors are the widest, had 3.9 GB resident at most and took 107 s of
CPU time; the axes of all tasks' inputs 2.8 GB, the coordinates of all recordings 2.2 GB.

Tables of 128 recordings of 1,161 windows take about 4 GB of disk, in the temporary folder unless
``--keep`` names one, where a later call finds them. Exit status 1 if more memory than the target
was resident.
"""

import argparse
import json
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from xperience.cohort.manifest import SPLITS, Entry, SplitManifest, make_manifest
from xperience.evaluation.predictions import predict
from xperience.features.blocks import BLOCKS
from xperience.studies.heldout.cohort import Cohort, open_cohort, tables_in
from xperience.studies.heldout.folds import cohort_problems, heldout_rows
from xperience.tasks.catalogue import TASKS, TASKS_BY_NAME

TARGET_GB = 4.0
SHARES = (96, 16, 16)
"""Recordings to train on, to choose on and to test on, of 128."""
LOOK_S = 0.02


def main() -> int:
    """Make the cohort, answer the tasks, tell what it took."""
    given = _arguments()
    with _folder(given.keep) as folder:
        manifest = make_cohort(given.windows, given.episode, given.recordings, folder)
        taken = measured(manifest, folder, given)
    print(f"resident at most: {taken.peak_gb:.2f} GB (target: below {TARGET_GB:.1f} GB)")
    if given.json:
        given.json.write_text(json.dumps(asdict(taken), indent=1) + "\n", encoding="utf-8")
    return int(taken.peak_gb >= TARGET_GB)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--windows", type=Path, required=True)
    parser.add_argument("--episode", type=Path, required=True)
    parser.add_argument("--recordings", type=int, default=sum(SHARES))
    parser.add_argument("--wordings", type=int, default=1)
    parser.add_argument("--heads", type=lambda names: names.split(","), default=["linear"])
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS_BY_NAME), metavar="TASK")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
        return
    with tempfile.TemporaryDirectory() as scratch:
        yield Path(scratch)


def make_cohort(windows: Path, episode: Path, n: int, folder: Path) -> SplitManifest:
    """Write a windows table for each of n recordings that has none yet; return the manifest.

    Parameters
    ----------
    windows : Path
        A table of the corrected contract.
    episode : Path
        Its recording, whose labels all of them have.
    n : int
    folder : Path
        Where tables go.
    """
    bounds = np.cumsum(SHARES) / sum(SHARES) * n
    sides = np.searchsorted(np.round(bounds), np.arange(n), side="right")
    entries = [
        Entry(episode=f"e{number:03d}", folder=str(episode.resolve()),
              session=f"s{number:03d}", side=SPLITS[side])
        for number, side in enumerate(sides)
    ]  # fmt: skip
    manifest = make_manifest(entries, folder)
    path_of = tables_in(folder)
    lacking = [entry for entry in entries if not path_of(entry).is_file()]
    table = pq.read_table(windows) if lacking else None
    for number, entry in enumerate(lacking, 1):
        _write(altered(table, seed=entries.index(entry)), path_of(entry))
        _say(f"tables: {number} of {len(lacking)}")
    return manifest


def _write(table: pa.Table, path: Path) -> None:
    scratch = path.with_suffix(".part")  # cut off, it isn't taken for a table
    pq.write_table(table, scratch, compression="zstd", use_dictionary=False)
    scratch.rename(path)


def altered(table: pa.Table, seed: int) -> pa.Table:
    """Return a windows table of another recording: columns scaled, windows with noise."""
    rng = np.random.default_rng(seed)
    for block in BLOCKS:
        place = table.schema.get_field_index(block.name)
        column = table.column(place).combine_chunks()
        if column.null_count == len(column):
            continue
        values = column.flatten().to_numpy().reshape(-1, block.dim)
        spread = values.std(axis=0)
        noise = rng.standard_normal(values.shape, dtype=np.float32)
        scale = rng.normal(1, 0.1, block.dim).astype(np.float32)
        values = values * scale + noise * 0.3 * spread
        missing = column.is_null() if column.null_count else None
        there = values.reshape(-1)
        if missing is not None:  # flatten left out the missing rows: put them back as zeros
            whole = np.zeros((len(column), block.dim), np.float32)
            whole[~missing.to_numpy(zero_copy_only=False)] = values
            there = whole.reshape(-1)
        kind = table.schema.field(place).type
        made = pa.FixedSizeListArray.from_arrays(pa.array(there, pa.float32()), type=kind,
                                                 mask=missing)  # fmt: skip
        table = table.set_column(place, table.schema.field(place), made)
    return table


@dataclass
class Taken:
    """What answering a cohort took.

    Parameters
    ----------
    recordings, windows, classes : int
        Classes are those of actions.
    heads : list of str
    peak_gb : float
        Most memory that was resident, GB of 1e9 bytes.
    stages : dict of {stage: {"peak_gb", "after_gb", "cpu_s", "wall_s"}}
        Labels read, features projected (axes fitted first), and each task.
    """

    recordings: int = 0
    windows: int = 0
    classes: int = 0
    heads: list[str] = field(default_factory=list)
    peak_gb: float = 0.0
    stages: dict[str, dict[str, float]] = field(default_factory=dict)


def measured(manifest: SplitManifest, folder: Path, given: argparse.Namespace) -> Taken:
    """Answer tasks across a cohort's recordings and return what it took."""
    tasks = [TASKS_BY_NAME[name] for name in given.tasks] if given.tasks else list(TASKS)
    taken = Taken(heads=given.heads)
    with Watch() as watch:
        cohort = worded(open_cohort(manifest, tables_in(folder)), given.wordings)
        taken.stages["labels"] = _told("labels", watch)
        for problem in cohort_problems(cohort, tasks, on_progress=_features(taken, watch)):
            predictions = {head: predict(problem, head) for head in given.heads}
            n_rows = len(list(heldout_rows(problem, predictions, "benchmark")))
            name = problem.task.name
            taken.stages[name] = _told(f"{name}: {n_rows} rows", watch)
    taken.recordings = len(cohort.recordings)
    taken.windows = sum(one.n_windows for one in cohort.recordings)
    taken.classes = len({label for one in cohort.recordings for label in one.truth.action})
    taken.peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    _say(f"{taken.recordings} recordings, {taken.windows} windows, {taken.classes} actions")
    return taken


def _features(taken: Taken, watch: "Watch") -> Callable[[str, int, int], None]:
    """Return what tells of the axes and the last recording that was projected."""

    def tell(stage: str, done: int, total: int) -> None:
        if stage == "features" and done == 1:
            taken.stages["axes"] = _told("axes", watch)
        if stage == "features" and done == total:
            taken.stages["features"] = _told("features", watch)

    return tell


def worded(cohort: Cohort, n: int) -> Cohort:
    """Return the same recordings, their labels in one of n wordings each."""

    def other(number: int, labels: object) -> tuple[str, ...]:
        return tuple(f"{label} ({number % n})" for label in labels)

    found = []
    for number, one in enumerate(cohort.recordings):
        names = {name: other(number, getattr(one.truth, name)) for name in ("action", "subtask")}
        found.append(one if n == 1 else replace(one, truth=replace(one.truth, **names)))
    return replace(cohort, recordings=tuple(found))


class Watch:
    """Looks at the process's resident memory all the time, and tells of one stage after another."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._most = 0
        self._looks = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Watch":
        self._began = time.process_time(), time.perf_counter()
        self._looks.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._looks.join()

    def _look(self) -> None:
        while not self._over.wait(LOOK_S):
            self._most = max(self._most, resident())

    def lap(self) -> dict[str, float]:
        """Return the most and the last memory, GB, and the times since the lap before, seconds."""
        now, times = resident(), (time.process_time(), time.perf_counter())
        cpu, wall = (b - a for a, b in zip(self._began, times, strict=True))
        peak, self._most, self._began = max(self._most, now), 0, times
        return {"peak_gb": peak / 1e9, "after_gb": now / 1e9, "cpu_s": cpu, "wall_s": wall}


def resident() -> int:
    """Return the bytes of memory that this process has resident."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def _told(stage: str, watch: Watch) -> dict[str, float]:
    lap = watch.lap()
    _say(f"{stage}: {lap['peak_gb']:.2f} GB at most, {lap['after_gb']:.2f} GB after, "
         f"CPU {lap['cpu_s']:.0f} s, wall {lap['wall_s']:.0f} s")  # fmt: skip
    return lap


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
