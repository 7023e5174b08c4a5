"""Baselines are what they claim to be, through the evaluation that every model goes through."""

import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from xperience.cli import app
from xperience.qwen import evaluate as evaluation
from xperience.qwen.baselines import guesses_of, linear_json, majority_json, oracle_json
from xperience.qwen.evaluate import PARTS, evaluate
from xperience.qwen.schema import UNKNOWN, AnswersError, Options, answer_text
from xperience.qwen.supervised import (
    MANIFEST,
    OPTIONS,
    RECORDS,
    Supervised,
    as_target,
    write_predictions,
)
from xperience.storage import write_json

from .conftest import supervised

TRAINED = Options(("Pour water", "Stir tea"), ("Make tea",), ("cup", "kettle", "lid"))
ACTIONS = ("Pour water", "Stir tea", "Never trained")


def record(place, side="test", n_frames=12, **truth):
    start = 100 + 20 * (place % 5)
    answer = {
        "action": "Stir tea", "subtask": "Make tea", "objects": ["cup"], "contact": "yes",
        "transition": "no", "next_action": "Stir tea",
        "evidence_window": {"start_frame": 6, "end_frame": n_frames - 1},
    } | truth  # fmt: skip
    media = {"fps": 4.0, "n_frames": n_frames, "window_frames": 4, "seconds": n_frames / 4}
    changed = {
        "id": f"{side}{place // 5}:{start}", "episode": f"{side}{place // 5}",
        "window": {"start_frame": start, "end_frame": start + 19},
        "clip": {"start_frame": start + 20 - 5 * n_frames, "end_frame": start + 19},
        "answer": answer_text(answer), "target": answer_text(as_target(answer, TRAINED)),
        "action_is_option": answer["action"] in TRAINED.allowed("action"),
    }  # fmt: skip
    return Supervised(**supervised(place, side, "Stir tea", **media) | changed)


def drawn(side, n, seed):
    rng = np.random.default_rng(seed)
    for place in range(n):
        n_frames = int(rng.integers(10, 18))
        action = str(rng.choice(ACTIONS, p=[0.3, 0.5, 0.2]))
        yield record(
            place,
            side,
            n_frames,
            action=action if side == "test" or action in TRAINED.action else UNKNOWN,
            next_action=str(rng.choice(TRAINED.action)),
            contact=str(rng.choice(["yes", "no"], p=[0.7, 0.3])),
            transition=str(rng.choice(["yes", "no", "unknown"], p=[0.2, 0.7, 0.1])),
            objects=[str(name) for name in rng.choice(["cup", "kettle", "jar"], 2, replace=False)],
            evidence_window={"start_frame": int(rng.integers(0, 7)), "end_frame": n_frames - 1},
        )


ASKED, TRAIN = list(drawn("test", 60, 1)), list(drawn("train", 60, 2))


@pytest.fixture
def scored(tmp_path, monkeypatch):
    """Return a function (answers) to the rows of their evaluation, by task, metric and variant."""
    parts = {name: part for name, part in PARTS.items() if not name.startswith("wording")}
    monkeypatch.setattr(evaluation, "PARTS", parts)  # wordings are slow, and tested elsewhere

    def scores(said):
        write_json(tmp_path / OPTIONS, TRAINED.as_json())
        write_predictions(tmp_path / "p.jsonl", said)
        rows = evaluate(tmp_path / "p.jsonl", tmp_path / OPTIONS, "model")
        return {
            (row.task, row.metric, row.variant): row
            for row in rows
            if row.against is None and row.head == "model"
        }

    return scores


def test_the_majority_scores_exactly_its_share_and_does_not_look_at_what_it_answers(scored):
    before = list(majority_json(TRAIN, ASKED))
    rows = scored(before)
    for field in ("contact", "transition", "next_action"):
        known = Counter(one.taught[field] for one in TRAIN if one.taught[field] != UNKNOWN)
        truth = [one.truth[field] for one in ASKED if one.truth[field] != UNKNOWN]
        share = truth.count(known.most_common(1)[0][0]) / len(truth)
        assert rows[field, "accuracy", "parsed"].value == share
    contact = rows["contact", "accuracy", "parsed"]
    assert contact.value == contact.floor == rows[None, "published_contact_accuracy", None].value
    assert rows[None, "strict_validity", None].value == 1
    changed = [
        record(place, n_frames=one.media.n_frames, contact="no", objects=["lid"])
        for place, one in enumerate(ASKED)
    ]
    assert [raw for _, raw in majority_json(TRAIN, changed)] == [raw for _, raw in before]
    said = [json.loads(raw) for _, raw in before]
    ends = [answer.pop("evidence_window")["end_frame"] for answer in said]
    assert all(answer == said[0] for answer in said)
    assert ends == [one.media.n_frames - 1 for one in ASKED]


def test_the_majority_says_unknown_only_if_training_says_nothing_else():
    train = [record(place, "train", action="Never trained") for place in range(5)]
    known = [*train, record(5, "train", action="Pour water")]
    for records, expected in ((train, UNKNOWN), (known, "Pour water")):
        assert json.loads(next(majority_json(records, ASKED))[1])["action"] == expected


def test_the_truth_reaches_its_ceiling_and_no_further(scored):
    rows = scored(oracle_json(ASKED))
    assert rows[None, "strict_validity", None].value == 1
    for field in ("contact", "transition", "next_action"):
        assert rows[field, "accuracy", "parsed"].value == 1
    trained = np.mean([one.truth["action"] in TRAINED.action for one in ASKED])
    action = rows["action", "accuracy", "parsed"]
    assert action.value == action.ceiling == trained < 1
    assert rows["action", "accuracy", "answerable"].value == 1
    assert rows["action", "macro_f1_present", "answerable"].value == 1
    objects = rows["objects", "micro_f1", "parsed"]
    assert objects.value == objects.ceiling < 1  # the jar is no option
    evidence = rows["evidence_window", "evidence_iou", "parsed"]
    assert (evidence.value, evidence.floor_name, evidence.n_test) == (1, "last_frames", len(ASKED))
    assert 0.3 < evidence.floor < 0.95


def guesses(records, **said):
    """Return guesses of all windows from 60 frames before each record's on."""
    return {
        (one.episode, start): said
        for one in records
        for start in range(one.window.start_frame - 60, one.window.start_frame + 1, 5)
    }


def test_heads_become_answers_with_unknown_for_what_is_no_option_or_are_refused(scored):
    said = guesses(
        ASKED, action="Never trained", subtask="Make tea", objects=("cup", "jar"),
        contact="no_contact", transition="steady",
    )  # fmt: skip
    answers = list(linear_json(said, ASKED, TRAINED))
    for _, raw in answers:
        answer = json.loads(raw)
        assert answer["action"] == answer["next_action"] == UNKNOWN
        assert (answer["subtask"], answer["objects"]) == ("Make tea", ["cup"])
        assert (answer["contact"], answer["transition"]) == ("no", "no")
    assert scored(answers)[None, "strict_validity", None].value == 1
    with pytest.raises(AnswersError, match=f"{ASKED[55].id}: has no prediction"):
        list(linear_json(guesses(ASKED[:55]), ASKED, TRAINED))
    with pytest.raises(AnswersError, match="'touching'"):
        list(linear_json(guesses(ASKED, contact="touching"), ASKED, TRAINED))


@pytest.mark.parametrize(("changed_at", "first"), [(0, 0), (100, 8), (90, 6), (95, 7)], ids=str)
def test_evidence_of_heads_is_the_run_of_equal_guesses_up_to_the_window(changed_at, first):
    one = record(0)  # the window starts at frame 100, the clip at 60; 12 frames, 4 a second
    said = {
        (one.episode, start): {"action": "a" if start < changed_at else "b"}
        for start in range(0, 101, 5)
    }
    answer = json.loads(next(linear_json(said, [one], TRAINED))[1])
    assert answer["evidence_window"] == {"start_frame": first, "end_frame": 11}


def table(episode="ep", start=40):
    rows = [
        ("timeline_action", 7, "Pour water"), ("timeline_action", 8, "Stir tea"),
        ("object_relevance", 7, "cup|lid|cup"), ("contact_prediction", 7, "contact"),
        ("transition_detection", 7, "transition"), ("temporal_order", 7, "right"),
    ]  # fmt: skip
    return pd.DataFrame(
        [(episode, task, "linear", seed, start, said) for task, seed, said in rows],
        columns=["episode", "task", "head", "seed", "start_frame", "predicted"],
    )


def test_a_table_of_heads_becomes_one_guess_a_window_or_is_refused():
    assert guesses_of(table()) == {
        ("ep", 40): {
            "action": "Pour water", "objects": ["cup", "lid"], "contact": "contact",
            "transition": "transition",
        }
    }  # fmt: skip
    with pytest.raises(AnswersError, match="Did you mean 'linear'"):
        guesses_of(table(), "liner")
    with pytest.raises(AnswersError, match="no column start_frame"):
        guesses_of(table().drop(columns="start_frame"))


def test_the_verb_writes_what_the_evaluation_reads_or_ends_with_one_line(tmp_path, scored):
    folder, out, heads = tmp_path / "records", tmp_path / "p.jsonl", tmp_path / "heads.parquet"
    write_json(folder / OPTIONS, TRAINED.as_json())
    (folder / MANIFEST).write_text("{}")
    write = lambda some: (folder / RECORDS).write_text(  # noqa: E731
        "".join(json.dumps(one.model_dump()) + "\n" for one in some)
    )
    write([*TRAIN, *ASKED])
    heads.write_bytes(b"PAR1 no more")
    call = ["answers", "baseline", str(folder), "--out", str(out)]
    linear = ["--kind", "linear", "--predictions", str(heads)]
    for more, told in (
        (["--kind", "majorty"], "Did you mean 'majority'"),
        (["--kind", "linear"], "--predictions"),
        (linear, "cannot be read"),
    ):
        done = CliRunner().invoke(app, [*call, *more])
        assert done.exit_code == 1
        assert told in done.output
        assert not out.exists()
    windows = {(one.episode, one.window.start_frame) for one in ASKED}
    pd.concat(table(*window) for window in windows).to_parquet(heads)
    for more in (["--kind", "majority"], ["--kind", "oracle"], linear):
        done = CliRunner().invoke(app, [*call, *more])
        assert done.exit_code == 0, done.output
        rows = evaluate(out, folder / OPTIONS, "model")
        assert next(row for row in rows if row.metric == "strict_validity").value == 1
        assert len(out.read_text().splitlines()) == len(ASKED)
    write(ASKED)
    done = CliRunner().invoke(app, call)
    assert (done.exit_code, "has no record of train" in done.output) == (1, True)
