"""Answers on held-out episodes: what a made-up record gives back, and what the real one says."""

import json

import pandas as pd
import pytest

from xperience.evaluation.records import ANSWERING, METADATA, SHUFFLED, WITHOUT_ONE, write_records
from xperience.studies.record.answers import NO_OPTIONS, TABLES, answer_rows, answered
from xperience.studies.record.record import PublishedRecordError, open_record

SECTION = "08_published_record"
ACTIONS = ["Cut paper", "Fold paper", "Fold star", "Hold pen"]
"""True actions of each episode's windows; nobody trained on the last."""
SAID = {
    "ep1": [
        "Cut paper",
        "Fold paper",
        "Fold star",
        "Fold pen",
    ],  # all right but the last one
    "ep2": ["Fold paper"] * 4,
    "ep3": ["Fold paper"] * 3 + [None],  # a text that breaks off
}


def answer(action, objects=("paper",)):
    return {
        "action": action, "subtask": "Crafting", "objects": list(objects), "contact": "yes",
        "transition": "no", "next_action": action,
        "evidence_window": {"start_frame": 0, "end_frame": 19},
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    return made_up(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return rows_of(made_up(tmp_path_factory.mktemp("record")))


def made_up(folder):
    """Write a record of three episodes of four windows; the baseline always says one action."""
    lines, tables = [], {field: [] for field in TABLES}
    for episode, said in SAID.items():
        for place, action in enumerate(said):
            true = answer(ACTIONS[place], ("paper", "pen") if place else ("paper",))
            true |= {
                "contact": "yes" if place else "no",
                "subtask": ["Folding", "Crafting"][place % 2],
            }
            text = json.dumps(answer(action)) if action else '{"action": "Fold pa'
            lines.append({
                "id": f"{episode}:{place}", "episode_id": episode, "raw_prediction": text,
                "true_json": true, "true_label_seen_in_train": int(place < 3),
            })  # fmt: skip
            for field, rows in tables.items():
                rows.append((episode, true[field], {"action": "Fold star"}.get(field, true[field])))
    qwen, base = folder / "heldout_qwen3_omni", folder / "heldout_baselines"
    qwen.mkdir()
    base.mkdir()
    (qwen / "predictions.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    (qwen / "options.json").write_text(json.dumps(ACTIONS))
    for field, rows in tables.items():
        table = pd.DataFrame(rows, columns=["episode_id", "true_label", "predicted_label"])
        table.to_csv(base / f"{TABLES[field]}_predictions.csv", index=False)
    windows = [("a", "train", "Crafting"), ("a", "train", "Crafting"), ("b", "test", "Crafting"),
               ("c", "test", "Cooking")]  # fmt: skip
    table = pd.DataFrame(windows, columns=["episode_id", "split", "main_task"])
    table.to_csv(base / "windows.csv", index=False)
    return folder


def rows_of(folder):
    return answer_rows(open_record(folder), None, "test", SECTION)


def find(rows, **wanted):
    wanted = {"variant": None, "against": None} | wanted
    found = [row for row in rows if all(getattr(row, k) == v for k, v in wanted.items())]
    assert len(found) == 1, wanted
    return found[0]


def score(rows, field, head=ANSWERING, metric="accuracy", **more):
    return find(rows, task=f"heldout_{field}", head=head, metric=metric, **more)


def test_made_up_answers_give_what_was_put_into_them(whole, tmp_path):
    rows = whole
    write_records(tmp_path / "m.json", rows)  # no two rows share a key
    assert find(rows, metric="lenient_validity").value == 11 / 12
    assert find(rows, metric="strict_validity").value == 10 / 12  # "Fold pen" is no option
    assert score(rows, "action").value == 5 / 12
    assert score(rows, "action_verb").value == 7 / 12
    assert score(rows, "action_noun").value == 8 / 12
    assert score(rows, "contact").value == 8 / 12
    assert score(rows, "action", METADATA).value == 3 / 12
    assert score(rows, "subtask", METADATA).value == 1
    assert score(rows, "objects", metric="micro_f1").value == pytest.approx(22 / (21 + 11))
    named = {head: score(rows, "action", head, "distinct_predictions").value
             for head in (ANSWERING, METADATA)}  # fmt: skip
    assert named == {ANSWERING: 4, METADATA: 1}
    assert score(rows, "action", METADATA, "distinct_share").value == 1 / 4
    gap = score(rows, "action", metric="macro_f1", against=METADATA)
    both = [score(rows, "action", head, "macro_f1").value for head in (ANSWERING, METADATA)]
    assert gap.value == pytest.approx(both[0] - both[1])
    shuffled = score(rows, "action", metric="macro_f1", against=SHUFFLED)
    assert 0 < shuffled.value < both[0]
    left = score(rows, "action", metric="macro_f1", variant=WITHOUT_ONE)
    assert left.value < both[0]
    assert "without episode ep1" in left.reason
    assert score(rows, "action", None, "open_set_share").value == 3 / 12
    assert score(rows, "action_verb", None, "open_set_share").value == 3 / 12
    assert score(rows, "action_noun", None, "open_set_share").value == 3 / 12
    assert score(rows, "activity", None, "open_set_share").value == 1 / 2
    assert score(rows, "transition", metric="macro_f1").status == "degenerate"


@pytest.mark.parametrize(
    ("lost", "told"),
    [
        ("heldout_qwen3_omni/options.json", {"strict_validity": NO_OPTIONS}),
        ("heldout_baselines/windows.csv", {"heldout_episodes": "their list is not in the"}),
        (
            "heldout_baselines/timeline_action_predictions.csv",
            {"macro_f1": "its predictions are not in the published record"},
        ),
    ],
)
def test_a_file_that_is_absent_is_told_and_the_rest_stays(folder, whole, lost, told):
    (folder / lost).unlink()
    rows = rows_of(folder)
    skipped = [row for row in rows if row.status == "skipped"]
    for metric, reason in told.items():
        assert any(row.metric == metric and reason in row.reason for row in skipped)
    before = {row.key: row for row in whole}
    assert all(row == before[row.key] for row in rows if row.status == "ok")
    assert len(rows) > len(whole) / 2


def test_without_answers_or_options_a_figure_is_refused(folder):
    assert answered(open_record(folder), "num_samples") == 12
    (folder / "heldout_qwen3_omni" / "options.json").unlink()
    with pytest.raises(PublishedRecordError, match=r"options\.json"):
        answered(open_record(folder), "action_macro_f1")
    (folder / "heldout_qwen3_omni" / "predictions.jsonl").unlink()
    with pytest.raises(PublishedRecordError, match=r"predictions\.jsonl"):
        rows_of(folder)


def test_files_that_are_not_as_published_are_refused(folder):
    path = folder / "heldout_baselines" / "contact_prediction_predictions.csv"
    table = pd.read_csv(path)
    table.iloc[::-1].to_csv(path, index=False)
    with pytest.raises(PublishedRecordError, match="baseline of contact"):
        rows_of(folder)
    path = folder / "heldout_qwen3_omni" / "predictions.jsonl"
    path.write_text(path.read_text()[:-40])
    with pytest.raises(PublishedRecordError, match=r"predictions\.jsonl:12: is cut off"):
        rows_of(folder)


def test_the_real_answers_are_what_they_are_known_to_be(published):
    rows = rows_of(published)
    assert find(rows, metric="lenient_validity").value == 0.875
    strict = find(rows, metric="strict_validity")
    assert round(strict.value, 3) == 0.634
    assert strict.ci_low < strict.value < strict.ci_high < 0.98
    assert find(rows, metric="heldout_episodes", variant="test").value == 14
    assert score(rows, "action").n_test == 448
    windows = open_record(published).table("heldout_windows")["episode_id"].unique()
    assert len({one.partition("__")[0] for one in windows}) == len(windows)  # each its own session
    assert round(score(rows, "action", None, "open_set_share").value, 4) == 0.7076
    assert score(rows, "action", METADATA, "distinct_predictions").value == 2
    assert round(1 / score(rows, "action", METADATA, "distinct_share").value, 1) == 189 / 2
    assert score(rows, "action").value < score(rows, "action").floor  # the commonest true action
    assert score(rows, "action_verb", metric="macro_f1", against="share_matched_random").ci_low > 0
    assert {row.status for row in rows} == {"ok"}
