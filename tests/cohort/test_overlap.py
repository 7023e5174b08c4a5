"""Captions are read for what they say, and overlap with training is counted."""

import shutil
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from xperience.cli import app
from xperience.cohort.manifest import (
    Entry,
    ManifestError,
    make_manifest,
    read_manifest,
    write_manifest,
)
from xperience.cohort.overlap import (
    KINDS,
    OF_LABELS,
    OF_WINDOWS,
    CohortLabels,
    count_labels,
    key_named,
    overlap_rows,
    overlap_table,
    read_labels,
)
from xperience.errors import ParamsError
from xperience.evaluation.records import read_records
from xperience.recording import labels
from xperience.recording.captions import FrameLabels


def entry(name, side="train"):
    return Entry(episode=name, folder=name, session=name, side=side)


def cohort(sides, counts):
    """Return a cohort's labels from {episode: split} and {episode: {kind: {label: n}}}."""
    manifest = make_manifest([entry(*one) for one in sides.items()], ".")
    known = {
        name: {kind: Counter(counts.get(name, {}).get(kind, {})) for kind in KINDS}
        for name in sides
    }
    return CohortLabels(manifest, known, {})


SIMPLE = cohort(
    {"a": "train", "b": "val", "c": "test", "d": "test"},
    {
        "a": {"action": {"Pour the water": 4, "Cut bread": 1}, "objects": {"red cup": 3}},
        "b": {"action": {"Pour the water": 2}, "objects": {"blue cups": 2}},
        "c": {"action": {"pour water": 3, "Stir tea": 1}, "objects": {"spoon": 1}},
        "d": {"action": {"Cut bread": 1, "Pouring water": 5}},
    },
)


def rows_of(labels_of):
    """Return {(kind, variant, metric): row}."""
    rows = list(overlap_rows(labels_of, "run", "section"))
    found = {(row.task, row.variant, row.metric): row for row in rows}
    assert len(found) == len(rows)
    return found


def test_labels_are_counted_by_window():
    said = FrameLabels.empty(30, main_task="Make tea")
    said.action[:] = ["Pour water"] * 18 + ["N/A"] * 12
    said.subtask[:] = ["Brew"] * 10 + ["Serve"] * 20
    said.objects[24] = ("cup", "kettle", "cup", "N/A")
    said.objects[26] = ("cup",)
    assert count_labels(said, 30) == {  # windows at frames 0, 5, 10
        "activity": Counter({"Make tea": 3}),
        "action": Counter({"Pour water": 3}),
        "subtask": Counter({"Serve": 2}),  # in the first window neither has its share
        "objects": Counter({"cup": 2, "kettle": 2}),
    }


def test_shares_are_of_windows_and_of_distinct_labels():
    rows = rows_of(SIMPLE)
    written = rows["action", "test_as_written", OF_WINDOWS]
    assert (written.value, written.n_train, written.n_test) == (1 / 10, 2, 10)
    assert rows["action", "test_as_written", OF_LABELS].value == 1 / 4
    assert rows["action", "test_same_text", OF_WINDOWS].value == 4 / 10
    assert rows["action", "val_as_written", OF_WINDOWS].value == 1
    assert rows["objects", "val_as_written", OF_WINDOWS].value == 0
    lacking = rows["subtask", "val_as_written", OF_WINDOWS]
    assert (lacking.status, lacking.reason) == ("skipped", "no subtask label in the split val")
    others = [written.model_copy(update=x) for x in ({"task": None}, {"metric": "n_labels"})]
    table = overlap_table([*rows.values(), *others])
    assert table.loc[("action", "as_written"), ("test", "windows")] == 1 / 10
    assert np.isnan(table.loc[("subtask", "as_written"), ("val", "labels")])
    assert list(table.index.unique("labels")) == list(KINDS)


@pytest.mark.extras("lemminflect")
def test_looser_matches_find_what_is_worded_otherwise():
    rows = rows_of(SIMPLE)
    assert rows["action", "test_same_verb_and_noun", OF_WINDOWS].value == 9 / 10
    assert rows["action", "test_same_verb_and_noun", OF_LABELS].value == 2 / 3
    assert rows["objects", "val_same_noun", OF_WINDOWS].value == 1
    assert rows["objects", "test_same_noun", OF_WINDOWS].value == 0


LABEL = st.sampled_from(["Pour water", "pour the water", "Pour tea", "Cut bread", "cut a bread"])
COUNTS = st.dictionaries(LABEL, st.integers(1, 5), max_size=4)


@given(counts=st.lists(COUNTS, min_size=4, max_size=4))
def test_a_looser_match_never_finds_less(counts):
    sides = {"a": "train", "b": "val", "c": "test", "d": "test"}
    counts = {name: {"action": one} for name, one in zip(sides, counts, strict=True)}
    rows = rows_of(cohort(sides, counts))
    for side in ("val", "test"):
        found = [rows["action", f"{side}_{way}", OF_WINDOWS] for way in ("as_written", "same_text")]
        shares = [row.value for row in found if row.status == "ok"]
        assert shares == sorted(shares)
        assert all(row.reason for row in found if row.status != "ok")


def test_without_the_lemmatiser_looser_matches_are_skipped_with_the_reason(monkeypatch):
    monkeypatch.setattr(labels, "can_split", lambda: False)
    rows = rows_of(SIMPLE)
    assert "lemminflect" in rows["action", "val_same_noun", OF_WINDOWS].reason
    assert rows["action", "val_same_text", OF_WINDOWS].value == 1
    with pytest.raises(ParamsError, match="lemminflect"):
        key_named("same_noun")
    with pytest.raises(ParamsError, match="same_noun"):
        key_named("same_nouns")


def test_many_recordings_give_an_interval_and_few_a_reason():
    counts = {f"e{i}": {"action": {"x": i % 5 + 1, "other": 4}} for i in range(30)}
    sides = {"t": "train"} | dict.fromkeys(counts, "test")
    rows = rows_of(cohort(sides, counts | {"t": {"action": {"x": 3}}}))
    row = rows["action", "test_as_written", OF_WINDOWS]
    assert row.ci_low < row.value < row.ci_high
    few = rows_of(SIMPLE)["action", "test_as_written", OF_WINDOWS]
    assert few.ci_low is None
    assert few.ci_reason


def ran(*arguments):
    return CliRunner().invoke(app, ["cohort", *map(str, arguments)])


def test_the_verbs_name_what_they_leave_out(tiny, builder, tmp_path):
    """Of three recordings the second has broken captions and the third is not there."""
    shutil.copytree(tiny, tmp_path / "mute")
    builder.put_captions(tmp_path / "mute", "neither JSON nor a file")
    path, metrics = tmp_path / "episodes.csv", tmp_path / "overlap.json"
    manifest = make_manifest([entry("ep"), entry("mute", "val"), entry("gone", "test")], tmp_path)
    write_manifest(path, manifest)
    out = tmp_path / "new" / "balanced.csv"
    result = ran("rebalance", path, "--out", out)
    assert result.exit_code == 0, result.output
    assert "left out: mute" in result.stderr
    assert "left out: gone" in result.stderr
    (after,) = read_manifest(out)
    assert after.activity
    assert (read_manifest(out).folder(after) / "annotation.hdf5").samefile(tiny / "annotation.hdf5")
    result = ran("overlap", path, "--out", metrics)
    assert result.exit_code == 0, result.output
    assert "left out: mute" in result.stderr
    assert {row.task for row in read_records(metrics)} == set(KINDS)

    lost = make_manifest(manifest.entries[1:], tmp_path)
    with pytest.raises(ManifestError, match="none of them readable"):
        read_labels(lost)
    write_manifest(path, lost)
    result = ran("rebalance", path, "--out", tmp_path / "none.csv")
    assert (result.exit_code, "none of them readable" in result.stderr) == (1, True)
    assert not (tmp_path / "none.csv").exists()
