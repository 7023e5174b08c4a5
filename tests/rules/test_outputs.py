"""No verb writes over what it reads: every one that has an output is asked to, in many spellings.

The verbs are found in the application itself, so that a new one with an output must be added here.
"""

import inspect
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from xperience.cli import app
from xperience.console import OUTPUTS
from xperience.project import ROOT_VARIABLE
from xperience.standin.mark import MARK, is_simulated

PATHS_READ = {
    "adapter", "episode", "episodes", "listing", "manifest", "measured", "model", "options",
    "predictions", "records", "run", "sources", "tables", "windows",
}  # fmt: skip
"""Parameters that name what is read, or a run; any other text or path is an output or a setting."""

CALLS = {
    "features": ["EP", "--out", "OUT"],
    "features --cache": ["EP", "--out", "FREE", "--cache", "OUT"],
    "suite": ["EP", "--windows", "TABLE", "--out", "OUT"],
    "audio": ["EP", "--windows", "TABLE", "--out", "OUT"],
    "evaluate": ["TABLE", "--options", "EP/annotation.hdf5", "--out", "OUT"],
    "standin": ["OUT", "--frames", "60", "--size", "32x24"],
    "cohort choose": ["EP/annotation.hdf5", "--out", "OUT"],
    "cohort rebalance": ["MANIFEST", "--out", "OUT"],
    "cohort overlap": ["MANIFEST", "--out", "OUT"],
    "cohort measure": ["EP", "--out", "OUT"],
    "cohort shard": ["MANIFEST", "--out", "OUT"],
    "answers export": ["MANIFEST", "--out", "OUT"],
    "answers baseline": ["EP", "--out", "OUT"],
    "answers tiny": ["OUT", "--records", "EP"],
    "answers train": ["EP", "--model", "EP", "--out", "OUT"],
    "answers generate": ["EP", "--model", "EP", "--out", "OUT"],
    "export rerun": ["EP", "--out", "OUT"],
    "export lerobot": ["EP", "--out", "OUT"],
    "export windows": ["TABLE", "--out", "OUT"],
    "compare": ["a", "b", "--out", "OUT"],
}  # fmt: skip
SPELLINGS: dict[str, Callable[[Path, Path], object]] = {
    "the annotation": lambda ep, away: ep / "annotation.hdf5",
    "a video": lambda ep, away: ep / "stereo_left.mp4",
    "a new file": lambda ep, away: ep / "new.parquet",
    "a sub-folder": lambda ep, away: ep / "made" / "deeper" / "new.parquet",
    "the folder": lambda ep, away: ep,
    "a way back": lambda ep, away: f"{ep}/../{ep.name}/./new.parquet",
    "a trailing slash": lambda ep, away: f"{ep}/new/",
    "a linked folder": lambda ep, away: _link(away / "to", ep) / "new.parquet",
    "a linked file": lambda ep, away: _link(away / "to.json", ep / "annotation.hdf5"),
    "a link to nothing": lambda ep, away: _link(away / "to.json", ep / "absent.json"),
    "a relative path": lambda ep, away: os.path.relpath(ep / "annotation.hdf5"),
}


def verbs() -> Iterator[tuple[str, object]]:
    def walk(command: object, name: str) -> Iterator[tuple[str, object]]:
        for key, inner in getattr(command, "commands", {}).items():
            yield from walk(inner, f"{name} {key}".strip())
        if not hasattr(command, "commands"):
            yield name, command

    yield from walk(typer.main.get_command(app), "")


def _link(path: Path, target: Path) -> Path:
    path.symlink_to(target)
    return path


@pytest.fixture
def place(tiny, whole_table, tmp_path, monkeypatch):
    """Return a function that runs a call with an output, in a folder beside the recording."""
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    manifest = tmp_path / "episodes.csv"
    manifest.write_text(f"episode,folder,session,side\na,{tiny.name},s,train\n")
    shutil.copy(whole_table.path, tmp_path / "table.parquet")
    names = {"EP": str(tiny), "TABLE": "table.parquet", "MANIFEST": str(manifest), "FREE": "free"}

    def call(verb: str, out: object):
        words = [word.replace("EP", str(tiny)) if "EP/" in word else word for word in CALLS[verb]]
        words = [str(out) if word == "OUT" else names.get(word, word) for word in words]
        return CliRunner().invoke(app, [*verb.partition(" --")[0].split(), *words])

    return call


def seen(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_every_verb_with_an_output_is_tried_and_every_path_is_known():
    tried = {name.partition(" --")[0] for name in CALLS}
    with_output = set()
    for name, command in verbs():
        named = {param.name for param in command.params}
        with_output |= {name} if named & set(OUTPUTS) else set()
        hints = inspect.signature(command.callback).parameters
        paths = {key for key, parameter in hints.items() if "Path" in str(parameter.annotation)}
        assert paths <= set(OUTPUTS) | PATHS_READ, f"{name}: does {paths} name what is written?"
        if "cache" in named:
            assert f"{name} --cache" in CALLS
    assert with_output == tried
    assert len(with_output) > 10


@pytest.mark.parametrize("verb", CALLS)
def test_no_verb_writes_into_a_recording(place, tiny, tmp_path, verb):
    before = seen(tiny)
    for number, (spelling, out_of) in enumerate(SPELLINGS.items()):
        away = tmp_path / f"away{number}"
        away.mkdir()
        done = place(verb, out_of(tiny, away))
        said = f"{verb}: {spelling}: {done.output}"
        assert done.exit_code == 1, said
        refusals = ("OutputError", "never replaced", "FileError")
        assert any(why in done.output for why in refusals), said
        assert seen(tiny) == before, said
        assert not any(path.is_file() and not path.is_symlink() for path in away.rglob("*")), said


@pytest.mark.parametrize("verb", ["suite", "audio"])
def test_no_verb_writes_onto_another_input_or_a_hard_link(place, tiny, tmp_path, verb):
    table = tmp_path / "table.parquet"
    before = table.read_bytes(), seen(tiny)
    os.link(table, tmp_path / "same.parquet")
    os.link(tiny / "stereo_left.mp4", tmp_path / "picture.json")
    for out in ("table.parquet", "./x/../table.parquet", "same.parquet", "picture.json"):
        done = place(verb, out)
        assert (done.exit_code, "the input" in done.output) == (1, True), done.output
    assert (table.read_bytes(), seen(tiny)) == before


def test_a_folder_that_holds_recordings_is_no_place_for_an_export(place, tiny, tmp_path):
    before = seen(tiny)
    done = place("answers export", tmp_path)
    assert (done.exit_code, "holds the input" in done.output) == (1, True)
    nested = tmp_path / "run" / "cache" / "a"
    shutil.copytree(tiny, nested)
    (tmp_path / "episodes.csv").write_text("episode,folder,session,side\na,run/cache/a,s,train\n")
    done = place("cohort shard", tmp_path / "run")
    assert (done.exit_code, "OutputError" in done.output) == (1, True), done.output
    assert seen(tiny) == seen(nested) == before


def test_advice_never_names_the_recording_as_an_output(tiny, tmp_path):
    annotation = tiny / "annotation.hdf5"
    call = ["suite", str(tiny), "--windows", str(annotation), "--out", str(tmp_path / "m.json")]
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 1
    assert "is not a windows table" in done.output
    assert f"--out {annotation}" not in done.output


def test_only_a_marked_and_unchanged_simulation_is_replaced(simulated, tiny, tmp_path):
    ours = Path(shutil.copytree(simulated(frames=60), tmp_path / "ours"))
    assert is_simulated(ours)
    plant = {
        "another annotation": lambda: shutil.copy(tiny / "annotation.hdf5", ours),
        "another video": lambda: shutil.copy(tiny / "stereo_left.mp4", ours),
        "a note": lambda: (ours / "notes.txt").write_text("mine"),
        "a folder": (ours / "more").mkdir,
        "a link": lambda: (ours / "more").symlink_to(tiny),
        "no mark": (ours / MARK).unlink,
    }
    for what, planted in plant.items():
        shutil.rmtree(ours)
        shutil.copytree(simulated(frames=60), ours)
        planted()
        before = seen(ours)
        done = CliRunner().invoke(app, ["standin", str(ours), "--frames", "60", "--size", "32x24"])
        assert (done.exit_code, "never replaced" in done.output) == (1, True), what
        assert seen(ours) == before
