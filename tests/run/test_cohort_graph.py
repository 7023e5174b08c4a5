"""The graph of a run of many recordings: what a broken, a changed and a repaired one make it do."""

import json
import re
import shutil
import subprocess
import sys

import h5py
import pytest

from xperience.cohort.manifest import Entry, make_manifest, read_manifest, write_manifest
from xperience.cohort.shards import read_reports, split_shards
from xperience.standin.mark import write_mark

from .conftest import HEADER
from .test_reproduce import Clone

PARAMS = """
run: tiny
episodes: recordings/episodes.csv
n_shards: 2
contract: corrected
notebooks: [01_first]
"""
NOTEBOOK = """
# %% [markdown]
# # A section

# %% tags=["parameters"]
run: str = "tiny"
episodes: str = "recordings/episodes.csv"

# %%
from xperience.cohort.shards import read_reports, tables_of
from xperience.project import at_root, metrics_path, run_folder
from xperience.report.provenance import provenance
from xperience.evaluation.records import Record, write_records

# %%
done = [one for report in read_reports(run_folder(run)) for one in report.episodes]
good = [one for one in done if one.status == "ok"]
tables = [tables_of(run_folder(run), one.episode)[0] for one in good]
n = sum(one.n_windows for one in good)
row = Record(run=run, section="01_first", contract="corrected", metric="n_windows", value=n)
files = [at_root(episodes), *tables]
write_records(metrics_path(run, "01_first"), [row], provenance("01_first", {"run": run}, files))
"""
FIRST, SITE = "execute notebook 01_first", "build the site"
SHARDS = {"work on shard 0", "work on shard 1"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def whole(simulated):
    return simulated(frames=60, depth_size_px=(16, 16))


@pytest.fixture(scope="module")
def clone(tmp_path_factory, whole) -> Clone:
    """A repository with four recordings, one of them broken, brought up to date once."""
    clone = Clone(tmp_path_factory.mktemp("cohort"))
    (clone.folder / "notebooks" / "02_second.py").unlink()
    (clone.folder / "notebooks" / "01_first.py").write_text(HEADER + NOTEBOOK)
    (clone.folder / "params" / "tiny.yaml").write_text(PARAMS)
    recordings = clone.folder / "recordings"
    names = ("e0", "e1", "e2", "broken")
    for name in names:
        record(whole, recordings / name, name)
    (recordings / "broken" / "annotation.hdf5").write_bytes(b"cut off")
    entries = [Entry(episode=name, folder=name, session=name, side="train") for name in names]
    write_manifest(recordings / "episodes.csv", make_manifest(entries, recordings))
    assert clone.reproduce("tiny")[0] == SHARDS | {FIRST, SITE}
    return clone


def record(whole, folder, name) -> None:
    """Put a recording of its own there, in place of another."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)
    with h5py.File(folder / "annotation.hdf5", "r+") as file:
        file.attrs["name"] = name
    write_mark(folder)


def shard(clone, number, *options, code=0) -> None:
    """Work on a shard as a user does on the command line."""
    call = ["cohort", "shard", "recordings/episodes.csv", "--shard", str(number), "--of", "2"]
    command = clone.command()
    command["args"] = [sys.executable, "-c", "from xperience.cli import app; app()", *call]
    command["args"] += ["--out", "artifacts/tiny", *options]
    done = subprocess.run(**command, check=False)
    assert done.returncode == code, done.stdout


def shard_of(clone, episode) -> int:
    shards = split_shards(read_manifest(clone.folder / "recordings" / "episodes.csv"), 2)
    (number,) = [n for n, some in enumerate(shards) if episode in {one.episode for one in some}]
    return number


def tables(clone) -> dict:
    folder = clone.folder / "artifacts" / "tiny" / "windows"
    return {path.name.split(".")[0]: path.stat().st_mtime_ns for path in folder.glob("*.parquet")}


def n_windows(clone) -> float:
    (row,) = json.loads((clone.folder / "artifacts/tiny/metrics/01_first.json").read_text())
    return row["value"]


def test_a_broken_recording_is_reported_and_everything_else_is_made(clone):
    done = [one for one_shard in read_reports(clone.folder / "artifacts" / "tiny")
            for one in one_shard.episodes]  # fmt: skip
    assert {one.episode: one.status for one in done} == {
        "e0": "ok", "e1": "ok", "e2": "ok", "broken": "failed",
    }  # fmt: skip
    assert set(tables(clone)) == {"e0", "e1", "e2"}
    assert n_windows(clone) == sum(one.n_windows for one in done) > 0


def test_the_shard_of_a_broken_recording_passes_unless_strict(clone):
    number, before = shard_of(clone, "broken"), tables(clone)
    shard(clone, number)
    shard(clone, number, "--strict", code=1)
    shard(clone, 1 - number, "--strict")
    assert tables(clone) == before


def test_a_shard_worked_on_by_hand_is_read_by_what_follows(clone, whole):
    record(whole, clone.folder / "recordings" / "e2", "e2 anew")
    shard(clone, shard_of(clone, "e2"))
    assert clone.planned() == {FIRST, SITE}


def test_changed_and_repaired_recordings_cost_their_own_windows_and_what_reads_them(clone, whole):
    before, few = tables(clone), n_windows(clone)
    for name in ("e1", "broken"):
        record(whole, clone.folder / "recordings" / name, f"{name} anew")
    made, said = clone.reproduce("tiny")
    changed = {shard_of(clone, name) for name in ("e1", "broken")}
    for name in ("e1", "broken"):
        assert re.search(rf"Changed since shard {shard_of(clone, name)}: .*\b{name}\b", said)
    assert made == {sorted(SHARDS)[number] for number in changed} | {FIRST, SITE}
    after = tables(clone)
    assert {name for name in after if after[name] != before.get(name)} == {"e1", "broken"}
    assert n_windows(clone) > few
    assert clone.reproduce("tiny")[0] == set()
