"""Windows tables for Hugging Face datasets and Croissant, read back by both, offline."""

import json

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from xperience.cli import app
from xperience.errors import XperienceError
from xperience.export.common import ExportError
from xperience.export.windows import check_croissant, export_windows
from xperience.features.blocks import BLOCKS
from xperience.features.table import TableInfo, WindowRows, WindowTable, write_table
from xperience.storage import file_digest

pytestmark = pytest.mark.extras("datasets", "mlcroissant")
NOT_THERE = "depth_confidence"


def make_table(path, n=6, contract="corrected", missing=()):
    """Write a small windows table."""
    rng = np.random.default_rng(n)
    why = dict.fromkeys(missing, "the file is not there")
    info = TableInfo(contract, path.stem, "Make | tea", 5 * n + 15, 20.0, {}, why, {})
    blocks = {
        block.name: None
        if block.name in missing
        else rng.normal(size=(n, block.dim)).astype(np.float32)
        for block in BLOCKS
    }
    labels = [("pour", 1.0) if i % 3 else (None, 0.0) for i in range(n)]
    rows = WindowRows(np.arange(n), 5 * np.arange(n), labels, labels, blocks)
    path.parent.mkdir(exist_ok=True)
    write_table(path, info, [rows])
    return path


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    return [
        make_table(folder / "ep1.parquet"),
        make_table(folder / "ep2.parquet", n=4, missing=[NOT_THERE]),
    ]


@pytest.fixture(scope="module")
def folder(tables, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "set"
    call = ["export", "windows", *map(str, tables), "--out", str(out)]
    done = CliRunner().invoke(app, [*call, "--name", "Tea: a set", "--licence", "cc-by-4.0"])
    assert done.exit_code == 0, done.output
    assert "the first 10 were read" in done.stdout
    assert f"not in it: ep2: {NOT_THERE} (the file is not there)" in done.stderr
    return out


def test_datasets_loads_the_folder_by_its_card(tables, folder, tmp_path, monkeypatch):
    from datasets import load_dataset  # noqa: PLC0415 - optional

    monkeypatch.setattr("datasets.config.HF_DATASETS_OFFLINE", True)
    found = load_dataset(str(folder), cache_dir=str(tmp_path))["train"]
    assert len(found) == sum(len(WindowTable(table)) for table in tables) == 10
    assert found.column_names[:4] == ["window", "start_frame", "end_frame", "center_frame"]
    wanted = WindowTable(tables[0]).block("body_joints")
    np.testing.assert_array_equal(np.array(found[:6]["body_joints"], np.float32), wanted)
    assert [found[i]["action"] for i in (0, 1)] == [None, "pour"]
    assert found[6][NOT_THERE] is None
    assert found[0][NOT_THERE] is not None


def test_a_folder_that_came_meanwhile_is_left_as_it_is(tables, tmp_path, monkeypatch):
    out = tmp_path / "set"

    def described(*_):
        out.mkdir()
        (out / "own.txt").write_text("mine")
        return {}

    monkeypatch.setattr("xperience.export.windows._croissant", described)
    with pytest.raises(ExportError, match="is there already"):
        export_windows(tables, out, name="Tea", licence="cc-by-4.0")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["own.txt"]


def test_the_card_has_a_header_and_says_what_is_not_there(folder):
    _, header, body = (folder / "README.md").read_text().split("---\n", 2)
    said = yaml.safe_load(header)
    assert said["pretty_name"] == "Tea: a set"
    assert said["license"] == "cc-by-4.0"
    assert said["size_categories"] == ["n<1K"]
    assert said["configs"][0]["data_files"] == [{"split": "train", "path": "data/*.parquet"}]
    assert f"no `{NOT_THERE}` (the file is not there)" in body
    assert "Make \\| tea" in body
    assert all(f"`{block.name}`" in body for block in BLOCKS)


def test_croissant_is_valid_and_its_records_are_the_windows(tables, folder):
    from mlcroissant import Dataset  # noqa: PLC0415 - optional

    dataset = Dataset(jsonld=str(folder / "croissant.json"))
    assert not dataset.metadata.ctx.issues.errors
    rows = list(dataset.records(record_set="windows"))
    assert len(rows) == check_croissant(folder) == 10
    assert check_croissant(folder, at_most=3) == 3
    starts = sorted(int(row["windows/start_frame"]) for row in rows)
    assert starts == sorted([*range(0, 30, 5), *range(0, 20, 5)])
    first = WindowTable(tables[0]).block("calibration")
    seen = [np.asarray(row["windows/calibration"], np.float32) for row in rows]
    assert any(np.array_equal(one, first[3]) for one in seen)
    assert {str(one.shape) for one in seen} == {str(first[0].shape)}
    described = json.loads((folder / "croissant.json").read_text())
    files = {one["contentUrl"]: one["sha256"] for one in described["distribution"]
             if one["@type"].endswith("FileObject")}  # fmt: skip
    assert files == {f"data/{table.name}": file_digest(table) for table in tables}
    assert (folder / "data" / "ep1.parquet").read_bytes() == tables[0].read_bytes()


def test_damaged_metadata_is_refused(tables, tmp_path):
    out = tmp_path / "set"
    export_windows(tables, out, name="x")
    path = out / "croissant.json"
    text = path.read_text()
    assert '"fileSet"' in text
    path.write_text(text.replace('"@id": "tables"', '"@id": "elsewhere"', 1))
    with pytest.raises(ExportError, match="is invalid"):
        check_croissant(out)


def test_tables_that_do_not_belong_together_are_refused_and_leave_nothing(tables, tmp_path):
    out, made = tmp_path / "out" / "set", tmp_path / "made"
    other = make_table(made / "ep3.parquet", contract="published")
    twin = make_table(made / "ep1.parquet")
    for given, message in (
        ([tables[0], other], "corrected and published"),
        ([tables[0], twin], "names 2 tables"),
        ([], "at least one"),
        ([tmp_path / "none.parquet"], "is not there"),
    ):
        with pytest.raises(XperienceError, match=message):
            export_windows(given, out, name="x")
    assert not out.parent.exists()
