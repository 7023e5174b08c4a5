"""An executed notebook is fresh while the content of all that it follows from is the same."""

import json

import pytest
import yaml

from xperience.errors import NotebookError
from xperience.run import verbs
from xperience.run.fresh import stale
from xperience.run.plan import RunPlan
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
    plan = RunPlan.of("tiny")
    for table in plan.tables():
        write_text(table, "windows")
    verbs.notebook("01_tiny", "tiny")
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
    return [entry.reason for entry in stale(RunPlan.of("tiny"))]


def test_each_kind_of_change_makes_stale_and_only_content_counts(plan, root):
    assert reasons() == []
    source, executed = plan.source("01_tiny"), plan.executed("01_tiny")
    assert not any(words in executed.read_text() for words in (str(root), "/lib/xperience"))
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

    notebook = json.loads(executed.read_text())
    library = notebook["metadata"]["xperience"]["library"]
    assert {"evaluation/records.py", "standin/write.py", "features/extract.py"} <= library.keys()
    assert "hub/download.py" not in library
    changed = json.loads(executed.read_text())
    changed["metadata"]["xperience"]["library"]["evaluation/records.py"] = "another"
    executed.write_text(json.dumps(changed))
    assert reasons() == ["changed since: evaluation/records.py"]
    executed.write_text(json.dumps(notebook))

    plan.windows("published").write_text("other windows")
    assert reasons() == ["changed since: artifacts/tiny/windows/tiny.parquet"]
    assert stale(plan, data=False) == []
    for table in plan.tables():
        table.unlink()
    assert reasons() == [], "a clone has no data, which is no fault of its notebooks"

    plan.outputs("01_tiny")[0].write_text("[]")
    assert reasons() == ["changed since: artifacts/tiny/metrics/01_tiny.json"]
    plan.figures("01_tiny")[0].unlink()
    assert "artifacts/tiny/figures/01_a.png" in reasons()[0]
    executed.unlink()
    assert reasons() == ["not executed yet"]


def test_a_section_without_scores_is_refused(root, write_notebook):
    write_notebook("print(n_sample_windows)", parameters=PARAMETERS)
    set_params(root)
    plan = RunPlan.of("tiny")
    for table in plan.tables():
        write_text(table, "windows")
    with pytest.raises(NotebookError, match=r"left no artifacts/tiny/metrics/01_tiny\.json"):
        verbs.notebook("01_tiny", "tiny")
    assert not plan.executed("01_tiny").exists()
