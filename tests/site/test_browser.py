"""The site in a real browser, opened from disk, with no network."""

from pathlib import Path

import pytest

from .conftest import CHROMIUM, watched

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]


@pytest.fixture(params=["tiny_site", "committed_site"])
def site(request) -> Path:
    return request.getfixturevalue(request.param)


def test_every_page_opens_quietly_and_shows_its_figures(browser, site):
    complaints: list[str] = []
    page = watched(browser, complaints)
    n_figures = 0
    for path in sorted(site.rglob("*.html")):
        page.goto(path.as_uri())
        for image in page.locator("main img, article img").all():
            image.scroll_into_view_if_needed()
            assert image.is_visible(), path.name
            assert image.evaluate("i => i.complete && i.naturalWidth > 0"), path.name
            assert image.get_attribute("alt"), f"{path.name}: a figure without description"
            n_figures += 1
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 1280, f"{path.name} is wider than the window"
    assert complaints == []
    assert n_figures >= 2


@pytest.mark.parametrize("width", [390, 820])
def test_pages_fit_narrow_windows(browser, site, width):
    complaints: list[str] = []
    page = watched(browser, complaints)
    page.set_viewport_size({"width": width, "height": 800})
    for path in sorted(site.rglob("*.html")):
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path.name
    assert complaints == []


def test_a_keyboard_reaches_the_first_links(browser, site):
    page = watched(browser, [])
    page.goto((site / "index.html").as_uri())
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement?.getAttribute('href') || ''"))
    assert any("_run/notebooks" in href or "_run/takeaways" in href for href in reached), reached


def test_search_finds_a_page_and_dark_mode_switches(browser, site):
    complaints: list[str] = []
    page = watched(browser, complaints)
    page.goto((site / "search.html").as_uri() + "?q=parameters")
    page.wait_for_selector("#search-results li a")
    page.goto((site / "index.html").as_uri())
    for mode in ("dark", "light"):
        page.locator("button.theme-switch-button:visible").first.click()
        page.locator(f"button.theme-change-button[data-mode={mode}]:visible").click()
        assert page.evaluate("document.documentElement.dataset.theme") == mode
    assert complaints == []
