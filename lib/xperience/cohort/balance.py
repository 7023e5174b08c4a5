"""Sides balanced by activity, once captions have said what each recording shows."""

import os
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xperience.cohort.roster import SIDES, Entry, Roster, RosterError, make_roster
from xperience.cohort.selection import apportion, draw
from xperience.cohort.wordings import KeyOf


def rebalance(
    roster: Roster, same: KeyOf, seed: int = 7, sizes: Sequence[int] | None = None
) -> Roster:
    """Return a roster with sides drawn anew, in which activities are spread alike.

    Each side gets its share of every activity, as nearly as whole sessions allow; activities too
    rare to be shared out are dealt to the sides in proportion, so that each side has its share of
    the rare ones too. The sides keep their sizes as long as every session has one episode.

    Parameters
    ----------
    roster : Roster
        With activities.
    same : function
        Activity to what must be equal for two of them to count as one.
    seed : int
        Seeds the order in which sessions of one activity are dealt.
    sizes : sequence of three int, optional
        Episodes on each side; those of the roster's own sides by default.

    Returns
    -------
    Roster
        The same episodes in the same order, each session on one side.

    Raises
    ------
    RosterError
        If no episode has an activity: the captions have not been read.
    """
    if not any(entry.activity for entry in roster):
        raise RosterError(
            "roster", "tells no activity", "activities from captions", "Read the captions first."
        )
    sessions: dict[str, list[Entry]] = defaultdict(list)
    for entry in roster:
        sessions[entry.session].append(entry)
    sizes = sizes or [len(roster.on(side)) for side in SIDES]
    deal = _Deal(sizes, {entry.episode: same(entry.activity) for entry in roster})
    side = {name: deal.give(sessions[name]) for name in deal.order(sessions, seed)}
    moved = (entry.model_copy(update={"side": SIDES[side[entry.session]]}) for entry in roster)
    return make_roster(moved, roster.root)


def resized(before: Roster, after: Roster) -> list[int]:
    """Return how many episodes each side should have, in proportion, now that some are left out."""
    return apportion(len(after), [len(before.on(side)) for side in SIDES])


def rerooted(roster: Roster, root: Path | str) -> Roster:
    """Return a roster whose recordings are found from another folder.

    Parameters
    ----------
    roster : Roster
    root : path
        Where the roster is going to be written.
    """
    root = Path(root)
    entries = (
        entry.model_copy(update={"folder": os.path.relpath(roster.folder(entry), root)})
        for entry in roster
    )
    return Roster(tuple(entries), root)


@dataclass
class _Deal:
    """Deals sessions to sides, each to the side that is furthest behind.

    A side is behind by what it lacks of the session's activities, and by what it lacks of all that
    has been dealt so far: the second carries over what the first leaves of rare activities. Counted
    in episodes times the size of the cohort, so that all is in whole numbers.
    """

    sizes: Sequence[int]
    activity: Mapping[str, Hashable]

    def __post_init__(self) -> None:
        self.total = sum(self.sizes)
        self.often = Counter(self.activity.values())
        self.given: list[Counter[Hashable]] = [Counter() for _ in self.sizes]
        self.due = [0] * len(self.sizes)

    def order(self, sessions: Mapping[str, Sequence[Entry]], seed: int) -> list[str]:
        """Return sessions in the order of dealing: frequent activities first, long ones first."""

        def place(name: str) -> tuple:
            kinds = [self.activity[entry.episode] for entry in sessions[name]]
            main = max(kinds, key=lambda kind: (self.often[kind], repr(kind)))
            return -self.often[main], repr(main), -len(kinds), draw(seed, "deal", name), name

        return sorted(sessions, key=place)

    def give(self, session: Sequence[Entry]) -> int:
        """Deal a session; return its side."""
        kinds = Counter(self.activity[entry.episode] for entry in session)
        self.due = [
            due + len(session) * size for due, size in zip(self.due, self.sizes, strict=True)
        ]
        room = [size - sum(self.given[i].values()) for i, size in enumerate(self.sizes)]
        open_sides = [i for i, free in enumerate(room) if free >= len(session)]
        open_sides = open_sides or [max(range(len(room)), key=lambda i: room[i])]
        best = max(open_sides, key=lambda i: (self._behind(i, kinds), room[i], -i))
        self.given[best] += kinds
        self.due[best] -= len(session) * self.total
        return best

    def _behind(self, side: int, kinds: Counter[Hashable]) -> int:
        lacking = (
            n * (self.often[kind] * self.sizes[side] - self.total * self.given[side][kind])
            for kind, n in kinds.items()
        )
        return sum(lacking) + self.due[side]


def balance_text(roster: Roster, same: KeyOf) -> str:
    """Return a line an activity, frequent ones first: episodes on each side, and its wordings."""
    entries: dict[Hashable, list[Entry]] = defaultdict(list)
    for entry in roster:
        entries[same(entry.activity)].append(entry)
    lines = []
    for _, group in sorted(entries.items(), key=lambda item: (-len(item[1]), repr(item[0]))):
        on = Counter(entry.side for entry in group)
        names = list(dict.fromkeys(entry.activity or "(no activity)" for entry in group))
        worded = f" (worded in {len(names)} ways)" if len(names) > 1 else ""
        lines.append(f"{'/'.join(str(on[side]) for side in SIDES):>14}  {names[0]}{worded}")
    return "\n".join([f"{'/'.join(SIDES):>14}  activity", *lines])
