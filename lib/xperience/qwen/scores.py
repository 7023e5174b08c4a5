"""Scores of answers as tidy rows: validity, every field beside its floors, the published figures.

Windows of a recording resemble each other; what is independent is the recording. A resample weighs
recordings, so counts are summed in each of them once and memory does not grow with the windows.
"""

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from xperience.evaluation.metrics import METRICS, Metric, Score, skill
from xperience.evaluation.records import Record
from xperience.evaluation.resampling import Interval, Resampling, difference, interval
from xperience.qwen.predictions import AnsweredWindow, AnswerFile, EvidenceSpans, Frames
from xperience.qwen.schema import FAULTS, UNKNOWN

SECTION = "evaluate"
PUBLISHED, HONEST = "published", "corrected"
"""Contracts that rows belong to: the evaluator of the published note, and what we would defend."""
PREFIX = "published_"
FLOOR = "floor"
PARSED, STRICT, ANSWERABLE = "parsed", "strict", "answerable"
"""Variants: what could be read from an answer counts; only answers that are valid whole count; only
windows count whose true label may be said."""
LABEL_METRICS, OBJECT_METRIC = ("accuracy", "macro_f1_present"), "micro_f1"
EVIDENCE_TASK, EVIDENCE = "evidence_window", "evidence_iou"
N_PERMUTED, PERMUTATION_SEED = 25, 7
TRUTH_FLOORS = "the constant floor is fitted on the test truth: no constant answer does better"

WeightedScore = Callable[[np.ndarray], np.ndarray]
"""Weights of recordings, shape (n_rows, n_episodes), to values, shape (n_rows,)."""


# --- scores as functions of the weights of recordings -------------------------------------------


@dataclass(frozen=True)
class LabelCounts:
    """Counts of labels in each recording, as metrics of labels and sets take them.

    Each is a sparse array, shape (n_episodes, n_occurring); build it with `count_labels`.
    """

    right: csr_array
    true: csr_array
    claimed: csr_array
    names: range  # one place for each label that could have been chosen or occurs

    def counts(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return right, true and claimed counts under weights, each (n_rows, n_occurring)."""
        return weights @ self.right, weights @ self.true, weights @ self.claimed

    def score_of(self, metric: str) -> WeightedScore:
        """Return a metric of labels or sets as a function of weights."""
        formula = METRICS[metric].formula
        return lambda weights: formula(self, weights)


def count_labels(
    truth: Sequence[Collection[Hashable]],
    said: Sequence[Collection[Hashable]],
    episodes: np.ndarray,
    options: Iterable[Hashable] = (),
) -> LabelCounts:
    """Count labels recording by recording.

    Parameters
    ----------
    truth, said : sequence of sets of labels, length n
        One label a sample, or none where nothing usable was said, or any number of names.
    episodes : int array, shape (n,)
        Number of each sample's recording.
    options : iterable of labels, optional
        Labels that could have been chosen, whether or not they occur.
    """
    place = {name: i for i, name in enumerate(dict.fromkeys(n for s in (*truth, *said) for n in s))}
    shape = (int(episodes.max()) + 1, len(place))
    both = [set(true) & set(claimed) for true, claimed in zip(truth, said, strict=True)]
    parts = []
    for sets in (both, truth, said):
        rows = np.repeat(episodes, [len(names) for names in sets])
        columns = [place[name] for names in sets for name in names]
        parts.append(csr_array((np.ones(len(rows)), (rows, columns)), shape=shape))  # sums them up
    return LabelCounts(*parts, names=range(len(place.keys() | set(options))))


def share(
    hits: np.ndarray, episodes: np.ndarray, counted: np.ndarray | None = None
) -> WeightedScore:
    """Return the mean of per-sample values as a function of weights of recordings.

    Parameters
    ----------
    hits : float array, shape (n,)
        Usually 0 or 1.
    episodes : int array, shape (n,)
        Number of each sample's recording.
    counted : bool array, shape (n,), optional
        Samples that count, all if not given; the mean is NaN where none does.
    """
    keep = np.ones(len(hits), dtype=bool) if counted is None else counted
    n_episodes = int(episodes.max()) + 1
    total = np.bincount(episodes[keep], weights=hits[keep], minlength=n_episodes)
    number = np.bincount(episodes[keep], minlength=n_episodes).astype(float)

    def mean(weights: np.ndarray) -> np.ndarray:
        above, below = weights @ total, weights @ number
        return np.divide(above, below, out=np.full(len(weights), np.nan), where=below > 0)

    return mean


def average(each: Sequence[WeightedScore]) -> WeightedScore:
    """Return the mean of several scores as a function of weights."""
    return lambda weights: np.mean([score_of(weights) for score_of in each], axis=0)


def permuted(said: Sequence, episodes: np.ndarray | None = None) -> Iterator[list]:
    """Yield the same answers randomly assigned to samples, `N_PERMUTED` times.

    With the samples' recordings, int (n,), answers stay in their recording.
    """
    rng = np.random.default_rng(PERMUTATION_SEED)
    groups = np.zeros(len(said), dtype=int) if episodes is None else episodes
    home = np.argsort(groups, kind="stable")
    for _ in range(N_PERMUTED):
        assigned = [None] * len(said)
        drawn = np.lexsort((rng.random(len(said)), groups))
        for place, source in zip(home.tolist(), drawn.tolist(), strict=True):
            assigned[place] = said[source]
        yield assigned


# --- rows ---------------------------------------------------------------------------------------


def share_metric(name: str, rule: str, higher_is_better: bool | None = True) -> Metric:
    """Return a metric that is a share of samples, 0 to 1."""
    undefined = "No sample counts."
    return Metric(name, None, rule, None, undefined, higher_is_better=higher_is_better)


IOU = share_metric(
    EVIDENCE, "Frames in both segments, as a share of those in either; mean over clips."
)


def named(one: Metric) -> dict[str, Any]:
    """Return a metric as fields of a row."""
    return {"metric": one.id, "unit": one.unit, "higher_is_better": one.higher_is_better}


@dataclass(frozen=True)
class AnswerScore:
    """A score with its trivial baselines, all on the same recordings."""

    metric: Metric
    score_of: WeightedScore
    n_episodes: int
    n_samples: int
    floors: Mapping[str, WeightedScore] = field(default_factory=dict)
    ceiling: float | None = None  # what an answer that says all that may be said would score

    def value(self, score_of: WeightedScore) -> Score:
        """Return a score on the recordings as they are."""
        if not self.n_samples:
            return Score(None, "no samples")
        value = float(score_of(np.ones((1, self.n_episodes)))[0])
        if np.isnan(value):
            return Score(None, f"{self.metric.id} is undefined: {self.metric.undefined}")
        return Score(value)


@dataclass(frozen=True)
class Author:
    """Whose answers the rows are about: the name of the data, and of the model (the rows' head)."""

    run: str
    model: str

    def row(self, contract: str, **fields: Any) -> Record:
        """Return a row of this author; ``head`` may be given instead of the model."""
        base = {"run": self.run, "section": SECTION, "contract": contract, "head": self.model}
        return Record(**base | fields)

    def rows(self, scored: AnswerScore, note: str | None = None, **fields: Any) -> Iterator[Record]:
        """Yield a score with interval, best floor and skill, its floors, the paired difference.

        The note is what a reader of the score must know; fields are ``task`` and ``variant``.
        """
        one, n = scored.metric, scored.n_episodes
        resampling = Resampling(groups=np.arange(n))
        fields |= {"n_test": scored.n_samples, **named(one)}
        found = scored.value(scored.score_of)
        floors = {name: scored.value(score_of) for name, score_of in scored.floors.items()}
        known = {name: floor.value for name, floor in floors.items() if floor.value is not None}
        better = max if one.higher_is_better else min
        best = better(known, key=known.__getitem__) if known else None
        whole = _said(found) | {"reason": found.reason or note, "ceiling": scored.ceiling}
        if best is not None:
            whole |= {"floor": known[best], "floor_name": best}
            whole["skill"] = skill(one, found, floors[best]).value
        if found.value is not None:
            whole |= _ends(interval(scored.score_of, n, resampling, one.bounds))
        yield self.row(HONEST, **fields, **whole)
        if found.value is None or best is None:
            return
        gap = difference(scored.score_of, scored.floors[best], n, resampling)
        value = found.value - known[best]
        yield self.row(HONEST, **fields, against=best, value=value, **_ends(gap))
        variant = "_".join(filter(None, (fields.get("variant"), FLOOR)))
        for name, floor in floors.items():
            yield self.row(HONEST, **fields | {"head": name, "variant": variant} | _said(floor))


def _said(score: Score) -> dict[str, Any]:
    return {"value": score.value, "status": score.status, "reason": score.reason}


def _ends(found: Interval) -> dict[str, Any]:
    """Return an interval as fields of a row: its ends, or why there are none."""
    n_effective = found.n_effective
    fields = {"n_effective": None if n_effective is None else round(n_effective, 6)}
    if found.low is None or found.high is None:
        return fields | {"ci_reason": f"{found.verdict}: {found.reason}"}
    return fields | {"ci_low": found.low, "ci_high": found.high}


# --- validity, and what bounds the scores -------------------------------------------------------


def validity_rows(answers: AnswerFile, author: Author) -> Iterator[Record]:
    """Yield how many answers are valid, by both rules, and what the others lack."""
    episodes = answers.episodes
    strict = "The whole text is an answer as declared, every label an option."
    lenient = "An object with all seven keys can be found in the text (the published rule)."

    def measured(one: Metric, holds: Callable[[AnsweredWindow], bool]) -> AnswerScore:
        hits = np.array([holds(item) for item in answers.items], dtype=float)
        return AnswerScore(one, share(hits, episodes), int(episodes.max()) + 1, len(hits))

    one = share_metric("strict_validity", strict)
    yield from author.rows(measured(one, lambda item: item.strict), strict)
    one = share_metric("lenient_validity", lenient)
    yield from author.rows(measured(one, lambda item: item.lenient), lenient)
    one = share_metric("fault_share", "Answers with this fault; one may have several.", False)
    for fault in FAULTS:
        scored = measured(one, lambda item, fault=fault: fault in item.faults)
        yield from author.rows(scored, variant=fault)


def openness_rows(answers: AnswerFile, author: Author) -> Iterator[Record]:
    """Yield what bounds the scores: labels never trained, options taken from the test side."""
    items = [one for one in answers.items if one.truth["action"] != UNKNOWN]
    if not items:
        return
    in_options = float(np.mean([one.truth["action"] in answers.options.action for one in items]))
    tells = all(item.seen is not None for item in items)
    trained = float(np.mean([item.seen for item in items])) if tells else None
    reason = "1 means that the options were not drawn from training episodes alone"
    if trained is not None and in_options > trained:
        reason = (
            f"only {trained:.1%} of the true labels were trained: the options hold labels of the "
            "test side"
        )
    fields = {"task": "action", "n_test": len(items)}
    yield author.row(
        HONEST, metric="truth_in_options_share", value=in_options, reason=reason, **fields
    )
    if trained is not None:
        yield author.row(
            HONEST, metric="open_set_share", value=1 - trained, higher_is_better=False, **fields
        )
    same = float(np.mean([one.truth["action"] == one.truth["next_action"] for one in items]))
    yield author.row(
        HONEST, metric="next_action_is_action_share", value=same, task="next_action",
        n_test=len(items),
        reason="where the next action is the present one, this field asks nothing new",
    )  # fmt: skip


# --- fields: labels, objects, the evidence window -----------------------------------------------


@dataclass(frozen=True)
class _FieldTruth:
    """A field's truth, and what every score of it is compared with."""

    truth: Sequence[Collection[str]]
    episodes: np.ndarray
    constant: tuple[str, Collection[str]]  # name of the best constant answer, and the answer
    ceilings: Mapping[str, float | None]  # by metric: what the best answer within options scores
    options: Collection[str] = ()

    def rows(
        self, author: Author, said: Sequence[Collection[str]], **fields: Any
    ) -> Iterator[Record]:
        """Yield the field's metrics of what was said, nothing being never right."""
        name, answer = self.constant
        drawn = {
            name: [[answer] * len(said)],
            "shuffled_answers": permuted(said),
            "shuffled_within_episode": permuted(said, self.episodes),
        }
        floors = {floor: list(map(self._counted, draws)) for floor, draws in drawn.items()}
        mine, n_episodes = self._counted(said), int(self.episodes.max()) + 1
        for metric, ceiling in self.ceilings.items():
            of_floors = {
                floor: average([one.score_of(metric) for one in each])
                for floor, each in floors.items()
            }
            scored = AnswerScore(
                METRICS[metric], mine.score_of(metric), n_episodes, len(said), of_floors, ceiling
            )
            yield from author.rows(scored, TRUTH_FLOORS, **fields)

    def _counted(self, said: Sequence[Collection[str]]) -> LabelCounts:
        return count_labels(self.truth, said, self.episodes, self.options)


def _no_score(author: Author, reason: str, variants: Iterable[str], **fields: Any) -> Iterator:
    """Yield why a field has no score, a row a variant: each stands where the score would."""
    for variant in variants:
        yield author.row(HONEST, variant=variant, status="degenerate", reason=reason, **fields)


def field_rows(answers: AnswerFile, author: Author, field: str) -> Iterator[Record]:
    """Yield the scores of a field of one label; true labels "unknown" are left out.

    Floors: the most frequent true label; the model's own answers randomly assigned over all
    windows, and among the windows of their recording. The last knows what a recording is about, but
    not what happens when.
    """
    known = np.array([item.truth[field] != UNKNOWN for item in answers.items])
    items = [item for item, keep in zip(answers.items, known, strict=True) if keep]
    truth = [item.truth[field] for item in items]
    fields = {"task": field, "n_test": len(items), **named(METRICS[LABEL_METRICS[0]])}
    if len(set(truth)) < 2:
        one_class = f"every true label is {truth[0]!r}: one class tests nothing" if truth else ""
        reason = one_class or "every true label is unknown"
        yield from _no_score(author, reason, (PARSED, STRICT), **fields)
        return
    options = answers.options.allowed(field) or frozenset()
    _, episodes = np.unique(answers.episodes[known], return_inverse=True)
    yield from _label_rows(items, episodes, author, field, options)
    able = [item for item in items if item.truth[field] in options]
    if not options or len(able) == len(items):
        return
    if (n_kinds := len({item.truth[field] for item in able})) < 2:
        reason = f"{len(able)} of {len(items)} true labels are options, of {n_kinds} kinds"
        yield from _no_score(author, reason, (ANSWERABLE,), **fields | {"n_test": len(able)})
        return
    _, episodes = np.unique([item.episode for item in able], return_inverse=True)
    yield from _label_rows(able, episodes, author, field, options, (ANSWERABLE,))


def _label_rows(
    items: Sequence[AnsweredWindow],
    episodes: np.ndarray,
    author: Author,
    field: str,
    options: frozenset[str],
    variants: Sequence[str] = (PARSED, STRICT),
) -> Iterator[Record]:
    truth = [item.truth[field] for item in items]
    able = float(np.mean([name in options for name in truth])) if options else None
    whole = _FieldTruth(
        truth=[(name,) for name in truth],
        episodes=episodes,
        constant=("majority_of_test_truth", (Counter(truth).most_common(1)[0][0],)),
        ceilings={name: able if name == "accuracy" else None for name in LABEL_METRICS},
        options=options,
    )
    for variant in variants:
        said = [
            (item.said[field],) if field in item.said and _counts(item, variant) else ()
            for item in items
        ]
        yield from whole.rows(author, said, task=field, variant=variant)


def _counts(item: AnsweredWindow, variant: str) -> bool:
    return item.strict or variant != STRICT


def object_rows(answers: AnswerFile, author: Author) -> Iterator[Record]:
    """Yield the scores of the named objects, exact names, pooled over windows."""
    items, episodes = answers.items, answers.episodes
    truth = [item.true_objects for item in items]
    if not any(truth):
        fields = {"task": "objects", "n_test": len(items), **named(METRICS[OBJECT_METRIC])}
        yield from _no_score(author, "every true set is empty", (PARSED, STRICT), **fields)
        return
    allowed, ceiling = answers.options.allowed("objects"), None
    if allowed is not None:
        best = count_labels(truth, [names & allowed for names in truth], episodes)
        ceiling = _on_all(best, OBJECT_METRIC)
    constant = ("best_constant_set", best_constant_set(truth))
    whole = _FieldTruth(truth, episodes, constant, {OBJECT_METRIC: ceiling})
    for variant in (PARSED, STRICT):
        said = [item.said_objects if _counts(item, variant) else frozenset() for item in items]
        yield from whole.rows(author, said, task="objects", variant=variant)


def _on_all(counts: LabelCounts, metric: str) -> float:
    """Return a metric over the recordings as they are."""
    return float(counts.score_of(metric)(np.ones((1, counts.true.shape[0])))[0])


def best_constant_set(truth: Sequence[Collection[str]]) -> frozenset[str]:
    """Return the set that, said every time, has the greatest micro-F1; some truth is not empty.

    It holds the most frequent names, as many as pay: a name's hits depend on its frequency alone,
    so the best set of each size holds the most frequent ones.
    """
    ranked = Counter(name for names in truth for name in names).most_common()
    hits = np.cumsum([count for _, count in ranked])
    sizes = np.arange(1, len(ranked) + 1)
    best = int((2 * hits / (hits[-1] + sizes * len(truth))).argmax())
    return frozenset(name for name, _ in ranked[: best + 1])


def overlap(one: Frames | None, other: Frames) -> float:
    """Return frames in both segments as a share of those in either; 0 for no segment.

    A segment that ends before it starts holds no frame.
    """
    if one is None or one[1] < one[0]:
        return 0.0
    both = max(min(one[1], other[1]) - max(one[0], other[0]) + 1, 0)
    lengths = [max(last - first + 1, 0) for first, last in (one, other)]
    return both / (sum(lengths) - both)


def evidence_rows(answers: AnswerFile, author: Author) -> Iterator[Record]:
    """Yield how well the evidence window is found, beside answers that always name one place.

    It is scored only where predictions say how long their clips were; elsewhere the prompt may have
    printed the frames. Floors: the whole clip; the window that was asked about; the middle of the
    clip; the last frames of the clip, as many as fit the true segments best; the model's own
    answers randomly assigned, by their distance from the clip's end.
    """
    asked = np.array([item.evidence is not None for item in answers.items])
    if not asked.any():
        reason = "no line says how long its clip was: the prompt may have printed the frames"
        fields = {"task": EVIDENCE_TASK, "n_test": 0, **named(IOU)}
        yield author.row(HONEST, **fields, status="skipped", reason=reason)
        return
    clips = [item.evidence for item in answers.items if item.evidence is not None]
    _, episodes = np.unique(answers.episodes[asked], return_inverse=True)

    def score(said: Iterable[Frames | None]) -> WeightedScore:
        return share(_overlaps(said, clips), episodes)

    back = [
        None if clip.said is None else tuple(clip.n_frames - frame for frame in clip.said)
        for clip in clips
    ]
    from_end = [
        [_from_end(clip, one) for one, clip in zip(some, clips, strict=True)]
        for some in permuted(back)
    ]
    floors = {
        "whole_clip": score((0, clip.n_frames - 1) for clip in clips),
        "asked_window": score(clip.window for clip in clips),
        "centre_of_clip": score(_best_length(clips, _centred)),
        "last_frames": score(_best_length(clips, _ending)),
        "shuffled_answers": average(list(map(score, from_end))),
    }
    mine = score(clip.said for clip in clips)
    note = "the floors' lengths are fitted on the test truth: no fixed place does better"
    scored = AnswerScore(IOU, mine, int(episodes.max()) + 1, len(clips), floors)
    yield from author.rows(scored, note, task=EVIDENCE_TASK, variant=PARSED)


def _overlaps(said: Iterable[Frames | None], clips: Sequence[EvidenceSpans]) -> np.ndarray:
    return np.array([overlap(one, clip.truth) for one, clip in zip(said, clips, strict=True)])


def _from_end(clip: EvidenceSpans, distances: Frames | None) -> Frames | None:
    return None if distances is None else tuple(clip.n_frames - one for one in distances)


def _centred(clip: EvidenceSpans, length: int) -> Frames:
    length = min(length, clip.n_frames)
    first = (clip.n_frames - length) // 2
    return first, first + length - 1


def _ending(clip: EvidenceSpans, length: int) -> Frames:
    return max(0, clip.n_frames - length), clip.n_frames - 1


def _best_length(
    clips: Sequence[EvidenceSpans], place: Callable[[EvidenceSpans, int], Frames]
) -> list[Frames]:
    """Return the segments of the length that does best over all clips."""
    lengths = range(1, max(clip.n_frames for clip in clips) + 1)
    said = [[place(clip, length) for clip in clips] for length in lengths]
    return said[int(np.argmax([_overlaps(one, clips).mean() for one in said]))]


# --- the published evaluator's figures ----------------------------------------------------------


def official_figures(answers: AnswerFile) -> dict[str, float | None]:
    """Return the published evaluator's figures by their published names, whatever they are worth.

    Its rules were found from its record, which they reproduce exactly: an answer counts as valid if
    an object with all seven keys can be found in it; an action is matched to the options first
    (`xperience.qwen.schema.published_label`), every other field is compared as it stands; a field
    that is missing is wrong; where the truth is "unknown" a field other than the action is left
    out. A figure is None where nothing counts, or where the file does not say which labels were
    trained.
    """
    items, episodes = answers.items, answers.episodes
    right = np.array([item.published == item.truth["action"] for item in items])
    actions = [(item.truth["action"],) for item in items]
    said = [(item.published,) for item in items]
    macro_f1 = _on_all(count_labels(actions, said, episodes, answers.options.action),
                       "macro_f1_all")  # fmt: skip
    objects = [item.true_objects for item in items], [item.said_objects for item in items]
    named_any = any(map(any, objects))
    tells = all(item.seen is not None for item in items)
    seen = np.array([bool(item.seen) for item in items])

    def mean(values: np.ndarray) -> float | None:
        return float(np.mean(values)) if len(values) else None

    def field_accuracy(field: str) -> float | None:
        known = [item for item in items if item.truth[field] != UNKNOWN]
        return mean(np.array([item.said.get(field) == item.truth[field] for item in known]))

    return {
        "num_samples": len(items),
        "accuracy": mean(right),
        "macro_f1": macro_f1,
        "json_validity_rate": mean(np.array([item.lenient for item in items])),
        "action_macro_f1": macro_f1,
        "subtask_accuracy": field_accuracy("subtask"),
        "transition_accuracy": field_accuracy("transition"),
        "next_action_accuracy": field_accuracy("next_action"),
        "contact_accuracy": field_accuracy("contact"),
        "object_micro_f1": (
            _on_all(count_labels(*objects, episodes), OBJECT_METRIC) if named_any else None
        ),
        "num_unseen_label_samples": int((~seen).sum()) if tells else None,
        "seen_label_accuracy": mean(right[seen]) if tells else None,
        "unseen_label_accuracy": mean(right[~seen]) if tells else None,
        "held_out_episode_count": int(episodes.max()) + 1,
    }


def official_rows(answers: AnswerFile, author: Author) -> Iterator[Record]:
    """Yield a row a figure of the published evaluator, names prefixed ``published_``."""
    units = dict.fromkeys(("num_samples", "num_unseen_label_samples"), "sample")
    units["held_out_episode_count"] = "episode"
    for name, value in official_figures(answers).items():
        unit = units.get(name, "1")
        fields = {"metric": PREFIX + name, "unit": unit, "n_test": len(answers)}
        if value is None:
            reason = "nothing counts, or the file does not say which labels occur in training"
            fields |= {"status": "skipped", "reason": reason}
        better = True if unit == "1" else None
        yield author.row(PUBLISHED, **fields, higher_is_better=better, value=value)
    told = [item.agrees for item in answers.items if item.agrees is not None]
    if told:
        yield author.row(
            PUBLISHED, metric=PREFIX + "parsing_agreement", higher_is_better=True,
            value=float(np.mean(told)), n_test=len(told),
            reason="share of lines whose own parsed fields are those that the rules give",
        )  # fmt: skip
