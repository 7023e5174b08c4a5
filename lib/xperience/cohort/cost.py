"""What a cohort costs: bytes to download and to keep, core-hours, hours; and what that rests on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from xperience.cohort.rates import Rates
from xperience.cohort.roster import COLUMNS, Roster, read_roster
from xperience.cohort.stock import ListingError, read_stock
from xperience.errors import ParamsError, TextError
from xperience.evaluation.records import Record
from xperience.text import read_table


@dataclass(frozen=True)
class Volume:
    """How much recording there is.

    Parameters
    ----------
    n_episodes : int
    download_bytes : float
        Of all their files.
    n_frames : float
    basis : str
        Where these numbers come from, in words.
    """

    n_episodes: int
    download_bytes: float
    n_frames: float
    basis: str


@dataclass(frozen=True)
class Machine:
    """What does the work.

    Parameters
    ----------
    cores : int
        Processor cores, over all machines; they are taken to share the work without loss.
    mbit_per_s : float
        Bandwidth of the download, 10⁶ bits a second.
    """

    cores: int
    mbit_per_s: float

    def __post_init__(self) -> None:
        for name, value in (("cores", self.cores), ("bandwidth", self.mbit_per_s)):
            if not value > 0:
                raise ParamsError(name, f"is {value}", "a number above 0", "Correct it.")


@dataclass(frozen=True)
class Cost:
    """The cost of turning a volume of recordings into windows tables under both contracts.

    Parameters
    ----------
    volume : Volume
    machine : Machine
    rates : Rates
        What the core-hours are extrapolated from.
    core_h_by_frames, core_h_by_bytes : float
        Core-hours if work grows with frames, and if it grows with bytes. A frame of more bytes
        costs more, but less than in proportion, so the cost is expected in between; where the
        recordings to come have frames like the measured ones, the two agree.
    keep_bytes, keep_slim_bytes : float or None
        Of recordings and tables, and if only tables and slim annotations are kept; None if the
        measurements don't tell.
    """

    volume: Volume
    machine: Machine
    rates: Rates
    core_h_by_frames: float
    core_h_by_bytes: float
    keep_bytes: float | None
    keep_slim_bytes: float | None

    @property
    def core_h(self) -> tuple[float, float]:
        """Least and most core-hours."""
        low, high = sorted((self.core_h_by_frames, self.core_h_by_bytes))
        return low, high

    @property
    def download_h(self) -> float:
        """Hours of download."""
        return self.volume.download_bytes * 8 / (self.machine.mbit_per_s * 1e6) / 3600

    @property
    def wall_h(self) -> tuple[float, float]:
        """Least and most hours: download and work overlap wholly, or not at all."""
        low, high = (hours / self.machine.cores for hours in self.core_h)
        return max(low, self.download_h), high + self.download_h


def volume_of(path: Path | str) -> tuple[int, int, str]:
    """Return the number of episodes in a roster or listing, their bytes, and a note.

    Parameters
    ----------
    path : path
        A roster, or a listing of a dataset, of which complete episodes count.

    Raises
    ------
    RosterError, ListingError
        If it is neither, or its sizes are unknown.
    """
    path = Path(path)
    sizes = _roster_sizes(read_roster(path)) if _is_roster(path) else _stock_sizes(path)
    known = [size for size in sizes if size]
    if not known:
        raise ListingError(
            path.name, f"tells the size of none of {len(sizes)} episodes", "size_bytes",
            "Choose from a listing with sizes, or give --episodes alone.",
        )  # fmt: skip
    note = f"sizes of {len(known)} episodes in {path.name}"
    if len(known) < len(sizes):
        note += f", their mean for {len(sizes) - len(known)} others"
    return len(sizes), round(sum(known) / len(known) * len(sizes)), note


def _is_roster(path: Path) -> bool:
    if path.suffix == ".json" or not path.is_file():
        return False
    try:
        rows = read_table(path)
    except (OSError, TextError):
        return False  # the reader of listings says what is wrong with it
    return bool(rows) and set(COLUMNS[:4]) <= rows[0][1].keys()


def _roster_sizes(roster: Roster) -> list[int]:
    return [entry.size_bytes for entry in roster]


def _stock_sizes(path: Path) -> list[int]:
    return [one.size_bytes for one in read_stock(path) if one.complete]


def plan_volume(
    rates: Rates,
    episodes: Path | str | None = None,
    n_episodes: int | None = None,
    frames_per_episode: float | None = None,
) -> Volume:
    """Return how much recording a cohort is.

    Parameters
    ----------
    rates : Rates
        Serves for what is not known otherwise.
    episodes : path, optional
        A roster or listing, whose sizes count; else an episode is as large as a measured one.
    n_episodes : int, optional
        As many episodes, each of the mean size; all those of the roster or listing without.
    frames_per_episode : float, optional
        Mean length; that of the measured episodes without.
    """
    if episodes is None:
        if n_episodes is None:
            raise ParamsError(
                "cohort", "is neither a roster nor a number", "one of them",
                "Name a roster or a listing, or give --episodes.",
            )  # fmt: skip
        total, read, note = len(rates.episodes), rates.total("bytes_read"), "sizes as measured"
    else:
        total, read, note = volume_of(episodes)
    number = n_episodes or total
    if number != total:
        note += f", scaled from {total:,} to {number:,} episodes"
    length = frames_per_episode or rates.frames_per_episode
    given = "given" if frames_per_episode else "as measured"
    note += f"; {length:,.0f} frames an episode, {given}"
    return Volume(number, read * number / total, length * number, note)


def cost_of(volume: Volume, rates: Rates, machine: Machine) -> Cost:
    """Extrapolate measured rates to a volume.

    Parameters
    ----------
    volume : Volume
    rates : Rates
    machine : Machine
    """
    tables, slim = rates.kept_per_frame("table_bytes"), rates.kept_per_frame("slim_bytes")
    table_bytes = None if tables is None else tables * volume.n_frames
    return Cost(
        volume=volume,
        machine=machine,
        rates=rates,
        core_h_by_frames=rates.core_s_per_frame * volume.n_frames / 3600,
        core_h_by_bytes=rates.core_s_per_byte * volume.download_bytes / 3600,
        keep_bytes=None if table_bytes is None else volume.download_bytes + table_bytes,
        keep_slim_bytes=(
            None if table_bytes is None or slim is None else table_bytes + slim * volume.n_frames
        ),
    )


def cost_text(cost: Cost) -> str:
    """Return a cost as lines, the last of which say what it rests on."""
    volume, machine = cost.volume, cost.machine
    cores = "core" if machine.cores == 1 else "cores"
    longer = volume.n_frames / cost.rates.total("n_frames")
    heavier = volume.download_bytes / volume.n_frames / cost.rates.bytes_per_frame
    low, high = (hours(value) for value in cost.wall_h)
    by_frames, by_bytes = (_short(value) for value in (cost.core_h_by_frames, cost.core_h_by_bytes))
    lines = [
        f"episodes      {volume.n_episodes:,}",
        f"download      {size(volume.download_bytes)}, {hours(cost.download_h)} at "
        f"{machine.mbit_per_s:,g} Mbit/s",
        f"keep          {size(cost.keep_bytes)} with recordings, "
        f"{size(cost.keep_slim_bytes)} without videos and depth",
        f"core-hours    {by_frames} by frames, {by_bytes} by bytes",
        f"wall time     {low} to {high} on {machine.cores:,} {cores}",
        f"volume from   {volume.basis}",
        f"rates from    {cost.rates.basis}",
        f"extrapolated  to {_short(longer)} times the frames, "
        f"each of {_short(heavier)} times the bytes",
    ]
    return "\n".join(lines)


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def size(n_bytes: float | None) -> str:
    """Return a number of bytes as text.

    >>> size(2.33e9), size(None)
    ('2.33 GB', 'unknown')
    """
    if n_bytes is None:
        return "unknown"
    for unit, factor in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.3g} {unit}"
    return f"{n_bytes / 1e3:.3g} kB"


def hours(number: float) -> str:
    """Return hours as text, in the unit that suits.

    >>> hours(0.01), hours(5), hours(100)
    ('36 s', '5 h', '4.17 days')
    """
    if number < 1 / 60:
        return f"{number * 3600:.3g} s"
    if number < 1:
        return f"{number * 60:.3g} min"
    return f"{number:.3g} h" if number < 48 else f"{number / 24:.3g} days"


def cost_rows(costs: Sequence[Cost], run: str, section: str) -> Iterator[Record]:
    """Yield costs as tidy rows; ``variant`` is the number of episodes, ``reason`` the basis.

    Parameters
    ----------
    costs : sequence of Cost
        Of different numbers of episodes.
    run, section : str
        What the rows belong to.
    """
    for cost in costs:
        base = {"run": run, "section": section, "contract": "corrected"}
        base["variant"] = f"{cost.volume.n_episodes}_episodes"
        basis = f"{cost.volume.basis}; rates from {cost.rates.basis}"
        for metric, unit, value in _values(cost):
            if value is None:
                reason = "the measurements tell no sizes of tables or slim annotations"
                yield Record(**base, metric=metric, unit=unit, status="skipped", reason=reason)
            else:
                yield Record(**base, metric=metric, unit=unit, value=value, reason=basis)


def _values(cost: Cost) -> list[tuple[str, str, float | None]]:
    low, high = cost.wall_h
    return [
        ("download", "B", cost.volume.download_bytes),
        ("keep_with_recordings", "B", cost.keep_bytes),
        ("keep_without_videos", "B", cost.keep_slim_bytes),
        ("core_hours_by_frames", "h", cost.core_h_by_frames),
        ("core_hours_by_bytes", "h", cost.core_h_by_bytes),
        ("download_time", "h", cost.download_h),
        ("least_wall_time", "h", low),
        ("most_wall_time", "h", high),
    ]
