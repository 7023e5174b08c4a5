"""Shards: what is done stays done, what is broken is named, what is asked for is dropped."""

import json
import shutil

import h5py
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xperience.cohort import shards
from xperience.cohort.roster import Entry, Roster, make_roster
from xperience.cohort.shards import (
    Done,
    ShardError,
    Work,
    read_reports,
    report_path,
    run_shard,
    split_shards,
    status_text,
    tables_of,
)
from xperience.cohort.slim import slim
from xperience.features.table import WindowTable
from xperience.recording.recording import Episode
from xperience.standin.mark import MARK, is_simulated
from xperience.tasks.truth import Truth

ALL_GOOD = ("a", "b")


def entry(name: str, size: int = 0) -> Entry:
    return Entry(episode=name, folder=name, session=name, side="train", size_bytes=size)


@pytest.fixture(scope="module")
def recorded(simulated, tmp_path_factory):
    folder = tmp_path_factory.mktemp("recorded")
    for seed, name in enumerate(ALL_GOOD):
        shutil.copytree(simulated(frames=45, seed=seed), folder / name)
    return folder


@pytest.fixture
def cohort(recorded, tmp_path) -> Roster:
    """Two good recordings and one whose annotation is broken."""
    shutil.copytree(recorded, tmp_path / "rec")
    (tmp_path / "rec" / "broken").mkdir()
    (tmp_path / "rec" / "broken" / "annotation.hdf5").write_bytes(b"not HDF5")
    return make_roster(map(entry, (*ALL_GOOD, "broken")), tmp_path / "rec")


SIZES = st.lists(st.integers(0, 10**10), min_size=1, max_size=40)


@given(sizes=SIZES, n_shards=st.integers(1, 8), seed=st.randoms())
def test_shards_hold_every_episode_once_balanced_whatever_the_order(sizes, n_shards, seed):
    entries = [entry(f"e{place:02d}", size) for place, size in enumerate(sizes)]
    n_shards = min(n_shards, len(entries))
    found = split_shards(make_roster(entries, "."), n_shards)
    assert sorted(one.episode for shard in found for one in shard) == [e.episode for e in entries]
    loads = [sum(one.size_bytes for one in shard) for shard in found]
    assert max(loads) - min(loads) <= max(sizes)
    shuffled = list(entries)
    seed.shuffle(shuffled)
    assert split_shards(make_roster(shuffled, "."), n_shards) == found


@pytest.mark.parametrize("wanted", [0, 3])
def test_shards_are_no_more_than_episodes(wanted):
    with pytest.raises(ShardError, match="Take fewer shards"):
        split_shards(make_roster(map(entry, ALL_GOOD), "."), wanted)


def test_a_broken_episode_is_named_and_the_rest_goes_on(cohort, tmp_path):
    report = run_shard(cohort, 0, 1, Work(tmp_path / "run"))
    by_name = {one.episode: one for one in report.episodes}
    assert {name: one.status for name, one in by_name.items()} == {
        "a": "ok", "b": "ok", "broken": "failed",
    }  # fmt: skip
    assert "annotation.hdf5" in by_name["broken"].reason
    assert (by_name["a"].n_frames, by_name["a"].n_windows) == (45, 6)
    for table in tables_of(tmp_path / "run", "a"):
        assert len(WindowTable(table)) == 6
    assert read_reports(tmp_path / "run") == [report]
    text = status_text(cohort, [report])
    assert "2 ok, 1 failed, 0 to do" in text
    assert "failed: broken" in text


def test_what_is_done_is_kept_and_only_what_changed_is_done_again(cohort, tmp_path, monkeypatch):
    work = Work(tmp_path / "run")
    worked = []
    whole = shards.extract
    monkeypatch.setattr(
        shards,
        "extract",
        lambda folder, *a, **k: worked.append(folder.name) or whole(folder, *a, **k),
    )
    first = run_shard(cohort, 0, 1, work)
    assert sorted(set(worked)) == ["a", "b"]
    worked.clear()
    assert run_shard(cohort, 0, 1, work).episodes[:2] == first.episodes[:2]
    assert worked == []
    (cohort.folder(entry("b")) / "stereo_left.mp4").unlink()
    again = run_shard(cohort, 0, 1, work)
    assert set(worked) == {"b"}
    assert "video_stereo_left" in again.episodes[1].missing
    tables_of(tmp_path / "run", "a")[0].unlink()
    worked.clear()
    run_shard(cohort, 0, 1, work)
    assert set(worked) == {"a"}


def test_a_record_that_was_cut_off_counts_as_never_written(cohort, tmp_path):
    work = Work(tmp_path / "run")
    first = run_shard(cohort, 0, 1, work)
    record = tmp_path / "run" / "shards" / "episodes" / "a.json"
    record.write_text(record.read_text()[:40])
    assert run_shard(cohort, 0, 1, work).episodes[0].n_windows == first.episodes[0].n_windows
    assert Done.model_validate_json(record.read_text()).status == "ok"
    report_path(tmp_path / "run", 0).write_text("{")
    with pytest.raises(ShardError, match="shard-0000"):
        read_reports(tmp_path / "run")


def test_discarding_keeps_what_truth_needs_and_is_not_done_again(cohort, tmp_path):
    folder = cohort.folder(entry("a"))
    with Episode(folder) as episode:
        before = Truth.of(episode, [0, 5], "corrected")
    report = run_shard(cohort, 0, 1, Work(tmp_path / "run", discard=True))
    assert report.episodes[0].bytes_freed > 0
    assert {path.name for path in folder.iterdir()} == {"annotation.hdf5", MARK}
    with h5py.File(folder / "annotation.hdf5") as file:
        assert "depth" not in file
        assert "point_cloud" not in file["slam"]
    with Episode(folder) as episode:
        after = Truth.of(episode, [0, 5], "corrected")
    assert list(after.action) == list(before.action)
    assert (after.world_hands.xyz == before.world_hands.xyz).all()
    again = run_shard(cohort, 0, 1, Work(tmp_path / "run", discard=True))
    assert again.episodes[0] == report.episodes[0]
    assert json.loads(report_path(tmp_path / "run", 0).read_text())["episodes"][0]["missing"] == {}


def test_only_what_can_be_had_again_is_discarded(cohort, tmp_path, builder):
    """The mark of a simulation, copied with it, is none once another recording lies there."""
    own = cohort.folder(entry("b"))
    builder.put(own, caption="Somebody's own words")
    before = {path.name: path.read_bytes() for path in own.iterdir()}
    report = run_shard(cohort, 0, 1, Work(tmp_path / "run", discard=True))
    simulated, kept, _ = report.episodes
    assert (simulated.bytes_freed > 0, kept.status, kept.bytes_freed) == (True, "ok", 0)
    assert {path.name: path.read_bytes() for path in own.iterdir()} == before
    assert is_simulated(cohort.folder(entry("a")))


def test_a_recording_without_a_stream_is_used_and_says_what_is_missing(cohort, tmp_path):
    (cohort.folder(entry("a")) / "fisheye_cam0.mp4").unlink()  # it carries the sound too
    lacking, whole = run_shard(cohort, 0, 1, Work(tmp_path / "run")).episodes[:2]
    assert (lacking.status, whole.status) == ("ok", "ok")
    assert lacking.missing
    assert not whole.missing
    assert lacking.n_windows == len(WindowTable(tables_of(tmp_path / "run", "a")[0])) > 0
    shown = status_text(cohort, read_reports(tmp_path / "run"))
    assert "2 ok, 1 failed, 0 to do" in shown


@pytest.mark.parametrize("moment", ["before", "within", "after"])
def test_a_kill_while_discarding_never_costs_the_windows(cohort, tmp_path, monkeypatch, moment):
    folder, work = cohort.folder(entry("a")), Work(tmp_path / "run", discard=True)
    video = (folder / "fisheye_cam0.mp4").read_bytes()

    def killed(episode):
        if moment != "before":
            slim(episode)
        if moment == "within":
            (episode / "fisheye_cam0.mp4").write_bytes(video)  # not removed yet
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shards, "slim", killed)
        with pytest.raises(KeyboardInterrupt):
            run_shard(cohort, 0, 1, work)
    tables = [table.read_bytes() for table in tables_of(work.out, "a")]
    report = run_shard(cohort, 0, 1, work)
    assert report.episodes[0].status == "ok"
    assert [table.read_bytes() for table in tables_of(work.out, "a")] == tables
    assert {path.name for path in folder.iterdir()} == {"annotation.hdf5", MARK}
    assert report.episodes[0].bytes_freed > 0
    assert run_shard(cohort, 0, 1, work).episodes == report.episodes


def test_a_discarded_recording_is_not_featurised_by_other_code(cohort, tmp_path, monkeypatch):
    work = Work(tmp_path / "run", discard=True)
    run_shard(cohort, 0, 1, work)
    tables = [table.read_bytes() for table in tables_of(work.out, "a")]
    monkeypatch.setattr(shards, "source_digests", lambda paths: {"features": "another"})
    again = run_shard(cohort, 0, 1, work).episodes[0]
    assert again.status == "failed"
    assert "discarded" in again.reason
    assert [table.read_bytes() for table in tables_of(work.out, "a")] == tables


def test_an_absent_episode_is_staged_and_a_failed_staging_is_named(recorded, tmp_path):
    roster = make_roster(map(entry, (*ALL_GOOD, "gone")), tmp_path / "here")

    def stage(one, folder):
        if one.episode == "gone":
            raise ShardError("gone", "is not in the dataset", "an episode", "Correct the roster.")
        shutil.copytree(recorded / one.episode, folder, dirs_exist_ok=True)

    without = run_shard(roster, 0, 1, Work(tmp_path / "run"))
    assert {one.status for one in without.episodes} == {"failed"}
    found = run_shard(roster, 0, 1, Work(tmp_path / "run", stage=stage))
    assert [one.status for one in found.episodes] == ["ok", "ok", "failed"]
    assert "not in the dataset" in found.episodes[2].reason


def test_an_episode_that_arrived_in_part_is_no_whole_one(cohort, tmp_path):
    """Its annotation is usable, a video is missing: it must not pass as a recording."""
    folder = cohort.folder(entry("a"))
    (folder / ".download").mkdir()
    (folder / "stereo_left.mp4").unlink()
    report = run_shard(cohort, 0, 1, Work(tmp_path / "run"))
    by_name = {one.episode: one for one in report.episodes}
    assert (by_name["a"].status, by_name["b"].status) == ("failed", "ok")
    assert "arrived in part" in by_name["a"].reason
    assert not any(table.exists() for table in tables_of(tmp_path / "run", "a"))


def test_twelve_thousand_episodes_are_planned_in_a_second():
    entries = [entry(f"e{place:05d}", place * 7919 % 10007) for place in range(12_102)]
    found = split_shards(make_roster(entries, "."), 256)
    assert {len(shard) for shard in found} <= set(range(40, 56))
