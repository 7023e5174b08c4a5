"""Answers of a random model are valid, know nothing, and come out the same after a stop."""

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from xperience.cli import app
from xperience.qwen.evaluate import evaluate
from xperience.qwen.generate import Decoding, generate
from xperience.qwen.model import ModelSource
from xperience.qwen.schema import AnswersError

pytestmark = pytest.mark.extras("xgrammar", "peft")
QUICK = Decoding(batch=4)


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def source(tiny):
    return ModelSource(str(tiny))


@pytest.fixture(scope="module")
def constrained(source, toy_export, tmp_path_factory):
    out = tmp_path_factory.mktemp("answers") / "predictions.jsonl"
    assert generate(toy_export, source, out, QUICK) == 8
    return out


def test_a_random_model_is_valid_and_knows_nothing(source, constrained, toy_export, tmp_path):
    free = tmp_path / "free.jsonl"
    generate(toy_export, source, free, replace(QUICK, constrained=False, limit=24))
    rows = evaluate(constrained, toy_export / "options.json")
    others = evaluate(free, toy_export / "options.json")
    assert all(line["ended"] for line in lines_of(constrained))
    assert [row.value for row in rows if row.metric == "strict_validity"] == [1.0]
    assert [row.value for row in others if row.metric == "strict_validity"] == [0.0]
    assert [row.value for row in others if row.metric == "lenient_validity"] == [0.0]
    skilled = [row for row in rows if row.floor is not None and row.value is not None]
    assert len(skilled) > 5
    for row in skilled:
        low = row.value if row.ci_low is None else row.ci_low
        assert low <= row.floor, (row.task, row.metric, row.value, row.floor)


def test_a_stopped_call_goes_on_and_writes_the_same(source, toy_export, constrained, tmp_path):
    out = tmp_path / "predictions.jsonl"

    def stop(n_done, n):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(toy_export, source, out, QUICK, watch=stop)
    assert not out.exists()
    parts = tmp_path / ".predictions.parts/predictions.jsonl"
    with parts.open("a") as file:
        file.write('{"id": "test:004", "epi')  # as if it had been killed while writing
    done = []
    generate(toy_export, source, out, QUICK, watch=lambda n, _: done.append(n))
    assert done == [8]
    assert out.read_bytes() == constrained.read_bytes()
    assert not parts.parent.exists()
    assert generate(toy_export, source, out, QUICK, watch=stop) == 8
    with pytest.raises(AnswersError, match="rests on another decoding"):
        generate(toy_export, source, out, replace(QUICK, seed=8))
    (tmp_path / "predictions.key.json").unlink()
    with pytest.raises(AnswersError, match="does not say its key"):
        generate(toy_export, source, out, QUICK)


@pytest.mark.slow
def test_draws_follow_from_the_seed(source, toy_export, tmp_path):
    drawn = replace(QUICK, temperature=1.0)
    texts = []
    for place, seed in enumerate((1, 1, 2)):
        out = tmp_path / f"{place}.jsonl"
        generate(toy_export, source, out, replace(drawn, seed=seed), sides=("val",))
        texts.append(out.read_text())
    assert texts[0] == texts[1] != texts[2]


def test_the_command_answers_and_says_what_is_wrong(tiny, toy_export, tmp_path):
    out = tmp_path / "said.jsonl"
    call = ["answers", "generate", str(toy_export), "--model", str(tiny), "--side", "val"]
    call += ["--out", str(out)]
    told = CliRunner().invoke(app, [*call, "--free", "--limit", "3"])
    assert told.exit_code == 0, told.output
    assert [line["id"] for line in lines_of(out)] == ["val:000", "val:001"]
    assert json.loads((tmp_path / "said.key.json").read_text())["decoding"]["limit"] == 3
    for other, said in (
        ([*call, "--free", "--limit", "4"], "rests on another decoding"),
        ([*call[:-1], str(tmp_path / "p.jsonl"), "--limit", "20"], "so that every answer can end"),
        (["answers", "tiny", str(tmp_path / "m")], "Name one of the two"),
    ):
        told = CliRunner().invoke(app, other)
        assert told.exit_code == 1
        assert said in told.stderr
