"""Captions are read for what they say, sides follow activities, and overlap is counted."""

import json
import shutil
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from xperience.cli import app
from xperience.cohort.balance import rebalance, rerooted, resized
from xperience.cohort.overlap import OF_LABELS, OF_WINDOWS, overlap_rows, overlap_table
from xperience.cohort.roster import (
    SIDES,
    Entry,
    RosterError,
    make_roster,
    read_roster,
    write_roster,
)
from xperience.cohort.wordings import (
    KINDS,
    WAYS,
    Wording,
    read_wordings,
    way_named,
    wording_of,
)
from xperience.errors import ParamsError
from xperience.evaluation.records import read_records
from xperience.recording import labels
from xperience.recording.captions import FrameLabels

needs_lemmas = pytest.mark.extras("lemminflect")


def entry(name, side="train", session=None, activity=""):
    return Entry(episode=name, folder=name, session=session or name, side=side, activity=activity)


# Reading.


@pytest.fixture
def cohort(tiny, builder):
    """Three recordings, of which the second has broken captions and the third is not there."""
    root = tiny.parent
    shutil.copytree(tiny, root / "mute")
    builder.put_captions(root / "mute", "neither JSON nor a file")
    roster = make_roster([entry("ep"), entry("mute", "val"), entry("gone", "test")], root)
    write_roster(root / "episodes.csv", roster)
    return roster


def test_broken_episodes_are_named_and_the_others_read(cohort):
    reading = read_wordings(cohort)
    assert [one.episode for one in reading.roster] == ["ep"]
    assert reading.roster.entries[0].activity == reading.wordings["ep"].activity
    assert reading.left_out.keys() == {"mute", "gone"}
    assert "caption" in reading.left_out["mute"]
    assert "gone" in reading.left_out["gone"]


def test_a_cohort_without_any_captions_is_an_error(cohort):
    lost = make_roster([one for one in cohort if one.episode != "ep"], cohort.root)
    with pytest.raises(RosterError, match="none of them readable"):
        read_wordings(lost)


def test_labels_are_counted_by_window():
    said = FrameLabels.empty(30, main_task="Make tea")
    said.action[:] = ["Pour water"] * 18 + ["N/A"] * 12
    said.subtask[:] = ["Brew"] * 10 + ["Serve"] * 20
    said.objects[24] = ("cup", "kettle", "cup", "N/A")
    said.objects[26] = ("cup",)
    found = wording_of(said, 30)  # windows at frames 0, 5, 10
    assert (found.activity, found.n_windows) == ("Make tea", 3)
    assert found.counts == {
        "activity": Counter({"Make tea": 3}),
        "action": Counter({"Pour water": 3}),
        "subtask": Counter({"Serve": 2}),  # in the first window neither has its share
        "objects": Counter({"cup": 2, "kettle": 2}),
    }


# Sides by activity.


def invented(seed, most_a_session):
    """Return a roster of sessions with common and rare activities, sides drawn by lot."""
    rng = np.random.default_rng(seed)
    n_kinds = int(rng.integers(2, 30))
    often = 1 / np.arange(1, n_kinds + 1)
    entries = []
    for number in range(int(rng.integers(16, 100))):
        side = str(rng.choice(SIDES, p=(0.7, 0.15, 0.15)))
        for part in range(int(rng.integers(1, most_a_session + 1))):
            kind = f"k{rng.choice(n_kinds, p=often / often.sum())}"
            entries.append(entry(f"e{number}_{part}", side, f"s{number}", kind))
    return make_roster(entries, ".")


@pytest.mark.parametrize("seed", range(25))
def test_every_side_keeps_its_size_and_gets_its_share(seed):
    before = invented(seed, most_a_session=1)
    after = rebalance(before, str, seed)
    assert [one.episode for one in after] == [one.episode for one in before]
    assert after == rebalance(before, str, seed)
    for side in SIDES:
        size = len(before.on(side))
        assert len(after.on(side)) == size
        on = Counter(one.activity for one in after.on(side))
        for kind, number in Counter(one.activity for one in before).items():
            assert abs(on[kind] - number * size / len(before)) <= 1


def test_sessions_stay_together_and_sides_are_hardly_ever_larger_or_smaller():
    off = []
    for seed in range(40):
        before = invented(seed, most_a_session=3)
        after = rebalance(before, str)  # a roster with a session on two sides is refused
        assert {one.episode for one in after} == {one.episode for one in before}
        off.append(max(abs(len(after.on(side)) - len(before.on(side))) for side in SIDES))
    assert max(off) <= 2
    assert np.mean(np.array(off) > 0) < 0.15


def test_an_activity_that_was_all_on_one_side_is_spread():
    entries = [entry(f"t{i}", "train", activity="tea") for i in range(12)]
    entries += [entry(f"c{i}", "val" if i < 2 else "test", activity="coffee") for i in range(4)]
    after = rebalance(make_roster(entries, "."), str)
    on = {side: Counter(one.activity for one in after.on(side)) for side in SIDES}
    assert on == {
        "train": Counter(tea=9, coffee=3),
        "val": on["val"],
        "test": on["test"],
    }
    assert on["val"] + on["test"] == Counter(tea=3, coffee=1)


def test_sides_shrink_together_where_episodes_are_left_out():
    sides = ["train"] * 12 + ["val"] * 2 + ["test"] * 2
    before = make_roster([entry(f"e{i}", side) for i, side in enumerate(sides)], ".")
    after = make_roster(before.entries[:8], ".")
    assert resized(before, after) == [6, 1, 1]


def test_unread_captions_are_no_activity():
    with pytest.raises(RosterError, match="Read the captions first"):
        rebalance(make_roster([entry("a")], "."), str)


def test_a_roster_written_elsewhere_still_finds_its_recordings(tmp_path):
    before = make_roster([entry("a")], tmp_path / "rec")
    (tmp_path / "rec" / "a").mkdir(parents=True)
    out = tmp_path / "other" / "deep" / "episodes.csv"
    write_roster(out, rerooted(before, out.parent))
    after = read_roster(out)
    assert after.folder(after.entries[0]).resolve() == (tmp_path / "rec" / "a").resolve()


# Overlap.


def wording(activity="", n_windows=10, **counts):
    return Wording(activity, n_windows, {kind: Counter(counts.get(kind, {})) for kind in KINDS})


SIMPLE = make_roster([entry("a"), entry("b", "val"), entry("c", "test"), entry("d", "test")], ".")
SAID = {
    "a": wording(action={"Pour the water": 4, "Cut bread": 1}, objects={"red cup": 3}),
    "b": wording(action={"Pour the water": 2}, objects={"blue cups": 2}),
    "c": wording(action={"pour water": 3, "Stir tea": 1}, objects={"spoon": 1}),
    "d": wording(action={"Cut bread": 1, "Pouring water": 5}),
}


def value(rows, kind, variant, metric):
    (row,) = [r for r in rows if (r.task, r.variant, r.metric) == (kind, variant, metric)]
    return row


def test_shares_are_of_windows_and_of_distinct_labels():
    rows = list(overlap_rows(SIMPLE, SAID, "run", "section"))
    written = value(rows, "action", "test_as_written", OF_WINDOWS)
    assert (written.value, written.n_train, written.n_test) == (1 / 10, 2, 10)
    assert value(rows, "action", "test_as_written", OF_LABELS).value == 1 / 4
    assert value(rows, "action", "test_same_text", OF_WINDOWS).value == 4 / 10
    assert value(rows, "action", "val_as_written", OF_WINDOWS).value == 1
    assert value(rows, "objects", "val_as_written", OF_WINDOWS).value == 0


@needs_lemmas
def test_looser_ways_find_what_is_worded_otherwise():
    rows = list(overlap_rows(SIMPLE, SAID, "run", "section"))
    assert value(rows, "action", "test_same_verb_and_noun", OF_WINDOWS).value == 9 / 10
    assert value(rows, "action", "test_same_verb_and_noun", OF_LABELS).value == 2 / 3
    assert value(rows, "objects", "val_same_noun", OF_WINDOWS).value == 1
    assert value(rows, "objects", "test_same_noun", OF_WINDOWS).value == 0


LABEL = st.sampled_from(
    ["Pour water", "pour the water", "Pour tea", "Cut bread", "cutting a bread"]
)
COUNTS = st.dictionaries(LABEL, st.integers(1, 5), max_size=4)


@given(said=st.lists(COUNTS, min_size=4, max_size=4))
def test_a_looser_way_never_finds_less(said):
    order = [entry("a"), entry("b", "val"), entry("c", "test"), entry("d", "test")]
    wordings = {one.episode: wording(action=c) for one, c in zip(order, said, strict=True)}
    rows = list(overlap_rows(make_roster(order, "."), wordings, "run", "section"))
    assert len({row.key for row in rows}) == len(rows)
    for side in ("val", "test"):
        found = [
            value(rows, "action", f"{side}_{way}", OF_WINDOWS)
            for way in ("as_written", "same_text")
        ]
        shares = [row.value for row in found if row.status == "ok"]
        assert shares == sorted(shares)
        assert all(row.reason for row in found if row.status != "ok")


def test_a_side_without_labels_has_a_reason():
    rows = list(overlap_rows(SIMPLE, SAID, "run", "section"))
    row = value(rows, "subtask", "val_as_written", OF_WINDOWS)
    assert (row.status, row.reason) == ("skipped", "no subtask label on the side val")


def test_without_the_lemmatiser_looser_ways_are_skipped_with_the_reason(monkeypatch):
    monkeypatch.setattr(labels, "can_split", lambda: False)
    rows = list(overlap_rows(SIMPLE, SAID, "run", "section"))
    assert "lemminflect" in value(rows, "action", "val_same_noun", OF_WINDOWS).reason
    assert value(rows, "action", "val_same_text", OF_WINDOWS).value == 1
    with pytest.raises(ParamsError, match="lemminflect"):
        way_named("same_noun")


def test_many_recordings_give_an_interval_and_few_a_reason():
    rng = np.random.default_rng(0)
    order = [entry("t"), *(entry(f"e{i}", "test") for i in range(30))]
    said = {one.episode: wording(action={"x": 3, f"y{rng.integers(9)}": 3}) for one in order}
    said |= {f"e{i}": wording(action={"x": i % 5 + 1, "other": 4}) for i in range(30)}
    rows = list(overlap_rows(make_roster(order, "."), said, "run", "section"))
    row = value(rows, "action", "test_as_written", OF_WINDOWS)
    assert row.ci_low < row.value < row.ci_high
    few = value(list(overlap_rows(SIMPLE, SAID, "r", "s")), "action", "test_as_written", OF_WINDOWS)
    assert few.ci_low is None
    assert few.ci_reason


def test_the_table_has_a_line_a_way_and_a_column_a_share():
    table = overlap_table(list(overlap_rows(SIMPLE, SAID, "run", "section")))
    assert table.loc[("action", "as_written"), ("test", "windows")] == 1 / 10
    assert np.isnan(table.loc[("subtask", "as_written"), ("val", "labels")])
    assert set(table.index.get_level_values("labels")) == set(KINDS)


def test_the_table_passes_over_rows_of_something_else():
    rows = list(overlap_rows(SIMPLE, SAID, "run", "section"))
    others = [rows[0].model_copy(update=less) for less in ({"task": None}, {"variant": None})]
    others.append(rows[0].model_copy(update={"metric": "n_labels"}))
    assert overlap_table([*rows, *others]).equals(overlap_table(rows))


@pytest.mark.parametrize("name", ["same_nouns", ""])
def test_a_misspelt_way_is_told_the_known_ones(name):
    with pytest.raises(ParamsError, match="same_noun"):
        way_named(name)


def test_ways_say_what_they_compare():
    assert all(way.rule.endswith(".") for way in WAYS.values())


# The verbs.


def ran(*arguments):
    return CliRunner().invoke(app, ["cohort", *map(str, arguments)])


def test_the_verbs_name_what_they_leave_out(cohort):
    roster, out = cohort.root / "episodes.csv", cohort.root / "new" / "balanced.csv"
    result = ran("rebalance", roster, "--out", out)
    assert result.exit_code == 0, result.output
    assert "left out: mute" in result.stderr
    assert "left out: gone" in result.stderr
    after = read_roster(out)
    assert [one.episode for one in after] == ["ep"]
    assert (after.folder(after.entries[0]) / "annotation.hdf5").is_file()
    metrics = cohort.root / "overlap.json"
    result = ran("overlap", roster, "--out", metrics)
    assert result.exit_code == 0, result.output
    assert "left out: mute" in result.stderr
    assert {row.task for row in read_records(metrics)} == set(KINDS)
    assert json.loads(metrics.read_text())


def test_nothing_is_written_where_nothing_could_be_read(tmp_path):
    write_roster(tmp_path / "episodes.csv", make_roster([entry("gone")], tmp_path))
    result = ran("rebalance", tmp_path / "episodes.csv", "--out", tmp_path / "new.csv")
    assert result.exit_code == 1
    assert "none of them readable" in result.stderr
    assert not (tmp_path / "new.csv").exists()
