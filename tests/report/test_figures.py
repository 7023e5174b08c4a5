import io
import shutil

import h5py
import numpy as np
import pytest
from PIL import Image

from xperience.errors import EpisodeError
from xperience.features.blocks import N_FEATURES
from xperience.recording import layout
from xperience.recording.inspect import inspect_episode
from xperience.recording.recording import Recording
from xperience.report.figures import show, style
from xperience.report.figures.contract import (
    draw_blocks,
    draw_coverage,
    draw_moment,
    draw_samples,
    draw_structure,
    draw_timeline,
)
from xperience.report.figures.style import elide, png_bytes, wrap
from xperience.report.quantities import percent

FROM_TABLE = {
    "timeline": draw_timeline,
    "blocks": draw_blocks,
    "structure": draw_structure,
}
FROM_EPISODE = {
    "coverage": lambda episode, table: draw_coverage(episode, inspect_episode(episode.folder)),
    "moment": lambda episode, table: draw_moment(episode, 40),
    "samples": lambda episode, table: draw_samples(episode, table, 3),
}


def _check(picture):
    assert picture.title
    assert len(picture.alt) > 60
    assert picture.title in picture.alt
    image = Image.open(io.BytesIO(png_bytes(picture.figure)))
    assert image.width == round(style.WIDTH_IN * style.DPI)
    assert len(np.unique(np.asarray(image))) > 5


@pytest.mark.parametrize("draw", FROM_TABLE.values(), ids=FROM_TABLE)
def test_a_table_makes_a_picture(draw, table):
    _check(draw(table))


@pytest.mark.parametrize("draw", FROM_EPISODE.values(), ids=FROM_EPISODE)
def test_an_episode_makes_a_picture(draw, episode, table):
    _check(draw(episode, table))


@pytest.mark.parametrize("draw", FROM_EPISODE.values(), ids=FROM_EPISODE)
def test_a_broken_episode_makes_a_picture_that_says_so(draw, folder, table, tmp_path):
    broken = tmp_path / "episode"
    shutil.copytree(folder, broken)
    for camera in layout.FISHEYE_CAMERAS:
        (broken / f"{camera}.mp4").unlink()
    with h5py.File(broken / layout.ANNOTATION, "r+") as file:
        for name in ("slam", "imu", "depth", "hand_mocap", "caption", "captions"):
            if name in file:
                del file[name]
    with Recording(broken) as episode:
        picture = draw(episode, table)
    _check(picture)
    assert any(word in picture.alt for word in ("is not there", "missing", "Missing"))


def test_the_timelines_title_follows_the_labels(make_table):
    few = draw_timeline(make_table(["pour"] * 6 + [None] * 2 + ["stir"] * 2))
    assert few.title == "2 actions in 1 step; 80 % of the windows carry a label"
    more = draw_timeline(make_table(["pour", "stir", "sip", "stir"] * 2))
    assert more.title == "3 actions in 1 step; 100 % of the windows carry a label"


def test_the_timeline_counts_actions_after_the_cut(make_table):
    picture = draw_timeline(make_table(["pour"] * 8 + ["sip"] * 2))
    assert "1 of the 2 actions lie wholly after it" in picture.alt


def test_no_label_at_all_is_said(make_table):
    picture = draw_timeline(make_table([None] * 4, [None] * 4))
    assert picture.title == "No labels: none of the 4 windows has an action"


def test_missing_blocks_leave_the_title_and_stay_in_the_figure(make_table):
    whole = draw_blocks(make_table(["pour"] * 4))
    assert whole.title == f"A window is {N_FEATURES:,} features in 18 blocks"
    lost = draw_blocks(make_table(["pour"] * 4, missing=["depth_confidence"]))
    assert f"{N_FEATURES - 980:,} of {N_FEATURES:,}" in lost.title
    assert "depth_confidence" in lost.alt


def test_a_moment_outside_the_episode_is_refused(episode):
    with pytest.raises(EpisodeError, match="moment_frame"):
        draw_moment(episode, episode.n_frames)


def test_the_same_picture_gives_the_same_bytes(table):
    first, second = (png_bytes(draw_blocks(table).figure) for _ in range(2))
    assert first == second


def test_show_saves_and_describes(table, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(style, "display", lambda data, raw: shown.append(data))
    picture = draw_blocks(table)
    show(picture, tmp_path / "deep" / "blocks.png")
    assert (tmp_path / "deep" / "blocks.png").read_bytes().startswith(b"\x89PNG")
    assert shown[0]["text/plain"] == picture.alt
    assert f'alt="{picture.alt}"' in shown[0]["text/html"]
    assert max(map(len, shown[0]["text/html"].splitlines())) < 3000


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (1, "100 %"), (0.9999, "99.9 %"), (1e-5, "0.1 %"), (0.5, "50 %")],
)
def test_percent_keeps_whole_and_nothing_apart(share, text):
    assert percent(share) == text


def test_long_texts_are_cut_visibly():
    assert elide("abcdefgh", 5) == "abcd…"
    assert wrap("one two three four five", 8, 2).endswith("…")
