"""The linear suite of twelve tasks, ours against a direct implementation, in one paired run.

Both start from the same feature matrix (1,161 windows × 8,546 features unless told otherwise) and
end with test predictions. The direct one is `tests/models/direct.py`: z-scored rows held whole,
pairs of windows written out, every epoch of gradient descent over every feature.

    python benchmarks/suite.py [--windows W.parquet --episode EPISODE] [--rounds N] [--exact]
                               [--heads linear,neural]

With ``--heads`` these are trained on all tasks, one seed each, as `xperience suite` does, with one
worker and with two: wall and CPU seconds of both.

Without a windows table the features are drawn: slow common signals, noise, constant columns. Their
gradient descent is sensitive to rounding, so float32 alone tips a few predictions against float64:
``--exact`` shows whose they are. Exit status 1 if the ratio of all tasks misses the target.
"""

import argparse
import importlib.util
import statistics
import sys
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from xperience.evaluation.predictions import predict_heads, published_linear
from xperience.features.blocks import BLOCKS
from xperience.features.table import WindowTable
from xperience.features.windows import window_starts
from xperience.models import linear
from xperience.recording.recording import Recording
from xperience.tasks.catalogue import TASKS, tasks_of
from xperience.tasks.problem import Blocks, Problem, build
from xperience.tasks.truth import Truth

_PATH = Path(__file__).parents[1] / "tests" / "models" / "direct.py"
_SPEC = importlib.util.spec_from_file_location("direct", _PATH)
direct = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(direct)

N_CLASSES, N_OBJECTS, ACTION_FRAMES = 18, 34, 90
MARGIN = 1e-3


class DrawnBlocks:
    """Drawn feature blocks with the habits of real ones; no nulls."""

    missing: ClassVar[dict[str, str]] = {}

    def __init__(self, n_windows: int, seed: int = 0):
        rng = np.random.default_rng(seed)
        slow = np.cumsum(rng.normal(0, 0.3, (n_windows, 40)), axis=0)
        slow -= slow.mean(axis=0)
        self._values = {block.name: self._draw(block.dim, slow, rng) for block in BLOCKS}

    @staticmethod
    def _draw(dim: int, slow: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return slow signals, mixed and with noise, a tenth of the columns constant."""
        values = slow @ rng.normal(0, 0.3, (slow.shape[1], dim)) * rng.lognormal(0, 1, dim)
        values += rng.normal(0, 1, values.shape) * rng.lognormal(-1, 1, dim)
        values[:, rng.random(dim) < 0.1] = rng.normal(0, 10)
        return values.astype(np.float32)

    def filled(self, name: str) -> np.ndarray:
        return self._values[name]

    raw = filled

    def notes(self, *_) -> list[str]:
        return []


def drawn_truth(n_frames: int, seed: int = 1) -> Truth:
    """Return labels that change every few seconds, hands that wander, contacts now and then."""
    rng = np.random.default_rng(seed)
    runs = np.repeat(rng.integers(0, N_CLASSES, n_frames // ACTION_FRAMES + 1), ACTION_FRAMES)
    sets = np.repeat(rng.random((len(runs) // ACTION_FRAMES, N_OBJECTS)) < 0.1, ACTION_FRAMES, 0)
    labels = [f"action {code}" for code in runs[:n_frames]]
    hands = np.cumsum(rng.normal(0, 0.005, (n_frames, 42, 3)), axis=0).astype(np.float32)
    return Truth(
        n_frames=n_frames,
        starts=window_starts(n_frames),
        action=labels,
        subtask=[label.replace("action", "step") for label in labels],
        objects=[tuple(f"object {i}" for i in np.flatnonzero(row)) for row in sets[:n_frames]],
        hands=hands,
        contacts=(rng.random((n_frames, 21)) < 0.002).astype(np.float32),
    )


def answer_directly(problem: Problem, blocks, dtype=np.float32) -> np.ndarray:
    """Return what the direct implementation says: probabilities or vectors."""
    made = problem.design
    rows = direct.samples(made.parts, blocks.filled)
    sides = direct.z_scored(rows, made.train, made.test)
    z, z_test = (side.astype(dtype, copy=False) for side in sides)
    if problem.task.kind == "classify":
        return direct.softmax(z, z_test, problem.train_codes, len(problem.labels))[0]
    if problem.task.kind == "multilabel":
        members = problem.membership(problem.train_targets)
        return direct.logistic(z, z_test, members)
    return direct.ridge(z, z_test, np.asarray(problem.train_targets))


def agreement(problem: Problem, answer, reference: np.ndarray) -> str:
    """Return how far predictions agree with the direct ones, in words."""
    if problem.task.kind == "classify":
        own, other = answer.confidence.argmax(axis=1), reference.argmax(axis=1)
        ordered = np.sort(reference, axis=1)
        close = ordered[:, -1] - ordered[:, -2] < MARGIN
        tipped = own != other
        return f"{(~tipped).mean():7.2%} equal, {(tipped & ~close).sum()} tip beyond the margin"
    if problem.task.kind == "multilabel":
        own, other = (linear.chosen_sets(p) for p in (answer.confidence, reference))
        tipped, close = own != other, np.abs(reference - 0.5) < MARGIN
        return f"{(~tipped).mean():7.2%} equal, {(tipped & ~close).sum()} tip beyond the margin"
    error = np.abs(answer.predicted - reference).max() / np.abs(reference).max()
    return f"largest error {error:.0e} of the largest value"


def timed(work) -> tuple[float, object]:
    """Return the seconds that work took, and its result."""
    before = time.perf_counter()
    result = work()
    return time.perf_counter() - before, result


def problems_of(args) -> tuple[list[Problem], object]:
    """Return the twelve tasks as problems, and their features."""
    if args.windows:
        table = WindowTable(args.windows)
        with Recording(args.episode) as episode:
            truth = Truth.of(episode, table.labels["start_frame"].to_numpy())
        blocks = Blocks(table, table.info.missing_blocks)
    else:
        truth = drawn_truth(args.frames)
        blocks = DrawnBlocks(len(truth.starts))
    problems = [build(task, truth, blocks) for task in tasks_of("published", TASKS)]
    for block in BLOCKS:
        blocks.filled(block.name)  # read before any clock starts
    return [one for one in problems if one.ok], blocks


def main() -> int:
    """Print one row per task, then all together; status 1 if the target is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--windows", type=Path, help="a windows table; features are drawn without")
    parser.add_argument("--episode", type=Path, help="the recording of that table")
    parser.add_argument("--frames", type=int, default=5821, help="length of drawn recordings")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="of BLAS, for both")
    parser.add_argument("--exact", action="store_true", help="compare with float64 too (slow)")
    parser.add_argument("--heads", default="", help="heads to train side by side")
    parser.add_argument("--target", type=float, default=10.0, help="ratio that must be reached")
    args = parser.parse_args()
    problems, blocks = problems_of(args)
    for workers in (1, 2) if args.heads else ():
        began = time.perf_counter(), time.process_time()
        predict_heads(problems, args.heads.split(","), 1, workers)
        wall, cpu = time.perf_counter() - began[0], time.process_time() - began[1]
        print(f"{args.heads}, workers {workers}: wall {wall:.1f} s, CPU {cpu:.1f} s", flush=True)
    torch.set_num_threads(args.threads)
    with threadpool_limits(limits=args.threads):
        ratios = [paired(problems, blocks, args.exact) for _ in range(args.rounds)]
    return 0 if statistics.median(ratios) >= args.target else 1


def paired(problems: list[Problem], blocks, exact: bool) -> float:
    """Print one row per task; return how much faster ours is.

    Ours is timed before, amid and after the direct runs, and the middle time counts: other work on
    the machine then weighs on both.
    """
    ours, answers = timed(lambda: dict(published_linear(problems)))
    own, total = [ours], 0.0
    print(f"{'task':26s} {'direct s':>9}  agreement")
    for place, problem in enumerate(problems):
        spent, reference = timed(lambda problem=problem: answer_directly(problem, blocks))
        total += spent
        said = agreement(problem, answers[place][0], reference)
        print(f"{problem.task.name:26s} {spent:9.2f}  {said}", flush=True)
        if exact:
            exactly = answer_directly(problem, blocks, np.float64)
            said = agreement(problem, answers[place][0], exactly)
            print(f"{'  the direct one in float64':36s}  {said}", flush=True)
        if place in (len(problems) // 2, len(problems) - 1):
            own.append(timed(lambda: dict(published_linear(problems)))[0])
    ours = statistics.median(own)
    print(f"all: direct {total:.2f} s, ours {ours:.2f} s, ratio {total / ours:.1f}")
    return total / ours


if __name__ == "__main__":
    sys.exit(main())
