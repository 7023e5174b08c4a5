"""How much of a failure is wording: labels compared ever more loosely, each time beside chance.

A looser comparison is right more often whatever a model knows, so a gain means nothing by itself.
Every comparison therefore stands beside what it gives if the model's own answers are dealt out anew
(over all windows; among those of a recording) and if one label is said every time. The expected
values of dealing are exact: each truth is compared with every answer.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from xperience.evaluation.catalogue import Metric
from xperience.evaluation.records import Record
from xperience.qwen import embedding
from xperience.qwen.predictions import Item, Predictions
from xperience.qwen.rows import HONEST, Author, metric, named
from xperience.qwen.schema import UNKNOWN
from xperience.qwen.tallies import Measured, share
from xperience.recording import labels

FIELDS = ("action", "subtask", "next_action")
KINDS = ("exact", "normalised", "same_words", "same_verb_and_noun", "same_noun", "same_verb")
SIMILARITY = "similarity"
FAILURE = "failure_that_is_wording"
ALIKE = 0.8
"""Cosine from which two labels count as one: "Approach desk" and "Move to desk" stay below it."""

Compare = Callable[[Sequence[str], Sequence[str]], np.ndarray]
"""True labels, other labels to values 0 to 1, (n_true, n_other); NaN rows do not count."""


@dataclass(frozen=True)
class Comparison:
    """A way to compare two labels.

    Parameters
    ----------
    metric : Metric
    compare : function
        See `Compare`.
    needs : str, optional
        What is missing for it, if something is.
    """

    metric: Metric
    compare: Compare
    needs: str | None = None


def comparisons() -> dict[str, Comparison]:
    """Return the comparisons by name, from the strictest to the loosest."""
    split = None if labels.can_split() else "lemminflect"
    absent = ", ".join(embedding.missing_packages()) or None
    parts = labels.split
    rows = [
        ("exact", "The same text.", _by_key(lambda label: label), None),
        ("normalised", "The same words in the same order, whatever case, punctuation and articles.",
         _by_key(lambda label: tuple(labels.words_of(label)) or None), None),
        ("same_words", "The same lemmas in any order.", _by_key(lambda x: parts(x).words), split),
        ("same_verb_and_noun", "The same verb and the same head noun.", _by_key(_both), split),
        ("same_noun", "The same head noun.", _by_key(lambda x: parts(x).noun), split),
        ("same_verb", "The same verb.", _by_key(lambda x: parts(x).verb), split),
        ("same_meaning", f"Sentence vectors with a cosine of {ALIKE} or more.", _alike, absent),
        (SIMILARITY, "Cosine of sentence vectors, 0 where it is negative.", _cosine, absent),
    ]  # fmt: skip
    return {
        name: Comparison(metric(f"wording_{name}", rule), compare, needs)
        for name, rule, compare, needs in rows
    }


def _both(label: str) -> tuple[str, str] | None:
    parts = labels.split(label)
    return (parts.verb, parts.noun) if parts.verb and parts.noun else None


def _by_key(key_of: Callable[[str], Hashable]) -> Compare:
    """Return a comparison that is 1 where two labels have one key; a truth without is left out."""

    def compare(true: Sequence[str], others: Sequence[str]) -> np.ndarray:
        rows, columns = [key_of(name) for name in true], [key_of(name) for name in others]
        place = {key: i for i, key in enumerate(dict.fromkeys([*rows, *columns]))}
        found = np.equal.outer([place[key] for key in rows], [place[key] for key in columns])
        values = found.astype(np.float32).reshape(len(rows), len(columns))
        values[[key is None for key in rows]] = np.nan
        return values

    return compare


def _cosine(true: Sequence[str], others: Sequence[str]) -> np.ndarray:
    return _cosine_once(tuple(true), tuple(others))


@lru_cache(maxsize=1)
def _cosine_once(true: tuple[str, ...], others: tuple[str, ...]) -> np.ndarray:
    names = list(dict.fromkeys([*true, *others]))
    vectors = dict(zip(names, embedding.embed(names), strict=True))
    first, second = (np.array([vectors[n] for n in side]) for side in (true, others))
    return np.clip(first.reshape(len(true), -1) @ second.reshape(len(others), -1).T, 0, 1)


def _alike(true: Sequence[str], others: Sequence[str]) -> np.ndarray:
    return (_cosine(true, others) >= ALIKE).astype(np.float32)


@dataclass(frozen=True)
class Pairs:
    """A field's true labels beside what was said, under one comparison.

    Parameters
    ----------
    truth, said : int array, shape (n,)
        Places in the comparison; -1 where nothing was said.
    episodes : int array, shape (n,)
    values : float array, shape (n_true, n_said)
        How alike each true label and each answer are; NaN rows do not count.
    among_true : float array, shape (n_true, n_true)
        The same for true labels among themselves.
    """

    truth: np.ndarray
    said: np.ndarray
    episodes: np.ndarray
    values: np.ndarray
    among_true: np.ndarray

    @property
    def counted(self) -> np.ndarray:
        """Which samples have a truth that can be compared, bool (n,)."""
        return ~np.isnan(self.among_true[self.truth, self.truth])

    @cached_property
    def _padded(self) -> np.ndarray:
        # Place -1 is a last column of zeros: nothing said is never right.
        return np.pad(np.nan_to_num(self.values), ((0, 0), (0, 1)))

    @property
    def hits(self) -> np.ndarray:
        """How right each answer is, float (n,)."""
        return self._padded[self.truth, self.said].astype(float)

    def dealt(self, episodes: np.ndarray) -> np.ndarray:
        """Return how right each answer is expected to be if a group's answers are dealt out anew.

        Parameters
        ----------
        episodes : int array, shape (n,)
            Groups within which answers are dealt.
        """
        expected = np.zeros(len(self.truth))
        for one in np.unique(episodes):
            members = np.flatnonzero(episodes == one)
            dealt = np.bincount(self.said[members] % self._padded.shape[1],
                                minlength=self._padded.shape[1])  # fmt: skip
            expected[members] = (self._padded @ dealt)[self.truth[members]] / len(members)
        return expected

    def constant(self) -> np.ndarray:
        """Return how right the best true label is, said every time, float (n,)."""
        alike = np.nan_to_num(self.among_true)
        often = np.bincount(self.truth, minlength=len(alike))
        return alike[:, (often @ alike).argmax()][self.truth].astype(float)


def wording_rows(predictions: Predictions, author: Author, field: str) -> Iterator[Record]:
    """Yield a field's comparisons, what of the failures each calls right, and the answers' kinds.

    Parameters
    ----------
    predictions : Predictions
    author : Author
    field : str
        One of `FIELDS`.

    Notes
    -----
    Metrics ``wording_*`` count over all windows, ``failure_that_is_wording`` (variant: comparison)
    over those that are wrong as texts, and ``answer_share`` (variant: kind) sorts every answer into
    the first kind that it fits. Answers that could not be read are failures and no wording.
    """
    known = np.array([item.truth[field] != UNKNOWN for item in predictions.items])
    items = [item for item, keep in zip(predictions.items, known, strict=True) if keep]
    if not items:
        return
    _, episodes = np.unique(predictions.episodes[known], return_inverse=True)
    found: dict[str, Pairs] = {}
    for name, way in comparisons().items():
        if way.needs:
            yield author.row(HONEST, task=field, **named(way.metric), **_skipped(way.needs))
            continue
        found[name] = pairs = _pairs(items, field, episodes, way.compare)
        floors = {"best_constant": pairs.constant(), **_dealt(pairs)}
        one = _over(way.metric, pairs, floors, pairs.counted)
        yield from author.rows(one, task=field)
        if name not in ("exact", SIMILARITY):
            one = _failures(way.metric, pairs, found["exact"])
            yield from author.rows(one, task=field, variant=name)
    hits = {name: pairs.hits for name, pairs in found.items()}
    yield from _kind_rows(items, field, episodes, hits, author)


def _skipped(needs: str) -> dict[str, str]:
    reason = f"not installed: {needs}; `make extras` brings it"
    return {"status": "skipped", "reason": reason}


def _pairs(items: Sequence[Item], field: str, episodes: np.ndarray, compare: Compare) -> Pairs:
    truth, said = [item.truth[field] for item in items], [item.said.get(field) for item in items]
    true = {name: i for i, name in enumerate(dict.fromkeys(truth))}
    others = {name: i for i, name in enumerate(dict.fromkeys(n for n in said if n is not None))}
    values = compare([*true], [*true, *others])
    return Pairs(
        truth=np.array([true[name] for name in truth]),
        said=np.array([others.get(name, -1) for name in said]),
        episodes=episodes,
        values=values[:, len(true) :],
        among_true=values[:, : len(true)],
    )


def _dealt(pairs: Pairs) -> dict[str, np.ndarray]:
    return {
        "shuffled_answers": pairs.dealt(np.zeros_like(pairs.episodes)),
        "shuffled_within_episode": pairs.dealt(pairs.episodes),
    }


def _failures(one: Metric, pairs: Pairs, exact: Pairs) -> Measured:
    """Return how many of the answers that are wrong as texts a comparison calls right.

    What dealing gives is counted alike: pairs that are right, but not as texts.
    """
    rule = f"Of the answers that are wrong as texts, those that are right by: {one.rule}"
    loose = replace(pairs, values=pairs.values - exact.values)
    wrong = pairs.counted & (exact.hits < 1)
    return _over(metric(FAILURE, rule), loose, _dealt(loose), wrong)


def _over(
    one: Metric, pairs: Pairs, floors: dict[str, np.ndarray], counted: np.ndarray
) -> Measured:
    """Return a comparison's score over the samples that count."""
    of = {name: share(values, pairs.episodes, counted) for name, values in floors.items()}
    n_episodes = int(pairs.episodes.max()) + 1
    score_of = share(pairs.hits, pairs.episodes, counted)
    return Measured(one, score_of, n_episodes, int(counted.sum()), of)


def _kind_rows(
    items: Sequence[Item],
    field: str,
    episodes: np.ndarray,
    hits: dict[str, np.ndarray],
    author: Author,
) -> Iterator[Record]:
    """Yield the share of answers of each kind: the first that fits, else other, else none."""
    silent = np.array([field not in item.said for item in items])
    left, kinds = ~silent, {}
    for name in (name for name in KINDS if name in hits):
        kinds[name] = left & (hits[name] == 1)
        left = left & ~kinds[name]
    kinds |= {"other": left, "no_answer": silent}
    for name, members in kinds.items():
        one = metric("answer_share", "Share of answers of this kind.", None)
        counted = share(members.astype(float), episodes)
        measured = Measured(one, counted, int(episodes.max()) + 1, len(items))
        yield from author.rows(measured, task=field, variant=name)
