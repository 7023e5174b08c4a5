import html
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
    draw_timeline,
)
from xperience.report.figures.style import elide, png_bytes, wrap
from xperience.report.quantities import percent

FROM_TABLE = {
    "timeline": draw_timeline,
    "blocks": draw_blocks,
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
    assert image.width == round(style.NARROW_IN * style.DPI)
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


@pytest.mark.parametrize(
    ("actions", "title", "text"),
    [
        (["pour"] * 6 + [None] * 2 + ["stir"] * 2, "1 of 2 actions can only be tested", "80 % of"),
        (["pour", "stir", "sip", "stir"] * 2, "None of 3 actions can only be tested", "100 % of"),
        (["pour"] + [None] * 9, "1 action: too few labels to cut training", "10 % of"),
    ],
)
def test_the_timelines_words_follow_the_labels(actions, title, text, make_table):
    picture = draw_timeline(make_table(actions))
    assert picture.title.startswith(title)
    assert f"1 step, numbered and in two colours; {text}" in said_below(picture)
    assert ("Training ends" in said_below(picture)) == ("tested" in title)


def said_below(picture) -> str:
    return picture.figure.texts[1].get_text().replace("\n", " ")


def test_a_stream_with_gaps_has_a_strip_of_its_own(episode, folder):
    report = inspect_episode(folder)
    picture = draw_coverage(episode, report)
    partial = [row for row in report.streams if row.status != "ok" or row.coverage < 1]
    names = [label.get_text() for label in picture.figure.axes[0].get_yticklabels()]
    assert len(names) == len(partial) + 1
    assert names[-1].startswith(f"{17 - len(partial)} ")


def test_sample_windows_are_labelled_ones_and_the_title_names_the_liveliest(episode, table):
    picture = draw_samples(episode, table, 3)
    assert "no label" not in picture.alt
    assert "hands move fastest in “" in picture.title


def test_no_label_at_all_is_said(make_table):
    picture = draw_timeline(make_table([None] * 4, [None] * 4))
    assert picture.title == "No labels: none of the 4 windows has an action"


def test_missing_blocks_leave_the_title_and_stay_in_the_figure(make_table):
    whole = draw_blocks(make_table(["pour"] * 4))
    assert whole.title.startswith(f"Of a window's {N_FEATURES:,} features 60 % come from cameras")
    lost = draw_blocks(make_table(["pour"] * 4, missing=["depth_confidence"]))
    assert lost.title.startswith(f"{N_FEATURES - 980:,} of a window's {N_FEATURES:,} features")
    assert "Hatched as missing: depth and confidence." in lost.alt


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
    assert f'alt="{html.escape(picture.alt)}"' in shown[0]["text/html"]
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
