"""Takeaways on disk: written whole, refused once edited or older than their metrics."""

import json

import pytest
from typer.testing import CliRunner

from xperience.cli import app
from xperience.evaluation.records import Record, write_records
from xperience.project import metrics_path
from xperience.report import takeaways as fresh
from xperience.report.claims import CONTRACT, EPISODES, NEURAL, RUN, SHIFT, Ask, Place
from xperience.report.takeaways import (
    Evidence,
    TakeawaysError,
    check_takeaways,
    open_evidence,
    takeaways_path,
    write_takeaways,
)
from xperience.storage import value_digest

HANDS = "hand_trajectory_forecast"


def counted(run, value=0.0, section=CONTRACT):
    same = {"run": run, "section": section, "contract": "published"}
    return [
        Record(**same, metric="n_blocks_missing", unit="blocks", value=value),
        Record(**same, metric="n_windows", unit="windows", value=77.0),
        Record(**same, metric="n_frames", unit="frames", value=400.0),
        Record(**same, metric="feature_dim", unit="features", value=9.0),
    ]


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("XPERIENCE_ROOT", str(tmp_path))
    write_records(metrics_path("tiny", CONTRACT), counted("tiny"))
    write_records(metrics_path("cohort", EPISODES), counted("cohort", section=EPISODES))
    return tmp_path


@pytest.fixture
def written(root):
    write_takeaways(open_evidence("tiny", "cohort"))
    return takeaways_path("tiny")


def refusal():
    with pytest.raises(TakeawaysError) as caught:
        check_takeaways("tiny")
    assert "make reproduce RUN=tiny" in str(caught.value)
    return str(caught.value)


def test_what_was_just_written_is_fresh_and_the_same_again(written):
    check_takeaways("tiny")
    before = written.read_bytes(), written.with_suffix(".json").read_bytes()
    write_takeaways(open_evidence("tiny", "cohort"))
    assert (written.read_bytes(), written.with_suffix(".json").read_bytes()) == before
    assert "77 windows" in written.read_text()


def test_a_page_edited_by_hand_is_refused(written):
    written.write_text(written.read_text().replace("77 windows", "78 windows"))
    assert "changed by hand" in refusal()


def test_a_number_edited_in_both_files_is_refused(written):
    for path in (written, written.with_suffix(".json")):
        path.write_text(path.read_text().replace("77 windows", "78 windows"))
    assert "RESEARCH_TAKEAWAYS.json was changed by hand" in refusal()


@pytest.mark.parametrize("text", ["", "[]", "{}", "not json", '{"digest": 3}'])
def test_a_broken_object_is_refused_and_no_crash(written, text):
    written.with_suffix(".json").write_text(text)
    assert "changed by hand" in refusal()


def test_takeaways_of_another_layout_are_old_and_no_crash(written):
    data = written.with_suffix(".json")
    content = json.loads(data.read_text())
    del content["extents"], content["digest"]
    data.write_text(json.dumps(content | {"digest": value_digest(content)}))
    assert "made by other rules" in refusal()


@pytest.mark.parametrize("suffix", [".md", ".json"])
def test_an_absent_file_is_named(written, suffix):
    written.with_suffix(suffix).unlink()
    assert f"RESEARCH_TAKEAWAYS{suffix} is not there" in refusal()


def test_younger_metrics_are_named(written):
    write_records(metrics_path("tiny", CONTRACT), counted("tiny", value=2.0))
    assert f"artifacts/tiny/metrics/{CONTRACT}.json has changed since" in refusal()
    write_takeaways(open_evidence("tiny", "cohort"))
    check_takeaways("tiny")
    assert "2 blocks of the contract are missing" in written.read_text()


def test_metrics_that_came_later_are_named(written):
    write_records(metrics_path("tiny", SHIFT), counted("tiny", section=SHIFT))
    assert f"{SHIFT}.json was not there yet" in refusal()


def test_metrics_that_are_gone_are_named_but_those_of_another_run_may_be(written):
    metrics_path("cohort", EPISODES).unlink()
    check_takeaways("tiny")
    metrics_path("tiny", CONTRACT).unlink()
    assert f"{CONTRACT}.json is gone" in refusal()


def test_younger_metrics_of_the_cohort_are_named(written):
    write_records(metrics_path("cohort", EPISODES), counted("cohort", 5.0, EPISODES))
    assert f"artifacts/cohort/metrics/{EPISODES}.json has changed since" in refusal()


def test_other_rules_make_takeaways_old(written, monkeypatch):
    other = fresh.assemble

    def reworded(evidence):
        content = other(evidence)
        return content | {"digest": "that of other sentences"}

    monkeypatch.setattr(fresh, "assemble", reworded)
    assert "sentences have changed since" in refusal()


def test_a_write_that_fails_leaves_the_old_page(written, monkeypatch):
    before = written.read_bytes()
    write_records(metrics_path("tiny", CONTRACT), counted("tiny", value=2.0))

    def full(content):
        raise OSError("no space left")

    monkeypatch.setattr(fresh, "to_markdown", full)
    with pytest.raises(OSError, match="no space"):
        write_takeaways(open_evidence("tiny", "cohort"))
    assert written.read_bytes() == before
    monkeypatch.undo()


def test_a_broken_metrics_file_is_told_and_the_others_are_read(root):
    metrics_path("tiny", NEURAL).write_text('[{"run": "tiny"}]')
    evidence = open_evidence("tiny", "cohort")
    found = evidence.find(Place(RUN, "published"), Ask(NEURAL, "mpjpe", HANDS, "neural"))
    assert found.row is None
    assert "is no metrics file" in found.why
    assert evidence.find(Place(RUN, "published"), Ask(CONTRACT, "n_windows")).row is not None


def test_rows_of_another_run_are_not_taken_for_this_ones(root):
    write_records(metrics_path("tiny", SHIFT), counted("other", section=SHIFT))
    place, ask = Place(RUN, "published"), Ask(SHIFT, "n_windows")
    assert Evidence("tiny").find(place, ask).row is None


def told(*words):
    return CliRunner().invoke(app, ["takeaways", *words])


def test_the_verb_writes_and_checks(root):
    assert told("tiny", "--check").exit_code == 1
    made = told("tiny", "--heldout", "cohort")
    assert made.exit_code == 0
    assert made.stdout.strip() == "artifacts/tiny/RESEARCH_TAKEAWAYS.md"
    assert told("tiny", "--check").exit_code == 0
    content = json.loads(takeaways_path("tiny", ".json").read_text())
    assert (content["run"], content["heldout"]) == ("tiny", "cohort")


def test_a_run_that_left_nothing_gets_the_nearest_name(root):
    failed = told("tinny")
    assert failed.exit_code == 1
    assert "Did you mean 'tiny'" in failed.stderr
    assert "make reproduce" in failed.stderr
