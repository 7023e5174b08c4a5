"""The words and tables of the section on held-out episodes, from its rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from xperience.cohort.manifest import SplitManifest
from xperience.evaluation.records import (
    ABLATION,
    ACROSS,
    ENDS,
    GAP,
    ONE_WORTH,
    POOLED,
    POOLED_ENDS,
    POOLED_GAP,
    POOLED_WITHIN,
    SCALING,
    WITHIN,
    Record,
)
from xperience.report.audio import gains
from xperience.report.quantities import percent
from xperience.report.tables import (
    UNKNOWN,
    Verdict,
    any_tested,
    difference,
    floor,
    listed,
    number,
    of_tested,
    readable,
    score,
    verdict,
    verdicts,
)
from xperience.tasks.catalogue import TASKS_BY_NAME, tasks_of
from xperience.text import as_markdown

Rows = Sequence[Record]
CONTRACT = "corrected"
PRIMARY = {task.name: task.primary.name for task in tasks_of(CONTRACT)}
"""The measure that each task is judged by."""


def primary_of(task: str) -> str:
    """Return the name of a task's primary measure."""
    return PRIMARY[task]


def find(
    rows: Iterable[Record], task: str, head: str | None, variant: str, against: str | None = None
) -> Record | None:
    """Return a task's primary score, or difference, of a head under a variant."""
    wanted = (task, head, variant, against, primary_of(task))
    return next(
        (r for r in rows if (r.task, r.head, r.variant, r.against, r.metric) == wanted), None
    )


def tasks_in(rows: Iterable[Record]) -> list[str]:
    """Return the tasks that rows are about, in order; other rows describe the cohort."""
    return list(dict.fromkeys(row.task for row in rows if row.task in TASKS_BY_NAME))


def manifest_table(manifest: SplitManifest) -> pd.DataFrame:
    """Return how many episodes of each activity are in each split."""
    table = pd.DataFrame(
        [{"activity": one.activity or "unknown", "split": one.side} for one in manifest]
    )
    splits = ["train", "val", "test"]
    counts = pd.crosstab(table["activity"], table["split"]).reindex(columns=splits, fill_value=0)
    return counts.sort_values(splits, ascending=False)


def score_table(rows: Rows, head: str) -> pd.DataFrame:
    """Return a head's primary scores: on the test split, and pooled over folds with intervals."""
    found = []
    for task in tasks_in(rows):
        across, pooled = find(rows, task, head, ACROSS), find(rows, task, head, POOLED)
        best = pooled if pooled is not None and pooled.floor is not None else across
        found.append(
            {
                "task": readable(task),
                "measure": readable(primary_of(task)),
                "test split": score(across),
                "every recording": score(pooled),
                "best floor": floor(best),
            }
        )
    return pd.DataFrame(found)


@dataclass(frozen=True)
class Sides:
    """A task's scores on the same windows, within and across recordings, and the difference.

    Parameters
    ----------
    within, across, gap : Record or None
        The gap is across minus within.
    """

    within: Record | None
    across: Record | None
    gap: Record | None


def sides_of(rows: Rows, task: str, head: str) -> Sides:
    """Return a task's scores within and across: over every recording, else on the test split."""
    pooled = find(rows, task, head, POOLED_GAP, WITHIN)
    if pooled is not None and pooled.value is not None:
        within = find(rows, task, "linear", POOLED_WITHIN)
        return Sides(within, find(rows, task, head, POOLED_ENDS), pooled)
    within, across = find(rows, task, "linear", WITHIN), find(rows, task, head, ENDS)
    return Sides(within, across, find(rows, task, head, GAP, WITHIN))


def gap_table(rows: Rows, head: str) -> pd.DataFrame:
    """Return a head's scores within and across recordings on the same windows, and the gap."""
    found = []
    for task in tasks_in(rows):
        sides = sides_of(rows, task, head)
        if sides.within is None and sides.gap is None:
            continue
        line = {"task": readable(task), "measure": readable(primary_of(task))}
        line |= {"within": score(sides.within), "across": score(sides.across)}
        reason = sides.gap.reason if sides.gap is not None and sides.gap.value is None else ""
        found.append(line | {"across minus within": difference(sides.gap), "note": reason})
    return pd.DataFrame(found)


def gap_title(rows: Rows, head: str) -> str:
    """Return what the gaps of all tasks say together."""
    counts = verdicts(sides_of(rows, task, head).gap for task in tasks_in(rows))
    if not any_tested(counts):
        return "What training on other recordings costs or brings is not tested"
    return (
        f"Training on other recordings is significantly better than on the own beginning in "
        f"{counts[Verdict.BETTER]} of {of_tested(counts)}, worse in {counts[Verdict.WORSE]}"
    )


def against_floor(rows: Rows, task: str, head: str) -> Record | None:
    """Return a head's difference from the best trivial baseline, over every recording."""
    mine = find(rows, task, head, POOLED)
    return None if mine is None else find(rows, task, head, POOLED, mine.floor_name)


def floor_title(rows: Rows, heads: Sequence[str]) -> str:
    """Return in how many tasks heads across recordings beat the best trivial baseline."""
    parts = []
    for head in heads:
        counts = verdicts(against_floor(rows, task, head) for task in tasks_in(rows))
        if any_tested(counts):
            parts.append(f"{head} in {counts[Verdict.BETTER]} of {of_tested(counts)}")
    if not parts:
        return "Whether heads are better than trivial baselines is not tested"
    return f"Significantly better than trivial baselines on unseen recordings: {', '.join(parts)}"


def rival_table(rows: Rows, head: str, rival: str) -> pd.DataFrame:
    """Return two heads' primary scores over every recording, and their paired difference.

    Parameters
    ----------
    rows : sequence of Record
    head, rival : str
        The difference is that of ``head`` minus ``rival``.
    """
    found = []
    for task in tasks_in(rows):
        apart = find(rows, task, head, POOLED, rival)
        if apart is not None:
            line = {"task": readable(task), "measure": readable(primary_of(task))}
            line |= {one: score(find(rows, task, one, POOLED)) for one in (rival, head)}
            found.append(line | {f"{head} minus {rival}": difference(apart)})
    return pd.DataFrame(found)


def rival_words(rows: Rows, head: str, rival: str) -> str:
    """Return in how many tasks a head is better and worse than another on unseen recordings."""
    counts = verdicts(find(rows, task, head, POOLED, rival) for task in tasks_in(rows))
    if not any_tested(counts):
        return f"Whether the {head} head is better than the {rival} one can't be tested here."
    return (
        f"On unseen recordings the {head} head is significantly better than the {rival} one in "
        f"{counts[Verdict.BETTER]} and worse in {counts[Verdict.WORSE]} of {of_tested(counts)}; in "
        f"{counts[Verdict.NO_DIFFERENCE]} there is no significant difference."
    )


# Other inputs, and fewer recordings


def modalities_in(rows: Rows) -> list[str]:
    """Return the modalities that were given alone and left out, in order."""
    begins = f"{ABLATION}only="
    found = (r.variant.removeprefix(begins) for r in rows if (r.variant or "").startswith(begins))
    return list(dict.fromkeys(found))


def findings(rows: Rows, variant: str, against: str) -> dict[str, Verdict]:
    """Return what each task's gain of a variant allows to be said, corrected for their number."""
    return {one.task: verdict(one)[0] for one in gains(rows, (variant, against), CONTRACT)}


def ablation_title(rows: Rows) -> str:
    """Return in how many tasks leaving each modality out costs significantly."""
    costs, free, untested = [], [], []
    for name in modalities_in(rows):
        counts = verdicts(gains(rows, (f"{ABLATION}without={name}", f"{ABLATION}all"), CONTRACT))
        if not any_tested(counts):
            untested.append(name)
        elif worse := counts[Verdict.WORSE]:
            costs.append(f"{name} {worse} of {of_tested(counts)}")
        else:
            free.append(name)
    if not costs + free:
        return "What each modality adds is not tested"
    left = listed(free).replace(" and ", " or ")
    said = f"No tested task is significantly worse without {left}"
    if costs:
        said = f"Tasks significantly worse without: {', '.join(costs)}"
        said += f"; none without {left}" if free else ""
    return f"{said}; not tested without {listed(untested)}" if untested else said


def sizes_in(rows: Rows) -> list[int]:
    """Return the numbers of recordings that heads learnt from, fewest first."""
    ends = {(row.variant or "").removeprefix(SCALING) for row in rows}
    return sorted(int(one) for one in ends if one.isdigit())


def scaling_title(rows: Rows) -> str:
    """Return in how many tasks more recordings help, with more windows and with as many."""
    most = sizes_in(rows)[-1:] or [1]
    one, parts = f"{SCALING}1", []
    for name, ending in (("in", ""), ("with no more windows in", ONE_WORTH)):
        counts = verdicts(gains(rows, (f"{SCALING}{most[0]}{ending}", one), CONTRACT))
        if any_tested(counts):
            worse = counts[Verdict.WORSE]
            harm = f", worse in {worse}" if worse else ""
            parts.append(f"{name} {counts[Verdict.BETTER]} of {of_tested(counts)}{harm}")
    if not parts:
        return "What more training recordings bring is not tested"
    return f"{most[0]} training recordings are significantly better than 1 {'; '.join(parts)}"


def word_scores(rows: Rows, head: str) -> pd.DataFrame:
    """Return a head's label scores under each comparison, one row per task and comparison."""
    found = [
        {
            "task": row.task,
            "comparison": row.metric.removeprefix("wording_"),
            "value": row.value,
            "floor": row.floor,
            "reason": row.reason if row.value is None else "",
        }
        for row in rows
        if row.metric.startswith("wording_") and row.head == head and row.against is None
    ]
    return pd.DataFrame(found, columns=["task", "comparison", "value", "floor", "reason"])


def word_title(table: pd.DataFrame) -> str:
    """Return what is left of exact scores and what looser comparisons add."""
    known = table.dropna(subset=["value"])
    action = known[known["task"] == "timeline_action"].set_index("comparison")["value"]
    if not {"exact", "same_verb"} <= set(action.index):
        return "Action labels were not compared as text and by verb"
    return (
        f"{percent(action['exact'])} of action labels are right as text, "
        f"{percent(action['same_verb'])} have the right verb"
    )


STRICT_COLUMNS = (
    ("valid JSON", None, "strict_validity"),
    ("action", "action", "macro_f1_present"),
    ("subtask", "subtask", "macro_f1_present"),
    ("next action", "next_action", "macro_f1_present"),
    ("objects", "objects", "micro_f1"),
    ("contact", "contact", "macro_f1_present"),
    ("transition", "transition", "macro_f1_present"),
    ("evidence", "evidence_window", "evidence_iou"),
)
"""Of the table of strict answers: title, field, measure."""


def authors(rows: Rows) -> list[str]:
    """Return who was asked for strict JSON, in order."""
    return list(dict.fromkeys(row.head for row in rows if row.metric == "strict_validity"))


def strict_table(rows: Rows) -> pd.DataFrame:
    """Return every author's share of valid answers and its scores, the best constant below.

    Notes
    -----
    An author's floors are constants and its own answers permuted. The last line is the lowest of
    their best: constants alone, for answers that know nothing gain nothing by a permutation.
    """
    found, known = [], [row for row in rows if row.against is None]
    for author in authors(rows):
        mine = {(row.task, row.metric): row for row in known if row.head == author}
        line = {"answers": author.replace("_", " ")}
        for title, field, metric in STRICT_COLUMNS:
            row = mine.get((field, metric))
            line[title] = UNKNOWN if row is None else number(row.value, row.unit)
        valid = mine.get((None, "strict_validity"))
        skipped = valid is not None and valid.status != "ok"
        found.append(line | {"note": f"{valid.status}: {valid.reason}" if skipped else ""})
    floors = {title: _best_floor(known, field, metric) for title, field, metric in STRICT_COLUMNS}
    return pd.DataFrame([*found, {"answers": "best constant", **floors, "note": ""}])


def _best_floor(rows: Iterable[Record], field: str | None, metric: str) -> str:
    heads = [row for row in rows if (row.task, row.metric) == (field, metric)]
    floors = [row.floor for row in heads if row.floor is not None]
    return number(min(floors)) if floors and field is not None else UNKNOWN


def strict_words(rows: Rows) -> str:
    """Return what the table of strict answers says of validity and of skill."""
    scores = {metric for _, field, metric in STRICT_COLUMNS if field is not None}
    lines = []
    for author in authors(rows):
        mine = [row for row in rows if row.head == author and row.against is None]
        valid = next(row for row in mine if row.metric == "strict_validity")
        name = author.replace("_", " ")
        if valid.value is None:
            lines.append(f"- {name}: no predictions ({as_markdown(valid.reason)}).")
            continue
        above = [row.task for row in mine if row.floor is not None and row.value is not None
                 and row.metric in scores and row.value > row.floor]  # fmt: skip
        fields = ", ".join(str(task).replace("_", " ") for task in dict.fromkeys(above))
        skill = f"above the best trivial baseline in {fields or 'no field'}"
        if not any(row.floor is not None and row.metric in scores for row in mine):
            skill = "no field has a trivial baseline"
        lines.append(f"- {name}: {percent(valid.value)} valid; {skill}.")
    return "\n".join(lines)
