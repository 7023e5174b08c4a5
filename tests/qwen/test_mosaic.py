"""Mosaics: every view in its place, absent ones unlike any picture, files whole or not there."""

import shutil

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xperience.qwen import media as mosaic
from xperience.qwen.media import write_wav
from xperience.recording.recording import Episode

TILE = (48, 36)


@given(
    tile=st.tuples(st.integers(8, 80), st.integers(8, 80)),
    size=st.tuples(st.integers(1, 200), st.integers(1, 200)),
)
def test_a_picture_keeps_its_proportions_and_lies_in_the_middle(tile, size):
    found = mosaic.fitted(np.full((size[1], size[0], 3), 255, np.uint8), tile)
    assert found.shape == (tile[1], tile[0], 3)
    rows, columns = np.flatnonzero(found.any((1, 2))), np.flatnonzero(found.any((0, 2)))
    height, width = len(rows), len(columns)
    assert height == tile[1] or width == tile[0]
    scale = min(tile[0] / size[0], tile[1] / size[1])
    assert abs(width - size[0] * scale) <= 1
    assert abs(height - size[1] * scale) <= 1
    assert abs(rows[0] - (tile[1] - 1 - rows[-1])) <= 1
    assert abs(columns[0] - (tile[0] - 1 - columns[-1])) <= 1


def test_a_hatched_tile_is_neither_black_nor_plain():
    tile = mosaic.hatched(TILE)
    assert tile.shape == (36, 48, 3)
    assert tile.min() > 40
    assert tile.std() > 30
    assert (tile == tile[..., :1]).all()


def test_views_stand_row_by_row_in_the_declared_order(whole_tiny, builder):
    with Episode(whole_tiny) as episode:
        found = list(mosaic.mosaics(episode, [3, 30, 3], TILE))
    assert [frame for frame, _, _ in found] == [3, 30]
    for frame, picture, there in found:
        assert picture.shape == (72, 144, 3)
        assert there == (True,) * 6
        tiles = [picture[y : y + 36, x : x + 48].astype(int) for y in (0, 36) for x in (0, 48, 96)]
        true = [mosaic.fitted(builder.picture(frame, seed), TILE) for seed in range(6)]
        for place, tile in enumerate(tiles):
            off = [np.abs(tile - one).mean() for one in true]
            assert int(np.argmin(off)) == place


def test_a_view_that_is_gone_or_over_is_hatched_and_told(whole_tiny, builder, tmp_path):
    folder = shutil.copytree(whole_tiny, tmp_path / "ep")
    (folder / "fisheye_cam2.mp4").unlink()
    builder.write_video(folder / "stereo_right.mp4", 20, seed=5)
    with Episode(folder) as episode:
        early, late = mosaic.mosaics(episode, [10, 40], TILE)
    assert early[2] == (True, True, False, True, True, True)
    assert late[2] == (True, True, False, True, True, False)
    np.testing.assert_array_equal(early[1][:36, 96:], mosaic.hatched(TILE))
    np.testing.assert_array_equal(late[1][36:, 96:], mosaic.hatched(TILE))
    assert (early[1][36:, 96:] != mosaic.hatched(TILE)).any()


def test_high_tiles_carry_their_name_low_ones_do_not():
    high, low = mosaic.hatched((224, 160)), mosaic.hatched((48, 36))
    assert (mosaic.named(high, "stereo_left") != high).any()
    assert (mosaic.named(high, "stereo_left") != mosaic.named(high, "stereo_right")).any()
    np.testing.assert_array_equal(mosaic.named(low, "stereo_left"), low)


def moving(n):
    return [np.roll(mosaic.hatched((96, 48)), shift, axis=1) for shift in range(n)]


def test_the_same_pictures_give_the_same_file(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        mosaic.write_mp4(tmp_path / name, moving(9), 4.0, 20)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    with av.open(str(tmp_path / "a.mp4")) as file:
        stream = file.streams.video[0]
        assert (stream.average_rate, stream.frames, stream.codec.name) == (4, 9, "h264")
        off = [
            np.abs(frame.to_ndarray(format="rgb24").astype(int) - true).mean()
            for frame, true in zip(file.decode(stream), moving(9), strict=True)
        ]
    assert max(off) < 12


def test_a_file_that_fails_half_way_is_not_there(tmp_path):
    pictures = [*moving(3), np.zeros((48, 96), np.uint8)]
    with pytest.raises(ValueError, match="array"):
        mosaic.write_mp4(tmp_path / "clip.mp4", pictures, 4.0, 20)
    with pytest.raises(TypeError):
        write_wav(tmp_path / "clip.wav", None)
    assert not list(tmp_path.iterdir())
