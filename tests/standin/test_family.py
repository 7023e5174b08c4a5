"""A family: who is on which side, whose words, what faults are injected, and that it repeats."""

import shutil

import av
import h5py
import numpy as np
import pytest

from xperience.cohort.manifest import Entry, make_manifest
from xperience.cohort.shards import recording_bytes
from xperience.recording import layout
from xperience.recording.inspect import inspect_episode
from xperience.standin.family import FAULTS, OTHER_FPS, plan_family, write_family, write_member
from xperience.standin.settings import FPS, FamilySettings, StandinSettings
from xperience.standin.write import write_episode
from xperience.sync.audit import SyncVerdict, audit_episode

TINY = FamilySettings(
    splits=(1, 1, 1), frames=(40, 45), size_px=(32, 24), depth_size_px=(16, 16), inject_faults=False
)


@pytest.fixture(scope="module")
def planned():
    return plan_family(FamilySettings())


@pytest.fixture(scope="module")
def family(tmp_path_factory):
    folder = tmp_path_factory.mktemp("family")
    return folder, write_family(folder, TINY)


def test_sides_sessions_and_activities_are_as_asked(planned):
    entries = [
        Entry(episode=m.episode, folder=m.episode, session=m.session, side=m.side) for m in planned
    ]
    manifest = make_manifest(entries, ".")  # refuses a session in two splits
    assert [len(manifest.on(side)) for side in ("train", "val", "test")] == [16, 4, 4]
    assert any(m.episode.endswith("ep2") for m in planned), "some sessions have two episodes"
    trained = {m.activity for m in planned if m.side == "train"}
    tested = {m.activity for m in planned if m.side == "test"}
    assert len(trained) >= 5
    assert tested & trained
    assert tested - trained, "the test split has an activity that nobody trained on"


def labels(member):
    steps = member.script.model_dump(by_alias=True)["steps"]
    return {action["label"] for step in steps for action in step.get("actions", ())}


def test_annotators_word_actions_differently_but_mostly_with_known_verbs(planned):
    by_activity, said = {}, {side: set() for side in ("train", "val", "test")}
    for member in planned:
        by_activity.setdefault(member.activity, []).append(frozenset(labels(member)))
        said[member.side] |= labels(member)
    several = [found for found in by_activity.values() if len(found) > 2]
    assert several
    assert all(len(set(found)) > 1 for found in several)
    assert not any("{" in label for found in said.values() for label in found)
    again = len(said["test"] & said["train"]) / len(said["test"])
    verbs = {side: {label.split()[0] for label in found} for side, found in said.items()}
    known = len(verbs["test"] & verbs["train"]) / len(verbs["test"])
    assert 0 < again < 0.5, f"{again:.0%} of the test labels are known"
    assert known > 0.8, f"{known:.0%} of the test verbs are known"


def test_faults_are_spread_and_the_rest_is_plain(planned):
    assert {m.fault for m in planned} == {"", *FAULTS}
    assert {m.settings.fps for m in planned} == {FPS, *OTHER_FPS}
    plain = [m for m in planned if not m.fault and m.settings.fps == FPS]
    assert len(plain) >= len(planned) // 2
    for member in planned:
        assert 450 / FPS - 1 <= member.settings.duration_s <= 700 / FPS + 1
    without = plan_family(FamilySettings(mishaps=False))  # the setting's other name
    assert not any(m.fault or m.settings.fps != FPS for m in without)


def test_the_plan_follows_from_the_seed(planned):
    assert plan_family(FamilySettings()) == planned
    assert plan_family(FamilySettings(seed=8)) != planned


def test_every_episode_is_written_usable_and_the_same_again(family, tmp_path):
    folder, rows = family
    manifest = make_manifest((Entry.model_validate(row) for row in rows), folder)
    for entry in manifest:
        report = inspect_episode(manifest.folder(entry))
        assert report.usable
        assert report.main_task == entry.activity
        assert entry.size_bytes == recording_bytes(manifest.folder(entry))
    member = plan_family(TINY)[0]
    write_member(tmp_path, member)
    for path in (folder / member.episode).iterdir():
        assert path.read_bytes() == (tmp_path / member.episode / path.name).read_bytes(), path.name


@pytest.mark.parametrize(
    ("fault", "stream"),
    [
        ("without_depth", "depth"),
        ("without_imu", "imu"),
        ("without_camera", "fisheye_cam3"),
        ("without_sound", "audio"),
        ("video_stops", "fisheye_cam1"),
        ("body_lost", "body"),
    ],
)
def test_an_injected_fault_is_found_in_its_stream(family, tmp_path, fault, stream):
    folder, rows = family
    episode = shutil.copytree(folder / rows[0]["episode"], tmp_path / "one")
    FAULTS[fault](episode)
    report = inspect_episode(episode)
    assert report.usable
    found = {one.stream: one for one in report.streams}
    touched = found.pop(stream)
    if fault == "body_lost":
        assert touched.coverage < 1
        assert found.pop("hand_left").coverage < 1
    elif fault == "video_stops":
        assert any("frames" in str(one) for one in touched.faults)
    else:
        assert touched.status != "ok"
    assert {one.status for one in found.values()} == {"ok"}, found


@pytest.mark.slow
@pytest.mark.parametrize("fps", OTHER_FPS)
def test_clocks_agree_at_another_frame_rate(tmp_path, fps):
    frames = round(30 * fps)
    settings = StandinSettings(
        frames=frames, fps=fps, size_px=(64, 48), depth_size_px=(16, 16), seed=3
    )
    episode = write_episode(tmp_path / "one", settings)
    with av.open(str(episode / f"{layout.AUDIO_CAMERA}.mp4")) as container:
        pictures, sound = container.streams.video[0], container.streams.audio[0]
        assert pictures.frames == frames
        assert float(pictures.average_rate) == pytest.approx(fps, rel=1e-6)
        for stream in (pictures, sound):
            assert float(stream.duration * stream.time_base) == pytest.approx(frames / fps, abs=0.1)
    with h5py.File(episode / layout.ANNOTATION) as file:
        stamps_ns = file[layout.IMU_STAMPS][()][file[layout.IMU_KEYFRAMES][()]]
    since_s = (stamps_ns - stamps_ns[0]) * 1e-9  # the nearest of 200 samples a second
    np.testing.assert_allclose(since_s, np.arange(frames) / fps, atol=0.006)
    audit = audit_episode(episode)
    for pair in ("gyro_rotation", "container_device"):
        assert audit[pair].verdict is SyncVerdict.SYNCHRONISED, audit[pair].headline
    for pair in ("flow_camera", "sound_body"):  # so small and short that it may not be told
        assert audit[pair].verdict is not SyncVerdict.OFF, audit[pair].headline
