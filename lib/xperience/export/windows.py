"""Windows tables as a data set that `datasets` loads in one line, with a card and Croissant."""

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from xperience.export.common import ExportError, check_new, need
from xperience.features.blocks import BLOCKS, N_FEATURES
from xperience.features.table import WindowTable
from xperience.features.windows import STRIDE_FRAMES, WINDOW_FRAMES
from xperience.storage import file_digest, whole_folder, write_json, write_text
from xperience.text import as_markdown, visible

CARD, CROISSANT = "README.md", "croissant.json"
RECORDS, VERSION = "windows", "1.0.0"
_LABELS = {
    "window": ("INTEGER", "Place of the window in its recording."),
    "start_frame": ("INTEGER", "First frame."),
    "end_frame": ("INTEGER", "Last frame, included."),
    "center_frame": ("INTEGER", "Frame in the middle."),
    "action": ("TEXT", "The action of most labelled frames, or null."),
    "action_share": ("FLOAT", "Share of labelled frames with that action."),
    "subtask": ("TEXT", "The subtask of most labelled frames, or null."),
    "subtask_share": ("FLOAT", "Share of labelled frames with that subtask."),
}
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def export_windows(
    tables: Sequence[Path | str], out: Path | str, *, name: str, licence: str = "unknown"
) -> dict[str, str]:
    """Write windows tables as a folder that Hugging Face `datasets` and Croissant readers load.

    The tables, of one contract, are copied unchanged to ``data/``; the licence is the recordings'
    identifier. Returned are the blocks that hold nothing but nulls in a table, with the reason; the
    card says so too.

    If a file is no windows table, that is an XperienceError; if there is none, contracts differ,
    two share a file name, the extra is not installed, or the folder is there already, an
    ExportError.
    """
    opened = [WindowTable(table) for table in tables]
    contract = _check(opened)
    check_new(out)
    with whole_folder(out) as folder:
        (folder / "data").mkdir()
        for table in opened:
            shutil.copyfile(table.path, folder / "data" / table.path.name)
        write_text(folder / CARD, _card(opened, name, licence, contract))
        described = _croissant(folder, opened, name, licence)
        write_json(folder / CROISSANT, described)
        check_new(out)  # it may have come meanwhile
    return {
        f"{table.path.stem}: {block}": reason
        for table in opened
        for block, reason in table.info.missing_blocks.items()
    }


def check_croissant(folder: Path | str, at_most: int | None = None) -> int:
    """Validate a folder's Croissant metadata; return how many windows it leads to, up to a limit.

    If the metadata is invalid, that is an ExportError.
    """
    mlc = need("mlcroissant")
    path = Path(folder) / CROISSANT
    try:
        dataset = mlc.Dataset(jsonld=str(path))
    except mlc.ValidationError as error:
        found = f"is invalid ({' '.join(str(error).split())})"
        raise ExportError(
            path.name, found, "valid Croissant", "Export the tables again."
        ) from error
    return sum(1 for _ in islice(dataset.records(record_set=RECORDS), at_most))


def _check(tables: list[WindowTable]) -> str:
    """Return the contract of tables that belong together."""
    if not tables:
        raise ExportError("TABLES", "are none", "at least one", "Name a windows table.")
    contracts = sorted({table.info.contract for table in tables})
    if len(contracts) > 1:
        found, way_out = f"follow {' and '.join(contracts)}", "Export each contract apart."
        raise ExportError("windows tables", found, "one contract", way_out)
    name, count = Counter(table.path.name for table in tables).most_common(1)[0]
    if count > 1:
        raise ExportError(name, f"names {count} tables", "one", "Rename one of the files.")
    return contracts[0]


def _card(tables: list[WindowTable], name: str, licence: str, contract: str) -> str:
    """Return the README that says what the folder holds, with the header that the hub reads."""
    n_windows = sum(map(len, tables))
    size = next((text for most, text in _SIZES if n_windows < most), "n>1M")
    rows = [
        f"| {as_markdown(table.path.stem)} | {len(table)} | {table.info.fps:g} "
        f"| {as_markdown(table.info.main_task) or '–'} |"
        for table in tables
    ]
    gaps = [
        f"- {as_markdown(table.path.stem)}: no `{block}` ({as_markdown(reason)})"
        for table in tables
        for block, reason in table.info.missing_blocks.items()
    ]
    columns = [f"| `{key}` | {about} |" for key, (_, about) in _LABELS.items()]
    columns += [f"| `{block.name}` | {block.dim} values, {block.modality} |" for block in BLOCKS]
    rows, columns = "\n".join(rows), "\n".join(columns)
    gaps = "\n".join([*gaps, "", ""]) if gaps else ""
    return f"""\
---
pretty_name: {json.dumps(visible(name), ensure_ascii=False)}
license: {licence}
size_categories:
- {size}
tags:
- egocentric
- embodied-ai
configs:
- config_name: default
  data_files:
  - split: train
    path: data/*.parquet
---

# {as_markdown(name)}

{n_windows} windows of {WINDOW_FRAMES} frames, {STRIDE_FRAMES} apart, each with its labels and \
{N_FEATURES} features under the contract `{contract}`.

```python
from datasets import load_dataset

windows = load_dataset("parquet", data_files="data/*.parquet")["train"]
```

Windows overlap: neighbours share frames, so rows are not independent samples. The split is called \
`train` because the loader asks for a name; nothing is split here.

| recording | windows | frames/s | what it shows |
|---|---|---|---|
{rows}

A block that a recording lacks is null, never zero.

{gaps}| column | holds |
|---|---|
{columns}
"""


def _croissant(folder: Path, tables: list[WindowTable], name: str, licence: str) -> dict[str, Any]:
    """Return the folder's description, made by Croissant's own library."""
    mlc = need("mlcroissant")
    shown = [f"data/{table.path.name}" for table in tables]
    kind = {"encoding_formats": ["application/x-parquet"]}
    files = [
        mlc.FileObject(
            id=path, name=path, content_url=path, sha256=file_digest(folder / path),
            content_size=f"{(folder / path).stat().st_size} B", **kind,
        )
        for path in shown
    ]  # fmt: skip
    every = mlc.FileSet(id="tables", name="tables", includes=["data/*.parquet"], **kind)

    def field(column: str, kind: str, about: str, **shape: Any) -> Any:
        source = mlc.Source(file_set="tables", extract=mlc.Extract(column=column))
        return mlc.Field(
            id=f"{RECORDS}/{column}", name=column, description=about,
            data_types=getattr(mlc.DataType, kind), source=source, **shape,
        )  # fmt: skip

    fields = [field(key, kind, about) for key, (kind, about) in _LABELS.items()]
    for block in BLOCKS:
        shape = {"is_array": True, "array_shape": str(block.dim)}
        fields.append(field(block.name, "FLOAT", f"{block.modality} features", **shape))
    about = f"Windows of egocentric recordings, {WINDOW_FRAMES} frames each, labels and features."
    return mlc.Metadata(
        name=name,
        description=about,
        license=[licence],
        version=VERSION,
        distribution=[*files, every],
        record_sets=[mlc.RecordSet(id=RECORDS, name=RECORDS, fields=fields)],
    ).to_json()
