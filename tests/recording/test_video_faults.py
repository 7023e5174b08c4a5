"""Videos and sound that are missing, cut off, empty, of another rate, length or kind."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from xperience.errors import EpisodeError
from xperience.features.table import WindowTable
from xperience.recording import media
from xperience.recording.inspect import StreamReport, inspect_episode

N, N_WINDOWS = 60, 9
VIDEO, SOUND = "video_fisheye_cam0", "audio_fisheye_cam0_aac"
Extract = Callable[[Path], WindowTable]


def rows_of(folder: Path) -> dict[str, StreamReport]:
    report = inspect_episode(folder)
    assert report.usable
    report.to_json()
    return {row.stream: row for row in report.streams}


def null_windows(table: WindowTable, block: str) -> list[int]:
    return np.flatnonzero(np.isnan(table.block(block)).any(axis=1)).tolist()


def assert_others_untouched(table: WindowTable, whole: WindowTable, *touched: str) -> None:
    names = [f"video_stereo_{side}" for side in ("left", "right")]
    names += [f"video_fisheye_cam{i}" for i in range(4)] + [SOUND, "body_joints"]
    for name in names:
        if name not in touched:
            np.testing.assert_array_equal(table.block(name), whole.block(name))


def gone(path: Path, builder: ModuleType) -> None:
    path.unlink()


def empty(path: Path, builder: ModuleType) -> None:
    path.write_bytes(b"")


def cut_without_index(path: Path, builder: ModuleType) -> None:
    builder.cut(path, 0.5)


def no_video(path: Path, builder: ModuleType) -> None:
    path.write_text("<html>Too many requests</html>" * 50)


def a_folder(path: Path, builder: ModuleType) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("plant", "status", "found"),
    [
        (gone, "missing", "is not there"),
        (empty, "broken", "is empty"),
        (cut_without_index, "broken", "cannot be opened"),
        (no_video, "broken", "cannot be opened"),
        (a_folder, "broken", "is not a file"),
    ],
)
@pytest.mark.parametrize("camera", ["fisheye_cam0", "stereo_right"])
def test_a_video_that_cannot_be_opened(
    *,
    tiny: Path,
    builder: ModuleType,
    windows_of: Extract,
    whole_table: WindowTable,
    camera: str,
    plant: Callable,
    status: str,
    found: str,
) -> None:
    plant(tiny / f"{camera}.mp4", builder)
    rows = rows_of(tiny)
    assert rows[camera].status == status
    assert rows[camera].faults[0].startswith(f"ep/{camera}.mp4: {found}")
    lost = {f"video_{camera}"}
    if camera == "fisheye_cam0":  # the sound is in that file
        lost.add(SOUND)
        assert rows["audio"].status == "missing"
        assert "cannot give sound" in rows["audio"].faults[0]
    table = windows_of(tiny)
    assert set(table.info.missing_blocks) == lost
    assert found in table.info.missing_blocks[f"video_{camera}"]
    for block in lost:
        assert null_windows(table, block) == list(range(N_WINDOWS))
    assert_others_untouched(table, whole_table, *lost)
    with pytest.raises(EpisodeError, match=f"{camera}.mp4"):
        next(media.read_rgb(tiny / f"{camera}.mp4"))


def test_a_cut_off_video_with_its_index_first(
    tiny: Path, builder: ModuleType, windows_of: Extract, whole_table: WindowTable
) -> None:
    path = tiny / "fisheye_cam0.mp4"
    builder.write_video(path, N, sound_s=N / builder.FPS, faststart=True)
    builder.cut(path, 0.6)
    row = rows_of(tiny)["fisheye_cam0"]
    assert row.status == "partial"
    assert "of the 60 frames that its header promises" in row.faults[0]
    assert 0 < row.shape[0] < N
    assert row.coverage == pytest.approx(row.shape[0] / N)

    table = windows_of(tiny)
    assert table.info.missing_blocks == {}
    assert "the last one repeats" in table.info.partial_blocks[VIDEO]
    assert null_windows(table, VIDEO) == []
    last = np.split(table.block(VIDEO)[-1], 7)
    np.testing.assert_array_equal(last[2], last[3])  # min is max: the last frame repeats
    np.testing.assert_array_equal(table.block(VIDEO)[0], whole_table.block(VIDEO)[0])
    assert "sound" in table.info.partial_blocks[SOUND] or null_windows(table, SOUND)
    assert_others_untouched(table, whole_table, VIDEO, SOUND)


@pytest.mark.parametrize(("n_frames", "ends"), [(33, True), (60, False), (70, False)])
def test_another_number_of_frames(
    tiny: Path,
    builder: ModuleType,
    windows_of: Extract,
    whole_table: WindowTable,
    n_frames: int,
    ends: bool,
) -> None:
    builder.write_video(tiny / "fisheye_cam1.mp4", n_frames, seed=1)
    row = rows_of(tiny)["fisheye_cam1"]
    table = windows_of(tiny)
    odd = table.info.partial_blocks.get("video_fisheye_cam1", "")
    assert null_windows(table, "video_fisheye_cam1") == []
    if n_frames == N:
        assert (row.status, row.faults, odd) == ("ok", [], "")
        return
    assert row.status == "partial"
    assert row.faults[0] == f"ep/fisheye_cam1.mp4: has {n_frames} frames, expected {N}"
    where = "no picture in 27 frames: 33 to 59" if ends else "10 pictures that are no frame's"
    assert where in row.faults[1]
    assert (row.n_surplus, row.gaps) == ((0, [[33, 59]]) if ends else (10, []))
    assert row.faults[0] in odd
    assert (f"frames end at {n_frames} of {N}; the last one repeats" in odd) == ends
    got, want = (t.block("video_fisheye_cam1") for t in (table, whole_table))
    np.testing.assert_allclose(got[:3], want[:3], atol=0.1)  # frames 0 to 29, coded otherwise
    if ends:
        lowest, highest = np.split(got[-1], 7)[2:4]
        np.testing.assert_array_equal(lowest, highest)


def test_another_frame_rate_is_named(tiny: Path, builder: ModuleType, windows_of: Extract) -> None:
    builder.write_video(tiny / "fisheye_cam2.mp4", N, seed=2, fps=30)
    row = rows_of(tiny)["fisheye_cam2"]
    assert row.status == "partial"
    assert row.rate_hz == 30
    assert "runs at 30.000 frames/s, expected about 20.000" in row.faults[0]
    assert "30.000 frames/s" in windows_of(tiny).info.partial_blocks["video_fisheye_cam2"]


def test_a_video_without_sound(
    tiny: Path, builder: ModuleType, windows_of: Extract, whole_table: WindowTable
) -> None:
    builder.write_video(tiny / "fisheye_cam0.mp4", N)
    rows = rows_of(tiny)
    assert rows["fisheye_cam0"].status == "ok"
    assert rows["audio"].status == "missing"
    assert "has no audio stream" in rows["audio"].faults[0]
    table = windows_of(tiny)
    assert set(table.info.missing_blocks) == {SOUND}
    assert "has no audio stream" in table.info.missing_blocks[SOUND]
    assert null_windows(table, SOUND) == list(range(N_WINDOWS))
    assert_others_untouched(table, whole_table, SOUND, VIDEO)
    with pytest.raises(EpisodeError, match="has no audio stream"):
        next(media.read_mono(tiny / "fisheye_cam0.mp4", 16_000))


def test_sound_that_ends_early_gives_null_windows(
    tiny: Path, builder: ModuleType, windows_of: Extract
) -> None:
    builder.write_video(tiny / "fisheye_cam0.mp4", N, sound_s=2.0)
    row = rows_of(tiny)["audio"]
    assert row.status == "partial"
    assert "s of sound" in row.faults[0]
    assert row.coverage == pytest.approx(2 / 3, abs=0.04)
    table = windows_of(tiny)
    assert null_windows(table, SOUND)[-1] == N_WINDOWS - 1
    assert 5 <= null_windows(table, SOUND)[0] <= 6  # frames 40 or 41 are the last with sound
    assert "values end at frame 4" in table.info.partial_blocks[SOUND]


def test_sound_a_little_short_is_named_too(
    tiny: Path, builder: ModuleType, windows_of: Extract, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the file as a whole is long enough to count as ok."""
    true_read = media.read_mono
    monkeypatch.setattr(
        "xperience.recording.media.read_mono",
        lambda path, rate_hz: (
            part for part in [np.concatenate(list(true_read(path, rate_hz)))[:46_000]]
        ),
    )
    builder.write_video(tiny / "fisheye_cam0.mp4", N, sound_s=3.0, seed=9)
    assert rows_of(tiny)["audio"].status == "ok"
    table = windows_of(tiny)
    assert null_windows(table, SOUND) == [8]
    assert table.info.partial_blocks[SOUND] == "values end at frame 58 of 60"


@pytest.mark.parametrize(
    ("codecs", "stream", "status", "block"),
    [
        ((b"avc1",), "fisheye_cam0", "broken", VIDEO),
        ((b"mp4a", b"esds"), "audio", "missing", SOUND),
    ],
)
def test_a_codec_that_nobody_knows(
    tiny: Path,
    windows_of: Extract,
    *,
    codecs: tuple[bytes, ...],
    stream: str,
    status: str,
    block: str,
) -> None:
    path = tiny / "fisheye_cam0.mp4"
    for codec in codecs:
        path.write_bytes(path.read_bytes().replace(codec, b"xyz1"))
    row = rows_of(tiny)[stream]
    assert row.status == status
    assert "stream that can be decoded" in row.faults[0]
    assert "stream that can be decoded" in windows_of(tiny).info.missing_blocks[block]


def test_only_sound_in_a_video_file(tiny: Path, builder: ModuleType) -> None:
    builder.write_video(tiny / "stereo_left.mp4", 0, sound_s=1.0)
    row = rows_of(tiny)["stereo_left"]
    assert row.status == "broken"


def test_damaged_pictures_end_or_conceal_but_never_stop_the_rest(
    tiny: Path, builder: ModuleType, windows_of: Extract, whole_table: WindowTable
) -> None:
    path = tiny / "fisheye_cam3.mp4"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 4 : len(raw) // 2] = b"\xff" * (len(raw) // 2 - len(raw) // 4)
    path.write_bytes(raw)
    table = windows_of(tiny)
    assert null_windows(table, "video_fisheye_cam3") in ([], list(range(N_WINDOWS)))
    assert_others_untouched(table, whole_table, "video_fisheye_cam3")


def test_all_videos_gone(tiny: Path, windows_of: Extract) -> None:
    for path in tiny.glob("*.mp4"):
        path.unlink()
    table = windows_of(tiny)
    assert len(table.info.missing_blocks) == 7
    assert np.isfinite(table.block("depth_confidence")).all()


def test_frames_are_read_one_at_a_time_and_are_the_decoder_s(
    tiny: Path, builder: ModuleType
) -> None:
    frames = media.read_rgb(tiny / "fisheye_cam1.mp4")
    first = next(frames).copy()
    assert first.shape == (*builder.SIZE_PX[::-1], 3)
    assert first.dtype == np.uint8
    off = np.abs(first.astype(int) - builder.picture(0, 1))
    assert np.median(off) < 12
    assert sum(1 for _ in frames) == N - 1


def test_what_probe_counts(tiny: Path, builder: ModuleType) -> None:
    info = media.probe(tiny / "fisheye_cam0.mp4")
    assert (info.width, info.height) == builder.SIZE_PX
    assert (info.n_frames, info.n_lost) == (N, 0)
    assert info.fps == info.usual_fps == 20
    assert info.audio_rate_hz == builder.SOUND_HZ
    assert info.audio_channels == 1
    assert info.audio_s == pytest.approx(3.0, abs=0.07)
