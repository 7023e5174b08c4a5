"""A killed run takes the steps that it would have taken, and what it learns is read back."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from xperience.qwen.generate import Decoding, generate
from xperience.qwen.model import ModelSource, load
from xperience.qwen.schema import AnswersError
from xperience.qwen.supervised import open_export
from xperience.qwen.train import ATTENTION, TrainingSettings, train

pytestmark = pytest.mark.extras("transformers", "peft", "accelerate", "xgrammar")
SHORT = TrainingSettings(steps=4, batch=4, piece=2, save_every=2, learning_rate=1e-2, rank=4)
# What a model of random weights needs besides: nothing of it was ever fitted to anything.
MORE = ATTENTION + r"|lm_head|.*visual\.merger\.mlp\.[02]"

TWO_PROCESSES = """
import sys
from accelerate import debug_launcher
import transformers.models.qwen3_omni_moe.modeling_qwen3_omni_moe, peft  # once for both
from xperience.cli import app
debug_launcher(app, (sys.argv[1:],), num_processes=2)
"""
"""As `accelerate launch` would start them, but of one that has imported what they need."""


def logged(run):
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def losses(run):
    return [line["loss"] for line in logged(run) if "loss" in line]


def weights(run):
    from safetensors.torch import load_file  # noqa: PLC0415 of the extras

    return load_file(run / "adapter" / "adapter_model.safetensors")


def trained(toy_export, source, out, settings):
    train(toy_export, source, out, settings)
    return out


@pytest.fixture(scope="module")
def source(tiny):
    return ModelSource(str(tiny))


@pytest.fixture(scope="module")
def whole(source, toy_export, tmp_path_factory):
    """A run that was never stopped."""
    return trained(toy_export, source, tmp_path_factory.mktemp("runs") / "whole", SHORT)


def test_training_lowers_the_loss_of_the_text_models_attention_and_says_so(whole):
    lines, found = logged(whole), losses(whole)
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4]
    assert found[-1] < found[0] - 0.05
    summary = json.loads((whole / "training.json").read_text())
    validated = {x["step"]: x["validation_loss"] for x in lines if "validation_loss" in x}
    assert list(validated) == [2, 4]
    assert summary["best_step"] == min(validated, key=validated.get)
    assert summary["validation_loss"] == min(validated.values())
    names = {name.split(".lora_")[0] for name in weights(whole)}
    assert len(names) == 8
    assert all("language_model.layers" in name and "self_attn" in name for name in names)


def killed_at(step):
    def watch(line):
        if line["step"] == step:
            raise KeyboardInterrupt

    return watch


def test_a_killed_run_takes_the_very_steps_that_it_would_have_taken(
    source, toy_export, whole, tmp_path
):
    run = tmp_path / "run"
    for step in (1, 3):  # before and after the first checkpoint
        with pytest.raises(KeyboardInterrupt):
            train(toy_export, source, run, SHORT, watch=killed_at(step))
    with (run / "log.jsonl").open("a") as file:
        file.write('{"step": 4, "los')  # as if it had been killed while writing
    train(toy_export, source, run, SHORT)
    assert logged(run) == logged(whole)
    first, second = weights(run), weights(whole)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    for name in ("adapter/adapter_config.json", "key.json"):
        assert (run / name).read_bytes() == (whole / name).read_bytes()
    before = (run / "log.jsonl").read_bytes()
    assert train(toy_export, source, run, SHORT, watch=killed_at(1)) == run / "adapter"
    assert (run / "log.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"seed": 8}, "another settings"),
        ({"batch": 0}, "1 or more"),
        ({"targets": "nothing"}, "a pattern of linear"),
        ({"targets": "("}, "a regular expression"),
    ],
)
def test_what_cannot_be_trained_is_refused(source, toy_export, whole, tmp_path, changed, said):
    out = whole if "seed" in changed else tmp_path / "run"
    with pytest.raises(AnswersError, match=said):
        train(toy_export, source, out, replace(SHORT, **changed))


def test_an_adapter_is_read_back_as_it_was(source, toy_export, whole, tmp_path):
    record = next(open_export(toy_export).records("test"))

    def logits(of):
        loaded = load(of)
        item = loaded.prompter.encode(record, toy_export, answered=True)
        inputs = loaded.prompter.batch([item], left=False)
        del inputs["labels"]
        with torch.no_grad():
            return loaded.model(**inputs).logits

    taught = replace(source, adapter=whole / "adapter")
    plain, adapted = logits(source), logits(taught)
    assert (plain - adapted).abs().max() > 1e-3
    assert torch.equal(adapted, logits(taught))
    with pytest.raises(AnswersError, match="holds no adapter"):
        load(replace(source, adapter=tmp_path))
    with pytest.raises(AnswersError, match="trains one of its own"):
        train(toy_export, taught, tmp_path / "x", SHORT)
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(AnswersError, match="holds other files"):
        train(toy_export, source, tmp_path, SHORT)


@pytest.mark.slow
def test_pieces_and_recomputing_change_nothing_but_rounding(source, toy_export, tmp_path):
    short = replace(SHORT, steps=3, dropout=0.0)
    runs = [
        trained(toy_export, source, tmp_path / str(place), replace(short, **changed))
        for place, changed in enumerate(({"piece": 4}, {"piece": 1}, {"recompute": True}))
    ]
    assert (runs[0] / "key.json").read_bytes() == (runs[1] / "key.json").read_bytes()
    for other in runs[1:]:
        assert losses(other) == pytest.approx(losses(runs[0]), abs=1e-4)


@pytest.mark.slow
def test_bfloat16_trains_an_adapter_of_float32(source, toy_export, whole, tmp_path):
    settings = replace(SHORT, steps=1, bf16=True)
    run = trained(toy_export, replace(source, dtype="bfloat16"), tmp_path / "run", settings)
    assert losses(run)[0] == pytest.approx(losses(whole)[0], abs=0.1)
    assert losses(run)[0] != losses(whole)[0]
    assert {tensor.dtype for tensor in weights(run).values()} == {torch.float32}


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one(source, toy_export, tmp_path):
    settings = replace(SHORT, dropout=0.0, piece=1)
    alone = trained(toy_export, source, tmp_path / "one", settings)
    both = tmp_path / "two"
    words = [
        "answers", "train", str(toy_export),
        "--model", source.model, "--out", str(both), "--steps", "4", "--batch", "4",
        "--piece", "1", "--save-every", "2", "--learning-rate", "0.01", "--rank", "4",
        "--dropout", "0",
    ]  # fmt: skip
    launch = [sys.executable, "-c", TWO_PROCESSES, *words]
    done = subprocess.run(launch, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads((both / "training.json").read_text())["n_processes"] == 2
    assert (both / "key.json").read_bytes() == (alone / "key.json").read_bytes()
    assert losses(both) == pytest.approx(losses(alone), abs=1e-4)
    first, second = weights(alone), weights(both)
    assert all(torch.allclose(first[name], second[name], atol=1e-3) for name in first)


@pytest.mark.slow
def test_what_only_the_video_and_the_sound_tell_is_learnt(source, toy_export, tmp_path):
    """Actions go by the clip's colour, contact and objects by whether there is sound."""
    settings = replace(
        SHORT, steps=60, batch=8, piece=8, save_every=30, rank=16, dropout=0.0, targets=MORE
    )
    adapter = train(toy_export, source, tmp_path / "run", settings)
    taught = replace(source, adapter=adapter)
    for constrained in (True, False):
        out = tmp_path / f"{constrained}.jsonl"
        generate(toy_export, taught, out, Decoding(constrained, batch=12))
        lines = [json.loads(line) for line in out.read_text().splitlines()]
        assert [json.loads(x["raw_prediction"]) for x in lines] == [x["true_json"] for x in lines]
