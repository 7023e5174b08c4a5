"""Episodes are chosen by the published rules, in whatever order; splits follow activities."""

import csv
import json
from collections import Counter
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from xperience.cli import app
from xperience.cohort.manifest import SPLITS, Entry, ManifestError, make_manifest, read_manifest
from xperience.cohort.selection import (
    BANDS,
    ChoiceError,
    Listed,
    ListingError,
    choose,
    read_listing,
    rebalance,
)
from xperience.hub import download
from xperience.hub.source import EPISODE_FILES, RemoteFile, group_episodes


def listed(folder, size=100, **more):
    return Listed(folder=folder, annotation_bytes=size, size_bytes=2 * size, **more)


def in_order(stock, drop_share=0.0):
    kept = sorted(stock, key=lambda one: (one.annotation_bytes, one.folder))
    return kept[int(drop_share * len(kept)) :]


STOCK = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 50), st.integers(1, 1000)),
    min_size=1,
    max_size=60,
    unique_by=lambda one: one[:2],
).map(lambda rows: [listed(f"s{session}/ep{n}", size) for session, n, size in rows])
RULES = st.fixed_dictionaries(
    {
        "splits": st.tuples(st.integers(1, 6), st.integers(0, 3), st.integers(0, 3)),
        "drop_share": st.sampled_from([0, 0.05, 0.3]),
        "pick": st.sampled_from(["middle", "random"]),
        "seed": st.integers(0, 5),
    }
)


def assert_shared_out(manifest, splits):
    """Each band gives validation its share of the band, and test its share of what is left."""
    left = Counter(entry.size_band for entry in manifest)
    for side, wanted in zip(("val", "test"), splits[1:], strict=True):
        on = Counter(entry.size_band for entry in manifest.on(side))
        total = left.total()
        assert all(abs(on[band] - wanted * n / max(total, 1)) < 1 for band, n in left.items())
        left -= on


@given(stock=STOCK, rules=RULES, data=st.data())
def test_counts_are_exact_and_no_session_stands_twice(stock, rules, data):
    kept = in_order(stock, rules["drop_share"])
    if len({one.session for one in kept}) < sum(rules["splits"]):
        with pytest.raises(ChoiceError, match="Ask for at most"):
            choose(stock, **rules)
        return
    manifest, _ = choose(stock, **rules)
    assert tuple(len(manifest.on(side)) for side in SPLITS) == rules["splits"]
    assert len({entry.session for entry in manifest}) == len(manifest)
    assert {entry.folder for entry in manifest} <= {one.folder for one in kept}
    assert_shared_out(manifest, rules["splits"])
    assert choose(data.draw(st.permutations(stock)), **rules)[0] == manifest


@given(
    stock=st.lists(
        st.builds(listed, st.from_regex(r"\As[0-3]/ep[1-9]\Z"), st.integers(1, 9)),
        min_size=2,
        max_size=8,
        unique_by=lambda one: one.folder,
    ),
    n_wanted=st.integers(1, 6),
)
def test_bands_are_as_even_as_any_choice_could_make_them(stock, n_wanted):
    sessions = {}
    for place, one in enumerate(in_order(stock)):
        sessions.setdefault(one.session, set()).add(BANDS[place * len(BANDS) // len(stock)])
    if len(sessions) < n_wanted:
        return
    possible = {
        tuple(sorted(chosen.count(band) for band in BANDS))
        for chosen in product(*[[None, *bands] for bands in sessions.values()])
        if len(chosen) - chosen.count(None) == n_wanted
    }
    found = [entry.size_band for entry in choose(stock, (n_wanted, 0, 0), drop_share=0)[0]]
    assert tuple(sorted(found.count(band) for band in BANDS)) == max(possible)


def plenty(n_sessions=100, episodes_each=2):
    sizes = (1000 + (37 * i) % 1009 for i in range(n_sessions * episodes_each))
    return [
        listed(f"s{session:03}/ep{number}", next(sizes))
        for session in range(n_sessions)
        for number in range(1, episodes_each + 1)
    ]


def test_bands_share_the_splits_alike_where_one_of_them_runs_short():
    few = [listed(f"s{i % 6}/ep{i}", i + 1) for i in range(20)]
    many = [listed(f"t{i}/ep1", 100 + i) for i in range(60)]
    manifest, _ = choose(few + many, (30, 10, 10), drop_share=0)
    bands = Counter(entry.size_band for entry in manifest)
    assert bands == {"short": 6, "lower_mid": 15, "upper_mid": 15, "long": 14}
    assert_shared_out(manifest, (30, 10, 10))


def test_the_middle_of_each_band_is_taken_or_a_sample_of_all_of_it():
    stock = sorted(plenty(400, 1), key=lambda one: one.annotation_bytes)
    quarter = [2 * one.annotation_bytes for one in stock[:100]]
    for pick, (low, high) in {"middle": (44, 56), "random": (0, 100)}.items():
        rules = {"pick": pick, "splits": (30, 5, 5), "drop_share": 0}
        chosen, _ = choose(stock, **rules)
        sizes = [entry.size_bytes for entry in chosen if entry.size_band == "short"]
        places = sorted(quarter.index(size) for size in sizes)
        assert low <= places[0] <= places[-1] < high
        assert (places[-1] - places[0] > 50) == (pick == "random")
        other, _ = choose(stock, **rules, seed=8)
        assert [entry.side for entry in chosen] != [entry.side for entry in other]


def test_the_published_selection_has_our_bands_and_counts(published):
    path = published / "heldout_baselines" / "episode_selection.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    manifest, _ = choose(read_listing(path), drop_share=0)
    bands = {row["episode_path"]: row["size_band"] for row in rows}
    assert {entry.folder: entry.size_band for entry in manifest} == bands
    theirs = Counter((row["size_band"], row["split"]) for row in rows)
    assert Counter((entry.size_band, entry.side) for entry in manifest) == theirs
    with pytest.raises(ChoiceError, match="Ask for at most 122 episodes"):
        choose(read_listing(path))  # all are needed, so that none can be dropped

    def apart(column):
        sizes = [[int(row[column]) for row in rows if row["size_band"] == band] for band in BANDS]
        return all(max(a) < min(b) for a, b in pairwise(sizes))

    assert apart("annotation_bytes")
    assert not apart("training_bytes_excluding_visualization_rrd")


# Listings.


def files_of(stock):
    return [
        {"path": f"{one.folder}/{name}", "size": one.annotation_bytes}
        for one in stock
        for name in EPISODE_FILES
    ]


def test_a_listing_of_files_or_episodes_as_json_or_csv_is_the_same(tmp_path):
    stock = [
        Listed(folder=f"s{i}/ep1", annotation_bytes=10 + i, size_bytes=7 * (10 + i))
        for i in range(3)
    ]
    columns = {"folder", "annotation_bytes", "size_bytes"}
    rows = {
        "files": files_of(stock),
        "episodes": [one.model_dump(include=columns) for one in stock],
    }
    for form, table_rows in rows.items():
        (tmp_path / f"{form}.json").write_text(json.dumps(table_rows))
        with (tmp_path / f"{form}.csv").open("w", newline="") as file:
            table = csv.DictWriter(file, table_rows[0])
            table.writeheader()
            table.writerows(table_rows)
    (tmp_path / "hub.json").write_text(json.dumps({"repo_id": "a/b", "files": rows["files"]}))
    found = [read_listing(path) for path in tmp_path.iterdir()]
    assert len(found) == 5
    assert all(one == stock for one in found)
    without = [row for row in rows["files"] if "s0/ep1/stereo_left" not in row["path"]]
    (tmp_path / "hub.json").write_text(json.dumps(without))
    missing = [one.missing for one in read_listing(tmp_path / "hub.json")]
    assert missing == [("stereo_left.mp4",), (), ()]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("csv", "path,size\n", "lists nothing"),
        ("csv", "path,size\na/annotation.hdf5,many\n", "row 1: size: is 'many'"),
        ("csv", "path,size\n../a/annotation.hdf5,1\n", "row 1: path: is"),
        ("csv", "folder,size_bytes\na,1\n", "row 1: annotation_bytes: is missing"),
        ("csv", "folder,annotation_bytes,size_bytes\na,1,-2\n", "row 1: size_bytes: is '-2'"),
        ("csv", "folder,annotation_bytes,size_bytes\n,1,2\n", "row 1: folder: is missing"),
        ("csv", "folder,annotation_bytes,size_bytes\na,1,2\na,1,2\n", "a: stands twice"),
        *(("json", text, "listing.json") for text in ("{", '{"a": 1}', "[1]", "7")),
    ],
)
def test_what_is_wrong_with_a_listing_is_said_with_its_place(tmp_path, name, text, message):
    path = tmp_path / f"listing.{name}"
    path.write_text(text)
    with pytest.raises(ListingError, match=message):
        read_listing(path)


# The verb.


def chosen(tmp_path, *arguments):
    path, whole = tmp_path / "listing.json", files_of(plenty(40, 2))
    broken = files_of([listed(f"broken{i}/ep1", 5000) for i in range(9)])
    broken = [file for file in broken if not file["path"].endswith("annotation.hdf5")]
    path.write_text(json.dumps(whole + broken))
    out = tmp_path / "episodes.csv"
    return CliRunner().invoke(app, ["cohort", "choose", str(path), "--out", str(out), *arguments])


def test_the_verb_writes_a_manifest_and_says_what_from(tmp_path):
    result = chosen(tmp_path, "--episodes", "16")
    assert result.exit_code == 0, result.output
    assert "89 episodes listed, 9 incomplete, 4 dropped as too small" in result.output
    manifest = read_manifest(tmp_path / "episodes.csv")
    smallest = sorted(one.annotation_bytes for one in plenty(40, 2))[:4]
    assert min(entry.size_bytes for entry in manifest) > len(EPISODE_FILES) * smallest[-1]
    assert [len(manifest.on(side)) for side in SPLITS] == [12, 2, 2]


def test_the_verb_asks_the_hub(tmp_path, monkeypatch):
    asked = []

    def answer(source):
        asked.append((source.repo_id, source.revision))
        return group_episodes(RemoteFile(**row) for row in files_of(plenty(9, 1)))

    monkeypatch.setattr(download, "list_episodes", answer)
    out = tmp_path / "episodes.csv"
    for name in ("lab/walks", "lab/walks@v1"):
        arguments = ["cohort", "choose", f"hub:{name}", "--sides", "2/1/1", "--out", str(out)]
        assert CliRunner().invoke(app, arguments).exit_code == 0
    assert asked == [("lab/walks", "main"), ("lab/walks", "v1")]
    assert len(read_manifest(out)) == 4
    arguments[2] = "hub:walks"
    assert "hub:owner/name[@revision]" in CliRunner().invoke(app, arguments).stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pick", "midle"], "Did you mean 'middle'"),
        (["--episodes", "16", "--sides", "12/2/3"], "17 episodes"),
        (["--sides", "12/2"], "TRAIN/VAL/TEST"),
        (["--sides", "0/0/0"], "at least one"),
        (["--episodes", "128"], "Ask for at most 39 episodes"),
    ],
)
def test_the_verb_says_what_cannot_be(tmp_path, arguments, message):
    result = chosen(tmp_path, *arguments)
    assert result.exit_code == 1
    assert message in result.output
    assert not (tmp_path / "episodes.csv").exists()


# Splits by activity.


def invented(seed, most_a_session):
    """Return a manifest of sessions with common and rare activities, splits drawn by lot."""
    rng = np.random.default_rng(seed)
    n_kinds = int(rng.integers(2, 30))
    often = 1 / np.arange(1, n_kinds + 1)
    entries = []
    for number in range(int(rng.integers(16, 100))):
        side = str(rng.choice(SPLITS, p=(0.7, 0.15, 0.15)))
        for part in range(int(rng.integers(1, most_a_session + 1))):
            name, kind = f"e{number}_{part}", f"k{rng.choice(n_kinds, p=often / often.sum())}"
            entries.append(
                Entry(episode=name, folder=name, session=f"s{number}", side=side, activity=kind)
            )
    return make_manifest(entries, ".")


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6))
def test_every_split_keeps_its_size_and_gets_its_share(seed):
    before = invented(seed, most_a_session=1)
    after = rebalance(before, str, seed)
    assert [one.episode for one in after] == [one.episode for one in before]
    assert after == rebalance(before, str, seed)
    for side in SPLITS:
        size = len(before.on(side))
        assert len(after.on(side)) == size
        on = Counter(one.activity for one in after.on(side))
        for kind, number in Counter(one.activity for one in before).items():
            assert abs(on[kind] - number * size / len(before)) <= 1


def test_sessions_stay_together_and_splits_are_hardly_ever_larger_or_smaller():
    off = []
    for seed in range(40):
        before = invented(seed, most_a_session=3)
        after = rebalance(before, str)  # a manifest with a session in two splits is refused
        assert {one.episode for one in after} == {one.episode for one in before}
        off.append(max(abs(len(after.on(side)) - len(before.on(side))) for side in SPLITS))
    assert max(off) <= 2
    assert np.mean(np.array(off) > 0) < 0.15


def test_unread_captions_are_no_activity():
    entry = Entry(episode="a", folder="a", session="a", side="train")
    with pytest.raises(ManifestError, match="Read the captions first"):
        rebalance(make_manifest([entry], "."), str)
