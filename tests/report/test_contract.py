import math
import shutil

import numpy as np
import pytest

from xperience.evaluation.records import read_records, write_records
from xperience.features.blocks import BLOCKS, N_FEATURES
from xperience.features.extract import extract
from xperience.features.table import WindowTable
from xperience.recording.inspect import inspect_episode
from xperience.report.contract import contract_rows, fault_table, stream_table
from xperience.report.timeline import Timeline


def _by_name(rows):
    return {(row.metric, row.variant): row for row in rows}


@pytest.fixture
def rows(table, report):
    return contract_rows("tiny", "01_benchmark_contract", table, report)


def test_rows_count_what_the_table_holds(rows, table):
    found = _by_name(rows)
    assert found["n_frames", None].value == table.info.n_frames
    assert found["n_windows", None].value == len(table)
    assert found["feature_dim", None].value == N_FEATURES
    labelled = table.labels["action"].notna()
    assert found["labelled_share", "action"].value == pytest.approx(labelled.mean())
    assert found["n_actions", None].value == table.labels["action"].nunique()


def test_every_row_has_a_unit_and_a_finite_value_or_a_reason(rows, tmp_path):
    for row in rows:
        assert row.unit
        assert math.isfinite(row.value) if row.status == "ok" else row.reason
    write_records(tmp_path / "rows.json", rows)
    assert read_records(tmp_path / "rows.json") == rows


def test_every_stream_and_block_has_its_row(rows, report):
    found = _by_name(rows)
    assert {v for m, v in found if m == "coverage"} == {s.stream for s in report.streams}
    assert [row.variant for row in rows if row.metric == "dim"] == [block.name for block in BLOCKS]


def test_what_is_missing_is_skipped_with_its_reason(folder, tmp_path):
    lame = tmp_path / "episode"
    shutil.copytree(folder, lame)
    (lame / "stereo_right.mp4").unlink()
    extract(lame, tmp_path / "lame.parquet", workers=1)
    report = inspect_episode(lame)
    found = _by_name(contract_rows("x", "y", WindowTable(tmp_path / "lame.parquet"), report))
    lost = [found["coverage", "stereo_right"], found["dim", "video_stereo_right"]]
    lost.append(found["windows_with_values", "video_stereo_right"])
    for row in lost:
        assert (row.status, row.value) == ("skipped", None)
        assert "stereo_right" in row.reason
    assert "stereo_right" in fault_table(report).index
    assert stream_table(report).loc["stereo_right", "status"] == "missing"


def test_labels_without_captions_are_skipped(make_table, report):
    blind = make_table([None] * 4, [None] * 4, missing=["caption_objects_interaction_text"])
    found = _by_name(contract_rows("x", "y", blind, report))
    assert found["n_actions", None].status == "skipped"
    assert found["labelled_share", None].reason


def test_the_cut_is_over_labelled_windows(make_table):
    line = Timeline.of(make_table([None] * 10 + ["pour"] * 7 + ["sip"] * 3))
    assert line.n_train == 7
    assert line.late_actions == ["sip"]
    assert line.middle_s[16] < line.cut_s < line.middle_s[17]


def test_spans_and_steps_follow_the_windows(make_table):
    line = Timeline.of(make_table(["a", "a", "b", "a"], ["one", "one", "two", "two"]))
    assert len(line.spans(line.action, 0)) == 2
    assert line.steps()["windows"].tolist() == [2, 2]
    assert line.steps()["start (s)"].tolist() == [0.0, 0.5]
    np.testing.assert_allclose(np.diff(line.changes_s()), 0.25)
