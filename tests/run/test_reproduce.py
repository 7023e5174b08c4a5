"""The whole graph in a copy of the repository: what runs, what doesn't, and after what.

What a change would rerun is asked of Snakemake, which says so without doing it; one change of each
kind of thing is carried out.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import pytest

from xperience.features.table import WindowTable

from ..conftest import call_of, copy_repository, stamps
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
{parameter}
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
PARAMETER = "moment_frame: int | None = None\n"
FIRST, SECOND = "execute notebook 01_first", "execute notebook 02_second"
EPISODE, WINDOWS, SITE = "simulate the recording", "compute the windows tables", "build the site"
STEPS = {
    "episode": EPISODE,
    "windows": WINDOWS,
    "site": SITE,
    "01_first": FIRST,
    "02_second": SECOND,
    "0": "work on shard 0",
    "1": "work on shard 1",
}
"""By what Snakemake calls them: a rule, a notebook, a shard."""

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
        for name, parameter in (("01_first", PARAMETER), ("02_second", "")):
            text = HEADER + NOTEBOOK.format(name=name, parameter=parameter)
            (folder / "notebooks" / f"{name}.py").write_text(text)

    def command(self, *arguments: str) -> dict:
        return call_of(self.folder, *arguments)

    def reproduce(self, *arguments: str, code: int = 0) -> tuple[set[str], str]:
        """Run the graph; return the steps that began and all that was printed."""
        done = subprocess.run(**self.command("reproduce", *arguments), check=False)
        assert done.returncode == code, done.stdout
        return set(re.findall(r"^… (.+)$", done.stdout, re.MULTILINE)), done.stdout

    def planned(self) -> set[str]:
        """Return the steps that the graph would do, without doing them."""
        printed = self.reproduce("tiny", "--profile", "dry")[1]
        rules = re.findall(r"^rule (\w+):$", printed, re.MULTILINE)
        names = re.findall(r"^    wildcards: .*(?:notebook|shard)=(\w+)$", printed, re.MULTILINE)
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
    ("path", "steps"),
    [
        ("lib/xperience/features/windows.py", {WINDOWS, FIRST, SECOND, SITE}),
        ("docs/howto/reproduce.md", {SITE}),
    ],
)
def test_a_change_reruns_what_depends_on_it_and_nothing_else(clone, path, steps):
    with (
        clone.edited("lib/xperience/hub/download.py", "", "# changed: no step reads it\n"),
        clone.edited(path, "", "# changed\n\n"),
    ):
        assert clone.planned() == steps


def test_a_changed_parameter_reruns_the_notebooks_that_declare_it(clone):
    with clone.edited("params/tiny.yaml", "run: tiny", "run: tiny\nmoment_frame: 3"):
        assert clone.planned() == {FIRST, SITE}
    with clone.edited("params/tiny.yaml", "seed: 7", "seed: 8"):
        assert clone.planned() == {EPISODE, WINDOWS, FIRST, SECOND, SITE}


def test_a_lost_result_is_made_again(clone):
    path = clone.folder / "artifacts/tiny/metrics/02_second.json"
    path.rename(path.with_suffix(".aside"))
    assert clone.planned() >= {SECOND}
    path.with_suffix(".aside").rename(path)


def test_after_an_error_a_run_goes_on_with_what_is_left(clone):
    """At its end it is compared with the reference that is committed."""
    done = subprocess.run(**clone.command("publish", "tiny"), check=False)
    assert done.returncode == 0, done.stdout
    clone.edit("lib/xperience/evaluation/records.py", "", "# changed: both notebooks read it\n\n")
    clone.append("notebooks/01_first.py", "\n# %%\nvalues = []\nvalues[3]\n")
    steps, printed = clone.reproduce("tiny", code=1)
    assert steps == {FIRST, SECOND}
    assert "→   2  values[3]" in printed
    assert "raised IndexError: list index out of range" in printed
    assert (clone.folder / "artifacts/tiny/logs/01_first.ipynb").is_file()
    assert not (clone.folder / "artifacts/tiny/notebooks/01_first.ipynb").exists()
    clone.edit("notebooks/01_first.py", "values[3]", "values[3:]")
    steps, printed = clone.reproduce("tiny")
    assert steps == {FIRST, SITE}
    assert "Compared with the committed reference, metric rows: 2 equal" in printed
    assert re.search(rf"^{SITE} +[\d.]+ +[\d.]+$", printed, re.MULTILINE)


def test_a_recording_of_ones_own_runs_under_a_name_of_its_own_and_is_only_read(clone, tmp_path):
    """Captions in a file of their own are part of it."""
    own = tmp_path / "kitchen" / "episode"
    shutil.copytree(clone.folder / "artifacts/tiny/episode", own)
    with h5py.File(own / "annotation.hdf5", "r+") as file:
        (own / "caption.json").write_bytes(file["caption"][()])
        del file["caption"]
        file["caption"] = b"caption.json"
    before, committed = stamps(own.parent), stamps(clone.folder / "artifacts/tiny")
    (clone.folder / "params" / "short.yaml").write_text(PARAMS.replace("01_first, ", ""))
    steps, printed = clone.reproduce("short", "--episode", str(own))
    assert steps == {WINDOWS, SECOND, SITE}
    assert "Run episode-kitchen-" in printed
    (site,) = clone.folder.glob("artifacts/episode-kitchen-*/site/index.html")
    assert site.is_file()
    assert stamps(own.parent) == before
    assert stamps(clone.folder / "artifacts/tiny") == committed
    assert clone.reproduce("short", "--episode", f"{own}/../{own.name}/")[0] == set()
    at = (own / "caption.json").stat()
    text = (own / "caption.json").read_text()
    (own / "caption.json").write_text(text.replace('"Main Task": "', '"Main Task": "Newly '))
    os.utime(own / "caption.json", ns=(at.st_atime_ns, at.st_mtime_ns))  # as cp -p does
    steps, printed = clone.reproduce("short", "--data", "--episode", str(own))
    assert steps == {WINDOWS}
    assert "was made from 'episode' with another caption.json" in printed
    assert re.search(r"^Done: artifacts/episode-kitchen-\w+/windows$", printed, re.MULTILINE)
    (table,) = clone.folder.glob("artifacts/episode-kitchen-*/windows/kitchen.parquet")
    assert WindowTable(table).info.main_task.startswith("Newly ")
