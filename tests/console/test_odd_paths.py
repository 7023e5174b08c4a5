"""A recording's folder and an output may have any name that the file system takes."""

from pathlib import Path

import h5py
import pytest
from typer.testing import CliRunner

from xperience.cli import app
from xperience.features.table import WindowTable
from xperience.recording import layout

ODD = [
    "2026-03-01T10:30:00",
    "http:x",
    "-{x}{}%03d$HOME",
    "'q' \"d\" `b` \\n",
    "#h [x] * ? ;&|<a>",
    "录制 é",
    "7 spaces ",
]

ODD_ALL = "".join(name for name in ODD if ":" not in name)


def run(*words: str) -> str:
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("name", ["2026-03-01T10:30:00", "http:x", ODD_ALL])
def test_verbs_read_from_it_and_write_to_it(
    whole_tiny: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named relative to the current folder, as users do: "10:30/x" could be an address."""
    monkeypatch.chdir(tmp_path)
    Path(name).mkdir()
    (Path(name) / "ep").symlink_to(whole_tiny, target_is_directory=True)
    episode, table, scores = f"{name}/ep", f"{name}.out/w.parquet", f"{name}.out/suite.json"
    assert "missing" not in run("inspect", "--", episode)
    assert "sound" in run("sync", "--", episode)
    assert table in run("features", f"--out={table}", "--workers=1", "--", episode)
    assert WindowTable(Path(table).absolute()).info.missing_blocks == {}
    run("suite", f"--windows={table}", f"--out={scores}", "--", episode)
    assert Path(scores).is_file()


def test_a_recording_is_simulated_into_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = "10:30:00 {x} %03d [1] '\"录"
    run("standin", name, "--frames=40", "--size=32x24")
    assert "40 frames" in run("inspect", name)


@pytest.mark.extras("rerun", "datasets")
def test_a_recording_is_exported_from_it(
    whole_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "10:30:00 {x} %03d [1] '\"录"
    Path(name).mkdir()
    (Path(name) / "ep").symlink_to(whole_tiny, target_is_directory=True)
    run("export", "rerun", f"{name}/ep", f"--out={name}.rrd")
    run("export", "lerobot", f"{name}/ep", f"--out={name}.lerobot")
    assert Path(f"{name}.rrd").stat().st_size
    assert list(Path(f"{name}.lerobot").rglob("*.mp4"))


@pytest.mark.parametrize("name", [name.strip() for name in ODD])
def test_data_that_lies_in_a_linked_file_of_that_name_is_read(
    tiny: Path, builder: object, name: str
) -> None:
    rows = builder.get(tiny, layout.KEYPOINTS)
    with h5py.File(tiny / f"{name}.h5", "w") as beside:
        beside["rows"] = rows
    with h5py.File(tiny / layout.ANNOTATION, "r+") as file:
        del file[layout.KEYPOINTS]
        file[layout.KEYPOINTS] = h5py.ExternalLink(f"{name}.h5", "rows")
    lines = run("inspect", str(tiny)).splitlines()
    assert next(line for line in lines if line.startswith("body")).split()[1] == "ok"
