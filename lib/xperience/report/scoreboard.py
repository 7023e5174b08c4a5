"""Score rows as tables for the site."""

from collections.abc import Iterable
from itertools import groupby

from xperience.scoring.records import Record

LANDING_ROWS = 48
HEAD = ("contract", "task", "head", "variant", "minus", "metric", "seed", "value", "95 % interval",
        "floor", "skill", "test", "note")  # fmt: skip


def landing_table(rows: Iterable[Record]) -> str:
    """Return a run's primary task scores as a table, or what describes the recording as a whole."""
    rows = list(rows)
    if not rows:
        return "This run has no scores yet."
    chosen = _primary(rows) or [row for row in rows if not row.variant] or rows
    link = f"[All {len(rows)} rows](_run/results.md); what could not be scored says why."
    return f"{markdown_table(chosen[:LANDING_ROWS])}\n\n{link}"


def _primary(rows: Iterable[Record]) -> list[Record]:
    """Return each head's first score on each task: those under `corrected`, if there are any."""
    first: dict[tuple[str | None, ...], Record] = {}
    for row in rows:
        if row.task and row.head and row.variant is None and row.against is None:
            first.setdefault((row.contract, row.task, row.head), row)
    found = sorted(first.values(), key=lambda row: row.contract)
    return [row for row in found if row.contract == "corrected"] or found


def results_pages(rows: Iterable[Record], run: str) -> dict[str, str]:
    """Return pages with every row of a run: one a section, and one that lists them."""
    pages, lines = {}, []
    for section, group in groupby(rows, key=lambda row: row.section):
        found = list(group)
        title = f"# Scores of {section}"
        pages[f"results/{section}"] = f"{title}\n\n{markdown_table(found)}\n"
        whose = "" if found[0].run == run else f", run {found[0].run}"
        lines.append(f"- [{section}](results/{section}.md): {len(found):,} rows{whose}")
    told = "\n".join(lines) or "This run has no scores yet."
    names = "\n".join(pages)
    listed = f"```{{toctree}}\n:hidden:\n\n{names}\n```\n" if pages else ""
    index = f"# All scores of the run {run}\n\n{told}\n\n{listed}"
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
    direction = {True: " ↑", False: " ↓", None: ""}[row.higher_is_better]
    unit = "" if row.unit == "1" else f" {row.unit}"
    both = row.ci_low is not None and row.ci_high is not None
    return (
        row.contract,
        _plain(row.task),
        _plain(row.head),
        _plain(row.variant),
        _plain(row.against),
        f"{_plain(row.metric)}{direction}",
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
    return (text or "").replace("|", "\\|").replace("_", "\\_").replace("\n", " ")
