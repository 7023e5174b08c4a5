"""Real answers on held-out episodes: a fine-tuned language model beside a baseline of metadata.

The record holds 448 answers of a Qwen3-Omni LoRA about windows of episodes that nobody trained on,
and what a baseline that sees metadata alone says of the same windows. Both are predictions of one
problem a field of several sessions, one an episode, which intervals leave out as a whole. Labels of
training windows were not published, so floors come from the test truth: no constant does better.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xperience.evaluation import evaluate
from xperience.evaluation.evaluate import Comparison, Scores
from xperience.evaluation.predictions import Prediction
from xperience.evaluation.records import (
    ANSWERED,
    ANSWERING,
    METADATA,
    SHUFFLED,
    WITHOUT_ONE,
    Record,
)
from xperience.models import baselines
from xperience.qwen import scores as answer_scores
from xperience.qwen.predictions import AnswerFile, read_predictions
from xperience.qwen.schema import UNKNOWN, AnswersError, Options, read_options
from xperience.recording.labels import split
from xperience.studies.record.record import PublishedRecord, PublishedRecordError
from xperience.tasks.catalogue import TASKS_BY_NAME
from xperience.tasks.problem import Problem
from xperience.tasks.splits import Samples, Split
from xperience.tasks.truth import Truth

OBJECTS = "objects"
WORDS = {"action_verb": "verb", "action_noun": "noun"}
"""Fields that are a word of the action as written, asked under `corrected`."""
FIELDS = ("action", *WORDS, "subtask", "next_action", "contact", "transition", OBJECTS)
TABLES = {
    "action": "timeline_action",
    "subtask": "timeline_subtask",
    "contact": "contact_prediction",
    "transition": "transition_detection",
}
"""Tasks under which the baseline's predictions of a field were published."""
NO_OPTIONS = "the list of labels that may be said is not there"


def read_answers(record: PublishedRecord) -> AnswerFile:
    """Return the published answers; without their options, whatever is said may be said.

    A PublishedRecordError says that they are not there, or that a file is not as published.
    """
    path, has = record.path("answers"), record.has("answer_options")
    try:
        options = read_options(record.path("answer_options")) if has else Options(())
        return read_predictions(path, options)
    except AnswersError as error:
        raise PublishedRecordError(
            f"published record: {error.place}", error.found, error.expected, "Fetch it again."
        ) from error


def answered(record: PublishedRecord, name: str) -> float:
    """Return one of the published evaluator's figures, by its name there."""
    if name == "action_macro_f1":
        record.path("answer_options")  # it is a mean over all of them
    return answer_scores.official_figures(read_answers(record))[name]


@dataclass(frozen=True)
class AnsweredProblem(Problem):
    """A field of answers about windows of several episodes, in the order of the file."""

    sessions: np.ndarray | None = None  # no two of the published episodes share one


def answer_rows(record: PublishedRecord, truth: Truth, run: str, section: str) -> list[Record]:
    """Return how many answers are valid, and each field's scores beside its floors.

    For the model and the baseline: score with its interval and floor; differences from the
    strongest floor, from the own answers shuffled within each episode, and between the two; how
    many labels are ever named; and the score without the episode that changes it most.
    """
    del truth  # of the one public recording; these are other episodes
    answers, base = read_answers(record), {"run": run, "section": section, "contract": "published"}
    rows = [*_validity(answers, base | {"head": ANSWERING}), *_extent(record, base)]
    return rows + [row for field in FIELDS for row in _field_rows(record, answers, field, base)]


def _untold(base: Mapping[str, Any], metric: str, reason: str) -> Record:
    return Record(**base, metric=metric, status="skipped", reason=reason)


def _validity(answers: AnswerFile, base: Mapping[str, Any]) -> Iterator[Record]:
    for row in answer_scores.validity_rows(answers, base):
        if answers.options.action or (row.metric, row.variant) == ("lenient_validity", None):
            yield row
        elif row.metric == "strict_validity":
            yield _untold(base, row.metric, NO_OPTIONS)


def _extent(record: PublishedRecord, base: Mapping[str, Any]) -> Iterator[Record]:
    """Yield how many episodes each side has, and how many test windows show a new activity."""
    if not record.has("heldout_windows"):
        yield _untold(base, "heldout_episodes", "their list is not in the published record")
        return
    table = record.table("heldout_windows")
    for side, n in table.groupby("split", sort=False)["episode_id"].nunique().items():
        yield Record(**base, metric="heldout_episodes", variant=side, unit="episode", value=n)
    activities = {side: part["main_task"] for side, part in table.groupby("split")}
    new = ~activities["test"].isin(activities["train"])
    yield _open(base | {"task": f"{ANSWERED}activity"}, new.to_numpy())


def _open(base: Mapping[str, Any], new: Sequence[bool], reason: str | None = None) -> Record:
    fields = {"metric": "open_set_share", "higher_is_better": False, "n_test": len(new)}
    return Record(**base, **fields, value=float(np.mean(new)), reason=reason)


def _field_rows(
    record: PublishedRecord, answers: AnswerFile, field: str, base: Mapping[str, Any]
) -> Iterator[Record]:
    source = "action" if field in WORDS else field
    base = {**base, "contract": "corrected" if field in WORDS else "published"}
    own = base | {"task": ANSWERED + field}
    labels = [one.truth.get(source) for one in answers.items]  # None for objects
    kept = [one is None or (one != UNKNOWN and _asked(field, one) != "") for one in labels]
    items = [one for one, keep in zip(answers.items, kept, strict=True) if keep]
    if field == OBJECTS:
        true: list[Any] = [tuple(one.true_objects) for one in items]
        said: dict[str, list[Any]] = {ANSWERING: [tuple(one.said_objects) for one in items]}
    else:
        true = [_asked(field, one.truth[source]) for one in items]
        said = {ANSWERING: [_asked(field, one.said.get(source, "")) for one in items]}
    if source in TABLES and record.has("heldout_baseline", TABLES[source]):
        table = _of_baseline(record, source, answers)[kept]
        said[METADATA] = [_asked(field, label) for label in table]
    elif source in TABLES:
        reason = "its predictions are not in the published record"
        yield _untold(own | {"head": METADATA}, "macro_f1", reason)
    yield from _scored(field, true, said, np.array([one.episode for one in items]), base)
    if field in WORDS and not answers.options.action:
        yield _untold(own, "open_set_share", NO_OPTIONS)
    elif field in WORDS:
        new = {one.truth["action"] for one in items if not one.seen}
        known = {_asked(field, label) for label in answers.options.action if label not in new}
        reason = "at least: every option counts as trained that is not known to be new"
        yield _open(own, [one not in known for one in true], reason)
    elif field == "action":
        yield _open(own, [not one.seen for one in items])


def _asked(field: str, label: str) -> str:
    """Return what a field asks of a label: itself, or one of its words, "" if it has none."""
    if field not in WORDS:
        return label
    return getattr(split(label, lambda word, kind: word), WORDS[field]) or ""


def _of_baseline(record: PublishedRecord, field: str, answers: AnswerFile) -> np.ndarray:
    """Return what the baseline says of the windows that the answers are about."""
    table = record.table("heldout_baseline", TABLES[field])
    theirs = list(zip(table["episode_id"], table["true_label"], strict=True))
    if theirs != [(one.episode, one.truth[field]) for one in answers.items]:
        raise PublishedRecordError(
            f"published record: baseline of {field}",
            "is not about the windows of the published answers",
            "the same episodes and true labels, in the same order",
            "Fetch the files again.",
        )
    return table["predicted_label"].to_numpy(dtype=object)


def _scored(
    field: str,
    true: list[Any],
    said: Mapping[str, Sequence[Any]],
    episodes: np.ndarray,
    base: Mapping[str, Any],
) -> Iterator[Record]:
    task = TASKS_BY_NAME["object_relevance" if field == OBJECTS else "timeline_action"]
    measures = task.measures[: 1 if field == OBJECTS else 3]
    task, n = replace(task, name=ANSWERED + field, measures=measures), len(true)
    samples = Samples(np.arange(n)[:, None], true, np.zeros((n, 1, 2), int), np.arange(n))
    whole = Split(np.arange(0), np.arange(n))
    contract = base["contract"]
    problem = AnsweredProblem(task, contract, None, None, samples, whole, sessions=episodes)
    base = evaluate.base_of(problem, base) | {"n_train": None}
    if why := task.degenerate(true):
        found = base | evaluate.measured(task.primary) | {"status": "degenerate", "reason": why}
        yield Record(**found, head=ANSWERING)
        return

    def scores(*draws: Sequence[Any]) -> Scores:
        return Scores.of(problem, [Prediction(list(one), recorded=True) for one in draws])

    if field == OBJECTS:
        constant = tuple(baselines.best_constant_set([frozenset(names) for names in true]))
        floors = {"best_constant_set": scores([constant] * n)}
    else:
        rng = np.random.default_rng(evaluate.FLOOR_SEED)
        drawn = (baselines.stratified(true, n, rng) for _ in range(evaluate.FLOOR_DRAWS))
        common = scores(baselines.majority(true, n))
        floors = {"majority_of_test_truth": common, "share_matched_random": scores(*drawn)}
    compared = Comparison(problem, {who: scores(one) for who, one in said.items()}, floors, base)
    for name, floor in floors.items():
        of_floor = base | {"head": name, "variant": evaluate.FLOOR}
        yield evaluate.score_row(floor, task.primary, of_floor)
    for head, one in said.items():
        for measure in measures:
            yield compared.row(head, measure, bounded=False)
        for rival in compared.rivals(head, task.primary):
            yield compared.difference(head, rival, task.primary)
        own, mine = base | {"head": head}, compared.heads[head]
        shuffled = scores(*([one[at] for at in p] for p in answer_scores.permutations(episodes)))
        yield evaluate.difference_row(mine, shuffled, task.primary, own | {"against": SHUFFLED})
        n_named, n_true = (
            len({name for label in side for name in ([label] if isinstance(label, str) else label)}
                - {""})
            for side in (one, true)
        )  # fmt: skip
        yield Record(**own, metric="distinct_predictions", unit="label", value=n_named)
        yield Record(**own, metric="distinct_share", value=n_named / n_true)
        yield _without_one(mine, own)
    if METADATA in said:
        yield compared.difference(ANSWERING, METADATA, task.primary)


def _without_one(mine: Scores, base: Mapping[str, Any]) -> Record:
    groups, one = mine.problem.sessions, mine.problem.task.primary
    each = np.unique(groups)
    left = mine.weighted(one)((groups[None] != each[:, None]).astype(float))
    most = int(np.nanargmax(np.abs(left - mine.score(one).value)))
    reason = f"without episode {each[most]}, which changes it most"
    fields = {**evaluate.measured(one), "variant": WITHOUT_ONE, "reason": reason}
    return Record(**base, **fields, value=float(left[most]))
