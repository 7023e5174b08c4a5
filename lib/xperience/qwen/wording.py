"""How much of a failure is wording: labels compared ever more loosely, each time beside chance.

A looser comparison is right more often whatever a model knows, so a gain means nothing by itself.
Every comparison therefore stands beside what it gives if the model's own answers are randomly
assigned (over all windows; among those of a recording) and if one label is said every time. The
expected values of random assignment are exact: each truth is compared with every answer.

Meaning is compared by sentence vectors of all-MiniLM-L6-v2. The weights are those that the model's
authors published (Apache 2.0), checked by their digest; a package carries them, so no network is
asked.
"""

import importlib.util
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from xperience.evaluation.metrics import Metric
from xperience.evaluation.records import Record
from xperience.features.learned import SENTENCE_PACKAGES, sentence_vectors
from xperience.qwen.predictions import AnsweredWindow, AnswerFile
from xperience.qwen.schema import UNKNOWN
from xperience.qwen.scores import AnswerScore, Base, named, share, share_metric
from xperience.recording import labels

KINDS = ("exact", "normalised", "same_words", "same_verb_and_noun", "same_noun", "same_verb")
SIMILARITY = "similarity"
FAILURE = "failure_that_is_wording"
ALIKE = 0.8
"""Cosine from which two labels count as one: "Approach desk" and "Move to desk" stay below it."""


Compare = Callable[[Sequence[str], Sequence[str]], np.ndarray]
"""True labels, other labels to values 0 to 1, (n_true, n_other); NaN rows do not count."""


@dataclass(frozen=True)
class LabelComparison:
    """A way to compare two labels."""

    metric: Metric
    compare: Compare
    needs: str | None = None  # what is missing for it, if something is

    @property
    def skipped(self) -> dict[str, Any]:
        """Fields of a row that says what is missing."""
        reason = f"not installed: {self.needs}; `make extras` brings it"
        return named(self.metric) | {"status": "skipped", "reason": reason}


def comparisons() -> dict[str, LabelComparison]:
    """Return the comparisons by name, from the strictest to the loosest."""
    split = None if labels.can_split() else "lemminflect"
    absent = ", ".join(missing_packages()) or None
    parts = labels.split
    rows = [
        ("exact", "The same text.", _by_key(lambda label: label), None),
        ("normalised", "The same words in the same order, whatever case, punctuation and articles.",
         _by_key(lambda label: tuple(labels.words_of(label)) or None), None),
        ("same_words", "The same lemmas in any order.", _by_key(lambda x: parts(x).words), split),
        ("same_verb_and_noun", "The same verb and the same head noun.",
         _by_key(lambda x: parts(x).both), split),
        ("same_noun", "The same head noun.", _by_key(lambda x: parts(x).noun), split),
        ("same_verb", "The same verb.", _by_key(lambda x: parts(x).verb), split),
        ("same_meaning", f"Sentence vectors with a cosine of {ALIKE} or more.",
         lambda *both: (_cosine(*both) >= ALIKE).astype(np.float32), absent),
        (SIMILARITY, "Cosine of sentence vectors, 0 where it is negative.", _cosine, absent),
    ]  # fmt: skip
    return {
        name: LabelComparison(share_metric(f"wording_{name}", rule), compare, needs)
        for name, rule, compare, needs in rows
    }


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
    names = tuple(dict.fromkeys([*true, *others]))
    vectors = dict(zip(names, _embedded(names), strict=True))
    first, second = (np.array([vectors[n] for n in side]) for side in (true, others))
    return np.clip(first.reshape(len(true), -1) @ second.reshape(len(others), -1).T, 0, 1)


def missing_packages() -> list[str]:
    """Return what must be installed before sentences can be embedded; empty if all is there."""
    return [name for name in SENTENCE_PACKAGES if importlib.util.find_spec(name) is None]


_embedded = lru_cache(maxsize=1)(sentence_vectors)


@dataclass(frozen=True)
class LabelPairs:
    """A field's true labels beside what was said, under one comparison."""

    truth: np.ndarray  # (n,), places in the comparison
    said: np.ndarray  # (n,), the same; -1, the last column, where nothing was said
    episodes: np.ndarray  # (n,)
    counted: np.ndarray  # (n,), whether the truth can be compared
    values: np.ndarray  # (n_true, n_said + 1), how alike labels are, the last column zeros
    among_true: np.ndarray  # (n_true, n_true), the same for true labels among themselves

    @property
    def hits(self) -> np.ndarray:
        """How right each answer is, float (n,)."""
        return self.values[self.truth, self.said].astype(float)

    def expected(self, groups: np.ndarray) -> np.ndarray:
        """Return how right each answer is expected to be, permuted within groups, float (n,)."""
        found = np.zeros(len(self.truth))
        width = self.values.shape[1]
        for one in np.unique(groups):
            members = np.flatnonzero(groups == one)
            counts = np.bincount(self.said[members] % width, minlength=width)
            found[members] = (self.values @ counts)[self.truth[members]] / len(members)
        return found

    def chance(self) -> dict[str, np.ndarray]:
        """Return how right permuted answers are, over all windows and within recordings."""
        return {
            "shuffled_answers": self.expected(np.zeros_like(self.episodes)),
            "shuffled_within_episode": self.expected(self.episodes),
        }

    def constant(self) -> np.ndarray:
        """Return how right the best true label is, said every time, float (n,)."""
        often = np.bincount(self.truth, minlength=len(self.among_true))
        best = (often @ self.among_true).argmax()
        return self.among_true[:, best][self.truth].astype(float)

    def scored(
        self, one: Metric, floors: dict[str, np.ndarray], counted: np.ndarray
    ) -> AnswerScore:
        """Return the score over the samples that count, beside floors' hits."""
        of = {name: share(values, self.episodes, counted) for name, values in floors.items()}
        score_of = share(self.hits, self.episodes, counted)
        return AnswerScore(one, score_of, int(self.episodes.max()) + 1, int(counted.sum()), of)


def wording_rows(answers: AnswerFile, base: Base, field: str) -> Iterator[Record]:
    """Yield a field's comparisons, what of the failures each calls right, and the answers' kinds.

    Metrics ``wording_*`` count over all windows, ``failure_that_is_wording`` (variant: comparison)
    over those that are wrong as texts, and ``answer_share`` (variant: kind) sorts every answer into
    the first kind that it fits. Answers that could not be read are failures and no wording.
    """
    items, episodes = answers.where(lambda item: item.truth[field] != UNKNOWN)
    if not items:
        return
    base = base | {"task": field}
    found: dict[str, LabelPairs] = {}
    for name, way in comparisons().items():
        if way.needs:
            yield Record(**base, **way.skipped)
            continue
        found[name] = pairs = _pairs(items, field, episodes, way.compare)
        floors = {"best_constant": pairs.constant(), **pairs.chance()}
        yield from pairs.scored(way.metric, floors, pairs.counted).rows(base)
        if name not in ("exact", SIMILARITY):
            # Chance is counted alike: pairs that are right, but not as texts.
            rule = f"Of the answers that are wrong as texts, those right by: {way.metric.rule}"
            loose = replace(pairs, values=pairs.values - found["exact"].values)
            wrong = pairs.counted & (found["exact"].hits < 1)
            scored = loose.scored(share_metric(FAILURE, rule), loose.chance(), wrong)
            yield from scored.rows(base, variant=name)
    silent = np.array([field not in item.said for item in items])
    left, kinds = ~silent, {}
    for name in (name for name in KINDS if name in found):
        kinds[name] = left & (found[name].hits == 1)
        left = left & ~kinds[name]
    one = share_metric("answer_share", "Share of answers of this kind.", None)
    for name, members in (kinds | {"other": left, "no_answer": silent}).items():
        score_of = share(members.astype(float), episodes)
        scored = AnswerScore(one, score_of, int(episodes.max()) + 1, len(items))
        yield from scored.rows(base, variant=name)


def _pairs(
    items: Sequence[AnsweredWindow], field: str, episodes: np.ndarray, compare: Compare
) -> LabelPairs:
    truth, said = [item.truth[field] for item in items], [item.said.get(field) for item in items]
    true = {name: i for i, name in enumerate(dict.fromkeys(truth))}
    others = {name: i for i, name in enumerate(dict.fromkeys(n for n in said if n is not None))}
    values = compare([*true], [*true, *others])
    places, alike = np.array([true[name] for name in truth]), values[:, : len(true)]
    return LabelPairs(
        truth=places,
        said=np.array([others.get(name, -1) for name in said]),
        episodes=episodes,
        counted=~np.isnan(alike.diagonal()[places]),
        values=np.pad(np.nan_to_num(values[:, len(true) :]), ((0, 0), (0, 1))),
        among_true=np.nan_to_num(alike),
    )
