"""A cohort's cost is measured rates times its volume, and says what it rests on."""

import csv
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from xperience.cli import app
from xperience.cohort.cost import (
    MeasuredCost,
    MeasurementError,
    Rates,
    cost_of,
    cost_rows,
    read_rates,
    slim_bytes,
)
from xperience.cohort.manifest import Entry, make_manifest, write_manifest
from xperience.cohort.selection import ListingError
from xperience.cohort.shards import recording_bytes, slim
from xperience.errors import EpisodeError, ParamsError
from xperience.hub.source import EPISODE_FILES

ONE = Rates(
    "a test",
    [MeasuredCost(episode="a", n_frames=1000, bytes_read=10_000, seconds=50, core_seconds=100,
              table_bytes=2000, slim_bytes=500)],
)  # fmt: skip
POSITIVE = st.integers(1, 10**6)
FIELDS = ("n_frames", "bytes_read", "seconds", "core_seconds", "table_bytes", "slim_bytes")
MEASURED = st.builds(MeasuredCost, episode=st.just("a"), **dict.fromkeys(FIELDS, POSITIVE))


def test_a_cost_is_the_rate_times_the_volume_and_what_was_not_measured_is_unknown():
    cost = cost_of(ONE, n_episodes=36, frames_per_episode=2000, cores=4, mbit_per_s=0.8)
    assert cost.values == pytest.approx(
        {
            "download": 360_000,
            "keep_with_recordings": 360_000 + 2 * 72_000,
            "keep_without_videos": 2.5 * 72_000,
            "core_hours_by_frames": 2,
            "core_hours_by_bytes": 1,
            "download_time": 0.001,
            "least_wall_time": 1 / 4,
            "most_wall_time": 2 / 4 + 0.001,
        }
    )
    for words in ("2,000 frames an episode, given", "rates from    a test", "72 times the frames",
                  "360 kB, 3.6 s at", "15 min to 30.1 min on 4 cores"):  # fmt: skip
        assert words in cost.text
    rows = list(cost_rows([cost], "run", "06"))
    assert {row.metric: row.value for row in rows} == cost.values
    assert {row.variant for row in rows} == {"36_episodes"}
    assert all("a test" in row.reason for row in rows)
    bare = MeasuredCost(episode="a", n_frames=1, bytes_read=1, seconds=1, workers=3)
    cost = cost_of(Rates("a test", [bare]), n_episodes=2)
    assert cost.values["core_hours_by_frames"] == pytest.approx(2 * 3 / 3600)
    assert "unknown with recordings" in cost.text
    kept = [row for row in cost_rows([cost], "run", "06") if row.metric.startswith("keep")]
    assert [(row.status, bool(row.reason)) for row in kept] == [("skipped", True)] * 2


@given(
    episodes=st.lists(MEASURED, min_size=1, max_size=5),
    times=st.integers(1, 100),
    cores=st.integers(1, 1000),
)
def test_costs_are_in_proportion_and_more_cores_take_no_longer(episodes, times, cores):
    rates = Rates("a test", episodes)
    one, many, shared = (
        cost_of(rates, n_episodes=n * len(episodes), cores=on, mbit_per_s=1).values
        for n, on in ((1, cores), (times, cores), (times, cores + 1))
    )
    took_h = sum(episode.core_seconds for episode in episodes) / 3600
    assert (one["core_hours_by_frames"], one["core_hours_by_bytes"]) == pytest.approx([took_h] * 2)
    kept = sum(episode.bytes_read + episode.table_bytes for episode in episodes)
    assert one["keep_with_recordings"] == pytest.approx(kept)
    for metric in ("core_hours_by_frames", "core_hours_by_bytes", "download", "download_time"):
        assert many[metric] == pytest.approx(times * one[metric])
    assert many["download_time"] <= shared["least_wall_time"] <= many["least_wall_time"]
    assert many["least_wall_time"] <= many["most_wall_time"] >= shared["most_wall_time"]


def test_what_cannot_be_extrapolated_is_refused():
    for options in ({"cores": 0}, {"mbit_per_s": 0}, {"mbit_per_s": -3}):
        with pytest.raises(ParamsError, match="a number above 0"):
            cost_of(ONE, n_episodes=1, **options)
    with pytest.raises(ParamsError, match="neither a manifest nor a number"):
        cost_of(ONE)


def test_a_manifest_and_a_listing_say_how_much_there_is(tmp_path, published):
    manifest, listing, files = (tmp_path / f"{name}.csv" for name in ("ep", "list", "files"))
    entries = [
        Entry(episode=name, folder=name, session=name, side="train", size_bytes=size)
        for name, size in {"a": 10, "b": 30, "c": 0}.items()
    ]
    write_manifest(manifest, make_manifest(entries, tmp_path))
    listing.write_text("folder,annotation_bytes,size_bytes\na,1,10\nb,1,30\n")
    paths = [f"{folder}/{name},10" for folder in ("a", "b") for name in EPISODE_FILES]
    files.write_text("\n".join(["path,size", *paths[:-1]]) + "\n")  # one of them isn't whole
    selection = published / "heldout_baselines" / "episode_selection.csv"
    with selection.open(encoding="utf-8", newline="") as file:
        column = "training_bytes_excluding_visualization_rrd"
        total = sum(int(row[column]) for row in csv.DictReader(file))
    for path, volume in (
        (manifest, (3, 60)),
        (listing, (2, 40)),
        (files, (1, 70)),
        (selection, (128, total)),
    ):
        cost = cost_of(ONE, path)
        assert (cost.n_episodes, cost.values["download"]) == volume
    assert "mean for 1 others" in cost_of(ONE, manifest).basis
    scaled = cost_of(ONE, listing, n_episodes=200)
    assert scaled.values["download"] == 4000
    assert "scaled from 2 to 200" in scaled.basis
    write_manifest(manifest, make_manifest(entries[2:], tmp_path))
    with pytest.raises(ListingError, match="tells the size of none of 1 episodes"):
        cost_of(ONE, manifest)


def row(episode="a", **more):
    base = {"status": "ok", "n_frames": 100, "bytes_read": 5000, "seconds": 2.0, "reason": None}
    return {"episode": episode} | base | more


def test_a_run_is_read_from_the_reports_of_its_shards(tmp_path):
    run = tmp_path / "family"
    shards = [
        [row("a"), row("ep1", n_frames=300, seconds=4.0)],
        [row("c", status="failed", seconds=9.0, n_frames=0), row("d", seconds=0.0)],
        [row("ep10", workers=2, seconds=3.0)],
    ]
    for folder in ("shards", "windows"):
        (run / folder).mkdir(parents=True)
    for number, rows in enumerate(shards):
        (run / "shards" / f"shard-{number:04}.json").write_text(json.dumps({"episodes": rows}))
    for name, n_bytes in (("ep1.parquet", 7), ("ep1.corrected.parquet", 5), ("ep10.parquet", 90)):
        (run / "windows" / name).write_bytes(b"x" * n_bytes)
    found = read_rates(run)
    assert [one.episode for one in found.episodes] == ["a", "ep1", "ep10"]
    assert (found.total("core_s"), found.total("n_frames")) == (2 + 4 + 2 * 3, 500)
    assert [one.table_bytes for one in found.episodes] == [None, 12, None]
    assert found.kept_per_frame("table_bytes") == 12 / 300
    assert found.basis == "family: 3 episodes, 500 frames, 0.0 MB (0.0 kB a frame)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "has no list"),
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


def test_an_episode_is_measured_and_its_slim_size_foretold(tiny, tmp_path):
    def ran(*arguments):
        return CliRunner().invoke(app, ["cohort", *map(str, arguments)])

    before, out = sorted(path.name for path in tiny.iterdir()), tmp_path / "m.json"
    result = ran("measure", tiny, "--out", out, "--workers", 1)
    assert result.exit_code == 0, result.output
    assert "60 frames in" in result.stdout
    assert sorted(path.name for path in tiny.iterdir()) == before
    (one,) = read_rates(out).episodes
    assert (one.n_frames, one.bytes_read) == (60, recording_bytes(tiny))
    assert one.core_seconds > 0
    result = ran("cost", "--measured", out, "--episodes", 12_102, "--cores", 64)
    assert result.exit_code == 0, result.output
    for words in ("episodes      12,102", "on 64 cores", "60 frames an episode, as measured"):
        assert words in result.stdout
    annotation = tiny / "annotation.hdf5"
    slim(tiny)
    assert slim_bytes(annotation) == one.slim_bytes < recording_bytes(tiny)
    annotation.write_bytes(b"no hdf5")
    with pytest.raises(EpisodeError, match="cannot be read"):
        slim_bytes(annotation)
    result = ran("cost", "--measured", tmp_path / "none.json", "--episodes", 5)
    assert (result.exit_code, "xperience cohort measure" in result.stderr) == (1, True)
