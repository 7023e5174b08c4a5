"""What is committed of the stand-in run is fresh, whole, small and of no machine."""

import json
from pathlib import Path

import pytest

from xperience.params import load_params
from xperience.project import provenance_path
from xperience.run.fresh import stale
from xperience.run.plan import Plan
from xperience.scoring.records import read_records

REPOSITORY = Path(__file__).parents[2]
COMMITTED = REPOSITORY / "artifacts" / "standin"
MAX_BYTES = 2_000_000
KINDS = ("notebooks/*.ipynb", "metrics/*.json", "figures/*")
FILES = sorted(path for kind in KINDS for path in COMMITTED.glob(kind))

pytestmark = pytest.mark.skipif(not FILES, reason="no executed notebook is committed")


def test_the_executed_notebooks_follow_from_their_sources():
    found = [str(entry) for entry in stale(Plan.of("standin"))]
    assert found == [], "make reproduce brings them up to date"


def test_nothing_is_left_of_notebooks_that_are_gone():
    names = set(load_params("standin").notebooks)
    assert {path.stem for path in (COMMITTED / "notebooks").iterdir()} == names
    assert {path.name.partition(".")[0] for path in (COMMITTED / "metrics").iterdir()} == names


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_committed_file_is_small_and_names_no_machine(path):
    content = path.read_bytes()
    assert len(content) <= MAX_BYTES
    for folder in (REPOSITORY, Path.home()):
        assert f"{folder}/".encode() not in content


@pytest.mark.parametrize(
    "path", sorted(COMMITTED.glob("metrics/[0-9]*.json")), ids=lambda p: p.name
)
def test_metric_rows_are_whole_and_have_their_provenance(path):
    if path.name.endswith(".provenance.json"):
        return
    rows = read_records(path)
    assert {(row.run, row.section) for row in rows} == {("standin", path.stem)}
    assert json.loads(provenance_path(path).read_text())["data"]
