"""The site's pages of a run, as Markdown: what was found, all scores, task cards, windows."""

import base64
import html
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from xperience.evaluation.records import Record
from xperience.features.blocks import (
    BLOCKS,
    BLOCKS_BY_NAME,
    CONTRACTS,
    N_FEATURES,
    N_STATS,
    streams_needed,
)
from xperience.features.windows import MIN_SHARE, STRIDE_FRAMES, WINDOW_FRAMES
from xperience.project import PAGE
from xperience.recording import layout
from xperience.report.claims import Outcome
from xperience.report.note import MARKS, claims_table, column_names, leading, whose
from xperience.report.tables import Verdict, number, readable, verdict
from xperience.tasks.catalogue import ALL_FEATURE_ACTION, TASKS, tasks_of
from xperience.tasks.splits import LOCAL_TEST_SHARE, TRAIN_SHARE
from xperience.tasks.task import Span, Task
from xperience.text import as_markdown, visible

N_LANDING_ROWS = 48
FRONT = "front"
"""Tag of the cell whose figure stands on the landing page."""
RECORD = "08_published_record"
SIMULATED = ("standin", "family", "smoke", "smoke-family")
"""Runs of the repository whose recordings are made here."""
FIGURES = {
    "contract": "01_blocks",
    "label_shift": "02_splits",
    "neural_heads": "03_horizon",
    "retrieval": "04_within_and_between",
    "audio": "05_forest",
    "heldout": "06_across",
}
"""The figure of each takeaway that a reader understands first, by its file's name."""
SHOWN_TASKS = (*TASKS, ALL_FEATURE_ACTION)
_IMAGE = re.compile(r'<img alt="([^"]*)"[^>]*base64,([^"]+)"')
_UNQUOTED = re.compile(r"\w[^#:\"'\\]*")
"""What an option of a directive holds without quotes."""


@dataclass(frozen=True)
class NotebookFigure:
    """A figure of an executed notebook, with the words that stand for it."""

    notebook: str  #: Its name, without ending.
    place: str  #: What a link to the figure ends in, after ``#``.
    alt: str  #: What it shows, in words.
    png: bytes
    front: bool  #: Whether its cell is tagged for the landing page.

    @property
    def page(self) -> str:
        """Its page on the site, with the place."""
        return f"_run/notebooks/{self.notebook}.html#{self.place}"


def pictures_of(notebook: str, number: int, cell: Mapping[str, Any]) -> Iterator[NotebookFigure]:
    """Yield the figures of a notebook's cell, which is the one of that number."""
    front = FRONT in cell["metadata"].get("tags", [])
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        shown = _IMAGE.search("".join(data.get("text/html", [])))
        if shown:
            alt, png = html.unescape(shown[1]), shown[2]
        elif "image/png" in data:
            alt, png = f"A figure of {notebook}", "".join(data["image/png"])
        else:
            continue
        alt, place = " ".join(alt.split()), f"cell-{number}"
        yield NotebookFigure(notebook, place, alt, base64.b64decode(png), front)


@dataclass(frozen=True)
class Landing:
    """What the landing page is made from: what the notebooks that are shown hold."""

    run: Path  #: The run's folder; it may lack takeaways, or figures of them.
    companions: tuple[Path, ...]  #: Folders of the other runs that the site shows.
    pictures: Sequence[NotebookFigure]
    titles: Mapping[str, str]  #: By the notebook's name.
    rows: Sequence[Record]


def landing_pages(given: Landing) -> tuple[dict[str, str], dict[str, bytes]]:
    """Return what a run adds to the landing page, and the pictures that it shows.

    Returns
    -------
    dict of {"ways", "front" or "landing": Markdown}
        Where to go from here, the figure beside the page's first words, and all that follows them.
    dict of {path in the staging folder: PNG}
        Those pictures.
    """
    findings, shown = _findings(given)
    front = min(given.pictures, key=lambda picture: not picture.front, default=None)
    beside = ""
    if front:
        shown["_run/figure.png"] = front.png
        beside = _figure("_run/figure.png", front, "landing", given.titles)
    parts = ["## What was found", findings or "This run has drawn no takeaways yet."]
    parts += ["## Scores", landing_table(given.rows)]
    first = next(iter(given.titles), "")
    links = ["[What was found](#what-was-found)", "[Play with the episode](explorer.md)"]
    links += [f"[Read the notebooks](_run/notebooks/{first}.ipynb)"] if first else []
    links += ["[Run it yourself](howto/reproduce.md)", "[How to read a score](reading.md)"]
    told = f"{_origin(given)} {reproduction_line(given.run)}".strip()
    ways = ":::{div} ways\n" + "\n".join(links) + f"\n:::\n\n{told}\n"
    return {"ways": ways, "front": f"{beside}\n", "landing": "\n\n".join(parts) + "\n"}, shown


def _origin(given: Landing) -> str:
    """Return what runs the pages show, and which of them are of simulated recordings."""
    runs = list(dict.fromkeys([given.run.name, *(row.run for row in given.rows)]))
    simulated = [run for run in runs if run in SIMULATED]
    named, these = (
        " and ".join(f"**{_plain(run)}**" for run in some) for some in (runs, simulated)
    )
    told = f"Everything on these pages comes from the run{'s' * (len(runs) > 1)} {named}."
    if simulated:
        whose = "Its recordings are" if len(runs) == 1 else "Their recordings are"
        whose = whose if simulated == runs else f"Recordings of {these} are"
        told += f" {whose} simulated: scores show how the tasks behave, not what people do."
        if RECORD in given.titles:
            page = f"_run/notebooks/{RECORD}.ipynb"
            told += f" Only [the published record]({page}) is of a real one."
    return told


def _findings(given: Landing) -> tuple[str, dict[str, bytes]]:
    """Return a run's takeaways, each with sentences, figure and sources, and their pictures."""
    content = _takeaways(given.run)
    if not content:
        return "", {}
    names, shown, parts = column_names(content), {}, [outcomes_line(content)]
    for place, one in enumerate(content["takeaways"], 1):
        picture, figure = _picture(one["name"], given), ""
        if picture:
            name = f"_run/takeaway_{one['name']}.png"
            shown[name] = picture.png
            figure = _figure(name, picture, "", given.titles)
        said = "\n".join(
            f"- {_outcome(Outcome(claim['outcome']))} {claim['sentence']} "
            f"[{whose(claim, names)}]{{.whose}}"
            for claim in leading(one)
        )
        links = ["[The note's numbers](_run/takeaways.md)", "[All claims](_run/claims.md)"]
        sections = dict.fromkeys(name for claim in one["claims"] for name in claim["sections"])
        links += [
            f"[{given.titles[name]}](_run/notebooks/{name}.ipynb)"
            for name in sections
            if name in given.titles
        ]
        where = f":::{{div}} where\n{' · '.join(links)}\n:::"
        parts.append(f"### {place}. {one['headline']}")
        parts.append(
            f":::::{{div}} finding\n::::{{div}} words\n{said}\n\n{where}\n::::\n\n{figure}\n:::::"
        )
    return "\n\n".join(parts), shown


def _takeaways(run: Path) -> dict[str, Any]:
    """Return the assembled takeaways that a run has written; empty if there are none."""
    path = run / f"{PAGE}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def outcomes_line(content: Mapping[str, Any]) -> str:
    """Return how many claims have each outcome, as a line of marks."""
    counts = Counter(claim["outcome"] for one in content["takeaways"] for claim in one["claims"])
    told = " ".join(_outcome(one, f"{counts[one]} ") for one in Outcome if counts[one])
    return f"All claims, on all data and contracts: {told}" if told else ""


def claims_page(run: Path) -> str:
    """Return the page of all claims of a run, each with its outcome and its sentence."""
    title, content = f"# All claims of the run {_plain(run.name)}", _takeaways(run)
    if not content:
        return f"{title}\n\nThis run has drawn none.\n"
    head, lines = claims_table(content)
    lines = [[*cells, sentence.replace("**", "")] for *cells, sentence in lines]
    lines = [[cell.replace("`", "") for cell in line] for line in lines]
    where = f"The rows that a claim rests on are in `{PAGE}.json`; {_HOW}"
    table = f'<div class="claims">\n{html_table(head, lines)}\n</div>'
    return "\n\n".join([title, outcomes_line(content), where, table]) + "\n"


def _outcome(outcome: Outcome, before: str = "") -> str:
    """Return an outcome as a coloured mark with its word."""
    look = re.sub(r"\W+", "-", outcome)
    return f"[{MARKS[outcome]} {before}{outcome}]{{.verdict .{look}}}"


def _picture(name: str, given: Landing) -> NotebookFigure | None:
    """Return the figure of a takeaway that some notebook shows too: there are words for it."""
    known = {picture.png: picture for picture in given.pictures}
    for folder in (given.run, *given.companions):
        path = folder / "figures" / f"{FIGURES.get(name, name)}.png"
        if path.is_file() and path.read_bytes() in known:
            return known[path.read_bytes()]
    return None


def _figure(name: str, picture: NotebookFigure, look: str, titles: Mapping[str, str]) -> str:
    style = f":class: {look}\n" * bool(look)
    title, alt = titles.get(picture.notebook, picture.notebook), visible(picture.alt)
    alt = alt if _UNQUOTED.fullmatch(alt) else json.dumps(alt, ensure_ascii=False)
    return (
        f"::::{{figure}} {name}\n:alt: {alt}\n{style}:target: {picture.page}\n\n"
        f"From [{title}]({picture.page}){{.external}}.\n::::"
    )


# All scores of a run, and the table of them on the landing page

ARROWS = {True: " ↑", False: " ↓", None: ""}
_MARKS = {
    Verdict.BETTER: "[▲]{.better}",
    Verdict.WORSE: "[▼]{.worse}",
    Verdict.NO_DIFFERENCE: "[○]{.neither}",
    Verdict.NOT_TESTED: "[?]{.open}",
}
_LEGEND = f"""Beside each score is what its paired difference from the floor (the best trivial
baseline) says: {_MARKS[Verdict.BETTER]} significantly better, {_MARKS[Verdict.WORSE]} significantly
worse, {_MARKS[Verdict.NO_DIFFERENCE]} no significant difference, {_MARKS[Verdict.NOT_TESTED]} too
little data for an interval."""
_HOW = "[How to read a score](/reading.md) says what floor, skill and interval are."


def landing_table(rows: Iterable[Record]) -> str:
    """Return a run's primary task scores, one row per task, or what describes it as a whole.

    Of scores of several contracts and sections, those of the one that scores most tasks are shown,
    under the contract ``corrected`` where there are any.
    """
    rows = list(rows)
    if not rows:
        return "This run has no scores yet."
    link = f"[All {len(rows):,} rows](_run/results.md); what could not be scored says why."
    found: dict[tuple[str, str], dict[tuple[str, str], Record]] = {}
    for row in rows:
        if row.task and row.head and row.variant is None and row.against is None:
            scores = found.setdefault((row.contract, row.section), {})
            scores.setdefault((row.task, row.head), row)
    if not found:
        plain = [row for row in rows if not row.variant] or rows
        return f"{score_table(plain[:N_LANDING_ROWS])}\n\n{link}"
    place = max(found, key=lambda place: (place[0] == "corrected", len(found[place])))
    mine = [row for row in rows if (row.contract, row.section) == place]
    first = next(iter(found[place].values()))
    title = f"Primary scores under `{first.contract}`, from `{first.section}` of run"
    table = _task_table(found[place], mine)
    return f"{title} {_plain(first.run)}. {_LEGEND}\n\n{table}\n\n{link}"


def _task_table(scores: dict[tuple[str, str], Record], rows: Iterable[Record]) -> str:
    """Return primary scores, one row per task and a column per head, each with its verdict."""
    asked = Counter(head for _, head in scores)
    heads = [head for head in asked if asked[head] == max(asked.values())]
    beside = {(r.task, r.head, r.against): r for r in rows if r.against and r.variant is None}
    lines = [["task", "score", "floor", *heads, "ceiling", "tested"]]
    for task in dict.fromkeys(task for task, _ in scores):
        first = next(row for (of, _), row in scores.items() if of == task)
        has_card = any(task == one.name for one in SHOWN_TASKS)  # fields of answers have none
        card = f"[{readable(task)}](_run/tasks.md#{_anchor(task)})" if has_card else readable(task)
        lines.append([card, f"{readable(first.metric)}{ARROWS[first.higher_is_better]}"])
        floor = f"{number(first.floor, first.unit)} {readable(first.floor_name)}"
        lines[-1].append(floor if first.floor_name else "")
        for row in (scores.get((task, head)) for head in heads):
            if row is None or row.value is None:
                lines[-1].append("–" if row is None else _plain(row.status))
            else:
                found, _ = verdict(beside.get((row.task, row.head, row.floor_name)))
                lines[-1].append(f"{number(row.value, row.unit)} {_MARKS[found]}")
        lines[-1].append("" if first.ceiling is None else number(first.ceiling, first.unit))
        lines[-1].append("" if first.n_test is None else f"{first.n_test:,}")
    return f":::{{div}} results scores\n{_table(*lines)}\n:::"


def results_pages(
    rows: Iterable[Record], run: str, titles: Mapping[str, str] = {}
) -> dict[str, str]:
    """Return pages with every row of a run: one a section, and one that lists them.

    Rows of other runs say whose they are. Sections are called by their titles, where they have one.
    """
    pages, lines, names = {}, [], []
    ordered = sorted(rows, key=lambda row: row.section)
    for section, group in groupby(ordered, key=lambda row: row.section):
        found, title, page = list(group), titles.get(section, section), f"results/{section}"
        file = f"From `metrics/{section}.json` of run {_plain(found[0].run)}: {len(found):,} rows."
        pages[page] = f"# Scores: {title}\n\n{file} {_HOW}\n\n{score_table(found)}\n"
        whose = "" if found[0].run == run else f", run {_plain(found[0].run)}"
        lines.append(f"- [{title}]({page}.md): {len(found):,} rows{whose}")
        names.append(f"{title} <{page}>")
    told = "\n".join(lines) or "This run has no scores yet."
    listed = "```{toctree}\n:hidden:\n\n" + "\n".join(names) + "\n```\n" if pages else ""
    index = f"# All scores of the run {_plain(run)}\n\n{_HOW}\n\n{told}\n\n{listed}"
    return {"results": index, **pages}


def score_table(rows: Iterable[Record]) -> str:
    """Return rows as a table; columns that are empty throughout are left out."""
    cells = [_cells(row) for row in rows]
    used = [name for name in cells[0] if any(row[name] for row in cells)]
    return html_table(used, [[row[name] for name in used] for row in cells])


def html_table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table of texts as HTML: one of a thousand rows in Markdown takes Sphinx long."""

    def line(tag: str, cells: Iterable[str]) -> str:
        shown = (f"<{tag}>{html.escape(visible(cell))}</{tag}>" for cell in cells)
        return "\n".join(["<tr>", *shown, "</tr>"])

    body = "\n".join(line("td", cells) for cells in rows)
    return (
        '<div class="results"><div class="pst-scrollable-table-container"><table class="table">\n'
        f"<thead>\n{line('th', head)}\n</thead>\n<tbody>\n{body}\n</tbody>\n</table></div></div>"
    )


def _cells(row: Record) -> dict[str, str]:
    unit = "" if row.unit == "1" else f" {row.unit}"
    both = row.ci_low is not None and row.ci_high is not None
    floor = f"{_rounded(row.floor)} ({row.floor_name})"
    return {
        "contract": row.contract,
        "task": row.task or "",
        "head": row.head or "",
        "variant": row.variant or "",
        "minus": row.against or "",
        "metric": f"{row.metric}{ARROWS[row.higher_is_better]}",
        "seed": "" if row.seed is None else f"{row.seed}",
        "value": "–" if row.value is None else f"{_rounded(row.value)}{unit}",
        "95 % interval": f"{_rounded(row.ci_low)} … {_rounded(row.ci_high)}" if both else "",
        "floor": "" if row.floor is None else floor,
        "skill": _rounded(row.skill),
        "test": "" if row.n_test is None else f"{row.n_test}",
        "note": "" if row.status == "ok" else f"{row.status}: {row.reason}",
    }


def _rounded(value: float | None) -> str:
    return "" if value is None else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def _plain(text: str | None) -> str:
    return as_markdown(text or "")


def _table(head: Sequence[str], *lines: Sequence[str], right: Sequence[int] = ()) -> str:
    rows = [head, ["--:" if place in right else "---" for place in range(len(head))], *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


# What a comparison with the reference found


def _reproduced(run: Path) -> dict[str, Any]:
    """Return the comparison of a run with the reference; empty if there is none."""
    path = run / "reproduction.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def reproduction_line(run: Path) -> str:
    """Return one sentence on how far a run agrees with the reference; empty if nobody looked."""
    found = _reproduced(run)
    if not found:
        return ""
    return f"{_agreement(found)} [More on the comparison](_run/reproduction.md)."


def _agreement(found: Mapping[str, Any]) -> str:
    """Return the sentence that says whether rows, verdicts and claims came out the same."""
    equal, near, other = (
        found["counts"].get(name, 0) for name in ("equal", "within tolerance", "different")
    )
    n_rows = equal + near + other
    rows = f"{other:,} of {n_rows:,} rows differ from the reference"
    rows = rows if other else f"All {n_rows:,} rows agree with the reference"
    told = [f"{rows} ({equal:,} are equal, {near:,} within tolerance)"]
    for what in ("verdicts", "claims"):
        same, changed = found[what]["same"], len(found[what]["changed"])
        said = f"{changed:,} of {same + changed:,} {what} changed"
        told.append(said if changed else f"all {same:,} {what} are the same")
    return f"{', '.join(told[:2])} and {told[2]}."


def reproduction_page(run: Path) -> str:
    """Return the page of a run's comparison with the reference, from its ``reproduction.json``."""
    title, found = f"# Reproduction of the run {_plain(run.name)}", _reproduced(run)
    if not found:
        return f"{title}\n\nThis run has not been compared with the reference: `make reproduce`.\n"
    parts = [title, f"**{_agreement(found)}**", "## Rows"]
    parts.append(
        html_table(("rows", "number"), ((k, f"{n:,}") for k, n in found["counts"].items()))
    )
    if found["kept"]:
        kept = [(one["notebook"], one["why"], one["way_out"]) for one in found["kept"]]
        parts.append("These notebooks were not computed here; their results are the reference's.")
        parts.append(html_table(("notebook", "why", "way out"), kept))
    parts += ["## Where they differ", *_differences(found)]
    sides = found["reference"], found["here"]
    names = dict.fromkeys(name for side in sides for name in side.get("versions", {}))
    lines = [
        (name, *(str(side.get(name, "–")) for side in sides)) for name in ("processor", "python")
    ]
    lines += [
        (name, *(side.get("versions", {}).get(name, "–") for side in sides)) for name in names
    ]
    parts += ["## Machines", html_table(("", "reference", "here"), lines)]
    rules = [(one["kind"], one["rule"]) for one in found["tolerances"]]
    parts += ["## Tolerances", html_table(("kind of row", "rule"), rules), "## Steps"]
    totals = [sum(one[name] for one in found["steps"]) for name in ("wall_s", "cpu_s")]
    steps = [(one["step"], one["wall_s"], one["cpu_s"]) for one in found["steps"]]
    steps = [
        (name, f"{wall:,.1f}", f"{cpu:,.1f}") for name, wall, cpu in (*steps, ("all", *totals))
    ]
    return "\n\n".join([*parts, html_table(("step", "wall (s)", "CPU (s)"), steps)]) + "\n"


def _differences(found: Mapping[str, Any]) -> list[str]:
    """Return a table each of changed claims, changed verdicts and rows that differ."""

    def cells(one: Mapping[str, Any], *names: str) -> list[str]:
        values = (one.get(name) for name in (*names, "reference", "here"))
        return [
            "–" if value is None else value if isinstance(value, str) else f"{value:.6g}"
            for value in values
        ]

    tables = [
        html_table((f"changed {name}", "reference", "here"), (cells(one, name) for one in changed))
        for name, changed in (
            ("claim", found["claims"]["changed"]),
            ("row", found["verdicts"]["changed"]),
        )
        if changed
    ]
    if found["different"]:
        head = ("row", "kind", "what", "reference", "here")
        rows = (cells(one, "row", "kind", "state") for one in found["different"])
        tables.append(html_table(head, rows))
    return tables or ["Nowhere beyond the tolerances below."]


# Task cards: every declared task

_KINDS = {
    "classify": "one class per sample",
    "multilabel": "a set of labels per sample",
    "regress": "a vector per sample",
    "retrieve": "a ranking of the test windows for each of them",
}
_TASKS_HEAD = """# The tasks

One card per task, made from its declaration in `lib/xperience/tasks/catalogue.py`. Frames are
counted relative to the window's; both ends are included.
[Add a task of your own](../howto/your-own-task.md): it is one entry there, and this page has a card
for it.
"""
_ONE_MORE = (
    f"`published` has {len(tasks_of('published', TASKS))} tasks, `corrected` {len(TASKS)}. The "
    f"last card, `{ALL_FEATURE_ACTION.name}`, is none of them: it is the first task once more, "
    "on a split that leaks, to show how much."
)


def tasks_page(tasks: Sequence[Task] = SHOWN_TASKS) -> str:
    """Return the page of task cards."""
    lines = [
        [f"[`{task.name}`](#{_anchor(task.name)})", task.question, _metric(task)] for task in tasks
    ]
    head = [_TASKS_HEAD] + [_ONE_MORE] * (ALL_FEATURE_ACTION in tasks)
    overview = _table(["task", "question", "primary metric"], *lines)
    return "\n\n".join([*head, overview, *map(_card, tasks)]) + "\n"


def _anchor(task: str) -> str:
    return task.replace("_", "-")


def _card(task: Task) -> str:
    no_score = {
        "classify": f"fewer than {task.needs_classes} classes occur",
        "multilabel": "no label occurs",
    }

    def asked(say: Callable[[Task], str]) -> str:
        """Return what is said of the task under its contracts, once if it is the same."""
        told = [say(one) for contract in task.contracts for one in tasks_of(contract, [task])]
        return "; under `corrected` ".join(dict.fromkeys(told))

    rows = {
        "contracts": " and ".join(f"`{contract}`" for contract in task.contracts),
        "answer": f"{_KINDS[task.kind]}, from {task.source}",
        "input": asked(lambda one: f"{one.n_features:,} features: {_inputs(one)}"),
        "frames of the features": asked(lambda one: _frames(one.feature_span)),
        "frames of the target": _frames(task.target_span) if task.target_span else "none",
        "split": f"{asked(lambda one: one.split)}; purged under `corrected`",
        "head": f"{task.head} and its neural counterparts",
        "primary metric": asked(_metric),
        "other metrics": asked(
            lambda one: ", ".join(f"`{other.name}`" for other in one.measures[1:]) or "none"
        ),
        "naive forecasts": ", ".join(f"`{name}`" for name in task.naive) or "none",
        "no score if": no_score.get(task.kind, "never"),
    }
    anchor, body = _anchor(task.name), _table(["declared", "as"], *rows.items())
    return f"({anchor})=\n## {task.name}\n\n{task.question}\n\n{body}"


def _metric(task: Task) -> str:
    metric = task.primary.metric
    better = "higher" if metric.higher_is_better else "lower"
    unit = "" if metric.unit == "1" else f" in {metric.unit}"
    return f"`{task.primary.name}`{unit}, {better} is better"


def _inputs(task: Task) -> str:
    """Return the input in words: what is left out, if that is shorter."""
    texts = []
    for piece in task.pieces:
        left_out = [f"`{block.name}`" for block in BLOCKS if block.name not in piece.blocks]
        text = "all blocks" + (" but " if left_out else "") + ", ".join(left_out)
        if len(left_out) >= len(piece.blocks):
            text = " and ".join(dict.fromkeys(BLOCKS_BY_NAME[n].modality for n in piece.blocks))
        if len(task.pieces) > 1:
            other = "" if piece.minus is None else f" minus window {piece.minus + 1}"
            text += f" of window {piece.member + 1}{other}"
        texts.append(text)
    return "; ".join(texts)


def _frames(span: Span) -> str:
    if span == Span():
        return "the window's"
    sides = ((span.since, span.first), (span.until, span.last))
    return " to ".join(
        f"{anchor} {'+' if offset > 0 else '−'} {abs(offset)}" if offset else anchor
        for anchor, offset in sides
    )


# What a window is made of, from the declarations of the features


def windows_page() -> str:
    """Return the page of windows, labels, splits and feature blocks."""
    moving = f"{N_STATS} numbers for each value that a frame has"
    published, corrected = CONTRACTS
    lines = []
    for block in BLOCKS:
        needed = list(streams_needed(block, published))
        more = [one for one in streams_needed(block, corrected) if one not in needed]
        also = f"; under `{corrected}` also {', '.join(more)}" if more else ""
        frames = f"{block.per_frame}" if block.per_frame else "does not change"
        streams = f"{', '.join(needed)}{also}"
        lines.append([f"`{block.name}`", block.modality, frames, f"{block.dim:,}", streams])
    head = ["block", "measures", "values per frame", "features", "streams it needs"]
    return f"""# Windows and features

Window
: {WINDOW_FRAMES} frames of the recording, one every {STRIDE_FRAMES} frames. Neighbours therefore
  share frames: of two windows side by side {WINDOW_FRAMES - STRIDE_FRAMES} of {WINDOW_FRAMES}.

Label
: What most of the window's labelled frames are called, if at least {100 * MIN_SHARE:.0f} % of
  them are; otherwise the window has none.

Features
: {N_FEATURES:,} numbers in {len(BLOCKS)} blocks: {moving} (mean, standard deviation, minimum,
  maximum, last minus first, and mean and standard deviation of the steps from frame to frame); a
  block that doesn't change with time is there as it is.

Splits
: *Chronological*: the first {100 * TRAIN_SHARE:.0f} % of the labelled windows train, the rest test.
  *Local*: {100 * LOCAL_TEST_SHARE:.0f} % of each class's windows test, from between the others.

[The benchmark contract](../contract.md) says how the two contracts differ in each of these.

## Blocks

{_table(head, *lines, right=(2, 3))}
"""


# What an episode's folder holds, from the layout that its reader checks

_COUNTED = {"frame": "n_frames", "imu": "n_samples", "point": "n_points"}
_CAPTION = """{"config": {"Main Task": "Make tea"},
 "segments": [
  {"Sub Task": "Boil water", "start_frame": 1, "end_frame": 40,
   "Current Action": [{"label": "Fill kettle", "description": "Holds it under the tap",
                       "start_frame": 1, "end_frame": 20}],
   "objects": {"1": ["kettle", "tap"]},
   "interaction": {"1": "The left hand holds the kettle"}}]}"""


def layout_page() -> str:
    """Return the page of an episode's folder: its files and the datasets of its annotation."""
    streams = [
        _described(one, f"*{stream.name}*: ")
        for stream in layout.STREAMS
        for one in stream.datasets
    ]
    head = ["dataset", "shape", "type", "unit", "frame of reference or clock", "meaning"]
    videos = ", ".join(f"`{camera}.mp4`" for camera in layout.CAMERAS)
    zero = ", ".join(
        f"`{one.path}`" for stream in layout.STREAMS for one in stream.datasets if one.check_zero
    )
    return f"""# What an episode folder holds

This is the layout of the Xperience-10M release. `xperience inspect FOLDER` compares a recording
with it. The page is made from `lib/xperience/recording/layout.py`, which the reader checks against.

An episode is a folder with `{layout.ANNOTATION}` and up to six videos:
{videos}.
Sound is a stream of the videos; that of `{layout.AUDIO_CAMERA}.mp4` is used, as one channel at
{layout.AUDIO_RATE_HZ:,} Hz.

## Streams of `{layout.ANNOTATION}`

{_table(head, *streams)}

In italics is the stream's name, as `xperience inspect` shows it. A stream is used as a whole: if
one of its datasets is absent or has another shape, the stream counts as broken, and everything else
goes on. Only `{layout.CONFIDENCE}` may be absent.

## Other datasets

{_table(head, *map(_described, layout.OTHERS))}

The group `{layout.CALIBRATION}` and at least one dataset with one row per frame are required; all
else may be absent. Datasets that are not listed here are not read, except for the numbers in
`{layout.CALIBRATION}`: all of them are features.

## How to read the tables

Shape
: `n_frames` is the number of `{layout.FRAME_NAMES}`, about {layout.DEFAULT_FPS:g} a second;
  `n_samples` is the number of inertial samples, `n_points` that of points in the map. An additional
  first axis of length one is allowed.

Type
: What the simulator writes. Numbers of any type are read.

World
: The axes of the SLAM map. Which way is up is measured, not assumed.

Rig
: The device on the head that carries the cameras and the inertial sensor. The sensor's axes are
  taken to be the rig's.

Reference camera
: `{layout.FISHEYE_CAMERAS[0]}`, placed by `{layout.CALIBRATION}/cam01/T_c0_b`. Hands are given
  along its axes.

Depth camera
: The release doesn't say which camera that is. In simulated episodes it is
  `{layout.STEREO_CAMERAS[0]}`, and depth is the distance along its optical axis.

Device clock
: Nanoseconds of the recording device, one clock for frames and inertial samples.

Not measured
: Numbers that are not finite, and rows of zeros in
  {zero}.

## Captions

JSON in UTF-8, or UTF-16 with a byte-order mark. `start_frame` and `end_frame` are included; a frame
is given by its picture's name, by its number from 1, or by its device time. The label of a segment
is its subtask; each of its actions has a label of its own. Objects and interactions hold from the
frame that names them.

```json
{_CAPTION}
```
"""


def _described(one: layout.Dataset, before: str = "") -> list[str]:
    sizes = [_COUNTED[one.rows]] if one.rows in _COUNTED else []
    named = dict(enumerate(("height", "width")))
    sizes += [named[i] if size is None else f"{size}" for i, size in enumerate(one.tail)]
    shape = " × ".join(sizes) or "one value"
    return [f"`{one.path}`", shape, one.dtype, one.unit, one.axes, before + one.meaning]
