"""Takeaways assembled: as an object for programs, and as Markdown that is made from it alone."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from xperience.evaluation.records import Record
from xperience.report.tables import ends, number, readable
from xperience.report.takeaways.catalogue import TAKEAWAYS
from xperience.report.takeaways.claims import Decided, decide
from xperience.report.takeaways.evidence import (
    HELDOUT,
    RECORD,
    RUN,
    SECTIONS,
    Evidence,
    Place,
)
from xperience.report.takeaways.extent import extents
from xperience.report.takeaways.outcome import ALPHA, FAR, Outcome
from xperience.storage import value_digest
from xperience.text import as_markdown

MARKS = {
    Outcome.SUPPORTED: "✔",
    Outcome.NOT_SUPPORTED: "○",
    Outcome.CONTRADICTED: "✘",
    Outcome.OPEN: "?",
}
MAX_TABLE_ROWS = 40
_GENERATED = (
    "<!-- Made from metric files by `make reproduce` (`xperience takeaways`); a test refuses a "
    "change by hand. -->"
)
SCOPE = (
    "Everything below follows from metric files by rules, and nothing else is said. Runs named "
    "standin, smoke and family are simulated: their numbers say what the pipeline and the tasks "
    "do, not what people do. The published record is of the real public sample, as far as it was "
    "published. A run is one recording unless it is a cohort, so that no sentence about it speaks "
    "for other people or places."
)
HOW_TO_READ = (
    "**supported**: the rows bear the claim out. **contradicted**: they bear out its opposite. "
    "**not supported**: there is an interval, and it includes zero, or tasks disagree. "
    "**can't tell**: a file, a row or an interval is lacking, and the sentence says which and why.",
    "*Better* and *worse* need an interval of the paired difference that excludes zero. Where a "
    "bound is a printed or a constant number, the interval of the score must exclude it. *Far* "
    "means {far} times or more. A claim over most tasks is supported if it holds on more than half "
    "of the tasks that are asked and its opposite on none; where tasks without a verdict could "
    "still bring that about, it can't be told. In the audio study a look counts if its corrected p "
    "is at most {alpha}. A head whose seeds are not all on the side of their mean has no verdict.",
    "Rows of one contract are never compared with rows of another: `published` reproduces the "
    "note, `corrected` is what we would defend. *floor* is the best trivial baseline, *ceiling* "
    "the best that the split allows.",
)


def assemble(evidence: Evidence) -> dict[str, Any]:
    """Return the takeaways of a run as a JSON-like object.

    Parameters
    ----------
    evidence : Evidence

    Returns
    -------
    dict
        ``run``, ``heldout``, ``sources`` (digest of each metrics file, None where there is none),
        ``extents`` (how much each column is of), ``takeaways`` with their claims, and ``digest``
        of all of it.
    """
    content: dict[str, Any] = {
        "run": evidence.run,
        "heldout": evidence.heldout,
        "sources": evidence.sources() if evidence.given is None else {},
        "extents": extents(evidence),
        "takeaways": [_takeaway(decide(one, evidence)) for one in TAKEAWAYS],
    }
    return content | {"digest": value_digest(content)}


def _takeaway(decided: Sequence[Decided]) -> dict[str, Any]:
    one = decided[0].takeaway
    return {
        "name": one.name,
        "title": one.title,
        "question": one.question,
        "scope": one.scope,
        "claims": [_claim(each) for each in decided],
    }


def _claim(one: Decided) -> dict[str, Any]:
    place = one.rule.place
    return {
        "claim": one.claim.name,
        "text": one.claim.text,
        "column": place.column,
        "contract": place.contract,
        "outcome": str(one.judgement.outcome),
        "sentence": one.sentence,
        "figures": one.judgement.words.get("figures", ""),
        "sections": sorted(one.rule.test.sections),
        "rows": [row.model_dump(mode="json") for row in one.judgement.rows],
    }


def to_markdown(content: Mapping[str, Any]) -> str:
    """Return assembled takeaways as a page.

    Parameters
    ----------
    content : mapping
        From `assemble`, or read back from its JSON.
    """
    names = column_names(content)
    parts = [
        f"# Research takeaways: run {as_markdown(content['run'])}",
        _GENERATED,
        f"## Scope\n\n{SCOPE}\n\n{_extents(content, names)}",
        f"## At a glance\n\n{glance_table(content)}",
        *(_section(n, one, names) for n, one in enumerate(content["takeaways"], 1)),
        "## How to read\n\n" + "\n\n".join(_how_to_read()),
    ]
    return "\n\n".join(parts) + "\n"


def _extents(content: Mapping[str, Any], names: Mapping[str, str]) -> str:
    found = content["extents"].items()
    return "\n".join(f"- {capital(names[column])}: {text}." for column, text in found)


def _how_to_read() -> list[str]:
    return [text.format(far=f"{FAR:g}", alpha=f"{ALPHA:g}") for text in HOW_TO_READ]


def column_names(content: Mapping[str, Any]) -> dict[str, str]:
    """Return what readers call each column."""
    return {
        RUN: f"run {as_markdown(content['run'])}",
        RECORD: "published record",
        HELDOUT: f"run {as_markdown(content['heldout'])}"
        if content["heldout"]
        else "held-out episodes",
    }


def glance_table(content: Mapping[str, Any]) -> str:
    """Return each claim's outcome with the figures that decide it, one column a place, as Markdown.

    Parameters
    ----------
    content : mapping
        Assembled takeaways.
    """
    names = column_names(content)
    claims = [claim for one in content["takeaways"] for claim in one["claims"]]
    places = sorted({Place(one["column"], one["contract"]) for one in claims}, key=_order)
    head = ["takeaway", "claim"] + [f"{names[p.column]}, `{p.contract}`" for p in places]
    lines = []
    for one in content["takeaways"]:
        for _, group in groupby(one["claims"], key=lambda claim: claim["claim"]):
            rules = list(group)
            found = {Place(rule["column"], rule["contract"]): _verdict(rule) for rule in rules}
            cells = [found.get(place, "") for place in places]
            told = any(line[0] == one["title"] for line in lines)
            lines.append(["" if told else one["title"], rules[0]["text"], *cells])
    return _table(head, lines)


def _verdict(claim: Mapping[str, Any]) -> str:
    """Return an outcome with the figures that decide it."""
    figures = f"<br>{claim['figures']}" if claim["figures"] else ""
    return f"{mark(claim['outcome'])}{figures}"


def _order(place: Place) -> tuple[int, bool]:
    return list(SECTIONS).index(place.column), place.contract != "published"


def mark(outcome: str) -> str:
    """Return an outcome with its mark."""
    return f"{MARKS[Outcome(outcome)]} {outcome}"


def _section(number_: int, one: Mapping[str, Any], names: Mapping[str, str]) -> str:
    parts = [f"## {number_}. {one['title']}", f"*{one['question']}*"]
    claims = sorted(one["claims"], key=lambda claim: list(SECTIONS).index(claim["column"]))
    for column, group in groupby(claims, key=lambda claim: claim["column"]):
        lines = [_bullet(claim) for claim in group]
        parts.append(f"### {capital(names[column])}\n\n" + "\n".join(lines))
    parts.append(evidence_table(one, names))
    sources = sorted({(c["column"], section) for c in claims for section in c["sections"]})
    files = ", ".join(f"`{section}.json` of {_file_run(c, names)}" for c, section in sources)
    parts += [f"*Source:* {files}.", f"*Scope:* {one['scope']}"]
    return "\n\n".join(parts)


def _file_run(column: str, names: Mapping[str, str]) -> str:
    return names[RUN if column == RECORD else column]


def capital(text: str) -> str:
    """Return a text that begins a line."""
    return text[:1].upper() + text[1:]


def _bullet(claim: Mapping[str, Any]) -> str:
    outcome = Outcome(claim["outcome"])
    return f"- {MARKS[outcome]} {claim['sentence']} *({outcome}, `{claim['contract']}`)*"


def evidence_table(one: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Return the rows that a takeaway rests on as a Markdown table, each once."""
    found: dict[tuple[str, str], tuple[str, Record]] = {}
    for claim in one["claims"]:
        for fields in claim["rows"]:
            row = Record.model_validate(fields)
            found.setdefault((claim["column"], repr(row.key)), (names[claim["column"]], row))
    rows = list(found.values())
    head = ["whose", "contract", "task", "head", "variant", "minus", "metric", "value",
            "interval", "floor", "ceiling", "tested", "file"]  # fmt: skip
    lines = [[whose, *_cells(row)] for whose, row in rows[:MAX_TABLE_ROWS]]
    rest = len(rows) - len(lines)
    tail = f"\n\n{rest} more rows are in `RESEARCH_TAKEAWAYS.json`." if rest else ""
    return _table(head, lines) + tail if lines else "No row was found."


def _cells(row: Record) -> list[str]:
    value = (
        number(row.value, row.unit)
        if row.value is not None
        else f"{row.status}: {as_markdown(row.reason or '')}"
    )
    return [
        row.contract,
        *map(
            as_markdown, map(readable, (row.task, row.head, row.variant, row.against, row.metric))
        ),
        value,
        ends(row, with_sign=row.against is not None) or (row.ci_reason or "").partition(":")[0],
        "" if row.floor is None else f"{number(row.floor, row.unit)} {readable(row.floor_name)}",
        "" if row.ceiling is None else number(row.ceiling, row.unit),
        "" if row.n_test is None else f"{row.n_test:,}",
        f"`{row.section}.json`",
    ]


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows)


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", text).replace("\n", " ")


def to_json(content: Mapping[str, Any]) -> str:
    """Return assembled takeaways as the text of their JSON file."""
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
