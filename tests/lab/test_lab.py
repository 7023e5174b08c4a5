"""What a person meets who calls `make lab`: the start page, a notebook that runs, a slider."""

import hashlib
import time
from pathlib import Path

import pytest

from .conftest import PATIENCE_S

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
]
START = ".jp-MarkdownViewer"
SLIDER = ".jp-OutputArea [role=slider]"
STATE = """() => {
    const panel = window.jupyterapp.shell.currentWidget;
    const cells = [...panel.content.model.cells].filter(cell => cell.type === 'code');
    const outputs = cells.flatMap(
        cell => [...Array(cell.outputs.length).keys()].map(i => cell.outputs.get(i).toJSON()));
    return {
        kernel: panel.sessionContext.kernelDisplayStatus,
        ran: cells.map(cell => cell.executionCount),
        errors: outputs.filter(one => one.output_type === 'error').map(one => one.traceback),
        warnings: outputs.filter(one => one.name === 'stderr').map(one => one.text),
        widgets: [...panel.content.model.cells].map(cell => cell.type === 'code'
            && [...Array(cell.outputs.length).keys()].some(i =>
                'application/vnd.jupyter.widget-view+json' in (cell.outputs.get(i).toJSON().data
                                                               || {}))),
    };
}"""
IDLE = """() =>
    window.jupyterapp.shell.currentWidget.sessionContext?.kernelDisplayStatus === 'idle'"""
SCROLL = "place => window.jupyterapp.shell.currentWidget.content.scrollToItem(place, 'start')"


@pytest.fixture
def start(page):
    """The start page, shown."""
    page.locator(f"{START} h1").wait_for(timeout=60_000)
    return page


def run_all(page):
    """Run every cell of the open notebook by the menu; return what became of it."""
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        state = page.evaluate(STATE)
        if state["errors"] or (state["kernel"] == "idle" and all(state["ran"])):
            return state
        page.wait_for_timeout(300)
    raise AssertionError(f"the notebook did not come to its end: {state}")


def open_notebook(page, title):
    """Open a notebook from the start page and wait for its kernel."""
    page.locator(START).get_by_role("link", name=title).click()
    page.locator(".jp-NotebookPanel:visible").wait_for(timeout=60_000)
    page.wait_for_function(IDLE, timeout=60_000)


def picture_below(page, slider):
    """Return a digest of the picture that a slider draws."""
    image = slider.locator("xpath=ancestor::*[.//img][1]").locator("img").last
    image.wait_for(timeout=60_000)
    return hashlib.sha256(image.get_attribute("src").encode()).hexdigest()


def test_the_lab_opens_on_a_page_that_leads_to_every_notebook(lab, start, complaints):
    assert start.locator(f"{START} h1").inner_text().startswith("Start here")
    links = start.locator(f"{START} table a").all()
    led = {Path(link.get_attribute("href").partition("?")[0]).name for link in links}
    assert led == {path.name for path in (lab.folder / "notebooks").glob("*.ipynb")}
    assert start.locator(".jp-FileEditor").count() == 0
    assert complaints == []


def test_a_notebook_runs_to_its_end_and_its_slider_draws_another_picture(start, complaints):
    open_notebook(start, "The benchmark contract")
    state = run_all(start)
    assert state["errors"] == []
    assert state["warnings"] == []
    start.evaluate(SCROLL, state["widgets"].index(True))
    slider = start.locator(SLIDER).first
    slider.wait_for(timeout=60_000)
    before, at = picture_below(start, slider), slider.get_attribute("aria-valuenow")
    slider.focus()
    start.keyboard.press("End")
    until = time.monotonic() + 60
    while picture_below(start, slider) == before and time.monotonic() < until:
        start.wait_for_timeout(200)
    assert picture_below(start, slider) != before
    assert slider.get_attribute("aria-valuenow") != at
    assert start.evaluate(STATE)["errors"] == []
    assert complaints == []
