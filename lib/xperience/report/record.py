"""The published record for readers: its table, and sentences that follow from the numbers."""

from collections.abc import Iterable, Sequence

import pandas as pd

from xperience.evaluation.agreement import STATUSES, Figure
from xperience.evaluation.evaluate import FLOOR
from xperience.evaluation.records import (
    ANSWERED,
    ANSWERING,
    METADATA,
    PRESENT_KNOWN,
    ROLLING,
    SHUFFLED,
    STITCHED,
    WITHOUT_ONE,
    Record,
)
from xperience.report.quantities import counted, percent
from xperience.report.tables import (
    Rows,
    Verdict,
    any_tested,
    difference,
    ends,
    floor,
    listed,
    number,
    of_tested,
    readable,
    score,
    signed,
    verdict,
    verdicts,
)
from xperience.tasks.audio import RAW_ONLY
from xperience.tasks.catalogue import TASKS_BY_NAME
from xperience.text import as_markdown

HANDS, ZERO = "hand_trajectory_forecast", "zero_velocity"
HEADS = ("linear", "neural")
PRIMARY = {
    "timeline_action": "macro_f1",
    "timeline_subtask": "macro_f1",
    "transition_detection": "macro_f1",
    "next_action": "macro_f1",
    "contact_prediction": "macro_f1",
    "object_relevance": "micro_f1",
    "caption_grounding": "mrr",
    "temporal_order": "f1",
    "misalignment_detection": "f1",
}
"""Tasks of the note that are scored by a share, and their primary metric."""


def from_zero(rows: Rows, variant: str | None) -> list[Record]:
    """Return how forecasts of the stitched trajectory differ from the zero-velocity baseline.

    Nothing if none has a value; else also those that have none.
    """
    found = rows.all(task=STITCHED, metric="mpjpe", against=ZERO, variant=variant)
    return found if any(row.value is not None for row in found) else []


def by_verdict(found: Iterable[Record]) -> dict[Verdict, list[Record]]:
    """Return differences by what they allow to be said."""
    told: dict[Verdict, list[Record]] = {one: [] for one in Verdict}
    for row in found:
        told[verdict(row)[0]].append(row)
    return told


def figures_table(figures: Sequence[Figure]) -> pd.DataFrame:
    """Return the note's numbers as a table for readers, one row each."""
    rows = [
        {
            "where": one.section,
            "number": one.what,
            **{
                name: "–" if value is None else f"{value:,.{one.digits}f}"
                for name, value in (("published", one.published), ("recomputed", one.recomputed))
            },
            "status": one.status,
            "why": one.reason or "",
        }
        for one in figures
    ]
    return pd.DataFrame(rows).set_index(["where", "number"])


_GROUPS = {
    "table": ("row", "the note's tables"),
    "text": ("number", "the note's text"),
    "study": ("score", "the published audio study"),
}
_OUTCOMES = {"differs": "different", "skipped": "not in the record"}


def agreement_of(figures: Sequence[Figure]) -> dict[str, str]:
    """Return what became of each group of published numbers, the note's own tables first."""
    said = {}
    for group, (noun, where) in _GROUPS.items():
        if own := [one.status for one in figures if one.group == group]:
            counts = {status: own.count(status) for status in STATUSES}
            parts = [f"{n} {_OUTCOMES.get(status, status)}" for status, n in counts.items()
                     if n or status in ("exact", "differs")]  # fmt: skip
            said[group] = f"Of {counted(len(own), noun)} of {where}: {', '.join(parts)}"
    return said


def agreement_sentence(figures: Sequence[Figure]) -> str:
    """Return how many of the published numbers come out, and how well, as a Markdown list."""
    if all(one.status == "skipped" for one in figures):
        reason = figures[0].reason if figures else "there are no numbers"
        return f"Nothing could be recomputed: {as_markdown(reason)}."
    lines = [f"- {text}." for text in agreement_of(figures).values()]
    if any(one.status == "not recomputable" for one in figures):
        lines.append("- Where a number is not recomputable the table says what is missing.")
    return "\n".join(lines)


def beyond_sentences(rows: Iterable[Record]) -> str:
    """Return what the real data say that the note doesn't, as a Markdown list."""
    rows = Rows(rows)
    said = [text for text in (one(rows) for one in _BEYOND) if text]
    return "\n".join(f"- {text}" for text in said) or "There are no scores to speak of."


def _local(rows: Rows) -> str | None:
    mine = rows.scored(task="all_feature_action", head="linear", metric="macro_f1")
    shared = rows.scored(task="all_feature_action", metric="test_windows_sharing_frames")
    frames = rows.scored(task="all_feature_action", metric="test_frames_trained_on")
    copied = rows.scored(
        task="all_feature_action", head="nearest_in_time", variant=FLOOR, metric="macro_f1"
    )
    if None in (mine, shared, frames, copied):
        return None
    end = "more than the model" if copied.value > mine.value else "not more than the model"
    return (
        f"**What the local split shares.** {percent(shared.value)} of its test "
        f"windows share frames with a training window, and {percent(frames.value)} of their frames "
        f"were trained on. Copying the label of the training window nearest in time, without "
        f"looking at a feature, gives macro-F1 {copied.value:.4f} where the model has "
        f"{mine.value:.4f}: {end}."
    )


def _unseen(rows: Rows) -> str | None:
    row = rows.scored(task="timeline_action", head="linear", metric="accuracy")
    if row is None or row.ceiling is None:
        return None
    return (
        f"**Actions that were never trained.** {percent(1 - row.ceiling)} of its windows "
        f"show an action that no training window has, so a closed set of classes reaches an "
        f"accuracy of {number(row.ceiling)} at most. The linear head has {number(row.value)}."
    )


def _persistence(rows: Rows) -> str | None:
    floor = rows.scored(task="next_action", head="persistence", variant=FLOOR, metric="macro_f1")
    heads = rows.all(task="next_action", metric="macro_f1", contract="published")
    best = max((row.value for row in heads if row.value is not None), default=None)
    if floor is None or best is None:
        return None
    return (
        f"**Next action and the present one.** To say that the action goes on has macro-F1 "
        f"{floor.value:.3f}; the best published head has {best:.3f}. Repeating a label needs no "
        f"list of trained classes."
    )


def _pairs(rows: Rows) -> str | None:
    texts = []
    for task, name in (("temporal_order", "order"), ("misalignment_detection", "synchronisation")):
        mine = rows.scored(task=task, head="neural", metric="f1")
        if mine is None or mine.floor is None:
            continue
        found = rows.scored(task=task, head="neural", metric="f1", against=mine.floor_name)
        texts.append(f"{name} {mine.value:.3f} against {mine.floor:.3f}: {_claim(found)}")
    if not texts:
        return None
    return (
        "**A pair task has a high floor.** Half of its pairs are true ones, so always saying so "
        "has an F1 of two thirds, not one half. The neural heads: " + "; ".join(texts) + "."
    )


def _claim(found: Record | None) -> str:
    said, why = verdict(found)
    return f"{said} ({why or ends(found)})"


def _resting(rows: Rows) -> str | None:
    floors = [
        rows.scored(task=HANDS, head=name, variant=FLOOR, metric="mpjpe")
        for name in (ZERO, "constant_velocity")
    ]
    mine = rows.scored(task=HANDS, head="neural", variant=PRESENT_KNOWN, metric="mpjpe")
    if mine is None or None in floors:
        return None
    still, steady = floors
    ratio = mine.value / still.value
    end = f"{ratio:.1f} times the error" if ratio > 1 else "less than that"
    return (
        f"**Zero velocity.** On the {mine.n_test} test windows whose present pose is known, the "
        f"mean joint error of zero velocity is {number(still.value, 'm')}, of constant velocity "
        f"{number(steady.value, 'm')}, and of the published neural head {number(mine.value, 'm')}: "
        f"{end} of zero velocity."
    )


def _grounding(rows: Rows) -> str | None:
    mine = rows.scored(task="caption_grounding", head="neural", metric="mrr")
    if mine is None or mine.floor is None:
        return None
    found = rows.scored(task="caption_grounding", head="neural", metric="mrr", against="chance")
    return (
        f"**Grounding and chance.** Random rankings of the {mine.n_test} candidates have an MRR of "
        f"{mine.floor:.4f}, the neural head {mine.value:.4f}: {_claim(found)}."
    )


def _contact(rows: Rows) -> str | None:
    mine = rows.scored(task="contact_prediction", head="linear", metric="macro_f1")
    if mine is None or mine.floor != 1:
        return None
    return (
        f"**Contact tests nothing.** Every test window is of one class: always naming it scores "
        f"{number(mine.floor)}, the linear head {number(mine.value)}."
    )


def _rivals(rows: Rows) -> str | None:
    found = [rows.one(contract="published", task=task, head="neural", metric=metric,
                      against="linear") for task, metric in PRIMARY.items()]  # fmt: skip
    counts = verdicts(found)
    if not any_tested(counts):
        return None
    better, worse = counts[Verdict.BETTER], counts[Verdict.WORSE]
    return (
        f"**Neural against linear.** The published neural head is significantly better than the "
        f"linear one in {better or 'none'} of {of_tested(counts)}, worse in {worse or 'none'}."
    )


_BEYOND = (_local, _unseen, _persistence, _pairs, _rivals, _resting, _grounding, _contact)


def forecast_verdict(rows: Iterable[Record]) -> str:
    """Return in words whether any forecast of the real hands beats the zero-velocity baseline."""
    rows = Rows(rows)
    parts = [_walked(rows), _split(rows)]
    texts = [text for text in parts if text]
    return "\n\n".join(texts) or "There is no real trajectory to forecast."


def _walked(rows: Rows) -> str | None:
    found = from_zero(rows, ROLLING)
    if not found:
        return None
    said = _against_zero(found)
    return (
        f"**Against zero velocity,** with a rolling origin over {_n_test(found):,} samples, each "
        f"part forecast from all before it: {said}."
    )


def _against_zero(found: Sequence[Record]) -> str:
    """Return which forecasts are better than zero velocity, worse, neither, or not tested."""
    said = []
    for one, rows in by_verdict(found).items():
        names = [f"{readable(row.head)} {signed(row.value, row.unit)} "
                 f"({verdict(row)[1] or ends(row)})" for row in rows]  # fmt: skip
        sure = "significantly " if one in (Verdict.BETTER, Verdict.WORSE) else ""
        if names or one is Verdict.BETTER:
            said.append(f"{sure}{one}: {listed(names)}")
    return "; ".join(said)


def _n_test(found: Sequence[Record]) -> int:
    return max(row.n_test or 0 for row in found)


def _split(rows: Rows) -> str | None:
    found = from_zero(rows, None)
    if not found:
        return None
    return (
        f"On the one chronological split ({_n_test(found):,} test samples) {_against_zero(found)}."
    )


def trajectory_sentence(rows: Iterable[Record]) -> str:
    """Return how long the stitched trajectory is, and whether its pieces agree."""
    rows = Rows(rows)
    length = rows.scored(task=STITCHED, metric="stitched_frames")
    apart = rows.scored(task=STITCHED, metric="overlap_disagreement")
    if length is None or apart is None:
        reason = next((row.reason for row in rows if row.reason), "nothing was scored")
        return f"There is no trajectory: {as_markdown(reason)}."
    same = "to the last bit" if apart.value == 0 else f"within {1000 * apart.value:.3g} mm"
    return (
        f"The targets stitch into **{length.value:,.0f} frames**; where they overlap they agree "
        f"{same}."
    )


def scores_table(rows: Iterable[Record], contract: str = "published") -> pd.DataFrame:
    """Return the primary score of every published head as a table, one row per task and head."""
    wanted = {TASKS_BY_NAME[name].primary.name for name in TASKS_BY_NAME}
    heads = [row for row in rows if row.head in HEADS and row.contract == contract]
    return _table(heads, {None, PRESENT_KNOWN}, wanted, "head")


def logmel_table(rows: Iterable[Record]) -> pd.DataFrame:
    """Return the primary scores of log-mel alone as a table, one row per task and contract."""
    wanted = {*PRIMARY.values(), "mpjpe", "mae", "r2", "real_logmel"}
    return _table([row for row in rows if row.head or not row.task], {RAW_ONLY, None}, wanted,
                  "contract")  # fmt: skip


def _table(
    rows: Sequence[Record], variants: set[str | None], metrics: set[str], second: str
) -> pd.DataFrame:
    found: dict[tuple, Record] = {}
    for row in rows:
        if row.variant in variants and row.against is None and row.metric in metrics:
            # The primary measure is a task's first, and what has a floor says more.
            key = (row.task, getattr(row, second))
            if key not in found or (found[key].metric == row.metric and not found[key].floor_name):
                found[key] = row
    cells = [
        {
            "task": readable(row.task) or "all",
            second: getattr(row, second),
            "metric": readable(row.metric),
            "score": number(row.value, row.unit),
            "95 % interval": ends(row, with_sign=False),
            "best floor": floor(row) if row.floor_name else "",
            "note": row.no_verdict or row.reason or row.ci_reason or "",
        }
        for row in found.values()
    ]
    table = pd.DataFrame(cells or [{"task": "none", second: ""}]).set_index(["task", second])
    order = list(dict.fromkeys(table.index.get_level_values("task")))
    return table.loc[order]


def answered_fields(rows: Iterable[Record]) -> dict[str, Record]:
    """Return the model's primary score of each field of its answers, by the field's name."""
    found: dict[str, Record] = {}
    for row in Rows(rows).all(head=ANSWERING):
        if row.floor is not None:
            found.setdefault(f"{readable(row.task.removeprefix(ANSWERED))}", row)
    return found


def answers_table(rows: Iterable[Record]) -> pd.DataFrame:
    """Return each field's score beside floors, the baseline, and itself without one episode."""
    rows = Rows(rows)

    def cells(row: Record) -> dict[str, str]:
        of = {"task": row.task, "metric": row.metric}
        named = [rows.one(**of | {"metric": "distinct_predictions"}, head=head)
                 for head in (ANSWERING, METADATA)]  # fmt: skip
        gaps = {
            "minus the best floor": row.floor_name,
            "minus its answers shuffled within episodes": SHUFFLED,
            "minus the metadata baseline": METADATA,
        }
        return {
            "metric": readable(row.metric),
            "model": score(row),
            "without the episode that changes it most": number(
                getattr(rows.one(**of, head=ANSWERING, variant=WITHOUT_ONE), "value", None)
            ),
            "best floor": floor(row),
            "metadata baseline": score(rows.one(**of, head=METADATA)),
            **{
                text: difference(rows.one(**of, head=ANSWERING, against=rival))
                for text, rival in gaps.items()
            },
            "labels named by model, baseline": ", ".join(
                number(one.value, one.unit) if one else "–" for one in named
            ),
        }

    table = {field: cells(row) for field, row in answered_fields(rows).items()}
    reason = next((row.reason for row in rows if row.reason), "nothing was scored")
    return pd.DataFrame(table or {"note": {"model": f"There are no answers: {reason}."}})
