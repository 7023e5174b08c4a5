"""Scores of answers as tidy rows: validity, every field beside its floors, the published figures.

Windows of a recording resemble each other; what is independent is the recording. A score weighs
recordings, so counts are summed in each of them once and memory does not grow with the windows.
"""

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from xperience.evaluation.intervals import (
    Segmentation,
    WeightedScore,
    difference,
    difference_fields,
    interval,
    interval_fields,
)
from xperience.evaluation.metrics import METRICS, Metric, Score, skill
from xperience.evaluation.records import FLOOR, Record
from xperience.models.baselines import best_constant_set
from xperience.qwen.predictions import AnsweredWindow, AnswerFile
from xperience.qwen.schema import FAULTS, UNKNOWN

PUBLISHED, HONEST = "published", "corrected"
"""Contracts that rows belong to: the evaluator of the published note, and what we would defend."""
PREFIX = "published_"
PARSED, STRICT, ANSWERABLE = "parsed", "strict", "answerable"
"""Variants: what could be read from an answer counts; only answers that are valid whole count; only
windows count whose true label may be said."""
OBJECTS, OBJECT_METRIC = "objects", "micro_f1"
LABEL_METRICS = ("accuracy", "macro_f1_present")
EVIDENCE_TASK, EVIDENCE = "evidence_window", "evidence_iou"
N_PERMUTED, PERMUTATION_SEED = 25, 7
TRUTH_FLOORS = "the constant floor is fitted on the test truth: no constant answer does better"

Base = Mapping[str, Any]
"""Fields that all rows have: run, section, contract `HONEST`, and who answered as the head."""


# --- scores as functions of the weights of recordings -------------------------------------------


@dataclass(frozen=True)
class LabelCounts:
    """Counts of labels in each recording, sparse (n_episodes, n_occurring); see `count_labels`."""

    right: csr_array
    true: csr_array
    claimed: csr_array
    names: range  # one place for each label that could have been chosen or occurs

    def counts(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return right, true and claimed counts under weights, each (n_rows, n_occurring)."""
        return weights @ self.right, weights @ self.true, weights @ self.claimed

    def score_of(self, metric: str) -> WeightedScore:
        """Return a metric of labels or sets as a function of weights of recordings."""
        formula = METRICS[metric].formula
        return lambda weights: formula(self, weights)

    def value(self, metric: str) -> float:
        """Return a metric over the recordings as they are."""
        return float(self.score_of(metric)(np.ones((1, self.true.shape[0])))[0])


def count_labels(
    truth: Sequence[Collection[Hashable]],
    said: Sequence[Collection[Hashable]],
    episodes: np.ndarray,
    options: Iterable[Hashable] = (),
) -> LabelCounts:
    """Count labels recording by recording.

    Truth and answers are sets, n of each: one label per sample, or none where nothing usable was
    said, or any number of names. Episodes, int (n,), number each sample's recording. Options are
    labels that could have been chosen, whether or not they occur.
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
    """Return the mean of per-sample values, float (n,), as a function of weights of recordings.

    Episodes, int (n,), number each sample's recording. Only the samples counted, bool (n,), have a
    say, all if not given; the mean is NaN where none does.
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


def permutations(groups: np.ndarray) -> Iterator[np.ndarray]:
    """Yield places of samples randomly assigned within groups, int (n,), `N_PERMUTED` times."""
    rng = np.random.default_rng(PERMUTATION_SEED)
    home = np.argsort(groups, kind="stable")
    for _ in range(N_PERMUTED):
        places = np.empty(len(groups), dtype=int)
        places[home] = np.lexsort((rng.random(len(groups)), groups))
        yield places


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
    note: str | None = None  # what a reader of the score must know

    def rows(self, base: Base, **fields: Any) -> Iterator[Record]:
        """Yield the score with interval, best floor and skill, its floors, the paired difference.

        Fields are ``task`` and ``variant``.
        """
        one, n = self.metric, self.n_episodes
        segmentation = Segmentation(groups=np.arange(n))
        fields |= {"n_test": self.n_samples, **named(one)}
        found = self._value(self.score_of)
        floors = {name: self._value(score_of) for name, score_of in self.floors.items()}
        known = {name: floor.value for name, floor in floors.items() if floor.value is not None}
        best = (max if one.higher_is_better else min)(known, key=known.get, default=None)
        whole = _said(found) | {"reason": found.reason or self.note, "ceiling": self.ceiling}
        if best is not None:
            whole |= {"floor": known[best], "floor_name": best}
            whole["skill"] = skill(one, found, floors[best]).value
        if found.value is not None:
            whole |= interval_fields(interval(self.score_of, n, segmentation, one.bounds))
        yield Record(**base | fields | whole)
        if found.value is None or best is None:
            return
        sides = self.score_of, self.floors[best]
        gap = difference_fields(difference(*sides, n, segmentation, one.bounds))
        yield Record(**base | fields | gap, against=best, value=found.value - known[best])
        fields["variant"] = "_".join(filter(None, (fields.get("variant"), FLOOR)))
        for name, floor in floors.items():
            yield Record(**base | fields | {"head": name} | _said(floor))

    def _value(self, score_of: WeightedScore) -> Score:
        if not self.n_samples:
            return Score(None, "no samples")
        value = float(score_of(np.ones((1, self.n_episodes)))[0])
        if np.isnan(value):
            return Score(None, f"{self.metric.id} is undefined: {self.metric.undefined}")
        return Score(value)


def _said(score: Score) -> dict[str, Any]:
    return {"value": score.value, "status": score.status, "reason": score.reason}


# --- validity, and what bounds the scores -------------------------------------------------------


def validity_rows(answers: AnswerFile, base: Base) -> Iterator[Record]:
    """Yield how many answers are valid, by both rules, and what the others lack."""
    strict = "The whole text is an answer as declared, every label an option."
    lenient = "An object with all seven keys can be found in the text (the published rule)."

    def rows(one: Metric, holds: Iterable[bool], **fields: Any) -> Iterator[Record]:
        hits, n_episodes = np.array(list(holds), dtype=float), int(answers.episodes.max()) + 1
        note = None if fields else one.rule
        scored = AnswerScore(one, share(hits, answers.episodes), n_episodes, len(hits), note=note)
        return scored.rows(base, **fields)

    yield from rows(share_metric("strict_validity", strict), (x.strict for x in answers.items))
    yield from rows(share_metric("lenient_validity", lenient), (x.lenient for x in answers.items))
    one = share_metric("fault_share", "Answers with this fault; one may have several.", False)
    for fault in FAULTS:
        yield from rows(one, (fault in x.faults for x in answers.items), variant=fault)


def openness_rows(answers: AnswerFile, base: Base) -> Iterator[Record]:
    """Yield what bounds the scores: labels never trained, options taken from the test split."""
    items = [one for one in answers.items if one.truth["action"] != UNKNOWN]
    if not items:
        return
    fields = base | {"n_test": len(items), "task": "action"}
    in_options = float(np.mean([one.truth["action"] in answers.options.action for one in items]))
    tells = all(item.seen is not None for item in items)
    trained = float(np.mean([item.seen for item in items])) if tells else None
    reason = "1 means that the options were not drawn from training episodes alone"
    if trained is not None and in_options > trained:
        reason = (
            f"only {trained:.1%} of the true labels were trained: the options hold labels of the "
            "test split"
        )
    yield Record(**fields, metric="truth_in_options_share", value=in_options, reason=reason)
    if trained is not None:
        yield Record(**fields, metric="open_set_share", value=1 - trained, higher_is_better=False)
    same = float(np.mean([one.truth["action"] == one.truth["next_action"] for one in items]))
    reason = "where the next action is the present one, this field asks nothing new"
    fields |= {"task": "next_action", "reason": reason}
    yield Record(**fields, metric="next_action_is_action_share", value=same)


# --- fields: labels, objects, the evidence window -----------------------------------------------


def field_rows(answers: AnswerFile, base: Base, field: str) -> Iterator[Record]:
    """Yield the scores of a field, the objects among them; true labels "unknown" are left out.

    Floors: the constant answer that fits the truth best; the model's own answers randomly assigned
    over all windows, and among the windows of their recording. The last knows what a recording is
    about, but not what happens when. Objects are compared by exact names, pooled over windows.
    """
    items, episodes = answers.where(lambda item: item.truth.get(field) != UNKNOWN)
    metric = METRICS[OBJECT_METRIC if field == OBJECTS else LABEL_METRICS[0]]

    def no_score(reason: str, n_test: int, *variants: str) -> Iterator[Record]:
        """Yield why there is no score, one row per variant: each stands where the score would."""
        fields = base | {"task": field, "n_test": n_test, "reason": reason, **named(metric)}
        return (Record(**fields, variant=one, status="degenerate") for one in variants)

    kinds = list({item.names(field) for item in items})
    if not any(kinds) or (len(kinds) < 2 and field != OBJECTS):
        reason = f"every true {'set is empty' if field == OBJECTS else 'label is unknown'}"
        if any(kinds):
            reason = f"every true label is {next(iter(kinds[0]))!r}: one class tests nothing"
        yield from no_score(reason, len(items), PARSED, STRICT)
        return
    options = answers.options.allowed(field) or frozenset()
    yield from _score_rows(items, episodes, base, field, options, (PARSED, STRICT))
    able = [item for item in items if item.truth.get(field) in options]
    if field == OBJECTS or not options or len(able) == len(items):
        return
    if (n_kinds := len({item.truth[field] for item in able})) < 2:
        reason = f"{len(able)} of {len(items)} true labels are options, of {n_kinds} kinds"
        yield from no_score(reason, len(able), ANSWERABLE)
        return
    _, episodes = np.unique([item.episode for item in able], return_inverse=True)
    yield from _score_rows(able, episodes, base, field, options, (ANSWERABLE,))


def _score_rows(
    items: Sequence[AnsweredWindow],
    episodes: np.ndarray,
    base: Base,
    field: str,
    options: frozenset[str],
    variants: Sequence[str],
) -> Iterator[Record]:
    truth = [item.names(field) for item in items]
    if field == OBJECTS:
        metrics, name, constant = (OBJECT_METRIC,), "best_constant_set", best_constant_set(truth)
    else:
        metrics, name = LABEL_METRICS, "majority_of_test_truth"
        constant = Counter(truth).most_common(1)[0][0]
    within = count_labels(truth, [names & options for names in truth], episodes)
    for variant in variants:
        said = [
            item.said_names(field) if item.strict or variant != STRICT else frozenset()
            for item in items
        ]
        shuffled = {
            "shuffled_answers": np.zeros_like(episodes),
            "shuffled_within_episode": episodes,
        }
        draws = {name: [[constant] * len(said)]} | {
            floor: [[said[place] for place in places] for places in permutations(groups)]
            for floor, groups in shuffled.items()
        }
        mine, *floors = (
            [count_labels(truth, one, episodes, options) for one in each]
            for each in ([said], *draws.values())
        )
        for metric in metrics:
            scores = [average([one.score_of(metric) for one in each]) for each in floors]
            bounded = options and metric != "macro_f1_present"
            yield from AnswerScore(
                METRICS[metric], mine[0].score_of(metric), int(episodes.max()) + 1, len(said),
                dict(zip(draws, scores, strict=True)), within.value(metric) if bounded else None,
                TRUTH_FLOORS,
            ).rows(base, task=field, variant=variant)  # fmt: skip


def overlap(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return frames in both segments as a share of those in either, float (...,).

    Segments are first and last frames, int (..., 2). One that ends before it starts holds no frame
    and overlaps with none.
    """
    both = np.minimum(one[..., 1], other[..., 1]) - np.maximum(one[..., 0], other[..., 0]) + 1
    both = np.maximum(both, 0)
    lengths = sum(np.maximum(x[..., 1] - x[..., 0] + 1, 0) for x in (one, other))
    return both / np.maximum(lengths - both, 1)


def ending(n_frames: np.ndarray, length: int) -> np.ndarray:
    """Return the last frames of clips, as first and last of them, int (n, 2)."""
    return np.stack([np.maximum(n_frames - length, 0), n_frames - 1], axis=-1)


def centred(n_frames: np.ndarray, length: int) -> np.ndarray:
    """Return the middle of clips, as first and last frame, int (n, 2)."""
    length = np.minimum(length, n_frames)
    first = (n_frames - length) // 2
    return np.stack([first, first + length - 1], axis=-1)


def best_length(
    n_frames: np.ndarray, truth: np.ndarray, place: Callable[[np.ndarray, int], np.ndarray]
) -> int:
    """Return the length of segments, placed in all clips alike, that fits the true ones best."""
    lengths = range(1, int(n_frames.max()) + 1)
    return 1 + int(np.argmax([overlap(place(n_frames, n), truth).mean() for n in lengths]))


def evidence_rows(answers: AnswerFile, base: Base) -> Iterator[Record]:
    """Yield how well the evidence window is found, beside answers that always name one place.

    It is scored only where predictions say how long their clips were; elsewhere the prompt may have
    printed the frames. Floors: the whole clip; the window that was asked about; the middle of the
    clip; the last frames of the clip, as many as fit the true segments best; the model's own
    answers randomly assigned, by their distance from the clip's end.
    """
    items, episodes = answers.where(lambda item: item.evidence is not None)
    if not items:
        reason = "no line says how long its clip was: the prompt may have printed the frames"
        fields = base | {"task": EVIDENCE_TASK, "n_test": 0, **named(IOU)}
        yield Record(**fields, status="skipped", reason=reason)
        return
    clips = [item.evidence for item in items]
    n_frames = np.array([clip.n_frames for clip in clips])
    truth, said, window = (
        np.array([getattr(clip, name) for clip in clips]) for name in ("truth", "said", "window")
    )

    def score(spans: np.ndarray) -> WeightedScore:
        return share(overlap(spans, truth), episodes)

    to_end = n_frames[:, None] - said  # (n, 2)
    assigned = permutations(np.zeros(len(clips)))
    floors = {
        "whole_clip": score(ending(n_frames, int(n_frames.max()))),
        "asked_window": score(window),
        "centre_of_clip": score(centred(n_frames, best_length(n_frames, truth, centred))),
        "last_frames": score(ending(n_frames, best_length(n_frames, truth, ending))),
        "shuffled_answers": average([score(n_frames[:, None] - to_end[p]) for p in assigned]),
    }
    note = "the floors' lengths are fitted on the test truth: no fixed place does better"
    n_episodes = int(episodes.max()) + 1
    scored = AnswerScore(IOU, score(said), n_episodes, len(clips), floors, note=note)
    yield from scored.rows(base, task=EVIDENCE_TASK, variant=PARSED)


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
    actions = [(item.truth["action"],) for item in items]
    said = [(item.published,) for item in items]
    macro_f1 = count_labels(actions, said, episodes, answers.options.action).value("macro_f1_all")
    objects = [item.true_objects for item in items], [item.said_objects for item in items]
    right = np.array([item.published == item.truth["action"] for item in items])
    tells = all(item.seen is not None for item in items)
    seen = np.array([bool(item.seen) for item in items])

    def mean(values: Sequence[bool] | np.ndarray) -> float | None:
        return float(np.mean(values)) if len(values) else None

    def field_accuracy(field: str) -> float | None:
        known = [item for item in items if item.truth[field] != UNKNOWN]
        return mean([item.said.get(field) == item.truth[field] for item in known])

    return {
        "num_samples": len(items),
        "accuracy": mean(right),
        "macro_f1": macro_f1,
        "json_validity_rate": mean([item.lenient for item in items]),
        "action_macro_f1": macro_f1,
        "subtask_accuracy": field_accuracy("subtask"),
        "transition_accuracy": field_accuracy("transition"),
        "next_action_accuracy": field_accuracy("next_action"),
        "contact_accuracy": field_accuracy("contact"),
        "object_micro_f1": (
            count_labels(*objects, episodes).value(OBJECT_METRIC)
            if any(map(any, objects))
            else None
        ),
        "num_unseen_label_samples": int((~seen).sum()) if tells else None,
        "seen_label_accuracy": mean(right[seen]) if tells else None,
        "unseen_label_accuracy": mean(right[~seen]) if tells else None,
        "held_out_episode_count": int(episodes.max()) + 1,
    }


def official_rows(answers: AnswerFile, base: Base) -> Iterator[Record]:
    """Yield one row per figure of the published evaluator, names prefixed ``published_``."""
    base = base | {"contract": PUBLISHED}
    units = dict.fromkeys(("num_samples", "num_unseen_label_samples"), "sample")
    units["held_out_episode_count"] = "episode"
    for name, value in official_figures(answers).items():
        unit = units.get(name, "1")
        fields = {"metric": PREFIX + name, "unit": unit, "n_test": len(answers.items)}
        if value is None:
            reason = "nothing counts, or the file does not say which labels occur in training"
            fields |= {"status": "skipped", "reason": reason}
        better = True if unit == "1" else None
        yield Record(**base | fields, higher_is_better=better, value=value)
    told = [item.agrees for item in answers.items if item.agrees is not None]
    if told:
        yield Record(
            **base, metric=PREFIX + "parsing_agreement", higher_is_better=True,
            value=float(np.mean(told)), n_test=len(told),
            reason="share of lines whose own parsed fields are those that the rules give",
        )  # fmt: skip
