"""The whole graph in a copy of the repository: what runs, what doesn't, and after what.

What a change would rerun is asked of Snakemake, which says so without doing it; one change of each
kind of thing is carried out.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import pytest

from xperience.features.table import WindowTable

from ..conftest import copy_repository, environment_of
from .conftest import HEADER

PARAMS = """
run: tiny
episode: artifacts/tiny/episode
standin: {frames: 60, size_px: [32, 24], depth_size_px: [16, 16], seed: 7}
contract: published
notebooks: [01_first, 02_second]
"""
NOTEBOOK = """
# %% [markdown]
# # A section

# %% tags=["parameters"]
run: str = "tiny"
episode: str = "artifacts/tiny/episode"

# %%
import pandas as pd
from xperience.project import metrics_path, windows_path
from xperience.report.provenance import provenance
from xperience.evaluation.records import Record, write_records

# %%
table = windows_path(run, episode)
n = len(pd.read_parquet(table, columns=["window"]))
row = Record(run=run, section="{name}", contract="published", metric="n_windows", value=n)
write_records(metrics_path(run, "{name}"), [row], provenance("{name}", {{"run": run}}, [table]))
"""
FIRST, SECOND = "execute notebook 01_first", "execute notebook 02_second"
EPISODE, WINDOWS, SITE = "simulate the recording", "compute the windows tables", "build the site"
STEPS = {
    "episode": EPISODE,
    "windows": WINDOWS,
    "site": SITE,
    "01_first": FIRST,
    "02_second": SECOND,
}
"""By what Snakemake calls them: a rule, or a notebook."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class Clone:
    """A copy of the repository with two tiny notebooks, run like a user does."""

    def __init__(self, folder: Path):
        self.folder = folder
        copy_repository(folder, "notebooks")
        (folder / "notebooks").mkdir()
        (folder / "profiles" / "dry").mkdir()
        (folder / "profiles" / "dry" / "config.yaml").write_text("dry-run: true\nquiet: [host]\n")
        (folder / "params" / "tiny.yaml").write_text(PARAMS)
        for name in ("01_first", "02_second"):
            text = HEADER + NOTEBOOK.format(name=name)
            (folder / "notebooks" / f"{name}.py").write_text(text)

    def command(self, *arguments: str) -> dict:
        return {
            "args": [sys.executable, "-m", "xperience.run", *arguments],
            "cwd": self.folder,
            "env": environment_of(self.folder),
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
            "text": True,
        }

    def reproduce(self, *arguments: str, code: int = 0) -> tuple[set[str], str]:
        """Run the graph; return the steps that began and all that was printed."""
        done = subprocess.run(**self.command("reproduce", *arguments), check=False)
        assert done.returncode == code, done.stdout
        return set(re.findall(r"^… (.+)$", done.stdout, re.MULTILINE)), done.stdout

    def planned(self) -> set[str]:
        """Return the steps that the graph would do, without doing them."""
        printed = self.reproduce("tiny", "--profile", "dry")[1]
        rules = re.findall(r"^rule (\w+):$", printed, re.MULTILINE)
        names = re.findall(r"^    wildcards: .*notebook=(\w+)$", printed, re.MULTILINE)
        return {STEPS[one] for one in (*rules, *names) if one in STEPS}

    @contextmanager
    def edited(self, path: str, before: str, after: str) -> Iterator[None]:
        """Change a file for a while."""
        file = self.folder / path
        text = file.read_text()
        self.edit(path, before, after)
        yield
        file.write_text(text)

    def edit(self, path: str, before: str, after: str) -> None:
        file = self.folder / path
        text = file.read_text()
        assert before in text
        file.write_text(text.replace(before, after, 1))

    def append(self, path: str, text: str) -> None:
        with (self.folder / path).open("a") as file:
            file.write(text)


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Clone:
    clone = Clone(tmp_path_factory.mktemp("clone"))
    steps, _ = clone.reproduce("tiny")
    assert steps == {EPISODE, WINDOWS, FIRST, SECOND, SITE}
    return clone


def test_nothing_is_done_twice_and_file_times_alone_count_for_nothing(clone):
    for path in [*clone.folder.glob("notebooks/*"), *clone.folder.glob("lib/**/*.py")]:
        path.touch()
    assert clone.reproduce("tiny")[0] == set()


@pytest.mark.parametrize(
    ("path", "before", "after", "steps"),
    [
        ("lib/xperience/hub/download.py", "", "# changed\n", set()),
        ("lib/xperience/evaluation/records.py", "", "# changed\n", {FIRST, SECOND, SITE}),
        ("lib/xperience/features/windows.py", "", "# changed\n", {WINDOWS, FIRST, SECOND, SITE}),
        ("docs/howto/reproduce.md", "", "More.\n\n", {SITE}),
    ],
    ids=lambda value: value if isinstance(value, str) and "/" in value else "",
)
def test_a_change_reruns_what_depends_on_it_and_nothing_else(clone, path, before, after, steps):
    with clone.edited(path, before, after):
        assert clone.planned() == steps


def test_a_changed_parameter_reruns_the_notebooks_that_declare_it(clone):
    clone.append("notebooks/02_second.py", "\n# %%\nn\n")
    parameter = 'run: str = "tiny"\nmoment_frame: int | None = None'
    clone.edit("notebooks/01_first.py", 'run: str = "tiny"', parameter)
    assert clone.reproduce("tiny")[0] == {FIRST, SECOND, SITE}
    with clone.edited("params/tiny.yaml", "run: tiny", "run: tiny\nmoment_frame: 3"):
        assert clone.planned() == {FIRST, SITE}
    with clone.edited("params/tiny.yaml", "seed: 7", "seed: 8"):
        assert clone.planned() == {EPISODE, WINDOWS, FIRST, SECOND, SITE}


def test_a_lost_result_is_made_again(clone):
    path = clone.folder / "artifacts/tiny/metrics/02_second.json"
    path.rename(path.with_suffix(".aside"))
    assert clone.planned() >= {SECOND}
    path.with_suffix(".aside").rename(path)


def test_a_failing_notebook_shows_its_error_and_does_not_hold_up_the_others(clone):
    for name in ("01_first", "02_second"):
        clone.append(f"notebooks/{name}.py", "\n# %%\nlater = 1\n")
    clone.edit("notebooks/01_first.py", "later = 1", "values = []\nvalues[3]")
    steps, printed = clone.reproduce("tiny", code=1)
    assert steps == {FIRST, SECOND}
    assert "→   2  values[3]" in printed
    assert "raised IndexError: list index out of range" in printed
    assert (clone.folder / "artifacts/tiny/logs/01_first.ipynb").is_file()
    assert not (clone.folder / "artifacts/tiny/notebooks/01_first.ipynb").exists()
    clone.edit("notebooks/01_first.py", "values = []\nvalues[3]", "later = 1")
    assert clone.reproduce("tiny")[0] == {FIRST, SITE}


def test_a_killed_run_is_unlocked_and_goes_on(clone):
    clone.append("notebooks/02_second.py", "\n# %%\nimport time\ntime.sleep(0.1)\n")
    clone.append("notebooks/01_first.py", "\n# %%\nimport time\ntime.sleep(100)\n")
    running = subprocess.Popen(**clone.command("reproduce", "tiny"), start_new_session=True)
    log = clone.folder / "artifacts/tiny/logs/01_first.ipynb"
    deadline = time.monotonic() + 120
    while not log.is_file():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    clone.edit("notebooks/01_first.py", "time.sleep(100)", "time.sleep(0.1)")
    steps, printed = clone.reproduce("tiny")
    assert "was cut off: unlocking" in printed
    assert steps >= {FIRST, SITE}


def test_a_run_is_compared_with_the_reference_that_is_committed(clone):
    done = subprocess.run(**clone.command("publish", "tiny"), check=False)
    assert done.returncode == 0, done.stdout
    for part in (".snakemake", "artifacts/tiny"):
        shutil.rmtree(clone.folder / part)
    steps, printed = clone.reproduce("tiny")
    assert steps == {EPISODE, WINDOWS, FIRST, SECOND, SITE}
    assert "Compared with the committed reference, metric rows: 2 equal" in printed
    assert re.search(rf"^{EPISODE} +[\d.]+ +[\d.]+$", printed, re.MULTILINE)
    assert clone.reproduce("tiny")[0] == set()


def test_a_recording_of_ones_own_runs_under_a_name_of_its_own_and_is_only_read(clone, tmp_path):
    own = tmp_path / "kitchen" / "episode"
    shutil.copytree(clone.folder / "artifacts/tiny/episode", own)
    before = {path: path.stat().st_mtime_ns for path in own.parent.rglob("*")}
    committed = {p: p.stat().st_mtime_ns for p in (clone.folder / "artifacts/tiny").rglob("*")}
    steps, printed = clone.reproduce("tiny", "--episode", str(own))
    assert steps == {WINDOWS, FIRST, SECOND, SITE}
    assert "Run episode-kitchen-" in printed
    (site,) = clone.folder.glob("artifacts/episode-kitchen-*/site/index.html")
    assert site.is_file()
    assert {path: path.stat().st_mtime_ns for path in own.parent.rglob("*")} == before
    assert {p: p.stat().st_mtime_ns for p in committed} == committed
    assert clone.reproduce("tiny", "--episode", f"{own}/../{own.name}/")[0] == set()


def test_captions_in_a_file_of_their_own_are_part_of_the_recording(clone, tmp_path):
    own = Path(
        shutil.copytree(clone.folder / "artifacts/tiny/episode", tmp_path / "day" / "episode")
    )
    with h5py.File(own / "annotation.hdf5", "r+") as file:
        (own / "caption.json").write_bytes(file["caption"][()])
        del file["caption"]
        file["caption"] = b"caption.json"
    steps, printed = clone.reproduce("tiny", "--data", "--episode", str(own))
    assert steps == {WINDOWS}
    assert re.search(r"^Done: artifacts/episode-day-\w+/windows$", printed, re.MULTILINE)
    before = (own / "caption.json").stat()
    text = (own / "caption.json").read_text()
    (own / "caption.json").write_text(text.replace('"Main Task": "', '"Main Task": "Newly '))
    os.utime(own / "caption.json", ns=(before.st_atime_ns, before.st_mtime_ns))  # as cp -p does
    steps, printed = clone.reproduce("tiny", "--data", "--episode", str(own))
    assert steps == {WINDOWS}
    assert "was made from 'episode' with another caption.json" in printed
    (table,) = clone.folder.glob("artifacts/episode-day-*/windows/day.parquet")
    assert WindowTable(table).info.main_task.startswith("Newly ")
