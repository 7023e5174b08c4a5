"""The episode page: what it holds, and what it does in a browser."""

import io
import json
import shutil
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from playwright.sync_api import Page

from xperience.features.extract import extract
from xperience.report.explorer import explorer_files
from xperience.report.site import Shown, build_site

from .conftest import DOCS, watched

FRAMES = 60
DATA = "_static/run/explorer-data.js"


@pytest.fixture(scope="module")
def shown(simulated, tmp_path_factory) -> Shown:
    """A short recording without one camera, its windows, and made-up answers to two tasks."""
    folder = tmp_path_factory.mktemp("shown")
    recording = shutil.copytree(simulated(frames=FRAMES), folder / "episode")
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


@pytest.fixture(scope="module")
def page_on_disk(shown, tiny_run, tmp_path_factory) -> str:
    site = tmp_path_factory.mktemp("explorer") / "site"
    build_site(DOCS, tiny_run, ["01_first", "02_second"], site, shown)
    return (site / "explorer.html").as_uri()


in_browser = pytest.mark.slow


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    found: list[str] = []
    yield found
    assert found == []


@pytest.fixture
def page(browser, complaints, page_on_disk) -> Page:
    page = watched(browser, complaints)
    page.goto(page_on_disk)
    return page


def frame_of(page: Page) -> int:
    return int(page.locator(".time").inner_text().split("frame ")[1])


class TestInBrowser:
    pytestmark = in_browser

    @pytest.mark.parametrize("width", [390, 820, 1400])
    def test_the_cursor_moves_by_pointer_and_keys(self, page, width):
        page.set_viewport_size({"width": width, "height": 900})
        said = page.locator(".said")
        assert frame_of(page) == 20
        assert said.locator("td.wrong").inner_text() == "<b> ✗"
        page.get_by_label("time in the episode").focus()
        for key, frame in {
            "ArrowRight": 21,
            "Shift+ArrowRight": 41,
            "PageUp": 0,
            "End": 59,
        }.items():
            page.keyboard.press(key)
            assert frame_of(page) == frame, key
        page.keyboard.press("Home")
        assert "not asked here" in said.inner_text()
        page.get_by_label("task and contract").select_option("1")
        box = page.locator(".stage").bounding_box()
        page.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + 10)
        assert "error 250 mm" in said.inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") <= width

    def test_mistakes_are_visited_in_turn(self, page):
        page.get_by_label("head whose errors to visit").select_option("0")
        assert page.get_by_role("button", name="next mistake").is_disabled(), "linear is right"
        page.get_by_label("head whose errors to visit").select_option("1")
        page.get_by_label("time in the episode").focus()
        page.keyboard.press("Home")
        page.keyboard.press("n")
        assert frame_of(page) == 20
        assert "mistake 1 of 1" in page.locator(".told").inner_text()
        page.get_by_label("task and contract").select_option("1")
        page.get_by_role("button", name="next largest error").click()
        assert "error 1 of" in page.locator(".told").inner_text()

    def test_the_address_follows_the_cursor_and_leads_back(self, page, page_on_disk):
        page.get_by_label("task and contract").select_option("1")
        page.get_by_label("time in the episode").fill("33")
        page.wait_for_function("location.hash.includes('frame=33')")
        address = page.url
        page.goto("about:blank")
        page.goto(address)
        assert frame_of(page) == 33
        assert page.get_by_label("task and contract").input_value() == "1"
        page.evaluate("location.hash = '#frame=7'")
        page.wait_for_function("document.querySelector('.time').textContent.endsWith(' 7')")
        for odd in ("#frame=1e9&task=none", "#frame=x", "#x", "#frame=-5"):
            page.goto("about:blank")
            page.goto(page_on_disk + odd)
            assert 0 <= frame_of(page) < FRAMES, odd

    def test_a_part_is_shown_large_and_time_runs(self, page):
        whole = page.locator(".stage .ticks span").count()
        page.get_by_label("part of the recording").select_option("tested")
        box = page.locator(".stage").bounding_box()
        page.mouse.click(box["x"] + 1, box["y"] + 10)
        assert frame_of(page) == 20
        assert whole
        page.get_by_role("button", name="play").click()
        page.wait_for_function("!document.querySelector('.time').textContent.endsWith(' 20')")
        page.get_by_role("button", name="stop").click()
        assert page.get_by_role("button", name="play").is_visible()

    def test_a_view_grows_and_shrinks(self, page):
        view = page.get_by_role("button", name="view of fisheye_cam0")
        small = view.bounding_box()["width"]
        view.click()
        assert view.get_attribute("aria-pressed") == "true"
        assert view.bounding_box()["width"] > 2 * small
        page.keyboard.press("1")
        assert view.get_attribute("aria-pressed") == "false"

    def test_letters_and_scrolling_keys_are_left_alone_outside(self, page):
        before = frame_of(page)
        for key in ("n", "End", "PageDown", " "):
            page.keyboard.press(key)
        assert frame_of(page) == before
        page.keyboard.press("ArrowRight")
        assert frame_of(page) == before + 1
