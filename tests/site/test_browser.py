"""The site in a real browser, opened from disk, with no network."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((found for name in NAMES if (found := shutil.which(name))), None)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(params=["tiny_site", "committed_site"])
def site(request) -> Path:
    return request.getfixturevalue(request.param)


def watched(browser: Browser, complaints: list[str]) -> Page:
    """Return a page without network that notes everything it complains about."""
    page = browser.new_context(offline=True, viewport={"width": 1280, "height": 900}).new_page()
    page.on("console", lambda m: m.type in ("error", "warning") and complaints.append(m.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url}"))
    page.on("request", lambda r: r.url.startswith("http") and complaints.append(f"asks {r.url}"))
    return page


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
