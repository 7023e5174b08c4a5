"""How much a column's evidence is of: recordings, frames, windows, from rows like all else."""

from collections.abc import Mapping

from xperience.report.takeaways.evidence import (
    CONTRACT,
    CORRECTED,
    EPISODES,
    HELDOUT,
    NOTE,
    PUBLISHED,
    RECORD,
    RUN,
    Ask,
    Evidence,
    Place,
)
from xperience.report.takeaways.outcome import shown

EXTENTS: Mapping[Place, tuple[str, Mapping[str, Ask]]] = {
    Place(RUN, PUBLISHED): (
        "one recording of {frames} frames, {windows} windows",
        {"frames": Ask(CONTRACT, "n_frames"), "windows": Ask(CONTRACT, "n_windows")},
    ),
    Place(RECORD, PUBLISHED): (
        "one recording of {windows} windows; {known} of its published scores are recomputed",
        {
            "windows": Ask(NOTE, "n_windows", variant="recomputed"),
            "known": Ask(NOTE, "report_scores_recomputed"),
        },
    ),
    Place(HELDOUT, CORRECTED): (
        "{train} recordings to train on, {val} to choose on, {test} to test on",
        {side: Ask(EPISODES, "recordings", variant=side) for side in ("train", "val", "test")},
    ),
}
"""What is said of each column, and the rows that it is said from."""


def extents(evidence: Evidence) -> dict[str, str]:
    """Return how much each column is of, or why that isn't known."""
    return {place.column: _extent(evidence, place) for place in EXTENTS}


def _extent(evidence: Evidence, place: Place) -> str:
    template, asks = EXTENTS[place]
    found = {name: evidence.find(place, ask) for name, ask in asks.items()}
    why = next((one.why for one in found.values() if one.row is None), None)
    if why:
        return f"not known, {why}"
    return template.format(**{name: shown(one.row) for name, one in found.items()})
