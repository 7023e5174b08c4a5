"""The page of takeaways in the note's own form: headlines, sentences, the note's metrics, scope.

Headlines are made of claims; the sentences below them are some of the claims' own; the metrics are
all that the note prints, under its names. `xperience.report.takeaways` decides and assembles.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xperience.evaluation.records import ALPHA, MIN_SEEDS
from xperience.report.claims import (
    ACTION,
    AS_IS,
    AUDIO,
    CHRONOLOGICAL,
    CONSTRAINED,
    CONTRACT,
    EPISODES,
    HANDS,
    HELDOUT,
    LINEAR_HEAD,
    LOCAL,
    MISALIGNED,
    MIXED,
    NEITHER,
    NEURAL,
    NEURAL_HEAD,
    NO,
    OPEN,
    ORDER,
    REBUILDING,
    RECORD,
    RECORD_CORRECTED,
    REPLACED,
    RETRIEVING,
    RUN,
    RUN_CORRECTED,
    RUN_PUBLISHED,
    SHIFT,
    SPLITS,
    STRICT,
    THE_FAMILY,
    THE_RECORD,
    WITHOUT,
    YES,
    Ask,
    Outcome,
    Place,
    Sentences,
)
from xperience.report.tables import MIXED as MIXED_UNITS
from xperience.report.tables import UNKNOWN, capital, listed
from xperience.text import as_markdown

Clause = tuple[str, Place, Sentences]
"""A part of a headline: a claim, where it is asked, and what is said for each of its outcomes."""

HEADLINES: Mapping[str, tuple[Clause, ...]] = {
    "contract": (
        (
            "whole_windows",
            RUN_PUBLISHED,
            {
                YES: "One recording becomes a whole benchmark",
                NO: "The recording lacks blocks of the benchmark",
            },
        ),
        (
            "note_reproduced",
            THE_RECORD,
            {
                YES: "no published number that can be recomputed differs",
                NO: "some published numbers do not come out",
            },
        ),
    ),
    "label_shift": (
        (
            "copying_suffices",
            THE_RECORD,
            {
                YES: "On the local split copying the nearest label does as well as the head",
                NO: "On the local split the head beats copying the nearest label",
                NEITHER: "On the local split the head is not significantly different from copying "
                "the nearest label",
            },
        ),
        (
            "most_unseen",
            THE_RECORD,
            {
                YES: "most chronological test windows show an action that training lacks",
                NO: "most chronological test windows show an action that training has",
            },
        ),
    ),
    "neural_heads": (
        (
            "order_beats_floor",
            THE_RECORD,
            {
                YES: "The neural head recognises temporal order better than {rival}",
                NO: "The neural head recognises temporal order worse than {rival}",
                NEITHER: "The neural head recognises temporal order no better than {rival}",
            },
        ),
        (
            "hands_beat_floor",
            THE_RECORD,
            {
                YES: "the neural head forecasts hands better than {rival}",
                NO: "the neural head forecasts hands worse than {rival}",
                NEITHER: "the neural head forecasts hands no better than {rival}",
            },
        ),
        (
            "velocity_beats_zero",
            RECORD_CORRECTED,
            {
                YES: "a forecaster that sees velocity beats zero velocity",
                NO: "a forecaster that sees velocity is worse than zero velocity",
                NEITHER: "a forecaster that sees velocity is no better than zero velocity",
            },
        ),
    ),
    "retrieval": (
        (
            "retrieval_beats_chance",
            RUN_CORRECTED,
            {
                YES: "Retrieval across modalities beats chance in this run",
                NEITHER: "Retrieval across modalities does not beat chance in this run",
            },
        ),
        (
            "rebuilt_beats_mean",
            RUN_CORRECTED,
            {
                YES: "reconstruction beats a trivial baseline",
                NO: "reconstruction is worse than a trivial baseline",
                NEITHER: "reconstruction is no better than a trivial baseline",
            },
        ),
    ),
    "audio": (
        (
            "sound_helps",
            THE_RECORD,
            {
                YES: "Audio helps more of the note's tasks than by chance",
                NO: "Audio hurts more of the note's tasks than by chance",
                NEITHER: "Audio helps the note's tasks no more often than by chance",
            },
        ),
        (
            "sound_rebuilds",
            THE_RECORD,
            {
                YES: "the largest printed gain of audio is in reconstruction",
                NO: "the largest printed gain of audio is not in reconstruction",
            },
        ),
    ),
    "heldout": (
        (
            "linear_across_beats_floor",
            THE_FAMILY,
            {
                YES: "On unseen recordings of the cohort a linear head beats its floor on "
                "{n_better} of {n} tasks",
                MIXED: "On unseen recordings of the cohort a linear head beats its floor on "
                "{n_better} of {n} tasks and is worse on {n_worse}",
                NO: "On unseen recordings of the cohort a linear head is worse than its floor on "
                "{n_worse} of {n} tasks",
                NEITHER: "On unseen recordings of the cohort a linear head beats its floor on no "
                "task",
            },
        ),
        (
            "answers_meet_target",
            THE_RECORD,
            {
                YES: "the published answers meet the note's JSON target",
                NO: "the published answers miss the note's JSON target",
                NEITHER: "the published answers neither clearly meet nor miss the note's JSON "
                "target",
            },
        ),
    ),
}
"""What the evidence says in one line, by takeaway; a claim that isn't tested withdraws its part."""
FAR = 2.0
"""A score counts as far from another's if it is this many times as large, or as small."""
NOT_COMPUTED = "not computed"
"""Verdict on a metric where the published record was not read."""
WITHDRAWN = "{title}: nothing was tested"
"""The headline where all its claims are open."""

LEADS: Mapping[str, tuple[tuple[str, Place], ...]] = {
    "contract": (("whole_windows", RUN_PUBLISHED), ("note_reproduced", THE_RECORD)),
    "label_shift": (
        ("copying_suffices", THE_RECORD),
        ("most_unseen", THE_RECORD),
        ("forward_beats_floor", THE_RECORD),
    ),
    "neural_heads": (
        ("order_beats_floor", THE_RECORD),
        ("hands_beat_floor", THE_RECORD),
        ("velocity_beats_zero", RECORD_CORRECTED),
    ),
    "retrieval": (
        ("retrieval_beats_chance", RUN_CORRECTED),
        ("linear_retrieves_better", RUN_CORRECTED),
        ("rebuilt_beats_mean", RUN_CORRECTED),
    ),
    "audio": (
        ("sound_helps", THE_RECORD),
        ("sound_rebuilds", THE_RECORD),
        ("sound_helps_some", RUN_CORRECTED),
    ),
    "heldout": (
        ("answers_meet_target", THE_RECORD),
        ("answers_beat_floor", THE_RECORD),
        ("linear_across_beats_floor", THE_FAMILY),
    ),
}
"""The claims whose sentences stand below a headline."""


@dataclass(frozen=True)
class NoteMetric:
    """A metric of the note, and where the same quantity of a run is.

    Parameters
    ----------
    name : str
        As the note has it.
    asks : tuple of Ask
        The rows that it is made from.
    made : callable
        Takes their values.
    """

    name: str
    place: Place
    asks: tuple[Ask, ...]
    made: Callable[[Sequence[float]], float | None] = sum


def _of_run(name: str, *asks: Ask, **made: Any) -> NoteMetric:
    return NoteMetric(name, RUN_PUBLISHED, asks, **made)


def _saved(errors: Sequence[float]) -> float | None:
    """Return the share of the first error that the second saves."""
    was, now = errors
    return 1 - now / was if was else None


def _both(name: str, metric: str, task: str) -> tuple[NoteMetric, NoteMetric]:
    """Return the note's metric of the linear head and that of the neural head."""
    heads = {"minimal": LINEAR_HEAD, "neural": NEURAL_HEAD}
    return tuple(
        _of_run(f"{name}_{ending}", Ask(NEURAL, metric, task, head))
        for ending, head in heads.items()
    )


def _gain(
    name: str, metric: str, variant: str, against: str, task: str | None = None
) -> NoteMetric:
    return _of_run(name, Ask(AUDIO, metric, task, "ridge", variant, against))


METRICS: Mapping[str, tuple[NoteMetric, ...]] = {
    "contract": (
        _of_run("frames", Ask(CONTRACT, "n_frames")),
        _of_run("windows", Ask(CONTRACT, "n_windows")),
        _of_run("feature_dim", Ask(CONTRACT, "feature_dim")),
    ),
    "label_shift": (
        _of_run("all_feature_action_macro_f1", Ask(SHIFT, "macro_f1", ACTION, LINEAR_HEAD, LOCAL)),
        _of_run(
            "suite_action_macro_f1", Ask(SHIFT, "macro_f1", ACTION, LINEAR_HEAD, CHRONOLOGICAL)
        ),
        _of_run("suite_subtask_macro_f1", Ask(NEURAL, "macro_f1", "timeline_subtask", LINEAR_HEAD)),
        _of_run(
            "unseen_action_test_classes", Ask(NEURAL, "unseen_test_classes", ACTION, LINEAR_HEAD)
        ),
    ),
    "neural_heads": (
        *_both("hand_mpjpe", "mpjpe", HANDS),
        _of_run(
            "hand_mpjpe_relative_improvement",
            *(Ask(NEURAL, "mpjpe", HANDS, head) for head in (LINEAR_HEAD, NEURAL_HEAD)),
            made=_saved,
        ),
        *_both("temporal_order_f1", "f1", ORDER),
        *_both("misalignment_f1", "f1", MISALIGNED),
    ),
    "retrieval": (
        *_both("retrieval_mrr", "mrr", RETRIEVING),
        _both("retrieval_top5", "top5_accuracy", RETRIEVING)[0],
        *_both("reconstruction_r2", "r2", REBUILDING),
    ),
    "audio": (
        _gain("tasks_where_current_audio_improves", "tasks_with_gain", AS_IS, WITHOUT),
        _gain("mean_current_audio_delta", "mean_gain_mixed_units", AS_IS, WITHOUT),
        _gain("tasks_where_raw_replacement_improves", "tasks_with_gain", REPLACED, AS_IS),
        _gain("mean_raw_replacement_delta_vs_current", "mean_gain_mixed_units", REPLACED, AS_IS),
        _gain("reconstruction_current_audio_delta", "mae_gain", AS_IS, WITHOUT, REBUILDING),
        _gain(
            "object_relevance_current_audio_delta",
            "micro_f1_gain",
            AS_IS,
            WITHOUT,
            "object_relevance",
        ),
    ),
    "heldout": tuple(
        NoteMetric(name, THE_FAMILY, asks)
        for name, asks in {
            "selected_episodes": tuple(
                Ask(EPISODES, "recordings", variant=side) for side in SPLITS
            ),
            "held_out_test_windows": (Ask(EPISODES, "windows", variant=SPLITS[-1]),),
            "json_validity_rate": (Ask(EPISODES, "lenient_validity", head=CONSTRAINED),),
            "action_macro_f1": (Ask(EPISODES, "macro_f1_present", "action", CONSTRAINED, STRICT),),
        }.items()
    ),
}
"""All that the note prints, by takeaway."""

MARKS = {YES: "✔", NEITHER: "○", MIXED: "◐", NO: "✘", OPEN: "?"}
SCOPE = (
    "Everything below follows from metric files by rules. Runs named standin, family, smoke and "
    "smoke-family are simulated: they show how the tasks behave, not what people do. "
    "The published record is of the real public sample, as far as it was published."
)
HOW_TO_READ = (
    "*note* is what was printed, *recomputed* what follows from the published record: **exact** in "
    "all printed digits, **derived** as bounds, or **not recomputable**. The last number is the "
    "same quantity of a run under `published`, the note's own pipeline; of the cohort under "
    "`corrected`, which mends its flaws.",
    "Each sentence says what became of a claim: **supported**, **contradicted**, **no "
    "significant difference**, **mixed** (tasks differ) or **not tested**. *Better* and *worse* "
    "need a p of at most {alpha} after Holm's correction for the tasks of the comparison, and "
    "{seeds} seeds of a network that agree (the published one has one seed: what is said of it "
    "holds for that seed); *far* is {far} times or more.",
    "A headline is made of claims: other numbers give another headline, and what is not tested is "
    "left out of it. All claims and their rows are in `RESEARCH_TAKEAWAYS.json`, and on the site.",
)
_GENERATED = (
    "<!-- Made from metric files by `make reproduce` (`xperience takeaways`); a test refuses a "
    "change by hand. -->"
)


# For readers


def to_markdown(content: Mapping[str, Any]) -> str:
    """Return the page of assembled takeaways, fresh or read back from their JSON."""
    names = column_names(content)
    extents = "\n".join(
        f"- {capital(names[column])}: {text}." for column, text in content["extents"].items()
    )
    how = [text.format(far=f"{FAR:g}", alpha=f"{ALPHA:g}", seeds=MIN_SEEDS) for text in HOW_TO_READ]
    parts = [
        f"# Research takeaways: run {as_markdown(content['run'])}",
        _GENERATED,
        f"## Scope\n\n{SCOPE}\n\n{extents}",
        *(
            f"## {n}. {one['headline']}\n\n{takeaway_text(one, names)}"
            for n, one in enumerate(content["takeaways"], 1)
        ),
        "## How to read\n\n" + "\n".join(f"- {text}" for text in how),
    ]
    return "\n\n".join(parts) + "\n"


def takeaway_text(one: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Return a takeaway below its headline: sentences, the note's metrics, source and scope.

    Parameters
    ----------
    one : mapping
        One of the assembled takeaways.
    names : mapping of {column: name}
        See `column_names`.
    """
    lines = [
        f"- {mark(claim['outcome'])}, {whose(claim, names)}: {claim['sentence']}"
        for claim in leading(one)
    ]
    files: dict[str, dict[str, None]] = {}
    for claim in one["claims"]:
        of = names[RUN if claim["column"] == RECORD else claim["column"]]
        files.setdefault(of, {}).update({f"`{name}.json`": None for name in claim["sections"]})
    sources = "; ".join(f"{', '.join(found)} of {of}" for of, found in files.items())
    parts = ["\n".join(lines), metrics_table(one, names), f"Source: {sources}."]
    return "\n\n".join([*parts, f"Current scope: {one['scope']}"])


def whose(claim: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Return of which data a claim is, and under which contract unless it is the note's."""
    corrected = claim["contract"] != "published"
    return names[claim["column"]] + f", `{claim['contract']}`" * corrected


def leading(one: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the claims whose sentences stand below a takeaway's headline."""
    return [one["claims"][place] for place in one["leads"]]


def metrics_table(one: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Return the note's metrics as a Markdown table, and why some have no number."""
    lines, reasons = [], {}
    for metric in one["metrics"]:
        shown = [_printed(value, metric["unit"]) for value in metric["recomputed"]]
        here = _printed(metric["here"], metric["unit"])
        name, unit = f"`{metric['metric']}`", " (m)" if metric["unit"] == "m" else ""
        printed = _printed(metric["note"], metric["unit"])
        if metric["note"] is None and metric["verdict"] != NOT_COMPUTED:
            printed = "n/a"
        cells = ("–".join(dict.fromkeys(shown)) or UNKNOWN, here, metric["verdict"])
        lines.append([name + unit, printed, *cells])
        if metric["why"]:
            reasons.setdefault(metric["why"], []).append(name)
    (column,) = {metric["column"] for metric in one["metrics"]}
    head = ["metric", "note", "recomputed", names[column], "verdict"]
    told = [
        f"{listed(some) if len(some) < 3 else f'{len(some)} of these'}: {as_markdown(why)}."
        for why, some in reasons.items()
    ]
    return "\n\n".join([_table(head, lines), *([" ".join(told)] if told else [])])


def _printed(value: float | None, unit: str) -> str:
    """Return a number with the note's decimals."""
    if value is None:
        return UNKNOWN
    return f"{value:.4f}" if unit in ("1", "m", "sd", MIXED_UNITS) else f"{value:,.0f}"


def claims_table(content: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return all claims as the head and the lines of a table: claim, data, outcome, sentence."""
    names = column_names(content)
    lines = [
        [
            capital(claim["text"]),
            whose(claim, names),
            mark(claim["outcome"]),
            claim["sentence"],
        ]
        for one in content["takeaways"]
        for claim in one["claims"]
    ]
    return ["claim", "data, contract", "outcome", "what the evidence says"], lines


def column_names(content: Mapping[str, Any]) -> dict[str, str]:
    """Return what readers call each column."""
    heldout = content["heldout"]
    return {
        RUN: f"run {as_markdown(content['run'])}",
        RECORD: "published record",
        HELDOUT: f"run {as_markdown(heldout)}" if heldout else "held-out episodes",
    }


def mark(outcome: str) -> str:
    """Return an outcome with its mark."""
    return f"{MARKS[Outcome(outcome)]} {outcome}"


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows)


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", text).replace("\n", " ")
