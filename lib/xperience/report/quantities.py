"""Counts and shares as readers see them."""


def counted(number: int, noun: str) -> str:
    """Return "1 window", "2 windows" or "1,161 windows"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def percent(share: float) -> str:
    """Return a share for readers; only what is whole reads 100 %, and only what is nothing 0 %."""
    rounded = round(100 * share)
    if rounded in (0, 100) and share not in (0, 1):
        rounded = min(max(round(100 * share, 1), 0.1), 99.9)
    return f"{rounded} %"


def place_at(share: float, n: int) -> int:
    """Return the place in a sequence of n that lies at a share of its length.

    >>> place_at(0.0, 5), place_at(0.5, 5), place_at(1.0, 5)
    (0, 2, 4)
    """
    return round(share * (n - 1))
