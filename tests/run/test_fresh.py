import json

import pytest
import yaml

from xperience.errors import NotebookError
from xperience.evaluation.records import Record, write_records
from xperience.project import metrics_path
from xperience.run import steps
from xperience.run.fresh import keep_fresh, stale
from xperience.run.plan import Plan
from xperience.storage import write_text

SAVES = """
from xperience.project import metrics_path, run_folder
from xperience.evaluation.records import Record, write_records
row = Record(run=run, section="01_tiny", contract="published", metric="n", value=n_sample_windows)
write_records(metrics_path(run, "01_tiny"), [row], {"n": n_sample_windows})
(run_folder(run) / "figures").mkdir(exist_ok=True)
(run_folder(run) / "figures" / "01_a.png").write_text("picture")
"""
PARAMETERS = 'run: str = "tiny"\nn_sample_windows: int = 3'


@pytest.fixture
def plan(root, write_notebook):
    """A run whose notebook was executed, with a stand-in for its windows table."""
    write_notebook(SAVES, parameters=PARAMETERS)
    set_params(root)
    plan = Plan.of("tiny")
    for table in plan.tables():
        write_text(table, "windows")
    steps.make_notebook(plan, "01_tiny")
    return plan


def set_params(root, seed=7, **changed):
    values = {
        "run": "tiny",
        "episode": "artifacts/tiny/episode",
        "standin": {"frames": 60, "size_px": [64, 48], "seed": seed},
        "contract": "published",
        "notebooks": ["01_tiny"],
    }
    (root / "params" / "tiny.yaml").write_text(yaml.safe_dump(values | changed))


def reasons():
    return [entry.reason for entry in stale(Plan.of("tiny"))]


def test_each_kind_of_change_makes_stale_and_only_content_counts(plan, root):
    assert reasons() == []
    source = plan.source("01_tiny")
    text = source.read_text()
    for path in (source, *plan.tables(), *plan.outputs("01_tiny")):
        path.touch()
    assert reasons() == []

    source.write_text(text + "\n# %%\n1\n")
    assert reasons() == ["changed since: notebook"]
    source.write_text(text)

    set_params(root, n_sample_windows=4)
    assert reasons() == ["changed since: parameters"]
    set_params(root, moment_frame=4)
    assert reasons() == [], "the notebook doesn't declare that parameter"
    set_params(root, seed=8)
    assert reasons() == ["changed since: origin"]
    set_params(root)

    plan.windows("published").write_text("other windows")
    assert reasons() == ["changed since: artifacts/tiny/windows/tiny.parquet"]
    assert stale(plan, data=False) == []
    for table in plan.tables():
        table.unlink()
    assert reasons() == [], "a clone has no data, which is no fault of its notebooks"


def test_an_edited_or_lost_result_is_noticed(plan):
    metrics = metrics_path("tiny", "01_tiny")
    row = Record(run="tiny", section="01_tiny", contract="published", metric="n", value=99)
    write_records(metrics, [row])
    assert reasons() == ["changed since: artifacts/tiny/metrics/01_tiny.json"]
    plan.figures("01_tiny")[0].unlink()
    assert "artifacts/tiny/figures/01_a.png" in reasons()[0]
    plan.executed("01_tiny").unlink()
    assert reasons() == ["not executed yet"]


def test_a_changed_library_file_is_named(plan):
    path = plan.executed("01_tiny")
    notebook = json.loads(path.read_text())
    library = notebook["metadata"]["xperience"]["library"]
    assert {"scoring/records.py", "simulator/write.py", "features/extract.py"} <= library.keys()
    assert "hub/download.py" not in library
    library["scoring/records.py"] = "another"
    path.write_text(json.dumps(notebook))
    assert reasons() == ["changed since: scoring/records.py"]


def test_a_clone_keeps_what_is_fresh_and_only_that(plan, root):
    assert keep_fresh(plan) == [], "with data there, the graph decides"
    for table in plan.tables():
        table.unlink()
    assert keep_fresh(plan) == ["01_tiny"]
    set_params(root, n_sample_windows=4)
    assert keep_fresh(Plan.of("tiny")) == []


def test_the_seal_holds_nothing_of_the_machine(plan, root):
    text = plan.executed("01_tiny").read_text()
    assert str(root) not in text
    assert "/lib/xperience" not in text


def test_a_section_without_scores_is_refused(root, write_notebook):
    write_notebook("print(n_sample_windows)", parameters=PARAMETERS)
    set_params(root)
    plan = Plan.of("tiny")
    for table in plan.tables():
        write_text(table, "windows")
    with pytest.raises(NotebookError, match=r"left no artifacts/tiny/metrics/01_tiny\.json"):
        steps.make_notebook(plan, "01_tiny")
    assert not plan.executed("01_tiny").exists()
