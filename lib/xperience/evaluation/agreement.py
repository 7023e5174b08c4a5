"""How well a figure that was recomputed agrees with a published one."""

from dataclasses import dataclass
from typing import Literal, get_args

Status = Literal["exact", "within tolerance", "derived", "differs", "not recomputable", "skipped"]
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True)
class Figure:
    """A published figure beside ours.

    Parameters
    ----------
    name, section, what : str
        Its name, where it stands in the note, and what it is in words.
    unit : str
    published : float or None
        None if even that is only in the absent record, or the note leaves it open.
    digits : int
        Decimals that were printed.
    recomputed : float or None
    status : str
        One of ``STATUSES``.
    reason : str, optional
        Why there is nothing to compare, or what the figure was compared with instead.
    bounds : (float, float), optional
        Of a figure that is derived: the least and the most that what was published allows.
    group : str
        What printed it: a "table" of the note, its "text", or the audio "study" beside it.
    """

    name: str
    section: str
    what: str
    unit: str
    published: float | None
    digits: int
    recomputed: float | None
    status: Status
    reason: str | None = None
    bounds: tuple[float, float] | None = None
    group: Literal["table", "text", "study"] = "table"


def agreement(published: float, recomputed: float, digits: int, tolerance: float = 0.0) -> Status:
    """Return how well a recomputed figure agrees with a printed one.

    Parameters
    ----------
    published : float
    recomputed : float
    digits : int
        Decimals that were printed: rounding to them makes no difference.
    tolerance : float
        The largest error of a figure that is still close, not different.
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
