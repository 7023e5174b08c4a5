"""What is committed of runs is fresh, whole, small and of no machine."""

import json
from pathlib import Path

import pytest

from xperience.evaluation.records import read_records
from xperience.params import load_params
from xperience.project import provenance_path
from xperience.run.fresh import stale
from xperience.run.plan import RunPlan

REPOSITORY = Path(__file__).parents[2]
ARTIFACTS = REPOSITORY / "artifacts" / "reference"
RUNS = [run for run in ("standin", "family") if (ARTIFACTS / run / "notebooks").is_dir()]
MAX_BYTES = 2_000_000
KINDS = ("notebooks/*.ipynb", "metrics/*.json", "figures/*", "predictions/*")
FILES = sorted(path for run in RUNS for kind in KINDS for path in (ARTIFACTS / run).glob(kind))
METRICS = [path for path in FILES if path.parent.name == "metrics"]

pytestmark = pytest.mark.skipif(not FILES, reason="no executed notebook is committed")


@pytest.mark.parametrize("run", RUNS)
def test_the_executed_notebooks_follow_from_their_sources(run):
    found = [str(entry) for entry in stale(RunPlan.of(run).reference)]
    assert found == [], f"make reproduce publish RUN={run} brings them up to date"


@pytest.mark.parametrize("run", RUNS)
def test_nothing_is_left_of_notebooks_that_are_gone(run):
    names = set(load_params(run).notebooks)
    folder = ARTIFACTS / run
    assert {path.stem for path in (folder / "notebooks").iterdir()} == names
    assert {path.name.partition(".")[0] for path in (folder / "metrics").iterdir()} == names


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_committed_file_is_small_and_names_no_machine(path):
    content = path.read_bytes()
    assert len(content) <= MAX_BYTES
    for folder in (REPOSITORY, Path.home()):
        assert f"{folder}/".encode() not in content


@pytest.mark.parametrize("path", METRICS, ids=lambda path: path.name)
def test_metric_rows_are_whole_and_have_their_provenance(path):
    if path.name.endswith(".provenance.json"):
        return
    rows = read_records(path)
    assert {(row.run, row.section) for row in rows} == {(path.parent.parent.name, path.stem)}
    assert json.loads(provenance_path(path).read_text())["data"]
