"""Records are what the labels say, prompts know nothing of them, and a stopped export goes on."""

import re
import shlex
import shutil
import wave

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.main import get_command
from typer.testing import CliRunner

from xperience.cli import app
from xperience.cohort.manifest import Entry, make_manifest, write_manifest
from xperience.features.windows import WINDOW_FRAMES
from xperience.project import at_root
from xperience.qwen import export as exporting
from xperience.qwen import media
from xperience.qwen.clips import Clip, ExportSettings, evidence, plan_clips
from xperience.qwen.export import export_records, system_message
from xperience.qwen.media import write_mp4
from xperience.qwen.schema import KEYS, UNKNOWN, AnswersError, read_answer, read_options
from xperience.qwen.supervised import MANIFEST, OPTIONS, RECORDS, open_export
from xperience.recording import media as recorded
from xperience.recording.recording import Recording

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
    return make_manifest(entries, root)


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


def test_records_are_what_the_labels_say_and_files_hold_what_records_say(exported):
    assert exported.manifest["records"] == {"train": 10, "val": 5, "test": 5}
    assert set(exported.manifest["digests"]) == {"records", "options", "settings", "manifest"}
    assert read_options(exported.folder / OPTIONS) == exported.options
    records = list(exported.records())
    assert len({one.id for one in records}) == len(records) == 20
    assert {one.system for one in records} == {system_message(exported.options, 200)}
    long = system_message(exported.options, 1)
    assert "Pour water" not in long
    assert f"{len(exported.options.action)} labels" in long
    for record in records:
        first, last = record.window.start_frame, record.window.end_frame
        spoken = [label for label, a, b in LABELS[record.episode] for _ in range(a, b + 1)]
        inside = spoken[first : last + 1]
        label = max(set(inside), key=inside.count)
        assert inside.count(label) < 12 or record.truth["action"] == label
        assert record.truth["next_action"] == spoken[min(last + 20, N_FRAMES - 1)]
        assert set(record.truth["objects"]) <= {"cup", f"thing of {record.episode[0]}"}
    planned = plan_clips("c1", N_FRAMES, 20.0, SETTINGS)
    for record, clip in zip(exported.records("test"), planned, strict=True):
        told, length = record.media, record.clip.end_frame + 1 - record.clip.start_frame
        pictures = decoded(exported.folder / told.video)
        assert len(pictures) == told.n_frames == len(clip.shown)
        assert pictures[0].shape == (48, 96, 3)
        assert record.clip.start_frame <= record.window.start_frame
        assert record.clip.end_frame == record.window.end_frame
        assert told.seconds == pytest.approx(length / 20)
        with wave.open(str(exported.folder / told.audio)) as file:
            assert (file.getframerate(), file.getnchannels()) == (16_000, 1)
            assert file.getnframes() / 16_000 == told.audio_seconds
        assert told.audio_seconds == pytest.approx(told.seconds, rel=0.01)


def test_no_label_of_validation_or_test_alone_is_an_option_or_in_a_prompt(exported):
    options, records = exported.options, list(exported.records())
    trained = {label for name in ("a1", "a2") for label, _, _ in LABELS[name]}
    assert set(options.action) == trained
    assert set(options.objects) == {"cup", "thing of a"}
    foreign = {"Only in validation", "Only in test", "thing of b", "thing of c"}
    for record in records:
        assert not any(name in record.system + record.user + record.target for name in foreign)
        assert read_answer(record.target, options).strict
        open_set = record.truth["action"] not in {*trained, UNKNOWN}
        assert record.action_is_option is not open_set
        assert record.taught["action"] == (UNKNOWN if open_set else record.truth["action"])
    assert foreign <= {
        name for one in records for name in (*one.truth["objects"], one.truth["action"])
    }  # the truth keeps its words


def test_prompt_and_media_stay_the_same_whatever_is_true(exported, copied, builder, tmp_path):
    moved = [("Do 0", 0, 30), ("Do 1", 31, 129), ("Do 2", 130, 139)]
    folder = copied.root / "c1"
    builder.put_captions(folder, captions(builder, moved, "Other step", ("spoon",)))
    builder.put(folder, full_body_mocap__contacts=np.zeros((N_FRAMES, 21), np.float32))
    shutil.copytree(exported.folder / "media", tmp_path / "out" / "media")  # videos are the same
    changed = list(export_records(copied, tmp_path / "out", SETTINGS).records("test"))
    differ = set()
    for one, other in zip(exported.records("test"), changed, strict=True):
        for name in ("id", "system", "user", "media"):
            assert getattr(one, name) == getattr(other, name)
        differ |= {name for name in one.truth if one.truth[name] != other.truth[name]}
    assert differ == set(KEYS)


def test_what_is_missing_is_hatched_and_said(copied, builder, tmp_path):
    folder = copied.root / "c1"
    (folder / "stereo_left.mp4").unlink()
    builder.write_video(folder / "fisheye_cam1.mp4", 80, seed=1)
    builder.write_video(folder / "fisheye_cam0.mp4", N_FRAMES, seed=0)  # without its sound
    records = list(export_records(copied, tmp_path / "out", SETTINGS, sides=("test",)).records())
    hatch = media.hatched((32, 24)).astype(int)
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
    out = tmp_path / "out"
    builder.cut(copied.root / "a2" / "annotation.hdf5", 0.3)
    for video in (copied.root / "c1").glob("*.mp4"):
        video.unlink()
    write_manifest(copied.root / "episodes.csv", copied)
    call = ["answers", "export", str(copied.root / "episodes.csv"), "--out", str(out)]
    brief = ["--per-episode", "2", "--tile", "32", "24", "--lead-s", "0.5", "1"]
    done = CliRunner().invoke(app, [*call, *brief])
    assert done.exit_code == 0, done.output
    assert "left out: a2: " in done.output
    assert "records: 2 train, 2 val" in done.output
    found = open_export(out)
    assert set(found.manifest["lost"]) == {"a2", "c1"}
    assert "no video" in found.manifest["lost"]["c1"]
    assert [one.episode for one in found.records()] == ["a1", "a1", "b1", "b1"]
    assert set(found.options.action) == {"Pour water", "Stir tea"}
    for wrong, told in (
        (["--tile", "33", "24"], "must be even"),
        (["--lead-s", "3", "2"], "least to the most"),
        (["--fps", "0"], "export: fps: is 0.0"),
    ):
        done = CliRunner().invoke(app, [*call, *wrong])
        assert (done.exit_code, told in done.output) == (1, True)


def test_what_cannot_be_exported_is_an_error_not_an_empty_file(copied, tmp_path, builder):
    with pytest.raises(AnswersError, match="Did you mean 'train'"):
        export_records(copied, tmp_path / "out", SETTINGS, sides=("trian",))
    for video in copied.root.glob("*/*.mp4"):
        video.unlink()
    with pytest.raises(AnswersError, match="gives no record"):
        export_records(copied, tmp_path / "out", SETTINGS)
    with pytest.raises(AnswersError, match=r"has no records\.jsonl"):
        open_export(tmp_path / "out")
    for name in ("a1", "a2"):
        builder.put(copied.root / name, caption=None)
    with pytest.raises(AnswersError, match="options: action: is empty"):
        export_records(copied, tmp_path / "out", SETTINGS)


def test_an_export_that_was_stopped_goes_on_and_ends_the_same(
    cohort, exported, tmp_path, monkeypatch
):
    real, asked, read = exporting.media_of, [], []

    def stopped(out, name, *rest):
        if name == "b1":
            raise KeyboardInterrupt
        return real(out, name, *rest)

    def counted(out, name, *rest):
        asked.append((name, (out / "media" / name / "media.json").exists()))
        return real(out, name, *rest)

    def read_pictures(path, *rest, _real=recorded.read_pictures, **settings):
        read.append(path.stem)
        return _real(path, *rest, **settings)

    monkeypatch.setattr(exporting, "media_of", stopped)
    with pytest.raises(KeyboardInterrupt):
        export_records(cohort, tmp_path, SETTINGS)
    assert not (tmp_path / MANIFEST).exists()
    with pytest.raises(AnswersError, match="has no"):
        open_export(tmp_path)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "media").rglob("*.mp4")}
    assert len(kept) == 2 * SETTINGS.per_episode
    monkeypatch.setattr(exporting, "media_of", counted)
    monkeypatch.setattr(recorded, "read_pictures", read_pictures)
    again = export_records(cohort, tmp_path, SETTINGS)
    assert lines(again) == lines(exported)
    assert again.manifest == exported.manifest
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert asked == [("a1", True), ("a2", True), ("b1", False), ("c1", False)]
    assert sorted(read) == sorted(media.CAMERAS * 2)  # once for each episode that was not done
    monkeypatch.setattr(exporting, "media_of", stopped)
    with pytest.raises(KeyboardInterrupt):
        export_records(cohort, tmp_path, SETTINGS)
    with pytest.raises(AnswersError, match=r"has no manifest\.json"):
        open_export(tmp_path)  # it is being changed


def test_media_are_written_anew_if_damaged_or_of_another_video(copied, exported, builder, tmp_path):
    out = shutil.copytree(exported.folder, tmp_path / "out")
    victim = out / next(exported.records("val")).media.video
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-9])
    builder.write_video(copied.root / "c1" / "stereo_left.mp4", N_FRAMES, seed=33)
    found = export_records(copied, out, SETTINGS)
    assert victim.read_bytes() == whole
    for one, other in zip(exported.records(), found.records(), strict=True):
        assert (one.media == other.media) == (one.episode != "c1")
    for change in ({"fps": 2.0}, {"crf": 40}, {"tile_px": (48, 36)}):
        found = export_records(copied, out, SETTINGS.model_copy(update=change), sides=("val",))
        before = {one.media.video_sha256 for one in exported.records("val")}
        assert not before & {one.media.video_sha256 for one in found.records()}
        assert found.manifest["digests"]["settings"] != exported.manifest["digests"]["settings"]


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(cohort, exported, tmp_path):
    assert lines(export_records(cohort, tmp_path, SETTINGS, workers=2)) == lines(exported)


def test_a_line_that_is_no_record_is_named(exported, tmp_path):
    for name in (OPTIONS, MANIFEST):
        shutil.copy(exported.folder / name, tmp_path)
    told = lines(exported).splitlines()
    told[2] = told[2][:-20]
    (tmp_path / RECORDS).write_bytes(b"\n".join(told))
    with pytest.raises(AnswersError, match=f"{RECORDS}:3"):
        list(open_export(tmp_path).records())


seconds = st.floats(0, 3)


@settings(max_examples=50)
@given(
    n_frames=st.integers(0, 400),
    fps=st.sampled_from([15.0, 20.0, 20.00137, 29.97]),
    clip_fps=st.floats(0.5, 60),
    lead=st.tuples(seconds, seconds).map(sorted).map(tuple),
)
def test_clips_show_a_lead_in_and_the_whole_window_and_nothing_after_it(
    n_frames, fps, clip_fps, lead
):
    chosen = ExportSettings(fps=clip_fps, lead_s=lead, per_episode=7)
    clips = plan_clips("ep", n_frames, fps, chosen)
    assert clips == plan_clips("ep", n_frames, fps, chosen)
    assert len(clips) <= 7
    assert bool(clips) == (n_frames >= 20)
    most, step = round(lead[1] * fps), max(fps / clip_fps, 1)
    for clip in clips:
        shown = np.array(clip.shown)
        assert (np.diff(shown) > 0).all()
        assert shown[0] >= 0
        assert shown[-1] == clip.end_frame < n_frames
        assert clip.in_window[-1] == len(shown) - 1
        if n_frames >= 20 + most + 5:
            assert clip.start_frame - most <= shown[0]
            if clip_fps * 20 / fps >= 1:
                assert shown[0] < clip.start_frame - round(lead[0] * fps) + step + 1


@settings(max_examples=50)
@given(
    runs=st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 40)), min_size=3, max_size=12),
    place=st.integers(0, 60),
    step=st.integers(1, 9),
)
def test_evidence_is_the_unbroken_run_of_the_action_up_to_the_window(runs, place, step):
    action = [label for label, length in runs for _ in range(length)]
    action += ["a"] * max(0, 80 - len(action))
    start = min(place, len(action) - 20)
    clip = Clip(start, tuple(range(start + 19, max(-1, start - 30), -step))[::-1], 20 / step, 20.0)
    inside = action[start : start + 20]
    label = max(sorted(set(inside)), key=inside.count)
    found = evidence(action, label, clip)
    first, last = found["start_frame"], found["end_frame"]
    assert 0 <= first <= last < len(clip.shown)
    run = action[clip.shown[first] : clip.shown[last] + 1]
    if set(run) == {label}:
        before = action[clip.shown[first - 1] : clip.shown[first]] if first else [""]
        assert first == 0 or set(before) != {label}
        is_last = last + 1 == len(clip.shown)
        after = [] if is_last else action[clip.shown[last] : clip.shown[last + 1] + 1]
        assert not after or set(after) != {label}
    else:  # the run slips between two frames that are shown
        assert first == last
        assert step > 1


@settings(max_examples=50)
@given(
    tile=st.tuples(st.integers(8, 80), st.integers(8, 80)),
    size=st.tuples(st.integers(1, 200), st.integers(1, 200)),
)
def test_a_picture_keeps_its_proportions_and_lies_in_the_middle(tile, size):
    found = media.fitted(np.full((size[1], size[0], 3), 255, np.uint8), tile)
    assert found.shape == (tile[1], tile[0], 3)
    rows, across = np.flatnonzero(found.any((1, 2))), np.flatnonzero(found.any((0, 2)))
    assert len(rows) == tile[1] or len(across) == tile[0]
    scale = min(tile[0] / size[0], tile[1] / size[1])
    assert abs(len(across) - size[0] * scale) <= 1
    assert abs(len(rows) - size[1] * scale) <= 1
    assert abs(rows[0] - (tile[1] - 1 - rows[-1])) <= 1
    assert abs(across[0] - (tile[0] - 1 - across[-1])) <= 1


def test_views_stand_in_the_declared_order_with_their_names(whole_tiny, builder):
    tile = (48, 36)
    with Recording(whole_tiny) as episode:
        ((frame, picture, there),) = media.mosaics(episode, [10, 10], tile)
    assert (frame, there) == (10, (True,) * 6)
    tiles = [picture[y : y + 36, x : x + 48].astype(int) for y in (0, 36) for x in (0, 48, 96)]
    true = [media.fitted(builder.picture(frame, seed), tile) for seed in range(6)]
    for place, one in enumerate(tiles):
        assert int(np.argmin([np.abs(one - other).mean() for other in true])) == place
    high, low = media.hatched((224, 160)), media.hatched(tile)
    assert (media.named(high, "stereo_left") != media.named(high, "stereo_right")).any()
    np.testing.assert_array_equal(media.named(low, "stereo_left"), low)


def test_the_same_pictures_give_the_same_file_or_none(tmp_path):
    moving = [np.roll(media.hatched((96, 48)), shift, axis=1) for shift in range(9)]
    for name in ("a.mp4", "b.mp4"):
        write_mp4(tmp_path / name, moving, 4.0, 20)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    off = np.array(decoded(tmp_path / "a.mp4")).astype(int) - moving
    assert np.abs(off).mean(axis=(1, 2, 3)).max() < 12
    with pytest.raises(ValueError, match="array"):
        write_mp4(tmp_path / "none" / "c.mp4", [*moving[:3], moving[0][..., 0]], 4.0, 20)
    assert not list((tmp_path / "none").iterdir())


PAGE = at_root("docs/howto/qwen3-omni.md").read_text(encoding="utf-8")


def test_the_page_calls_verbs_and_options_that_exist():
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL)
    texts = "".join(blocks).replace("\\\n", " ").splitlines()
    calls = [shlex.split(text, comments=True) for text in texts]
    calls = [call[1:] for call in calls if call and call[0].endswith("xperience")]
    assert {tuple(call[:2]) for call in calls} >= {("answers", "export"), ("answers", "baseline")}
    for call in calls:
        verb, words = get_command(app), list(call)
        while hasattr(verb, "commands"):
            verb = verb.commands[words.pop(0)]
        verb.make_context(call[0], words)  # a wrong option, value or number of words raises


def test_the_page_names_the_defaults():
    usual = ExportSettings()
    width, height = usual.tile_px
    assert f"of {width}×{height} pixels" in PAGE
    assert f"at most {usual.listed_options}\n" in PAGE
    assert (usual.fps, usual.lead_s) == (4, (2, 4))
    assert "Four frames a second" in PAGE
    assert "two to four seconds" in PAGE
    assert f"{WINDOW_FRAMES} frames" in PAGE
