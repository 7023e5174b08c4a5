"""Shared by all tests: repeatable examples, a tiny episode to plant faults in, simulated ones."""

import os

LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
os.environ |= {name: "1" for name in LIMITS if name not in os.environ}  # before NumPy is loaded:
# two workers with two threads each wait for one another
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each process that a test starts compiles

import fcntl
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import settings

from xperience.features.blocks import BLOCKS, CONTRACTS
from xperience.features.extract import extract
from xperience.features.table import TableInfo, WindowRows, WindowTable, write_table
from xperience.project import ROOT_VARIABLE
from xperience.recording.files import recording_digests
from xperience.storage import CACHE_VARIABLE, value_digest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

sys.dont_write_bytecode = False  # nor does pytest rewrite every test file again
settings.register_profile(
    "repeatable", derandomize=True, deadline=None, database=None, max_examples=50
)
settings.load_profile("repeatable")

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("XPERIENCE_SHARED", ROOT.parent / "shared"))
CACHE = tempfile.TemporaryDirectory(prefix="xperience-tests-")
os.environ[CACHE_VARIABLE] = CACHE.name
PARTS = ("lib", "docs", "profiles", "params", "notebooks", "Snakefile", "pyproject.toml")
N_TINY = 60
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((found for name in BROWSERS if (found := shutil.which(name))), None)
BROWSER_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
]
LONGEST = ("run/test_reproduce.py", "faults/test_kills.py", "faults/test_faults.py",
           "site/test_browser.py", "evaluation/test_processors.py", "sync/test_audit.py",
           "run/test_family_run.py", "run/test_cohort_graph.py", "cohort/test_slurm.py",
           "qwen/test_train.py", "lab/test_lab.py")  # fmt: skip
"""Files of slow tests that take longest: begun first, so that workers end together."""
MadeOnce = Callable[[str, Callable[[Path], object]], Path]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {ROOT / "tests" / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a package that is not here, without importing those that are."""
    needed = {name for mark in item.iter_markers("extras") for name in mark.args}
    missing = sorted(name for name in needed if importlib.util.find_spec(name) is None)
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: `make extras` brings it")


def copy_repository(folder: Path, *without: str) -> Path:
    """Copy what a run needs, without any result, into a folder."""
    for part in PARTS:
        if part not in without:
            source = ROOT / part
            (shutil.copytree if source.is_dir() else shutil.copy2)(source, folder / part)
    return folder


def environment_of(folder: Path) -> dict[str, str]:
    """Return the environment of commands in a copied repository."""
    own = {key: value for key, value in os.environ.items() if key != ROOT_VARIABLE}
    return own | {"PYTHONPATH": str(folder / "lib")}


def call_of(folder: Path, *arguments: str) -> dict[str, Any]:
    """Return a call of `xperience.run` in a copied repository, as `subprocess` takes it."""
    return {
        "args": [sys.executable, "-m", "xperience.run", *arguments],
        "cwd": folder,
        "env": environment_of(folder),
        "stdout": subprocess.PIPE,
        "stderr": subprocess.STDOUT,
        "text": True,
    }


def stamps(folder: Path) -> dict[Path, int]:
    """Return when each file of a folder was last written, in nanoseconds."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def simulate(folder: Path, chosen: dict[str, object]) -> None:
    from xperience.standin.settings import StandinSettings  # noqa: PLC0415 brings a compiler
    from xperience.standin.write import write_episode  # noqa: PLC0415

    write_episode(folder, StandinSettings(**chosen))


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """Return a headless browser; one a process, since Playwright has but one loop in it."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 few tests need it

    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=BROWSER_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MadeOnce]:
    """Return a function (name, make) that gives the folder of that name, which ``make`` fills.

    Each is made once for all tests of a session, whatever the number of workers, and nobody may
    change it: tests that plant something copy it first.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # what the workers have in common
    given: dict[Path, dict[Path, int]] = {}

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder, scratch = base / name, base / f"{name}.part"
        with (base / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.is_dir():
                shutil.rmtree(scratch, ignore_errors=True)
                scratch.mkdir()
                make(scratch)
                scratch.rename(folder)  # whole or not at all
        given.setdefault(folder, stamps(folder))
        return folder

    yield made
    for folder, before in given.items():
        assert stamps(folder) == before, f"a test changed {folder}, which all tests share"


@pytest.fixture(scope="session")
def simulated(made_once: MadeOnce) -> Callable[..., Path]:
    """Return a function (settings of the stand-in) that gives a recording; nobody changes it."""

    def episode(**chosen: object) -> Path:
        chosen = {"size_px": (32, 24), "workers": 1} | chosen
        name = f"simulated-{value_digest(chosen)[:12]}"
        return made_once(name, lambda folder: simulate(folder / "episode", chosen)) / "episode"

    return episode


@pytest.fixture(scope="session")
def tables_of(made_once: MadeOnce) -> Callable[[Path], dict[str, Path]]:
    """Return a function (simulated episode) that gives its windows table under each contract."""

    def tables(episode: Path) -> dict[str, Path]:
        def make(folder: Path) -> None:
            for contract in CONTRACTS:
                extract(episode, folder / f"{contract}.parquet", contract=contract, workers=1)

        folder = made_once(f"windows-of-{episode.parent.name}", make)
        return {contract: folder / f"{contract}.parquet" for contract in CONTRACTS}

    return tables


@pytest.fixture(scope="session")
def builder() -> ModuleType:
    """The module that writes tiny episodes and plants faults in them."""
    path = ROOT / "tests" / "recording" / "builder.py"
    spec = importlib.util.spec_from_file_location("tiny_episode_builder", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def whole_tiny(builder: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole episode of 60 frames that nobody changes."""
    return builder.write_episode(tmp_path_factory.mktemp("whole") / "ep", N_TINY)


@pytest.fixture
def tiny(whole_tiny: Path, tmp_path: Path) -> Path:
    """A copy of the tiny episode, to plant faults in."""
    return Path(shutil.copytree(whole_tiny, tmp_path / "ep"))


@pytest.fixture(scope="session")
def oracle() -> Path:
    """The folder of a small episode and some of what the published pipeline computed from it."""
    return ROOT / "tests" / "data" / "oracle"


@pytest.fixture(scope="session")
def expected(oracle: Path) -> dict[str, Any]:
    """What the published pipeline computed: blocks, tasks, audio, logmel."""
    return json.loads((oracle / "expected.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def oracle_table(oracle: Path, made_once: MadeOnce) -> WindowTable:
    """Our windows table of the oracle's episode."""
    name = "windows.parquet"
    made = made_once("oracle", lambda at: extract(oracle / "episode", at / name, workers=1))
    return WindowTable(made / name)


@pytest.fixture
def rewritten(oracle: Path, oracle_table: WindowTable, tmp_path: Path) -> Callable:
    """Return a function (lose, gap) that gives the table without blocks, or null in window 3."""
    values = {block.name: oracle_table.block(block.name) for block in BLOCKS}

    def written(lose: tuple[str, ...] = (), gap: str = "") -> WindowTable:
        if gap:
            values[gap][3] = np.nan
        path = tmp_path / "windows.parquet"
        return write_windows(path, oracle / "episode", values | dict.fromkeys(lose))

    return written


def write_windows(path: Path, episode: Path, values: dict[str, Any]) -> WindowTable:
    """Write a table of features that come from elsewhere; None is a lost block."""
    lost = {name: "the stream is gone" for name, rows in values.items() if rows is None}
    info = TableInfo("published", "episode", "", 400, 20.0, recording_digests(episode), lost, {})
    n = len(values["depth_confidence"])
    none = [(None, 0.0)] * n
    write_table(path, info, [WindowRows(np.arange(n), 5 * np.arange(n), none, none, values)])
    return WindowTable(path)


@pytest.fixture(scope="session")
def published_table(whole_oracle: Path, tmp_path_factory: pytest.TempPathFactory) -> WindowTable:
    """The features that the published pipeline computed, as a windows table."""
    with np.load(whole_oracle / "expected" / "windows.npz") as stored:
        parts = np.split(stored["X"], np.cumsum([block.dim for block in BLOCKS])[:-1], axis=1)
    values = {block.name: part for block, part in zip(BLOCKS, parts, strict=True)}
    path = tmp_path_factory.mktemp("published") / "windows.parquet"
    return write_windows(path, whole_oracle / "episode", values)


@pytest.fixture(scope="session")
def whole_oracle() -> Path:
    """Another episode, with everything that the published pipeline computed from it."""
    folder = SHARED / "oracle" / "small"
    if not folder.is_dir():
        pytest.skip("no whole oracle: XPERIENCE_SHARED names no folder that holds oracle/small")
    return folder


@pytest.fixture(scope="session")
def stream_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finished streams of the tiny episode, for tests that change something else."""
    return tmp_path_factory.mktemp("streams")


@pytest.fixture
def windows_of(tmp_path: Path, stream_cache: Path) -> Callable[[Path], WindowTable]:
    """Return a function (episode folder) that extracts and opens its windows table."""

    def extracted(folder: Path) -> WindowTable:
        out = tmp_path / "windows.parquet"
        extract(folder, out, cache=stream_cache, workers=1)
        return WindowTable(out)

    return extracted


@pytest.fixture(scope="session")
def whole_table(whole_tiny: Path, stream_cache: Path) -> WindowTable:
    """The windows table of the tiny episode before anything is planted in it."""
    out = stream_cache / "whole.parquet"
    if not out.is_file():
        extract(whole_tiny, out, cache=stream_cache, workers=1)
    return WindowTable(out)


@pytest.fixture(scope="session")
def published() -> Path:
    """The published record, read in place."""
    folder = SHARED / "published"
    if not folder.is_dir():
        pytest.skip(f"the published record is not at {folder}; set XPERIENCE_SHARED")
    return folder


@pytest.fixture(scope="session")
def command() -> Callable[..., subprocess.CompletedProcess]:
    """Return a function that runs ``xperience`` as a user does, whom file modes bind even as root.

    Words are its arguments; ``options`` go to `subprocess.run`.
    """
    bare = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
    is_root = os.getuid() == 0
    if is_root and shutil.which(bare[0]) is None:
        pytest.skip("as root, setpriv is needed for file modes to count")
    start = "from xperience.cli import app; app(prog_name='xperience')"

    def run(*words: object, **options: object) -> subprocess.CompletedProcess:
        argv = [*(bare if is_root else []), sys.executable, "-c", start, *map(str, words)]
        given = {"capture_output": True, "text": True, "timeout": 120}
        return subprocess.run(argv, check=False, **(given | options))

    return run
