"""The table of entries: submitted predictions beside the heads of the run, task by task."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from xperience.evaluation.records import ACROSS, Record
from xperience.report.pages import ARROWS, html_table
from xperience.report.tables import Rows, difference, floor, readable, score
from xperience.tasks.catalogue import TASKS_BY_NAME, tasks_of
from xperience.tasks.task import SPLITS
from xperience.text import as_markdown

COLUMNS = ("task", "entry", "metric", "score", "best floor", "minus floor", "minus linear")
_HEAD = """# Entries

Heads that others submitted, beside the run's own, on the same test samples.
[Submit predictions](/howto/submit.md) says how to add one; [How to read a score](/reading.md) what
floors, intervals and differences are."""


def primary_rows(rows: Iterable[Record]) -> Iterator[Record]:
    """Yield heads' primary scores and differences, on the tasks' own splits or on a named one."""
    names = {
        (contract, task.name): task.primary.name
        for contract in ("published", "corrected")
        for task in tasks_of(contract, list(TASKS_BY_NAME.values()))
    }
    for row in rows:
        whole = row.variant in (None, ACROSS, *SPLITS)
        if row.head and whole and row.metric == names.get((row.contract, row.task)):
            yield row


def entry_lines(rows: Iterable[Record]) -> list[tuple[str, ...]]:
    """Return a line per task and entry: its score, its floor, and its differences."""
    rows = Rows(primary_rows(rows))
    lines = {}
    for row in rows:
        if row.against is None:
            of = {name: getattr(row, name) for name in ("contract", "task", "head", "variant")}
            first = rows.one(**of, metric=row.metric)
            beside = (rows.one(**of, against=one) for one in (first.floor_name or "", "linear"))
            split = f" ({readable(row.variant)})" if row.variant else ""
            texts = (score(first), floor(first), *map(difference, beside))
            line = (
                f"{readable(row.task)}{split}",
                row.head,
                f"{readable(row.metric)}{ARROWS[row.higher_is_better]}",
                *texts,
            )
            lines.setdefault(tuple(of.values()), line)
    return list(lines.values())


def entry_text(rows: Iterable[Record]) -> str:
    """Return `entry_lines` as a table in plain text."""
    lines = [COLUMNS, *entry_lines(rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    texts = ("  ".join(c.ljust(w) for c, w in zip(x, widths, strict=True)).rstrip() for x in lines)
    return "\n".join(texts)


def read_entries(folder: Path) -> list[Record]:
    """Return the rows of all entries in a folder."""
    found = (json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json")))
    return [Record.model_validate(row) for one in found for row in one["rows"]]


def entries_page(rows: Iterable[Record], entries: Sequence[Record]) -> str:
    """Return the page of entries: those submitted and the runs' own heads, task by task.

    Parameters
    ----------
    rows : iterable of Record
        Of the runs that are shown. Those of the section that scores most tasks count.
    entries : sequence of Record
        See `read_entries`.
    """
    found: dict[tuple[str, str], dict[str, list[Record]]] = {}
    for row in primary_rows(rows):
        found.setdefault((row.run, row.contract), {}).setdefault(row.section, []).append(row)
    of = dict.fromkeys([*found, *((row.run, row.contract) for row in entries)])
    parts = [_HEAD]
    for run, contract in of:
        sections = found.get((run, contract), {}).values()
        own = max(sections, key=lambda some: len({row.task for row in some}), default=[])
        theirs = [row for row in entries if (row.run, row.contract) == (run, contract)]
        lines = sorted(entry_lines([*own, *theirs]), key=lambda line: line[0])
        names = ", ".join(dict.fromkeys(as_markdown(row.head) for row in theirs)) or "none yet"
        parts.append(f"## Run {as_markdown(run)}, {contract}\n\nSubmitted: {names}.")
        parts.append(html_table(COLUMNS, lines))
    return "\n\n".join(parts) + "\n"
