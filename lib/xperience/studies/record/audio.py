"""Real log-mel features with real labels, through our own heads.

The record holds the log-mel features of every window, and the labels of all of them give the
targets of six tasks. So the published audio study's variant of log-mel alone is fitted again by our
ridge head, and asked once more as `corrected` asks.
"""

from xperience.evaluation.evaluate import evaluate
from xperience.evaluation.predictions import AUDIO_HEADS, predict_all
from xperience.evaluation.records import Record
from xperience.features.audio import LOGMEL_COLUMNS
from xperience.studies.record.predictions import TEST_ONLY
from xperience.studies.record.record import PublishedRecord, PublishedRecordError
from xperience.tasks.audio import LOGMEL, RAW_ONLY, asked_as_published, with_sound
from xperience.tasks.catalogue import TASKS, tasks_of
from xperience.tasks.problem import Blocks, Problem, build
from xperience.tasks.truth import Truth

UNKNOWN = "the targets of its training windows are not published"


def logmel_problems(record: PublishedRecord, truth: Truth, contract: str) -> list[Problem]:
    """Return every task with log-mel as its only input, or with the reason why it can't be asked.

    If the features are absent or not one row per window, that is a PublishedRecordError.
    """
    values = record.vectors("logmel")["features"]
    if values.shape != (len(truth.starts), len(LOGMEL_COLUMNS)):
        raise PublishedRecordError(
            "published record: log-mel features",
            f"have shape {values.shape}",
            f"({len(truth.starts)}, {len(LOGMEL_COLUMNS)})",
            "Fetch the file again.",
        )
    blocks, problems = Blocks(None, {}), []
    blocks.add(LOGMEL, values)
    for task in tasks_of(contract, TASKS):
        asked = asked_as_published(task) if contract == "published" else task
        if task.name in TEST_ONLY:
            problems.append(
                Problem(asked, contract, truth, blocks, status="skipped", reason=UNKNOWN)
            )
        else:
            problems.append(with_sound(build(asked, truth, blocks, contract), (LOGMEL,)))
    return problems


def logmel_rows(
    record: PublishedRecord, truth: Truth, run: str, section: str, contract: str
) -> list[Record]:
    """Return the rows of log-mel alone under a contract: those of `evaluate`.

    Their variant is "raw_logmel_audio_only", before that of trivial baselines ("_floor") and of
    test samples of trained classes ("_seen_classes").
    """
    name, head = AUDIO_HEADS[contract]
    problems = logmel_problems(record, truth, contract)
    rows = [
        row
        for problem, found in zip(problems, predict_all(problems, head), strict=True)
        for row in evaluate(problem, {name: found}, run, section)
    ]
    return [
        row.model_copy(update={"variant": "_".join(filter(None, (RAW_ONLY, row.variant)))})
        for row in rows
    ]


def published_logmel(record: PublishedRecord) -> dict[tuple[str, str], float]:
    """Return what the published study scored from log-mel alone, by task and metric."""
    table = record.table("audio_rows")
    table = table[table["variant"] == RAW_ONLY]
    found = {}
    for task in tasks_of("published", TASKS):
        (row,) = table[table["task"] == task.name].to_dict("records") or [{}]
        for one in asked_as_published(task).measures:
            if row.get(one.name, "") != "":
                found[task.name, one.name] = float(row[one.name])
    return found
