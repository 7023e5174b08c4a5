"""Strict JSON answers about test windows: by majority, by heads, by the truth, by a language model.

All stand in one table. The language model here is tiny and random: held to the grammar of answers,
everything that it says is valid, and none of it is skill. The same calls take a real model by name.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from xperience.cohort.manifest import SplitManifest
from xperience.evaluation.records import Record
from xperience.qwen import baselines
from xperience.qwen.clips import ExportSettings
from xperience.qwen.evaluate import SHOWN, evaluate
from xperience.qwen.export import export_records
from xperience.qwen.schema import AnswersError, read_answer
from xperience.qwen.scores import EVIDENCE, HONEST
from xperience.qwen.supervised import OPTIONS, ClipAnswer, Export, write_predictions
from xperience.studies.heldout.folds import SECTION
from xperience.studies.heldout.problem import CONTRACT
from xperience.text import parse_json, read_lines

SETTINGS = ExportSettings(fps=2.0, lead_s=(1.0, 2.0), per_episode=8, tile_px=(32, 32))
"""Clips that a tiny model sees: short, small, few."""
MAJORITY, LINEAR, TRUTH = "majority_json", "linear_json", "true_json"
CONSTRAINED, FREE = "tiny_model_constrained", "tiny_model_free"
STRICT, EVIDENCE_OF = "strict", "parsed"
"""Which answers count: of fields all, an invalid one being wrong; of evidence those that parse."""
FREE_TOKENS = 256
"""Most tokens of a free answer; a random model seldom ends of itself."""


@dataclass(frozen=True)
class Answered:
    """Predictions of several authors about the same windows."""

    export: Export  # the records that were answered
    files: dict[str, Path]  # predictions of each author, JSON lines
    failed: dict[str, str]  # why others gave no predictions


def answer_of(answered: Answered, author: str) -> ClipAnswer:
    """Return what an author said about the clip in the middle of all test clips.

    If the author gave none, that is an AnswersError with the reason.
    """
    if author not in answered.files:
        raise AnswersError(
            author, f"gave no predictions ({answered.failed.get(author, 'no such author')})",
            f"one of {', '.join(answered.files)}", "Choose one of these.",
        )  # fmt: skip
    lines = [parse_json(line) for _, line in read_lines(answered.files[author])]
    said = {line["id"]: line["raw_prediction"] for line in lines}
    records = [record for record in answered.export.records("test") if record.id in said]
    record = records[len(records) // 2]  # chosen by its place, not by how well it is answered
    raw = said[record.id]
    return ClipAnswer(author, record, raw, read_answer(raw, answered.export.options))


def answer_records(
    manifest: SplitManifest,
    predictions: pd.DataFrame,
    folder: Path,
    settings: ExportSettings = SETTINGS,
) -> Answered:
    """Let every author answer in strict JSON about test windows of a manifest's recordings.

    The linear heads' predictions are those of `labels_by_window`. Records, the tiny model and
    answers are put into the folder; what lies there is made anew. An author that can't answer is in
    ``failed``, with the reason. If no record can be exported at all, that is an AnswersError.
    """
    shutil.rmtree(folder, ignore_errors=True)
    export = export_records(manifest, folder / "records", settings, ("train", "test"))
    test = list(export.records("test"))
    ask = {
        MAJORITY: lambda: baselines.majority_json(export.some("train"), test),
        LINEAR: lambda: baselines.linear_json(
            baselines.guesses_of(predictions), test, export.options
        ),
        TRUTH: lambda: baselines.oracle_json(test),
    }
    answered = Answered(export, {}, {})
    for author, said in ask.items():
        try:
            write_predictions(folder / f"{author}.jsonl", said())
            answered.files[author] = folder / f"{author}.jsonl"
        except AnswersError as error:
            answered.failed[author] = str(error)
    try:
        answered.files.update(_by_tiny_model(export, folder))
    except AnswersError as error:
        answered.failed.update(dict.fromkeys((CONSTRAINED, FREE), str(error)))
    return answered


def _by_tiny_model(export: Export, folder: Path) -> dict[str, Path]:
    from xperience.qwen.generate import Decoding, generate  # noqa: PLC0415 - needs an extra
    from xperience.qwen.model import ModelSource, require  # noqa: PLC0415 - needs an extra
    from xperience.qwen.tiny import make_tiny, words_of  # noqa: PLC0415 - needs an extra

    require()
    source = ModelSource(str(make_tiny(folder / "tiny", words_of(export.folder))))
    found = {}
    for author, decoding in (
        (CONSTRAINED, Decoding(constrained=True, batch=8)),
        (FREE, Decoding(constrained=False, limit=FREE_TOKENS, batch=8)),
    ):
        found[author] = folder / f"{author}.jsonl"
        generate(export.folder, source, found[author], decoding)
    return found


def strict_rows(answered: Answered, run: str) -> Iterator[Record]:
    """Yield validity and scores of every author; ``head`` names it and ``task`` the field.

    They are over all records (variant "strict" of fields: what is not valid is wrong), with the
    best trivial baseline and the paired difference from it.
    """
    for author, path in answered.files.items():
        for row in evaluate(path, answered.export.folder / OPTIONS, author):
            mine = row.head == author and row.contract == HONEST and row.metric in SHOWN
            if mine and row.variant in (None, EVIDENCE_OF if row.metric == EVIDENCE else STRICT):
                yield row.model_copy(update={"run": run, "section": SECTION})
    for author, reason in answered.failed.items():
        yield Record(
            run=run, section=SECTION, contract=CONTRACT, head=author, metric="strict_validity",
            higher_is_better=True, status="skipped", reason=reason,
        )  # fmt: skip
