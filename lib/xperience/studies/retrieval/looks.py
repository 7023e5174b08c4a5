"""Closer looks at a retrieval: hits in time, the place and the moment, examples."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xperience.evaluation.metrics import TIE
from xperience.features.windows import WINDOW_FRAMES
from xperience.studies.retrieval.retrieval import N_ROTATIONS, ROTATION_SEED, Ranking


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
    best = ranking.similarity[np.arange(len(ranking)), ranking.answers]
    found: dict[str, Example | None] = {}
    for kind, alike in _kinds(ranking, near_frames).items():
        ordered = np.flatnonzero(alike)[np.argsort(best[alike], kind="stable")]
        middle = ordered[len(ordered) // 2] if len(ordered) else None
        found[kind] = (
            None if middle is None else example_of(ranking, middle, near_frames, n_answers)
        )
    return found


def example_of(ranking: Ranking, query: int, near_frames: int, n_answers: int = 3) -> Example:
    """Return a query with what came back, and of which kind that is.

    Parameters
    ----------
    ranking : Ranking
    query : int
        Place in the ranking.
    near_frames, n_answers : int
        As for `examples`.
    """
    kinds = _kinds(ranking, near_frames)
    kind = next(name for name, alike in kinds.items() if alike[query])
    order = np.argsort(-ranking.similarity[query], kind="stable")[:n_answers]
    rank = float(ranking.ranks.expected[query])
    return Example(kind, int(kinds[kind].sum()), int(query), order, rank)


def _kinds(ranking: Ranking, near_frames: int) -> dict[str, np.ndarray]:
    """Return which queries are of each kind, bool arrays (n,)."""
    rows = np.arange(len(ranking))
    hit = ranking.answers == rows
    close = ranking.distance_frames[rows, ranking.answers] <= near_frames
    return dict(zip(KINDS, (hit, ~hit & close, ~close), strict=True))
