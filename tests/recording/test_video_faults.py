"""Videos and sound that are missing, cut off, empty, of another rate, length or kind."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from xperience.errors import EpisodeError
from xperience.features.table import WindowTable
from xperience.recording import media
from xperience.recording.inspect import StreamReport, inspect_episode

from .conftest import Extract, N, null_windows

VIDEO, SOUND = "video_fisheye_cam0", "audio_fisheye_cam0_aac"


def rows_of(folder: Path) -> dict[str, StreamReport]:
    report = inspect_episode(folder)
    assert report.usable
    report.to_json()
    return {row.stream: row for row in report.streams}


def assert_others_untouched(table: WindowTable, whole: WindowTable, *touched: str) -> None:
    names = [f"video_stereo_{side}" for side in ("left", "right")]
    names += [f"video_fisheye_cam{i}" for i in range(4)] + [SOUND, "body_joints"]
    for name in names:
        if name not in touched:
            np.testing.assert_array_equal(table.block(name), whole.block(name))


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
    assert null_windows(table, VIDEO) == set()
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
    assert null_windows(table, "video_fisheye_cam1") == set()
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


def test_sound_a_little_short_is_named_too(
    tiny: Path, builder: ModuleType, windows_of: Extract, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the file as a whole is long enough to count as ok."""
    true_read = media.read_sound

    def shorter(path: Path, rate_hz: int, *, counted: bool) -> Iterator[tuple[int, np.ndarray]]:
        parts = [part for _, part in true_read(path, rate_hz, counted=counted)]
        yield 0, np.concatenate(parts)[:46_000]

    monkeypatch.setattr(media, "read_sound", shorter)
    builder.write_video(tiny / "fisheye_cam0.mp4", N, sound_s=3.0, seed=9)
    assert rows_of(tiny)["audio"].status == "ok"
    table = windows_of(tiny)
    assert null_windows(table, SOUND) == {8}
    assert table.info.partial_blocks[SOUND] == "values end at frame 58 of 60"


def test_a_codec_of_sound_that_nobody_knows(
    tiny: Path, windows_of: Extract, whole_table: WindowTable
) -> None:
    path = tiny / "fisheye_cam0.mp4"
    path.write_bytes(path.read_bytes().replace(b"mp4a", b"xyz1").replace(b"esds", b"xyz1"))
    row = rows_of(tiny)["audio"]
    assert row.status == "missing"
    assert "audio stream that can be decoded" in row.faults[0]
    table = windows_of(tiny)
    assert set(table.info.missing_blocks) == {SOUND}
    assert "audio stream that can be decoded" in table.info.missing_blocks[SOUND]
    assert_others_untouched(table, whole_table, SOUND)
    with pytest.raises(EpisodeError, match="has no audio stream"):
        next(media.read_sound(path, 16_000))


def test_what_is_counted_and_shown(whole_tiny: Path, builder: ModuleType) -> None:
    info = media.probe(whole_tiny / "fisheye_cam0.mp4")
    assert (info.width, info.height) == builder.SIZE_PX
    assert (info.n_frames, info.n_lost) == (N, 0)
    assert info.fps == info.usual_fps == 20
    assert (info.audio_rate_hz, info.audio_channels) == (builder.SOUND_HZ, 1)
    assert info.audio_s == pytest.approx(3.0, abs=0.07)
    pictures = media.read_rgb(whole_tiny / "fisheye_cam1.mp4")
    first = next(pictures).copy()
    assert (first.shape, first.dtype) == ((*builder.SIZE_PX[::-1], 3), np.uint8)
    assert np.median(np.abs(first.astype(int) - builder.picture(0, 1))) < 12
    assert sum(1 for _ in pictures) == N - 1
