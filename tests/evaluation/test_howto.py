"""The how-to pages that add tasks, heads, features, predictions: their code runs as it stands."""

import json
import re
import shlex
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from xperience.cli import app
from xperience.evaluation.evaluate import evaluate
from xperience.evaluation.predictions import HEADS, predict_heads
from xperience.evaluation.records import read_records
from xperience.features import learned
from xperience.project import at_root
from xperience.report.entries import entries_page, entry_lines, read_entries
from xperience.report.pages import tasks_page
from xperience.tasks.catalogue import TASKS, TASKS_BY_NAME
from xperience.tasks.problem import problems_of, with_modality


def code_of(page: str) -> list[str]:
    """Return the Python of a how-to page, block by block."""
    text = at_root(f"docs/howto/{page}.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def test_a_thirteenth_task_is_one_record(episode, windows):
    names = {"episode": episode, "windows": windows["published"]}
    for block in code_of("your-own-task"):
        exec(block, names)
    own = [row for row in names["rows"] if row.head == "linear" and row.against is None]
    assert own[0].metric == "macro_f1"
    assert own[0].task == "new_object"
    assert own[0].status == "ok"
    assert own[0].floor is not None
    against = {row.against for row in names["rows"] if row.head == "linear"}
    assert own[0].floor_name in against
    page = tasks_page([*TASKS, names["NEW_OBJECT"]])
    assert names["NEW_OBJECT"].question in page
    frames = names["problem"].samples.frames
    reach = frames[..., 1].max(axis=1) - frames[..., 0].min(axis=1) + 1
    assert set(reach) == {20 + names["AHEAD"]}, "its purge follows from what it declares"


def test_a_head_is_one_function(episode, table, monkeypatch):
    """It predicts labels, sets, vectors and what is retrieved."""
    monkeypatch.setitem(HEADS, "corrected", dict(HEADS["corrected"]))
    names: dict = {}
    for block in code_of("your-own-head"):
        exec(block, names)
    kinds = {task.kind: task for task in TASKS}
    problems = problems_of(episode, table, "corrected", list(kinds.values()))
    predictions = predict_heads(problems, ["linear", "copycat"])
    pairs = zip(problems, predictions, strict=True)
    rows = [row for pair in pairs for row in evaluate(*pair, "howto", "suite")]
    answered = {row.task for row in rows if row.head == "copycat" and row.status == "ok"}
    assert answered == {task.name for task in kinds.values()}
    assert {row.against for row in rows if row.head == "copycat"} >= {"linear"}


def test_the_page_on_submissions_is_run_as_it_stands(episode, windows, tmp_path, monkeypatch):
    """It predicts, scores and enters; the site's page shows the entry beside the run's heads."""
    page = at_root("docs/howto/submit.md").read_text(encoding="utf-8")
    run = tmp_path / "artifacts" / "standin"
    (run / "windows").mkdir(parents=True)
    shutil.copytree(at_root("params"), tmp_path / "params")
    (run / "episode").symlink_to(episode)
    for contract, kind in (("published", ""), ("corrected", ".corrected")):
        (run / "windows" / f"standin{kind}.parquet").symlink_to(windows[contract])
    names = {"episode": episode, "windows": windows["corrected"]}
    code = code_of("submit")
    monkeypatch.setenv("XPERIENCE_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for block in code:
        exec(block, names)
    calls = [
        shlex.split(line)[1:]
        for line in page.splitlines()
        if line.startswith(".venv/bin/xperience")
    ]
    for call in calls:
        done = CliRunner().invoke(app, call)
        assert done.exit_code == 0, done.output
    rows, entries = (
        read_records("mine.json"),
        read_entries(tmp_path / "artifacts" / "entries" / "standin"),
    )
    assert {row.head for row in rows if row.variant is None} == {"middle"}
    assert {row.head for row in entries} == {"middle-label"}
    assert {row.task for row in entries} == {row.task for row in rows} == set(names["names"])
    assert len(entry_lines(rows)) == 3
    digests = json.loads((tmp_path / "artifacts/entries/standin/middle-label.json").read_text())
    assert len(digests["predictions"]) == 64
    ours = [row.model_copy(update={"head": "linear"}) for row in rows]
    shown = entries_page(ours, entries)
    assert "Submitted: middle-label." in shown
    assert shown.count("<td>middle-label</td>") == shown.count("<td>linear</td>") == 3
    again = CliRunner().invoke(app, calls[-1])
    assert again.exit_code == 1
    assert "--entry middle-label: is taken" in again.stderr


def test_features_are_one_function(episode, windows, tmp_path, monkeypatch):
    monkeypatch.setattr(learned, "LEARNED", dict(learned.LEARNED))
    names: dict = {"episode": episode, "windows": tmp_path / "windows.parquet"}
    shutil.copy(windows["published"], names["windows"])
    for block in code_of("your-own-features"):
        exec(block, names)
    n_features = [
        with_modality(names["problem"], blocks, "visual").n_features
        for blocks in names["variants"].values()
    ]
    assert np.diff(n_features)[0] == n_features[-1] == names["BLOCK"].dim
    assert all(names["predictions"].values())


@pytest.mark.parametrize("name", TASKS_BY_NAME)
def test_every_task_has_a_card(name):
    page = tasks_page()
    task = TASKS_BY_NAME[name]
    body = page.split(f"## {name}\n")[1].split("\n## ")[0]
    assert task.question in body
    assert f"`{task.primary.name}`" in body
    assert f"{task.n_features:,} features" in body
