"""JupyterLab as `make lab` starts it, in a copy of the repository, and a browser to open it in."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

REPOSITORY = Path(__file__).parents[2]
PARTS = ("notebooks", "params", "profiles", "lib", "Makefile", "Snakefile", "pyproject.toml")
PATIENCE_S = 240
VIEWPORT = {"width": 1400, "height": 1000}


@dataclass
class Lab:
    """A running JupyterLab.

    Parameters
    ----------
    folder : Path
        The copy of the repository.
    url : str
        Where it is, with the token.
    """

    folder: Path
    url: str


def copy_repository(folder: Path) -> None:
    """Copy what `make lab` needs, with a recording of seconds in place of the default one."""
    unwanted = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    for part in PARTS:
        source = REPOSITORY / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=unwanted)
        else:
            shutil.copy2(source, folder / part)
    smoke = (folder / "params" / "smoke.yaml").read_text()
    (folder / "params" / "standin.yaml").write_text(
        smoke.replace("artifacts/smoke/", "artifacts/standin/").replace(
            "run: smoke", "run: standin"
        )
    )
    (folder / ".venv").mkdir()
    for part in ("bin", "lib", "pyvenv.cfg"):
        (folder / ".venv" / part).symlink_to(Path(sys.prefix) / part)


def free_port() -> int:
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="session")
def lab(tmp_path_factory) -> Iterator[Lab]:
    """JupyterLab, started once by `make lab` and stopped with all its kernels."""
    if not (Path(sys.prefix) / "bin" / "jupyter-lab").is_file() or not shutil.which("make"):
        pytest.skip("make or the JupyterLab of a virtual environment is missing")
    folder, port, token = tmp_path_factory.mktemp("lab"), free_port(), secrets.token_hex(8)
    copy_repository(folder)
    settings = {
        "LAB_ARGS": f"--no-browser --allow-root --ServerApp.port={port} "
        f"--ServerApp.port_retries=0 --IdentityProvider.token={token} "
        "--LabApp.expose_app_in_browser=True"
    }
    env = {key: value for key, value in os.environ.items() if key != "XPERIENCE_ROOT"}
    home = {"HOME": str(folder), "JUPYTER_CONFIG_DIR": str(folder / "jupyter")}
    env |= home | {"PYTHONPATH": str(folder / "lib"), "JUPYTER_RUNTIME_DIR": str(folder / "run")}
    command = ["make", "-o", ".venv/.ready", "lab", *(f"{k}={v}" for k, v in settings.items())]
    with (folder / "lab.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(f"{url}/api/status?token={token}", process, folder / "lab.log")
        yield Lab(folder, f"{url}/?token={token}")
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def _wait_for(url: str, process: subprocess.Popen, log: Path) -> None:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.3)
    raise AssertionError(f"`make lab` did not start:\n{log.read_text()[-3000:]}")


@pytest.fixture
def complaints() -> list[str]:
    """What the page's console complained of."""
    return []


@pytest.fixture
def page(browser: Browser, lab, complaints) -> Iterator[Page]:
    """JupyterLab in a browser that has never seen it."""
    with closing(browser.new_context(viewport=VIEWPORT)) as context:
        page = context.new_page()
        page.on("console", lambda m: m.type == "error" and complaints.append(m.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(lab.url)
        yield page
