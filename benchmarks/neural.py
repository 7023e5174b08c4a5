"""The published network on the twelve tasks, ours against the plain mini-batch loop, paired.

Both start from the same feature blocks and end with test predictions. The plain loop is
`tests/models/direct_neural.py`: samples z-scored and written out, nn.Module, shuffled batches,
AdamW as PyTorch has it. Tasks are trained a few epochs at a time in turns, and the shortest time of
an epoch counts, so that other work on the machine weighs on both; what comes before and after the
epochs is timed once and added. With ``--quality`` both are trained to the end for some seeds and
their scores compared.

    python benchmarks/neural.py [--windows W.parquet --episode EPISODE] [--quality SEEDS]
                                [--tasks TASK …] [--rounds N] [--json OUT.json]

Without a windows table features are drawn. Exit status 1 if the ratio of all tasks misses the
target.
"""

import argparse
import importlib.util
import json
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import f1_score
from suite import direct, problems_of
from threadpoolctl import threadpool_limits
from torch.nn import functional

from xperience.models import linear, mlp
from xperience.models.goals import Goal, Objective

_PATH = Path(__file__).parents[1] / "tests" / "models" / "direct_neural.py"
_SPEC = importlib.util.spec_from_file_location("direct_neural", _PATH)
direct_neural = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(direct_neural)

EPOCHS = mlp.PUBLISHED.epochs


@dataclass
class Row:
    """Seconds of one seed of a task, and mean scores over seeds."""

    task: str
    direct_s: float
    ours_s: float
    metric: str = ""
    direct_scores: tuple[float, ...] = ()
    ours_scores: tuple[float, ...] = ()

    @property
    def ratio(self) -> float:
        return self.direct_s / self.ours_s

    def text(self) -> str:
        said = f"{self.task:26s} {self.direct_s:8.2f} {self.ours_s:8.2f} {self.ratio:6.2f}"
        if not self.ours_scores:
            return said
        sides = [
            f"{np.mean(scores):.4f} ± {np.std(scores):.4f}"
            for scores in (self.direct_scores, self.ours_scores)
        ]
        return f"{said}   {self.metric:9s} {sides[0]:17s} {sides[1]:17s}"


def goal_of(problem) -> Goal:
    """Return what a problem asks a head for."""
    if problem.task.kind == "classify":
        return Goal("classify", problem.train_codes, len(problem.labels))
    if problem.task.kind == "multilabel":
        members = problem.membership(problem.train_targets)
        return Goal("multilabel", members, len(problem.labels))
    vectors = np.asarray(problem.train_targets, np.float32)
    return Goal("vectors", vectors, vectors.shape[1])


def score(problem, answer: np.ndarray) -> tuple[str, float]:
    """Return a name and a score that needs nothing but the answer."""
    if problem.task.kind == "classify":
        code = {label: place for place, label in enumerate(problem.labels)}
        truth = np.array([code[label] for label in problem.test_targets])
        options = {"average": "macro", "labels": np.unique(truth), "zero_division": 0}
        return "macro-F1", f1_score(truth, answer.argmax(axis=1), **options)
    if problem.task.kind == "multilabel":
        truth = problem.membership(problem.test_targets)
        return "micro-F1", f1_score(truth, linear.chosen_sets(answer), average="micro")
    truth = np.asarray(problem.test_targets, np.float64)
    return "MAE", float(np.abs(answer - truth).mean())


class Ours:
    """Our network on a problem, step by step."""

    def __init__(self, problem, blocks, seed: int):
        goal = goal_of(problem)
        sides = mlp.normalised(problem.design, blocks.filled)
        train, self._test = (torch.from_numpy(side) for side in sides)
        self._objective = Objective(goal, device="cpu")
        self._network = mlp.Network(train, goal.n_outputs, seed, mlp.PUBLISHED)

    def epoch(self) -> None:
        self._network.epoch(self._objective)

    def answer(self) -> np.ndarray:
        return self._objective.answers(self._network.outputs(self._test))


class Direct:
    """The plain loop on a problem, step by step."""

    def __init__(self, problem, blocks, seed: int):
        goal, made = goal_of(problem), problem.design
        rows = direct.samples(made.parts, blocks.filled)
        sides = direct.z_scored(rows, made.train, made.test)
        self._z, self._z_test = (torch.from_numpy(side) for side in sides)
        self._objective = Objective(goal, device="cpu")
        torch.manual_seed(seed)
        self._model = direct_neural.network(rows.shape[1], goal.n_outputs)
        self._adam = direct_neural.adam(self._model)

    def epoch(self) -> None:
        direct_neural.epoch(self._model, self._adam, self._z, self._loss)

    def _loss(self, outputs: torch.Tensor, samples: torch.Tensor) -> torch.Tensor:
        if self._objective.kind == "vectors":
            return functional.mse_loss(outputs, self._objective.targets[samples])
        return self._objective.losses(outputs, samples).mean()

    def answer(self) -> np.ndarray:
        return self._objective.answers(direct_neural.outputs(self._model, self._z_test))


def timed(work) -> tuple[float, object]:
    """Return the seconds that work took, and its result."""
    before = time.perf_counter()
    result = work()
    return time.perf_counter() - before, result


def paired(problem, blocks, rounds: int) -> Row:
    """Return what a seed of a task costs both, from epochs trained in turns."""
    spent = {}
    sides = {}
    for kind in (Direct, Ours):
        spent[kind], sides[kind] = timed(lambda kind=kind: kind(problem, blocks, 7))
    epochs = {kind: [] for kind in sides}
    for _ in range(rounds):
        for kind, side in sides.items():
            epochs[kind].append(timed(side.epoch)[0])
    for kind, side in sides.items():
        spent[kind] += timed(side.answer)[0] + EPOCHS * min(epochs[kind][1:])
    return Row(problem.task.name, spent[Direct], spent[Ours])


def judge(row: Row, problem, blocks, seeds: range) -> None:
    """Train both to the end for each seed, and add their scores to the row."""
    scores = {Direct: [], Ours: []}
    for seed in seeds:
        for kind, found in scores.items():
            side = kind(problem, blocks, seed)
            for _ in range(EPOCHS):
                side.epoch()
            row.metric, value = score(problem, side.answer())
            found.append(value)
    row.direct_scores, row.ours_scores = tuple(scores[Direct]), tuple(scores[Ours])


def main() -> int:
    """Print a row a task, then all together; status 1 if the target is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--windows", type=Path, help="a windows table; features are drawn without")
    parser.add_argument("--episode", type=Path, help="the recording of that table")
    parser.add_argument("--frames", type=int, default=5821, help="length of drawn recordings")
    parser.add_argument("--tasks", nargs="*", help="these only")
    parser.add_argument(
        "--rounds", type=int, default=4, help="epochs of each, the first to warm up"
    )
    parser.add_argument("--quality", type=int, default=0, help="seeds to train to the end")
    parser.add_argument("--threads", type=int, default=1, help="for both")
    parser.add_argument("--json", type=Path, help="write the rows there too")
    parser.add_argument("--target", type=float, default=1.3, help="ratio that must be reached")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    problems, blocks = problems_of(args)
    torch.optim.AdamW([torch.zeros(1)])  # what PyTorch loads on first use is nobody's time
    rows = []
    print(f"{'task':26s} {'direct s':>8} {'ours s':>8} {'ratio':>6}   one seed, {EPOCHS} epochs")
    with threadpool_limits(limits=args.threads):
        for problem in problems:
            if args.tasks and problem.task.name not in args.tasks:
                continue
            rows.append(paired(problem, blocks, max(args.rounds, 2)))
            if args.quality:
                judge(rows[-1], problem, blocks, range(7, 7 + args.quality))
            print(rows[-1].text(), flush=True)
    return conclude(rows, args)


def conclude(rows: list[Row], args) -> int:
    """Print the sum over tasks, write the rows if asked to; return the exit status."""
    sums = [sum(row.direct_s for row in rows), sum(row.ours_s for row in rows)]
    ratio, middle = sums[0] / sums[1], statistics.median(row.ratio for row in rows)
    print(f"{'all':26s} {sums[0]:8.2f} {sums[1]:8.2f} {ratio:6.2f}   median of tasks {middle:.2f}")
    if args.json:
        made = {"threads": args.threads, "ratio": ratio, "rows": [asdict(row) for row in rows]}
        args.json.write_text(json.dumps(made, indent=1) + "\n")
    return 0 if ratio >= args.target else 1


if __name__ == "__main__":
    sys.exit(main())
