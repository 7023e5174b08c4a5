import json
from dataclasses import replace

import pytest
import torch

pytest.importorskip("peft")
pytest.importorskip("accelerate")

from safetensors.torch import load_file  # noqa: E402

from xperience.answers.model import Source, load  # noqa: E402
from xperience.answers.schema import AnswersError  # noqa: E402
from xperience.answers.supervised import open_export  # noqa: E402
from xperience.answers.train import Settings, train  # noqa: E402

SHORT = Settings(steps=6, batch=4, piece=2, save_every=3, learning_rate=1e-2, rank=4)


def logged(run):
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def weights(run):
    return load_file(run / "adapter" / "adapter_model.safetensors")


@pytest.fixture(scope="module")
def source(tiny):
    return Source(str(tiny))


@pytest.fixture(scope="module")
def whole(source, toy_export, tmp_path_factory):
    """A run that was never stopped."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    train(toy_export, source, out, SHORT)
    return out


def test_training_lowers_the_loss_and_says_so(whole):
    lines = logged(whole)
    losses = [line["loss"] for line in lines if "loss" in line]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4, 5, 6]
    assert losses[-1] < losses[0] - 0.1
    summary = json.loads((whole / "training.json").read_text())
    validated = {x["step"]: x["validation_loss"] for x in lines if "validation_loss" in x}
    assert summary["best_step"] == min(validated, key=validated.get)
    assert summary["validation_loss"] == min(validated.values())


class Killed(BaseException):
    pass


@pytest.mark.parametrize("at", [1, 4, 5])
def test_a_killed_run_takes_the_very_steps_that_it_would_have_taken(
    source, toy_export, whole, tmp_path, at
):
    def kill(line):
        if line["step"] == at:
            raise Killed

    with pytest.raises(Killed):
        train(toy_export, source, tmp_path / "run", SHORT, watch=kill)
    train(toy_export, source, tmp_path / "run", SHORT)
    assert logged(tmp_path / "run") == logged(whole)
    first, second = weights(tmp_path / "run"), weights(whole)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
