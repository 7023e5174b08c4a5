"""Real log-mel features with real labels, through our own heads.

The record holds the log-mel features of every window, and the labels of all of them give the
targets of six tasks. So the published audio study's variant of log-mel alone is fitted again by our
ridge head, and asked once more as `corrected` asks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from xperience.evaluation.records import Record
from xperience.studies.audio.study import SETTINGS, asked_as_published
from xperience.studies.audio.variants import LOGMEL, RAW_ONLY, variant_task
from xperience.studies.blocks import Blocks
from xperience.studies.heads import Context
from xperience.studies.posing import pose
from xperience.studies.problem import Outcome, Problem
from xperience.studies.record.record import PublishedRecord, PublishedRecordError
from xperience.studies.record.scores import TEST_ONLY
from xperience.studies.rows import Labels, suite_rows
from xperience.tasks.catalogue import TASKS, tasks_of
from xperience.tasks.truth import Truth

UNKNOWN = "the targets of its training windows are not published"


@dataclass(frozen=True)
class _Features:
    """A table of windows that holds the log-mel block alone."""

    values: np.ndarray

    def block(self, name: str) -> np.ndarray:
        """Return the block, float32 (n_windows, 588)."""
        return self.values


def logmel_outcomes(record: PublishedRecord, truth: Truth, contract: str) -> Iterator[Outcome]:
    """Yield our heads' answers to every task from log-mel alone, or why there is none.

    Parameters
    ----------
    record : PublishedRecord
    truth : Truth
    contract : {"published", "corrected"}
        The published head is the audio study's ridge; the corrected one chooses its penalty.

    Raises
    ------
    PublishedRecordError
        If the features are absent or not one row a window.
    """
    values = record.vectors("logmel")["features"]
    if values.shape != (len(truth.starts), len(LOGMEL.columns)):
        raise PublishedRecordError(
            "published record: log-mel features",
            f"have shape {values.shape}",
            f"({len(truth.starts)}, {len(LOGMEL.columns)})",
            "Fetch the file again.",
        )
    setting, blocks = SETTINGS[contract], Blocks(_Features(values), {})
    posed = []
    for task in tasks_of(contract, TASKS):
        asked = variant_task(setting.asked(task), RAW_ONLY)
        if task.name in TEST_ONLY:
            posed.append(Outcome(asked, setting.head, status="skipped", reason=UNKNOWN))
            continue
        found = pose(asked, truth, blocks, contract)
        posed.append(replace(found, head=setting.head) if isinstance(found, Outcome) else found)
    yield from _answered(posed, setting.heads[setting.head], setting.head, blocks)


def _answered(posed: Sequence, head, name: str, blocks: Blocks) -> Iterator[Outcome]:
    problems = [one for one in posed if isinstance(one, Problem)]
    answers = dict(head(problems, Context(blocks)))
    place = iter(range(len(problems)))
    for one in posed:
        if isinstance(one, Problem):
            yield Outcome(one.task, name, one, tuple(answers[next(place)]))
        else:
            yield one


def logmel_rows(record: PublishedRecord, truth: Truth, labels: Labels) -> list[Record]:
    """Return the rows of log-mel alone under a contract.

    Parameters
    ----------
    record : PublishedRecord
    truth : Truth
    labels : Labels

    Returns
    -------
    list of Record
        The suite's, with variant "raw_logmel_audio_only" and, for trivial baselines, that with
        "_floor"; test samples of trained classes end in "_seen_classes".
    """
    outcomes = logmel_outcomes(record, truth, labels.contract)
    rows = suite_rows(outcomes, labels.run, labels.contract, labels.section)
    return [
        row.model_copy(update={"variant": "_".join(filter(None, (RAW_ONLY, row.variant)))})
        for row in rows
    ]


def published_logmel(record: PublishedRecord) -> dict[tuple[str, str], float]:
    """Return what the published study scored from log-mel alone, by task and metric.

    Parameters
    ----------
    record : PublishedRecord
    """
    table = record.table("audio_rows")
    table = table[table["variant"] == RAW_ONLY]
    found = {}
    for task in TASKS:
        (row,) = table[table["task"] == task.name].to_dict("records") or [{}]
        for one in asked_as_published(task).measures:
            if row.get(one.name, "") != "":
                found[task.name, one.name] = float(row[one.name])
    return found
