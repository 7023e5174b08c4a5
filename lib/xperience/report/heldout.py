"""The words and tables of the section on held-out episodes, from its rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from xperience.cohort.roster import Roster
from xperience.evaluation.records import Record
from xperience.studies.heldout.rotation import (
    ROTATED,
    ROTATED_ENDS,
    ROTATED_GAP,
    ROTATED_WITHIN,
)
from xperience.studies.heldout.rows import ACROSS, ENDS, GAP
from xperience.studies.heldout.strict import authors
from xperience.studies.heldout.within import WITHIN
from xperience.tasks.catalogue import TASKS_BY_NAME
from xperience.text import as_markdown

Rows = Sequence[Record]


def primary_of(task: str) -> str:
    """Return the name of a task's primary measure."""
    return TASKS_BY_NAME[task].primary.name


def find(
    rows: Iterable[Record], task: str, head: str | None, variant: str, against: str | None = None
) -> Record | None:
    """Return a task's primary score, or difference, of a head under a variant."""
    wanted = (task, head, variant, against, primary_of(task))
    keyed = ((r.task, r.head, r.variant, r.against, r.metric) == wanted for r in rows)
    return next((row for row, hit in zip(rows, keyed, strict=True) if hit), None)


def tasks_in(rows: Iterable[Record]) -> list[str]:
    """Return the tasks that rows are about, in order; other rows describe the cohort."""
    return list(dict.fromkeys(row.task for row in rows if row.task in TASKS_BY_NAME))


def roster_table(roster: Roster) -> pd.DataFrame:
    """Return how many episodes of each activity are on each side."""
    table = pd.DataFrame(
        [{"activity": one.activity or "unknown", "side": one.side} for one in roster]
    )
    sides = ["train", "val", "test"]
    counts = pd.crosstab(table["activity"], table["side"]).reindex(columns=sides, fill_value=0)
    return counts.sort_values(sides, ascending=False)


def score_table(rows: Rows, head: str) -> pd.DataFrame:
    """Return a head's primary scores: on the test side, and pooled over turns with intervals."""
    found = []
    for task in tasks_in(rows):
        across, turned = find(rows, task, head, ACROSS), find(rows, task, head, ROTATED)
        found.append(
            {
                "task": task,
                "measure": primary_of(task),
                "test side": _number(across),
                "every recording": _number(turned),
                "95 % interval": _interval(turned),
                "best floor": _floor(turned if turned and turned.floor is not None else across),
                "note": _note(across),
            }
        )
    return pd.DataFrame(found)


@dataclass(frozen=True)
class Sides:
    """A task answered twice on the same windows, and the difference.

    Parameters
    ----------
    within, across, gap : Record or None
        The gap is across minus within.
    """

    within: Record | None
    across: Record | None
    gap: Record | None


def sides_of(rows: Rows, task: str, head: str) -> Sides:
    """Return a task's scores within and across: over every recording, else on the test side."""
    turned = find(rows, task, head, ROTATED_GAP, WITHIN)
    if turned is not None and turned.value is not None:
        within = find(rows, task, "linear", ROTATED_WITHIN)
        return Sides(within, find(rows, task, head, ROTATED_ENDS), turned)
    within, across = find(rows, task, "linear", WITHIN), find(rows, task, head, ENDS)
    return Sides(within, across, find(rows, task, head, GAP, WITHIN))


def gap_table(rows: Rows, head: str) -> pd.DataFrame:
    """Return a head's scores within and across recordings on the same windows, and the gap."""
    found = []
    for task in tasks_in(rows):
        sides = sides_of(rows, task, head)
        if sides.within is None and sides.gap is None:
            continue
        found.append(
            {
                "task": task,
                "measure": primary_of(task),
                "within": _number(sides.within),
                "across": _number(sides.across),
                "gap": _number(sides.gap),
                "95 % interval of the gap": _interval(sides.gap),
                "note": _note(sides.gap),
            }
        )
    return pd.DataFrame(found)


def verdict(row: Record | None) -> str:
    """Return what a difference allows to be said: "better", "worse", "open" or "unknown".

    Parameters
    ----------
    row : Record or None
        A paired difference; better and worse need an interval without 0.
    """
    if row is None or row.value is None or row.ci_low is None or row.ci_high is None:
        return "unknown"
    if row.ci_low <= 0 <= row.ci_high:
        return "open"
    return "better" if (row.value > 0) == bool(row.higher_is_better) else "worse"


def gap_title(rows: Rows, head: str) -> str:
    """Return what the gaps of all tasks say together."""
    found = [verdict(sides_of(rows, task, head).gap) for task in tasks_in(rows)]
    told = [one for one in found if one != "unknown"]
    if not told:
        return "Too few recordings to tell what training on others costs or brings"
    better, worse = told.count("better"), told.count("worse")
    return (
        f"Training on other recordings helps in {better} and harms in {worse} of {len(told)} "
        f"tasks, against a recording's own beginning"
    )


def against_floor(rows: Rows, task: str, head: str) -> Record | None:
    """Return a head's difference from the best trivial baseline, over every recording."""
    score = find(rows, task, head, ROTATED)
    return None if score is None else find(rows, task, head, ROTATED, score.floor_name)


def floor_title(rows: Rows, heads: Sequence[str]) -> str:
    """Return in how many tasks heads across recordings beat the best trivial baseline."""
    said = []
    for head in heads:
        found = [verdict(against_floor(rows, task, head)) for task in tasks_in(rows)]
        told = [one for one in found if one != "unknown"]
        if told:
            said.append(f"the {head} head in {told.count('better')} of {len(told)} tasks")
    if not said:
        return "Too few recordings to tell whether heads beat trivial baselines"
    return f"Better than the best trivial baseline on unseen recordings: {', '.join(said)}"


def rival_table(rows: Rows, head: str, rival: str) -> pd.DataFrame:
    """Return two heads' primary scores over every recording, and their paired difference.

    Parameters
    ----------
    rows : sequence of Record
        Of the section on held-out episodes.
    head, rival : str
        The difference is that of ``head`` minus ``rival``.
    """
    found = []
    for task in tasks_in(rows):
        apart = find(rows, task, head, ROTATED, rival)
        if apart is None:
            continue
        found.append(
            {
                "task": task,
                "measure": primary_of(task),
                rival: _number(find(rows, task, rival, ROTATED)),
                head: _number(find(rows, task, head, ROTATED)),
                f"{head} minus {rival}": _number(apart),
                "95 % interval": _interval(apart),
                "says": VERDICTS[verdict(apart)].format(head=head),
            }
        )
    return pd.DataFrame(found)


VERDICTS = {
    "better": "{head} is better",
    "worse": "{head} is worse",
    "open": "either may be better",
    "unknown": "no interval",
}
"""What a verdict allows to be said of a head."""


def rival_words(rows: Rows, head: str, rival: str) -> str:
    """Return in how many tasks a head is better and worse than another on unseen recordings."""
    found = [verdict(find(rows, task, head, ROTATED, rival)) for task in tasks_in(rows)]
    told = [one for one in found if one != "unknown"]
    if not told:
        return f"Whether the {head} head is better than the {rival} one can't be told here."
    better, worse = told.count("better"), told.count("worse")
    return (
        f"On unseen recordings the {head} head is better than the {rival} one in {better} and "
        f"worse in {worse} of {len(told)} tasks; in {told.count('open')} either may be better."
    )


def word_scores(rows: Rows, head: str) -> pd.DataFrame:
    """Return a head's label scores under each comparison, a row a task and comparison."""
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
        return "How right labels are depends on how they are compared"
    return (
        f"{_percent(action['exact'])} of the action labels are right as texts, "
        f"{_percent(action['same_verb'])} have the right verb"
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


def strict_table(rows: Rows) -> pd.DataFrame:
    """Return every author's share of valid answers and its scores, the best constant below.

    Parameters
    ----------
    rows : sequence of Record
        Of the section on held-out episodes.

    Notes
    -----
    An author's floors are constants and its own answers dealt out anew. The last line is the
    lowest of their best: constants alone, for answers that know nothing gain nothing by dealing.
    """
    found, known = [], [row for row in rows if row.against is None]
    for author in authors(rows):
        of_author = {(row.task, row.metric): row for row in known if row.head == author}
        line = {"answers": author.replace("_", " ")}
        for title, field, metric in STRICT_COLUMNS:
            line[title] = _number(of_author.get((field, metric)))
        valid = of_author.get((None, "strict_validity"))
        found.append(line | {"note": _note(valid)})
    floors = {title: _best_floor(known, field, metric) for title, field, metric in STRICT_COLUMNS}
    return pd.DataFrame([*found, {"answers": "best constant", **floors, "note": ""}])


def _best_floor(rows: Iterable[Record], field: str | None, metric: str) -> str:
    heads = [row for row in rows if (row.task, row.metric) == (field, metric)]
    floors = [row.floor for row in heads if row.floor is not None]
    return f"{min(floors):.3f}" if floors and field is not None else "–"


def strict_words(rows: Rows) -> str:
    """Return what the table of strict answers says of validity and of skill."""
    said = []
    for author in authors(rows):
        mine = [row for row in rows if row.head == author and row.against is None]
        valid = next(row for row in mine if row.metric == "strict_validity")
        name = author.replace("_", " ")
        if valid.value is None:
            said.append(f"{name}: not asked ({as_markdown(valid.reason)}).")
            continue
        above = [row.task for row in mine if row.floor is not None and row.value is not None
                 and row.metric in _SCORES and row.value > row.floor]  # fmt: skip
        fields = ", ".join(str(task).replace("_", " ") for task in dict.fromkeys(above))
        skill = f"above the best trivial baseline in {fields}" if fields else "above it in nothing"
        said.append(f"{name}: {_percent(valid.value)} valid; {skill}.")
    return "\n".join(f"- {line}" for line in said)


_SCORES = {metric for _, field, metric in STRICT_COLUMNS if field is not None}


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _number(row: Record | None) -> str:
    return "–" if row is None or row.value is None else f"{row.value:.3f}{_unit(row)}"


def _unit(row: Record) -> str:
    return "" if row.unit == "1" else f" {row.unit}"


def _interval(row: Record | None) -> str:
    if row is None or row.value is None:
        return "–"
    if row.ci_low is None or row.ci_high is None:
        return row.ci_reason or "none"
    return f"{row.ci_low:.3f} … {row.ci_high:.3f}"


def _floor(row: Record | None) -> str:
    known = row is not None and row.floor is not None
    return f"{row.floor:.3f} ({row.floor_name})" if known and row is not None else "–"


def _note(row: Record | None) -> str:
    return "" if row is None or row.status == "ok" else f"{row.status}: {row.reason}"
