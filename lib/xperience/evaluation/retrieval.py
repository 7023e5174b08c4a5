"""Retrieval analysis: what the scores of a retrieval leave open.

- *Is it more than chance?* Neighbouring windows resemble each other, as queries and as candidates,
  so even unrelated streams give ranks in long runs. The control that keeps those runs shifts
  queries and candidates against each other in time, as a circle.
- *Is it near in time?* Windows overlap; the neighbour of the true one is nearly the same answer.
- *Is it within-action retrieval, or between-action retrieval only?* Whoever recognises the spot
  where an action goes on ranks the whole action first, and tells none of its windows apart.

Functions that end in ``_rows`` return rows; ``base`` holds the fields that all of them share.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from xperience.evaluation.intervals import Interval, Segmentation, interval, interval_fields
from xperience.evaluation.metrics import TIE, Ranks, cosine, ranks
from xperience.evaluation.predictions import Prediction
from xperience.evaluation.records import Record
from xperience.features.windows import WINDOW_FRAMES
from xperience.tasks.problem import Problem
from xperience.tasks.targets import window_labels

SHIFTED, CEILING = "time_shifted", "equal_targets_ceiling"
"""Variants of rows: pairings shifted in time; the best that equal true vectors allow."""
WITHIN, BETWEEN = "within_action_auc", "across_action_auc"
AUC_CHANCE = 0.5
N_ROTATIONS, ROTATION_SEED = 499, 7
KINDS = ("hit", "near miss", "failure")


@dataclass(frozen=True)
class Ranking:
    """Every query of a retrieval against every candidate, in time order."""

    task: str
    contract: str
    similarity: np.ndarray  # cosine of query i (row) and candidate j, (n, n); i is i's own
    centers: np.ndarray  # centre frames, int (n,)
    targets: np.ndarray  # true vectors, (n, n_values)
    actions: tuple[str | None, ...]  # of each window; None without a label
    segmentation: Segmentation

    @classmethod
    def of(cls, problem: Problem, prediction: Prediction) -> "Ranking":
        """Return the ranking that a prediction makes of a retrieval's candidates."""
        order = problem.by_time
        truth = np.asarray(problem.test_targets)[order]
        predicted = np.asarray(prediction.predicted)[order]
        sides = (predicted, truth) if problem.task.query == "prediction" else (truth, predicted)
        places = problem.split.test[order]
        actions = [None] * len(places)
        if "captions" not in problem.truth.missing:
            actions = window_labels("action")(problem.truth, problem.samples.members[places])
        return cls(
            problem.task.name,
            problem.contract,
            cosine(*sides),
            problem.samples.centers[places],
            truth,
            tuple(actions),
            Segmentation(min_length=problem.min_segment),
        )

    def __len__(self) -> int:
        return len(self.similarity)

    @cached_property
    def ranks(self) -> Ranks:
        """Where each query's own candidate stands; equal ones share their places."""
        return ranks(self.similarity)

    @cached_property
    def distance_frames(self) -> np.ndarray:
        """Frames between the centres of two windows, int (n, n)."""
        return np.abs(self.centers[:, None] - self.centers)

    @cached_property
    def first(self) -> np.ndarray:
        """The most similar candidate of each query, the earlier of equal ones, int (n,)."""
        best = self.similarity.max(axis=1, keepdims=True)
        return (self.similarity >= best - TIE).argmax(axis=1)

    @property
    def first_distance_frames(self) -> np.ndarray:
        """Frames from the centre of each query's window to its first answer's, int (n,)."""
        return self.distance_frames[np.arange(len(self)), self.first]

    @cached_property
    def twins(self) -> np.ndarray:
        """How many windows have the same true vector, the window's own included, int (n,)."""
        _, group, size = np.unique(self.targets, axis=0, return_inverse=True, return_counts=True)
        return size[group.reshape(-1)]

    @property
    def n_distinct(self) -> int:
        """True vectors that differ from each other."""
        return round(float((1 / self.twins).sum()))

    def curve_ceiling(self, depths: np.ndarray) -> np.ndarray:
        """Return the best share found among the first k that equal true vectors allow, (n_depths,).

        Of m windows with equal features, k are among the first k at best.
        """
        return np.array([np.minimum(1, k / self.twins).mean() for k in depths])

    @property
    def mrr(self) -> float:
        """Mean reciprocal rank; equal candidates share their places."""
        return float(self.ranks.expected_reciprocal.mean())

    @property
    def mrr_ceiling(self) -> float:
        """The best mean reciprocal rank that windows with equal true vectors allow."""
        harmonic = np.cumsum(1 / np.arange(1, len(self) + 1))
        return float((harmonic[self.twins - 1] / self.twins).mean())

    def mean(self, values: np.ndarray) -> Interval:
        """Return the interval of a mean over queries, NaN left out, from 0 to 1."""
        known = values[np.isfinite(values)]
        return interval(lambda w: w @ known / w.sum(axis=1), len(known), self.segmentation, (0, 1))


def curve(found: Ranks, depths: np.ndarray) -> np.ndarray:
    """Return the share of queries whose own candidate is among the first k, (…, n_depths)."""
    return np.stack([found.expected_top(int(k)).mean(axis=-1) for k in depths], axis=-1)


def _row(base: Mapping[str, Any], metric: str, value: float | None, **more: Any) -> Record:
    """Return a row; without a value it is skipped."""
    status = "ok" if value is not None else "skipped"
    return Record(**{**base, "metric": metric, "value": value, "status": status, **more})


def _share_row(
    ranking: Ranking, values: np.ndarray, floor: float, base: Mapping[str, Any], metric: str
) -> Record:
    """Return the row of a mean over queries beside what chance gives."""
    found = ranking.mean(values)
    if found.estimate is None:
        return _row(base, metric, None, reason=found.reason, higher_is_better=True)
    skill = (found.estimate - floor) / (1 - floor) if floor < 1 else None
    beside = {"floor": floor, "floor_name": "chance", "skill": skill, "higher_is_better": True}
    return _row(base, metric, found.estimate, **interval_fields(found), **beside)


# --- chance -----------------------------------------------------------------------------------


def circular_shifts(ranking: Ranking) -> Ranks | None:
    """Return the ranks of pairings shifted in time, or None if the windows are too few to shift.

    Query i meets candidate i + s, the last followed by the first. Shifts that leave the pair with
    common frames are left out. Under the null that time doesn't matter, and if the recording is
    the same kind of thing throughout, every shift is as likely to score best as none.

    Returns
    -------
    Ranks
        Whose arrays have the shape (n_shifts, n).
    """
    n = len(ranking)
    near = int((ranking.distance_frames[0] < WINDOW_FRAMES).sum())
    shifts = np.arange(near, n - near + 1)
    if len(shifts) < 2:
        return None
    better, tied = np.empty((n, n), int), np.empty((n, n), int)
    for row, values in enumerate(ranking.similarity):
        known = np.sort(values)
        upto = np.searchsorted(known, values + TIE, side="right")
        better[row] = n - upto
        tied[row] = upto - np.searchsorted(known, values - TIE, side="left") - 1
    rows = np.arange(n)
    columns = (rows + shifts[:, None]) % n
    return Ranks(better[rows, columns], tied[rows, columns], tied[rows, columns], n)


def shift_p(ranking: Ranking, shifts: Ranks) -> float:
    """Return the share of shifts, the true pairing counted as one, whose MRR is as high."""
    reached = shifts.expected_reciprocal.mean(axis=1) >= ranking.mrr - TIE
    return float((1 + reached.sum()) / (1 + len(reached)))


def chance_rows(
    ranking: Ranking, shifts: Ranks | None, base: Mapping[str, Any]
) -> Iterator[Record]:
    """Yield the counts of candidates, the ceiling of equal targets, and the shifts' scores."""
    yield _row(base, "candidates", len(ranking), unit="window")
    yield _row(base, "distinct_candidates", ranking.n_distinct, unit="window")
    yield _row(base, "mrr", ranking.mrr_ceiling, variant=CEILING, higher_is_better=True)
    shifted = {"variant": SHIFTED, "higher_is_better": True}
    if shifts is None:
        why = f"{len(ranking)} test windows: every shift leaves the pair with common frames"
        yield _row(base, "mrr", None, reason=why, **shifted)
        return
    yield _row(base, "mrr", float(shifts.expected_reciprocal.mean(axis=1).mean()), **shifted)
    yield _row(base, "mrr_shift_p", shift_p(ranking, shifts), higher_is_better=False)


# --- tolerance in time ------------------------------------------------------------------------


def within_tolerance(ranking: Ranking, tolerance_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the ranks if every window within some frames of the true one counts as a hit.

    The expected rank of the first hit, and the chance that the first answer is a hit, float (n,)
    each; the latter is 0 or 1 unless candidates tie.
    """
    hits = ranking.distance_frames <= tolerance_frames
    best = np.where(hits, ranking.similarity, -np.inf).max(axis=1, keepdims=True)
    same = np.abs(ranking.similarity - best) <= TIE
    better = ((ranking.similarity > best) & ~same).sum(axis=1)
    own, others = (same & hits).sum(axis=1), (same & ~hits).sum(axis=1)
    rank = better + (own + others + 1) / (own + 1)
    return rank, np.where(better == 0, own / (own + others), 0.0)


def chance_within_tolerance(ranking: Ranking, tolerance_frames: int) -> tuple[float, float]:
    """Return what candidates in random order give: the median rank, the share of first answers."""
    n, n_hits = len(ranking), (ranking.distance_frames <= tolerance_frames).sum(axis=1)
    places = np.arange(n)
    free = np.maximum(n - n_hits[:, None] - places, 0) / (n - places)  # (n_queries, n)
    reached = 1 - np.cumprod(free, axis=1).mean(axis=0)  # (n,): the first hit is at most there
    return float(1 + (reached >= 0.5).argmax()), float((n_hits / n).mean())


def tolerance_rows(
    ranking: Ranking, tolerances_frames: Sequence[int], base: Mapping[str, Any]
) -> Iterator[Record]:
    """Yield ranks and first answers at tolerances, and how far away the first answers are."""
    for frames in tolerances_frames:
        rank, first = within_tolerance(ranking, frames)
        chance_rank, chance_first = chance_within_tolerance(ranking, frames)
        own = {**base, "variant": f"within {frames} frames"}
        floor = {"floor": chance_rank, "floor_name": "chance", "higher_is_better": False}
        yield _row(own, "median_rank", float(np.median(rank)), unit="rank", **floor)
        yield _share_row(ranking, first, chance_first, own, "top1_accuracy")
    away = float(np.median(ranking.first_distance_frames))
    yield _row(base, "median_answer_distance", away, unit="frame", higher_is_better=False)


# --- within and between actions ---------------------------------------------------------------


def within_and_between(ranking: Ranking) -> tuple[np.ndarray, np.ndarray, float | None]:
    """Return what the true candidate beats among its own action's and other actions' candidates.

    The share of those candidates, without common frames, that rank below the true one, ties half,
    float (n,) each: 0.5 is chance, NaN where there is none. And the share of pairings rotated
    within actions whose mean share within is as high; None without any.
    """
    names = list(dict.fromkeys(name for name in ranking.actions if name is not None))
    code = np.array([names.index(a) if a is not None else -1 for a in ranking.actions])
    apart = ranking.distance_frames >= WINDOW_FRAMES
    others = (code[:, None] >= 0) & (code >= 0) & (code[:, None] != code)
    own = ranking.similarity.diagonal()[:, None]
    between = _beaten(own, ranking.similarity, apart & others)
    within = np.full(len(ranking), np.nan)
    beats = []  # of each action: what each candidate beats of it, by query
    for block in (np.flatnonzero(code == number) for number in range(len(names))):
        similarity, counted = ranking.similarity[np.ix_(block, block)], apart[np.ix_(block, block)]
        beats.append(np.array([_beaten(row[:, None], row[None], counted) for row in similarity]))
        within[block] = beats[-1].diagonal()
    return within, between, _rotation_p(beats)


def _beaten(own: np.ndarray, others: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Return the share of counted candidates below ``own``, ties half, over the last axis."""
    below = (others < own - TIE) + 0.5 * (np.abs(others - own) <= TIE)
    total = counted.sum(axis=-1)
    share = (below * counted).sum(axis=-1)
    return np.divide(share, total, out=np.full(share.shape, np.nan), where=total > 0)


def _rotation_p(beats: Sequence[np.ndarray]) -> float | None:
    """Return how often pairings rotated within their actions do as well as the true one."""
    known = [one for one in beats if len(one) > 1 and np.isfinite(one.diagonal()).any()]
    if not known:
        return None
    rng = np.random.default_rng(ROTATION_SEED)
    reached = np.zeros(N_ROTATIONS)
    for rotation in range(N_ROTATIONS):
        turned = [np.roll(one, int(rng.integers(len(one))), axis=1).diagonal() for one in known]
        reached[rotation] = np.nanmean(np.concatenate(turned))
    mean = np.nanmean(np.concatenate([one.diagonal() for one in known]))
    return float((1 + (reached >= mean - TIE).sum()) / (1 + N_ROTATIONS))


def action_rows(ranking: Ranking, base: Mapping[str, Any]) -> Iterator[Record]:
    """Yield within-action and between-action retrieval, of all queries and of each action."""
    within, between, p_within = within_and_between(ranking)
    names = dict.fromkeys(name for name in ranking.actions if name is not None)
    for metric, values in ((WITHIN, within), (BETWEEN, between)):
        if not np.isfinite(values).any():
            why = "no two test windows of this kind without common frames"
            why = why if names else "no test window has an action"
            yield _row(base, metric, None, reason=why, higher_is_better=True)
            continue
        yield _share_row(ranking, values, AUC_CHANCE, base, metric)
        for name in names:
            mine = values[[action == name for action in ranking.actions]]
            if np.isfinite(mine).any():
                own = {**base, "variant": f"action: {name}", "n_test": len(mine)}
                yield _row(own, metric, float(np.nanmean(mine)), higher_is_better=True)
    if p_within is not None:
        yield _row(base, "within_action_rotation_p", p_within, higher_is_better=False)


def standard_rows(similarity: np.ndarray) -> np.ndarray:
    """Return similarities in standard deviations from their query's mean, (n, n)."""
    middle = similarity - similarity.mean(axis=1, keepdims=True)
    spread = similarity.std(axis=1, keepdims=True)
    return np.divide(middle, spread, out=np.zeros_like(middle), where=spread > TIE)


def similarity_rows(ranking: Ranking, base: Mapping[str, Any]) -> Iterator[Record]:
    """Yield the mean similarity of kinds of pairs, in deviations of a query's similarities.

    A query and its own window, candidates of its action without common frames, and those of other
    actions: alignment in time shows in the first, memory of the scene in the second.
    """
    scores = standard_rows(ranking.similarity)
    labels = np.array([name or "" for name in ranking.actions])
    known = (labels[:, None] != "") & (labels != "")
    same, apart = labels[:, None] == labels, ranking.distance_frames >= WINDOW_FRAMES
    kinds = {
        "own window": np.eye(len(ranking), dtype=bool),
        "same action": known & same & apart,
        "elsewhere": known & ~same & apart,
    }
    for name, kind in kinds.items():
        value = float(scores[kind].mean()) if kind.any() else None
        why = {} if kind.any() else {"reason": "no test windows of this kind"}
        yield _row(base, "similarity", value, unit="sd", variant=name, **why)


# --- examples ---------------------------------------------------------------------------------


def queries_by_kind(ranking: Ranking, near_frames: int) -> dict[str, np.ndarray]:
    """Return the queries of each kind, by how similar their first answer is, int arrays.

    A *hit* answers with the window itself, a *near miss* with one whose centre is this near, a
    *failure* with one farther away.
    """
    rows = np.arange(len(ranking))
    hit, close = ranking.first == rows, ranking.first_distance_frames <= near_frames
    order = np.argsort(ranking.similarity[rows, ranking.first], kind="stable")
    kinds = zip(KINDS, (hit, ~hit & close, ~close), strict=True)
    return {kind: order[alike[order]] for kind, alike in kinds}
