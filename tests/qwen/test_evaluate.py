"""The published figures come out, honest scores stand beside their floors, runs never mix."""

import json
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
from typer.testing import CliRunner

from xperience.cli import app
from xperience.evaluation.records import read_records
from xperience.project import provenance_path
from xperience.qwen import evaluate, wording
from xperience.qwen.evaluate import evaluate as evaluated
from xperience.qwen.evaluate import evaluate_to, summary
from xperience.qwen.predictions import read_predictions
from xperience.qwen.schema import AnswersError, read_options
from xperience.recording import labels

from .conftest import answer, line

COUNTS = ("num_samples", "num_unseen_label_samples", "held_out_episode_count")


@pytest.fixture
def lean(monkeypatch):
    """An installation without the extra: quick, and the same everywhere."""
    monkeypatch.setattr(labels, "can_split", lambda: False)
    monkeypatch.setattr(wording, "missing_packages", lambda: ["the_model"])


@pytest.fixture
def few_parts(lean, monkeypatch):
    """An evaluation of four quick parts."""
    few = ("published", "validity", "contact", "objects")
    monkeypatch.setattr(evaluate, "PARTS", {name: evaluate.PARTS[name] for name in few})


@pytest.fixture(scope="module")
def official(published) -> dict[str, float]:
    return json.loads((published / "heldout_qwen3_omni" / "metrics.json").read_text())


@pytest.fixture(scope="module")
def rows(published):
    """A function (part of the evaluation) that gives its rows on the published predictions."""
    folder = published / "heldout_qwen3_omni"
    options = read_options(folder / "options.json")
    predictions = read_predictions(folder / "predictions.jsonl", options)
    base = {"run": "published", "section": "evaluate", "contract": "corrected", "head": "qwen"}
    return cache(lambda part: list(evaluate.PARTS[part](predictions, base)))


def one(rows, metric, **fields):
    """Return the only row of a metric with these fields, differences and floors left out."""
    wanted = {"head": "qwen", "against": None} | fields
    (found,) = [
        row
        for row in rows
        if row.metric == metric and all(getattr(row, k) == v for k, v in wanted.items())
    ]
    return found


def test_every_official_figure_comes_out(rows, official):
    found = rows("published")
    for name, value in official.items():
        row = one(found, f"published_{name}")
        assert row.value == pytest.approx(value, rel=1e-12), name
        assert row.contract == "published"
        assert (row.higher_is_better is None) == (name in COUNTS)
    assert {r.metric for r in found} == {f"published_{n}" for n in [*official, "parsing_agreement"]}
    assert one(found, "published_parsing_agreement").value == 1


@pytest.mark.parametrize(("field", "majority"), [("contact", 0.71875), ("transition", 436 / 448)])
def test_contact_and_transition_stay_below_their_majority(rows, field, majority):
    found = one(rows(field), "accuracy", variant="parsed")
    assert (found.floor_name, found.floor) == ("majority_of_test_truth", majority)
    assert found.skill < 0
    gap = one(rows(field), "accuracy", variant="parsed", against=found.floor_name)
    assert gap.ci_high < 0


def test_validity_is_told_by_both_rules_and_options_of_the_test_side_are_said_to_be(rows):
    strict, lenient = (one(rows("validity"), f"{kind}_validity") for kind in ("strict", "lenient"))
    assert (strict.value * 448, lenient.value * 448) == (284, 392)
    assert strict.ci_low < strict.value < strict.ci_high
    faults = {row.variant: row.value for row in rows("validity") if row.metric == "fault_share"}
    assert (faults["not_json"], faults["wrong_keys"]) == (55 / 448, 1 / 448)
    assert faults["not_an_option"] > 0.2
    found = one(rows("openness"), "truth_in_options_share")
    assert found.value == 1
    assert "test split" in found.reason
    assert one(rows("openness"), "open_set_share").value == pytest.approx(317 / 448)
    assert one(rows("openness"), "next_action_is_action_share").value == 442 / 448


@pytest.mark.slow
def test_a_looser_comparison_is_right_more_often_and_stands_beside_chance(rows):
    ways = ["exact", "normalised", "same_words"]
    found = [one(rows("wording_subtask"), f"wording_{way}") for way in ways]
    had = [row.value for row in found if row.status == "ok"]
    assert had[0] == 3 / 448
    assert had == sorted(had)
    assert all(row.floor is not None for row in found if row.status == "ok")
    assert all("make extras" in row.reason for row in found if row.status == "skipped")
    shares = [row.value for row in rows("wording_subtask") if row.metric == "answer_share"]
    assert sum(shares) == pytest.approx(1)


@pytest.mark.slow
@pytest.mark.skipif(not labels.can_split(), reason="lemminflect is not installed")
def test_hardly_any_failure_is_wording(rows):
    found = one(rows("wording_action"), "failure_that_is_wording", variant="same_verb_and_noun")
    assert found.value == pytest.approx(10 / 433)
    fields = {"variant": found.variant, "against": found.floor_name}
    gap = one(rows("wording_action"), found.metric, **fields)
    assert gap.ci_low < 0 < gap.ci_high


def test_what_is_not_installed_is_said_and_no_row_disappears(lean, mixed, options_file):
    found = evaluated(mixed, options_file, model="qwen")
    for way in ("same_words", "same_noun", "same_meaning"):
        row = one(found, f"wording_{way}", task="action")
        assert row.status == "skipped"
        assert "make extras" in row.reason
    assert one(found, "wording_exact", task="action").floor_name is not None


def lines(n_episodes):
    rng = np.random.default_rng(0)
    for place in range(40):
        true = {"contact": str(rng.choice(["yes", "no"])), "transition": "unknown"}
        said = answer(**true | {"contact": str(rng.choice(["yes", "no"]))})
        yield line(place, json.dumps(said), f"ep{place % n_episodes}", true)


def test_a_score_or_interval_that_cannot_be_has_a_reason(lean, write, options_file):
    few = evaluated(write(lines(2)), options_file, model="qwen")
    found = one(few, "accuracy", task="contact", variant="parsed")
    assert found.ci_low is None
    assert "2 recordings" in found.ci_reason
    for variant in ("parsed", "strict"):
        constant = one(few, "accuracy", task="action", variant=variant)
        assert "one class tests nothing" in constant.reason
        assert "unknown" in one(few, "accuracy", task="transition", variant=variant).reason
    assert one(few, "published_transition_accuracy").status == "skipped"
    assert one(few, "published_seen_label_accuracy").status == "skipped"


def test_a_run_that_was_stopped_goes_on_and_nothing_is_computed_twice(
    few_parts, mixed, options_file, tmp_path, monkeypatch
):
    out, made, expected = tmp_path / "made" / "m.json", [], evaluated(mixed, options_file)

    def watched(name, part):
        def run(*args):
            made.append(name)
            if len(made) == 3:
                raise KeyboardInterrupt
            return part(*args)

        return run

    parts = {name: watched(name, part) for name, part in evaluate.PARTS.items()}
    monkeypatch.setattr(evaluate, "PARTS", parts)
    with pytest.raises(KeyboardInterrupt):
        evaluate_to(mixed, options_file, out)
    assert not out.exists()
    assert evaluate_to(mixed, options_file, out) == expected == read_records(out)
    assert made == ["published", "validity", "contact", "contact", "objects"]
    assert sorted(path.name for path in out.parent.iterdir()) == ["m.json", "m.provenance.json"]
    for path in out.parent.iterdir():
        assert str(tmp_path) not in path.read_text()
    assert evaluate_to(mixed, options_file, out) == expected
    assert len(made) == 5


def test_mended_input_is_not_taken_for_other_input(few_parts, mixed, tmp_path, options_file):
    out, mended = tmp_path / "m.json", options_file.read_text()
    options_file.write_text('["pen", "pen"]')
    with pytest.raises(AnswersError, match=rf"^{options_file.name}"):
        evaluate_to(mixed, options_file, out)
    options_file.write_text(mended)
    assert evaluate_to(mixed, options_file, out) == read_records(out)


CHANGES = {
    "predictions": lambda mixed, options: mixed.write_text(mixed.read_text().replace("pen", "p")),
    "options": lambda mixed, options: options.write_text('["Walk"]'),
    "model": lambda mixed, options: None,
}


@pytest.mark.parametrize("finished", [True, False], ids=["whole", "parts"])
@pytest.mark.parametrize("changed", CHANGES)
def test_two_runs_never_mix(
    few_parts, mixed, options_file, tmp_path, changed, *, finished, monkeypatch
):
    def stop(*_):
        raise KeyboardInterrupt

    out = tmp_path / "m.json"
    if finished:
        evaluate_to(mixed, options_file, out, model="one")
    else:
        monkeypatch.setitem(evaluate.PARTS, "contact", stop)
        with pytest.raises(KeyboardInterrupt):
            evaluate_to(mixed, options_file, out, model="one")
    CHANGES[changed](mixed, options_file)
    before = {path: path.read_bytes() for path in out.parent.rglob("*.json")}
    with pytest.raises(AnswersError, match=f"rests on another {changed}"):
        evaluate_to(mixed, options_file, out, model="two" if changed == "model" else "one")
    assert before == {path: path.read_bytes() for path in out.parent.rglob("*.json")}


def test_other_tools_evaluate_again_and_an_output_without_its_data_is_refused(
    few_parts, mixed, options_file, tmp_path
):
    out = tmp_path / "m.json"
    first = evaluate_to(mixed, options_file, out)
    told = json.loads(provenance_path(out).read_text())
    told["tools"]["library"] = "older"
    provenance_path(out).write_text(json.dumps(told))
    out.write_text("[]")
    assert evaluate_to(mixed, options_file, out) == first == read_records(out)
    provenance_path(out).unlink()
    with pytest.raises(AnswersError, match="does not say its key"):
        evaluate_to(mixed, options_file, out)


def test_the_verb_prints_a_table_and_where_it_wrote(few_parts, mixed, options_file, tmp_path):
    out = tmp_path / "m.json"
    call = ["evaluate", str(mixed), "--options", str(options_file), "--out", str(out)]
    result = CliRunner().invoke(app, call)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == str(out)
    assert "published_contact_accuracy" in result.stdout
    assert summary(read_records(out)) in result.stdout
    refused = CliRunner().invoke(app, [*call, "--model", "other"])
    assert refused.exit_code == 1
    assert refused.stderr.startswith("AnswersError: m.json: rests on another model")


def test_evaluating_loads_no_deep_learning_framework():
    code = "import sys; import xperience.qwen.evaluate; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
