"""``kill -9`` at random moments of a whole run, and on: the results are those of a calm one.

What a killed run had finished isn't done again, but for the last step, which it may not have noted.

``XPERIENCE_KILLS`` says how many kills are dealt.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest

from ..conftest import copy_repository, environment_of
from ..run.conftest import HEADER
from ..run.test_reproduce import NOTEBOOK

RUN, MARK = "killed", "XPERIENCE_TEST_MARK"
PARAMS = """
run: killed
episode: artifacts/killed/episode
standin: {frames: 180, size_px: [32, 24], depth_size_px: [16, 16], seed: 7}
contract: published
notebooks: [01_first, 02_heads]
"""
"""Every kind of step; the second notebook keeps predictions."""
HEADS = """
# %% [markdown]
# # A section that keeps predictions

# %% tags=["parameters"]
run: str = "killed"
episode: str = "artifacts/killed/episode"

# %%
from xperience.evaluation.evaluate import evaluate
from xperience.evaluation.predictions import predict_heads
from xperience.report.section import open_inputs, save_section
from xperience.tasks.catalogue import TASKS
from xperience.tasks.problem import problems_of

# %%
recording, table = open_inputs(run, episode, "published")
recording.close()
parameters, section = {"run": run, "episode": episode}, "02_heads"
problems = problems_of(recording.folder, table, tasks=TASKS[:2])
pairs = list(zip(problems, predict_heads(problems, ["linear", "neural"], 1), strict=True))
rows = [row for pair in pairs for row in evaluate(*pair, run, section)]
save_section(section, parameters, rows, [table], pairs)
"""
NOTEBOOKS = {"01_first": NOTEBOOK.format(name="01_first", parameter=""), "02_heads": HEADS}
N_KILLS = int(os.environ.get("XPERIENCE_KILLS", "4"))
MOST_STEPS = 3
"""A kill falls some time after the begin of so many steps of a run at most, or of the run."""
SHORTEST_S, LONGEST_S = 0.3, 8.0
SURVIVAL_S = 60
"""A kernel looks for its parent once a second, on a busy machine later."""

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1200 + 60 * N_KILLS)]


@dataclass(frozen=True)
class Clone:
    """A copy of the repository without any result, and a way to run it."""

    folder: Path

    @classmethod
    def at(cls, folder: Path) -> "Clone":
        copy_repository(folder, "notebooks")
        (folder / "notebooks").mkdir()
        for name, text in NOTEBOOKS.items():
            (folder / "notebooks" / f"{name}.py").write_text(HEADER + text)
        (folder / "params" / f"{RUN}.yaml").write_text(PARAMS)
        return cls(folder)

    def log(self, mark: str) -> Path:
        """Return where a run prints."""
        return self.folder / f"printed-{mark}.txt"

    def start(self, mark: str, *options: str) -> subprocess.Popen:
        """Start a run in a process group of its own; all its processes bear the mark."""
        env = environment_of(self.folder) | {MARK: mark}
        command = [sys.executable, "-m", "xperience.run", "reproduce", RUN, *options]
        with self.log(mark).open("w") as log:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env=env,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def finish(self, mark: str) -> None:
        """Run to the end."""
        assert self.start(mark).wait() == 0, self.log(mark).read_text()

    def await_steps(self, mark: str, running: subprocess.Popen, n_steps: int) -> None:
        """Wait until so many steps of a run have begun, or the run is over."""
        while running.poll() is None and len(self.steps(mark, "… (.+)$")) < n_steps:
            time.sleep(0.05)

    def steps(self, mark: str, said: str) -> list[str]:
        """Return the steps of which a run has printed something."""
        return re.findall(f"^{said}", self.log(mark).read_text(), re.MULTILINE)

    @property
    def is_locked(self) -> bool:
        """Whether a run that was killed has left its lock."""
        return any((self.folder / ".snakemake" / "locks").glob("*"))

    def assert_went_on(self, mark: str, was_locked: bool, done: set[str]) -> None:
        """Check that a run told of a kill before it, and did not redo what was done."""
        if begun := self.steps(mark, "… (.+)$"):
            assert ("was cut off: unlocking" in self.log(mark).read_text()) == was_locked
            assert done.isdisjoint(begun)

    def running(self, mark: str) -> str:
        """Return the steps that have begun and not ended."""
        begun, ended = self.steps(mark, "… (.+)$"), self.steps(mark, "✓ (.+?): ")
        return " and ".join(step for step in begun if step not in ended) or "between steps"

    def results(self) -> dict[str, object]:
        """Return metrics, predictions and executed notebooks as bytes, tables as they read."""
        folder = self.folder / "artifacts" / RUN
        found: dict[str, object] = {
            str(path.relative_to(folder)): path.read_bytes()
            for kind in ("metrics/*.json", "notebooks/*.ipynb", "predictions/*")
            for path in folder.glob(kind)
        }
        tables = folder.glob("windows/*.parquet")
        return found | {path.name: pq.read_table(path) for path in tables}


def marked(mark: str) -> list[psutil.Process]:
    """Return the living processes that bear a mark."""
    found = []
    for process in psutil.process_iter():
        try:
            alive = process.status() != psutil.STATUS_ZOMBIE
            if alive and process.environ().get(MARK) == mark:
                found.append(process)
        except psutil.Error:
            continue  # it ended meanwhile, or is another user's
    return found


def kill(running: subprocess.Popen, mark: str, everything: bool) -> None:
    """Kill a run's process group, as a shell does; or all its processes, as a machine does."""
    survivors = marked(mark) if everything else []
    os.killpg(running.pid, signal.SIGKILL)
    for process in survivors:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    running.wait()


def assert_gone(mark: str) -> None:
    """Check that what a killed run left alive, such as kernels, soon ends by itself."""
    deadline = time.monotonic() + SURVIVAL_S
    while left := marked(mark):
        assert time.monotonic() < deadline, [process.cmdline() for process in left]
        time.sleep(0.1)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What a run gives that nobody kills."""
    clone = Clone.at(tmp_path_factory.mktemp("calm"))
    clone.finish("calm")
    return clone.results()


def test_killed_runs_go_on_and_give_what_an_undisturbed_one_gives(
    undisturbed: dict[str, object], tmp_path: Path, record_property: Callable[[str, str], None]
) -> None:
    clone, rng = Clone.at(tmp_path), np.random.default_rng(N_KILLS)
    n_dealt, options, done, was_locked = 0, (), set(), False
    while n_dealt < N_KILLS:
        mark = f"{os.getpid()}-{n_dealt}"
        everything = bool(rng.integers(2))
        delay_s = np.exp(rng.uniform(np.log(SHORTEST_S), np.log(LONGEST_S)))
        running = clone.start(mark, *options)
        if n_dealt:
            assert_gone(f"{os.getpid()}-{n_dealt - 1}")
        clone.await_steps(mark, running, int(rng.integers(MOST_STEPS + 1)))
        try:
            code = running.wait(delay_s)
        except subprocess.TimeoutExpired:
            kill(running, mark, everything)
            clone.assert_went_on(mark, was_locked, done)
            done.update(clone.steps(mark, "✓ (.+?): ")[:-1])
            was_locked = clone.is_locked
            n_dealt, options = n_dealt + 1, ()
            whom = "every process" if everything else "the process group"
            line = f"kill {n_dealt}, of {whom}: {clone.running(mark)}"
            record_property("kill", line)
            print(line, flush=True)
            continue
        assert code == 0, clone.log(mark).read_text()
        clone.assert_went_on(mark, was_locked, done)
        assert_equal(clone.results(), undisturbed)
        done, was_locked = set(), False
        options = ("--again",)
    clone.finish("last")
    clone.assert_went_on("last", was_locked, done)
    assert_gone(mark)
    assert_equal(clone.results(), undisturbed)
    assert list(tmp_path.glob("artifacts/**/.*.*.part*")) == []
    assert list(tmp_path.glob("artifacts/**/.*.scene")) == []
    clone.finish("nothing-to-do")
    assert "…" not in clone.log("nothing-to-do").read_text()


def assert_equal(found: dict[str, object], expected: dict[str, object]) -> None:
    assert found.keys() == expected.keys()
    different = [name for name, value in expected.items() if found[name] != value]
    assert different == []
