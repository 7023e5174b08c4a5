"""Episodes are chosen by the published rules, whatever order the listing is in."""

import csv
import json
import time
from collections import Counter
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from xperience.cli import app
from xperience.cohort.roster import SIDES, read_roster
from xperience.cohort.selection import ChoiceError, ChoiceRules, apportion, choose
from xperience.cohort.stock import Listed, ListingError, read_stock
from xperience.hub import download
from xperience.hub.source import EPISODE_FILES, RemoteFile, group_episodes


def listed(folder, size=100, **more):
    session = folder.split("/")[0]
    return Listed(folder, session, annotation_bytes=size, size_bytes=2 * size, **more)


STOCK = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 50)), min_size=1, max_size=60, unique=True
).flatmap(
    lambda names: st.builds(
        lambda sizes: [
            listed(f"s{session}/ep{number}", size)
            for (session, number), size in zip(names, sizes, strict=True)
        ],
        st.lists(st.integers(1, 1000), min_size=len(names), max_size=len(names)),
    )
)
RULES = st.builds(
    ChoiceRules,
    sides=st.tuples(st.integers(1, 6), st.integers(0, 3), st.integers(0, 3)),
    n_bands=st.integers(1, 5),
    drop_share=st.sampled_from([0, 0.05, 0.3]),
    pick=st.sampled_from(["middle", "random"]),
    seed=st.integers(0, 5),
)


def assert_shared_out(roster, rules):
    """Each band gives validation its share of the band, and test its share of what is left."""
    left = Counter(entry.size_band for entry in roster)
    for side, wanted in zip(("val", "test"), rules.sides[1:], strict=True):
        on = Counter(entry.size_band for entry in roster.on(side))
        total = left.total()
        assert all(abs(on[band] - wanted * n / max(total, 1)) < 1 for band, n in left.items())
        left -= on


@given(stock=STOCK, rules=RULES, data=st.data())
def test_counts_are_exact_and_no_session_stands_twice(stock, rules, data):
    kept = sorted(stock, key=lambda one: (one.annotation_bytes, one.folder))
    kept = kept[int(rules.drop_share * len(kept)) :]
    if len({one.session for one in kept}) < rules.n_episodes:
        with pytest.raises(ChoiceError, match="Ask for at most"):
            choose(stock, rules)
        return
    roster = choose(stock, rules).roster
    assert tuple(len(roster.on(side)) for side in SIDES) == rules.sides
    assert len({entry.session for entry in roster}) == rules.n_episodes
    assert {entry.folder for entry in roster} <= {one.folder for one in kept}
    assert_shared_out(roster, rules)
    assert choose(data.draw(st.permutations(stock)), rules).roster == roster


@given(
    stock=st.lists(
        st.builds(listed, st.from_regex(r"\As[0-3]/ep[1-9]\Z"), st.integers(1, 9)),
        min_size=2,
        max_size=8,
        unique_by=lambda one: one.folder,
    ),
    n_bands=st.integers(1, 3),
    n_wanted=st.integers(1, 6),
)
def test_bands_are_as_even_as_any_choice_could_make_them(stock, n_bands, n_wanted):
    rules = ChoiceRules(sides=(n_wanted, 0, 0), n_bands=n_bands, drop_share=0)
    sessions = {}
    for place, one in enumerate(sorted(stock, key=lambda one: (one.annotation_bytes, one.folder))):
        sessions.setdefault(one.session, set()).add(place * n_bands // len(stock))
    if len(sessions) < n_wanted:
        return
    possible = {
        tuple(sorted(Counter(b for b in chosen if b is not None)[band] for band in range(n_bands)))
        for chosen in product(*[[None, *bands] for bands in sessions.values()])
        if sum(b is not None for b in chosen) == n_wanted
    }
    counts = Counter(entry.size_band for entry in choose(stock, rules).roster)
    assert tuple(sorted(counts[band] for band in rules.bands)) == max(possible)


def test_bands_share_the_sides_alike_where_one_of_them_runs_short():
    few = [listed(f"s{i % 6}/ep{i}", i + 1) for i in range(20)]
    many = [listed(f"t{i}/ep1", 100 + i) for i in range(60)]
    rules = ChoiceRules(sides=(30, 10, 10), drop_share=0)
    roster = choose(few + many, rules).roster
    bands = Counter(entry.size_band for entry in roster)
    assert bands == {"short": 6, "lower_mid": 15, "upper_mid": 15, "long": 14}
    assert_shared_out(roster, rules)


def plenty(n_sessions=400, episodes_each=3):
    sizes = (1000 + (37 * i) % 1009 for i in range(n_sessions * episodes_each))
    return [
        listed(f"s{session:03}/ep{number}", next(sizes))
        for session in range(n_sessions)
        for number in range(1, episodes_each + 1)
    ]


def test_each_band_gives_each_side_its_share():
    roster = choose(plenty()).roster
    assert Counter((entry.size_band, entry.side) for entry in roster) == {
        (band, side): n
        for band in ("short", "lower_mid", "upper_mid", "long")
        for side, n in zip(SIDES, (24, 4, 4), strict=True)
    }


@given(sides=st.tuples(st.integers(1, 60), st.integers(0, 20), st.integers(0, 20)))
def test_bands_and_their_sides_differ_by_one_where_the_stock_is_large(sides):
    roster = choose(plenty(), ChoiceRules(sides=sides)).roster
    bands = Counter(entry.size_band for entry in roster)
    assert max(bands.values()) - min(bands.get(b, 0) for b in ChoiceRules().bands) <= 1
    for side in ("val", "test"):
        share = len(roster.on(side)) / len(roster)
        on = Counter(entry.size_band for entry in roster.on(side))
        assert all(abs(on[band] - share * n) < 1 + 1e-9 for band, n in bands.items())


def test_another_seed_draws_other_sides_and_the_same_seed_the_same():
    first, again, other = (choose(plenty(), ChoiceRules(seed=seed)).roster for seed in (7, 7, 8))
    assert first == again
    assert [entry.side for entry in first] != [entry.side for entry in other]


def test_the_middle_of_each_band_is_taken_or_a_sample_of_all_of_it():
    stock = sorted(plenty(episodes_each=1), key=lambda one: one.annotation_bytes)
    rules = {"sides": (30, 5, 5), "drop_share": 0}
    quarter = [2 * one.annotation_bytes for one in stock[:100]]
    for pick, (low, high) in {"middle": (44, 56), "random": (0, 100)}.items():
        chosen = choose(stock, ChoiceRules(pick=pick, **rules)).roster
        sizes = [entry.size_bytes for entry in chosen if entry.size_band == "short"]
        places = sorted(quarter.index(size) for size in sizes)
        assert low <= places[0] <= places[-1] < high
        assert (places[-1] - places[0] > 50) == (pick == "random")


def test_incomplete_and_the_smallest_episodes_are_left_out():
    stock = plenty(20, 1)
    broken = [listed(f"broken{i}/ep1", 5000, missing=("annotation.hdf5",)) for i in range(9)]
    choice = choose(stock + broken, ChoiceRules(sides=(10, 2, 2), drop_share=0.15))
    assert (choice.n_listed, choice.n_incomplete, choice.n_dropped) == (29, 9, 3)
    smallest = sorted(one.annotation_bytes for one in stock)[:3]
    assert min(entry.size_bytes for entry in choice.roster) > 2 * max(smallest)


@given(total=st.integers(0, 50), stock=st.lists(st.integers(0, 20), min_size=1, max_size=6))
def test_shares_are_whole_within_stock_and_near_the_proportion(total, stock):
    total = min(total, sum(stock))
    shares = apportion(total, stock)
    assert sum(shares) == total
    for share, own in zip(shares, stock, strict=True):
        assert 0 <= share <= own
        assert abs(share - total * own / max(sum(stock), 1)) < 1


def test_the_whole_dataset_is_chosen_from_in_no_time():
    stock = plenty(3_026, 4)[:12_102]
    start_s = time.process_time()
    roster = choose(stock).roster
    assert time.process_time() - start_s < 1
    assert len(roster) == 128


# What the published selection allows to check.


@pytest.fixture
def selection(published):
    path = published / "heldout_baselines" / "episode_selection.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return path, list(csv.DictReader(file))


def test_the_published_episodes_fall_into_the_published_bands(selection):
    path, rows = selection
    roster = choose(read_stock(path), ChoiceRules(drop_share=0)).roster
    ours = {entry.folder: entry.size_band for entry in roster}
    assert ours == {row["episode_path"]: row["size_band"] for row in rows}
    assert list(dict.fromkeys(ours.values())) == list(dict.fromkeys(r["size_band"] for r in rows))


def test_published_bands_and_sides_have_the_counts_that_ours_have(selection):
    path, rows = selection
    roster = choose(read_stock(path), ChoiceRules(drop_share=0)).roster
    theirs = Counter((row["size_band"], row["split"]) for row in rows)
    assert Counter((entry.size_band, entry.side) for entry in roster) == theirs
    assert len({row["top_level_session"] for row in rows}) == len(rows) == len(roster)


def test_published_ranks_follow_bands_and_scores_within_them(selection):
    _, rows = selection
    assert [int(row["selection_rank"]) for row in rows] == list(range(1, len(rows) + 1))
    bands = [ChoiceRules().bands.index(row["size_band"]) for row in rows]
    order = [(band, float(row["selection_score"])) for band, row in zip(bands, rows, strict=True)]
    assert order == sorted(order)


def test_published_bands_are_of_annotations_and_not_of_all_bytes(selection):
    _, rows = selection

    def apart(column):
        ranges = [
            [int(row[column]) for row in rows if row["size_band"] == band]
            for band in ChoiceRules().bands
        ]
        return all(max(a) < min(b) for a, b in pairwise(ranges))

    assert apart("annotation_bytes")
    assert not apart("training_bytes_excluding_visualization_rrd")


def test_all_published_episodes_are_needed_so_that_none_can_be_dropped(selection):
    with pytest.raises(ChoiceError, match="Ask for at most 122 episodes"):
        choose(read_stock(selection[0]))


# Listings.


def files_of(stock):
    return [
        {"path": f"{one.folder}/{name}", "size": one.annotation_bytes}
        for one in stock
        for name in EPISODE_FILES
    ]


def test_a_listing_of_files_or_episodes_as_json_or_csv_is_the_same_stock(tmp_path):
    stock = [Listed(f"s{i}/ep1", f"s{i}", 10 + i, 7 * (10 + i)) for i in range(3)]
    rows = {
        "files": files_of(stock),
        "episodes": [
            {"folder": o.folder, "annotation_bytes": o.annotation_bytes, "size_bytes": o.size_bytes}
            for o in stock
        ],
    }
    for form, table_rows in rows.items():
        (tmp_path / f"{form}.json").write_text(json.dumps(table_rows))
        with (tmp_path / f"{form}.csv").open("w", newline="") as file:
            table = csv.DictWriter(file, table_rows[0])
            table.writeheader()
            table.writerows(table_rows)
    (tmp_path / "hub.json").write_text(json.dumps({"repo_id": "a/b", "files": rows["files"]}))
    found = [read_stock(path) for path in tmp_path.iterdir()]
    assert len(found) == 5
    assert all(one == stock for one in found)


def test_an_episode_without_a_video_is_incomplete(tmp_path):
    path = tmp_path / "files.json"
    path.write_text(
        json.dumps([row for row in files_of([listed("s/ep1")]) if "left" not in str(row)])
    )
    (one,) = read_stock(path)
    assert one.missing == ("stereo_left.mp4",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,size\n", "lists nothing"),
        ("path,size\na/annotation.hdf5,many\n", "row 1: size: is 'many'"),
        ("path,size\n../a/annotation.hdf5,1\n", "row 1: path is"),
        ("folder,size_bytes\na,1\n", "row 1: annotation_bytes: is missing"),
        ("folder,annotation_bytes,size_bytes\na,1,-2\n", "row 1: size_bytes: is '-2'"),
        ("folder,annotation_bytes,size_bytes\n,1,2\n", "row 1: folder: is missing"),
        ("folder,annotation_bytes,size_bytes\na,1,2\na,1,2\n", "a: stands twice"),
    ],
)
def test_what_is_wrong_with_a_listing_is_said_with_its_place(tmp_path, text, message):
    path = tmp_path / "listing.csv"
    path.write_text(text)
    with pytest.raises(ListingError, match=message):
        read_stock(path)


@pytest.mark.parametrize("text", ["{", '{"a": 1}', "[1]", "7"])
def test_json_that_is_no_listing_is_refused(tmp_path, text):
    path = tmp_path / "listing.json"
    path.write_text(text)
    with pytest.raises(ListingError, match=r"listing\.json"):
        read_stock(path)


# The verb.


def chosen(tmp_path, *arguments):
    path = tmp_path / "listing.json"
    path.write_text(json.dumps(files_of(plenty(40, 2))))
    out = tmp_path / "episodes.csv"
    return CliRunner().invoke(app, ["cohort", "choose", str(path), "--out", str(out), *arguments])


def test_the_verb_writes_a_roster_and_says_what_from(tmp_path):
    result = chosen(tmp_path, "--episodes", "16")
    assert result.exit_code == 0, result.output
    assert "80 episodes listed, 0 incomplete, 4 dropped as too small" in result.output
    roster = read_roster(tmp_path / "episodes.csv")
    assert [len(roster.on(side)) for side in SIDES] == [12, 2, 2]


def test_the_verb_asks_the_hub(tmp_path, monkeypatch):
    asked = []

    def answer(source):
        asked.append((source.repo_id, source.revision))
        return group_episodes(RemoteFile(**row, digest="") for row in files_of(plenty(9, 1)))

    monkeypatch.setattr(download, "list_episodes", answer)
    out = tmp_path / "episodes.csv"
    for name in ("lab/walks", "lab/walks@v1"):
        arguments = ["cohort", "choose", f"hub:{name}", "--sides", "2/1/1", "--out", str(out)]
        assert CliRunner().invoke(app, arguments).exit_code == 0
    assert asked == [("lab/walks", "main"), ("lab/walks", "v1")]
    assert len(read_roster(out)) == 4
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
