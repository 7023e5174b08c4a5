"""Committed takeaways say what the committed metrics say, and every rule finds its rows there."""

from pathlib import Path

import pytest

from xperience.project import PAGE, ROOT_VARIABLE
from xperience.report.claims import HELDOUT, TAKEAWAYS
from xperience.report.takeaways import Evidence, check_takeaways, judge

RUN = "standin"
MOST_BYTES = 10 * 1024
REFERENCE = Path(__file__).parents[2] / "artifacts" / "reference"
FOLDER = REFERENCE / RUN
PAGES = [FOLDER / f"{PAGE}{suffix}" for suffix in (".md", ".json")]
METRICS = FOLDER / "metrics"


@pytest.fixture(autouse=True)
def only_what_is_committed(tmp_path, monkeypatch):
    """Hide what has run in the checkout."""
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / "reference").symlink_to(REFERENCE)
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))


@pytest.fixture
def evidence():
    if not METRICS.is_dir():
        pytest.skip("no metrics are committed")
    return Evidence(RUN)


def test_takeaways_are_what_their_metrics_say():
    traces = [*PAGES, METRICS / "07_takeaways.json"]
    if not any(path.is_file() for path in traces):
        pytest.skip(f"run {RUN} has no takeaways yet")
    check_takeaways(RUN)
    assert (FOLDER / f"{PAGE}.md").stat().st_size <= MOST_BYTES, "it is as short as the note"


@pytest.mark.parametrize(
    ("claim", "place"),
    [
        (claim, place)
        for one in TAKEAWAYS
        for claim in one.claims
        for place in claim.rules
        if place.column != HELDOUT
    ],
    ids=lambda value: getattr(value, "name", None) or str(value),
)
def test_every_rule_finds_its_rows_in_the_committed_run(claim, place, evidence):
    judgement = judge(claim.rules[place].test, evidence, place)
    assert judgement.rows
    assert "is not in" not in judgement.why, f"{claim.name}: its notebook writes another name now"
