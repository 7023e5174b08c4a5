"""Retrieval looked at closely: ranks against chance, hits in time, the place and the moment.

A score of a retrieval says how far up the true window stands. What it doesn't say is asked here:

- *Is it more than chance?* Neighbouring windows resemble each other, on both sides, so even
  unrelated queries and candidates give ranks in long runs. The null that keeps those runs is the
  same similarity matrix with queries and candidates shifted against each other in time.
- *Is it near?* Windows overlap; the neighbour of the true one is nearly the same answer.
- *Is it the moment, or only the place?* Whoever recognises the counter at which all of an action
  goes on ranks the whole action first, and knows nothing about the moment within it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from xperience.features.table import WindowTable
from xperience.features.windows import WINDOW_FRAMES
from xperience.scoring.metrics import cosine
from xperience.scoring.uncertainty import Interval, Resampling, interval
from xperience.scoring.vectors import TIE, Ranks, ranks
from xperience.studies.heads import HEADS, Context
from xperience.studies.problem import Outcome, Problem
from xperience.studies.scores import N_RESAMPLES
from xperience.studies.suite import pose_all
from xperience.tasks.catalogue import AUDIO, MOTION, TASKS_BY_NAME
from xperience.tasks.targets import window_labels
from xperience.tasks.task import Piece

HEAD = "linear"
RETRIEVALS = ("caption_grounding", "cross_modal_retrieval")
RECONSTRUCTION = "modality_reconstruction"
SOURCES = {"motion": MOTION, "audio": AUDIO, "motion and audio": MOTION + AUDIO}
"""Inputs of the reconstruction; the last is the benchmark's own."""

TOLERANCES_FRAMES = (0, 5, 10, 20, 40, 80, 160, 320)
N_ROTATIONS, ROTATION_SEED = 499, 7


def answer(episode: Path | str, table: WindowTable, contract: str) -> dict[str, Outcome]:
    """Return the linear head's answers to the retrievals and to the reconstruction.

    Parameters
    ----------
    episode : path
    table : WindowTable
        The recording's windows under the contract.
    contract : {"published", "corrected"}

    Returns
    -------
    dict of {name: Outcome}
        By task for the retrievals, by input (see ``SOURCES``) for the reconstruction.

    Notes
    -----
    Cross-modal retrieval and the reconstruction from all of its input have the same samples, inputs
    and targets, hence the same answer: it is fitted once.
    """
    words, across = (TASKS_BY_NAME[name] for name in RETRIEVALS)
    rebuilt = TASKS_BY_NAME[RECONSTRUCTION]
    partial = [replace(rebuilt, pieces=(Piece(SOURCES[name]),)) for name in ("motion", "audio")]
    # Only the last one's problem is wanted: its answer is cross-modal retrieval's.
    asked = [words, across, *partial, rebuilt]
    posed, blocks = pose_all(episode, table, contract, asked)
    problems = [one for one in posed[:-1] if isinstance(one, Problem)]
    answers = dict(HEADS[contract][HEAD](problems, Context(blocks)))
    place = iter(range(len(problems)))
    found = [
        Outcome(one.task, HEAD, one, tuple(answers[next(place)]))
        if isinstance(one, Problem)
        else replace(one, head=HEAD)
        for one in posed[:-1]
    ]
    task = posed[-1].task
    problem = found[1].problem and replace(found[1].problem, task=task)
    found.append(replace(found[1], task=task, problem=problem))
    return dict(zip((*RETRIEVALS, *SOURCES), found, strict=True))


@dataclass(frozen=True)
class Ranking:
    """Every query of a retrieval against every candidate, in the order of the recording.

    Parameters
    ----------
    task, contract : str
    similarity : float array, shape (n, n)
        Cosine of query i (row) and candidate j (column); i is i's own.
    windows : int array, shape (n,)
        Places in the windows table.
    centers : int array, shape (n,)
        Centre frames.
    targets : float array, shape (n, n_values)
        The true vectors.
    actions : tuple of str or None, length n
        Each window's action; None without a label.
    resampling : Resampling
        How samples are drawn again for intervals.
    """

    task: str
    contract: str
    similarity: np.ndarray
    windows: np.ndarray
    centers: np.ndarray
    targets: np.ndarray
    actions: tuple[str | None, ...]
    resampling: Resampling

    @classmethod
    def of(cls, outcome: Outcome) -> "Ranking":
        """Return the ranking of a retrieval that has an answer."""
        problem, task = outcome.problem, outcome.task
        order = problem.by_time
        truth = np.asarray(problem.test_targets)[order]
        predicted = np.asarray(outcome.answer.predicted)[order]
        sides = (predicted, truth) if task.query == "prediction" else (truth, predicted)
        places = problem.split.test[order]
        members = problem.samples.members[places]
        captioned = "captions" not in problem.truth.missing
        labels = (
            window_labels("action")(problem.truth, members) if captioned else [None] * len(truth)
        )
        again = Resampling(n_resamples=N_RESAMPLES, min_block=problem.min_block)
        return cls(
            task.name,
            problem.contract,
            cosine(*sides),
            members[:, 0],
            problem.samples.centers[places],
            truth,
            tuple(labels),
            again,
        )

    def __len__(self) -> int:
        return len(self.similarity)

    @cached_property
    def ranks(self) -> Ranks:
        """Where each query's own candidate stands; equal ones share their places."""
        return ranks(self.similarity)

    @cached_property
    def twins(self) -> np.ndarray:
        """How many windows have the same true vector, the window's own included, int (n,)."""
        _, group, size = np.unique(self.targets, axis=0, return_inverse=True, return_counts=True)
        return size[group.reshape(-1)]

    @property
    def n_distinct(self) -> int:
        """True vectors that differ from each other."""
        return round(float((1 / self.twins).sum()))

    @cached_property
    def distance_frames(self) -> np.ndarray:
        """Frames between the centres of two windows, int (n, n)."""
        return np.abs(self.centers[:, None] - self.centers)

    @cached_property
    def answers(self) -> np.ndarray:
        """The most similar candidate of each query, the earlier of equal ones, int (n,)."""
        best = self.similarity.max(axis=1, keepdims=True)
        return (self.similarity >= best - TIE).argmax(axis=1)

    def curve(self, depths: np.ndarray) -> np.ndarray:
        """Return the share of queries whose own candidate is among the first k, (n_depths,)."""
        return np.array([self.ranks.expected_top(int(k)).mean() for k in depths])

    def curve_ceiling(self, depths: np.ndarray) -> np.ndarray:
        """Return the best `curve` that windows with equal true vectors allow, (n_depths,).

        Of m windows that nobody can tell apart, k are among the first k at best.
        """
        return np.array([np.minimum(1, k / self.twins).mean() for k in depths])

    @property
    def mrr_chance(self) -> float:
        """Mean reciprocal rank of random orders, and of any order that is the same for all."""
        return float((1 / np.arange(1, len(self) + 1)).mean())

    @property
    def mrr_ceiling(self) -> float:
        """The best mean reciprocal rank that windows with equal true vectors allow."""
        harmonic = np.cumsum(1 / np.arange(1, len(self) + 1))
        return float((harmonic[self.twins - 1] / self.twins).mean())

    def mean(self, values: np.ndarray) -> Interval:
        """Return the interval of a mean over queries, NaN left out, from 0 to 1."""
        known = values[np.isfinite(values)]
        return interval(lambda w: w @ known / w.sum(axis=1), len(known), self.resampling, (0, 1))


# --- chance that keeps time -------------------------------------------------------------------


@dataclass(frozen=True)
class Shifted:
    """The same similarities, with queries and candidates shifted against each other in time.

    Parameters
    ----------
    depths : int array, shape (n_depths,)
    curves : float array, shape (n_shifts, n_depths)
        See `Ranking.curve`.
    mrr : float array, shape (n_shifts,)
    """

    depths: np.ndarray
    curves: np.ndarray
    mrr: np.ndarray

    @property
    def least_p(self) -> float:
        """The smallest p-value that this many shifts can give."""
        return 1 / (1 + len(self.mrr))

    def p_value(self, mrr: float) -> float:
        """Return the share of shifts, the true pairing counted as one, that score as high."""
        return float((1 + (self.mrr >= mrr - TIE).sum()) / (1 + len(self.mrr)))

    def band(self, level: float = 0.95) -> np.ndarray:
        """Return the lower and upper ends that hold a share of the curves, (2, n_depths)."""
        tail = (1 - level) / 2
        return np.quantile(self.curves, [tail, 1 - tail], axis=0)


def shifted(ranking: Ranking, depths: np.ndarray) -> Shifted | None:
    """Return what shifted pairings score, or None if the windows are too few to shift.

    Parameters
    ----------
    ranking : Ranking
    depths : int array, shape (n_depths,)

    Notes
    -----
    Query i meets candidate i + s, the last followed by the first. Shifts that leave the pair with
    common frames are left out. Under the null that time doesn't matter, and if the recording is
    the same kind of thing throughout, every shift is as likely to score best as none.
    """
    n = len(ranking)
    near = int((ranking.distance_frames[0] < WINDOW_FRAMES).sum())
    shifts = np.arange(near, n - near + 1)
    if len(shifts) < 2:
        return None
    better, tied = _standings(ranking.similarity)
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, n + 1))])
    reciprocal = (harmonic[better + tied + 1] - harmonic[better]) / (tied + 1)
    rows = np.arange(n)
    columns = (rows + shifts[:, None]) % n  # (n_shifts, n)
    above, ties = better[rows, columns], tied[rows, columns]
    curves = [np.clip((k - above) / (ties + 1), 0, 1).mean(axis=1) for k in depths]
    return Shifted(depths, np.stack(curves, axis=1), reciprocal[rows, columns].mean(axis=1))


def _standings(similarity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how many candidates are above each candidate, and tied with it, int (n, n) each."""
    better, tied = np.empty(similarity.shape, int), np.empty(similarity.shape, int)
    for row, values in enumerate(similarity):
        known = np.sort(values)
        upto = np.searchsorted(known, values + TIE, side="right")
        better[row] = len(values) - upto
        tied[row] = upto - np.searchsorted(known, values - TIE, side="left") - 1
    return better, tied


# --- hits in time -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Near:
    """Ranks if every window within some frames of the true one counts as a hit.

    Parameters
    ----------
    tolerance_frames : int
        Between the centres of two windows.
    rank : float array, shape (n,)
        Expected rank of the first hit.
    first : float array, shape (n,)
        Chance that the first answer is a hit; 0 or 1 unless candidates tie.
    chance_first : float
        Mean of ``first`` if candidates came in random order.
    chance_median_rank : float
        Median rank of the first hit, likewise.
    """

    tolerance_frames: int
    rank: np.ndarray
    first: np.ndarray
    chance_first: float
    chance_median_rank: float


def near(ranking: Ranking, tolerance_frames: int) -> Near:
    """Return the ranks of a retrieval at a tolerance in time.

    Parameters
    ----------
    ranking : Ranking
    tolerance_frames : int
        0 asks for the window itself.
    """
    hits = ranking.distance_frames <= tolerance_frames
    best = np.where(hits, ranking.similarity, -np.inf).max(axis=1, keepdims=True)
    same = np.abs(ranking.similarity - best) <= TIE
    better = ((ranking.similarity > best) & ~same).sum(axis=1)
    own, others = (same & hits).sum(axis=1), (same & ~hits).sum(axis=1)
    rank = better + (own + others + 1) / (own + 1)
    first = np.where(better == 0, own / (own + others), 0.0)
    n_hits, n = hits.sum(axis=1), len(ranking)
    chance = _median_first(n_hits, n)
    return Near(tolerance_frames, rank, first, float((n_hits / n).mean()), chance)


def _median_first(n_hits: np.ndarray, n: int) -> float:
    """Return the median rank of the first of each query's hits in random order, over queries."""
    places = np.arange(n)
    free = np.maximum(n - n_hits[:, None] - places, 0) / (n - places)  # (n_queries, n)
    reached = 1 - np.cumprod(free, axis=1).mean(axis=0)  # (n,): the first hit is at most there
    return float(1 + (reached >= 0.5).argmax())


# --- the place and the moment -----------------------------------------------------------------


@dataclass(frozen=True)
class Split:
    """What the true candidate beats, among its own action's and among other actions' candidates.

    Parameters
    ----------
    within, across : float array, shape (n,)
        Share of those candidates, without common frames, that rank below the true one, ties half:
        0.5 is chance, NaN where there is none.
    p_within : float, optional
        Share of pairings rotated within actions whose mean ``within`` is as high; None without any.
    names : tuple of str
        Actions of the queries in order of appearance.
    """

    within: np.ndarray
    across: np.ndarray
    p_within: float | None
    names: tuple[str, ...]


def place_and_moment(ranking: Ranking) -> Split:
    """Return a retrieval split into finding the place and finding the moment.

    Parameters
    ----------
    ranking : Ranking
    """
    names = tuple(dict.fromkeys(name for name in ranking.actions if name is not None))
    code = np.array([names.index(a) if a is not None else -1 for a in ranking.actions])
    apart = ranking.distance_frames >= WINDOW_FRAMES
    labelled = (code[:, None] >= 0) & (code >= 0)
    same = code[:, None] == code
    own = ranking.similarity.diagonal()[:, None]
    across = _beaten(own, ranking.similarity, apart & labelled & ~same)
    blocks = [np.flatnonzero(code == number) for number in range(len(names))]
    beats = [_all_beaten(ranking, block) for block in blocks]
    within = np.full(len(ranking), np.nan)
    for block, one in zip(blocks, beats, strict=True):
        within[block] = one.diagonal()
    return Split(within, across, _rotated_p(beats), names)


def _beaten(own: np.ndarray, others: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Return the share of counted candidates below ``own``, ties half, over the last axis."""
    below = (others < own - TIE) + 0.5 * (np.abs(others - own) <= TIE)
    total = counted.sum(axis=-1)
    share = (below * counted).sum(axis=-1)
    return np.divide(share, total, out=np.full(share.shape, np.nan), where=total > 0)


def _all_beaten(ranking: Ranking, block: np.ndarray) -> np.ndarray:
    """Return, of each query and candidate of an action, the share of it that the latter beats."""
    similarity = ranking.similarity[np.ix_(block, block)]
    apart = ranking.distance_frames[np.ix_(block, block)] >= WINDOW_FRAMES
    rows = [_beaten(row[:, None], row[None], apart) for row in similarity]
    return np.array(rows).reshape(len(block), len(block))


def _rotated_p(beats: Sequence[np.ndarray]) -> float | None:
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


@dataclass(frozen=True)
class Contrast:
    """Mean similarity of kinds of pairs, in standard deviations of a query's similarities.

    Parameters
    ----------
    own : float
        A query and its own candidate.
    action : float or None
        A query and candidates of its action without common frames; None if there are none.
    elsewhere : float or None
        A query and candidates of other actions.
    """

    own: float
    action: float | None
    elsewhere: float | None


def contrast(ranking: Ranking) -> Contrast:
    """Return how much the diagonal and the blocks of actions stand out in a similarity matrix."""
    scores = standard_rows(ranking.similarity)
    labels = np.array([name or "" for name in ranking.actions])
    known = (labels[:, None] != "") & (labels != "")
    same, apart = labels[:, None] == labels, ranking.distance_frames >= WINDOW_FRAMES
    kinds = (known & same & apart, known & ~same & apart)
    means = [float(scores[kind].mean()) if kind.any() else None for kind in kinds]
    return Contrast(float(scores.diagonal().mean()), *means)


def standard_rows(similarity: np.ndarray) -> np.ndarray:
    """Return similarities in standard deviations from their query's mean, (n, n)."""
    middle = similarity - similarity.mean(axis=1, keepdims=True)
    spread = similarity.std(axis=1, keepdims=True)
    return np.divide(middle, spread, out=np.zeros_like(middle), where=spread > TIE)


# --- examples by rule -------------------------------------------------------------------------

KINDS = ("hit", "near miss", "failure")


@dataclass(frozen=True)
class Example:
    """One query and what came back.

    Parameters
    ----------
    kind : {"hit", "near miss", "failure"}
    n_alike : int
        Queries of this kind.
    query : int
        Place in the ranking.
    answers : int array, shape (n_answers,)
        Places of the most similar candidates, best first.
    rank : float
        Expected rank of the query's own candidate.
    """

    kind: str
    n_alike: int
    query: int
    answers: np.ndarray
    rank: float


def examples(ranking: Ranking, near_frames: int, n_answers: int = 3) -> dict[str, Example | None]:
    """Return the middle query of each kind, so that no hand picks it.

    Parameters
    ----------
    ranking : Ranking
    near_frames : int
        A *hit* answers with the window itself, a *near miss* with one whose centre is this near, a
        *failure* with one farther away.
    n_answers : int

    Returns
    -------
    dict of {kind: Example or None}
        Among the queries of a kind, ordered by how similar their first answer is, the middle one;
        None if there is no such query.
    """
    rows = np.arange(len(ranking))
    distance = ranking.distance_frames[rows, ranking.answers]
    best = ranking.similarity[rows, ranking.answers]
    hit, close = ranking.answers == rows, distance <= near_frames
    masks = (hit, ~hit & close, ~close)
    found: dict[str, Example | None] = {}
    for kind, mask in zip(KINDS, masks, strict=True):
        alike = np.flatnonzero(mask)
        alike = alike[np.argsort(best[alike], kind="stable")]
        found[kind] = None
        if len(alike):
            query = int(alike[len(alike) // 2])
            order = np.argsort(-ranking.similarity[query], kind="stable")[:n_answers]
            rank = float(ranking.ranks.expected[query])
            found[kind] = Example(kind, len(alike), query, order, rank)
    return found
