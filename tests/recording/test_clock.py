"""Pictures and sound stand where the container's times say, whatever was done to the container."""

from fractions import Fraction
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from xperience.features import video
from xperience.features.extract import extract
from xperience.features.table import WindowTable
from xperience.recording.clock import frame_clock
from xperience.recording.inspect import inspect_episode
from xperience.recording.media import MediaTimeline, read_rgb
from xperience.recording.recording import Recording

N, STEP_MS, RATE_HZ = 60, 50, 48_000
CAMERA = "fisheye_cam0"
TIME_S = np.arange(N * STEP_MS * RATE_HZ // 1000) / RATE_HZ
SOUND = (0.3 * np.sin(2 * np.pi * (300 + 500 * TIME_S) * TIME_S)).astype(np.float32)


def coded(path: Path, **video_options: str) -> Path:
    """Write N pictures whose grey level tells their number, and a chirp that is its own clock."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=20, options={"crf": "10", **video_options})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("aac", rate=RATE_HZ, layout="mono")
        sound.bit_rate = 256_000
        for number in range(N):
            grey = np.full((48, 64, 3), 20 + 3 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode(None))
        frame = av.AudioFrame.from_ndarray(SOUND[None], format="fltp", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = RATE_HZ, Fraction(1, RATE_HZ), 0
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    return path


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same recording with pictures told from each other, and each by itself."""
    folder = tmp_path_factory.mktemp("sources")
    alone = coded(folder / "alone.mp4", g="1", bf="0")
    return {"alone": alone, "b-frames": coded(folder / "b.mp4", bf="3", g="20")}


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory, builder: ModuleType) -> Path:
    folder = tmp_path_factory.mktemp("clock") / "ep"
    folder.mkdir()
    builder.write_annotation(folder / "annotation.hdf5", N)
    return folder


def remux(
    source: Path,
    out: Path,
    *,
    video_ms: int = 0,
    sound_ms: int = 0,
    lost: range = range(0),
    silent_ms: range = range(0),
    **options: str,
) -> None:
    """Copy coded pictures and sound, moved in time, without some of them."""
    with av.open(str(source)) as read, av.open(str(out), "w", options=options) as write:
        streams = [read.streams.video[0], read.streams.audio[0]]
        copies = {stream.index: write.add_stream_from_template(stream) for stream in streams}
        for packet in read.demux(*streams):
            at_ms = packet.size and round(1000 * packet.pts * packet.time_base)
            pictures = packet.stream.type == "video"
            if not packet.size or at_ms in (silent_ms, [n * STEP_MS for n in lost])[pictures]:
                continue
            by = round((sound_ms, video_ms)[pictures] / (1000 * packet.time_base))
            packet.pts, packet.dts = packet.pts + by, packet.dts + by
            packet.stream = copies[packet.stream.index]
            write.mux(packet)


def numbers(episode: Recording) -> list[int | None]:
    """Return the number that each frame's picture tells of itself."""
    pictures = episode.pictures(CAMERA, np.arange(N))
    return [None if rgb is None else round((np.median(rgb) - 20) / 3) for rgb in pictures]


def assert_sound(got: np.ndarray, first: int) -> None:
    """What is heard is the source's from this sample on, within the container's rounding."""
    there = np.flatnonzero(np.isfinite(got))
    there = there[(there + first >= 2048) & (there + first < len(SOUND) - 2048)]
    if len(there) > 1200:
        near = np.stack([SOUND[there + first + lag] for lag in range(-60, 61)])
        size = np.linalg.norm(near, axis=1) * np.linalg.norm(got[there])
        assert (near @ got[there] / size).max() > 0.9, first


def off_slot(moved_ms: int) -> int:
    """Return by how much pictures that were moved lie beside the even slots."""
    return (moved_ms + STEP_MS // 2) % STEP_MS - STEP_MS // 2


# a cut between two pictures is moved onto the next one by FFmpeg, so cuts are whole steps here
MOVED_MS = st.one_of(
    st.integers(-18, 0).map(lambda steps: steps * STEP_MS),
    st.integers(1, 1500).filter(lambda ms: abs(off_slot(ms)) <= 20),
)


@settings(max_examples=15)
@given(
    source=st.sampled_from(["alone", "b-frames"]),
    video_ms=MOVED_MS,
    sound_ms=st.integers(-900, 1500),
    lost=st.tuples(st.integers(1, N - 2), st.integers(0, 25)),
    silent=st.tuples(st.integers(0, 2500), st.integers(0, 800)),
)
def test_whatever_is_moved_cut_or_lost_the_rest_stands_at_its_time(
    sources: dict[str, Path],
    recording: Path,
    *,
    source: str,
    video_ms: int,
    sound_ms: int,
    lost: tuple[int, int],
    silent: tuple[int, int],
) -> None:
    lost = range(lost[0], lost[0] + lost[1]) if source == "alone" else range(0)
    silent_ms = range(silent[0], silent[0] + silent[1])
    # FFmpeg drops more than the cut of sound with a hole before it, and closes a gap at the cut
    assume(not silent[1] or -sound_ms <= silent[0])
    assume(-video_ms // STEP_MS not in lost)
    remux(
        sources[source],
        recording / f"{CAMERA}.mp4",
        video_ms=video_ms,
        sound_ms=sound_ms,
        lost=lost,
        silent_ms=silent_ms,
        avoid_negative_ts="disabled",
        use_editlist="1",
    )
    with Recording(recording) as episode:
        moved = (video_ms - off_slot(video_ms)) // STEP_MS
        shown = [n - moved for n in range(N)]
        told = [
            n if 0 <= n < N and n not in lost and n * STEP_MS + video_ms >= 0 else None
            for n in shown
        ]
        assert numbers(episode) == told
        frames = np.arange(N)
        sounds = list(episode.sound(frames, frames + 1, RATE_HZ))
    for number, samples in enumerate(sounds):
        assert abs(len(samples) - RATE_HZ * STEP_MS // 1000) <= 1
        at_ms = number * STEP_MS + off_slot(video_ms) - sound_ms  # in the source's time
        end_ms = at_ms + STEP_MS
        outside = end_ms < -25 or at_ms >= N * STEP_MS + 25 or end_ms + sound_ms <= 0
        if outside or silent_ms.start + 25 <= at_ms <= silent_ms.stop - STEP_MS - 25:
            assert np.isnan(samples).all()
        elif end_ms + 25 < silent_ms.start or at_ms - 25 >= silent_ms.stop:
            assert_sound(samples, at_ms * RATE_HZ // 1000)
            if at_ms >= 25 and end_ms < N * STEP_MS - 25 and at_ms + sound_ms >= 0:
                assert np.isfinite(samples).all()


@pytest.mark.parametrize("source", ["alone", "b-frames"])
@pytest.mark.parametrize(
    "options",
    [
        {"movflags": "frag_keyframe+empty_moov"},
        {"movflags": "frag_keyframe+delay_moov"},
        {"use_editlist": "0"},
    ],
    ids=lambda options: "-".join(options.values()),
)
def test_delays_of_coding_move_nothing(
    sources: dict[str, Path], recording: Path, source: str, options: dict[str, str]
) -> None:
    remux(sources[source], recording / f"{CAMERA}.mp4", **options)
    with Recording(recording) as episode:
        assert numbers(episode) == list(range(N))
        frames = np.arange(N)
        for number, samples in enumerate(episode.sound(frames, frames + 1, RATE_HZ)):
            assert_sound(samples, number * STEP_MS * RATE_HZ // 1000)


def test_a_recorder_whose_rate_varies_is_on_the_device_s_time(
    sources: dict[str, Path], tmp_path: Path, builder: ModuleType
) -> None:
    steps_ms = np.random.default_rng(3).integers(25, 110, N - 1)
    steps_ms[20] = 900
    at_ms = np.concatenate([[0], np.cumsum(steps_ms)])
    builder.write_annotation(tmp_path / "annotation.hdf5", N)
    names = [f"{builder.FIRST_NS + int(ms) * 1_000_000}.jpg" for ms in at_ms]
    builder.put(tmp_path, slam__frame_names=np.array(names, dtype="S32"))
    with (
        av.open(str(sources["alone"])) as read,
        av.open(str(tmp_path / f"{CAMERA}.mp4"), "w") as write,
    ):
        copy = write.add_stream_from_template(read.streams.video[0])
        copy.time_base = Fraction(1, 16_000)
        kept = [number for number in range(N) if number not in (7, 31, 32)]
        for number, packet in enumerate(p for p in read.demux(video=0) if p.size):
            if number in kept:
                packet.time_base, packet.stream = Fraction(1, 1000), copy
                packet.pts = packet.dts = int(at_ms[number])
                packet.duration = 1
                write.mux(packet)
    with Recording(tmp_path) as episode:
        assert numbers(episode) == [n if n in kept else None for n in range(N)]
        rows = {row.stream: row for row in inspect_episode(tmp_path).streams}
    assert rows[CAMERA].gaps == [[7, 7], [31, 32]]
    assert any("ms apart" in fault for fault in rows[CAMERA].faults)


@settings(max_examples=30)
@given(st.floats(-900, 900), st.integers(200, 6000), st.sampled_from([1e-3, 1 / 90_000, 1e-6]))
def test_a_picture_for_every_frame_stays_so_however_clocks_drift(
    ppm: float, n: int, tick_s: float
) -> None:
    ticks = np.round(np.arange(n) * 0.049996 / tick_s).astype(np.int64)
    line = MediaTimeline(ticks, tick_s, 0, np.zeros((0, 2)), 0.0)
    device_s = np.arange(n) * 0.049996 * (1 + 1e-6 * ppm)
    clock = frame_clock(line, n, (n - 1) / device_s[-1], device_s)
    np.testing.assert_array_equal(clock.pictures, np.arange(n))


def extracted(folder: Path, contract: str) -> WindowTable:
    out = folder.parent / f"{contract}.parquet"
    extract(folder, out, contract=contract, cache=folder.parent / "cache", workers=1)
    return WindowTable(out)


BLOCKS = (f"video_{CAMERA}", f"audio_{CAMERA}_aac")


def test_plain_files_give_both_contracts_the_same_and_moved_ones_only_corrected(
    sources: dict[str, Path], recording: Path
) -> None:
    path = recording / f"{CAMERA}.mp4"
    remux(sources["alone"], path)
    plain = {contract: extracted(recording, contract) for contract in ("published", "corrected")}
    for block in BLOCKS:
        np.testing.assert_array_equal(*(table.block(block) for table in plain.values()))
        assert not any(block in table.info.partial_blocks for table in plain.values())
    assert len(list((recording.parent / "cache").glob("audio_*"))) == 1

    remux(sources["alone"], path, sound_ms=500, lost=range(20, 30))
    moved = {contract: extracted(recording, contract) for contract in plain}
    pictures, sound = (moved["corrected"].block(block) for block in BLOCKS)
    want = plain["corrected"].block(BLOCKS[0])
    null = [
        start
        for start in range(0, 41, 5)
        if len({*range(20, 30)} & {*range(start, start + 20)}) > 4
    ]
    for row, start in enumerate(range(0, 41, 5)):
        assert np.isnan(pictures[row]).all() == (start in null)
        if not {*range(20, 30)} & {*range(start, start + 20)}:
            np.testing.assert_array_equal(pictures[row], want[row])
    assert np.isnan(sound[0]).all()
    np.testing.assert_allclose(
        sound[4:, :24], plain["corrected"].block(BLOCKS[1])[2:-2, :24], rtol=0.2, atol=0.05
    )
    said = moved["published"].info.partial_blocks
    assert "frames 20 to 49 get what comes up to 0.500 s after them" in said[BLOCKS[0]]
    assert "counted, frames 0 to 5" in said[BLOCKS[1]]
    assert "no picture in 10 frames: 20 to 29" in said[BLOCKS[0]]
    rows = {row.stream: row for row in inspect_episode(recording).streams}
    assert (rows[CAMERA].status, rows[CAMERA].gaps) == ("partial", [[20, 29]])
    assert rows["audio"].start_s == pytest.approx(0.48, abs=0.003)
    assert rows["audio"].gaps == [[0, 9]]


def test_turned_pictures_are_turned_under_corrected_only(
    recording: Path, builder: ModuleType
) -> None:
    path = recording / f"{CAMERA}.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=20, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.set_display_rotation(90)
        for number in range(N):
            frame = av.VideoFrame.from_ndarray(builder.picture(number, 0), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with Recording(recording) as episode:
        turned = [rgb.copy() for rgb in episode.pictures(CAMERA, np.arange(20))]
    for rgb, stored in zip(turned, read_rgb(path), strict=False):
        np.testing.assert_array_equal(rgb, np.rot90(stored))
    small = np.stack([video.shrink(rgb) for rgb in turned])
    means = video.frame_features(small).mean(axis=0)
    tables = {contract: extracted(recording, contract) for contract in ("published", "corrected")}
    got = {contract: table.block(BLOCKS[0])[0, :98] for contract, table in tables.items()}
    np.testing.assert_allclose(got["corrected"], means, atol=0.01)
    assert np.abs(got["published"] - means).max() > 0.05
    assert "turned by 90 degrees" in tables["corrected"].info.partial_blocks[BLOCKS[0]]
