"""Places, and sentences and sets of rows that several takeaways share."""

from collections.abc import Mapping

from xperience.report.takeaways.claims import Sentences
from xperience.report.takeaways.evidence import (
    CORRECTED,
    HELDOUT,
    NOTE,
    PUBLISHED,
    RECORD,
    RUN,
    Ask,
    Place,
)
from xperience.report.takeaways.outcome import NEITHER, NO, YES
from xperience.tasks.catalogue import TASKS

RUN_PUBLISHED, RUN_CORRECTED = Place(RUN, PUBLISHED), Place(RUN, CORRECTED)
THE_RECORD, RECORD_CORRECTED = Place(RECORD, PUBLISHED), Place(RECORD, CORRECTED)
THE_FAMILY = Place(HELDOUT, CORRECTED)
BOTH = (RUN_PUBLISHED, RUN_CORRECTED)
ACTION, HANDS, ORDER = "timeline_action", "hand_trajectory_forecast", "temporal_order"
LINEAR_HEAD, NEURAL_HEAD = "linear", "neural"
PRIMARY = {task.name: task.primary.name for task in TASKS}
"""The measure that each task is judged by."""

AS_IS, WITHOUT = "all_handcrafted_audio", "all_except_audio"
REPLACED, RAW_ONLY = "replace_handcrafted_with_raw", "raw_logmel_audio_only"
LOCAL, CHRONOLOGICAL, PURGED = "local", "chronological", "chronological_purged"
PRESENT_KNOWN = "present_known"
ACROSS, WITHIN, ROTATED, ROTATED_GAP = "across", "within", "rotated", "rotated_gap"
CONSTRAINED, FREE, STRICT = "tiny_model_constrained", "tiny_model_free", "strict"
"""Variants and heads as they stand in metric files. They are the studies' own names, held by a test
and not imported: what reads metric files needs none of the studies' code."""


def compared(subject: str, rival: str) -> Sentences:
    """Return what is said of a head against a rival; the claim is that the head is better."""
    scores = "{metric} {mine} against {other}, difference {gap} {ends}"
    return {
        YES: f"{subject} is **{{degree}}better** than {rival}: {scores}.",
        NO: f"{subject} is **{{degree}}worse** than {rival}: {scores}.",
        NEITHER: f"{subject} can't be told apart from {rival}: {scores} includes zero.",
    }


def erring(subject: str, rival: str) -> Sentences:
    """Return the same where scores are errors: how many times as large they are is told."""
    scores = "{metric} {mine} against {other} ({times} times as large), difference {gap} {ends}"
    return {
        YES: f"{subject} is **{{degree}}better** than {rival}: {scores}.",
        NO: f"{subject} is **{{degree}}worse** than {rival}: {scores}.",
        NEITHER: f"{subject} can't be told apart from {rival}: {scores} includes zero.",
    }


def counted(subject: str, rival: str) -> Sentences:
    """Return what is said of a head against a rival over all tasks."""
    rest = "not told apart on {n_open}, without a verdict on {n_untold}"
    compared = f"{{side}} than {rival} on"
    better, worse = compared.format(side="better"), compared.format(side="worse")
    return {
        YES: f"{subject} is {better} {{better}} and worse on {{worse}}; {rest}.",
        NO: f"{subject} is {worse} {{worse}} and better on {{better}}; {rest}.",
        NEITHER: f"{{case}}: {subject} is {better} {{better}} and worse on {{worse}}; {rest}.",
    }


def each(
    section: str,
    head: str,
    against: str,
    variant: str | None = None,
    metrics: Mapping[str, str] = PRIMARY,
) -> tuple[Ask, ...]:
    """Return the differences of a head from a rival on every task, in its primary measure."""
    return tuple(Ask(section, name, task, head, variant, against) for task, name in metrics.items())


def note(metric: str, variant: str = "recomputed") -> Ask:
    """Return a figure of the note: as it was recomputed, or as the note prints it."""
    return Ask(NOTE, metric, variant=variant)
