"""The report of an episode: as a table, as JSON, from the command line."""

import json
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from xperience.cli import app
from xperience.recording.inspect import inspect_episode

STREAMS = [
    *("pose", "point_cloud", "hand_left", "hand_right", "body", "contacts", "imu", "depth"),
    *("calibration", "captions", "fisheye_cam0", "fisheye_cam1", "fisheye_cam2", "fisheye_cam3"),
    *("stereo_left", "stereo_right", "audio"),
]


def test_a_whole_episode(whole_tiny: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in sorted(whole_tiny.rglob("*"))}
    report = inspect_episode(whole_tiny)
    assert {path: path.stat().st_mtime_ns for path in sorted(whole_tiny.rglob("*"))} == before
    assert report.usable
    assert report.faults == []
    assert (report.episode, report.n_frames, report.main_task) == ("ep", 60, "Making tea")
    assert report.fps == pytest.approx(20)
    assert [row.stream for row in report.streams] == STREAMS
    for row in report.streams:
        assert (row.status, row.faults, row.coverage) == ("ok", [], 1.0), row.stream
        assert row.shape
        assert row.dtype
        assert row.unit
        if row.stream not in ("point_cloud", "calibration"):
            assert row.rate_hz > 0
            assert row.span_s == pytest.approx(3.0, abs=0.05)
    rows = {row.stream: row for row in report.streams}
    assert rows["imu"].rate_hz == pytest.approx(100)
    assert rows["imu"].shape == [300, 3]
    assert rows["audio"].rate_hz == 32_000
    assert (rows["depth"].shape, rows["depth"].dtype) == ([60, 12, 16], "float16")
    assert rows["stereo_left"].shape == [60, 48, 64, 3]


def test_text_and_json_say_the_same(tiny: Path, builder: ModuleType) -> None:
    builder.put(tiny, imu=None)
    (tiny / "stereo_left.mp4").write_bytes(b"")
    report = inspect_episode(tiny)
    told = json.loads(report.to_json())
    text = report.to_text()
    assert [row["stream"] for row in told["streams"]] == STREAMS
    lines = {line.split()[0]: line for line in text.splitlines() if line}
    for row in told["streams"]:
        assert lines[row["stream"]].split()[1] == row["status"]
        assert all(f"- {fault}" in text for fault in row["faults"])
    assert "100.0 %" in lines["body"]
    assert "%" not in lines["imu"]


def test_the_command_line(tiny: Path) -> None:
    told = CliRunner().invoke(app, ["inspect", str(tiny), "--json"])
    assert told.exit_code == 0
    assert json.loads(told.stdout)["usable"] is True
    assert CliRunner().invoke(app, ["inspect", str(tiny)]).stdout.startswith("ep: 60 frames")
    assert CliRunner().invoke(app, ["inspect"]).exit_code == 2
    assert CliRunner().invoke(app, ["inspect", str(tiny), "--jsn"]).exit_code == 2
    (tiny / "annotation.hdf5").unlink()
    lost = CliRunner().invoke(app, ["inspect", str(tiny), "--json"])
    assert lost.exit_code == 1
    assert json.loads(lost.stdout)["usable"] is False
