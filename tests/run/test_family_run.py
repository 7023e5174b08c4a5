"""A run of several recordings, as `make reproduce RUN=smoke-family` does it."""

import subprocess

import pytest

from xperience.evaluation.records import read_records

from ..conftest import call_of, copy_repository

NOTEBOOK = "06_heldout_episodes"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_a_tiny_family_goes_through_every_step(tmp_path):
    copy_repository(tmp_path)
    done = subprocess.run(**call_of(tmp_path, "reproduce", "smoke-family"), check=False)
    assert done.returncode == 0, done.stdout
    run = tmp_path / "artifacts" / "smoke-family"
    assert (run / "notebooks" / f"{NOTEBOOK}.ipynb").is_file()
    rows = read_records(run / "metrics" / f"{NOTEBOOK}.json")
    assert {"linear", "neural"} <= {row.head for row in rows if row.status == "ok"}
    assert (run / "site" / "index.html").is_file()
