"""Scores as tidy rows, each with its baseline, counts and reason, and the file they live in.

A metrics file is a JSON list of rows, so ``pandas.read_json(path)`` reads it. What the rows rest on
(data, parameters, library, versions) stands beside it in ``<section>.provenance.json``.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from xperience.errors import XperienceError
from xperience.project import provenance_path
from xperience.storage import write_json

if TYPE_CHECKING:
    import pandas as pd

Status = Literal["ok", "skipped", "degenerate"]
KEY = ("run", "section", "contract", "task", "head", "variant", "against", "metric", "seed")

FLOOR = "floor"
"""Variant, or its end, of a trivial baseline's own score."""
ALPHA = 0.05
"""Greatest corrected p of a difference that is called better or worse."""
MIN_SEEDS = 5
"""Seeds without which nothing is said of a network."""
DISAGREE = "seeds disagree"
"""Begins it where some seeds of a network are on the other side of their mean."""
UNSTABLE = "unstable"
"""Begins `Record.no_verdict` where a value hangs on the rounding of its computation."""

ACROSS, ENDS, WITHIN, GAP = "across", "across_ends", "within", "gap"
"""Variants of held-out rows: all windows of test recordings; those of their ends, by heads that
learnt from other recordings and by heads that learnt from the beginning of each; the difference."""
POOLED, POOLED_ENDS = "rotated", "rotated_ends"
POOLED_WITHIN, POOLED_GAP = "rotated_within", "rotated_gap"
"""The same, pooled over the folds of a cross-validation."""
ABLATION, SCALING, ONE_WORTH = "ablation/", "scaling/recordings=", "/windows_of_one"
"""How variants begin that leave inputs out, and that learn from so many recordings; how they end
if these give no more windows than one recording has."""

STITCHED = "stitched_hand_forecast"
"""Task of the published record's rows: hands along one trajectory."""
PRESENT_KNOWN, ROLLING = "present_known", "walk_forward"
"""Variants of its rows: test windows at whose end the hands are known; a rolling origin."""
ANSWERING, METADATA, ANSWERED = "qwen3_omni", "metadata_baseline", "heldout_"
"""Who answered about real held-out episodes, as heads; what begins the names of these tasks."""
SHUFFLED, WITHOUT_ONE = "shuffled_within_episode", "without_one_episode"
"""What their scores are compared with besides floors; variant: the score without one episode."""


class RecordError(XperienceError):
    """A score row that is incomplete or contradicts itself."""


class Record(BaseModel):
    """One score and all that it must not travel without.

    Parameters
    ----------
    run, section, contract : str
        The run, the notebook (or command) that scored, and the benchmark contract it followed.
    metric, unit : str
        What was measured, and its unit ("1" for shares and other pure numbers).
    higher_is_better : bool, optional
        The metric's direction; None for a description (a count) that has none.
    task, head, variant : str, optional
        Which task was scored, by which kind of head, with which inputs or on which samples.
    against : str, optional
        Head or baseline whose score is subtracted: the row's value is a paired difference.
    value : float, optional
        The score; None exactly when there is none, and then ``reason`` says why.
    ci_low, ci_high : float, optional
        Ends of the 95 % interval, both or neither.
    ci_reason : str, optional
        Why there is no interval, where one was asked for.
    p, p_holm : float, optional
        Of a difference: two-sided p of it being 0, and the same adjusted for its family (`holm`).
    n_seeds : int, optional
        Seeds of a network whose mean the value is; None where nothing was trained at random.
    spread : float, optional
        Standard deviation over all seeds of that network.
    no_verdict : str, optional
        Why nothing follows from the row, though it has a value: too few seeds, seeds that disagree,
        or `UNSTABLE` and how.
    floor, floor_name : float and str, optional
        The strongest trivial baseline's score and name, both or neither.
    skill : float, optional
        How far the score goes from that floor (0) towards perfection (1); below 0 it is worse.
    ceiling : float, optional
        The best score that the task allows.
    n_train, n_test : int, optional
        Samples on each side of the split.
    n_effective : float, optional
        Independent test samples that the overlapping ones are worth.
    seed : int, optional
        Seed of the head, where it has one.
    status : {"ok", "skipped", "degenerate"}
        Whether the score stands, could not be had, or would mean nothing.
    reason : str, optional
        Why a row has no score.

    Raises
    ------
    pydantic.ValidationError
        If a number is not finite, a pair is half there, or status and value contradict each other.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    run: str
    section: str
    contract: str
    task: str | None = None
    head: str | None = None
    variant: str | None = None
    against: str | None = None
    metric: str
    unit: str = "1"
    higher_is_better: bool | None = None
    value: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    ci_reason: str | None = None
    p: float | None = None
    p_holm: float | None = None
    n_seeds: int | None = None
    spread: float | None = None
    no_verdict: str | None = None
    floor: float | None = None
    floor_name: str | None = None
    skill: float | None = None
    ceiling: float | None = None
    n_train: int | None = None
    n_test: int | None = None
    n_effective: float | None = None
    seed: int | None = None
    status: Status = "ok"
    reason: str | None = None

    @model_validator(mode="after")
    def _whole(self) -> "Record":
        _require((self.value is not None) == (self.status == "ok"), "a value exactly if ok")
        _require(self.status == "ok" or bool(self.reason), "a reason unless the status is ok")
        _require((self.ci_low is None) == (self.ci_high is None), "both ends of an interval")
        _require((self.floor is None) == (self.floor_name is None), "a floor with its name")
        _require(self.skill is None or self.floor is not None, "a floor for its skill")
        _require(self.ci_low is None or not self.ci_reason, "an interval or why there is none")
        if self.ci_low is not None and self.ci_high is not None:
            _require(self.ci_low <= self.ci_high, "ci_low not above ci_high")
        counts = (self.n_train, self.n_test, self.n_effective)
        _require(all(count is None or count >= 0 for count in counts), "counts of 0 or more")
        return self

    @property
    def tells(self) -> bool:
        """Whether something follows from the row: it has seeds enough and doesn't hang on rounding.

        Seeds that disagree tell that there is no clear difference.
        """
        return self.no_verdict is None or self.no_verdict.startswith(DISAGREE)

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells this row from every other in its file."""
        return tuple(getattr(self, name) for name in KEY)


def _require(holds: bool, expected: str) -> None:
    if not holds:
        raise ValueError(f"a row needs {expected}")


def holm(rows: Iterable[Record]) -> list[Record]:
    """Return rows whose differences carry p-values adjusted for the number of comparisons.

    A family is the same comparison (head, variant, and rival: another head, or whichever trivial
    baseline is best) over the tasks of a section and contract. Calling better or worse what stays
    at or below 5 % makes any false one among them at most 5 % likely, however the tests depend on
    each other (S. Holm, Scandinavian Journal of Statistics 6, 1979). A row from which nothing
    follows is none of the family: a p that hangs on rounding must not move its neighbours'. Rows
    that are adjusted already are adjusted anew.
    """
    rows = list(rows)
    trivial = {row.head for row in rows if (row.variant or "").endswith(FLOOR)}
    families: dict[tuple[Any, ...], list[int]] = {}
    for place, row in enumerate(rows):
        if row.p is not None and row.task is not None and row.tells:
            rival = FLOOR if row.against in trivial else row.against
            key = row.run, row.section, row.contract, row.head, row.variant, rival, row.seed
            families.setdefault(key, []).append(place)
    for places in families.values():
        ordered = sorted(places, key=lambda place: rows[place].p)
        least = 0.0
        for rank, place in enumerate(ordered):
            least = max(least, min(1.0, (len(ordered) - rank) * rows[place].p))
            rows[place] = rows[place].model_copy(update={"p_holm": least})
    return rows


def write_records(
    path: Path | str, rows: Iterable[Record], provenance: Mapping[str, Any] | None = None
) -> None:
    """Write rows as a metrics file, with their provenance beside it.

    Parameters
    ----------
    path : path
        The metrics file, ``<section>.json``.
    rows : iterable of Record
        At least one; no two may have the same key.
    provenance : mapping, optional
        What the rows rest on (see ``xperience.report.provenance``); its file is left alone without.

    Raises
    ------
    RecordError
        If there are no rows, or two rows share a key.
    """
    rows = holm(rows)
    _check_rows(rows, Path(path).name)
    if provenance is not None:
        write_json(provenance_path(path), dict(provenance))
    write_json(path, [row.model_dump(mode="json") for row in rows])


def _check_rows(rows: list[Record], place: str) -> None:
    if not rows:
        raise RecordError(
            place, "would hold no rows", "at least one", "Write a skipped row with its reason."
        )
    key, count = Counter(row.key for row in rows).most_common(1)[0]
    if count > 1:
        names = ", ".join(f"{n}={v}" for n, v in zip(KEY, key, strict=True) if v is not None)
        raise RecordError(
            f"{place}: {names}", f"stands in {count} rows", "one row", "Tell them apart by variant."
        )


def read_records(path: Path | str) -> list[Record]:
    """Return the rows of a metrics file, checked.

    Raises
    ------
    RecordError
        If the file is not a list of rows as declared.
    """
    path = Path(path)
    try:
        rows = [Record.model_validate(row) for row in json.loads(path.read_text(encoding="utf-8"))]
    except (ValidationError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise RecordError(
            path.name, f"is no metrics file ({reason})", "a list of rows", "Make it again."
        ) from error
    _check_rows(rows, path.name)
    return rows


def records_table(rows: Iterable[Record]) -> "pd.DataFrame":
    """Return rows as a table, one column a field, missing values as NaN."""
    columns = list(Record.model_fields)
    import pandas as pd  # noqa: PLC0415 - half a second that only tables need

    return pd.DataFrame([row.model_dump() for row in rows], columns=columns)
