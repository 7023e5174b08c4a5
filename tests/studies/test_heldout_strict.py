"""Strict JSON about test windows: everybody in one table, an absent model with its reason."""

import json

import pandas as pd
import pytest

from xperience.cohort.manifest import make_manifest
from xperience.evaluation.records import write_records
from xperience.qwen import generate, model, tiny
from xperience.qwen.clips import ExportSettings
from xperience.qwen.schema import AnswersError
from xperience.studies.heldout import strict

from .heldout_family import family

BRIEF = ExportSettings(fps=2.0, lead_s=(0.5, 1.0), per_episode=6, tile_px=(32, 32))


@pytest.fixture(scope="module")
def roster(made_once):
    """Five recordings, two of them to test on; one is enough here."""
    whole = family(made_once)
    spare = whole.on("test")[1].episode
    return make_manifest((entry for entry in whole if entry.episode != spare), whole.root)


@pytest.fixture(scope="module")
def predictions(roster):
    """What a head says of every window of the test recording: one and the same."""
    fields = {"timeline_action": "Stir", "object_relevance": "spoon|mug",
              "contact_prediction": "contact", "transition_detection": "steady"}  # fmt: skip
    return pd.DataFrame(
        {"episode": entry.episode, "task": task, "head": "linear", "seed": None,
         "start_frame": start, "predicted": said}
        for entry in roster.on("test") for start in range(0, 140, 5)
        for task, said in fields.items()
    )  # fmt: skip


def validity(rows):
    return {row.head: row.value for row in rows if row.metric == "strict_validity"}


def test_without_the_packages_the_model_is_named_with_the_reason(
    roster, predictions, tmp_path, monkeypatch
):
    def lacking():
        raise AnswersError("packages", "lack xgrammar", "the extra", "Install it.")

    for room in (model, tiny, generate):  # whichever of them asks
        if hasattr(room, "require"):
            monkeypatch.setattr(room, "require", lacking)
    answered = strict.answer_records(roster, predictions, tmp_path / "a", BRIEF)
    rows = list(strict.strict_rows(answered, "tiny"))
    write_records(tmp_path / "m.json", rows)  # refuses two rows of one key
    assert validity(rows) == {
        strict.MAJORITY: 1, strict.LINEAR: 1, strict.TRUTH: 1,
        strict.CONSTRAINED: None, strict.FREE: None,
    }  # fmt: skip
    absent = [row for row in rows if row.head in (strict.CONSTRAINED, strict.FREE)]
    assert all("lack xgrammar" in row.reason for row in absent)
    evidence = {row.head: row.value for row in rows
                if row.metric == strict.EVIDENCE and row.against is None}  # fmt: skip
    assert evidence[strict.TRUTH] == pytest.approx(1)
    assert set(evidence) == set(answered.files)


def test_one_answer_is_shown_whole_and_an_author_without_predictions_is_refused(
    roster, predictions, tmp_path, monkeypatch
):
    monkeypatch.setattr(strict, "_by_tiny_model", lambda export, folder: {})
    answered = strict.answer_records(roster, predictions, tmp_path / "a", BRIEF)
    one = strict.answer_of(answered, strict.LINEAR)
    lines = answered.files[strict.LINEAR].read_text().splitlines()
    (said,) = [line for line in map(json.loads, lines) if line["id"] == one.record.id]
    assert (one.raw, one.record.truth) == (said["raw_prediction"], said["true_json"])
    assert one.reading.strict
    middle = strict.answer_of(answered, strict.TRUTH)
    assert middle.record == one.record
    with pytest.raises(AnswersError, match="gave no predictions"):
        strict.answer_of(answered, strict.CONSTRAINED)


def test_heads_that_said_nothing_are_named(roster, predictions, tmp_path, monkeypatch):
    monkeypatch.setattr(strict, "_by_tiny_model", lambda export, folder: {})
    other = predictions.assign(head="neural")
    answered = strict.answer_records(roster, other, tmp_path / "a", BRIEF)
    assert "linear" in answered.failed[strict.LINEAR]
    assert strict.MAJORITY in answered.files


@pytest.mark.slow
@pytest.mark.extras(*model.NEEDS)
def test_a_tiny_random_model_is_valid_and_knows_nothing(roster, predictions, tmp_path, monkeypatch):
    monkeypatch.setattr(strict, "FREE_TOKENS", 32)
    answered = strict.answer_records(roster, predictions, tmp_path / "a", BRIEF)
    assert not answered.failed
    rows = list(strict.strict_rows(answered, "tiny"))
    assert validity(rows)[strict.CONSTRAINED] == 1
    assert validity(rows)[strict.FREE] == 0
    said = (answered.files[strict.CONSTRAINED]).read_text().splitlines()
    assert len(said) == BRIEF.per_episode
    again = strict.answer_records(roster, predictions, tmp_path / "a", BRIEF)
    assert (again.files[strict.CONSTRAINED]).read_text().splitlines() == said
