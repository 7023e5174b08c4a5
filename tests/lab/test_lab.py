"""What a person meets who calls `make lab`: the start page, a notebook that runs, a slider.

JupyterLab is started once, in a copy of the repository, and opened in a browser.
"""

import hashlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from ..conftest import ROOT, copy_repository, environment_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
PATIENCE_S = 240
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


def write_repository(folder: Path) -> None:
    """Copy what `make lab` needs, with a recording of seconds in place of the default one."""
    copy_repository(folder, "docs")
    shutil.copy2(ROOT / "Makefile", folder)
    smoke = (folder / "params" / "smoke.yaml").read_text()
    smoke = smoke.replace("artifacts/smoke/", "artifacts/standin/")
    (folder / "params" / "standin.yaml").write_text(smoke.replace("run: smoke", "run: standin"))
    (folder / ".venv").mkdir()
    for part in ("bin", "lib", "pyvenv.cfg"):
        (folder / ".venv" / part).symlink_to(Path(sys.prefix) / part)


def wait_until(done: Callable[[], bool], why: str, limit_s: float = PATIENCE_S) -> None:
    until = time.monotonic() + limit_s
    while not done():
        assert time.monotonic() < until, why
        time.sleep(0.3)


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[tuple[Path, str]]:
    """The copy of the repository and the address of its JupyterLab, started by `make lab`."""
    if not (Path(sys.prefix) / "bin" / "jupyter-lab").is_file() or not shutil.which("make"):
        pytest.skip("make or the JupyterLab of a virtual environment is missing")
    folder, token = tmp_path_factory.mktemp("lab"), secrets.token_hex(8)
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    write_repository(folder)
    arguments = (
        f"LAB_ARGS=--no-browser --allow-root --ServerApp.port={port} --ServerApp.port_retries=0 "
        f"--IdentityProvider.token={token} --LabApp.expose_app_in_browser=True"
    )
    env = environment_of(folder) | {"HOME": str(folder)}
    env |= {
        "JUPYTER_CONFIG_DIR": str(folder / "jupyter"),
        "JUPYTER_RUNTIME_DIR": str(folder / "run"),
    }
    with (folder / "lab.log").open("w") as log:
        process = subprocess.Popen(
            ["make", "-o", ".venv/.ready", "lab", arguments],
            cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip

    def answers() -> bool:
        assert process.poll() is None, f"`make lab` ended:\n{(folder / 'lab.log').read_text()}"
        try:
            with urllib.request.urlopen(f"{url}/api/status?token={token}", timeout=5):
                return True
        except OSError:
            return False

    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(answers, "`make lab` did not start")
        yield folder, f"{url}/?token={token}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


@pytest.fixture
def complaints() -> list[str]:
    """What the page's console complained of."""
    return []


@pytest.fixture
def page(browser: Browser, lab, complaints) -> Iterator[Page]:
    """The start page of JupyterLab, in a browser that has never seen it."""
    with closing(browser.new_context(viewport={"width": 1400, "height": 1000})) as context:
        page = context.new_page()
        page.on("console", lambda m: m.type == "error" and complaints.append(m.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(lab[1])
        page.locator(f"{START} h1").wait_for(timeout=60_000)
        yield page


def picture_below(page, slider):
    """Return a digest of the picture that a slider draws."""
    image = slider.locator("xpath=ancestor::*[.//img][1]").locator("img").last
    image.wait_for(timeout=60_000)
    return hashlib.sha256(image.get_attribute("src").encode()).hexdigest()


def test_the_lab_opens_on_a_page_that_leads_to_every_notebook(lab, page, complaints):
    assert page.locator(f"{START} h1").inner_text().startswith("Start here")
    links = page.locator(f"{START} table a").all()
    led = {Path(link.get_attribute("href").partition("?")[0]).name for link in links}
    assert led == {path.name for path in (lab[0] / "notebooks").glob("*.ipynb")}
    assert page.locator(".jp-FileEditor").count() == 0
    assert complaints == []


def test_a_notebook_runs_to_its_end_and_its_slider_draws_another_picture(page, complaints):
    page.locator(START).get_by_role("link", name="The benchmark contract").click()
    page.locator(".jp-NotebookPanel:visible").wait_for(timeout=60_000)
    page.wait_for_function(IDLE, timeout=60_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()

    def ended() -> bool:
        page.wait_for_timeout(300)
        state = page.evaluate(STATE)
        return bool(state["errors"]) or (state["kernel"] == "idle" and all(state["ran"]))

    wait_until(ended, "the notebook did not come to its end")
    state = page.evaluate(STATE)
    assert (state["errors"], state["warnings"]) == ([], [])
    page.evaluate(SCROLL, state["widgets"].index(True))
    slider = page.locator(SLIDER).first
    slider.wait_for(timeout=60_000)
    before, at = picture_below(page, slider), slider.get_attribute("aria-valuenow")
    slider.focus()
    page.keyboard.press("End")
    wait_until(lambda: picture_below(page, slider) != before, "the picture stays", 60)
    assert slider.get_attribute("aria-valuenow") != at
    assert page.evaluate(STATE)["errors"] == []
    assert complaints == []
