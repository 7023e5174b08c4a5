"""Choosing episodes: from a dataset's listing to a split manifest, and splits balanced by activity.

The rules are those of the published selection of 128 episodes: whole recordings, one per session,
the smallest 5 % left out, four size bands with equally many episodes, splits drawn with seed 7.
Its file shows, and the code follows: bands are by the size of the *annotation*, each has the same
number of episodes in each split, and its episodes lie close around its middle size. The listing it
was made from is not part of it, nor how its ``selection_score`` was put together: so the same 128
names can't be expected from the same listing.
"""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from xperience.cohort.manifest import (
    SPLITS,
    Entry,
    ManifestError,
    SplitManifest,
    make_manifest,
)
from xperience.errors import ParamsError, XperienceError, did_you_mean, reading, validated
from xperience.hub.source import RemoteEpisode, RemoteFile, group_episodes
from xperience.recording.layout import ANNOTATION
from xperience.text import read_json, read_table

BANDS = ("short", "lower_mid", "upper_mid", "long")
DROP_SHARE = 0.05
"""Share of the complete episodes, the smallest ones, that is left out first."""
PUBLISHED_SPLITS = (96, 16, 16)
PICKS = ("middle", "random")
ALIASES = {
    "episode_path": "folder",
    "rfilename": "path",
    "top_level_session": "session",
    "training_bytes_excluding_visualization_rrd": "size_bytes",
}
"""Other names of a listing's columns: of the published selection and of the hub's own answers."""
_LISTING = (
    "A listing has the columns path and size (one row per file), or folder, annotation_bytes and "
    "size_bytes (one row per episode); as JSON it is a list of such objects, or has it in `files`."
)


class ListingError(XperienceError):
    """A listing of a dataset that cannot be used."""


class ChoiceError(XperienceError):
    """A choice of episodes that the listing does not allow."""


# What a dataset lists


class Listed(BaseModel):
    """One listed episode."""

    model_config = ConfigDict(frozen=True)

    folder: str = Field(min_length=1)  # inside the dataset
    session: str  # of recording; the first part of the folder where none is given
    annotation_bytes: int = Field(ge=0)
    size_bytes: int = Field(ge=0)  # of all files that an episode needs
    missing: tuple[str, ...] = ()  # files of an episode that are not there

    @model_validator(mode="before")
    @classmethod
    def _with_session(cls, given: dict[str, Any]) -> dict[str, Any]:
        folder = given.get("folder")
        if not isinstance(folder, str):
            return given
        folder = folder.strip("/")
        session = str(given.get("session") or folder.split("/", 1)[0])
        return given | {"folder": folder, "session": session}


def listed_episodes(episodes: Iterable[RemoteEpisode]) -> list[Listed]:
    """Return what `xperience.hub.download.list_episodes` found as a listing."""
    return [
        Listed(
            folder=episode.folder,
            annotation_bytes=getattr(episode.local_files.get(ANNOTATION), "size", 0),
            size_bytes=episode.size,
            missing=episode.missing,
        )
        for episode in episodes
    ]


def read_listing(path: Path | str) -> list[Listed]:
    """Read a listing, CSV or JSON, and return its episodes sorted by folder.

    It has one row per *file* (``path``, ``size``) or one per *episode* (``folder``,
    ``annotation_bytes``, ``size_bytes``), which then counts as complete; other columns are passed
    over.

    If the file cannot be read, a value is missing or no number, or an episode stands twice, that is
    a ListingError.
    """
    path = Path(path)
    with reading(path.name, "CSV or JSON", ListingError, _LISTING):
        is_json = path.suffix == ".json"
        rows: Any = read_json(path) if is_json else [row for _, row in read_table(path)]
    if isinstance(rows, Mapping):
        rows = rows.get("files")
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise ListingError(path.name, "is no list of objects", "one object per row", _LISTING)
    if not rows:
        raise ListingError(path.name, "lists nothing", "files or episodes", _LISTING)
    rows = [{ALIASES.get(name, name): value for name, value in row.items()} for row in rows]
    is_of_files = "path" in rows[0]
    model: type[BaseModel] = RemoteFile if is_of_files else Listed
    names = {"path", "size"} if is_of_files else set(Listed.model_fields) - {"missing"}
    found: list[Any] = [
        validated(
            model,
            {name: row[name] for name in row.keys() & names if row[name] != ""},
            f"{path.name}: row {number}",
            ListingError,
            _LISTING,
        )
        for number, row in enumerate(rows, 1)
    ]
    if is_of_files:
        found = listed_episodes(group_episodes(found))
    found.sort(key=lambda one: one.folder)
    for one, other in pairwise(found):
        if one.folder == other.folder:
            raise ListingError(
                f"{path.name}: {one.folder}", "stands twice", "one row", "Drop the copy."
            )
    return found


# Choosing


def choose(
    listing: Iterable[Listed],
    splits: Sequence[int] = PUBLISHED_SPLITS,
    *,
    seed: int = 7,
    pick: str = "middle",
    drop_share: float = DROP_SHARE,
    root: Path | str = ".",
) -> tuple[SplitManifest, str]:
    """Choose episodes; by the rules of the published selection by default.

    Episodes that lack files are left out, and then the smallest, by `DROP_SHARE`. ``splits`` counts
    the episodes for training, validation and test; ``root`` is what folders of the manifest are
    relative to. Of a size band those nearest to its middle are taken, as published, or with
    ``pick`` "random" any: the first gives recordings of a few typical lengths, the second a sample
    of the dataset. The order of the listing has no say: each draw follows from the seed and the
    episode's own folder.

    There is one episode per session. The bands' counts differ by at most one unless a band runs
    out; then the others share what is missing. In each split the bands stand in the proportion of
    their counts, to within one episode (two in training). The text says what was chosen from what,
    one line per band. If there are fewer sessions with a suitable episode than episodes are asked
    for, that is a ChoiceError.
    """
    if pick not in PICKS:
        raise ParamsError("--pick", f"is {pick!r}", "a way to pick", did_you_mean(pick, PICKS))
    listed = list(listing)
    complete = sorted(
        (one for one in listed if not one.missing),
        key=lambda one: (one.annotation_bytes, one.folder),
    )
    n_dropped = int(drop_share * len(complete))
    kept = complete[n_dropped:]
    n_sessions = len({one.session for one in kept})
    if n_sessions < sum(splits):
        raise ChoiceError(
            "listing",
            f"has {len(kept)} suitable episodes of {n_sessions} sessions ({len(listed)} listed)",
            f"{sum(splits)} sessions, one for each episode",
            f"Ask for at most {n_sessions} episodes, or use a longer listing.",
        )
    bands: list[list[Listed]] = [[] for _ in BANDS]
    for place, one in enumerate(kept):
        bands[place * len(BANDS) // len(kept)].append(one)
    ranked = [_ranked(band, pick, seed) for band in bands]
    entries = _with_splits(_fill(ranked, sum(splits)), splits, seed)
    lines = [
        f"{len(listed):,} episodes listed, {len(listed) - len(complete):,} incomplete, "
        f"{n_dropped:,} dropped as too small; {len(kept):,} of {n_sessions:,} sessions "
        f"to choose from"
    ]
    for band in dict.fromkeys(entry.size_band for entry in entries):
        of_band = [entry for entry in entries if entry.size_band == band]
        sizes = [entry.size_bytes / 1e9 for entry in of_band]
        lines.append(f"{band}: {_counts(of_band)}, {min(sizes):.2f} to {max(sizes):.2f} GB each")
    return make_manifest(entries, root), "\n".join(lines)


def _counts(entries: Iterable[Entry]) -> str:
    """Return how many episodes are in each split, as TRAIN/VAL/TEST."""
    on = Counter(entry.side for entry in entries)
    return "/".join(str(on[side]) for side in SPLITS)


def _ranked(band: Sequence[Listed], pick: str, seed: int) -> list[Listed]:
    """Return a band's episodes, the first to take first."""
    middle = median(one.annotation_bytes for one in band) if band else 0

    def rank(one: Listed) -> tuple[float, int]:
        apart = 0 if pick == "random" else abs(one.annotation_bytes - middle)
        return apart, draw(seed, "pick", one.folder)

    return sorted(band, key=rank)


def draw(seed: int, what: str, name: str) -> int:
    """Return a number that looks random and follows from its arguments alone.

    Unlike a generator's next number it doesn't depend on what was drawn before, so a longer list
    leaves the draws of its other members as they were.
    """
    return int.from_bytes(blake2b(f"{seed}:{what}:{name}".encode(), digest_size=8).digest())


def _fill(bands: Sequence[Sequence[Listed]], n_episodes: int) -> list[list[Listed]]:
    """Return the episodes taken from each band, one per session, the emptiest band first.

    A session with episodes in several bands serves whichever needs it: where a band finds only
    sessions that other bands took, one of those makes room if it can be served by yet another. So
    a band comes out short only where no choice could fill it.
    """
    taken: dict[str, tuple[int, Listed]] = {}  # session: band, episode

    def gain(band: int) -> bool:
        """Give a band one more episode; return whether that was possible."""
        asked: dict[int, tuple[int, Listed] | None] = {band: None}
        waiting = [band]
        while waiting:
            here = waiting.pop(0)
            free = next((one for one in bands[here] if one.session not in taken), None)
            if free is not None:
                taken[free.session] = (here, free)
                while (request := asked[here]) is not None:  # hand on what each gives up
                    here, one = request
                    taken[one.session] = (here, one)
                return True
            for one in bands[here]:
                holder = taken[one.session][0]
                if holder not in asked:
                    asked[holder] = (here, one)
                    waiting.append(holder)
        return False

    counts, open_bands = [0] * len(bands), list(range(len(bands)))
    while sum(counts) < n_episodes and open_bands:
        band = min(open_bands, key=lambda band: counts[band])
        if gain(band):
            counts[band] += 1
        else:  # what it cannot gain now it never will: taken sessions stay taken
            open_bands.remove(band)
    return [
        [one for one in band if taken.get(one.session) == (number, one)]
        for number, band in enumerate(bands)
    ]


def apportion(total: int, stock: Sequence[int]) -> list[int]:
    """Share a total out in proportion to the stock, in whole numbers, by the largest remainders.

    The total is at most the sum of the stock, and no share exceeds its own.

    >>> apportion(16, [32, 32, 32, 32]), apportion(2, [1, 1, 1])
    ([4, 4, 4, 4], [1, 1, 0])
    """
    everything = max(sum(stock), 1)
    shares = [total * own // everything for own in stock]
    rest = sorted(range(len(stock)), key=lambda i: (-(total * stock[i] % everything), i))
    for i in rest[: total - sum(shares)]:
        shares[i] += 1
    return shares


def _with_splits(
    chosen: Sequence[Sequence[Listed]], splits: Sequence[int], seed: int
) -> list[Entry]:
    """Return the chosen episodes with their splits, which share each band alike."""
    left = [len(band) for band in chosen]
    n_val = apportion(splits[1], left)
    n_test = apportion(splits[2], [n - taken for n, taken in zip(left, n_val, strict=True)])
    entries = []
    for name, band, val, test in zip(BANDS, chosen, n_val, n_test, strict=True):
        drawn = sorted(band, key=lambda one: draw(seed, "side", one.session))
        order = ["val"] * val + ["test"] * test + ["train"] * (len(band) - val - test)
        side = {one.folder: own for one, own in zip(drawn, order, strict=True)}
        entries += [
            Entry(
                episode=re.sub(r"[^A-Za-z0-9_.-]+", "_", one.folder).strip("_.-") or "episode",
                folder=one.folder,
                session=one.session,
                side=side[one.folder],
                size_bytes=one.size_bytes,
                size_band=name,
            )
            for one in band
        ]
    return entries


def parse_splits(text: str | None, n_episodes: int | None) -> tuple[int, int, int]:
    """Return how many episodes each split gets, from TRAIN/VAL/TEST, their number, or both.

    Without the text the proportions are those of the published splits.

    If the text is something else, or its sum another number, that is a ChoiceError.
    """
    if text is None:
        total = sum(PUBLISHED_SPLITS) if n_episodes is None else n_episodes
        _, val, test = (total * one // sum(PUBLISHED_SPLITS) for one in PUBLISHED_SPLITS)
        return total - val - test, val, test
    parts = text.split("/")
    if len(parts) != len(SPLITS) or not all(map(str.isdecimal, parts)) or not any(map(int, parts)):
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


# Splits balanced by activity


def rebalance(
    manifest: SplitManifest,
    same: Callable[[str], Hashable | None],
    seed: int = 7,
    sizes: Sequence[int] | None = None,
) -> SplitManifest:
    """Return the same episodes in new splits, in which activities are spread alike.

    Each split gets its share of every activity, as nearly as whole sessions allow; activities too
    rare to be shared out go to the splits in proportion, so that each has its share of the rare
    ones too. The splits have ``sizes``, or keep theirs, as long as every session has one episode.
    Two activities count as one if ``same`` gives the same for them. If no episode has an activity,
    since captions have not been read, that is a ManifestError.

    Sessions are assigned one by one, frequent activities and long sessions first, those of one
    activity in an order drawn from the seed, each to the split that is furthest behind: by what it
    lacks of the session's activities, and by what it lacks of all that has been assigned so far,
    which carries over what the first leaves of rare activities. Both are counted in episodes times
    the size of the cohort, so that all is in whole numbers.
    """
    if not any(entry.activity for entry in manifest):
        raise ManifestError(
            "manifest", "names no activity", "activities from captions", "Read the captions first."
        )
    sizes = sizes or [len(manifest.on(side)) for side in SPLITS]
    total, splits = sum(sizes), range(len(sizes))
    sessions: dict[str, list[Hashable]] = defaultdict(list)
    for entry in manifest:
        sessions[entry.session].append(same(entry.activity))
    often = Counter(kind for kinds in sessions.values() for kind in kinds)

    def order(name: str) -> tuple:
        main = max(sessions[name], key=lambda kind: (often[kind], repr(kind)))
        return -often[main], repr(main), -len(sessions[name]), draw(seed, "deal", name), name

    given: list[Counter[Hashable]] = [Counter() for _ in splits]
    due, side_of = [0] * len(sizes), {}
    for name in sorted(sessions, key=order):
        kinds, n = Counter(sessions[name]), len(sessions[name])
        due = [owed + n * size for owed, size in zip(due, sizes, strict=True)]
        room = [size - own.total() for size, own in zip(sizes, given, strict=True)]
        behind = [
            due[i] + sum(m * (often[k] * sizes[i] - total * given[i][k]) for k, m in kinds.items())
            for i in splits
        ]
        free = [i for i in splits if room[i] >= n] or [max(splits, key=room.__getitem__)]
        best = max(free, key=lambda i: (behind[i], room[i], -i))
        given[best] += kinds
        due[best] -= n * total
        side_of[name] = SPLITS[best]
    moved = (entry.model_copy(update={"side": side_of[entry.session]}) for entry in manifest)
    return make_manifest(moved, manifest.root)


def rerooted(manifest: SplitManifest, root: Path) -> SplitManifest:
    """Return a manifest whose recordings are found from the folder that it will be written to."""
    entries = (
        entry.model_copy(update={"folder": os.path.relpath(manifest.folder(entry), root)})
        for entry in manifest
    )
    return SplitManifest(tuple(entries), root)


def balance_text(manifest: SplitManifest, same: Callable[[str], Hashable | None]) -> str:
    """Return one line per activity, frequent ones first: episodes in each split, and its texts."""
    entries: dict[Hashable, list[Entry]] = defaultdict(list)
    for entry in manifest:
        entries[same(entry.activity)].append(entry)
    lines = [f"{'/'.join(SPLITS):>14}  activity"]
    for _, group in sorted(entries.items(), key=lambda item: (-len(item[1]), repr(item[0]))):
        names = list(dict.fromkeys(entry.activity or "(no activity)" for entry in group))
        worded = f" (worded in {len(names)} ways)" if len(names) > 1 else ""
        lines.append(f"{_counts(group):>14}  {names[0]}{worded}")
    return "\n".join(lines)
