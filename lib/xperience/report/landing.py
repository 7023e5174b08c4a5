"""The takeaways on the landing page: a card each, with its sentences and its figure."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xperience.report.takeaways.evidence import HELDOUT, RUN
from xperience.report.takeaways.fresh import NAME
from xperience.report.takeaways.outcome import Outcome
from xperience.report.takeaways.render import MARKS

SENTENCES = 3
PREFERRED = ("corrected", "published")
"""Contracts, the one that we would defend first."""


def takeaway_cards(run_folder: Path, alts: Mapping[bytes, str]) -> tuple[str, dict[str, bytes]]:
    """Return a run's takeaways as cards, and the pictures that they show.

    Parameters
    ----------
    run_folder : Path
        With the takeaways' JSON and ``figures/07_<takeaway>.png``; either may be absent.
    alts : mapping of {PNG: description}
        Descriptions of pictures that executed notebooks show.

    Returns
    -------
    str
        Markdown; empty if the run has drawn no takeaways.
    dict of {path in the staging folder: PNG}
    """
    path = run_folder / f"{NAME}.json"
    if not path.is_file():
        return "", {}
    content = json.loads(path.read_text(encoding="utf-8"))
    pictures, cards = {}, []
    for one in content["takeaways"]:
        figure = run_folder / "figures" / f"07_{one['name']}.png"
        png = figure.read_bytes() if figure.is_file() else b""
        name = f"_run/takeaway_{one['name']}.png"
        if png in alts:
            pictures[name] = png
        cards.append(_card(one, name if png in alts else "", alts.get(png, "")))
    grid = "\n\n".join(["::::{grid} 1 1 2 2\n:gutter: 3", *cards, "::::"])
    return f"## Takeaways\n\n{grid}\n\n[All claims, with their rows](_run/takeaways.md).", pictures


def _card(one: Mapping[str, Any], picture: str, alt: str) -> str:
    said = "\n".join(f"- {MARKS[Outcome(c['outcome'])]} {c['sentence']}" for c in _told(one))
    shown = f"![{_plain(alt)}]({picture})\n\n" if picture else ""
    return (
        f":::{{grid-item-card}} {one['title']}\n*{one['question']}*\n\n{shown}"
        f"{said or 'Nothing can be told yet.'}\n:::"
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


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("[", "(").replace("]", ")")
