"""The episode page: what it holds, and what it does in a browser."""

import io
import json

import pytest
from PIL import Image
from playwright.sync_api import Page

from xperience.report.explorer import explorer_files, explorer_page

FRAMES = 60
DATA = "_static/run/explorer-data.js"


def data_of(files: dict[str, bytes]) -> dict:
    text = files[DATA].decode("ascii")
    return json.loads(text.removeprefix("window.XPERIENCE_EPISODE=").removesuffix(";\n"))


def test_the_data_are_the_predictions_of_the_first_seed_in_the_order_of_time(episode_shown):
    data = data_of(explorer_files(episode_shown.windows, episode_shown.predictions))
    action, hands, _ = data["tasks"]
    assert (data["frames"], data["starts"]) == (FRAMES, list(range(0, FRAMES - 19, 5)))
    assert action["heads"]["linear"]["at"] == [20, 25, 30]
    assert [action["names"][code] for code in action["heads"]["neural"]["said"]] == ["<b>"] * 3
    assert "never" not in action["names"]
    assert hands["heads"]["linear"] == {"at": [20, 25, 30], "error": [0.25] * 3}
    assert (hands["unit"], action["about"][-1]) == ("m", "?")
    assert len([why for why in data["views"]["missing"].values() if "the machine" in why]) == 6


def test_a_view_is_a_sheet_of_its_frames_and_a_missing_one_says_why(tiny, windows_of, tmp_path):
    (tiny / "stereo_left.mp4").unlink()
    given = windows_of(tiny).path, None, tiny, tmp_path / "kept"
    files = explorer_files(*given)
    views = data_of(files)["views"]
    n, width, height = views["cameras"]["fisheye_cam0"]
    sheet = Image.open(io.BytesIO(files["_static/run/view_fisheye_cam0.jpg"]))
    assert n == FRAMES
    assert sheet.size == (views["columns"] * width, -(-n // views["columns"]) * height)
    assert "not there" in views["missing"]["stereo_left"]
    assert "_static/run/view_stereo_left.jpg" not in files
    assert explorer_files(*given) == files, "kept views are those that were drawn"
    for path in (tmp_path / "kept").glob("fisheye_cam0.*"):
        path.rename(path.with_stem("fisheye_cam0.other-video"))
    assert explorer_files(*given) == files
    assert len(list((tmp_path / "kept").glob("fisheye_cam0.*"))) == 1


def test_without_windows_the_page_says_so(tmp_path):
    assert explorer_files(tmp_path / "none.parquet", None) == {}
    assert "no windows table" in explorer_page(tmp_path / "none.parquet")


@pytest.fixture
def address(tiny_site) -> str:
    return (tiny_site / "explorer.html").as_uri()


@pytest.fixture
def episode_page(page: Page, address: str) -> Page:
    page.goto(address)
    return page


def frame_of(page: Page) -> int:
    return int(page.locator(".time").inner_text().split("frame ")[1])


@pytest.mark.slow
class TestInBrowser:
    @pytest.mark.parametrize("width", [390, 820, 1400])
    def test_the_cursor_moves_by_pointer_and_keys(self, episode_page, width):
        page = episode_page
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
        assert "not predicted here" in said.inner_text()
        page.get_by_label("task and contract").select_option("1")
        box = page.locator(".stage").bounding_box()
        page.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + 10)
        assert "error 250 mm" in said.inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") <= width

    def test_mistakes_are_visited_in_turn(self, episode_page):
        page = episode_page
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

    def test_the_address_follows_the_cursor_and_leads_back(self, episode_page, address):
        page = episode_page
        page.get_by_label("task and contract").select_option("1")
        page.get_by_label("time in the episode").fill("33")
        page.wait_for_function("location.hash.includes('frame=33')")
        there = page.url
        page.goto("about:blank")
        page.goto(there)
        assert frame_of(page) == 33
        assert page.get_by_label("task and contract").input_value() == "1"
        page.evaluate("location.hash = '#frame=7'")
        page.wait_for_function("document.querySelector('.time').textContent.endsWith(' 7')")
        for odd in ("#frame=1e9&task=none", "#frame=x", "#x", "#frame=-5"):
            page.goto("about:blank")
            page.goto(address + odd)
            assert 0 <= frame_of(page) < FRAMES, odd

    def test_a_part_is_shown_large_time_runs_and_views_grow(self, episode_page):
        page = episode_page
        view = page.get_by_role("button", name="view of fisheye_cam0")
        small = view.bounding_box()["width"]
        view.click()
        assert view.get_attribute("aria-pressed") == "true"
        assert view.bounding_box()["width"] > 2 * small
        page.keyboard.press("1")
        assert view.get_attribute("aria-pressed") == "false"
        assert page.locator(".stage .ticks span").count()
        page.get_by_label("part of the recording").select_option("tested")
        box = page.locator(".stage").bounding_box()
        page.mouse.click(box["x"] + 1, box["y"] + 10)
        assert frame_of(page) == 20
        page.get_by_role("button", name="play").click()
        page.wait_for_function("!document.querySelector('.time').textContent.endsWith(' 20')")
        page.get_by_role("button", name="stop").click()
        assert page.get_by_role("button", name="play").is_visible()

    def test_letters_and_scrolling_keys_are_left_alone_outside(self, episode_page):
        before = frame_of(episode_page)
        for key in ("n", "End", "PageDown", " "):
            episode_page.keyboard.press(key)
        assert frame_of(episode_page) == before
        episode_page.keyboard.press("ArrowRight")
        assert frame_of(episode_page) == before + 1
