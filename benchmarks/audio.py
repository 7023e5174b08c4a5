"""The audio study's 72 ridge fits, ours against fitting each from its own written-out inputs.

Both start from the same feature blocks, the log-mel block among them, and end with test
predictions. Ours adds block products that variants and tasks share; the direct one z-scores each
variant's whole input, pairs written out, and solves in the smaller of its two dimensions. With
``--rows``, what comes before and after is timed too: log-mel and librosa features, and the rows.

    python benchmarks/audio.py --windows W.parquet --episode EPISODE [--direct] [--rows]

Exit status 1 if the 72 fits, features and log-mel read included, take longer than the target.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.linalg import solve

from xperience.features.sound import sound_windows
from xperience.features.table import WindowTable
from xperience.models import gram, linear
from xperience.recording.recording import Episode
from xperience.studies.audio.rows import study_rows, variant_rows
from xperience.studies.audio.study import blocks_with_sound, run_audio
from xperience.studies.audio.variants import LOGMEL
from xperience.studies.problem import Outcome, Problem


def timed(work: Callable) -> tuple[float, object]:
    """Return the seconds that work took, and its result."""
    before = time.perf_counter()
    result = work()
    return time.perf_counter() - before, result


def inputs(problem: Problem, block: Callable[[str], np.ndarray]) -> np.ndarray:
    """Return a problem's inputs written out and z-scored, a column of ones appended."""
    members = problem.samples.members
    parts = []
    for piece in problem.task.pieces:
        values = np.concatenate([block(name) for name in piece.blocks], axis=1)
        part = values[members[:, piece.member]]
        parts.append(part if piece.minus is None else part - values[members[:, piece.minus]])
    rows = np.concatenate(parts, axis=1)
    mean, std = gram.column_moments(rows[problem.split.train])
    ones = np.ones((len(rows), 1), dtype=np.float32)
    return np.concatenate([(rows - mean) / std, ones], axis=1)


def targets(problem: Problem) -> np.ndarray:
    """Return what ridge regression is fitted to, float32 (n_train, n_outputs)."""
    if problem.task.kind == "classify":
        return np.eye(len(problem.labels), dtype=np.float32)[problem.train_codes]
    if problem.task.kind == "multilabel":
        return problem.membership(problem.train_targets).astype(np.float32)
    return np.asarray(problem.train_targets, dtype=np.float32)


def answer_directly(problem: Problem, block: Callable[[str], np.ndarray]) -> np.ndarray:
    """Return one fit's test values, from inputs of its own."""
    z, y = inputs(problem, block), targets(problem)
    fit, test = z[problem.split.train], z[problem.split.test]
    n, d = fit.shape
    penalty = linear.RIDGE_PENALTY * np.eye(min(n, d), dtype=np.float32)
    if d <= n:
        return test @ solve(fit.T @ fit + penalty, fit.T @ y, assume_a="pos")
    return test @ (fit.T @ solve(fit @ fit.T + penalty, y, assume_a="pos"))


def agree(one: Outcome, values: np.ndarray) -> float:
    """Return the share of test samples (of values, for vectors) that agree with ours."""
    if one.task.kind == "classify":
        said = [one.problem.labels[code] for code in values.argmax(axis=1)]
        return float(np.mean([a == b for a, b in zip(said, one.answer.predicted, strict=True)]))
    if one.task.kind == "multilabel":
        ours = one.problem.membership(one.answer.predicted)
        return float((ours == linear.chosen_sets(values)).mean())
    return float(np.isclose(values, one.answer.predicted, rtol=0.01, atol=0.01).mean())


def main() -> int:
    """Print the seconds of each part, least of the rounds; status 1 if the target is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--windows", type=Path, required=True)
    parser.add_argument("--episode", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--direct", action="store_true", help="fit each variant on its own too")
    parser.add_argument("--rows", action="store_true", help="time rows with intervals too")
    parser.add_argument("--target", type=float, default=20.0, help="seconds for the 72 fits")
    args = parser.parse_args()
    table = WindowTable(args.windows)
    study, direct, outcomes = [], [], []
    for _ in range(args.rounds):
        spent, outcomes = timed(lambda: list(run_audio(args.episode, table)))
        study.append(spent)
        if args.direct:
            direct.append(fit_directly(args.episode, table, outcomes))
    print(f"{len(outcomes)} fits with features read: {min(study):6.2f} s, least of {args.rounds}")
    if direct:
        print(f"direct fits: {min(direct):6.2f} s, ratio {min(direct) / min(study):.1f}")
    if args.rows:
        print_parts(args.episode, table, outcomes)
    return 0 if min(study) <= args.target else 1


def fit_directly(episode: Path, table: WindowTable, outcomes: list[Outcome]) -> float:
    """Fit every variant on its own; print where it disagrees with ours, return the seconds."""
    blocks = blocks_with_sound(episode, table, LOGMEL)
    total = 0.0
    for one in outcomes:
        spent, values = timed(lambda one=one: answer_directly(one.problem, blocks.filled))
        total += spent
        share = agree(one, values)
        if share < 1:
            print(f"  {one.task.name:26s} {one.task.variant:30s} {share:8.3%} agree")
    return total


def print_parts(folder: Path, table: WindowTable, outcomes: list[Outcome]) -> None:
    """Print what features and rows take on their own."""
    starts = table.labels["start_frame"].to_numpy()
    with Episode(folder) as episode:
        print(f"log-mel: {timed(lambda: LOGMEL.compute(episode, starts))[0]:6.2f} s")
        print(f"librosa: {timed(lambda: sound_windows(episode, starts))[0]:6.2f} s")
    print(f"72 rows: {timed(lambda: variant_rows(outcomes, 'bench'))[0]:6.2f} s")
    print(f"all rows:{timed(lambda: study_rows(outcomes, 'bench'))[0]:6.2f} s")


if __name__ == "__main__":
    sys.exit(main())
