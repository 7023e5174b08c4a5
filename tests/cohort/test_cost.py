"""A cohort's cost is measured rates times its volume, and says what it rests on."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from xperience.cli import app
from xperience.cohort.cost import (
    Machine,
    Volume,
    cost_of,
    cost_rows,
    cost_text,
    hours,
    plan_volume,
    size,
    volume_of,
)
from xperience.cohort.rates import (
    Measured,
    MeasurementError,
    Rates,
    as_report,
    measure,
    read_rates,
    recording_bytes,
    slim_bytes,
)
from xperience.cohort.roster import Entry, make_roster, write_roster
from xperience.cohort.shards import Work, run_shard
from xperience.cohort.slim import slim
from xperience.cohort.stock import ListingError
from xperience.errors import EpisodeError, ParamsError
from xperience.evaluation.records import write_records
from xperience.hub.source import EPISODE_FILES

ONE = Measured(
    episode="a", n_frames=1000, bytes_read=10_000, seconds=50, core_seconds=100, table_bytes=2000,
    slim_bytes=500,
)  # fmt: skip


def rates(*episodes):
    return Rates(basis="a test", episodes=episodes or (ONE,))


def report(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"episodes": list(rows)}))
    return path


def row(episode="a", **more):
    base = {"status": "ok", "n_frames": 100, "bytes_read": 5000, "seconds": 2.0, "reason": None}
    return {"episode": episode} | base | more


# Extrapolating.


def test_a_cost_is_the_rate_times_the_volume():
    volume = Volume(36, download_bytes=3.6e6, n_frames=72_000, basis="a test")
    cost = cost_of(volume, rates(), Machine(cores=4, mbit_per_s=8))
    assert cost.core_h_by_frames == pytest.approx(0.1 * 72_000 / 3600)
    assert cost.core_h_by_bytes == pytest.approx(0.01 * 3.6e6 / 3600)
    assert cost.download_h == pytest.approx(3.6 / 3600)
    assert cost.wall_h == pytest.approx((2 / 4, 10 / 4 + 0.001))
    assert cost.keep_bytes == pytest.approx(3.6e6 + 2 * 72_000)
    assert cost.keep_slim_bytes == pytest.approx(2.5 * 72_000)


POSITIVE = st.integers(1, 10**6)
MEASURED = st.builds(
    Measured, episode=st.just("a"), n_frames=POSITIVE, bytes_read=POSITIVE, seconds=POSITIVE,
    core_seconds=POSITIVE, table_bytes=POSITIVE, slim_bytes=POSITIVE,
)  # fmt: skip


@given(episodes=st.lists(MEASURED, min_size=1, max_size=5), times=st.integers(1, 100))
def test_the_measured_episodes_cost_what_they_cost_and_more_cost_in_proportion(episodes, times):
    known = rates(*episodes)
    one = cost_of(plan_volume(known, n_episodes=len(episodes)), known, Machine(1, 1))
    took_h = sum(episode.core_seconds for episode in episodes) / 3600
    assert one.core_h == pytest.approx((took_h, took_h))
    assert one.keep_bytes == pytest.approx(sum(e.bytes_read + e.table_bytes for e in episodes))
    many = cost_of(plan_volume(known, n_episodes=times * len(episodes)), known, Machine(1, 1))
    assert many.core_h == pytest.approx((times * took_h, times * took_h))
    assert many.download_h == pytest.approx(times * one.download_h)


@given(cores=st.integers(1, 1000), episodes=st.lists(MEASURED, min_size=1, max_size=3))
def test_more_cores_never_take_longer_than_fewer_nor_less_than_the_download(cores, episodes):
    known = rates(*episodes)
    volume = plan_volume(known, n_episodes=50)
    few, more = (cost_of(volume, known, Machine(n, 10)).wall_h for n in (cores, cores + 1))
    assert more[0] <= few[0] <= few[1]
    assert more[1] <= few[1]
    assert more[0] >= cost_of(volume, known, Machine(1, 10)).download_h


def test_what_was_not_measured_is_unknown_and_not_nothing():
    bare = Measured(episode="a", n_frames=1, bytes_read=1, seconds=1, workers=3)
    cost = cost_of(plan_volume(rates(bare), n_episodes=2), rates(bare), Machine(1, 1))
    assert bare.cores_taken_s == 3
    assert (cost.keep_bytes, cost.keep_slim_bytes) == (None, None)
    assert "unknown with recordings" in cost_text(cost)
    kept = [one for one in cost_rows([cost], "run", "06") if one.metric.startswith("keep")]
    assert all(one.status == "skipped" and one.reason for one in kept)


def test_the_text_and_the_rows_say_what_they_rest_on(tmp_path):
    costs = [
        cost_of(plan_volume(rates(), n_episodes=n, frames_per_episode=500), rates(), Machine(2, 10))
        for n in (128, 12_102)
    ]
    text = cost_text(costs[1])
    assert "12,102" in text
    assert "500 frames an episode, given" in text
    assert "rates from    a test" in text
    rows = list(cost_rows(costs, "run", "06"))
    write_records(tmp_path / "06.json", rows)
    assert {one.variant for one in rows} == {"128_episodes", "12102_episodes"}
    assert all("a test" in one.reason for one in rows)


@pytest.mark.parametrize(("cores", "mbit"), [(0, 1), (1, 0), (1, -3)])
def test_a_machine_that_does_nothing_is_refused(cores, mbit):
    with pytest.raises(ParamsError, match="a number above 0"):
        Machine(cores, mbit)


def test_numbers_are_shown_in_a_unit_that_suits():
    assert [size(x) for x in (5e3, 2.3e9, 28e12, 1.5e15)] == ["5 kB", "2.3 GB", "28 TB", "1.5 PB"]
    assert [hours(x) for x in (1 / 360, 0.5, 47, 72)] == ["10 s", "30 min", "47 h", "3 days"]


# Volumes.


def entry(name, size_bytes):
    return Entry(episode=name, folder=name, session=name, side="train", size_bytes=size_bytes)


def test_a_roster_and_a_listing_say_how_much_there_is(tmp_path):
    roster, listing = tmp_path / "episodes.csv", tmp_path / "listing.csv"
    write_roster(roster, make_roster([entry("a", 10), entry("b", 30), entry("c", 0)], tmp_path))
    listing.write_text("folder,annotation_bytes,size_bytes\na,1,10\nb,1,30\n")
    assert volume_of(roster)[:2] == (3, 60)
    assert "mean for 1 others" in volume_of(roster)[2]
    assert volume_of(listing)[:2] == (2, 40)
    scaled = plan_volume(rates(), listing, n_episodes=200)
    assert (scaled.n_episodes, scaled.download_bytes, scaled.n_frames) == (200, 4000, 200_000)
    assert "scaled from 2 to 200" in scaled.basis


def test_only_whole_episodes_of_a_listing_count(tmp_path):
    files = [f"{folder}/{name},10" for folder in ("a", "b") for name in EPISODE_FILES]
    path = tmp_path / "files.csv"
    path.write_text("\n".join(["path,size", *files[:-1]]) + "\n")
    assert volume_of(path)[:2] == (1, 70)


def test_a_roster_without_sizes_is_no_basis(tmp_path):
    write_roster(tmp_path / "episodes.csv", make_roster([entry("a", 0)], tmp_path))
    with pytest.raises(ListingError, match="tells the size of none of 1 episodes"):
        volume_of(tmp_path / "episodes.csv")


def test_a_cohort_is_a_roster_or_a_number():
    with pytest.raises(ParamsError, match="neither a roster nor a number"):
        plan_volume(rates())


def test_the_published_selection_serves_the_row_of_128(published):
    path = published / "heldout_baselines" / "episode_selection.csv"
    volume = plan_volume(rates(), path)
    bytes_of = np.genfromtxt(path, delimiter=",", names=True, dtype=None, encoding="utf-8")
    total = bytes_of["training_bytes_excluding_visualization_rrd"].sum()
    assert (volume.n_episodes, volume.download_bytes) == (128, total)


# Measurements.


def test_what_shards_report_can_be_read(tiny, tmp_path):
    entries = [entry("ep", recording_bytes(tiny)), entry("gone", 1)]
    roster = make_roster(entries, tiny.parent)
    run_shard(roster, 0, 1, Work(out=tmp_path / "run"))
    found = read_rates(tmp_path / "run")
    (one,) = found.episodes
    assert (one.episode, one.n_frames, one.bytes_read) == ("ep", 60, recording_bytes(tiny))
    assert one.table_bytes > 0
    assert cost_of(plan_volume(found, n_episodes=5), found, Machine(1, 1)).keep_bytes > 0


def test_a_run_is_read_from_the_reports_of_its_shards(tmp_path):
    run = tmp_path / "family"
    report(run / "shards" / "shard-000.json", row("a"), row("ep1", n_frames=300, seconds=4.0))
    report(
        run / "shards" / "shard-001.json",
        row("c", status="failed", seconds=9.0, n_frames=0, reason="no annotation"),
        row("d", seconds=0.0),
        row("ep10", workers=2, seconds=3.0),
    )
    for name, n_bytes in (("ep1.parquet", 7), ("ep1.corrected.parquet", 5), ("ep10.parquet", 90)):
        (run / "windows").mkdir(exist_ok=True)
        (run / "windows" / name).write_bytes(b"x" * n_bytes)
    found = read_rates(run)
    assert [one.episode for one in found.episodes] == ["a", "ep1", "ep10"]
    assert found.core_s_per_frame == (2 + 4 + 2 * 3) / 500
    assert [one.table_bytes for one in found.episodes] == [None, 12, None]
    assert found.kept_per_frame("table_bytes") == 12 / 300
    assert found.basis == "family: 3 episodes, 500 frames, 0.0 MB (0.0 kB a frame)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no file of measurements"),
        ("[]", "is no file of measurements"),
        ('{"episodes": [1]}', "has no list `episodes`"),
        ('{"episodes": []}', "holds no measured episode"),
        (json.dumps({"episodes": [row(status="failed")]}), "1 files, 1 episodes"),
        (json.dumps({"episodes": [row(n_frames=-1)]}), "a: n_frames: is -1"),
        (json.dumps({"episodes": [{"episode": "a", "seconds": 1}]}), "a: n_frames: is missing"),
    ],
)
def test_what_is_no_measurement_is_refused(tmp_path, text, message):
    path = tmp_path / "m.json"
    path.write_text(text)
    with pytest.raises(MeasurementError, match=message):
        read_rates(path)


def test_an_episode_is_measured_on_the_spot(tiny, tmp_path):
    before = sorted(path.name for path in tiny.iterdir())
    one = measure(tiny, workers=1)
    assert (one.n_frames, one.bytes_read) == (60, recording_bytes(tiny))
    assert one.core_seconds > 0
    assert 0 < one.slim_bytes < (tiny / "annotation.hdf5").stat().st_size
    assert sorted(path.name for path in tiny.iterdir()) == before
    path = report(tmp_path / "m.json", *as_report([one])["episodes"])
    assert read_rates(path).episodes == (one,)


def test_slim_bytes_are_foretold(tiny):
    annotation = tiny / "annotation.hdf5"
    foretold = slim_bytes(annotation)
    slim(tiny)
    assert slim_bytes(annotation) == foretold
    annotation.write_bytes(b"no hdf5")
    with pytest.raises(EpisodeError, match="cannot be read"):
        slim_bytes(annotation)


# The verbs.


def ran(*arguments):
    return CliRunner().invoke(app, ["cohort", *map(str, arguments)])


def test_measure_then_cost(tiny, tmp_path):
    out = tmp_path / "m.json"
    result = ran("measure", tiny, "--out", out, "--workers", 1)
    assert result.exit_code == 0, result.output
    assert "60 frames in" in result.stdout
    result = ran("cost", "--measured", out, "--episodes", 12_102, "--cores", 64)
    assert result.exit_code == 0, result.output
    assert "episodes      12,102" in result.stdout
    assert "on 64 cores" in result.stdout
    assert "60 frames an episode, as measured" in result.stdout


def test_what_cannot_be_measured_or_told_is_an_error_and_no_file(tiny, tmp_path):
    shutil.rmtree(tiny)
    assert ran("measure", tiny, "--out", tmp_path / "m.json").exit_code == 1
    assert not (tmp_path / "m.json").exists()
    result = ran("cost", "--measured", tmp_path / "m.json", "--episodes", 5)
    assert result.exit_code == 1
    assert "xperience cohort measure" in result.stderr
