"""The outcomes of all claims at a glance."""

from collections.abc import Mapping
from typing import Any

from xperience.report.claims import Outcome, Place
from xperience.report.figures.style import (
    FAINT,
    GREEN,
    MUTED,
    RED,
    Picture,
    new_figure,
    set_title,
    styled,
    wrap,
)
from xperience.report.quantities import counted
from xperience.report.takeaways import MARKS, column_names, places_of

COLOURS = {
    Outcome.SUPPORTED: GREEN,
    Outcome.NO_DIFFERENCE: MUTED,
    Outcome.MIXED: MUTED,
    Outcome.CONTRADICTED: RED,
    Outcome.NOT_TESTED: "#C6CACE",
}
GLANCE_IN = 0.27


@styled
def draw_glance(content: Mapping[str, Any]) -> Picture:
    """Return the outcome of every claim of assembled takeaways in every place."""
    names = column_names(content)
    claims = [claim for one in content["takeaways"] for claim in one["claims"]]
    places = places_of(content)
    texts = list(dict.fromkeys(one["text"] for one in claims))
    told = sum(one["outcome"] == Outcome.SUPPORTED for one in claims)
    title = f"{told} of {counted(len(claims), 'verdict')} support the claim"
    canvas = new_figure(1.5 + GLANCE_IN * len(texts))
    legend = ", ".join(f"{MARKS[outcome]} {outcome}" for outcome in Outcome)
    set_title(canvas, title, f"Each mark is one rule's verdict: {legend}.")
    ax = canvas.subplots()
    for one in claims:
        x, y = places.index(Place(one["column"], one["contract"])), texts.index(one["text"])
        outcome = Outcome(one["outcome"])
        look = {"color": COLOURS[outcome], "ha": "center", "va": "center", "fontsize": 11}
        ax.text(x, y, MARKS[outcome], **look)
    labels = [f"{wrap(names[one.column], 10, 2)}\n{one.contract}" for one in places]
    ax.set(xticks=range(len(places)), xticklabels=labels, xlim=(-0.5, len(places) - 0.5))
    ax.set(yticks=range(len(texts)), yticklabels=[wrap(text, 58, 2) for text in texts])
    ax.set_ylim(len(texts) - 0.4, -0.6)
    ax.tick_params(axis="both", labelsize=6.5)
    ax.grid(axis="y", color=FAINT, linewidth=0.6)
    ax.xaxis.tick_top()
    alt = "; ".join(
        f"{one['text']} ({names[one['column']]}, {one['contract']}): {one['outcome']}"
        for one in claims
    )
    return Picture(canvas, title, f"{title}. {alt}.")
