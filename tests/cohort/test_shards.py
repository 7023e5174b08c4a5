"""Shards: what is done stays done, what is broken is named, what is asked for is dropped."""

import shutil

import h5py
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xperience.cohort import shards
from xperience.cohort.cost import cost_of, read_rates
from xperience.cohort.manifest import Entry, SplitManifest, make_manifest
from xperience.cohort.shards import (
    Done,
    ShardError,
    Work,
    changed_episodes,
    read_reports,
    report_path,
    run_shard,
    slim,
    split_shards,
    status_text,
    tables_of,
)
from xperience.features import extract as extracting
from xperience.features.table import WindowTable
from xperience.recording.recording import Recording
from xperience.standin.mark import MARK, is_simulated
from xperience.tasks.truth import Truth

NAMES = ("a", "b", "broken")


def entry(name: str, size: int = 0) -> Entry:
    return Entry(episode=name, folder=name, session=name, side="train", size_bytes=size)


@pytest.fixture(scope="module")
def recorded(simulated, whole_tiny, tmp_path_factory):
    """A simulation, somebody's own recording, and one whose annotation is broken."""
    folder = tmp_path_factory.mktemp("recorded")
    shutil.copytree(simulated(frames=60), folder / "a")
    shutil.copytree(whole_tiny, folder / "b")
    (folder / "broken").mkdir()
    (folder / "broken" / "annotation.hdf5").write_bytes(b"not HDF5")
    return folder


@pytest.fixture(scope="module")
def finished(recorded, tmp_path_factory):
    """A run of them that nobody changes."""
    out = tmp_path_factory.mktemp("finished")
    run_shard(make_manifest(map(entry, NAMES), recorded), 0, 1, Work(out))
    return out


@pytest.fixture
def cohort(recorded, tmp_path) -> SplitManifest:
    shutil.copytree(recorded, tmp_path / "rec")
    return make_manifest(map(entry, NAMES), tmp_path / "rec")


@pytest.fixture
def out(finished, tmp_path):
    """A run of the cohort that is done already."""
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture
def worked(monkeypatch) -> list[str]:
    """The episodes whose features are made while a test runs."""
    names, whole = [], extracting.extract

    def extract(folder, *arguments, **options):
        names.append(folder.name)
        return whole(folder, *arguments, **options)

    monkeypatch.setattr(extracting, "extract", extract)
    return names


SIZES = st.lists(st.integers(0, 10**10), min_size=1, max_size=40)


@given(sizes=SIZES, n_shards=st.integers(1, 8), seed=st.randoms())
def test_shards_hold_every_episode_once_balanced_whatever_the_order(sizes, n_shards, seed):
    entries = [entry(f"e{place:02d}", size) for place, size in enumerate(sizes)]
    n_shards = min(n_shards, len(entries))
    found = split_shards(make_manifest(entries, "."), n_shards)
    assert sorted(one.episode for shard in found for one in shard) == [e.episode for e in entries]
    loads = [sum(one.size_bytes for one in shard) for shard in found]
    assert max(loads) - min(loads) <= max(sizes)
    seed.shuffle(entries)
    assert split_shards(make_manifest(entries, "."), n_shards) == found
    for wanted in (0, len(entries) + 1):
        with pytest.raises(ShardError, match="Take fewer shards"):
            split_shards(make_manifest(entries, "."), wanted)


def test_a_broken_episode_is_named_and_the_rest_goes_on(cohort, finished):
    (report,) = read_reports(finished)
    assert [one.status for one in report.episodes] == ["ok", "ok", "failed"]
    one, _, broken = report.episodes
    assert "annotation.hdf5" in broken.reason
    assert (one.n_frames, one.n_windows, one.missing) == (60, 9, {})
    assert [len(WindowTable(table)) for table in tables_of(finished, "a")] == [9, 9]
    text = status_text(cohort, [report])
    assert "2 ok, 1 failed, 0 to do" in text
    assert "failed: broken" in text
    cost = cost_of(read_rates(finished), n_episodes=5)
    assert cost.values["keep_with_recordings"] > cost.values["download"] > 0


def test_what_is_done_is_kept_and_only_what_changed_is_done_again(cohort, out, worked):
    (first,) = read_reports(out)
    assert run_shard(cohort, 0, 1, Work(out)).episodes[:2] == first.episodes[:2]
    assert worked == []
    assert changed_episodes(cohort, out) == {}
    (cohort.folder(entry("b")) / "fisheye_cam0.mp4").unlink()  # it carries the sound too
    assert changed_episodes(cohort, out) == {0: ["b"]}
    lacking = run_shard(cohort, 0, 1, Work(out)).episodes[1]
    assert set(worked) == {"b"}
    assert lacking.status == "ok"
    assert {"video_fisheye_cam0", "audio_fisheye_cam0_aac"} <= set(lacking.missing)
    tables_of(out, "a")[0].unlink()
    worked.clear()
    run_shard(cohort, 0, 1, Work(out))
    assert set(worked) == {"a"}


def test_a_record_that_was_cut_off_counts_as_never_written(cohort, out, worked):
    record = out / "shards" / "episodes" / "a.json"
    record.write_text(record.read_text()[:40])
    run_shard(cohort, 0, 1, Work(out))
    assert set(worked) == {"a"}
    assert Done.model_validate_json(record.read_text()).status == "ok"
    report_path(out, 0).write_text("{")
    with pytest.raises(ShardError, match="shard-0000"):
        read_reports(out)


def test_only_what_can_be_had_again_is_discarded_and_only_once(cohort, out, worked):
    folder, own = (cohort.folder(entry(name)) for name in ("a", "b"))
    with Recording(folder) as episode:
        before = Truth.of(episode, [0, 5], "corrected")
    whole = {path.name: path.read_bytes() for path in own.iterdir()}
    report = run_shard(cohort, 0, 1, Work(out, discard=True))
    assert [one.bytes_freed > 0 for one in report.episodes] == [True, False, False]
    assert {path.name: path.read_bytes() for path in own.iterdir()} == whole
    assert {path.name for path in folder.iterdir()} == {"annotation.hdf5", MARK}
    assert is_simulated(folder)
    with h5py.File(folder / "annotation.hdf5") as file:
        assert "depth" not in file
        assert "point_cloud" not in file["slam"]
    with Recording(folder) as episode:
        after = Truth.of(episode, [0, 5], "corrected")
    assert list(after.action) == list(before.action)
    assert (after.world_hands.xyz == before.world_hands.xyz).all()
    assert run_shard(cohort, 0, 1, Work(out, discard=True)).episodes == report.episodes
    assert worked == []


def test_the_mark_of_a_simulation_is_none_where_something_was_changed(cohort, out, builder):
    own = cohort.folder(entry("a"))
    builder.put(own, caption="Somebody's own words")
    before = {path.name: path.read_bytes() for path in own.iterdir()}
    kept = run_shard(cohort, 0, 1, Work(out, discard=True)).episodes[0]
    assert (kept.status, kept.bytes_freed) == ("ok", 0)
    assert {path.name: path.read_bytes() for path in own.iterdir()} == before


@pytest.mark.parametrize("moment", ["before", "within", "after"])
def test_a_kill_while_discarding_never_costs_the_windows(cohort, out, monkeypatch, moment):
    folder, work = cohort.folder(entry("a")), Work(out, discard=True)
    video = (folder / "fisheye_cam0.mp4").read_bytes()
    tables = [table.read_bytes() for table in tables_of(out, "a")]

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
    report = run_shard(cohort, 0, 1, work)
    assert (report.episodes[0].status, report.episodes[0].bytes_freed > 0) == ("ok", True)
    assert [table.read_bytes() for table in tables_of(out, "a")] == tables
    assert {path.name for path in folder.iterdir()} == {"annotation.hdf5", MARK}
    assert run_shard(cohort, 0, 1, work).episodes == report.episodes


def test_a_discarded_recording_is_not_featurised_by_other_code(cohort, out, monkeypatch):
    run_shard(cohort, 0, 1, Work(out, discard=True))
    tables = [table.read_bytes() for table in tables_of(out, "a")]
    monkeypatch.setattr(shards, "source_digests", lambda paths: {"features": "another"})
    again = run_shard(make_manifest([entry("a")], cohort.root), 0, 1, Work(out)).episodes[0]
    assert again.status == "failed"
    assert "discarded" in again.reason
    assert [table.read_bytes() for table in tables_of(out, "a")] == tables


def test_an_absent_episode_is_staged_and_what_did_not_arrive_whole_is_named(recorded, tmp_path):
    manifest = make_manifest(map(entry, ("b", "gone", "part")), tmp_path / "here")

    def stage(one, folder):
        if one.episode == "gone":
            raise ShardError("gone", "is not in the dataset", "an episode", "Correct the manifest.")
        shutil.copytree(recorded / "b", folder, dirs_exist_ok=True)
        if one.episode == "part":  # its annotation is usable, a video is missing
            (folder / ".download").mkdir()
            (folder / "stereo_left.mp4").unlink()

    without = run_shard(manifest, 0, 1, Work(tmp_path / "run"))
    assert {one.status for one in without.episodes} == {"failed"}
    found = run_shard(manifest, 0, 1, Work(tmp_path / "run", stage=stage)).episodes
    assert [one.status for one in found] == ["ok", "failed", "failed"]
    assert "not in the dataset" in found[1].reason
    assert "arrived in part" in found[2].reason
    assert not any(table.exists() for table in tables_of(tmp_path / "run", "part"))
