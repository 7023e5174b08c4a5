"""The note's figures, one by one: as published, as recomputed, and how well the two agree."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from xperience.evaluation.agreement import (
    STATUSES,
    Figure,
    Status,
    agreement,
    agreement_of_bounds,
)
from xperience.evaluation.records import Record
from xperience.features.blocks import BLOCKS
from xperience.features.windows import STRIDE_FRAMES, WINDOW_FRAMES
from xperience.studies.record.answers import answer_rows, answered
from xperience.studies.record.audio import UNKNOWN, logmel_rows, published_logmel
from xperience.studies.record.hands import hand_rows
from xperience.studies.record.predictions import score_rows
from xperience.studies.record.record import PublishedRecord, PublishedRecordError, real_truth
from xperience.tasks.audio import AS_IS, RAW_ONLY, REPLACED, WITHOUT, asked_as_published
from xperience.tasks.catalogue import TASKS, tasks_of
from xperience.tasks.truth import Truth

NOTE, RECOMPUTED = "note", "recomputed"
"""Variants of the two rows of a figure."""
AT_LEAST, AT_MOST = "at_least", "at_most"
"""Variants of the rows of one that is derived, in place of the second."""

LOGMEL_SECTION = "audio study, log-mel alone"
NEAR_CHANCE = 0.02
"""Tolerance of the pair tasks' scores from sound: float32 solves of features that say nothing."""
REPORTED = 1e-6
"""Relative tolerance of full-precision scores: the record's own are partly sums of float32."""


def note_figures(record: PublishedRecord, rows: Sequence[Record]) -> list[Figure]:
    """Return every figure of the note, and the published study's scores of log-mel alone.

    Rows are what was scored from the record's predictions and features.
    """
    scores = _own_scores(rows)
    found = [_figure(entry, record, scores) for entry in record.note["figures"]]
    return found + list(_logmel_figures(record, rows))


def _own_scores(rows: Iterable[Record]) -> dict[tuple[str | None, ...], Record]:
    """Return the rows of published heads on all test samples, by task, head and metric."""
    return {
        (row.task, row.head, row.metric): row
        for row in rows
        if row.contract == "published" and row.variant is None and row.against is None
    }


def _figure(entry: dict[str, Any], record: PublishedRecord, scores: dict) -> Figure:
    named = {key: entry[key] for key in ("name", "section", "what", "unit", "digits")}
    if entry.get("prose"):
        named |= {"section": f"{entry['section']}, in words", "group": "text"}
    if "derived" in entry and not record.absence:
        bounds = DERIVED[entry["derived"]](record, scores)
        if bounds is not None:
            status = agreement_of_bounds(entry["value"], bounds, entry["digits"])
            least, most = (f"{bound:,.{entry['digits']}f}" for bound in bounds)
            reason = f"what was published bounds it: {least} to {most}"
            known = {"published": float(entry["value"]), "recomputed": None, "reason": reason}
            return Figure(**named, **known, status=status, bounds=bounds)
    value, reason = (None, record.absence) if record.absence else _recomputed(entry, record, scores)
    status: Status = "skipped" if record.absence else "not recomputable"
    printed = entry["value"]
    if value is not None:
        known = entry["evaluated"] if printed is None else printed
        status = agreement(known, value, entry["digits"])
        if printed is None:
            reason = "the note prints n/a; compared with the published evaluation"
    published = None if printed is None else float(printed)
    return Figure(**named, published=published, recomputed=value, status=status, reason=reason)


def _recomputed(
    entry: dict[str, Any], record: PublishedRecord, scores: dict
) -> tuple[float | None, str | None]:
    """Return a figure recomputed, or why not and whether the record at least repeats it."""
    if "fact" in entry:
        try:
            return float(FACTS[entry["fact"]](record)), None
        except PublishedRecordError as error:
            return None, error.found
    row = scores.get(tuple(entry.get("score", ())))
    if row is not None and row.value is not None:
        return row.value, None
    reason = entry.get("missing") or (row.reason if row is not None else "it was not scored")
    if "stored" not in entry or not record.has("report"):
        return None, reason
    value: Any = record.report
    for key in entry["stored"].split("."):
        value = value[key]
    same = agreement(entry["value"], float(value), entry["digits"]) == "exact"
    said = "the same" if same else f"{value:.6g}"
    return None, f"{reason}; the record's own list of metrics says {said}"


def _logmel_figures(record: PublishedRecord, rows: Sequence[Record]) -> Iterator[Figure]:
    """Yield the primary scores of log-mel alone: the published study's and ours."""
    own = {
        (row.task, row.metric): row.value
        for row in rows
        if (row.contract, row.variant, row.against) == ("published", RAW_ONLY, None) and row.head
    }
    stored = published_logmel(record) if record.has("audio_rows") else {}
    for task in tasks_of("published", TASKS):
        primary = asked_as_published(task).primary
        published, value = stored.get((task.name, primary.name)), own.get((task.name, primary.name))
        status, reason = "skipped", record.absence or "its published row is not in the record"
        if published is not None:
            status, reason = "not recomputable", UNKNOWN
        if published is not None and value is not None:
            paired = len(task.classes) > 0
            status = agreement(published, value, 6, NEAR_CHANCE if paired else 0.0)
            reason = None
        yield Figure(f"raw_logmel_{task.name}", LOGMEL_SECTION, f"{task.name}, {primary.name}",
                     primary.metric.unit, published, 4, value, status, reason,
                     group="study")  # fmt: skip


# --- figures that are no scores ---------------------------------------------------------------


def _feature_dim(record: PublishedRecord) -> float:
    """Return the length of our layout, if the record's is the same block by block."""
    stored = json.loads(record.path("manifest").read_text(encoding="utf-8"))
    if [(one["name"], one["dim"]) for one in stored] != [(one.name, one.dim) for one in BLOCKS]:
        raise PublishedRecordError(
            "published record: feature manifest", "lists other blocks", "ours", "Compare them."
        )
    return sum(block.dim for block in BLOCKS)


def audio_deltas(record: PublishedRecord, variant: str, against: str) -> pd.Series:
    """Return by task how much better a variant of the published audio study is than another.

    In the unit of the task's primary metric; above 0 is better.
    """
    table = record.table("audio_rows")
    values = table.astype({"primary_value": float}).pivot_table("primary_value", "task", "variant")
    higher = table.groupby("task")["higher_is_better"].first().astype(str).str.lower() == "true"
    return (values[variant] - values[against]) * higher.map({True: 1, False: -1})


def _episodes(record: PublishedRecord, split: str) -> int:
    return (record.table("selection")["split"] == split).sum()


_PRESENT, _RAW = (AS_IS, WITHOUT), (REPLACED, AS_IS)
FACTS: dict[str, Callable[[PublishedRecord], float]] = {
    "windows": lambda record: len(record.table("windows")),
    "feature_dim": _feature_dim,
    "audio_helps": lambda record: (audio_deltas(record, *_PRESENT) > 0).sum(),
    "audio_mean_delta": lambda record: audio_deltas(record, *_PRESENT).mean(),
    "raw_helps": lambda record: (audio_deltas(record, *_RAW) > 0).sum(),
    "raw_mean_delta": lambda record: audio_deltas(record, *_RAW).mean(),
    "reconstruction_current_audio_delta": lambda record: audio_deltas(record, *_PRESENT)[
        "modality_reconstruction"
    ],
    "objects_audio_delta": lambda record: audio_deltas(record, *_PRESENT)["object_relevance"],
    "selected_episodes": lambda record: len(record.table("selection")),
    "train_episodes": lambda record: _episodes(record, "train"),
    "validation_episodes": lambda record: _episodes(record, "val"),
    "test_episodes": lambda record: _episodes(record, "test"),
    "answered_windows": lambda record: answered(record, "num_samples"),
    "answers_valid": lambda record: answered(record, "json_validity_rate"),
    "answers_action": lambda record: answered(record, "action_macro_f1"),
}
"""Figures of the note that follow from the record without a head, by the name in its params."""


def _frames(record: PublishedRecord, _: dict) -> tuple[float, float]:
    """Return how long a recording of so many windows is at least, and at most."""
    least = (len(record.table("windows")) - 1) * STRIDE_FRAMES + WINDOW_FRAMES
    return least, least + STRIDE_FRAMES - 1


def _error_saved(record: PublishedRecord, scores: dict) -> tuple[float, float] | None:
    """Return what the neural head saves of the linear error as printed, as far as it is rounded."""
    row = scores.get(("hand_trajectory_forecast", "neural", "mpjpe"))
    if row is None or row.value is None:
        return None
    printed = next(e for e in record.note["figures"] if e["name"] == "hand_mpjpe_minimal")
    half = 0.5 * 10.0 ** -printed["digits"]
    least, most = (1 - row.value / (printed["value"] + off) for off in (-half, half))
    return least, most


DERIVED: dict[str, Callable[[PublishedRecord, dict], tuple[float, float] | None]] = {
    "frames_of_windows": _frames,
    "error_saved": _error_saved,
}
"""Figures that what was published bounds: the least and the most, by the name in its params."""


# --- rows -------------------------------------------------------------------------------------


def note_rows(
    record: PublishedRecord,
    figures: Sequence[Figure],
    rows: Sequence[Record],
    run: str,
    section: str,
) -> list[Record]:
    """Return two rows per figure of the note, as printed and as recomputed, and how many agree.

    Then how many scores in the record's own list of metrics come out, to full precision; and what
    sound adds to each task by the scores of the published audio study. ``rows`` were scored.
    """
    base = {"run": run, "section": section, "contract": "published"}
    found = list(_audio_gains(record, base)) if record.has("audio_rows") else []
    for one in figures:
        told = [(NOTE, one.published, None), (RECOMPUTED, one.recomputed, one.status)]
        if one.bounds:
            ends = zip((AT_LEAST, AT_MOST), one.bounds, strict=True)
            told[1:] = [(variant, value, one.status) for variant, value in ends]
        for variant, value, said in told:
            row = base | {"metric": one.name, "unit": one.unit, "variant": variant}
            how = {"status": "ok", "reason": said}
            if value is None:
                how = {"status": "skipped", "reason": one.reason}
            found.append(Record(**row, value=value, **how))
    for status in STATUSES:
        count = sum(one.status == status for one in figures)
        name = f"figures_{status.replace(' ', '_')}"
        found.append(Record(**base, metric=name, unit="figure", value=count))
    if not record.has("report"):
        reason = record.absence or "the record's list of metrics is not there"
        found.append(Record(**base, metric="report_scores", status="skipped", reason=reason))
        return found
    scores = _own_scores(rows)
    compared = [
        (float(stored[one.name]), scores.get((task.name, head, one.name)))
        for head, group in (("linear", "tasks"), ("neural", "neural_tasks"))
        for task in tasks_of("published", TASKS)
        for stored in [record.report[group].get(task.name, {})]
        for one in task.measures
        if one.name in stored
    ]
    known = [(was, row.value) for was, row in compared if row and row.value is not None]
    same = sum(bool(np.isclose(was, now, rtol=REPORTED, atol=1e-12)) for was, now in known)
    counts = {"report_scores": len(compared), "report_scores_recomputed": len(known),
              "report_scores_exact": same}  # fmt: skip
    found += [Record(**base, metric=name, unit="score", value=n) for name, n in counts.items()]
    return found


def _audio_gains(record: PublishedRecord, base: dict[str, Any]) -> Iterator[Record]:
    for variant, against in (_PRESENT, _RAW):
        gains = audio_deltas(record, variant, against)
        for task in tasks_of("published", TASKS):
            primary = asked_as_published(task).primary
            own = {"task": task.name, "head": "ridge", "variant": variant, "against": against}
            how = {"unit": primary.metric.unit, "higher_is_better": True}
            value, why = float(gains[task.name]), "not_published: only the scores are published"
            yield Record(
                **base, **own, **how, metric=f"{primary.name}_gain", value=value, ci_reason=why
            )


# --- the section, part by part ------------------------------------------------------------------


Part = Callable[[PublishedRecord, Truth, str, str], Sequence[Record]]

PARTS: dict[tuple[str, str], Part] = {
    ("published_scores", "published"): score_rows,
    ("real_hands", "corrected"): hand_rows,
    ("real_logmel", "published"): partial(logmel_rows, contract="published"),
    ("real_logmel", "corrected"): partial(logmel_rows, contract="corrected"),
    ("real_answers", "published"): answer_rows,
}
"""What makes the rows of a part under a contract."""


def part_rows(record: PublishedRecord, part: str, run: str, section: str) -> list[Record]:
    """Return the rows of a part in `PARTS` under every contract that it follows.

    Where the record lacks what it needs, that is one skipped row, named as the part.
    """
    rows: list[Record] = []
    for (name, contract), made_by in PARTS.items():
        if name != part:
            continue
        try:
            rows += made_by(record, real_truth(record), run, section)
        except PublishedRecordError as error:
            reason = record.absence or f"{error.place}: {error.found}"
            base = {"run": run, "section": section, "contract": contract, "metric": part}
            rows.append(Record(**base, status="skipped", reason=reason))
    return rows
