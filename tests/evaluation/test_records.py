import math

import pandas as pd
import pytest
from pydantic import ValidationError

from xperience.evaluation.records import (
    Record,
    RecordError,
    read_records,
    records_table,
    write_records,
)
from xperience.project import provenance_path


def row(**changed):
    values = {"run": "tiny", "section": "01", "contract": "published", "metric": "f1", "value": 0.5}
    return Record(**values | changed)


def test_rows_come_back_as_written_and_pandas_reads_them_in_one_line(tmp_path):
    rows = [row(task="a"), row(task="b", value=None, status="skipped", reason="no audio stream")]
    path = tmp_path / "metrics" / "01.json"
    write_records(path, rows, {"data": {}})
    assert read_records(path) == rows
    table = pd.read_json(path)
    assert list(table.columns) == list(Record.model_fields)
    assert table["task"].tolist() == ["a", "b"]
    assert records_table(rows)["reason"].fillna("").tolist() == ["", "no audio stream"]
    assert provenance_path(path).read_text() == '{\n "data": {}\n}\n'


@pytest.mark.parametrize(
    "changed",
    [
        {"value": math.nan},
        {"value": math.inf},
        {"value": None},
        {"value": None, "status": "skipped"},
        {"status": "skipped", "reason": "no audio"},
        {"value": None, "status": "skiped", "reason": "no audio"},
        {"ci_low": 0.1},
        {"ci_low": 0.4, "ci_high": 0.3},
        {"floor": 0.2},
        {"floor_name": "majority"},
        {"n_train": -1},
        {"hihger_is_better": True},
    ],
)
def test_a_row_that_is_not_whole_is_refused(changed):
    with pytest.raises(ValidationError):
        row(**changed)


def test_an_interval_need_not_hold_the_value():
    assert row(value=0.9, ci_low=0.1, ci_high=0.3).value == 0.9


def test_no_rows_and_equal_keys_are_refused(tmp_path):
    with pytest.raises(RecordError, match="no rows"):
        write_records(tmp_path / "01.json", [], {})
    with pytest.raises(RecordError, match="stands in 2 rows"):
        write_records(tmp_path / "01.json", [row(), row(value=0.7)], {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{}", '[{"run": "a"}]', "[]"])
def test_a_file_that_holds_no_rows_is_refused(tmp_path, text):
    path = tmp_path / "01.json"
    path.write_text(text)
    with pytest.raises(RecordError, match=r"01.json"):
        read_records(path)
