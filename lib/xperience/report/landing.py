"""The landing page: what was found, each takeaway with its verdicts, one figure and its sources."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xperience.evaluation.records import Record
from xperience.report.executed import Picture, front_picture
from xperience.report.scoreboard import landing_table
from xperience.report.takeaways.evidence import HELDOUT, RUN
from xperience.report.takeaways.fresh import NAME
from xperience.report.takeaways.outcome import Outcome
from xperience.report.takeaways.render import MARKS
from xperience.text import as_markdown, visible

SENTENCES = 3
_PLAIN = re.compile(r"\w[^#:\"'\\]*")
"""What an option of a directive holds without quotes."""
PREFERRED = ("corrected", "published")
"""Contracts, the one that we would defend first."""
FOUND = "## What was found"
RECORD = "08_published_record"
SIMULATED = ("standin", "family", "smoke", "smoke-family")
"""Runs of the repository whose recordings are made here."""
FIGURES = {
    "contract": "01_timeline",
    "label_shift": "02_splits",
    "neural_heads": "03_horizon",
    "retrieval": "04_place_and_moment",
    "audio": "05_forest",
    "heldout": "06_across",
}
"""The figure of each takeaway that a reader understands first, by its file's name."""


@dataclass(frozen=True)
class Shelf:
    """What the landing page is made from.

    Parameters
    ----------
    run : Path
        The run's folder.
    companions : tuple of Path
        Folders of the other runs that the site shows.
    pictures : sequence of Picture
        Figures of all executed notebooks that are shown.
    titles : mapping of {notebook: title}
        Of the notebooks that are shown.
    rows : sequence of Record
        Their scores.
    """

    run: Path
    companions: tuple[Path, ...]
    pictures: Sequence[Picture]
    titles: Mapping[str, str]
    rows: Sequence[Record]


def landing_pages(shelf: Shelf) -> tuple[dict[str, str], dict[str, bytes]]:
    """Return what a run adds to the landing page, and the pictures that it shows.

    Parameters
    ----------
    shelf : Shelf

    Returns
    -------
    dict of {"ways", "front" or "landing": Markdown}
        Where to go from here, the figure beside the page's first words, and all that follows them.
    dict of {path in the staging folder: PNG}
    """
    findings, shown = findings_of(shelf)
    front, beside = front_picture(shelf.pictures), ""
    if front:
        shown["_run/figure.png"] = front.png
        beside = _figure("_run/figure.png", front, "landing", shelf.titles)
    parts = [FOUND, findings or "This run has drawn no takeaways yet."]
    parts += ["## Scores", landing_table(shelf.rows)]
    pages = {"ways": _ways(shelf), "front": f"{beside}\n", "landing": "\n\n".join(parts) + "\n"}
    return pages, shown


def findings_of(shelf: Shelf) -> tuple[str, dict[str, bytes]]:
    """Return a run's takeaways for the landing page, and their pictures.

    Parameters
    ----------
    shelf : Shelf
        Its run's folder may lack takeaways, or figures of them.

    Returns
    -------
    str
        Markdown; empty if the run has drawn no takeaways.
    dict of {path in the staging folder: PNG}
    """
    path = shelf.run / f"{NAME}.json"
    if not path.is_file():
        return "", {}
    takeaways = json.loads(path.read_text(encoding="utf-8"))["takeaways"]
    shown, parts = {}, [_tally(takeaways)]
    for number, one in enumerate(takeaways, 1):
        picture, figure = _picture(one["name"], shelf), ""
        if picture:
            name = f"_run/takeaway_{one['name']}.png"
            shown[name] = picture.png
            figure = _figure(name, picture, "", shelf.titles)
        parts += [f"### {number}. {one['title']}", _finding(one, figure, shelf.titles)]
    return "\n\n".join(parts), shown


def _ways(shelf: Shelf) -> str:
    """Return where a reader goes from the first words, and what all pages rest on."""
    first = next(iter(shelf.titles), "")
    links = ["[What was found](#what-was-found)", "[Play with the episode](explorer.md)"]
    links += [f"[Read the notebooks](_run/notebooks/{first}.ipynb)"] if first else []
    links += ["[Run it yourself](howto/reproduce.md)", "[How to read a score](reading.md)"]
    body = "\n".join(links)
    return f":::{{div}} ways\n{body}\n:::\n\n{_origin(shelf)}\n"


def _origin(shelf: Shelf) -> str:
    """Return what runs the pages show, and which of them are of simulated recordings."""
    runs = list(dict.fromkeys([shelf.run.name, *(row.run for row in shelf.rows)]))
    told = f"Everything on these pages comes from the run{'s' * (len(runs) > 1)} {_named(runs)}."
    simulated = [run for run in runs if run in SIMULATED]
    if simulated:
        whose = "Its recordings are" if len(runs) == 1 else "Their recordings are"
        whose = whose if simulated == runs else f"Recordings of {_named(simulated)} are"
        told += f" {whose} simulated: scores show what the tasks ask, not what people do."
        if RECORD in shelf.titles:
            page = f"_run/notebooks/{RECORD}.ipynb"
            told += f" Only [the published record]({page}) is of a real one."
    return told


def _named(runs: Sequence[str]) -> str:
    return " and ".join(f"**{as_markdown(run)}**" for run in runs)


def _tally(takeaways: Iterable[Mapping[str, Any]]) -> str:
    """Return how many verdicts there are of each outcome, as one line."""
    counts = Counter(claim["outcome"] for one in takeaways for claim in one["claims"])
    told = " ".join(f"{verdict(Outcome(o), f'{counts[o]} ')}" for o in Outcome if counts[o])
    return f"Verdicts on all claims, on all data and contracts: {told}" if told else ""


def verdict(outcome: Outcome, before: str = "") -> str:
    """Return an outcome as a coloured mark with its word, as Markdown."""
    look = re.sub(r"\W+", "-", outcome)
    return f"[{MARKS[outcome]} {before}{outcome}]{{.verdict .{look}}}"


def _finding(one: Mapping[str, Any], figure: str, titles: Mapping[str, str]) -> str:
    said = "\n".join(f"- {verdict(Outcome(c['outcome']))} {c['sentence']}" for c in _told(one))
    words = f"*{one['question']}*\n\n{said or 'Nothing can be told yet.'}\n\n{_where(one, titles)}"
    return f":::::{{div}} finding\n::::{{div}} words\n{words}\n::::\n\n{figure}\n:::::"


def _where(one: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    """Return links to a takeaway's rows and to the notebooks that they come from."""
    links = [
        f"[All claims and their rows](_run/takeaways.html#{_anchor(one['title'])}){{.external}}"
    ]
    sections = dict.fromkeys(section for claim in one["claims"] for section in claim["sections"])
    links += [f"[{titles[s]}](_run/notebooks/{s}.ipynb)" for s in sections if s in titles]
    return f":::{{div}} where\n{' · '.join(links)}\n:::"


def _anchor(title: str) -> str:
    """Return the id that Sphinx gives to a takeaway's heading."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def _picture(name: str, shelf: Shelf) -> Picture | None:
    """Return the figure of a takeaway that some notebook shows too: there are words for it."""
    known = {picture.png: picture for picture in shelf.pictures}
    for figure in (FIGURES.get(name, ""), f"07_{name}"):
        for folder in (shelf.run, *shelf.companions):
            path = folder / "figures" / f"{figure}.png"
            if path.is_file() and path.read_bytes() in known:
                return known[path.read_bytes()]
    return None


def _figure(name: str, picture: Picture, look: str, titles: Mapping[str, str]) -> str:
    style = f":class: {look}\n" * bool(look)
    title = titles.get(picture.notebook, picture.notebook)
    alt = visible(picture.alt)
    if not _PLAIN.fullmatch(alt):
        alt = json.dumps(alt, ensure_ascii=False)
    return (
        f"::::{{figure}} {name}\n:alt: {alt}\n{style}:target: {picture.page}\n\n"
        f"From [{title}]({picture.page}){{.external}}.\n::::"
    )


def _told(one: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return a few of a takeaway's claims about the run, of the contract that says most."""
    for column in (RUN, HELDOUT):
        for contract in PREFERRED:
            found = [
                claim
                for claim in one["claims"]
                if (claim["column"], claim["contract"]) == (column, contract)
            ]
            if found:
                return sorted(found, key=lambda claim: claim["outcome"] == Outcome.OPEN)[:SENTENCES]
    return ()
