"""The tidy rows of the tasks across recordings."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from xperience.evaluation.records import Record
from xperience.studies.heldout.asked import TEST
from xperience.studies.heldout.cohort import Cohort
from xperience.studies.heldout.contest import (
    Entrant,
    Truths,
    by_episode,
    entrant,
    floors_of,
    rivals_of,
    truths_of,
)
from xperience.studies.heldout.study import CONTRACT, SECTION, Held
from xperience.studies.heldout.within import WITHIN, Gap
from xperience.studies.heldout.words import word_rows
from xperience.studies.rows import FLOOR, difference_row, named, scored

ACROSS, ENDS, GAP = "across", "across_ends", "gap"
"""Variants: all windows of test recordings; those of their ends, where heads within are tested;
and the difference of the two on these."""


def cohort_rows(cohort: Cohort, run: str) -> Iterator[Record]:
    """Yield what the cohort is: recordings and windows by side, recordings that were lost."""
    base = {"run": run, "section": SECTION, "contract": CONTRACT}
    for side in ("train", "val", "test"):
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


def heldout_rows(outcomes: Iterable[Held], run: str) -> Iterator[Record]:
    """Yield the rows of tasks across recordings.

    Parameters
    ----------
    outcomes : iterable of Held
    run : str

    Yields
    ------
    Record
        For each task: its trivial baselines (variant "floor"), each head on all windows of the test
        recordings ("across") with its paired differences, the same by recording, labels compared
        by verb, noun and meaning; and on the recordings' ends the heads within ("within"), those
        across ("across_ends") and the difference ("gap"). Intervals draw whole recordings.
    """
    for rows in map(partial(_task_rows, run=run), outcomes):
        yield from rows  # at its end an outcome is let go, before the next one is made


def _task_rows(held: Held, run: str) -> Iterator[Record]:
    base = _base(held, run)
    if held.status != "ok":
        for one in held.task.measures:
            yield Record(**base, **named(one), status=held.status, reason=held.reason)
        return
    yield from _across(held, truths_of(held.asked), base)
    yield from _gap(held, base)


def _base(held: Held, run: str) -> dict[str, Any]:
    asked = held.asked
    found = {"run": run, "section": SECTION, "contract": CONTRACT, "task": held.task.name}
    if held.status == "ok":
        found |= {"n_train": len(asked.learnt), "n_test": asked.n_test}
    return found


def _across(held: Held, truths: Truths, base: dict[str, Any]) -> Iterator[Record]:
    task = held.task
    floors = floors_of(held.asked, truths)
    heads = {name: entrant(name, truths, answers) for name, answers in held.answers.items()}
    if task.kind == "classify" and not task.classes:
        known = set(held.asked.learnt)
        share = sum(label not in known for label in truths.values) / len(truths)
        yield Record(**base, metric="open_set_share", higher_is_better=False, value=share)
    for name, floor in floors.items():
        for one in truths.measures:
            yield scored(floor, one, base | {"head": name, "variant": FLOOR})
    noted = {"reason": "; ".join(held.asked.notes) or None}
    for name, mine in heads.items():
        own = base | {"head": name, "variant": ACROSS}
        for one in truths.measures:
            yield scored(mine, one, own | noted, floors)
        for rival, other in rivals_of(name, task.primary, floors, heads).items():
            yield difference_row(mine, other, task.primary, own | {"against": rival})
        yield from _by_recording(held, mine, own)
        yield from word_rows(held.asked, truths, held.answers[name][0], own)


def _by_recording(held: Held, mine: Entrant, base: dict[str, Any]) -> Iterator[Record]:
    """Yield the primary score of each test recording on its own."""
    primary = held.task.primary
    parts = held.asked.parts[TEST]
    for part, value in zip(parts, by_episode(mine, primary), strict=True):
        own = base | {"variant": f"recording:{part.recording.entry.episode}", "n_test": len(part)}
        if value is None:
            reason = f"undefined: {primary.metric.undefined}"
            yield Record(**own, **named(primary), status="degenerate", reason=reason)
        else:
            yield Record(**own, **named(primary), value=value)


def _gap(held: Held, base: dict[str, Any]) -> Iterator[Record]:
    primary, gap = held.task.primary, held.gap
    if not isinstance(gap, Gap):
        for name in held.answers:
            own = base | {"head": name, "variant": GAP, "against": WITHIN}
            yield Record(**own, **named(primary), status="skipped", reason=gap)
        return
    ends = base | {"n_test": len(gap.within.problem)}
    mine = ends | {"head": "linear", "variant": WITHIN, "n_train": gap.n_train}
    yield scored(gap.within, primary, mine)
    for name, across in gap.across.items():
        yield scored(across, primary, ends | {"head": name, "variant": ENDS})
        own = ends | {"head": name, "variant": GAP, "against": WITHIN}
        yield difference_row(across, gap.within, primary, own)
