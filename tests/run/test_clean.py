"""What a run leaves can be removed; recordings that are somebody's own never are."""

import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from xperience.cli import app
from xperience.hub.source import RECEIPT, STORE, Receipt, RemoteEpisode, RemoteFile
from xperience.standin.mark import is_simulated
from xperience.storage import file_digest

PARAMS = {
    "run": "tiny",
    "episode": "artifacts/tiny/episode",
    "standin": {"frames": 60, "size_px": [32, 24], "seed": 7},
    "contract": "published",
    "notebooks": ["01_tiny"],
}


def call(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["run", *map(str, words)])
    return done.exit_code, done.output


def seen(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def run(root) -> Path:
    """The folder of a run with results of every kind."""
    folder = root / "artifacts" / "tiny"
    for part in ("windows", "cache", "logs", "site", ".stamps", "metrics"):
        (folder / part).mkdir(parents=True)
        (folder / part / "made").write_text("by the run")
    (root / "params" / "tiny.yaml").write_text(yaml.safe_dump(PARAMS))
    return folder


def downloaded(folder: Path) -> None:
    files = [
        RemoteFile(path=one.name, size=one.stat().st_size, digest=f"sha256:{file_digest(one)}")
        for one in sorted(folder.iterdir())
    ]
    episode = RemoteEpisode(folder="", files=tuple(files), missing=())
    asked = {"repo_id": "a/b", "revision": "main", "commit": "0" * 40, "folder": "", "licence": "x"}
    (folder / STORE).mkdir()
    (folder / RECEIPT).write_text(Receipt(**asked, episode=episode).model_dump_json())


def test_a_simulation_goes_and_what_is_committed_stays(run, simulated):
    shutil.copytree(simulated(frames=60), run / "episode")
    assert call("clean", "tiny") == (0, "")
    assert [path.name for path in run.iterdir()] == ["metrics"]


def test_a_recording_of_ones_own_stays(run, tiny):
    shutil.copytree(tiny, run / "episode")
    code, said = call("clean", "tiny", "--download")
    assert (code, seen(run / "episode")) == (0, seen(tiny))
    assert "kept: artifacts/tiny/episode holds something that no run has made" in said


def test_a_download_goes_only_if_asked_and_if_nothing_was_added(run, tiny):
    shutil.copytree(tiny, run / "episode")
    downloaded(run / "episode")
    assert "make clean DOWNLOAD=1" in call("clean", "tiny")[1]
    (run / "episode" / "notes.txt").write_text("mine")
    assert "no run has made" in call("clean", "tiny", "--download")[1]
    assert (run / "episode" / "annotation.hdf5").is_file()
    (run / "episode" / "notes.txt").unlink()
    assert call("clean", "tiny", "--download") == (0, "")
    assert not (run / "episode").exists()


@pytest.mark.parametrize("name", ["../..", "..", ".", "", "/tmp", "tiny/../../rec"])
def test_a_name_that_leads_elsewhere_is_refused(run, tiny, root, name):
    before = seen(root)
    code, said = call("clean", name)
    assert (code, "ParamsError" in said) == (1, True)
    assert seen(root) == before


def test_links_are_not_followed_and_a_recording_among_results_is_refused(run, tiny, root):
    before = seen(tiny)
    shutil.rmtree(run / "windows")
    (run / "windows").symlink_to(tiny.parent)
    assert call("clean", "tiny")[0] == 1
    (run / "windows").unlink()
    shutil.copytree(tiny, run / "cache" / "ep")
    code, said = call("clean", "tiny")
    assert (code, "holds the recording" in said) == (1, True)
    (root / "artifacts" / "link").symlink_to(tiny)
    assert call("clean", "link")[0] == 1
    assert seen(tiny) == seen(run / "cache" / "ep") == before


@pytest.mark.parametrize("verb", ["reproduce", "episode"])
def test_a_run_copied_from_a_simulated_one_never_replaces_a_recording(run, tiny, root, verb):
    own = PARAMS | {"episode": str(tiny)}
    (root / "params" / "tiny.yaml").write_text(yaml.safe_dump(own))
    (root / "Snakefile").touch()
    before = seen(tiny)
    code, said = call(verb, "tiny")
    assert (code, "never replaced" in said) == (1, True), said
    assert seen(tiny) == before
    assert not is_simulated(tiny)


def test_a_run_whose_folder_is_its_recording_is_refused(run, tiny, root):
    shutil.copytree(tiny, root / "artifacts" / "own")
    values = PARAMS | {"run": "own", "episode": "artifacts/own"}
    values = {key: value for key, value in values.items() if key != "standin"}
    (root / "params" / "own.yaml").write_text(yaml.safe_dump(values))
    for verb in ("reproduce", "windows", "site"):
        code, said = call(verb, "own")
        assert (code, "OutputError" in said) == (1, True), said
    assert seen(root / "artifacts" / "own") == seen(tiny)
