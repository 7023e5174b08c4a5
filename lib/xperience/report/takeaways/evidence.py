"""The metric rows that takeaways rest on, and why a row that is asked for isn't there."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from xperience.errors import XperienceError, did_you_mean
from xperience.evaluation.records import Record, RecordError, read_records
from xperience.project import at_root, metrics_path, run_folder
from xperience.report.provenance import shown_path
from xperience.report.tables import reason_of
from xperience.storage import file_digest

NAME = "RESEARCH_TAKEAWAYS"
"""Of the files that takeaways are written to, without ending."""
RUN, RECORD, HELDOUT = "run", "record", "heldout"
"""Whose rows: the run's, those of the published record, those of a cohort's run."""
PUBLISHED, CORRECTED = "published", "corrected"
FLOOR = "floor"
"""Stands for the best trivial baseline, whichever it is."""
HEADS = frozenset({"linear", "neural", "temporal", "ridge"})

CONTRACT, SHIFT, NEURAL, RETRIEVAL, AUDIO, EPISODES, NOTE = (
    "01_benchmark_contract",
    "02_label_shift",
    "03_neural_heads",
    "04_retrieval_and_reconstruction",
    "05_audio",
    "06_heldout_episodes",
    "08_published_record",
)
SECTIONS = {
    RUN: (CONTRACT, SHIFT, NEURAL, RETRIEVAL, AUDIO),
    RECORD: (NOTE,),
    HELDOUT: (EPISODES,),
}
"""The metric files of each column, by their notebook."""


class TakeawaysError(XperienceError):
    """Takeaways that can't be made, or are not what their metrics say."""


@dataclass(frozen=True, order=True)
class Place:
    """Whose rows are asked, and under which contract; rows of another are never looked at.

    Parameters
    ----------
    column : {"run", "record", "heldout"}
    contract : {"published", "corrected"}
    """

    column: str
    contract: str


@dataclass(frozen=True)
class Ask:
    """Which row is meant.

    Parameters
    ----------
    section : str
        The metrics file, by its notebook.
    metric : str, optional
        None takes whichever there is, if it is one.
    task, head, variant, against : str, optional
        As in `Record`; ``against`` may be `FLOOR`, the baseline that the head's own score names.
    """

    section: str
    metric: str | None = None
    task: str | None = None
    head: str | None = None
    variant: str | None = None
    against: str | None = None

    def fits(self, row: Record) -> bool:
        """Return whether a row is one that is meant, whatever its seed."""
        named = ("task", "head", "variant", "against")
        same = all(getattr(row, name) == getattr(self, name) for name in named)
        return same and self.metric in (None, row.metric)

    def __str__(self) -> str:
        """Return the ask in the words of the metrics file."""
        parts = (self.task, self.head, self.variant, self.metric)
        text = " ".join(part for part in parts if part)
        return f"{text} minus {self.against}" if self.against else text


@dataclass(frozen=True)
class Found:
    """What an ask brought: a row, or why there is none.

    Parameters
    ----------
    row : Record, optional
    why : str
        Empty exactly if there is a row.
    """

    row: Record | None
    why: str = ""


@dataclass(frozen=True)
class Evidence:
    """The metric files of a run, of the published record and of a cohort's run.

    Parameters
    ----------
    run : str
    heldout : str, optional
        The cohort's run.
    given : mapping of {(column, section): rows}, optional
        Rows to use in place of files, for trying rules out.
    """

    run: str
    heldout: str | None = None
    given: Mapping[tuple[str, str], tuple[Record, ...]] | None = field(default=None, repr=False)

    def run_of(self, column: str) -> str | None:
        """Return the run that a column's files belong to."""
        return self.heldout if column == HELDOUT else self.run

    def path(self, column: str, section: str) -> Path | None:
        """Return the metrics file of a column; None if no run stands for the column."""
        run = self.run_of(column)
        return None if run is None else metrics_path(run, section)

    def rows(self, column: str, section: str) -> tuple[list[Record], str]:
        """Return the rows of a metrics file, or none and why."""
        found = self._files.get((column, section))
        return found if found is not None else ([], f"no metrics file {section} is read here")

    def find(self, place: Place, ask: Ask) -> Found:
        """Return the row that is meant under a contract, or why there is none.

        The mean over seeds is preferred; a seed's own row counts only if it is the only one. More
        than one row that could be meant is none: nothing says which of them to believe.
        """
        rows, why = self.rows(place.column, ask.section)
        if why:
            return Found(None, why)
        if ask.against == FLOOR:
            return self._against_floor(place, ask)
        fits = [row for row in rows if row.contract == place.contract and ask.fits(row)]
        means = [row for row in fits if row.seed is None] or fits
        if not means:
            return Found(None, f"{ask} under {place.contract} is not in {self.named(place, ask)}")
        if len({row.metric for row in means}) > 1:
            return Found(None, f"{ask} is given in several measures")
        if len(means) > 1:
            many = "has one score a seed and no mean" if means[0].seed is not None else "stands in "
            many += "" if means[0].seed is not None else f"{len(means)} rows"
            return Found(None, f"{ask} {many}")
        return Found(means[0])

    def has_score(self, place: Place, ask: Ask) -> bool:
        """Return whether the head that is asked about was scored at all, in whatever measure."""
        rows, _ = self.rows(place.column, ask.section)
        wanted = (place.contract, ask.task, ask.head, ask.variant)
        return any((row.contract, row.task, row.head, row.variant) == wanted for row in rows)

    def seeds(self, place: Place, score: Record) -> list[Record]:
        """Return the rows of the seeds whose mean a score is; none if it is of one seed alone."""
        if score.seed is not None:
            return []
        names = ("contract", "task", "head", "variant", "against", "metric")
        same = [
            row
            for row in self.rows(place.column, score.section)[0]
            if all(getattr(row, name) == getattr(score, name) for name in names)
        ]
        return [row for row in same if row.seed is not None]

    def _against_floor(self, place: Place, ask: Ask) -> Found:
        """Return the difference from the baseline that the head's own score names as its floor."""
        score = self.find(place, replace(ask, against=None))
        if score.row is None:
            return score
        if score.row.value is None:
            return Found(None, reason_of(score.row))
        if score.row.floor_name is None:
            return Found(None, f"{replace(ask, against=None)} has no floor beside it")
        return self.find(place, replace(ask, against=score.row.floor_name))

    def named(self, place: Place, ask: Ask) -> str:
        """Return the name of an ask's file for readers."""
        return f"{ask.section}.json of run {self.run_of(place.column)}"

    def sources(self) -> dict[str, str | None]:
        """Return the digest of each metrics file by its shown path; None where there is none."""
        found = {}
        for column, sections in SECTIONS.items():
            for section in sections:
                path = self.path(column, section)
                if path is not None:
                    found[shown_path(path)] = file_digest(path) if path.is_file() else None
        return found

    def files(self) -> list[Path]:
        """Return the metric files that are there."""
        return [at_root(name) for name, digest in self.sources().items() if digest]

    @cached_property
    def _files(self) -> dict[tuple[str, str], tuple[list[Record], str]]:
        if self.given is not None:
            return {key: (list(rows), "") for key, rows in self.given.items()}
        return {
            (column, section): self._read(column, section)
            for column, sections in SECTIONS.items()
            for section in sections
        }

    def _read(self, column: str, section: str) -> tuple[list[Record], str]:
        path = self.path(column, section)
        if path is None:
            return [], "no run of held-out episodes was named"
        if not path.is_file():
            return [], f"{shown_path(path)} is not there"
        try:
            mine = (self.run_of(column), section)
            return [row for row in read_records(path) if (row.run, row.section) == mine], ""
        except RecordError as error:
            return [], f"{error.place} {error.found}"


def open_evidence(run: str, heldout: str | None = None) -> Evidence:
    """Return the evidence of a run that has left something.

    Parameters
    ----------
    run : str
    heldout : str, optional
        A cohort's run; it need not be there.

    Raises
    ------
    TakeawaysError
        If the run has left no folder of metrics; the nearest name is suggested.
    """
    folder = run_folder(run) / "metrics"
    if not folder.is_dir():
        known = [path.parent.name for path in at_root("artifacts").glob("*/metrics")]
        way_out = f"{did_you_mean(run, known)} Or make reproduce RUN={run}."
        raise TakeawaysError(f"artifacts/{run}/metrics", "is not there", "metric files", way_out)
    return Evidence(run, heldout)
