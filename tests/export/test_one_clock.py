"""Frame i shows the same picture, and sounds the same, in every output that is made of a recording.

Each picture's grey spells its frame's number, and the sound is loud in two frames alone. Containers
then start late, hide lead-in pictures, lose some, or jitter.
"""

import io
import json
import wave
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
import pandas as pd
import pytest

from xperience.cohort.manifest import Entry, make_manifest
from xperience.export.lerobot import export_lerobot
from xperience.export.scene import export_rerun
from xperience.features.extract import extract
from xperience.features.table import WindowTable
from xperience.features.windows import MIN_KNOWN_SHARE, WINDOW_FRAMES, window_starts
from xperience.qwen import media
from xperience.qwen.clips import ExportSettings
from xperience.qwen.export import export_records
from xperience.recording.layout import CAMERAS
from xperience.recording.recording import Recording

N_FRAMES, STEP_MS, SOUND_HZ = 60, 50, 32_000
LEAD_IN = 4
"""Pictures before the first frame that an edit list hides, grey as frames 60 to 63 would be."""
LOUD = (30, 31)
CAMERA = "fisheye_cam1"
TILE = (32, 24)
EVERY_FRAME = ExportSettings(fps=20, lead_s=(0, 0.25), per_episode=9, tile_px=TILE, crf=0)


@dataclass(frozen=True)
class Planted:
    """How a camera's container is written: which frames have a picture, and what is odd about it.

    ``hides`` lead-in pictures stand before them; every second picture comes ``jitter_ms`` too late;
    ``key_every`` is the distance of pictures that are coded without others; pictures may be coded
    upside down, in a file that asks to turn them.
    """

    frames: list[int]
    hides: bool = False
    jitter_ms: int = 0
    b_frames: int = 0
    key_every: int = 12
    fragmented: bool = False
    is_turned: bool = False

    @property
    def shown(self):
        return [frame if frame in self.frames else None for frame in range(N_FRAMES)]


WHOLE = list(range(N_FRAMES))
HOLED = [*range(17), *range(37, N_FRAMES)]
CASES = {
    "plain": Planted(WHOLE),
    "starts_late": Planted(WHOLE[8:]),
    "hides_its_lead_in": Planted(WHOLE, hides=True),
    "hides_up_to_a_key_picture": Planted(WHOLE, hides=True, key_every=LEAD_IN),
    "dropped": Planted(HOLED, b_frames=2),
    "ends_early": Planted(WHOLE[:44]),
    "jitters": Planted(WHOLE, jitter_ms=20),
    "fragmented": Planted(WHOLE, fragmented=True, b_frames=2),
    "turned": Planted(WHOLE, is_turned=True),
    "all_at_once": Planted(HOLED[:-6], hides=True, jitter_ms=15, b_frames=2),
}
SOUNDS = {
    "whole": WHOLE,
    "starts_late": WHOLE[16:],
    "hole": [*range(8), *range(24, N_FRAMES)],
    "ends_early": WHOLE[:40],
}


def greys(number):
    """Return the greys of a frame's left and right half: they spell its number in base 8."""
    return np.array([32 * (np.asarray(number) // 8) + 16, 32 * (np.asarray(number) % 8) + 16])


def numbers(pictures):
    """Return the frame number that each picture spells; None for one that spells none, as black."""
    found = []
    for picture in pictures:
        halves = [float(half.mean()) for half in np.array_split(picture, 2, axis=1)]
        digits = [round((half - 16) / 32) for half in halves]
        pairs = zip(digits, halves, strict=True)
        clear = all(abs(32 * digit + 16 - half) < 8 for digit, half in pairs)
        found.append(8 * digits[0] + digits[1] if clear else None)
    return found


def write_camera(path, planted, sound=None):
    """Write a camera's video; sound is the list of frames in which there is some."""
    scratch = path.with_name(f"{path.stem}-coded.mp4")
    hidden = list(range(N_FRAMES, N_FRAMES + LEAD_IN)) if planted.hides else []
    options = {"bf": str(planted.b_frames), "b_strategy": "0", "crf": "1",
               "g": str(planted.key_every), "sc_threshold": "0"}  # fmt: skip
    with av.open(str(scratch), "w") as file:
        video = file.add_stream("libx264", rate=1000 // STEP_MS, options=options)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        heard = None if sound is None else file.add_stream("aac", rate=SOUND_HZ, layout="mono")
        for place, number in enumerate([*hidden, *planted.frames]):
            picture = np.repeat(greys(number).astype(np.uint8), 32)[None, :, None]
            picture = np.broadcast_to(picture, (48, 64, 3))
            picture = np.ascontiguousarray(picture[:, :: -1 if planted.is_turned else 1])
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            late = planted.jitter_ms * (place % 2)
            at = number if number < N_FRAMES else number - N_FRAMES - LEAD_IN
            frame.pts, frame.time_base = (at + LEAD_IN) * STEP_MS + late, Fraction(1, 1000)
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
        if heard is not None:
            write_tone(file, heard)
    move_back(scratch, path, planted, sound)
    scratch.unlink()
    if planted.is_turned:
        turn(path, (-1, 0, 0, -1))


def turn(path, matrix):
    """Write a matrix (a, b, c, d) into the header of an MP4's first track."""
    stored = bytearray(path.read_bytes())
    at = stored.index(b"tkhd") + 44
    for place, value in zip((0, 1, 3, 4), matrix, strict=True):
        stored[at + 4 * place : at + 4 * place + 4] = (value << 16).to_bytes(4, "big", signed=True)
    path.write_bytes(stored)


def write_tone(file, stream):
    per_frame = SOUND_HZ * STEP_MS // 1000
    places = np.arange(N_FRAMES * per_frame)
    loudness = np.where(np.isin(places // per_frame, LOUD), 0.5, 0.005)
    tone = (loudness * np.sin(0.3 * places)).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(tone[None], "fltp", "mono")
    frame.sample_rate, frame.time_base, frame.pts = SOUND_HZ, Fraction(1, SOUND_HZ), 0
    file.mux(stream.encode(frame))
    file.mux(stream.encode(None))


def move_back(source, path, planted, sound):
    """Copy packets to where they belong: lead-in pictures before zero, sound that is there."""
    options = {"avoid_negative_ts": "disabled", "use_editlist": "1"}
    if planted.fragmented:
        options |= {"movflags": "frag_keyframe+empty_moov+delay_moov"}
    with av.open(str(source)) as read, av.open(str(path), "w", options=options) as write:
        copies = {one.index: write.add_stream_from_template(one) for one in read.streams}
        for packet in read.demux():
            if packet.dts is None:
                continue
            if packet.stream.type == "video":
                back = round(LEAD_IN * STEP_MS / 1000 / packet.time_base)
                packet.pts, packet.dts = packet.pts - back, packet.dts - back
            else:
                at = float(packet.pts * packet.time_base) * 1000 // STEP_MS
                if at >= 0 and at not in sound:
                    continue
            packet.stream = copies[packet.stream.index]
            write.mux(packet)


def decoded(video, **options):
    with av.open(video, options=options) as file:
        return [one.to_ndarray(format="rgb24") for one in file.decode(video=0)]


def manifest_of(folder):
    entry = Entry(episode="ep", folder=folder.name, session="s", side="train")
    return make_manifest([entry], folder.parent)


def corrected(folder, cache):
    """Return the windows of an episode under `corrected`."""
    out = folder.parent / "windows.parquet"
    extract(folder, out, contract="corrected", cache=cache, workers=1)
    return WindowTable(out)


@pytest.fixture
def case(request):
    return CASES[request.param]


@pytest.fixture
def planted(case, tiny):
    """An episode one of whose cameras has a planted container; all others are plain."""
    write_camera(tiny / f"{CAMERA}.mp4", case)
    return tiny


@pytest.fixture(params=[list(CASES)[:5], list(CASES)[5:]], ids=", ".join)
def five(request, tiny):
    """{camera: case} of an episode whose cameras have planted containers, but that with sound."""
    found = {camera: CASES[name] for camera, name in zip(CAMERAS[1:], request.param, strict=True)}
    for camera, one in found.items():
        write_camera(tiny / f"{camera}.mp4", one)
    return found


def test_windows_hold_the_pictures_of_their_frames(five, tiny, stream_cache):
    table, starts = corrected(tiny, stream_cache), window_starts(N_FRAMES)
    for camera, one in five.items():
        reds = table.block(f"video_{camera}").reshape(-1, 7, 98)[:, :, 0]  # all statistics
        for row, start in zip(reds, starts, strict=True):
            there = [f for f in one.shown[start : start + WINDOW_FRAMES] if f is not None]
            if len(there) < MIN_KNOWN_SHARE * WINDOW_FRAMES:
                assert np.isnan(row).all(), one
                continue
            means = greys(there).mean(axis=0)
            wanted = np.array([means.mean(), means.min(), means.max()])
            np.testing.assert_allclose(255 * row[[0, 2, 3]], wanted, atol=1.5, err_msg=str(one))


@pytest.mark.parametrize("case", ["starts_late", "all_at_once", "turned"], indirect=True)
def test_clips_show_the_pictures_of_their_frames(case, planted, tmp_path):
    exported = export_records(manifest_of(planted), tmp_path / "out", EVERY_FRAME)
    hatch = media.hatched(TILE).astype(int)
    for record in exported.records():
        frames = range(record.clip.start_frame, record.clip.end_frame + 1)
        pictures = decoded(str(exported.folder / record.media.video))
        tiles = [picture[: TILE[1], TILE[0] : 2 * TILE[0]] for picture in pictures]
        hatched = [i for i, tile in enumerate(tiles) if np.abs(tile - hatch).mean() < 12]
        assert hatched == [i for i, frame in enumerate(frames) if case.shown[frame] is None]
        spelt = numbers(tiles)
        assert [spelt[i] for i in range(len(frames)) if i not in hatched] == [
            case.shown[frame] for frame in frames if case.shown[frame] is not None
        ]
        lost = record.media.lost.get(CAMERA)
        named = [] if lost is None else [i for a, b in lost.frames for i in range(a, b + 1)]
        assert named == hatched
        assert (f"{CAMERA} is missing" in record.user) == bool(hatched)


def test_a_window_without_any_picture_gives_no_record_but_a_reason(tiny, tmp_path):
    ends = Planted([*range(5), *range(55, N_FRAMES)])
    for path in list(tiny.glob("*.mp4")):
        write_camera(path, ends, WHOLE if path.stem == "fisheye_cam0" else None)
    exported = export_records(manifest_of(tiny), tmp_path / "out", EVERY_FRAME)
    kept = {record.window.start_frame for record in exported.records()}
    lost = exported.manifest["lost"]
    assert kept == {40}
    assert set(lost) == {f"ep:{start:06d}" for start in range(5, 40, 5)}
    assert set(lost.values()) == {"no camera has a picture of the window"}
    named = {path.name for path in (tmp_path / "out" / "media" / "ep").iterdir()}
    assert named == {"media.json", "000040.mp4", "000040.wav"}


@pytest.mark.parametrize(
    "case",
    ["starts_late", "hides_up_to_a_key_picture", "jitters", "fragmented", "turned", "all_at_once"],
    indirect=True,
)
def test_a_row_of_lerobot_has_the_picture_of_its_frame(case, planted, tmp_path):
    out = tmp_path / "set"
    export_lerobot([planted], out)
    rows = pd.read_parquet(out / "data" / "chunk-000" / "file-000.parquet")
    n = len(rows)
    assert n == case.frames[-1] + 1  # an episode ends with its shortest camera
    info = json.loads((out / "meta" / "info.json").read_text())
    place = info["features"]["observation.pictured"]["names"].index(CAMERA)
    there = np.stack(rows["observation.pictured"])[:, place].tolist()
    assert there == [one is not None for one in case.shown[:n]]
    video = out / "videos" / f"observation.images.{CAMERA}" / "chunk-000" / "file-000.mp4"
    with av.open(str(video)) as file:
        stream = file.streams.video[0]
        timed = {
            round(float(one.pts * stream.time_base) * 1000): one.to_ndarray(format="rgb24")
            for one in file.decode(stream)
        }
    pictures = [timed[STEP_MS * row] for row in range(n)]
    spelt = numbers(pictures)
    assert spelt == case.shown[:n]
    readme = (out / "README.md").read_text()
    anew = ("starts_late", "hides_its_lead_in", "dropped", "turned", "all_at_once")
    copied = case not in map(CASES.get, anew)
    if copied:
        stored = decoded(str(planted / f"{CAMERA}.mp4"))
        assert all((one == two).all() for one, two in zip(pictures, stored, strict=True))
    assert (f"Re-encoded: {CAMERA}" in readme) == (not copied)
    assert f"({there.count(False)} frames without a picture)" in readme or copied or all(there)
    stats = json.loads((out / "meta" / "stats.json").read_text())
    whole = stats[f"observation.images.{CAMERA}"]
    if not copied:  # of a copy, only key pictures are looked at
        counted = greys([one for one in case.shown[:n] if one is not None])
        assert whole["count"] == [counted.shape[1]]
        assert 255 * np.squeeze(whole["mean"]) == pytest.approx(counted.mean(), abs=1.5)


@pytest.mark.extras("rerun")
def test_rerun_shows_the_picture_of_each_frame(five, tiny, tmp_path, read_rerun):
    import rerun as rr  # noqa: PLC0415 an extra

    assert not export_rerun(tiny, tmp_path / "ep.rrd", depth_every=60).keys() & five.keys()
    found = read_rerun(tmp_path / "ep.rrd")
    for camera, one in five.items():
        (_, blob), = found[f"cameras/{camera}", "AssetVideo:blob"]  # fmt: skip
        stored = bytes(np.array(blob[0], dtype=np.uint8))
        every = numbers(decoded(io.BytesIO(stored), ignore_editlist="1"))
        times = rr.AssetVideo(contents=stored).read_frame_timestamps_nanos().tolist()
        assert len(times) == len(every), one
        rows = found[f"cameras/{camera}", "VideoFrameReference:timestamp"]
        np.testing.assert_allclose([at for at, _ in rows], np.arange(N_FRAMES) / 20, atol=1e-6)
        shown = [every[times.index(value[0])] if value else None for _, value in rows]
        assert shown == one.shown, one


@pytest.fixture(params=SOUNDS)
def heard(request):
    return SOUNDS[request.param]


@pytest.fixture
def sounding(heard, tiny):
    write_camera(tiny / "fisheye_cam0.mp4", CASES["plain"], heard)
    return tiny


def is_silent(heard):
    """Return frames that surely have no sound, and those that surely have: edges are blurred."""
    here = np.isin(np.arange(N_FRAMES), heard)
    beside = np.convolve(here, [1, 1, 1], "same")
    return beside == 0, beside == np.convolve(np.ones(N_FRAMES), [1, 1, 1], "same")


def test_windows_hold_the_sound_of_their_frames(heard, sounding, stream_cache):
    found = (
        corrected(sounding, stream_cache).block("audio_fisheye_cam0_aac").reshape(-1, 7, 24)[..., 0]
    )
    for row, start in zip(found, window_starts(N_FRAMES), strict=True):
        window = range(start, start + WINDOW_FRAMES)
        n_there = len(set(window) & set(heard))
        if n_there < MIN_KNOWN_SHARE * WINDOW_FRAMES - 1:
            assert np.isnan(row).all()
        elif n_there > MIN_KNOWN_SHARE * WINDOW_FRAMES + 1:
            assert (row[3] > 0.1) == bool(set(LOUD) & set(window))


def test_clips_sound_as_their_frames_and_say_where_nothing_was_recorded(heard, sounding, tmp_path):
    exported = export_records(manifest_of(sounding), tmp_path / "out", EVERY_FRAME)
    nowhere, surely = is_silent(heard)
    for record in exported.records():
        frames = np.arange(record.clip.start_frame, record.clip.end_frame + 1)
        if record.media.audio is None:
            assert not surely[frames].any()
            continue
        with wave.open(str(exported.folder / record.media.audio)) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767
        assert len(samples) / 16_000 == record.media.audio_seconds == len(frames) * STEP_MS / 1000
        level = np.abs(samples.reshape(len(frames), -1)).mean(axis=1)
        inner = [np.isin(frames, LOUD), ~np.isin(frames, [*LOUD, LOUD[0] - 1, LOUD[1] + 1])]
        assert (level[inner[0]] > 0.2).all()
        assert (level[inner[1]] < 0.02).all()
        assert (level[nowhere[frames]] == 0).all()
        middle = (np.arange(len(frames)) + 0.5) * STEP_MS / 1000
        gaps = record.media.silent_s
        named = np.array([any(a <= at < b for a, b in gaps) for at in middle], bool)
        assert named[nowhere[frames]].all()
        assert not named[surely[frames]].any()
        assert ("none was recorded at" in record.user) == bool(gaps)
        assert (record.media.why_no_audio is None) == (not gaps)


@pytest.mark.extras("rerun")
def test_rerun_has_levels_and_sound_where_they_were(heard, sounding, tmp_path, read_rerun):
    export_rerun(sounding, tmp_path / "ep.rrd", depth_every=60)
    found = read_rerun(tmp_path / "ep.rrd")
    rows = found["sound/level", "Scalars:scalars"]
    levels = {round(at * 20): value[0] for at, value in rows if value}
    nowhere, surely = is_silent(heard)
    assert set(np.flatnonzero(surely)) <= set(levels)
    assert not set(np.flatnonzero(nowhere)) & set(levels)
    loud = {frame for frame, level in levels.items() if level > -20}
    assert set(LOUD) <= loud <= {LOUD[0] - 1, *LOUD, LOUD[1] + 1}
    pieces = found["sound/heard", "AssetAudio:blob"]
    sounding_at = []
    for at, blob in pieces:
        with av.open(io.BytesIO(bytes(np.array(blob[0], dtype=np.uint8)))) as file:
            samples = np.concatenate([one.to_ndarray()[0] for one in file.decode(audio=0)])
        loud = np.flatnonzero(np.abs(samples) > 0.4) / SOUND_HZ + at
        sounding_at.extend(loud.tolist())
        covered = np.arange(N_FRAMES)[nowhere] * STEP_MS / 1000 + 0.025
        assert not ((covered > at) & (covered < at + len(samples) / SOUND_HZ)).any()
    assert min(sounding_at) == pytest.approx(LOUD[0] * STEP_MS / 1000, abs=0.012)
    assert max(sounding_at) == pytest.approx((LOUD[1] + 1) * STEP_MS / 1000, abs=0.012)


@pytest.mark.extras("rerun")
def test_a_camera_and_a_sound_of_another_time_are_left_out_and_named(tiny, tmp_path, read_rerun):
    for path in (tiny / f"{CAMERA}.mp4", tiny / "fisheye_cam0.mp4"):
        later(path, 100)
    absent = export_lerobot([tiny], tmp_path / "set")
    assert set(absent) == {"fisheye_cam0", CAMERA, "audio"}
    assert "in the time of any frame" in absent[CAMERA]
    assert set(export_rerun(tiny, tmp_path / "ep.rrd", depth_every=60)) >= set(absent)
    entities = {entity for entity, _ in read_rerun(tmp_path / "ep.rrd")}
    assert not entities & {f"cameras/{CAMERA}", "sound/level", "sound/heard"}


def later(path, by_s):
    """Move all of a video to a later time."""
    source = path.rename(path.with_name("moved.mp4"))
    with av.open(str(source)) as read, av.open(str(path), "w") as write:
        copies = {one.index: write.add_stream_from_template(one) for one in read.streams}
        for packet in read.demux():
            if packet.dts is not None:
                ticks = round(by_s / packet.time_base)
                packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
                packet.stream = copies[packet.stream.index]
                write.mux(packet)
    source.unlink()


def test_of_a_video_that_is_cut_off_rows_have_what_is_there(tiny, builder, tmp_path):
    path = tiny / f"{CAMERA}.mp4"
    builder.write_video(path, N_FRAMES, seed=1, faststart=True)
    builder.cut(path, 0.6)
    with Recording(tiny) as episode:
        there = [one is not None for one in episode.pictures(CAMERA, np.arange(N_FRAMES))]
    assert 20 < sum(there) < 40
    export_lerobot([tiny], tmp_path / "set")
    rows = pd.read_parquet(tmp_path / "set" / "data" / "chunk-000" / "file-000.parquet")
    assert np.stack(rows["observation.pictured"])[:, 1].tolist() == there


def test_pictures_on_their_side_are_upright_in_every_output(tiny, tmp_path):
    path = tiny / f"{CAMERA}.mp4"
    write_camera(path, CASES["plain"])
    with Recording(tiny) as episode:
        (as_coded,) = episode.pictures(CAMERA, [9])
    turn(path, (0, 1, -1, 0))
    with Recording(tiny) as episode:
        (seen,) = episode.pictures(CAMERA, [9])
        ((_, picture, _),) = media.mosaics(episode, [9], TILE)
    np.testing.assert_array_equal(seen, np.rot90(as_coded, -1))
    tile = picture[: TILE[1], TILE[0] : 2 * TILE[0]]
    np.testing.assert_array_equal(tile, media.fitted(seen, TILE))
    export_lerobot([tiny], tmp_path / "set")
    info = json.loads((tmp_path / "set" / "meta" / "info.json").read_text())
    assert info["features"][f"observation.images.{CAMERA}"]["shape"] == [64, 48, 3]
    video = next((tmp_path / "set" / "videos").rglob(f"*{CAMERA}/**/*.mp4"))
    assert np.abs(decoded(str(video))[9].astype(int) - seen).mean() < 2
