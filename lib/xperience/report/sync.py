"""The audit of a recording's clocks as metric rows and as a table for readers."""

import pandas as pd

from xperience.evaluation.records import Record
from xperience.report.contract import Section
from xperience.sync.audit import ClockPair, Range, SyncAudit, SyncVerdict

_MOMENTS = {"start_ms": "clock_offset_start", "end_ms": "clock_offset_end"}


def sync_rows(section: Section, audit: SyncAudit) -> list[Record]:
    """Return the rows of an audit, each with the pair of clocks as ``variant``.

    Parameters
    ----------
    section : Section
    audit : SyncAudit

    Returns
    -------
    list of Record
        ``clocks_in_step`` (1 or 0), ``clock_offset`` in ms at the middle of the recording and at
        its ends, and ``clock_drift`` in ppm, with intervals. Where the audit cannot tell, the row
        is skipped and says why; no offset is made up.
    """
    return [row for pair in audit.pairs for row in _pair_rows(section, pair)]


def _pair_rows(section: Section, pair: ClockPair) -> list[Record]:
    told = pair.verdict is not SyncVerdict.CANNOT_TELL
    more = {"variant": pair.name, "reason": pair.headline}
    value = float(pair.verdict is SyncVerdict.SYNCHRONISED) if told else None
    rows = [section.row("clocks_in_step", "1", value, higher_is_better=True, **more)]
    found = pair.misalignment
    names = ("clock_offset", *_MOMENTS.values())
    if found is None:
        rows += [section.row(name, "ms", None, **more) for name in names]
        return [*rows, section.row("clock_drift", "ppm", None, **more)]
    ranges = (found.offset_ms, *(getattr(found, moment) for moment in _MOMENTS))
    rows += [_range_row(section, name, at, more) for name, at in zip(names, ranges, strict=True)]
    if found.drift_ppm is None:
        short = more | {"reason": "the recording is too short to tell a drift"}
        return [*rows, section.row("clock_drift", "ppm", None, **short)]
    return [*rows, _range_row(section, "clock_drift", found.drift_ppm, more, unit="ppm")]


def _range_row(
    section: Section, name: str, found: Range, more: dict[str, str], unit: str = "ms"
) -> Record:
    ends = {"ci_low": found.low, "ci_high": found.high}
    return section.row(name, unit, found.value, **ends, **more)


def sync_table(audit: SyncAudit) -> pd.DataFrame:
    """Return one row a pair of clocks for readers: verdict, offset and drift with intervals.

    "Blind below" is the smallest steady offset that would have been called off.
    """
    return pd.DataFrame([_cells(pair) for pair in audit.pairs]).set_index("clocks")


def _cells(pair: ClockPair) -> dict[str, str]:
    found = pair.misalignment
    return {
        "clocks": f"{pair.late} – {pair.reference}",
        "verdict": pair.headline,
        "offset (ms)": str(found.offset_ms) if found else "",
        "blind below (ms)": f"{pair.smallest_ms:.0f}" if found else "",
        "drift (ppm)": str(found.drift_ppm) if found and found.drift_ppm else "",
        "rests on": pair.evidence,
    }
