"""The recordings of a cohort as tasks want them: labels and targets held, features left on disk."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from xperience.cohort.manifest import Entry, SplitManifest
from xperience.errors import ParamsError, XperienceError
from xperience.features.blocks import check_contract
from xperience.features.table import WindowTable
from xperience.recording.recording import Recording
from xperience.tasks.problem import Blocks
from xperience.tasks.truth import Truth

CONTRACT = "corrected"


@dataclass(frozen=True)
class CohortRecording:
    """One recording of a cohort.

    Parameters
    ----------
    entry : Entry
        Its row of the roster.
    truth : Truth
        Labels and targets, frame by frame.
    table : WindowTable
        Its windows; only read when asked.
    """

    entry: Entry
    truth: Truth
    table: WindowTable

    @property
    def n_windows(self) -> int:
        """Windows laid over it."""
        return len(self.truth.starts)

    def blocks(self) -> Blocks:
        """Return its feature blocks, to be read once each and let go."""
        return Blocks(self.table, self.table.info.missing_blocks)


@dataclass(frozen=True)
class Cohort:
    """Recordings by side, and those that cannot be used.

    Parameters
    ----------
    recordings : tuple of Recording
    lost : dict of {episode: reason}
        What the roster names but cannot be opened.
    """

    recordings: tuple[CohortRecording, ...]
    lost: dict[str, str] = field(default_factory=dict)

    def on(self, side: str) -> list[CohortRecording]:
        """Return the recordings of one side."""
        return [one for one in self.recordings if one.entry.side == side]

    def on_sides_of(self, roster: SplitManifest) -> "Cohort":
        """Return the same recordings on the sides that another roster gives them."""
        entries = {entry.episode: entry for entry in roster}
        moved = (replace(one, entry=entries[one.entry.episode]) for one in self.recordings)
        return replace(self, recordings=tuple(moved))


def tables_in(folder: Path) -> Callable[[Entry], Path]:
    """Return where each recording's windows table of the corrected contract is."""
    return lambda entry: Path(folder) / f"{entry.episode}.{CONTRACT}.parquet"


def open_cohort(
    roster: SplitManifest,
    tables: Callable[[Entry], Path],
    contract: str = CONTRACT,
    on_episode: Callable[[int, int], None] | None = None,
) -> Cohort:
    """Read the labels and targets of a cohort; features stay on disk.

    Parameters
    ----------
    roster : SplitManifest
        Whose folders hold at least each recording's annotation.
    tables : callable (Entry) -> Path
        Where each recording's windows table is.
    contract : {"published", "corrected"}
    on_episode : callable (done, total), optional

    Returns
    -------
    Cohort
        A recording that cannot be read is in ``lost``, with the reason.

    Raises
    ------
    ParamsError
        If a side has no recording that can be used.
    """
    check_contract(contract)
    found, lost = [], {}
    for number, entry in enumerate(roster, 1):
        try:
            found.append(_opened(roster, entry, tables(entry), contract))
        except (XperienceError, OSError) as error:
            lost[entry.episode] = " ".join(str(error).split())
        if on_episode:
            on_episode(number, len(roster))
    cohort = Cohort(tuple(found), lost)
    for side in ("train", "val", "test"):
        if not cohort.on(side):
            raise ParamsError(
                f"roster: {side}", f"has no recording that can be used ({_some(lost)})",
                "at least one a side", "Make the windows tables first, or mend the roster.",
            )  # fmt: skip
    return cohort


def _opened(roster: SplitManifest, entry: Entry, path: Path, contract: str) -> CohortRecording:
    table = WindowTable(path)
    table.check_made_from(roster.folder(entry), contract)
    with Recording(roster.folder(entry)) as episode:
        starts = table.labels["start_frame"].to_numpy()
        truth = Truth.of(episode, starts, contract)
    return CohortRecording(entry, truth, table)


def _some(lost: dict[str, str]) -> str:
    return "; ".join(f"{name}: {why}" for name, why in list(lost.items())[:2]) or "none named"
