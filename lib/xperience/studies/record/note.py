"""The note's figures, one by one: as published, as recomputed, and how well the two agree."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from xperience.evaluation.agreement import STATUSES, Figure, Status, agreement
from xperience.evaluation.records import Record
from xperience.features.blocks import BLOCKS
from xperience.studies.record.audio import UNKNOWN, logmel_rows, published_logmel
from xperience.studies.record.hands import hand_rows
from xperience.studies.record.predictions import score_rows
from xperience.studies.record.record import PublishedRecord, PublishedRecordError, real_truth
from xperience.tasks.audio import AS_IS, RAW_ONLY, REPLACED, WITHOUT, asked_as_published
from xperience.tasks.catalogue import TASKS
from xperience.tasks.truth import Truth

NOTE, RECOMPUTED = "note", "recomputed"
"""Variants of the two rows of a figure."""

LOGMEL_SECTION = "audio study, log-mel alone"
NEAR_CHANCE = 0.02
"""Tolerance of the pair tasks' scores from sound: float32 solves of features that say nothing."""
REPORTED = 1e-6
"""Relative tolerance of full-precision scores: the record's own are partly sums of float32."""


def note_figures(record: PublishedRecord, rows: Sequence[Record]) -> list[Figure]:
    """Return every figure of the note, and the published study's scores of log-mel alone.

    Parameters
    ----------
    record : PublishedRecord
    rows : sequence of Record
        What was scored from the record's predictions and features.
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
    value, reason = None, record.absence
    if reason is None:
        value, reason = _recomputed(entry, record, scores)
    status: Status = "skipped" if record.absence else "not recomputable"
    if value is not None:
        status = agreement(entry["value"], value, entry["digits"])
    named = {key: entry[key] for key in ("name", "section", "what", "unit", "digits")}
    published = float(entry["value"])
    return Figure(**named, published=published, recomputed=value, status=status, reason=reason)


def _recomputed(
    entry: dict[str, Any], record: PublishedRecord, scores: dict
) -> tuple[float | None, str | None]:
    """Return a figure anew, or why not and whether the record at least repeats it."""
    if "fact" in entry:
        try:
            return float(FACTS[entry["fact"]](record)), None
        except PublishedRecordError as error:
            return None, error.found
    row = scores.get(tuple(entry.get("score", ())))
    if row is not None and row.value is not None:
        return row.value, None
    reason = entry.get("missing") or (row.reason if row is not None else "it was not scored")
    return None, reason + _repeated(entry, record)


def _repeated(entry: dict[str, Any], record: PublishedRecord) -> str:
    """Return what the record's own list of metrics says of a figure; "" if nothing."""
    if "stored" not in entry or not record.has("report"):
        return ""
    value: Any = record.report
    for key in entry["stored"].split("."):
        value = value[key]
    same = agreement(entry["value"], float(value), entry["digits"]) == "exact"
    return f"; the record's own list of metrics says {'the same' if same else f'{value:.6g}'}"


def _logmel_figures(record: PublishedRecord, rows: Sequence[Record]) -> Iterator[Figure]:
    """Yield the primary scores of log-mel alone: the published study's and ours."""
    own = {
        (row.task, row.metric): row.value
        for row in rows
        if (row.contract, row.variant, row.against) == ("published", RAW_ONLY, None) and row.head
    }
    stored = published_logmel(record) if record.has("audio_rows") else {}
    for task in TASKS:
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
                     primary.metric.unit, published, 4, value, status, reason)  # fmt: skip


# --- figures that are no scores ---------------------------------------------------------------


def _feature_dim(record: PublishedRecord) -> float:
    """Return the length of our layout, if the record's is the same block by block."""
    stored = [(block["name"], block["dim"]) for block in _manifest(record)]
    if stored != [(block.name, block.dim) for block in BLOCKS]:
        raise PublishedRecordError(
            "published record: feature manifest", "lists other blocks", "ours", "Compare them."
        )
    return sum(block.dim for block in BLOCKS)


def _manifest(record: PublishedRecord) -> list[dict[str, Any]]:
    return json.loads(record.path("manifest").read_text(encoding="utf-8"))


def audio_deltas(record: PublishedRecord, variant: str, against: str) -> dict[str, float]:
    """Return by task how much better one variant of the published audio study is than another.

    Parameters
    ----------
    record : PublishedRecord
    variant, against : str

    Returns
    -------
    dict of {task: float}
        In the unit of the task's primary metric; above 0 is better.
    """
    table = record.table("audio_rows").set_index(["task", "variant"])
    found = {}
    for task in table.index.unique("task"):
        first, second = table.loc[(task, variant)], table.loc[(task, against)]
        better = 1 if str(first["higher_is_better"]).lower() == "true" else -1
        found[task] = better * (float(first["primary_value"]) - float(second["primary_value"]))
    return found


def _audio(record: PublishedRecord) -> dict[str, float]:
    return audio_deltas(record, AS_IS, WITHOUT)


def _raw(record: PublishedRecord) -> dict[str, float]:
    return audio_deltas(record, REPLACED, AS_IS)


def _n_better(deltas: dict[str, float]) -> int:
    return sum(delta > 0 for delta in deltas.values())


def _mean(deltas: dict[str, float]) -> float:
    return float(np.mean(list(deltas.values())))


def _episodes(record: PublishedRecord, split: str | None = None) -> int:
    splits = record.table("selection")["split"]
    return len(splits) if split is None else int((splits == split).sum())


FACTS: dict[str, Callable[[PublishedRecord], float]] = {
    "n_windows": lambda record: len(record.table("windows")),
    "feature_dim": _feature_dim,
    "audio_helps": lambda record: _n_better(_audio(record)),
    "audio_mean_delta": lambda record: _mean(_audio(record)),
    "raw_helps": lambda record: _n_better(_raw(record)),
    "raw_mean_delta": lambda record: _mean(_raw(record)),
    "reconstruction_audio_delta": lambda record: _audio(record)["modality_reconstruction"],
    "objects_audio_delta": lambda record: _audio(record)["object_relevance"],
    "selected_episodes": _episodes,
    "train_episodes": lambda record: _episodes(record, "train"),
    "validation_episodes": lambda record: _episodes(record, "val"),
    "test_episodes": lambda record: _episodes(record, "test"),
}
"""Figures of the note that follow from the record without a head, by the name in its params."""


# --- rows -------------------------------------------------------------------------------------


def figure_rows(figures: Sequence[Figure], run: str, section: str) -> Iterator[Record]:
    """Yield two rows per figure, as in the note and as recomputed, and how many agree how well."""
    base = {"run": run, "section": section, "contract": "published"}
    for one in figures:
        row = base | {"metric": one.name, "unit": one.unit}
        yield _row(row, NOTE, one.published, None, one.reason)
        yield _row(row, RECOMPUTED, one.recomputed, one.status, one.reason)
    for status in STATUSES:
        count = sum(one.status == status for one in figures)
        name = f"figures_{status.replace(' ', '_')}"
        yield Record(**base, metric=name, unit="figure", value=count)


def _row(
    row: dict[str, Any], variant: str, value: float | None, said: str | None, why: str | None
) -> Record:
    if value is None:
        return Record(**row, variant=variant, value=None, status="skipped", reason=why)
    return Record(**row, variant=variant, value=value, reason=said)


def report_rows(
    record: PublishedRecord, rows: Sequence[Record], run: str, section: str
) -> list[Record]:
    """Return how many scores in the record's own list of metrics come out, to full precision."""
    base = {"run": run, "section": section, "contract": "published"}
    if not record.has("report"):
        reason = record.absence or "the record's list of metrics is not there"
        return [Record(**base, metric="report_scores", status="skipped", reason=reason)]
    scores = _own_scores(rows)
    compared = []
    for head, group in (("linear", "tasks"), ("neural", "neural_tasks")):
        for task in TASKS:
            stored = record.report[group].get(task.name, {})
            for one in (one for one in task.measures if one.name in stored):
                row = scores.get((task.name, head, one.name))
                value = row.value if row else None
                compared.append((float(stored[one.name]), value))
    known = [(was, now) for was, now in compared if now is not None]
    same = sum(bool(np.isclose(was, now, rtol=REPORTED, atol=1e-12)) for was, now in known)
    counts = {"report_scores": len(compared), "report_scores_recomputed": len(known),
              "report_scores_exact": same}  # fmt: skip
    return [Record(**base, metric=name, unit="score", value=n) for name, n in counts.items()]


# --- the section, part by part ------------------------------------------------------------------


Part = Callable[[PublishedRecord, Truth, str, str], Sequence[Record]]

PARTS: dict[tuple[str, str], Part] = {
    ("published_scores", "published"): score_rows,
    ("real_hands", "corrected"): hand_rows,
    ("real_logmel", "published"): partial(logmel_rows, contract="published"),
    ("real_logmel", "corrected"): partial(logmel_rows, contract="corrected"),
}
"""What makes the rows of a part under a contract."""


def part_rows(record: PublishedRecord, part: str, run: str, section: str) -> list[Record]:
    """Return a part's rows under every contract that it follows.

    Parameters
    ----------
    record : PublishedRecord
    part : str
        A name in ``PARTS``.
    run, section : str
        What rows are labelled with.

    Returns
    -------
    list of Record
        One skipped row, named as the part, where the record lacks what it needs.
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


def note_rows(
    record: PublishedRecord,
    figures: Sequence[Figure],
    rows: Sequence[Record],
    run: str,
    section: str,
) -> list[Record]:
    """Return the rows of the note's figures, and of how the record's own scores come out.

    Parameters
    ----------
    record : PublishedRecord
    figures : sequence of Figure
    rows : sequence of Record
        What was scored.
    run, section : str
    """
    return [*figure_rows(figures, run, section), *report_rows(record, rows, run, section)]
