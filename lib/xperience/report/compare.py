"""Two runs side by side: paired where their predictions allow it, refused where data differ."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from xperience.errors import XperienceError, did_you_mean
from xperience.evaluation.records import Record
from xperience.evaluation.uncertainty import Interval, Verdict
from xperience.project import metrics_path, predictions_path, provenance_path
from xperience.report.pairing import Kept, UnpairedError, paired, read_answers
from xperience.report.selector import rows_of_run, selector_of

NOT_PAIRED = "not compared sample by sample"
_SHOWN_FILES = 6
_LISTED = ("notebook", "parameters", "library", "python", "versions")
"""What may differ between two runs that are compared, and is listed."""


class CompareError(XperienceError):
    """Two runs that cannot be compared."""


@dataclass(frozen=True)
class Pair:
    """The same row of two runs.

    Parameters
    ----------
    first, second : Record, optional
        None where a run has no such row.
    difference : Record, optional
        First minus second on the same samples, with its interval or why there is none.
    why : str
        Why there is no difference; empty exactly if there is one.
    """

    first: Record | None
    second: Record | None
    difference: Record | None = None
    why: str = ""

    @property
    def either(self) -> Record:
        """One of the two rows, for its names."""
        row = self.first or self.second
        assert row is not None, "a pair has a row"
        return row

    @property
    def differ(self) -> bool:
        """Whether the two rows' values are not the same."""
        values = [row.value if row else None for row in (self.first, self.second)]
        return values[0] != values[1]

    @property
    def verdict(self) -> str:
        """What a paired difference allows to be said of the first run."""
        row = self.difference
        if row is None or row.value is None:
            return ""
        if row.value == 0 and not self.differ:
            return "equal"
        if row.ci_low is None or row.ci_high is None or row.ci_low <= 0 <= row.ci_high:
            return "can't tell"
        if row.higher_is_better is None:
            return "differs"
        return "better" if (row.value > 0) == row.higher_is_better else "worse"


@dataclass(frozen=True)
class Comparison:
    """What two runs say of the same data.

    Parameters
    ----------
    first, second : str
        Runs; a difference is the first's score minus the second's.
    pairs : tuple of Pair
        Per-seed rows are left out where their mean is there.
    other : dict of {section: {what: (the first's, the second's)}}
        Parameters, library, versions and notebooks that are not the same.
    left_out : dict of {section: reason}
    """

    first: str
    second: str
    pairs: tuple[Pair, ...]
    other: dict[str, dict[str, tuple[Any, Any]]]
    left_out: dict[str, str]

    def records(self) -> list[Record]:
        """Return tidy rows: paired differences; else both rows, and a skipped row that says why."""
        return [row for pair in self.pairs for row in _records(pair, self.first, self.second)]

    def to_json(self) -> str:
        """Return the comparison as JSON text."""
        found = {
            "first": self.first,
            "second": self.second,
            "other": self.other,
            "left_out": self.left_out,
            "rows": [row.model_dump(mode="json") for row in self.records()],
        }
        return json.dumps(found, indent=1, ensure_ascii=False)

    def to_text(self) -> str:
        """Return the comparison as lines for readers."""
        return "\n".join(_lines(self))


def compare_runs(first: str, second: str, *, task: str | None = None) -> Comparison:
    """Return what two runs say of the same data, row by row.

    Parameters
    ----------
    first, second : str
        Names of runs.
    task : str, optional
        Only rows of this task.

    Raises
    ------
    CompareError
        If the runs' data are not the same, a section follows other contracts, a section's
        provenance is missing, no section is in both, or the task is in neither.
    SelectorError
        If a run left no metrics.
    """
    if first == second:
        way_out = "Name another run; its folder lies in artifacts/."
        raise CompareError("RUN_A RUN_B", f"are both {first!r}", "two runs", way_out)
    rows = [_of_task(rows_of_run(run), task) for run in (first, second)]
    if task is not None and not (rows[0] or rows[1]):
        known = {row.task for run in (first, second) for row in rows_of_run(run) if row.task}
        raise CompareError("--task", f"is {task!r}", "a task", did_you_mean(task, known))
    sections = [{row.section for row in side} for side in rows]
    shared, left_out = _shared(first, second, sections)
    for section in shared:
        _expect_same_data(first, second, section)
        _expect_same_contracts(first, second, section, rows)
    pairs = [pair for section in shared for pair in _pairs(first, second, section, rows)]
    other = {section: found for section in shared if (found := _other(first, second, section))}
    return Comparison(first, second, tuple(pairs), other, left_out)


def _of_task(rows: Iterable[Record], task: str | None) -> list[Record]:
    return [row for row in rows if task is None or row.task == task]


def _shared(first: str, second: str, sections: list[set[str]]) -> tuple[list[str], dict[str, str]]:
    """Return the sections that can be compared, and why each of the others cannot."""
    left_out = {}
    for section in sorted(sections[0] ^ sections[1]):
        left_out[section] = f"only {first if section in sections[0] else second} has it"
    shared = []
    for section in sorted(sections[0] & sections[1]):
        data = _provenance(first, section).get("data", {})
        if data and all("/metrics/" in name for name in data):
            left_out[section] = "it is told from the other sections' metrics"
        else:
            shared.append(section)
    if not shared:
        found = f"share no section ({'; '.join(f'{k}: {v}' for k, v in left_out.items())})"
        way_out = "Run the same notebooks for both."
        raise CompareError(f"{first} and {second}", found, "one in both", way_out)
    return shared, left_out


def _provenance(run: str, section: str) -> Mapping[str, Any]:
    path = provenance_path(metrics_path(run, section))
    place = f"artifacts/{run}/metrics/{path.name}"
    way_out = f"Run `make reproduce RUN={run}`: without it nobody can tell which data these are."
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CompareError(
            place, f"cannot be read ({type(error).__name__})", "a provenance file", way_out
        ) from error
    if not isinstance(found, dict):
        raise CompareError(place, "is no JSON object", "a provenance object", way_out)
    return found


def _expect_same_data(first: str, second: str, section: str) -> None:
    data = [_provenance(run, section).get("data", {}) for run in (first, second)]
    digests = [sorted(side.values()) for side in data]
    if digests[0] == digests[1]:
        return
    lone = [
        name
        for side, others in zip(data, digests[::-1], strict=True)
        for name, digest in side.items()
        if digest not in others
    ]
    more = f" and {len(lone) - _SHOWN_FILES} more" if len(lone) > _SHOWN_FILES else ""
    raise CompareError(
        f"{first} and {second}: {section}",
        f"rest on other data: {', '.join(lone[:_SHOWN_FILES])}{more}",
        "the same content on both sides",
        "Run both on the same windows tables, made by the same features.",
    )


def _expect_same_contracts(first: str, second: str, section: str, rows: list[list[Record]]) -> None:
    found = [sorted({row.contract for row in side if row.section == section}) for side in rows]
    if found[0] != found[1]:
        raise CompareError(
            f"{first} and {second}: {section}",
            f"follow the contracts {', '.join(found[0])} and {', '.join(found[1])}",
            "the same contracts",
            "Scores of two contracts are answers to two questions: run both under the same.",
        )


def _other(first: str, second: str, section: str) -> dict[str, tuple[Any, Any]]:
    """Return what may differ between the runs of a section, and does."""
    sides = [_provenance(run, section) for run in (first, second)]
    flat = [_flat({name: side.get(name) for name in _LISTED}) for side in sides]
    names = sorted(flat[0].keys() | flat[1].keys())
    differ = (name for name in names if flat[0].get(name) != flat[1].get(name))
    return {name: (flat[0].get(name), flat[1].get(name)) for name in differ}


def _flat(found: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in found.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{before}{name}.")
        else:
            flat[before + name] = value
    return flat


def _pairs(first: str, second: str, section: str, rows: list[list[Record]]) -> Iterator[Pair]:
    runs = (first, second)
    mine, theirs = (_by_key(side, section) for side in rows)
    kept = [read_answers(predictions_path(run, section)) for run in runs]
    for key in dict.fromkeys([*mine, *theirs]):
        one, other = mine.get(key), theirs.get(key)
        if one is None or other is None:
            yield Pair(one, other, None, f"only {second if one is None else first} has this row")
        else:
            yield _pair(one, other, (kept[0], kept[1]), runs)


def _by_key(rows: Iterable[Record], section: str) -> dict[tuple[Any, ...], Record]:
    """Return a section's rows by what tells them apart but the run; a mean stands for its seeds."""
    found = {row.key[1:]: row for row in rows if row.section == section}
    return {key: row for key, row in found.items() if key[-1] is None or not _has_mean(key, found)}


def _has_mean(key: tuple[Any, ...], found: Mapping[tuple[Any, ...], Record]) -> bool:
    return (*key[:-1], None) in found


def _pair(one: Record, other: Record, kept: tuple[Kept, Kept], runs: tuple[str, str]) -> Pair:
    try:
        found = paired(one, other, kept)
    except UnpairedError as reason:
        return Pair(one, other, None, f"{NOT_PAIRED}: {reason}")
    return Pair(one, other, _difference(one, found, runs))


def _difference(row: Record, found: Interval, runs: tuple[str, str]) -> Record:
    names = ("section", "contract", "task", "head", "variant", "metric", "unit", "seed")
    said = {name: getattr(row, name) for name in (*names, "higher_is_better", "n_train", "n_test")}
    said |= {"run": runs[0], "against": runs[1], "n_effective": found.n_effective}
    if found.estimate is None:
        return Record(**said, status="degenerate", reason=found.reason or "no score")
    if found.verdict is Verdict.OK:
        said |= {"ci_low": found.low, "ci_high": found.high}
    else:
        said["ci_reason"] = f"{found.verdict}: {found.reason}"
    return Record(**said, value=found.estimate)


def _records(pair: Pair, first: str, second: str) -> Iterator[Record]:
    if pair.difference is not None:
        yield pair.difference
        return
    for run, row in ((first, pair.first), (second, pair.second)):
        if row is not None:
            yield row.model_copy(update={"run": run})
    if pair.either.against is None:
        left = {"value", "ci_low", "ci_high", "ci_reason", "spread", "floor", "floor_name", "skill"}
        said = pair.either.model_dump(exclude={*left, "ceiling", "n_effective"})
        said |= {"run": first, "against": second, "status": "skipped", "reason": pair.why}
        yield Record(**said)


def _lines(found: Comparison) -> Iterator[str]:
    yield f"{found.first} minus {found.second}, on the same data"
    for section, names in found.other.items():
        yield f"  {section}: other {', '.join(names)}"
    for section, reason in found.left_out.items():
        yield f"  {section} is left out: {reason}"
    whole = [pair for pair in found.pairs if pair.difference is not None]
    yield f"\n{len(whole)} rows compared sample by sample, each interval on its own (95 %):"
    yield from (_paired_line(pair) for pair in whole if pair.verdict != "equal")
    yield f"  {sum(pair.verdict == 'equal' for pair in whole)} are equal"
    rest = [pair for pair in found.pairs if pair.difference is None]
    yield f"\n{len(rest)} rows side by side, without a verdict:"
    yield from (_side_line(pair) for pair in rest if pair.differ)
    yield f"  {sum(not pair.differ for pair in rest)} have the same value"


def _paired_line(pair: Pair) -> str:
    row = pair.difference
    assert row is not None, "only paired rows are shown here"
    if row.value is None:
        return f"  {selector_of(pair.either)}: {row.reason}"
    ends = f"[{row.ci_low:+.4g}, {row.ci_high:+.4g}]" if row.ci_low is not None else row.ci_reason
    return f"  {selector_of(pair.either)}: {row.value:+.4g} {ends} {pair.verdict}"


def _side_line(pair: Pair) -> str:
    values = [_shown(row) for row in (pair.first, pair.second)]
    return f"  {selector_of(pair.either)}: {values[0]} | {values[1]} ({pair.why})"


def _shown(row: Record | None) -> str:
    if row is None:
        return "no row"
    return row.status if row.value is None else f"{row.value:.4g}"
