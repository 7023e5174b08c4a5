"""The how-to pages that add a task and a head: their code runs as it stands there."""

import re

import pytest

from xperience.evaluation.evaluate import evaluate
from xperience.evaluation.predictions import HEADS, predict_heads
from xperience.features.extract import extract
from xperience.features.table import WindowTable
from xperience.project import at_root
from xperience.report.pages import tasks_page
from xperience.tasks.catalogue import TASKS, TASKS_BY_NAME
from xperience.tasks.problem import problems_of


@pytest.fixture(scope="module")
def recording(simulated, tmp_path_factory):
    episode, folder = simulated(frames=600), tmp_path_factory.mktemp("howto")
    extract(episode, folder / "windows.parquet", workers=1)
    return episode, folder / "windows.parquet"


def code_of(page: str) -> list[str]:
    """Return the Python of a how-to page, block by block."""
    text = at_root(f"docs/howto/{page}.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def test_a_thirteenth_task_is_one_record(recording):
    names = {"episode": recording[0], "windows": recording[1]}
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


def test_its_purge_follows_from_what_it_declares(recording):
    names: dict = {}
    exec(code_of("your-own-task")[0], names)
    table = WindowTable(recording[1])
    (problem,) = problems_of(recording[0], table, tasks=[names["NEW_OBJECT"]])
    frames = problem.samples.frames
    reach = frames[..., 1].max(axis=1) - frames[..., 0].min(axis=1) + 1
    assert set(reach) == {20 + names["AHEAD"]}


def test_a_head_is_one_function(recording, monkeypatch):
    monkeypatch.setitem(HEADS, "corrected", dict(HEADS["corrected"]))
    names: dict = {}
    for block in code_of("your-own-head"):
        exec(block, names)
    path = recording[1].with_name("corrected.parquet")
    extract(recording[0], path, contract="corrected", workers=1)
    problems = problems_of(recording[0], WindowTable(path), "corrected")
    predictions = predict_heads(problems, ["linear", "copycat"])
    pairs = zip(problems, predictions, strict=True)
    rows = [row for pair in pairs for row in evaluate(*pair, "howto", "suite")]
    answered = {row.task for row in rows if row.head == "copycat" and row.status == "ok"}
    assert len(answered) > len(TASKS) / 2
    assert {row.against for row in rows if row.head == "copycat"} >= {"linear"}


@pytest.mark.parametrize("name", TASKS_BY_NAME)
def test_every_task_has_a_card(name):
    page = tasks_page()
    task = TASKS_BY_NAME[name]
    body = page.split(f"## {name}\n")[1].split("\n## ")[0]
    assert task.question in body
    assert f"`{task.primary.name}`" in body
    assert f"{task.n_features:,} features" in body
