"""The windows table: Parquet that pandas, DuckDB and Hugging Face `datasets` read without us."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from xperience.errors import XperienceError, did_you_mean
from xperience.features.blocks import BLOCKS, BLOCKS_BY_NAME, Block
from xperience.features.windows import WINDOW_FRAMES
from xperience.recording.files import digests_before_slim, recording_digests
from xperience.storage import whole_file

if TYPE_CHECKING:
    import pandas as pd


class TableError(XperienceError):
    """A windows table that does not belong to a recording."""


@dataclass(frozen=True)
class TableInfo:
    """What a windows table says of itself, in its Parquet metadata, one JSON value a field."""

    contract: str  # version of the feature contract
    episode: str  # name of the episode's folder
    main_task: str  # what the recording shows
    n_frames: int
    fps: float  # frames per second
    sources: dict[str, str]  # SHA-256 of every file that the table follows from, by name
    missing_blocks: dict[str, str]  # why, of blocks that hold nothing but nulls
    partial_blocks: dict[str, str]  # what is odd: nulls in some windows, or a stream with faults


@dataclass(frozen=True)
class WindowRows:
    """Some rows of the table.

    A row of a block that is not finite becomes null: the stream does not cover the window, or its
    statistics are beyond float32.
    """

    window: np.ndarray
    start_frame: np.ndarray
    action: list[tuple[str | None, float]]  # label and its share
    subtask: list[tuple[str | None, float]]
    blocks: dict[str, np.ndarray | None]  # float32 (n, dim)


_LABEL_FIELDS = (
    ("window", pa.int32()),
    ("start_frame", pa.int32()),
    ("end_frame", pa.int32()),
    ("center_frame", pa.int32()),
    ("action", pa.string()),
    ("action_share", pa.float64()),
    ("subtask", pa.string()),
    ("subtask_share", pa.float64()),
)


def write_table(path: Path, info: TableInfo, chunks: Iterable[WindowRows]) -> TableInfo:
    """Write a windows table, a row group a chunk, whole or not at all; return its info as given."""
    columns = [pa.field(name, kind) for name, kind in _LABEL_FIELDS]
    columns += [pa.field(block.name, pa.list_(pa.float32(), block.dim)) for block in BLOCKS]
    schema = pa.schema(columns, metadata=_metadata(info))
    with (
        whole_file(path) as scratch,
        pq.ParquetWriter(scratch, schema, compression="zstd", use_dictionary=False) as writer,
    ):
        for rows in chunks:
            writer.write_table(_arrow(rows, schema))
    return info


def _metadata(info: TableInfo) -> dict[str, str]:
    return {key: json.dumps(value, ensure_ascii=False) for key, value in asdict(info).items()}


def _arrow(rows: WindowRows, schema: pa.Schema) -> pa.Table:
    end = rows.start_frame + WINDOW_FRAMES - 1
    columns: list = [rows.window, rows.start_frame, end, (rows.start_frame + end) // 2]
    for labels in (rows.action, rows.subtask):
        columns += [[label for label, _ in labels], [share for _, share in labels]]
    columns += [_block_column(rows.blocks[block.name], len(end), block.dim) for block in BLOCKS]
    arrays = [pa.array(c, f.type) if not isinstance(c, pa.Array) else c
              for c, f in zip(columns, schema, strict=True)]  # fmt: skip
    return pa.Table.from_arrays(arrays, schema=schema)


def _block_column(values: np.ndarray | None, n_windows: int, dim: int) -> pa.Array:
    kind = pa.list_(pa.float32(), dim)
    if values is None:
        return pa.nulls(n_windows, kind)
    missing = ~np.isfinite(values).all(axis=1)  # float32 cannot hold it, or there is none
    flat = pa.array(values.reshape(-1), pa.float32())
    return pa.FixedSizeListArray.from_arrays(flat, type=kind, mask=pa.array(missing))


class WindowTable:
    """A windows table on disk, as `write_table` writes it: labels at once, blocks on demand.

    Raises
    ------
    XperienceError
        If the file is absent or is not such a table.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)
        try:
            self._file = pq.ParquetFile(self.path)
            raw = self._file.schema_arrow.metadata or {}
            known = {f.name: json.loads(raw[f.name.encode()]) for f in fields(TableInfo)}
        except (OSError, KeyError, pa.ArrowInvalid) as error:
            absent = isinstance(error, FileNotFoundError)
            raise XperienceError(
                str(self.path),
                "is not there" if absent else "is not a windows table, or cut off",
                "a Parquet file written by `xperience features`",
                "Name a table that `xperience features` has written.",
            ) from error
        self.info = TableInfo(**known)
        self._reading = Lock()  # problems are predicted side by side, and Arrow promises nothing

    def __len__(self) -> int:
        return self._file.metadata.num_rows

    @cached_property
    def labels(self) -> "pd.DataFrame":
        """Frames and labels of each window: every column that is not a block."""
        names = [name for name, _ in _LABEL_FIELDS]
        return self._file.read(columns=names).to_pandas()

    def learned(self, name: str) -> Block:
        """Return a learned block of the table, known by its name from now on; see `add_blocks`.

        Raises
        ------
        XperienceError
            If the table has no learned block of that name.
        """
        found = {one.name: one for one in self._file.schema_arrow if one.metadata}
        if name not in found:
            way_out = f"Add it: `xperience features … --blocks {name}`. "
            way_out += did_you_mean(name, found)
            raise XperienceError("block", f"is {name!r}", "a learned block of the table", way_out)
        modality = found[name].metadata[b"modality"].decode()
        block = Block(name, 0, found[name].type.list_size, modality, ())
        return BLOCKS_BY_NAME.setdefault(name, block)

    def check_made_from(self, folder: Path | str, contract: str | None = None) -> None:
        """Refuse a table that was not made from this recording as it is now.

        A recording that has lost its bulk counts as it was before.

        Raises
        ------
        TableError
            Naming the files that differ, or the contract, if one is asked for.
        """
        place = str(self.path)
        if contract not in (None, self.info.contract):
            found, wanted = f"follows the contract {self.info.contract!r}", f"{contract!r}"
            raise TableError(place, found, wanted, "Name the table of that contract.")
        now = recording_digests(folder)
        if self.info.sources in (now, digests_before_slim(folder)):
            return
        made_from = self.info.sources
        others = sorted(f for f in made_from | now if made_from.get(f) != now.get(f))
        raise TableError(
            place,
            f"was made from {self.info.episode!r} with another {', '.join(others)}",
            f"a table made from {Path(folder).resolve().name!r} as it is now",
            "Make the table of this recording anew, or name the recording that it was made from.",
        )

    def block(self, name: str) -> np.ndarray:
        """Return a block, float32 array of shape (n_windows, dim); NaN where it is null.

        Raises
        ------
        XperienceError
            If there is no block of that name.
        """
        schema = self._file.schema_arrow
        known = [one.name for one in schema if pa.types.is_fixed_size_list(one.type)]
        if name not in known:
            way_out = did_you_mean(name, known)
            raise XperienceError("block", f"is {name!r}", "the name of a feature block", way_out)
        dim = schema.field(name).type.list_size
        result = np.full((len(self), dim), np.nan, dtype=np.float32)
        row = 0
        with self._reading:
            for batch in self._file.iter_batches(columns=[name], batch_size=1024):
                column = batch.column(0)
                there = column.is_valid().to_numpy(zero_copy_only=False)
                place = row + np.flatnonzero(there)
                result[place] = column.flatten().to_numpy().reshape(-1, dim)
                row += len(column)
        return result

    def matrix(self) -> np.ndarray:
        """Return the layout's blocks side by side, float32 (n_windows, n_features)."""
        return np.concatenate([self.block(block.name) for block in BLOCKS], axis=1)


@dataclass(frozen=True)
class AddedBlock:
    """A block beyond the layout, as it stands in a table."""

    block: Block
    values: np.ndarray | None  # float32 (n_windows, dim); None if it is missing
    reason: str  # why it is missing, or what is odd about it; empty if nothing is
    version: str  # of what computed it


def add_blocks(path: Path | str, added: Sequence[AddedBlock]) -> TableInfo:
    """Write a windows table anew with blocks beyond the layout, in place of those of their names.

    All other columns stay as they are.
    """
    table = WindowTable(path)
    missing, partial = dict(table.info.missing_blocks), dict(table.info.partial_blocks)
    for one in added:
        for notes in (missing, partial):
            notes.pop(one.block.name, None)
        if one.reason:
            (missing if one.values is None else partial)[one.block.name] = one.reason
    info = replace(table.info, missing_blocks=missing, partial_blocks=partial)
    named = {one.block.name for one in added}
    kept = [field for field in table._file.schema_arrow if field.name not in named]
    columns = [
        pa.field(
            one.block.name,
            pa.list_(pa.float32(), one.block.dim),
            metadata={"modality": one.block.modality, "version": one.version},
        )
        for one in added
    ]
    schema = pa.schema([*kept, *columns], metadata=_metadata(info))
    first = 0
    with (
        whole_file(path) as scratch,
        pq.ParquetWriter(scratch, schema, compression="zstd", use_dictionary=False) as writer,
    ):
        for group in range(table._file.num_row_groups):
            part = table._file.read_row_group(group, [field.name for field in kept])
            rows = slice(first, first + len(part))
            new = [
                _block_column(
                    None if one.values is None else one.values[rows], len(part), one.block.dim
                )
                for one in added
            ]
            writer.write_table(pa.Table.from_arrays([*part.columns, *new], schema=schema))
            first += len(part)
    return info
