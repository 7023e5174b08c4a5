"""The episode page: what it holds, and what it does in a browser."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from xperience.features.extract import extract
from xperience.report.explorer import explorer_files
from xperience.report.site import Shown, build_site
from xperience.simulator.settings import StandinSettings
from xperience.simulator.write import write_episode

from .conftest import CHROMIUM, DOCS, watched

FRAMES = 60
DATA = "_static/run/explorer-data.js"


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> Shown:
    """A short recording without one camera, its windows, and made-up answers to two tasks."""
    folder = tmp_path_factory.mktemp("shown")
    settings = StandinSettings(frames=FRAMES, size_px=(32, 24), workers=1)
    recording = write_episode(folder / "episode", settings)
    (recording / "stereo_left.mp4").unlink()
    extract(recording, folder / "windows.parquet", workers=1)
    said = {"contract": "published", "task": "timeline_action", "confidence": np.nan, "unit": None}
    rows = [
        said | {"head": "linear", "seed": None, "truth": "a", "predicted": "a", "error": None},
        said | {"head": "neural", "seed": 7, "truth": "a", "predicted": "<b>", "error": None},
        said | {"head": "neural", "seed": 8, "truth": "a", "predicted": "never", "error": None},
        said
        | {"task": "hand_trajectory_forecast", "head": "linear", "seed": None, "error": 0.25}
        | {"truth": None, "predicted": None, "unit": "m"},
    ]
    at = [{"window": place, "start_frame": 5 * place} for place in (4, 5, 6)]
    table = pd.DataFrame([row | place for row in rows for place in at])
    table.to_parquet(folder / "predictions.parquet")
    return Shown(folder / "windows.parquet", folder / "predictions.parquet", recording)


@pytest.fixture(scope="module")
def files(shown) -> dict[str, bytes]:
    return explorer_files(shown.windows, shown.predictions, shown.recording)


@pytest.fixture(scope="module")
def data(files) -> dict:
    text = files[DATA].decode()
    return json.loads(text.removeprefix("window.XPERIENCE_EPISODE=").removesuffix(";\n"))


def test_the_data_are_the_answers_of_the_first_seed_in_the_order_of_time(data):
    action, hands = data["tasks"]
    assert (data["frames"], data["starts"]) == (FRAMES, list(range(0, FRAMES - 19, 5)))
    assert action["heads"]["linear"]["at"] == [20, 25, 30]
    assert [action["names"][code] for code in action["heads"]["neural"]["said"]] == ["<b>"] * 3
    assert "never" not in action["names"]
    assert hands["heads"]["linear"] == {"at": [20, 25, 30], "error": [0.25] * 3}
    assert (hands["unit"], action["about"][-1]) == ("m", "?")


def test_a_view_is_a_sheet_of_its_frames_and_a_missing_one_says_why(files, data):
    n, width, height = data["views"]["cameras"]["fisheye_cam0"]
    sheet = Image.open(io.BytesIO(files["_static/run/view_fisheye_cam0.webp"]))
    columns = data["views"]["columns"]
    assert n == FRAMES
    assert sheet.size == (columns * width, -(-n // columns) * height)
    assert "not there" in data["views"]["missing"]["stereo_left"]
    assert "_static/run/view_stereo_left.webp" not in files


def test_without_windows_or_recording_the_page_says_so(shown, tmp_path):
    (page,) = explorer_files(tmp_path / "none.parquet", None).values()
    assert "no windows table" in page.decode()
    text = explorer_files(shown.windows, None)[DATA].decode()
    assert '"tasks":[]' in text
    assert text.count("isn't on the machine") == 6


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
@pytest.mark.parametrize("width", [390, 820, 1400])
def test_the_cursor_moves_by_pointer_and_keys(browser, shown, tiny_run, tmp_path, width):
    build_site(DOCS, tiny_run, ["01_first", "02_second"], tmp_path / "site", shown)
    complaints: list[str] = []
    page = watched(browser, complaints)
    page.set_viewport_size({"width": width, "height": 900})
    page.goto((tmp_path / "site" / "explorer.html").as_uri())
    said = page.locator(".said")
    assert "frame 20" in page.locator(".time").inner_text()
    assert said.locator("dd.wrong").inner_text() == "<b> ✗"
    slider = page.get_by_label("time in the episode")
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert "frame 21" in page.locator(".time").inner_text()
    page.keyboard.press("Home")
    assert "not asked here" in said.inner_text()
    page.get_by_label("task and contract").select_option("1")
    box = page.locator(".stage").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + 10)
    assert "error 0.25 m" in said.inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert complaints == []
