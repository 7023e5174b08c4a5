"""What an episode holds: its rows, its timeline, one moment, and where each stream has values."""

import math
import shutil

import h5py
import numpy as np
import pytest

from xperience.errors import XperienceError
from xperience.evaluation.records import read_records, write_records
from xperience.features.blocks import BLOCKS, N_FEATURES
from xperience.recording import layout
from xperience.recording.geometry import WORLD
from xperience.recording.inspect import inspect_episode
from xperience.recording.media import read_rgb
from xperience.recording.recording import Recording
from xperience.report.contract import (
    Timeline,
    contract_rows,
    fault_table,
    frame_validity,
    stream_table,
)
from xperience.report.moment import busiest_frame, frame_at, read_moment, sound_level
from xperience.report.section import open_inputs


def _by_name(rows):
    return {(row.metric, row.variant): row for row in rows}


def test_rows_count_what_the_table_and_the_report_hold(table, report, tmp_path):
    rows = contract_rows("tiny", "01_benchmark_contract", table, report)
    found = _by_name(rows)
    assert found["n_frames", None].value == table.info.n_frames
    assert found["n_windows", None].value == len(table)
    assert found["feature_dim", None].value == N_FEATURES
    labelled = table.labels["action"].notna()
    assert found["labelled_share", "action"].value == pytest.approx(labelled.mean())
    assert found["n_actions", None].value == table.labels["action"].nunique()
    assert {v for m, v in found if m == "coverage"} == {s.stream for s in report.streams}
    assert [row.variant for row in rows if row.metric == "dim"] == [block.name for block in BLOCKS]
    for row in rows:
        assert math.isfinite(row.value) if row.status == "ok" else row.reason
    write_records(tmp_path / "rows.json", rows)
    assert read_records(tmp_path / "rows.json") == rows


def test_what_is_missing_is_skipped_with_its_reason(tiny, make_table):
    (tiny / "stereo_right.mp4").unlink()
    report = inspect_episode(tiny)
    lost = ["caption_objects_interaction_text", "video_stereo_right"]
    table = make_table([None] * 4, [None] * 4, missing=lost)
    found = _by_name(contract_rows("x", "y", table, report))
    names = [("coverage", "stereo_right"), ("dim", lost[1]), ("windows_with_values", lost[1])]
    for key in (*names, ("n_actions", None), ("labelled_share", None)):
        assert (found[key].status, found[key].value) == ("skipped", None)
        assert "not there" in found[key].reason
    assert "stereo_right" in fault_table(report).index
    assert stream_table(report).loc["stereo_right", "status"] == "missing"


def test_the_timeline_follows_the_windows(make_table):
    line = Timeline.of(make_table([None] * 10 + ["pour"] * 7 + ["sip"] * 3))
    assert (line.n_train, line.late_actions) == (7, ["sip"])
    assert line.middle_s[16] < line.cut_s < line.middle_s[17]
    line = Timeline.of(make_table(["a", "a", "b", "a"], ["one", "one", "two", "two"]))
    assert len(line.spans(line.action, 0)) == 2
    assert line.steps()["windows"].tolist() == [2, 2]
    assert line.steps()["start (s)"].tolist() == [0.0, 0.5]


def test_seeking_gives_the_frame_that_streaming_gives_and_the_level_of_sound(episode):
    camera = "fisheye_cam1"
    streamed = [frame.astype(int) for frame in read_rgb(episode.video_path(camera))]
    for index in (0, 1, 37, 99):
        sought = frame_at(episode, camera, index)
        far = [np.abs(sought - frame).mean() for frame in streamed]
        assert int(np.argmin(far)) == index
    level = sound_level(episode, 20, 40)
    assert level.shape == (20,)
    assert ((level >= 0) & (level <= 1)).all()


def test_a_moment_puts_hands_body_and_depth_where_they_belong(episode):
    moment = read_moment(episode, 40)
    assert all(shape.joints.frame == WORLD for shape in moment.shapes.values())
    body = moment.shapes["body"].joints.xyz
    for wrist, hand in ((20, "left hand"), (21, "right hand")):
        assert np.linalg.norm(moment.shapes[hand].joints.xyz[0] - body[wrist]) < 0.1
    view = next(view for view in moment.views if view.camera == "stereo_left")
    height, width = moment.depth_m.shape
    scale = np.array([width / view.image.shape[1], height / view.image.shape[0]])
    u, v = (view.dots_px * scale).astype(int).T
    np.testing.assert_allclose(moment.depth_m[v, u], view.dots_m)
    assert 0 <= busiest_frame(episode) < episode.n_frames


def test_gaps_are_no_values_and_without_poses_the_body_is_not_projected(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "episode")
    with h5py.File(copy / layout.ANNOTATION, "r+") as file:
        del file["slam"]
        rows = file[layout.HAND_LEFT][()]
        rows[10:20], rows[30] = np.nan, 0
        file[layout.HAND_LEFT][...] = rows
    with Recording(copy) as episode:
        moment = read_moment(episode, 40)
        assert "pose" in moment.problems
        assert all("body" not in view.lines_px for view in moment.views)
        assert "body" in moment.shapes
        valid = {name: frame_validity(episode, name) for name in episode.streams}
    assert np.flatnonzero(~valid.pop("hand_left")).tolist() == [*range(10, 20), 30]
    assert [name for name, found in valid.items() if found is None] == [
        "point_cloud",
        "calibration",
    ]
    whole = {name for name, found in valid.items() if found is not None and found.all()}
    assert set(valid) - whole == {"point_cloud", "calibration", "captions", "pose"}


def test_inputs_that_are_absent_or_do_not_belong_together_name_the_way_out(
    folder, make_table, tmp_path, monkeypatch
):
    monkeypatch.setenv("XPERIENCE_ROOT", str(tmp_path))
    with pytest.raises(XperienceError, match="make reproduce RUN=standin"):
        open_inputs("standin", "artifacts/standin/episode", "published")
    with pytest.raises(XperienceError, match="windows table"):
        open_inputs("standin", str(folder), "published")
    place = tmp_path / "artifacts" / "r" / "windows" / f"{folder.parent.name}.parquet"
    place.parent.mkdir(parents=True)
    shutil.copy(make_table(["pour"] * 3).path, place)
    with pytest.raises(XperienceError, match=r"was made from .tiny. with another"):
        open_inputs("r", str(folder), "published")
