"""Score rows as tables for the site."""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path

from xperience.evaluation.records import Record
from xperience.report.tables import number, readable
from xperience.report.tasks import SHOWN, anchor
from xperience.text import as_markdown

LANDING_ROWS = 48
ARROWS = {True: " ↑", False: " ↓", None: ""}

HEAD = ("contract", "task", "head", "variant", "minus", "metric", "seed", "value", "95 % interval",
        "floor", "skill", "test", "note")  # fmt: skip
_HOW = "[How to read a score](/reading.md) says what floor, skill and interval are."
_Beside = tuple[str | None, str | None, str | None]
_LEGEND = """Beside each score is what its paired difference from the floor (the best trivial
baseline) says: [▲]{.better} surely better, [▼]{.worse} surely worse, [○]{.neither} can't be told
apart, [?]{.open} too little data for an interval."""


def landing_table(rows: Iterable[Record]) -> str:
    """Return a run's primary task scores, a row a task, or what describes it as a whole.

    Parameters
    ----------
    rows : iterable of Record
        Where there are scores of tasks under the contract ``corrected``, only those are shown.
    """
    rows = list(rows)
    if not rows:
        return "This run has no scores yet."
    link = f"[All {len(rows):,} rows](_run/results.md); what could not be scored says why."
    scores = _primary(rows)
    if not scores:
        plain = [row for row in rows if not row.variant] or rows
        return f"{markdown_table(plain[:LANDING_ROWS])}\n\n{link}"
    first = scores[0]
    title = f"Primary scores under `{first.contract}`, from `{first.section}` of run"
    return f"{title} {_plain(first.run)}. {_LEGEND}\n\n{_matrix(scores, rows)}\n\n{link}"


def _primary(rows: Iterable[Record]) -> list[Record]:
    """Return heads' first scores of tasks, in the section and contract that score most tasks."""
    found: dict[tuple[str, str], dict[tuple[str, str], Record]] = {}
    for row in rows:
        if row.task and row.head and row.variant is None and row.against is None:
            scores = found.setdefault((row.contract, row.section), {})
            scores.setdefault((row.task, row.head), row)
    if not found:
        return []
    place = max(found, key=lambda place: (place[0] == "corrected", len(found[place])))
    return list(found[place].values())


def _matrix(scores: list[Record], rows: list[Record]) -> str:
    tasks = dict.fromkeys(row.task or "" for row in scores)
    asked = Counter(row.head or "" for row in scores)
    heads = [head for head in asked if asked[head] == max(asked.values())]
    of = {(row.task, row.head): row for row in scores}
    beside = {(r.task, r.head, r.against): r for r in rows if _is_beside(r, scores[0])}
    lines = [["task", "score", "floor", *heads, "ceiling", "tested"]]
    lines.append(["---"] * len(lines[0]))
    for task in tasks:
        first = next(row for row in scores if row.task == task)
        cells = [_cell(of.get((task, head)), beside) for head in heads]
        lines.append(
            [
                _card_of(task),
                f"{readable(first.metric)}{ARROWS[first.higher_is_better]}",
                f"{number(first.floor, first.unit)} {readable(first.floor_name)}"
                if first.floor_name
                else "",
                *cells,
                number(first.ceiling, first.unit) if first.ceiling is not None else "",
                "" if first.n_test is None else f"{first.n_test:,}",
            ]
        )
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f":::{{div}} results scores\n{body}\n:::"


def _card_of(task: str) -> str:
    """Return a task's name, leading to its card if it has one: fields of answers have none."""
    if all(task != shown.name for shown in SHOWN):
        return readable(task)
    return f"[{readable(task)}](_run/tasks.md#{anchor(task)})"


def _is_beside(row: Record, first: Record) -> bool:
    """Return whether a row is a paired difference in the section that is shown."""
    same = (row.section, row.contract) == (first.section, first.contract)
    return same and row.against is not None and row.variant is None


def _cell(row: Record | None, beside: Mapping[_Beside, Record]) -> str:
    """Return a score with the verdict of its paired difference from the floor."""
    if row is None or row.value is None:
        return "–" if row is None else _plain(row.status)
    difference = beside.get((row.task, row.head, row.floor_name))
    return f"{number(row.value, row.unit)} {_verdict(difference)}"


def _verdict(difference: Record | None) -> str:
    if difference is None or difference.ci_low is None or difference.ci_high is None:
        return "[?]{.open}"
    if difference.ci_low <= 0 <= difference.ci_high:
        return "[○]{.neither}"
    return (
        "[▲]{.better}" if (difference.ci_low > 0) == difference.higher_is_better else "[▼]{.worse}"
    )


def results_pages(
    rows: Iterable[Record], run: str, titles: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return pages with every row of a run: one a section, and one that lists them.

    Parameters
    ----------
    rows : iterable of Record
        Of several runs, perhaps.
    run : str
        The run whose site it is; rows of others say whose they are.
    titles : mapping of {section: title}, optional
        How sections are called on the site.
    """
    pages, lines = {}, []
    ordered = sorted(rows, key=lambda row: row.section)
    for section, group in groupby(ordered, key=lambda row: row.section):
        found, title = list(group), (titles or {}).get(section, section)
        file = f"From `metrics/{section}.json` of run {_plain(found[0].run)}: {len(found):,} rows."
        pages[f"results/{section}"] = (
            f"# Scores: {title}\n\n{file} {_HOW}\n\n{markdown_table(found)}\n"
        )
        whose = "" if found[0].run == run else f", run {_plain(found[0].run)}"
        lines.append(f"- [{title}](results/{section}.md): {len(found):,} rows{whose}")
    told = "\n".join(lines) or "This run has no scores yet."
    names = "\n".join(f"{(titles or {}).get(Path(p).name, Path(p).name)} <{p}>" for p in pages)
    listed = f"```{{toctree}}\n:hidden:\n\n{names}\n```\n" if pages else ""
    index = f"# All scores of the run {_plain(run)}\n\n{_HOW}\n\n{told}\n\n{listed}"
    return {"results": index, **pages}


def markdown_table(rows: list[Record]) -> str:
    """Return rows as a table; columns that are empty throughout are left out."""
    cells = [_cells(row) for row in rows]
    used = [column for column in range(len(HEAD)) if any(row[column] for row in cells)]
    lines = [[HEAD[column] for column in used], ["---"] * len(used)]
    lines += [[row[column] for column in used] for row in cells]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f":::{{div}} results\n{body}\n:::"


def _cells(row: Record) -> tuple[str, ...]:
    unit = "" if row.unit == "1" else f" {row.unit}"
    both = row.ci_low is not None and row.ci_high is not None
    return (
        row.contract,
        _plain(row.task),
        _plain(row.head),
        _plain(row.variant),
        _plain(row.against),
        f"{_plain(row.metric)}{ARROWS[row.higher_is_better]}",
        "" if row.seed is None else f"{row.seed}",
        f"{_number(row.value)}{unit}" if row.value is not None else "–",
        f"{_number(row.ci_low)} … {_number(row.ci_high)}" if both else "",
        f"{_number(row.floor)} ({_plain(row.floor_name)})" if row.floor is not None else "",
        _number(row.skill),
        f"{row.n_test}" if row.n_test is not None else "",
        "" if row.status == "ok" else f"{row.status}: {_plain(row.reason)}",
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def _plain(text: str | None) -> str:
    return as_markdown(text or "")
