"""The site in a real browser, opened from disk, with no network."""

from pathlib import Path

import pytest

from xperience.text import visible

from .conftest import LABELS

pytestmark = pytest.mark.slow


@pytest.fixture(params=["tiny_site", "committed_site"])
def site(request) -> Path:
    return request.getfixturevalue(request.param)


NAMELESS = """() => [...document.querySelectorAll('button, select, input, summary, a[href]')]
  .filter(e => e.checkVisibility() && !(e.textContent.trim() || e.ariaLabel || e.title
    || e.labels?.length || e.querySelector('img[alt]')))
  .map(e => e.outerHTML.slice(0, 120))"""
FIGURES = """() => Promise.all([...document.querySelectorAll('main img, article img')]
  .map(async i => {
    i.loading = 'eager';
    await i.decode();
    return i.checkVisibility() && i.naturalWidth > 0 && i.alt !== '';
  }))"""
CONTRAST = """() => {
  const probe = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const painted = {}, lights = {};
  const rgb = (colour) => painted[colour] ??= (() => {
    probe.clearRect(0, 0, 1, 1); probe.fillStyle = colour; probe.fillRect(0, 0, 1, 1);
    return probe.getImageData(0, 0, 1, 1).data;
  })();
  const light = (colour) => lights[colour] ??= (() => {
    const [r, g, b] = [...rgb(colour)].map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  })();
  const ground = (e) => {
    for (let at = e; at; at = at.parentElement)
      if (rgb(getComputedStyle(at).backgroundColor)[3] === 255)
        return getComputedStyle(at).backgroundColor;
    return 'white';
  };
  const words = 'article :is(p, li, td, th, dd, figcaption, summary, label, h1, h2, h3, .verdict)';
  return [...document.querySelectorAll(words)].slice(0, 400).flatMap(e => {
    if (!e.checkVisibility() || !e.textContent.trim()) return [];
    const [a, b] = [light(getComputedStyle(e).color), light(ground(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    return ratio < 4.5 ? [`${ratio.toFixed(1)}: ${e.textContent.trim().slice(0, 40)}`] : [];
  });
}"""
STOP = """() => {
  const e = document.activeElement, s = getComputedStyle(e);
  const look = s.outlineStyle + s.boxShadow + ' ' + e.outerHTML.slice(0, 90);
  return [e.getAttribute('href') || '', e === document.body ? '' : look];
}"""


def test_every_page_opens_quietly_fits_and_can_be_read_in_light_and_dark(page, site, tiny_site):
    """Of pages that are alike, one: what a run doesn't make, and committed scores, are long."""
    pages = {path.relative_to(site): path for path in sorted(site.rglob("*.html"))}
    if site == tiny_site:
        pages = {at: path for at, path in pages.items()
                 if at.parts[0] == "_run" or at.stem in ("index", "explorer")}  # fmt: skip
    else:
        alike = [at for at in pages if at.parent.name == "results"]
        pages = {at: path for at, path in pages.items() if at not in alike[1:]}
    n_figures = 0
    for path in pages.values():
        page.set_viewport_size({"width": 1280, "height": 900})
        page.goto(path.as_uri())
        for mode in ("light", "dark"):
            page.emulate_media(color_scheme=mode)
            page.wait_for_function(f"document.documentElement.dataset.theme == '{mode}'")
            assert page.evaluate(CONTRAST) == [], path.name
        assert page.evaluate(NAMELESS) == [], path.name
        assert page.locator("h1").count() >= 1, path.name
        shown = page.evaluate(FIGURES)
        assert all(shown), f"{path.name}: figures that can't be seen or have no description"
        n_figures += len(shown)
        for width in (1280, 820, 390):
            page.set_viewport_size({"width": width, "height": 800})
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{path.name} is wider than the window"
    assert n_figures >= 2


def test_the_keyboard_reaches_links_and_every_stop_can_be_seen(page, site):
    page.goto((site / "index.html").as_uri())
    page.keyboard.press("Tab")
    assert "Skip to main content" in page.evaluate("document.activeElement.textContent")
    reached, unseen = set(), []
    for _ in range(40):
        href, style = page.evaluate(STOP)
        reached.add(href)
        unseen += [style] * style.startswith("nonenone")
        page.keyboard.press("Tab")
    assert any("_run/notebooks" in href or "_run/takeaways" in href for href in reached), reached
    assert unseen == []
    page.goto((site / "index.html").as_uri())
    for key in ("Tab", "Enter", "Tab"):
        page.keyboard.press(key)
    assert page.evaluate("!!document.activeElement.closest('main')")


def test_long_code_is_folded_until_asked_for(page, tiny_site):
    page.goto((tiny_site / "_run" / "notebooks" / "01_first.html").as_uri())
    code = page.get_by_text("folded away")
    assert page.get_by_text("plot()").is_visible()
    assert not code.is_visible()
    page.get_by_role("button", name="Show all code").click()
    assert code.is_visible()
    page.get_by_role("button", name="Fold the code").click()
    assert not code.is_visible()


def test_on_a_phone_a_figure_can_be_had_at_full_size(page, committed_site):
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto((committed_site / "_run" / "notebooks" / "02_label_shift.html").as_uri())
    image = page.locator(".cell_output img").first
    full = image.evaluate("i => Number(i.getAttribute('width')) || i.naturalWidth")
    assert image.evaluate("i => i.clientWidth") < 390 < full
    page.get_by_role("button", name="Figure at full size").first.click()
    assert image.evaluate("i => i.clientWidth") == full
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name="Fit the page").click()
    assert image.evaluate("i => i.clientWidth") < 390


def test_names_in_tables_stay_whole_on_a_phone(page, committed_site):
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto((committed_site / "_run" / "tasks.html").as_uri())
    names = page.locator("article table").first.locator("td:first-child code .pre")
    assert names.count() > 1
    assert all(name.evaluate("n => n.getClientRects().length") == 1 for name in names.all())


def test_scores_are_sifted_by_words(page, committed_site):
    page.goto((committed_site / "_run" / "results" / "03_neural_heads.html").as_uri())
    rows = page.locator(".results tbody tr")
    n_rows = rows.count()
    page.get_by_label("Rows with").fill("Hand neural corrected")
    shown = page.locator(".results tbody tr:visible").all_inner_texts()
    assert 0 < len(shown) < n_rows
    assert all("neural" in row and "corrected" in row and "hand" in row for row in shown)
    assert page.locator(".filter output").inner_text() == f"{len(shown)} of {n_rows}"
    page.get_by_label("Rows with").fill("nothing like it")
    assert page.locator(".filter output").inner_text() == f"0 of {n_rows}"


def test_the_takeaways_lead_to_their_figures_and_rows(page, committed_site):
    page.set_viewport_size({"width": 1400, "height": 900})
    page.goto((committed_site / "index.html").as_uri())
    findings = page.locator(".finding")
    assert findings.count() == page.locator("section#what-was-found section").count() > 0
    assert page.locator(".finding .verdict").count() >= findings.count()
    links = page.locator(".finding figure a.reference.internal, .finding .where a")
    for address in {link.evaluate("a => a.href") for link in links.all()}:
        page.goto(address)
        place = address.partition("#")[2]
        assert not place or page.evaluate("id => !!document.getElementById(id)", place), address


@pytest.mark.parametrize("word", ["floor", "zero velocity", "purge", "Qwen"])
def test_search_finds_pages_that_tell_before_the_reference(page, committed_site, word):
    page.goto((committed_site / "search.html").as_uri() + "?q=" + word.replace(" ", "+"))
    page.wait_for_selector("#search-results li a")
    first = page.locator("#search-results li a").first.get_attribute("href")
    assert "api" not in first


def test_search_finds_a_page_and_dark_mode_switches(page, site):
    page.goto((site / "search.html").as_uri() + "?q=parameters")
    page.wait_for_selector("#search-results li a")
    page.goto((site / "index.html").as_uri())
    for mode in ("dark", "light"):
        page.locator("button.theme-switch-button:visible").first.click()
        page.locator(f"button.theme-change-button[data-mode={mode}]:visible").click()
        assert page.evaluate("document.documentElement.dataset.theme") == mode


def test_no_label_runs_or_looks_like_anything_but_itself(page, tiny_site):
    for path in sorted(tiny_site.rglob("*.html")):
        page.goto(path.as_uri())
        assert page.evaluate("window.ran") is None, path.name
        assert page.locator("img[src='x'], .MathJax, mjx-container, .y").count() == 0, path.name
    alt = visible(" ".join(LABELS))
    words = {}
    for name in ("index", "_run/notebooks/03_labels", "_run/results/03_labels", "explorer"):
        page.goto((tiny_site / f"{name}.html").as_uri())
        words[name] = " ".join(page.locator("main").inner_text().split())
        if name in ("index", "_run/notebooks/03_labels"):
            assert page.locator("main img").first.get_attribute("alt") == alt
    for label in LABELS:
        assert f"This is {visible(label)}." in words["_run/notebooks/03_labels"]
        assert f"skipped: {visible(label)}" in words["_run/results/03_labels"]
    assert LABELS[0] in words["explorer"]
