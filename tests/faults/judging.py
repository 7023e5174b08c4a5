"""What became of a damaged recording: read through the public entry points, compared, classed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest

from xperience.errors import XperienceError
from xperience.features.blocks import BLOCKS, CONTRACTS, Block, streams_needed
from xperience.features.extract import extract
from xperience.features.table import WindowTable
from xperience.recording import layout
from xperience.recording.inspect import EpisodeReport, inspect_episode
from xperience.sync.audit import audit_episode

from .plausible import implausible

LABELS = ("action", "action_share", "subtask", "subtask_share")
NAMED, MASKED, ERROR = "named fault", "masked result", "error message"
UNCHANGED, UNDETECTABLE, NEVER = "no value changed", "undetectable", "NEVER"
OUTCOMES = (NAMED, MASKED, ERROR, UNCHANGED, UNDETECTABLE)


CAPTIONED = {"captions", "pose"}
"""What captions rest on: they name frames, whose names and times come with the poses."""


@dataclass(frozen=True)
class Readings:
    """What the entry points say of a recording; a table under each contract, or why not."""

    report: EpisodeReport
    tables: Mapping[str, WindowTable | XperienceError]

    @cached_property
    def values(self) -> dict[str, dict[str, np.ndarray]]:
        """What the tables hold, by contract and block."""
        return {
            contract: {block.name: table.block(block.name) for block in BLOCKS}
            for contract, table in self.tables.items()
        }

    @property
    def named(self) -> set[str]:
        """Streams of which `inspect` says that something is wrong."""
        return {row.stream for row in self.report.streams if row.status != "ok" or row.faults}


def read(folder: Path, out: Path, cache: Path) -> Readings:
    """Read a recording as `inspect`, `sync` and `features` do; only our own errors may come."""
    report = inspect_episode(folder)
    assert report.to_json()
    assert report.to_text()
    if report.usable:
        assert audit_episode(folder).to_json()
    else:
        with pytest.raises(XperienceError) as caught:
            audit_episode(folder)
        assert_whole(caught.value)
    tables: dict[str, WindowTable | XperienceError] = {}
    for contract in CONTRACTS:
        path = out / f"{contract}.parquet"
        try:
            extract(folder, path, contract=contract, cache=cache, workers=1)
            tables[contract] = WindowTable(path)
        except XperienceError as error:
            assert not path.exists()
            tables[contract] = error
    return Readings(report, tables)


def assert_whole(error: XperienceError) -> None:
    """An error message is one line that names place, found, expected and a way out."""
    assert all((error.place, error.found, error.expected, error.way_out)), repr(error)
    assert "\n" not in str(error)
    assert error.way_out.endswith((".", "?", "`", "!"))


def outcome(clean: Readings, seen: Readings, folders: tuple[Path, Path]) -> str:
    """Return the class of what became of a fault; fail on what must never be.

    A difference counts as named if the table's own notes (missing and partial blocks) tell of the
    block, or `inspect` tells of a stream that the block is made of. A window that became null must
    be told of by the table itself. What changed and isn't named must be undetectable; see
    `plausible`. ``clean`` and ``seen`` are of the recording without and with the fault.
    """
    errors = [table for table in seen.tables.values() if isinstance(table, XperienceError)]
    for error in errors:
        assert_whole(error)
    if not seen.report.usable:
        assert seen.report.faults
        assert len(errors) == len(CONTRACTS), "a table of a recording that inspect calls unusable"
    if errors:
        return ERROR
    unnamed: dict[str, set[str]] = {}
    masked = changed = False
    for contract in CONTRACTS:
        found = _compared(clean, seen, contract)
        masked |= contract == "corrected" and bool(found.masked)
        changed |= bool(found.masked or found.changed)
        unnamed |= found.unnamed
    if unnamed:
        contradicted = implausible(*folders, set().union(*unnamed.values()))
        assert not contradicted, f"not told of: {sorted(unnamed)}; cannot be true: {contradicted}"
        return UNDETECTABLE
    if masked:
        return MASKED
    infos = [table.info for table in seen.tables.values()]
    if changed or seen.named or any(i.partial_blocks or i.missing_blocks for i in infos):
        return NAMED
    return UNCHANGED


@dataclass
class _Compared:
    """How a table differs from the clean recording's."""

    masked: set[str] = field(default_factory=set)  # columns with new nulls
    changed: set[str] = field(default_factory=set)  # columns with other values
    unnamed: dict[str, set[str]] = field(default_factory=dict)  # untold differences: their streams


def _compared(clean: Readings, seen: Readings, contract: str) -> _Compared:
    calm, table = clean.tables[contract], seen.tables[contract]
    notes = table.info.missing_blocks | table.info.partial_blocks
    found = _Compared()
    n = min(len(calm), len(table))
    if len(table) != len(calm) and not seen.named:
        found.unnamed[f"{contract}: {len(table)} windows"] = {"captions"}
    for block in BLOCKS:
        was, now = (read.values[contract][block.name][:n] for read in (clean, seen))
        assert not np.isinf(now).any(), f"{contract}: {block.name} holds infinity"
        streams = set(streams_needed(block, contract)) | _behind(block, contract)
        told = bool(notes.get(block.name))
        null = np.isnan(now).any(axis=1) & ~np.isnan(was).any(axis=1)
        if null.any():
            found.masked.add(block.name)
            if not told:
                found.unnamed[f"{contract}: nulls of {block.name}"] = streams
        if ((now != was).any(axis=1) & ~np.isnan(now).any(axis=1)).any():
            found.changed.add(block.name)
            if not told and not seen.named & _told_by(block, contract):
                found.unnamed[f"{contract}: {block.name}"] = streams
    was, now = (t.labels[list(LABELS)][:n].reset_index(drop=True) for t in (calm, table))
    if not was.equals(now):
        found.changed.add("labels")
        if not seen.named & CAPTIONED:
            found.unnamed[f"{contract}: labels"] = {"captions"}
    return found


def _told_by(block: Block, contract: str) -> set[str]:
    """Return the streams of which `inspect` may tell instead of a block's own note."""
    needed = set(streams_needed(block, contract))
    return needed | CAPTIONED if "captions" in needed else needed


def _behind(block: Block, contract: str) -> set[str]:
    """Return streams that a block rests on without being made of them."""
    posed = block.name.startswith(("camera_", "hand_", "body_joints"))
    if block.modality == "audio":
        return {layout.AUDIO_CAMERA}  # its frames say when
    if contract == "published":
        return {"calibration"} if block.name.startswith("camera_") else set()
    return {"calibration", "imu", "pose"} if posed else set()
