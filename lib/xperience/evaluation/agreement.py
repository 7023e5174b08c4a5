"""How well a figure that was recomputed agrees with a published one."""

from dataclasses import dataclass
from typing import Literal, get_args

Status = Literal["exact", "within tolerance", "derived", "differs", "not recomputable", "skipped"]
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True)
class Figure:
    """A published figure beside ours."""

    name: str
    section: str  # of the note
    what: str  # in words
    unit: str
    published: float | None  # None if only the absent record has it, or the note leaves it open
    digits: int  # decimals that were printed
    recomputed: float | None
    status: Status
    reason: str | None = None  # why nothing is compared, or what it was compared with instead
    bounds: tuple[float, float] | None = None  # of a derived one: least and most that may be
    group: Literal["table", "text", "study"] = "table"
    """What printed it: a table of the note, its text, or the audio study beside it."""


def agreement(published: float, recomputed: float, digits: int, tolerance: float = 0.0) -> Status:
    """Return how well a recomputed figure agrees with a printed one.

    Rounding to the decimals that were printed makes no difference; an error up to the tolerance is
    close, not different.
    """
    off = abs(published - recomputed)
    if off <= 0.5 * 10.0**-digits * (1 + 1e-9):
        return "exact"
    return "within tolerance" if off <= tolerance else "differs"


def agreement_of_bounds(published: float, bounds: tuple[float, float], digits: int) -> Status:
    """Return whether a printed figure lies within what was derived, its rounding allowed for."""
    half = 0.5 * 10.0**-digits * (1 + 1e-9)
    least, most = bounds
    return "derived" if least - half <= published <= most + half else "differs"
