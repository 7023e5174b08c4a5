"""Choosing episodes: from all that a dataset lists to a roster with its sides.

The rules are those of the published selection of 128 episodes: whole recordings, one a session, the
smallest 5 % left out, four size bands with equally many episodes, sides drawn with seed 7.

What its file shows, and the code follows: bands are by the size of the *annotation* (their
ranges do not meet; by all files they would), each band has the same number of episodes on each
side, and the episodes of a band lie close around one size, its middle. What it doesn't show, since
the listing it was made from is not part of it: where the dataset's bands begin and end, whether the
smallest were cut by annotation or by all files, and how ``selection_score``, by which its episodes
are ranked, was put together; bytes explain only a part of it. So the same 128 names can't be
expected from the same listing.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from statistics import median
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from xperience.cohort.roster import SIDES, Entry, Roster, make_roster
from xperience.cohort.stock import Listed
from xperience.errors import XperienceError

FOUR_BANDS = ("short", "lower_mid", "upper_mid", "long")
PUBLISHED_SIDES = (96, 16, 16)


class ChoiceError(XperienceError):
    """A choice of episodes that the listing does not allow."""


class ChoiceRules(BaseModel):
    """What to choose, and how.

    Parameters
    ----------
    sides : tuple of three int
        Episodes to train on, to choose on and to test on.
    n_bands : int
        Size bands, with equally many listed episodes each.
    drop_share : float
        Share of the complete episodes, the smallest ones, that is left out first.
    pick : {"middle", "random"}
        Which episodes of a band are taken: those nearest to its middle size, as published, or any.
        The first gives recordings of a few typical lengths, the second a sample of the dataset.
    seed : int
        Seeds every draw.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sides: tuple[int, int, int] = PUBLISHED_SIDES
    n_bands: int = Field(default=4, ge=1)
    drop_share: float = Field(default=0.05, ge=0, lt=1)
    pick: Literal["middle", "random"] = "middle"
    seed: int = 7

    @model_validator(mode="after")
    def _some(self) -> Self:
        if min(self.sides) < 0 or not sum(self.sides):
            raise ValueError("sides need counts of 0 or more, and at least one episode")
        return self

    @property
    def n_episodes(self) -> int:
        """How many episodes are chosen."""
        return sum(self.sides)

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the size bands, from small to large."""
        if self.n_bands == len(FOUR_BANDS):
            return FOUR_BANDS
        return tuple(f"band_{number}" for number in range(1, self.n_bands + 1))


@dataclass(frozen=True)
class Choice:
    """The chosen episodes, and what the listing held.

    Parameters
    ----------
    roster : Roster
        Band by band, within a band in the order of choice.
    n_listed, n_incomplete, n_dropped, n_sessions : int
        Episodes listed; without all their files; left out as too small; sessions that remained.
    """

    roster: Roster
    n_listed: int
    n_incomplete: int
    n_dropped: int
    n_sessions: int

    def to_text(self) -> str:
        """Return what was chosen from what, and a line a band."""
        left = self.n_listed - self.n_incomplete - self.n_dropped
        lines = [
            f"{self.n_listed:,} episodes listed, {self.n_incomplete:,} incomplete, "
            f"{self.n_dropped:,} dropped as too small; {left:,} of {self.n_sessions:,} sessions "
            f"to choose from"
        ]
        for band in dict.fromkeys(entry.size_band for entry in self.roster):
            chosen = [entry for entry in self.roster if entry.size_band == band]
            on = Counter(entry.side for entry in chosen)
            sizes = [entry.size_bytes / 1e9 for entry in chosen]
            sides = "/".join(str(on[side]) for side in SIDES)
            lines.append(f"{band}: {sides}, {min(sizes):.2f} to {max(sizes):.2f} GB each")
        return "\n".join(lines)


def choose(
    stock: Iterable[Listed], rules: ChoiceRules | None = None, root: Path | str = "."
) -> Choice:
    """Choose episodes by the rules.

    The order of the listing has no say. Each draw follows from the seed and the episode's own
    folder.

    Parameters
    ----------
    stock : iterable of Listed
        All episodes of the dataset.
    rules : ChoiceRules, optional
        Those of the published selection by default.
    root : path, optional
        What the roster's folders are relative to.

    Returns
    -------
    Choice
        One episode a session. The bands' counts differ by at most one unless the stock of a band
        runs out; then the others share what is missing. On each side the bands stand in the
        proportion of their counts, to within one episode (two on the training side).

    Raises
    ------
    ChoiceError
        If there are fewer sessions with a suitable episode than episodes are asked for.
    """
    rules = rules or ChoiceRules()
    listed = list(stock)
    complete = sorted(
        (one for one in listed if one.complete), key=lambda one: (one.annotation_bytes, one.folder)
    )
    n_dropped = int(rules.drop_share * len(complete))
    kept = complete[n_dropped:]
    n_sessions = len({one.session for one in kept})
    _check_stock(rules, len(listed), kept, n_sessions)
    bands = [_ranked(band, rules) for band in _bands(kept, rules.n_bands)]
    chosen = _Draft(bands).fill(rules.n_episodes)
    entries = _sided(chosen, rules)
    return Choice(
        make_roster(entries, root),
        n_listed=len(listed),
        n_incomplete=len(listed) - len(complete),
        n_dropped=n_dropped,
        n_sessions=n_sessions,
    )


def _check_stock(rules: ChoiceRules, n_listed: int, kept: list[Listed], n_sessions: int) -> None:
    if n_sessions < rules.n_episodes:
        raise ChoiceError(
            "listing",
            f"has {len(kept)} suitable episodes of {n_sessions} sessions ({n_listed} listed)",
            f"{rules.n_episodes} sessions, one for each episode",
            f"Ask for at most {n_sessions} episodes, or use a longer listing.",
        )


def _bands(kept: Sequence[Listed], n_bands: int) -> list[list[Listed]]:
    """Cut episodes, sorted by size, into bands of equally many."""
    bands: list[list[Listed]] = [[] for _ in range(n_bands)]
    for place, one in enumerate(kept):
        bands[place * n_bands // len(kept)].append(one)
    return bands


def _ranked(band: Sequence[Listed], rules: ChoiceRules) -> list[Listed]:
    """Return a band's episodes, the first to take first."""
    if rules.pick == "random" or not band:
        return sorted(band, key=lambda one: draw(rules.seed, "pick", one.folder))
    middle = median(one.annotation_bytes for one in band)
    return sorted(
        band,
        key=lambda one: (
            abs(one.annotation_bytes - middle),
            draw(rules.seed, "pick", one.folder),
        ),
    )


def draw(seed: int, what: str, name: str) -> int:
    """Return a number that looks random and follows from its arguments alone.

    Unlike a generator's next number it doesn't depend on what was drawn before, so a longer list
    leaves the draws of its other members as they were.
    """
    return int.from_bytes(blake2b(f"{seed}:{what}:{name}".encode(), digest_size=8).digest())


@dataclass
class _Draft:
    """Takes episodes from bands, one a session, the emptiest band first.

    A session with episodes in several bands serves whichever needs it: where a band finds only
    sessions that other bands took, one of those makes room if it can be served by yet another. So
    a band comes out short only where no choice could fill it.
    """

    bands: list[list[Listed]]
    taken: dict[str, tuple[int, Listed]] = field(default_factory=dict)  # session: band, episode
    place: list[int] = field(default_factory=list)

    def fill(self, n_episodes: int) -> list[list[Listed]]:
        """Return the episodes taken from each band, in the band's order."""
        self.place = [0] * len(self.bands)
        counts, full = [0] * len(self.bands), [False] * len(self.bands)
        while sum(counts) < n_episodes and not all(full):
            open_bands = (band for band in range(len(counts)) if not full[band])
            band = min(open_bands, key=lambda band: counts[band])
            # What one band cannot gain now it never will: taken sessions stay taken.
            full[band] = not self._gain(band)
            counts[band] += not full[band]
        return [
            [one for one in band if self.taken.get(one.session) == (number, one)]
            for number, band in enumerate(self.bands)
        ]

    def _gain(self, band: int) -> bool:
        """Give a band one more episode; return whether that was possible."""
        reached, waiting = {band: None}, [band]
        while waiting:
            here = waiting.pop(0)
            free = self._next_free(here)
            if free is not None:
                self._pass_on(here, free, reached)
                return True
            for one in self.bands[here]:
                holder = self.taken[one.session][0]
                if holder not in reached:
                    reached[holder] = (here, one)
                    waiting.append(holder)
        return False

    def _next_free(self, band: int) -> Listed | None:
        ranked = self.bands[band]
        while self.place[band] < len(ranked):
            if ranked[self.place[band]].session not in self.taken:
                return ranked[self.place[band]]
            self.place[band] += 1
        return None

    def _pass_on(
        self, band: int, free: Listed, reached: dict[int, tuple[int, Listed] | None]
    ) -> None:
        """Let a band take a free session, and hand what it gives up to the one that asked."""
        self.taken[free.session] = (band, free)
        while (asked := reached[band]) is not None:
            band, one = asked
            self.taken[one.session] = (band, one)


def apportion(total: int, stock: Sequence[int]) -> list[int]:
    """Share a total out in proportion to the stock, in whole numbers, by the largest remainders.

    Parameters
    ----------
    total : int
        At most the sum of the stock.
    stock : sequence of int
        No share exceeds its stock.

    >>> apportion(16, [32, 32, 32, 32]), apportion(2, [1, 1, 1])
    ([4, 4, 4, 4], [1, 1, 0])
    """
    everything = max(sum(stock), 1)
    shares = [total * own // everything for own in stock]
    rest = sorted(range(len(stock)), key=lambda i: (-(total * stock[i] % everything), i))
    for i in rest[: total - sum(shares)]:
        shares[i] += 1
    return shares


def _sided(chosen: Sequence[Sequence[Listed]], rules: ChoiceRules) -> list[Entry]:
    """Return the chosen episodes with sides, which share each band alike."""
    left = [len(band) for band in chosen]
    n_val = apportion(rules.sides[1], left)
    left = [own - taken for own, taken in zip(left, n_val, strict=True)]
    n_test = apportion(rules.sides[2], left)
    entries = []
    for name, band, val, test in zip(rules.bands, chosen, n_val, n_test, strict=True):
        drawn = sorted(band, key=lambda one: draw(rules.seed, "side", one.session))
        side = dict.fromkeys((one.folder for one in drawn), "train")
        side |= dict.fromkeys((one.folder for one in drawn[:val]), "val")
        side |= dict.fromkeys((one.folder for one in drawn[val : val + test]), "test")
        entries += [_entry(one, side[one.folder], name) for one in band]
    return entries


def _entry(one: Listed, side: str, band: str) -> Entry:
    return Entry(
        episode=name_of(one.folder),
        folder=one.folder,
        session=one.session,
        side=side,
        size_bytes=one.size_bytes,
        size_band=band,
    )


def name_of(folder: str) -> str:
    """Return an episode's name: its folder's path in characters that any file may have.

    >>> name_of("8a8e1b3c/ep1")
    '8a8e1b3c_ep1'
    """
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", folder).strip("_.-") or "episode"


def parse_sides(text: str | None, n_episodes: int | None) -> tuple[int, int, int]:
    """Return how many episodes each side gets, from what was asked for.

    Parameters
    ----------
    text : str or None
        ``TRAIN/VAL/TEST`` in episodes; without it the proportions are those of the published sides.
    n_episodes : int or None
        All of them; must agree with ``text`` if both are given.

    Raises
    ------
    ChoiceError
        If the text is something else, or the sum another.
    """
    if text is None:
        total = sum(PUBLISHED_SIDES) if n_episodes is None else n_episodes
        counts = [total * side // sum(PUBLISHED_SIDES) for side in PUBLISHED_SIDES]
        return (total - counts[1] - counts[2], counts[1], counts[2])
    parts = text.split("/")
    if len(parts) != len(SIDES) or not all(map(str.isdecimal, parts)) or not any(map(int, parts)):
        raise ChoiceError(
            "--sides", f"is {text!r}", "TRAIN/VAL/TEST with at least one episode", "Try 96/16/16."
        )
    train, val, test = map(int, parts)
    if n_episodes not in (None, train + val + test):
        raise ChoiceError(
            "--sides",
            f"has {train + val + test} episodes",
            f"{n_episodes}, as --episodes says",
            "Change one of them, or leave one out.",
        )
    return train, val, test
