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

from xperience.evaluation.ablation import Ablation, ablations, comparison_rows, variant_rows
from xperience.evaluation.predictions import AUDIO_HEADS, Prediction, predict_all
from xperience.features.audio import logmel_windows
from xperience.features.sound import sound_windows
from xperience.features.table import WindowTable
from xperience.models import gram, linear
from xperience.recording.recording import Recording
from xperience.tasks.audio import (
    OTHER_SOUND,
    WITH_SOUND,
    audio_problems,
    published_variants,
    with_sound,
)
from xperience.tasks.problem import Problem

BASE = {"run": "bench", "section": "audio"}
Fits = dict[tuple[str, str], tuple[Problem, Prediction]]
"""{(task, variant): problem and its prediction}."""


def timed(work: Callable) -> tuple[float, object]:
    """Return the seconds that work took, and its result."""
    before = time.perf_counter()
    result = work()
    return time.perf_counter() - before, result


def fit_all(episode: Path, table: WindowTable) -> Fits:
    """Fit every variant of every task, sharing what they have in common."""
    inputs = {
        (problem.task.name, variant): with_sound(problem, blocks)
        for problem in audio_problems(episode, table)
        for variant, blocks in published_variants("published").items()
    }
    predicted = predict_all(list(inputs.values()), AUDIO_HEADS["published"][1])
    return {key: (inputs[key], one) for key, (one,) in zip(inputs, predicted, strict=True)}


def inputs_of(problem: Problem) -> np.ndarray:
    """Return a problem's inputs written out and z-scored, a column of ones appended."""
    members = problem.samples.members
    parts = []
    for piece in problem.input_pieces:
        values = np.concatenate([problem.blocks.filled(name) for name in piece.blocks], axis=1)
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


def predict_directly(problem: Problem) -> np.ndarray:
    """Return one fit's test values, from inputs of its own."""
    z, y = inputs_of(problem), targets(problem)
    fit, test = z[problem.split.train], z[problem.split.test]
    n, d = fit.shape
    penalty = linear.RIDGE_PENALTY * np.eye(min(n, d), dtype=np.float32)
    if d <= n:
        return test @ solve(fit.T @ fit + penalty, fit.T @ y, assume_a="pos")
    return test @ (fit.T @ solve(fit @ fit.T + penalty, y, assume_a="pos"))


def agree(problem: Problem, ours: Prediction, values: np.ndarray) -> float:
    """Return the share of test samples (of values, for vectors) that agree with ours."""
    if problem.task.kind == "classify":
        said = [problem.labels[code] for code in values.argmax(axis=1)]
        return float(np.mean([a == b for a, b in zip(said, ours.predicted, strict=True)]))
    if problem.task.kind == "multilabel":
        chosen = problem.membership(ours.predicted)
        return float((chosen == linear.chosen_sets(values)).mean())
    return float(np.isclose(values, ours.predicted, rtol=0.01, atol=0.01).mean())


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
    study, direct, fits = [], [], {}
    for _ in range(args.rounds):
        spent, fits = timed(lambda: fit_all(args.episode, table))
        study.append(spent)
        if args.direct:
            direct.append(fit_directly(fits))
    print(f"{len(fits)} fits with features read: {min(study):6.2f} s, least of {args.rounds}")
    if direct:
        print(f"direct fits: {min(direct):6.2f} s, ratio {min(direct) / min(study):.1f}")
    if args.rows:
        print_parts(args.episode, table, fits)
    return 0 if min(study) <= args.target else 1


def fit_directly(fits: Fits) -> float:
    """Fit every variant on its own; print where it disagrees with ours, return the seconds."""
    total = 0.0
    for (task, variant), (problem, ours) in fits.items():
        spent, values = timed(lambda problem=problem: predict_directly(problem))
        total += spent
        share = agree(problem, ours, values)
        if share < 1:
            print(f"  {task:26s} {variant:30s} {share:8.3%} agree")
    return total


def all_rows(found: list[Ablation]) -> None:
    """Compute every row of the study."""
    variant_rows(found, BASE)
    for pair in (WITH_SOUND, OTHER_SOUND):
        comparison_rows(found, pair, BASE)


def print_parts(folder: Path, table: WindowTable, fits: Fits) -> None:
    """Print what features and rows take on their own."""
    starts = table.labels["start_frame"].to_numpy()
    with Recording(folder) as episode:
        print(f"log-mel: {timed(lambda: logmel_windows(episode, starts))[0]:6.2f} s")
        print(f"librosa: {timed(lambda: sound_windows(episode, starts))[0]:6.2f} s")
    problems = {key: problem for key, (problem, _) in fits.items()}
    found = list(ablations("ridge", problems, [[one] for _, one in fits.values()]).values())
    print(f"72 rows: {timed(lambda: variant_rows(found, BASE, every=False))[0]:6.2f} s")
    print(f"all rows:{timed(lambda: all_rows(found))[0]:6.2f} s")


if __name__ == "__main__":
    sys.exit(main())
