"""The recordings of a cohort as tasks want them: labels and targets held, features left on disk."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from xperience.cohort.manifest import SPLITS, Entry, SplitManifest
from xperience.errors import ParamsError, XperienceError
from xperience.features.table import WindowTable
from xperience.recording.recording import Recording
from xperience.tasks.problem import Blocks
from xperience.tasks.truth import Truth

CONTRACT = "corrected"


@dataclass(frozen=True)
class CohortRecording:
    """One recording of a cohort."""

    entry: Entry  # its row of the split manifest
    truth: Truth  # labels and targets, frame by frame
    table: WindowTable  # its windows; only read when asked

    @property
    def n_windows(self) -> int:
        """Windows laid over it."""
        return len(self.truth.starts)

    def blocks(self) -> Blocks:
        """Return its feature blocks, to be read once each and let go."""
        return Blocks(self.table, self.table.info.missing_blocks)


@dataclass(frozen=True)
class Cohort:
    """Recordings with their splits; ``lost`` says of episodes why they cannot be opened."""

    recordings: tuple[CohortRecording, ...]
    lost: dict[str, str] = field(default_factory=dict)

    def on(self, side: str) -> list[CohortRecording]:
        """Return the recordings of one split."""
        return [one for one in self.recordings if one.entry.side == side]

    def split_as(self, manifest: SplitManifest) -> "Cohort":
        """Return the same recordings in the splits of another manifest."""
        entries = {entry.episode: entry for entry in manifest}
        moved = (replace(one, entry=entries[one.entry.episode]) for one in self.recordings)
        return replace(self, recordings=tuple(moved))


def tables_in(folder: Path) -> Callable[[Entry], Path]:
    """Return where each recording's windows table of the corrected contract is."""
    return lambda entry: Path(folder) / f"{entry.episode}.{CONTRACT}.parquet"


def open_cohort(manifest: SplitManifest, tables: Callable[[Entry], Path]) -> Cohort:
    """Read the labels and targets of a cohort; features stay on disk.

    The manifest's folders hold at least each recording's annotation; for ``tables`` see
    `tables_in`. An episode that cannot be read is in the cohort's ``lost``; if a split has no
    recording that can be used, that is a ParamsError.
    """
    found, lost = [], {}
    for entry in manifest:
        folder = manifest.folder(entry)
        try:
            table = WindowTable(tables(entry))
            table.check_made_from(folder, CONTRACT)
            with Recording(folder) as episode:
                truth = Truth.of(episode, table.labels["start_frame"].to_numpy(), CONTRACT)
        except (XperienceError, OSError) as error:
            lost[entry.episode] = " ".join(str(error).split())
        else:
            found.append(CohortRecording(entry, truth, table))
    cohort = Cohort(tuple(found), lost)
    some = "; ".join(f"{name}: {why}" for name, why in list(lost.items())[:2]) or "none named"
    for side in SPLITS:
        if not cohort.on(side):
            raise ParamsError(
                f"split manifest: {side}", f"has no recording that can be used ({some})",
                "at least one in each split",
                "Make the windows tables first, or mend the split manifest.",
            )  # fmt: skip
    return cohort
