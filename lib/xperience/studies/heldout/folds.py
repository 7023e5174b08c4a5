"""Held-out recordings: one split, cross-validation over sessions, and the generalisation gap.

A handful of test recordings has no interval. In cross-validation every session is tested once, so
that there are as many independent recordings as the cohort has. Each fold is trained
and chosen on other sessions than it is tested on; all heads of a fold share its axes and inputs. Of
a fold only what its primary measure is computed from is kept, not the predictions.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from xperience.cohort.manifest import SPLITS, SplitManifest, make_manifest
from xperience.errors import ParamsError
from xperience.evaluation import metrics as scoring
from xperience.evaluation.evaluate import (
    FLOOR,
    Comparison,
    Scores,
    difference_row,
    evidence,
    floors,
    measured,
    merged,
    score_row,
)
from xperience.evaluation.metrics import (
    Detections,
    LabelSets,
    Positions,
    Ranks,
    RecordingVectors,
    Vectors,
)
from xperience.evaluation.predictions import (
    COLUMNS,
    Prediction,
    Predictions,
    predict,
    predictions_table,
)
from xperience.evaluation.records import (
    ACROSS,
    ENDS,
    GAP,
    POOLED,
    POOLED_ENDS,
    POOLED_GAP,
    POOLED_WITHIN,
    WITHIN,
    Record,
)
from xperience.features.blocks import BLOCKS_BY_NAME
from xperience.models.conditioning import Moments
from xperience.models.penalised import N_AXES
from xperience.progress import OnProgress
from xperience.storage import whole_file
from xperience.studies.heldout.axes import Space, fit_space, project
from xperience.studies.heldout.cohort import CONTRACT, Cohort
from xperience.studies.heldout.problem import (
    TEST,
    CohortProblem,
    RecordingSamples,
    cohort_problem,
    joined,
    sets_of,
)
from xperience.studies.heldout.words import word_rows
from xperience.tasks.catalogue import ALL, TASKS, tasks_of
from xperience.tasks.measures import Measure
from xperience.tasks.problem import Problem, build
from xperience.tasks.splits import picked
from xperience.tasks.task import Task

SECTION = "06_heldout_episodes"
PREDICTED = {"episode": pa.string()} | {
    name: COLUMNS[name]
    for name in ("task", "head", "seed", "window", "start_frame", "truth", "predicted")
}
"""Columns of the section's predictions."""
HELD_BYTES = 2**29
"""Coordinates of all recordings that are held at a time, at most."""


def cohort_problems(
    cohort: Cohort, tasks: Sequence[Task] = TASKS, on_progress: OnProgress | None = None
) -> Iterator[CohortProblem]:
    """Yield every task, as the corrected contract asks it, as a problem of a cohort.

    Axes are fitted on training recordings alone. A problem holds all inputs of its task: bring it
    down to rows and let it go.
    """
    for found in problems_given(cohort, {"all": ALL}, tasks, on_progress):
        yield found.popitem()[1]


def problems_given(
    cohort: Cohort,
    variants: Mapping[str, Collection[str]],
    tasks: Sequence[Task] = TASKS,
    on_progress: OnProgress | None = None,
    step: int = 1,
) -> Iterator[dict[tuple[str, str], CohortProblem]]:
    """Yield every task as problems that differ in their inputs, {(task, variant): problem}.

    Inner products of a block are computed once for all variants, {variant: blocks}: those that are
    left of the task's own inputs, see `Problem.with_blocks`. Of every ``step`` windows of training
    and validation recordings one is learnt from at most.
    """
    recordings, by_name = cohort.recordings, {one.name: one for one in tasks_of(CONTRACT, tasks)}
    wide = [
        replace(
            task,
            pieces=tuple(p for blocks in variants.values() for p in task.given(blocks) if p.blocks),
        )
        for task in by_name.values()
    ]
    space = fit_space(cohort.on("train"), sets_of(wide), N_AXES, step)
    told = None if on_progress is None else partial(on_progress, "features")
    for some in _rounds(wide, sum(one.n_windows for one in recordings)):
        projected = project(recordings, space, sets_of(some), told)
        for name in (one.name for one in some):
            problem = cohort_problem(by_name[name], recordings, projected, space, step)
            yield {(name, one): problem.with_blocks(blocks) for one, blocks in variants.items()}


def _rounds(tasks: Sequence[Task], n_windows: int) -> list[list[Task]]:
    """Return tasks in rounds, in order: a round's coordinates of all windows are held at once.

    A round takes as many tasks as `HELD_BYTES` of coordinates allow, at least one and those that
    need no more than it: a few recordings are read once for all tasks, many once a round.
    """
    most = HELD_BYTES // (n_windows * N_AXES * np.dtype(np.float32).itemsize)  # sets of blocks
    found: list[list[Task]] = []
    for task in tasks:
        so_far = sets_of(found[-1]) if found else []
        if found and len(sets_of([*found[-1], task])) <= max(most, len(so_far)):
            found[-1].append(task)
        else:
            found.append([task])
    return found


def folds(manifest: SplitManifest, n_folds: int) -> list[SplitManifest]:
    """Return split manifests in which every session is tested once, and validated on once.

    The manifest's own splits are forgotten; sessions are assigned to folds in its order.

    Raises
    ------
    ParamsError
        If there are fewer than 3 folds, or fewer sessions than folds.
    """
    sessions = list(dict.fromkeys(entry.session for entry in manifest))
    if not 3 <= n_folds <= len(sessions):
        raise ParamsError(
            "n_folds", f"is {n_folds}", f"3 to {len(sessions)}, the sessions there are",
            "Take fewer folds, or a larger cohort.",
        )  # fmt: skip
    found = []
    for now in range(n_folds):
        side = dict.fromkeys(sessions, "train")
        side |= dict.fromkeys(sessions[now::n_folds], "test")
        side |= dict.fromkeys(sessions[(now + 1) % n_folds :: n_folds], "val")
        entries = (e.model_copy(update={"side": side[e.session]}) for e in manifest)
        found.append(make_manifest(entries, manifest.root))
    return found


# The generalisation gap


@dataclass(frozen=True)
class Ends:
    """Heads trained within and across recordings, scored on the ends of the test recordings."""

    scores: dict[str, Scores] = field(default_factory=dict)  # those within are named `WITHIN`
    n_train: int = 0  # samples that heads within were trained on, over all recordings
    reason: str = ""  # why there are no scores


def ends_of(problem: CohortProblem, predictions: Mapping[str, Predictions]) -> Ends:
    """Return heads within and across recordings on the same windows, or why there are none.

    Within, a linear head is trained on the beginning of every test recording and tested on its end
    (chronological, purged). Heads that were trained across recordings are scored on the same
    windows, so that the difference, the generalisation gap, is paired. Vectors are told in
    deviations of the training recordings, whichever head predicts them.
    """
    ends, reasons, first = [], [], 0
    for part in problem.parts[TEST]:
        found = _end_of(problem, part)
        if isinstance(found, _End):
            ends.append(replace(found, places=first + found.places))
        else:
            reasons.append(f"{part.recording.entry.episode}: {found}")
        first += len(part)
    if not ends:
        return Ends(reason="; ".join(reasons) or "no test recording can be split in time")
    at = np.concatenate([end.places for end in ends])
    kept = problem.keep(at)
    scores = {WITHIN: _within(kept, ends)} | {
        name: Scores.of(kept, [_at(one, at) for one in each]) for name, each in predictions.items()
    }
    return Ends(scores, sum(end.problem.n_train for end in ends))


@dataclass(frozen=True)
class _End:
    """One test recording, split in time and predicted by a head that saw its beginning."""

    problem: Problem
    said: Prediction
    places: np.ndarray  # its end's windows among the test samples, in the order of ``said``


def _at(one: Prediction, places: np.ndarray) -> Prediction:
    """Return what is predicted for some of the samples."""
    sure = one.confidence
    return replace(
        one,
        predicted=picked(one.predicted, places),
        confidence=None if sure is None else sure[places],
    )


def _end_of(whole: CohortProblem, part: RecordingSamples) -> _End | str:
    task = whole.task
    problem = build(task, part.recording.truth, part.recording.blocks(), CONTRACT)
    if not problem.ok:
        return problem.reason or "it gives no problem"
    (one,) = predict(problem, "linear")
    if _scaled(task):
        one = replace(one, predicted=_in_unit_of(whole.space, problem, one.predicted))
    order = problem.by_time
    at = {tuple(row): place for place, row in enumerate(part.samples.members.tolist())}
    tested = map(tuple, problem.samples.members[problem.split.test][order].tolist())
    found = [(now, at[row]) for now, row in enumerate(tested) if row in at]
    if not found:
        return "none of the windows of its end was tested"
    kept, places = np.array(found, dtype=np.int64).T
    return _End(problem, _at(one, order[kept]), places)


def _in_unit_of(space: Space, problem: Problem, predicted: np.ndarray) -> np.ndarray:
    """Return a prediction in its recording's own deviations in those of training recordings."""
    names, rows = problem.task.target_blocks, problem.samples.members[:, 0]
    raw = [problem.blocks.raw(name)[rows] for name in names]
    own = Moments.of(np.concatenate(raw, axis=1)[problem.split.train])
    edges = np.cumsum([block.shape[1] for block in raw])[:-1]
    values = np.split(own.back(predicted), edges, axis=1)
    return space.scaled(dict(zip(names, values, strict=True)))


def _within(kept: CohortProblem, ends: Sequence[_End]) -> Scores:
    """Return the scores of the heads within, as one, on the samples that are kept."""
    if kept.task.kind == "retrieve":  # each recording's targets have a scale of their own
        ranks = []
        for end in ends:
            predicted = np.empty_like(end.said.predicted)  # of all candidates: none is left out
            predicted[end.problem.by_time] = end.said.predicted
            ranks.append(evidence(end.problem, predicted)[0])
        return Scores(kept, ([merged(ranks)],), (None,))
    labels = tuple(dict.fromkeys(label for end in ends for label in end.problem.labels))
    own = replace(kept, labels=labels or kept.labels)
    sure = np.zeros((own.n_test, len(labels))) if own.task.kind == "classify" else None
    first = 0
    for end in ends if sure is not None else ():
        columns = [labels.index(label) for label in end.problem.labels]
        sure[first : first + len(end.places), columns] = end.said.confidence
        first += len(end.places)
    return Scores.of(own, [Prediction(joined([end.said.predicted for end in ends]), sure)])


def heldout_rows(
    problem: CohortProblem, predictions: Mapping[str, Predictions], run: str
) -> Iterator[Record]:
    """Yield the rows of a task across recordings; intervals leave out whole sessions.

    Its trivial baselines (variant "floor"), each head on all windows of the test recordings
    ("across") with its paired differences, the same by recording, labels compared by verb, noun
    and meaning; and on the recordings' ends the heads within ("within"), those across
    ("across_ends") and the difference ("gap").
    """
    base = {"run": run, "section": SECTION}
    if not problem.ok:
        base |= {"contract": CONTRACT, "task": problem.task.name}
        for one in problem.task.measures:
            yield Record(**base, **measured(one), status=problem.status, reason=problem.reason)
        return
    compared = Comparison.of(problem, predictions, base)
    primary, notes = problem.task.primary, "; ".join(problem.notes) or None
    if problem.task.kind == "classify" and not problem.task.classes:
        share = float(problem.unseen.mean())
        yield Record(**compared.base, metric="open_set_share", higher_is_better=False, value=share)
    for name, floor in compared.floors.items():
        for one in problem.measures:
            yield score_row(floor, one, compared.base | {"head": name, "variant": FLOOR})
    for head in compared.heads:
        for one in problem.measures:
            yield compared.row(head, one, variant=ACROSS, reason=notes)
        for rival in compared.rivals(head, primary):
            yield compared.difference(head, rival, primary, variant=ACROSS)
        yield from _by_recording(compared, head)
        own = compared.base | {"head": head, "variant": ACROSS}
        own["n_seeds"] = compared.heads[head].n_seeds and 1
        yield from word_rows(problem, predictions[head][0], own)
    ends = ends_of(problem, predictions)
    if ends.scores:
        variants = (WITHIN, ENDS, GAP)
        yield from _gap_rows(ends.scores, primary, compared.base, variants, n_train=ends.n_train)
        return
    for head in compared.heads:
        own = compared.base | {"head": head, "variant": GAP, "against": WITHIN} | measured(primary)
        yield Record(**own, status="skipped", reason=ends.reason)


def _by_recording(compared: Comparison, head: str) -> Iterator[Record]:
    """Yield the primary score of each test recording on its own."""
    problem: Any = compared.problem
    primary = problem.task.primary
    values = compared.heads[head].by_group(primary)
    for part, value in zip(problem.parts[TEST], values, strict=True):
        own = compared.base | {"head": head, "n_test": len(part)} | measured(primary)
        own |= {"n_seeds": compared.heads[head].n_seeds}
        own |= {"variant": f"recording:{part.recording.entry.episode}", "value": value}
        if value is None:
            reason = f"undefined: {primary.metric.undefined}"
            own |= {"status": "degenerate", "reason": reason}
        yield Record(**own)


def _gap_rows(
    scores: Mapping[str, Scores],
    primary: Measure,
    base: Mapping[str, Any],
    variants: tuple[str, str, str],
    **of_within: Any,
) -> Iterator[Record]:
    """Yield the scores of `Ends` and the gap, in variants for within, across and the gap."""
    within = scores[WITHIN]
    base = dict(base) | {"n_test": within.problem.n_test}
    own = base | {"head": "linear", "variant": variants[0]} | of_within
    yield score_row(within, primary, own)
    for head, across in scores.items():
        if head != WITHIN:
            own = base | {"head": head, "variant": variants[1]}
            yield score_row(across, primary, own)
            own |= {"variant": variants[2], "against": WITHIN}
            yield difference_row(across, within, primary, own)


# Cross-validation


@dataclass(frozen=True)
class Pooled:
    """What scores that are pooled over folds know of their problems."""

    groups: np.ndarray  # numbers of the test samples' recordings, int (n_test,)
    sessions: np.ndarray  # and of their sessions
    task: Task

    contract = CONTRACT

    @property
    def n_test(self) -> int:
        """Test samples."""
        return len(self.groups)


@dataclass(frozen=True)
class Fold:
    """One task in one fold, brought down to what its primary measure is computed from."""

    heads: dict[str, Scores]
    floors: dict[str, Scores]
    ends: dict[str, Scores]  # the scores of `Ends`
    notes: tuple[str, ...] = ()  # what a row says of windows that were passed over


def _scaled(task: Task) -> bool:
    """Return whether a task's scores depend on the deviations that its target is told in."""
    return task.kind == "regress" and bool(task.target_blocks)


def fold_scores(
    problem: CohortProblem, predictions: Mapping[str, Predictions], *, gap: bool = True
) -> Fold | str:
    """Return what is kept of a task in one fold, with or without the gap, or why not."""
    if not problem.ok:
        return problem.reason or problem.status
    heads = {name: Scores.of(problem, each) for name, each in predictions.items()}
    ends = ends_of(problem, predictions).scores if gap else {}
    each = (light(found) for found in (heads, floors(problem), ends))
    return Fold(*each, problem.sampled)


def light(found: Mapping[str, Scores]) -> dict[str, Scores]:
    """Return scores of a task with nothing but its primary measure's evidence."""
    kept = {}
    for name, one in found.items():
        problem, draws = one.problem, []
        known = problem.space.moments
        columns = [
            known[block].keep if block in known else np.zeros(BLOCKS_BY_NAME[block].dim, dtype=bool)
            for block in problem.task.target_blocks
        ]
        for items in one.draws:
            item = next(i for i in items if isinstance(i, problem.task.primary.metric.takes))
            if isinstance(item, Vectors):
                item = RecordingVectors.of(item, problem.groups, np.concatenate(columns))
            draws.append([item])
        kept[name] = replace(one, problem=_pooled_problem([problem]), draws=tuple(draws))
    return kept


def pooled_rows(task: Task, found: Sequence[Fold | str], run: str) -> Iterator[Record]:
    """Yield a task's rows pooled over folds: heads, differences, the gap.

    ``found`` has one `Fold`, or reason, per fold. Targets made of feature blocks are in deviations
    of each fold's training recordings.
    """
    base = {"run": run, "section": SECTION, "contract": CONTRACT, "task": task.name}
    scored = [one for one in found if isinstance(one, Fold)]
    reasons = "; ".join(dict.fromkeys(one for one in found if isinstance(one, str)))
    if not scored:
        own = base | measured(task.primary) | {"variant": POOLED}
        yield Record(**own, status="skipped", reason=reasons or "no fold was scored")
        return
    missing = f"{len(found) - len(scored)} folds are missing: {reasons}" if reasons else ""
    notes = dict.fromkeys(note for fold in scored for note in fold.notes)
    noted = {"reason": "; ".join(filter(None, (missing, *notes))) or None}
    primary = task.primary
    heads, trivial = (
        pooled_scores([getattr(fold, n) for fold in scored]) for n in ("heads", "floors")
    )
    pooled = (*heads.values(), *trivial.values())[0].problem
    compared = Comparison(pooled, heads, trivial, base | {"n_test": pooled.n_test} | noted)
    for head in heads:
        yield compared.row(head, primary, bounded=False, variant=POOLED)
        for rival in compared.rivals(head, primary):
            yield compared.difference(head, rival, primary, variant=POOLED)
    if ends := [fold.ends for fold in scored if fold.ends]:
        yield from _gap_rows(
            pooled_scores(ends), primary, base, (POOLED_WITHIN, POOLED_ENDS, POOLED_GAP)
        )


def pooled_scores(of_folds: Sequence[dict[str, Scores]]) -> dict[str, Scores]:
    """Return scores over all folds; a name that is not in every fold is left out."""
    pooled = {}
    for name in (one for one in of_folds[0] if all(one in found for found in of_folds)):
        each = [found[name] for found in of_folds]
        n_draws = min(len(one.draws) for one in each)
        draws = tuple([_merged([one.draws[draw][0] for one in each])] for draw in range(n_draws))
        pooled[name] = Scores(_pooled_problem([one.problem for one in each]), draws, each[0].seeds)
    return pooled


def _pooled_problem(problems: Sequence[Any]) -> Pooled:
    """Return the recordings and sessions of several problems, none of which has another's."""
    found: dict[str, list[np.ndarray]] = {"groups": [], "sessions": []}
    for name, numbers in found.items():
        first = 0
        for problem in problems:
            number = np.unique(getattr(problem, name), return_inverse=True)[1]
            numbers.append(first + number)
            first += int(number.max()) + 1
    return Pooled(*(np.concatenate(numbers) for numbers in found.values()), problems[0].task)


def _merged(each: Sequence[Any]) -> Any:
    """Return the evidence of all folds as one."""
    if isinstance(each[0], Ranks):
        return merged(each)
    if isinstance(each[0], RecordingVectors):
        return RecordingVectors.merged(each)
    if isinstance(each[0], (Positions, Detections)):
        names = [one.name for one in fields(each[0])]
        sides = ([getattr(one, name) for one in each] for name in names)
        return type(each[0])(*map(np.concatenate, sides))
    sides = ("truth", "predicted")
    if isinstance(each[0], LabelSets):  # micro-F1 counts memberships, whatever they are called
        width = max(one.truth.shape[1] for one in each)
        return LabelSets(
            *(
                np.concatenate([np.pad(m, ((0, 0), (0, width - m.shape[1]))) for m in members])
                for members in ([getattr(one, name) for one in each] for name in sides)
            )
        )
    said = ([one.names[code] for one in each for code in getattr(one, name)] for name in sides)
    known = {one.names[one.positive] for one in each if one.positive is not None}
    options = dict.fromkeys(name for one in each for name in one.names)
    return scoring.labels(*said, options=tuple(options), positive=next(iter(known), None))


def cohort_rows(cohort: Cohort, run: str) -> Iterator[Record]:
    """Yield what the cohort is: recordings and windows by split, recordings that were lost."""
    base = {"run": run, "section": SECTION, "contract": CONTRACT}
    for side in SPLITS:
        found = cohort.on(side)
        counts = {"recordings": len(found), "sessions": len({r.entry.session for r in found})}
        counts["windows"] = sum(one.n_windows for one in found)
        for name, value in counts.items():
            yield Record(**base, variant=side, metric=name, unit=name[:-1], value=value)
    reason = "; ".join(f"{name}: {why}" for name, why in cohort.lost.items()) or None
    yield Record(
        **base, metric="lost_recordings", unit="recording", higher_is_better=False,
        value=len(cohort.lost), reason=reason,
    )  # fmt: skip


def labels_by_window(
    problem: CohortProblem, predictions: Mapping[str, Predictions]
) -> pd.DataFrame:
    """Return predicted labels and sets: see `predictions_table`; vectors are not kept."""
    if not problem.ok or problem.task.kind not in ("classify", "multilabel"):
        return pd.DataFrame(columns=list(PREDICTED))
    table, n = predictions_table([(problem, predictions)]), sum(map(len, predictions.values()))
    return table.assign(episode=np.tile(problem.tested["episode"], n))[list(PREDICTED)]


def write_by_window(path: Path | str, parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Write tables of `labels_by_window` as one, whole or not at all, and return it."""
    parts = [part for part in parts if len(part)] or [pd.DataFrame(columns=list(PREDICTED))]
    table = pd.concat(parts, ignore_index=True)
    with whole_file(path) as scratch:
        pq.write_table(pa.Table.from_pandas(table, pa.schema(PREDICTED), False), scratch)
    return table
