"""The six takeaways at a glance: their headlines and the outcomes of their claims."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from xperience.report.claims import Outcome
from xperience.report.figures.style import (
    GREEN,
    INK,
    MUTED,
    RED,
    Picture,
    new_figure,
    set_title,
    styled,
    wrap,
)
from xperience.report.note import MARKS
from xperience.report.quantities import counted

COLOURS = {
    Outcome.SUPPORTED: GREEN,
    Outcome.NO_DIFFERENCE: MUTED,
    Outcome.MIXED: MUTED,
    Outcome.CONTRADICTED: RED,
    Outcome.NOT_TESTED: "#C6CACE",
}
ROW_IN, MARK_IN, WRAP = 0.62, 0.19, 84


@styled
def draw_findings(content: Mapping[str, Any]) -> Picture:
    """Return the headline of each assembled takeaway above a mark for each of its verdicts."""
    takeaways = content["takeaways"]
    claims = [claim for one in takeaways for claim in one["claims"]]
    counts = Counter(Outcome(claim["outcome"]) for claim in claims)
    title = f"{counts[Outcome.SUPPORTED]} of {counted(len(claims), 'verdict')} support their claim"
    legend = ", ".join(f"{MARKS[one]} {counts[one]} {one}" for one in Outcome)
    canvas = new_figure(0.9 + ROW_IN * len(takeaways))
    set_title(canvas, title, f"One mark is one claim on one kind of data: {legend}.")
    ax = canvas.subplots()
    width_in = canvas.get_size_inches()[0]
    ax.set(xlim=(0, width_in / MARK_IN), ylim=(len(takeaways) - 0.1, -0.35))
    ax.axis("off")
    told = []
    for y, one in enumerate(takeaways):
        found = Counter(Outcome(claim["outcome"]) for claim in one["claims"])
        headline = wrap(f"{y + 1}. {one['headline']}", WRAP, 2)
        ax.text(0, y, headline, va="bottom", fontsize=8.5, fontweight="bold", color=INK)
        look = {"ha": "center", "va": "center", "fontsize": 11}
        for x, outcome in enumerate(one for one in Outcome for _ in range(found[one])):
            ax.text(x + 0.6, y + 0.28, MARKS[outcome], color=COLOURS[outcome], **look)
        said = ", ".join(f"{found[outcome]} {outcome}" for outcome in Outcome if found[outcome])
        told.append(f"{one['headline']}: {said}")
    return Picture(canvas, title, f"{title}. {'. '.join(told)}.")
