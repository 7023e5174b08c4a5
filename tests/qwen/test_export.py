"""Records are what the labels say, prompts know nothing of them, and a stopped export goes on."""

import json
import shutil
import wave

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from xperience.cli import app
from xperience.cohort.roster import Entry, make_roster, write_roster
from xperience.qwen import export as exporting
from xperience.qwen import media as mosaic
from xperience.qwen.clips import ExportSettings, plan_clips
from xperience.qwen.export import export_records, system_message
from xperience.qwen.schema import UNKNOWN, AnswersError, Options, faults_of, read_options
from xperience.qwen.supervised import MANIFEST, OPTIONS, RECORDS, open_export
from xperience.recording import media
from xperience.recording.media import read_mono

N_FRAMES = 140
SETTINGS = ExportSettings(lead_s=(0.5, 2.0), per_episode=5, tile_px=(32, 24))
SIDES = {"a1": "train", "a2": "train", "b1": "val", "c1": "test"}
LABELS = {
    "a1": [("Pour water", 0, 69), ("Stir tea", 70, 139)],
    # The last action fills no window: it is only ever a next one.
    "a2": [("Stir tea", 0, 79), ("Put down the spoon", 80, 131), ("Walk off", 132, 139)],
    "b1": [("Stir tea", 0, 49), ("Only in validation", 50, 139)],
    "c1": [("Pour water", 0, 59), ("Only in test", 60, 99), ("Stir tea", 100, 139)],
}


def captions(builder, actions, subtask="Make tea", objects=("cup", "kettle")):
    names = builder.frame_names(N_FRAMES)
    spoken = [
        {"label": label, "start_frame_name": names[first], "end_frame_name": names[last]}
        for label, first, last in actions
    ]
    segment = {
        "Sub Task": subtask,
        "start_frame": names[0],
        "end_frame": names[-1],
        "Current Action": spoken,
        "objects": {names[0]: list(objects)},
    }
    return {"config": {"Main Task": "Tea"}, "segments": [segment]}


@pytest.fixture(scope="session")
def cohort(builder, tmp_path_factory):
    """A roster of four episodes, three sides, that nobody changes."""
    root = tmp_path_factory.mktemp("cohort")
    first = builder.write_episode(root / "a1", N_FRAMES)
    for name in SIDES:
        folder = first if name == "a1" else shutil.copytree(first, root / name)
        objects = ("cup", f"thing of {name[0]}")
        builder.put_captions(folder, captions(builder, LABELS[name], objects=objects))
    return roster_of(root)


def roster_of(root):
    entries = [
        Entry(episode=name, folder=name, session=name[0], side=side) for name, side in SIDES.items()
    ]
    return make_roster(entries, root)


@pytest.fixture(scope="session")
def exported(cohort, tmp_path_factory):
    return export_records(cohort, tmp_path_factory.mktemp("export"), SETTINGS)


@pytest.fixture
def copied(cohort, tmp_path):
    """The same cohort, to plant faults in."""
    return roster_of(shutil.copytree(cohort.root, tmp_path / "cohort"))


def lines(export):
    return (export.folder / RECORDS).read_bytes()


def decoded(path):
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]


def test_every_side_has_its_records_and_the_manifest_says_what_they_rest_on(exported):
    records = list(exported.records())
    assert [sum(one.side == side for one in records) for side in ("train", "val", "test")] == [
        2 * SETTINGS.per_episode, SETTINGS.per_episode, SETTINGS.per_episode,
    ]  # fmt: skip
    assert len({one.id for one in records}) == len(records)
    assert exported.manifest["records"] == {"train": 10, "val": 5, "test": 5}
    assert set(exported.manifest["digests"]) == {"records", "options", "settings", "roster"}
    assert list(exported.records("val")) == [one for one in records if one.side == "val"]


def test_a_clip_ends_with_its_window_and_its_files_hold_what_the_record_says(exported, cohort):
    sound = np.concatenate(list(read_mono(cohort.root / "c1" / "fisheye_cam0.mp4", 16_000)))
    for record in exported.records("test"):
        media = record.media
        pictures = decoded(exported.folder / media.video)
        assert len(pictures) == media.n_frames
        assert pictures[0].shape == (48, 96, 3)
        assert record.clip.end_frame == record.window.end_frame
        assert record.clip.start_frame <= record.window.start_frame
        assert media.seconds == pytest.approx(
            (record.clip.end_frame + 1 - record.clip.start_frame) / 20
        )
        with wave.open(str(exported.folder / media.audio)) as file:
            assert (file.getframerate(), file.getnchannels()) == (16_000, 1)
            heard = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767
        first = round(record.clip.start_frame / 20 * 16_000)
        np.testing.assert_allclose(heard, sound[first : first + len(heard)], atol=2e-5)
        assert len(heard) / 16_000 == media.audio_seconds == pytest.approx(media.seconds, rel=0.01)


def test_pictures_are_the_views_of_the_frames_that_were_planned(exported, cohort, builder):
    record = next(exported.records("test"))
    clips = plan_clips("c1", N_FRAMES, 20.0, SETTINGS)
    shown = clips[0].shown
    pictures = decoded(exported.folder / record.media.video)
    for frame, picture in zip(shown, pictures, strict=True):
        true = mosaic.fitted(builder.picture(frame, seed=1), (32, 24))
        tile = picture[:24, 32:64]  # the second of the first row: fisheye_cam1
        others = [
            np.abs(tile.astype(int) - mosaic.fitted(builder.picture(other, 1), (32, 24))).mean()
            for other in range(0, N_FRAMES, 7)
            if other != frame
        ]
        assert np.abs(tile.astype(int) - true).mean() < min(others)


def test_answers_are_what_the_labels_say(exported):
    for record in exported.records():
        first, last = record.window.start_frame, record.window.end_frame
        spoken = [label for label, a, b in LABELS[record.episode] for _ in range(a, b + 1)]
        label = max(set(spoken[first : last + 1]), key=spoken[first : last + 1].count)
        if spoken[first : last + 1].count(label) >= 12:
            assert record.truth["action"] == label
        assert record.truth["next_action"] == spoken[min(last + 20, N_FRAMES - 1)]
        assert set(record.truth["objects"]) <= {"cup", f"thing of {record.episode[0]}"}


def test_no_label_of_validation_or_test_alone_is_an_option_or_in_a_prompt(exported):
    options = read_options(exported.folder / OPTIONS)
    trained = {label for name in ("a1", "a2") for label, _, _ in LABELS[name]}
    assert set(options.action) == trained
    assert set(options.objects) == {"cup", "thing of a"}
    foreign = {"Only in validation", "Only in test", "thing of b", "thing of c"}
    records = list(exported.records())
    for record in records:
        assert not any(name in record.system + record.user + record.target for name in foreign)
        assert faults_of(record.taught, options) == ()
        open_set = record.truth["action"] not in {*trained, UNKNOWN}
        assert record.action_is_option is not open_set
        assert record.taught["action"] == (UNKNOWN if open_set else record.truth["action"])
    assert foreign <= {
        name for one in records for name in (*one.truth["objects"], one.truth["action"])
    }  # the truth keeps its words


def test_the_system_message_is_one_and_the_same_for_all_records(exported):
    assert {one.system for one in exported.records()} == {
        system_message(exported.options, SETTINGS.listed_options)
    }
    long = system_message(exported.options, 1)
    assert "Pour water" not in long
    assert f"{len(exported.options.action)} labels" in long


def _other_labels(builder, folder):
    renamed = [(f"Do {i}", a, b) for i, (_, a, b) in enumerate(LABELS["c1"])]
    builder.put_captions(folder, captions(builder, renamed, "Other step", ("spoon",)))


def _other_boundaries(builder, folder):
    moved = [("Pour water", 0, 30), ("Only in test", 31, 129), ("Stir tea", 130, 139)]
    builder.put_captions(folder, captions(builder, moved, objects=("cup", "thing of c")))


def _other_objects(builder, folder):
    builder.put_captions(folder, captions(builder, LABELS["c1"], objects=("lid", "jar")))


def _no_contact(builder, folder):
    builder.put(folder, full_body_mocap__contacts=np.zeros((N_FRAMES, 21), np.float32))


@pytest.mark.parametrize(
    ("mutate", "fields"),
    [
        (_other_labels, {"action", "subtask", "objects", "next_action"}),
        (_other_boundaries, {"action", "transition", "next_action", "evidence_window"}),
        (_other_objects, {"objects"}),
        (_no_contact, {"contact"}),
    ],
    ids=lambda one: getattr(one, "__name__", None),
)
def test_prompt_and_media_stay_the_same_whatever_is_true(
    mutate, fields, exported, copied, builder, tmp_path
):
    mutate(builder, copied.root / "c1")
    shutil.copytree(exported.folder / "media", tmp_path / "out" / "media")  # videos are the same
    changed = list(export_records(copied, tmp_path / "out", SETTINGS).records("test"))
    before = list(exported.records("test"))
    for one, other in zip(before, changed, strict=True):
        assert one.model_dump(include={"id", "system", "user", "media"}) == other.model_dump(
            include={"id", "system", "user", "media"}
        )
    differ = {
        name
        for one, other in zip(before, changed, strict=True)
        for name in one.truth
        if one.truth[name] != other.truth[name]
    }
    assert differ == fields


def test_what_is_missing_is_hatched_and_said(copied, builder, tmp_path):
    folder = copied.root / "c1"
    (folder / "stereo_left.mp4").unlink()
    builder.write_video(folder / "fisheye_cam1.mp4", 80, seed=1)
    builder.write_video(folder / "fisheye_cam0.mp4", N_FRAMES, seed=0)  # without its sound
    records = list(export_records(copied, tmp_path / "out", SETTINGS, sides=("test",)).records())
    hatch = mosaic.hatched((32, 24)).astype(int)
    for record in records:
        pictures = [one.astype(int) for one in decoded(tmp_path / "out" / record.media.video)]
        assert record.media.audio is None
        assert "There is no sound." in record.user
        last = record.media.n_frames - 1
        assert record.media.lost["stereo_left"].frames == [(0, last)]
        assert "stereo_left is missing throughout" in record.user
        assert all(np.abs(one[24:, 32:64] - hatch).mean() < 12 for one in pictures)
        assert all(np.abs(one[24:, 64:] - hatch).mean() > 30 for one in pictures)  # stereo_right
        ended = record.media.lost.get("fisheye_cam1")
        gone = [np.abs(one[:24, 32:64] - hatch).mean() < 12 for one in pictures]
        first = gone.index(True) if any(gone) else len(gone)
        assert gone == [place >= first for place in range(len(gone))]
        assert ended is None or ended.frames == [(first, last)]
        assert (ended is None) == ("fisheye_cam1 is missing" not in record.user)
    assert {"fisheye_cam1" in one.media.lost for one in records} == {True, False}


def test_a_broken_episode_is_named_and_the_others_go_on(copied, builder, tmp_path):
    builder.cut(copied.root / "a2" / "annotation.hdf5", 0.3)
    for video in (copied.root / "c1").glob("*.mp4"):
        video.unlink()
    found = export_records(copied, tmp_path / "out", SETTINGS)
    assert set(found.manifest["lost"]) == {"a2", "c1"}
    assert "no video" in found.manifest["lost"]["c1"]
    assert {one.episode for one in found.records()} == {"a1", "b1"}
    assert set(found.options.action) == {"Pour water", "Stir tea"}


def test_nothing_to_export_is_an_error_not_an_empty_file(copied, tmp_path):
    for name in SIDES:
        for video in (copied.root / name).glob("*.mp4"):
            video.unlink()
    with pytest.raises(AnswersError, match="gives no record"):
        export_records(copied, tmp_path / "out", SETTINGS)
    with pytest.raises(AnswersError, match=r"has no records\.jsonl"):
        open_export(tmp_path / "out")


def test_no_labelled_training_episode_is_an_error(copied, tmp_path, builder):
    for name in ("a1", "a2"):
        builder.put(copied.root / name, caption=None)
    with pytest.raises(AnswersError, match="options"):
        export_records(copied, tmp_path / "out", SETTINGS)


def test_an_export_that_was_stopped_goes_on_and_ends_the_same(
    cohort, exported, tmp_path, monkeypatch
):
    real, asked = exporting.media_of, []

    def stopped(out, name, *rest):
        if name == "b1":
            raise KeyboardInterrupt
        return real(out, name, *rest)

    def counted(out, name, *rest):
        asked.append((name, (out / "media" / name / "media.json").exists()))
        return real(out, name, *rest)

    monkeypatch.setattr(exporting, "media_of", stopped)
    with pytest.raises(KeyboardInterrupt):
        export_records(cohort, tmp_path, SETTINGS)
    assert not (tmp_path / MANIFEST).exists()
    with pytest.raises(AnswersError, match="has no"):
        open_export(tmp_path)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "media").rglob("*.mp4")}
    assert len(kept) == 2 * SETTINGS.per_episode
    monkeypatch.setattr(exporting, "media_of", counted)
    again = export_records(cohort, tmp_path, SETTINGS)
    assert lines(again) == lines(exported)
    assert again.manifest == exported.manifest
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert asked == [("a1", True), ("a2", True), ("b1", False), ("c1", False)]


def test_damaged_media_are_written_anew(cohort, exported, tmp_path):
    out = shutil.copytree(exported.folder, tmp_path / "out")
    victim = out / next(exported.records("val")).media.video
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-9])
    assert lines(export_records(cohort, out, SETTINGS)) == lines(exported)
    assert victim.read_bytes() == whole


@pytest.mark.parametrize("change", [{"fps": 2.0}, {"crf": 40}, {"tile_px": (48, 36)}], ids=str)
def test_other_settings_make_other_media(change, cohort, exported, tmp_path):
    out = shutil.copytree(exported.folder, tmp_path / "out")
    found = export_records(cohort, out, SETTINGS.model_copy(update=change), sides=("val",))
    before = [one.media.video_sha256 for one in exported.records("val")]
    after = [one.media.video_sha256 for one in found.records()]
    assert not set(before) & set(after)
    assert found.manifest["digests"]["settings"] != exported.manifest["digests"]["settings"]


def test_another_video_makes_other_media(copied, exported, builder, tmp_path):
    out = shutil.copytree(exported.folder, tmp_path / "out")
    builder.write_video(copied.root / "c1" / "stereo_left.mp4", N_FRAMES, seed=33)
    found = export_records(copied, out, SETTINGS)
    for one, other in zip(exported.records(), found.records(), strict=True):
        assert (one.media == other.media) == (one.episode != "c1")


def test_a_finished_export_that_is_being_changed_is_no_longer_finished(
    cohort, exported, tmp_path, monkeypatch
):
    def stopped(*_):
        raise KeyboardInterrupt

    out = shutil.copytree(exported.folder, tmp_path / "out")
    monkeypatch.setattr(exporting, "media_of", stopped)
    with pytest.raises(KeyboardInterrupt):
        export_records(cohort, out, SETTINGS)
    with pytest.raises(AnswersError, match=r"has no manifest\.json"):
        open_export(out)


def test_each_video_is_decoded_once_an_episode(cohort, tmp_path, monkeypatch):
    read, real = [], media.read_pictures

    def counted(path, *rest, **settings):
        read.append(path)
        return real(path, *rest, **settings)

    monkeypatch.setattr(media, "read_pictures", counted)
    export_records(cohort, tmp_path, SETTINGS, sides=("test",))
    assert sorted(path.stem for path in read) == sorted(mosaic.CAMERAS)


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(cohort, exported, tmp_path):
    assert lines(export_records(cohort, tmp_path, SETTINGS, workers=2)) == lines(exported)


def test_an_unknown_side_is_refused(cohort, tmp_path):
    with pytest.raises(AnswersError, match="Did you mean 'train'"):
        export_records(cohort, tmp_path, SETTINGS, sides=("trian",))


def test_a_line_that_is_no_record_is_named(exported, tmp_path):
    out = shutil.copytree(exported.folder, tmp_path / "out")
    told = lines(exported).splitlines()
    told[2] = told[2][:-20]
    (out / RECORDS).write_bytes(b"\n".join(told))
    with pytest.raises(AnswersError, match=f"{RECORDS}:3"):
        list(open_export(out).records())


def test_options_in_the_file_are_those_in_hand(exported):
    written = json.loads((exported.folder / OPTIONS).read_text())
    assert Options(**{name: tuple(labels) for name, labels in written.items()}) == exported.options


def test_the_verb_exports_and_names_what_it_left_out(copied, builder, tmp_path):
    builder.cut(copied.root / "b1" / "annotation.hdf5", 0.3)
    write_roster(copied.root / "episodes.csv", copied)
    words = ["answers", "export", str(copied.root / "episodes.csv"), "--out", str(tmp_path / "out")]
    settings = ["--per-episode", "2", "--tile", "32", "24", "--lead-s", "0.5", "1"]
    done = CliRunner().invoke(app, [*words, *settings, "--side", "test", "--side", "val"])
    assert done.exit_code == 0, done.output
    assert "records: 2 test" in done.output
    assert "left out: b1: " in done.output
    assert [one.episode for one in open_export(tmp_path / "out").records()] == ["c1", "c1"]
    done = CliRunner().invoke(app, [*words, "--tile", "33", "24"])
    assert (done.exit_code, "must be even" in done.output) == (1, True)
