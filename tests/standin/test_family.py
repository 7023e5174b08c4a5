"""A family: who is on which side, whose words, what befalls recordings, and that it repeats."""

import shutil

import av
import h5py
import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from xperience.cohort.rates import recording_bytes
from xperience.cohort.roster import Entry, make_roster
from xperience.errors import ParamsError
from xperience.recording import layout
from xperience.recording.inspect import inspect_episode
from xperience.standin import mishaps
from xperience.standin.family import OTHER_FPS, plan_family, write_family, write_member
from xperience.standin.settings import FPS, FamilySettings, StandinSettings
from xperience.standin.wording import WORDS, activities, choose_words, read_words, worded
from xperience.standin.write import write_episode
from xperience.sync.audit import Verdict, audit_episode

TINY = FamilySettings(
    sides=(1, 1, 1), frames=(60, 70), size_px=(32, 24), depth_size_px=(16, 16), mishaps=False
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
    roster = make_roster(entries, ".")  # refuses a session on two sides
    assert [len(roster.on(side)) for side in ("train", "val", "test")] == [16, 4, 4]
    assert any(m.episode.endswith("ep2") for m in planned), "some sessions have two episodes"
    trained = {m.activity for m in planned if m.side == "train"}
    tested = {m.activity for m in planned if m.side == "test"}
    assert len(trained) >= 5
    assert tested & trained
    assert tested - trained, "the test side has an activity that nobody trained on"


def labels(member):
    steps = member.script.model_dump(by_alias=True)["steps"]
    return {action["label"] for step in steps for action in step.get("actions", ())}


def test_a_sessions_annotator_has_words_of_their_own(planned):
    by_activity = {}
    for member in planned:
        by_activity.setdefault(member.activity, []).append(member)
    several = [found for found in by_activity.values() if len(found) > 2]
    assert several
    for found in several:
        assert len({frozenset(labels(member)) for member in found}) > 1
    assert not any("{" in label for member in planned for label in labels(member))


def test_few_labels_come_back_where_most_verbs_do(planned):
    said = {side: set() for side in ("train", "val", "test")}
    for member in planned:
        said[member.side] |= labels(member)
    again = len(said["test"] & said["train"]) / len(said["test"])
    verbs = {side: {label.split()[0] for label in found} for side, found in said.items()}
    known = len(verbs["test"] & verbs["train"]) / len(verbs["test"])
    assert 0 < again < 0.5, f"{again:.0%} of the test labels are known"
    assert known > 0.8, f"{known:.0%} of the test verbs are known"


def test_mishaps_are_spread_and_the_rest_is_plain(planned):
    assert {m.mishap for m in planned} == {"", *mishaps.MISHAPS}
    assert len({m.settings.fps for m in planned}) == 3
    plain = [m for m in planned if not m.mishap and m.settings.fps == FPS]
    assert len(plain) >= len(planned) // 2


def test_the_plan_follows_from_the_seed(planned):
    assert plan_family(FamilySettings()) == planned
    assert plan_family(FamilySettings(seed=8)) != planned


def test_every_episode_is_written_and_usable(family):
    folder, rows = family
    roster = make_roster((Entry.model_validate(row) for row in rows), folder)
    for entry in roster:
        report = inspect_episode(roster.folder(entry))
        assert report.usable
        assert report.main_task == entry.activity
        assert entry.size_bytes == recording_bytes(roster.folder(entry))


def test_equal_settings_give_equal_bytes(family, tmp_path):
    folder, _ = family
    member = plan_family(TINY)[0]
    write_member(tmp_path, member)
    files = sorted(path.name for path in (folder / member.episode).iterdir())
    assert files == sorted(path.name for path in (tmp_path / member.episode).iterdir())
    for name in files:
        one, two = (where / member.episode / name for where in (folder, tmp_path))
        assert one.read_bytes() == two.read_bytes(), name


@pytest.mark.parametrize(
    ("name", "stream"),
    [
        ("without_depth", "depth"),
        ("without_imu", "imu"),
        ("without_camera", "fisheye_cam3"),
        ("without_sound", "audio"),
    ],
)
def test_a_modality_that_is_taken_away_is_missed_and_nothing_else(family, tmp_path, name, stream):
    report = after(family, tmp_path, name)
    assert report.usable
    state = {one.stream: one.status for one in report.streams}
    assert state.pop(stream) != "ok"
    assert set(state.values()) == {"ok"}, state


def after(family, tmp_path, name):
    """Return what is found in a copy of the family's first recording after a mishap."""
    folder, rows = family
    shutil.copytree(folder / rows[0]["episode"], tmp_path / "one")
    mishaps.MISHAPS[name](tmp_path / "one")
    return inspect_episode(tmp_path / "one")


def test_a_video_that_stops_and_a_body_that_is_lost_are_reported(family, tmp_path):
    stopped = after(family, tmp_path / "a", "video_stops")
    short = next(one for one in stopped.streams if one.stream == "fisheye_cam1")
    assert any("frames" in str(fault) for fault in short.faults)
    lost = after(family, tmp_path / "b", "body_lost")
    body = next(one for one in lost.streams if one.stream == "body")
    assert body.coverage < 1


def test_other_frame_rates_keep_their_seconds(planned):
    for member in planned:
        settings = member.settings
        assert 450 / FPS - 1 <= settings.frames / settings.fps <= 700 / FPS + 1


@pytest.mark.slow
@pytest.mark.parametrize("fps", OTHER_FPS)
def test_every_stream_lasts_as_long_at_another_frame_rate(tmp_path, fps):
    frames = round(3 * fps)
    small = StandinSettings(
        frames=frames, fps=fps, size_px=(32, 24), depth_size_px=(16, 16), workers=1
    )
    episode = write_episode(tmp_path / "one", small)
    with av.open(str(episode / f"{layout.AUDIO_CAMERA}.mp4")) as container:
        pictures, sound = container.streams.video[0], container.streams.audio[0]
        assert pictures.frames == frames
        assert float(pictures.average_rate) == pytest.approx(fps, rel=1e-6)
        for stream in (pictures, sound):
            assert float(stream.duration * stream.time_base) == pytest.approx(frames / fps, abs=0.1)
    with h5py.File(episode / layout.ANNOTATION) as file:
        stamps_ns = file[layout.IMU_STAMPS][()][file[layout.IMU_KEYFRAMES][()]]
    np.testing.assert_allclose(
        (stamps_ns - stamps_ns[0]) * 1e-9, np.arange(frames) / fps, atol=0.006
    )  # the nearest of 200 samples a second


@pytest.mark.slow
@pytest.mark.parametrize("fps", OTHER_FPS)
def test_clocks_are_in_step_at_another_frame_rate(tmp_path, fps):
    settings = StandinSettings(
        frames=round(30 * fps), fps=fps, size_px=(64, 48), depth_size_px=(16, 16), seed=3
    )
    audit = audit_episode(write_episode(tmp_path / "one", settings))
    for pair in ("gyro_rotation", "container_device"):
        assert audit[pair].verdict is Verdict.IN_STEP, audit[pair].headline
    for pair in ("flow_camera", "sound_body"):  # so small and short that it may not be told
        assert audit[pair].verdict is not Verdict.OFF, audit[pair].headline


@pytest.mark.parametrize(
    "wrong",
    [{"sides": (1, 0, 1)}, {"frames": (30, 60)}, {"frames": (90, 60)}, {"size_px": (33, 24)}],
)
def test_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValidationError):
        FamilySettings(**wrong)


def test_a_name_without_words_is_named_with_its_place(tmp_path):
    action = {"label": "{take} the {jug}", "description": "x", "share": 1}
    move = {"move": "wait", "object": "kettle"}
    step = {"name": "x", "actions": [action | {"moves": [move]}]}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump({"main_task": "x", "steps": [step]}))
    (tmp_path / WORDS).write_text("take: [take]\njog: [jog]\n")
    words = choose_words(read_words(tmp_path), np.random.default_rng(0))
    (activity,) = activities(tmp_path)
    with pytest.raises(ParamsError, match="jug"):
        worded(activity, words)
    (tmp_path / WORDS).write_text("take: take\n")
    with pytest.raises(ParamsError, match="something else"):
        read_words(tmp_path)
    with pytest.raises(ParamsError, match="no activity"):
        activities(tmp_path / "nowhere")
