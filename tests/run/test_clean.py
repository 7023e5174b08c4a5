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


def test_a_simulation_and_its_results_go_and_the_reference_stays(run, simulated, root):
    reference = root / "artifacts" / "reference" / "tiny"
    shutil.copytree(run / "metrics", reference / "metrics")
    before = seen(reference)
    shutil.copytree(simulated(frames=60), run / "episode")
    for name in ("reproduction.json", "RESEARCH_TAKEAWAYS.md", "RESEARCH_TAKEAWAYS.json"):
        (run / name).touch()
    assert call("clean", "tiny") == (0, "")
    assert list(run.iterdir()) == []
    assert seen(reference) == before


def test_a_recording_of_ones_own_stays_and_a_download_goes_if_asked(run, tiny):
    episode = Path(shutil.copytree(tiny, run / "episode"))
    code, said = call("clean", "tiny", "--download")
    assert (code, seen(episode)) == (0, seen(tiny))
    assert "kept: artifacts/tiny/episode holds something that no run has made" in said
    files = tuple(
        RemoteFile(path=one.name, size=one.stat().st_size, digest=f"sha256:{file_digest(one)}")
        for one in sorted(episode.iterdir())
    )
    asked = {"repo_id": "a/b", "revision": "main", "commit": "0" * 40, "folder": "", "licence": "x"}
    receipt = Receipt(**asked, episode=RemoteEpisode(folder="", files=files, missing=()))
    (episode / STORE).mkdir()
    (episode / RECEIPT).write_text(receipt.model_dump_json())
    assert "make clean DOWNLOAD=1" in call("clean", "tiny")[1]
    (episode / "notes.txt").write_text("mine")
    assert "no run has made" in call("clean", "tiny", "--download")[1]
    assert (episode / "annotation.hdf5").is_file()
    (episode / "notes.txt").unlink()
    assert call("clean", "tiny", "--download") == (0, "")
    assert not episode.exists()


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


def test_no_run_replaces_a_recording_or_writes_into_it(run, tiny, root):
    """Neither one copied from a simulated run, nor one whose folder is its recording."""
    before = seen(tiny)
    (root / "Snakefile").touch()
    (root / "params" / "tiny.yaml").write_text(yaml.safe_dump(PARAMS | {"episode": str(tiny)}))
    for verb in ("reproduce", "episode"):
        code, said = call(verb, "tiny")
        assert (code, "never replaced" in said) == (1, True), said
    own = Path(shutil.copytree(tiny, root / "artifacts" / "own"))
    values = {key: value for key, value in PARAMS.items() if key != "standin"}
    values |= {"run": "own", "episode": "artifacts/own"}
    (root / "params" / "own.yaml").write_text(yaml.safe_dump(values))
    for verb in ("reproduce", "windows", "site"):
        code, said = call(verb, "own")
        assert (code, "OutputError" in said) == (1, True), said
    assert seen(tiny) == seen(own) == before
    assert not is_simulated(tiny)
