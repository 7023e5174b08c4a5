"""A run is compared with its committed reference, and becomes it only when asked to."""

import json
import shutil

import pytest
import yaml
from typer.testing import CliRunner

from xperience.errors import ParamsError
from xperience.evaluation.records import Record, write_records
from xperience.run import verbs
from xperience.run.plan import RECORD, TAKEAWAYS, RunPlan
from xperience.run.reproduction import compare_with_reference, reproduces, told
from xperience.storage import write_text

SAVES = """
from xperience.evaluation.records import Record, write_records
from xperience.project import metrics_path
row = Record(run=run, section="01_tiny", contract="corrected", metric="n", value=n_seeds)
write_records(metrics_path(run, "01_tiny"), [row], {"data": {}})
"""
PARAMETERS = 'run: str = "tiny"\nn_seeds: int = 3\npublished: str = "record"'
NAME = "01_tiny"


def set_params(root, **changed):
    values = {
        "run": "tiny",
        "episode": "artifacts/tiny/episode",
        "standin": {"frames": 60, "size_px": [64, 48], "seed": 7},
        "contract": "published",
        "notebooks": [NAME],
        "published": "record",
    }
    (root / "params" / "tiny.yaml").write_text(yaml.safe_dump(values | changed))


def rows(name):
    """A score, its difference from a baseline, a network's score, and a count."""
    plain = {"run": "tiny", "section": name, "contract": "corrected"}
    score = plain | {"task": "t", "metric": "mae", "higher_is_better": False, "head": "linear"}
    gap = score | {"against": "mean", "value": -0.25, "ci_low": -0.5, "ci_high": -0.125}
    network = score | {"head": "neural", "value": 2.0, "spread": 0.01, "n_seeds": 5}
    count = plain | {"metric": "n", "value": 7.0}
    return [Record(**one) for one in (score | {"value": 3.5}, gap, network, count)]


def write_run(root, write_notebook, name):
    """Write the results of a run and the same as its reference; return its plan."""
    write_notebook("n_seeds", name=name, parameters=PARAMETERS)
    set_params(root, notebooks=[name])
    plan = RunPlan.of("tiny")
    for side in (plan, plan.reference):
        write_records(side.outputs(name)[0], rows(name), {"processor": "a processor"})
        write_text(side.executed(name), "{}")
    return plan


@pytest.fixture
def plan(root, write_notebook):
    return write_run(root, write_notebook, NAME)


def change(plan, head, **fields):
    """Change fields of a row of the reference, found by its head and whether it is a difference."""
    path = plan.reference.outputs(NAME)[0]
    rows = json.loads(path.read_text())
    chosen = [row for row in rows if (row["head"], row["against"]) == head]
    assert chosen
    for row in chosen:
        row.update(fields)
    path.write_text(json.dumps(rows))


def test_the_takeaways_read_the_same_files_before_a_run_and_after_it(root, write_notebook):
    name = "01_benchmark_contract"
    write_notebook("n_seeds", name=TAKEAWAYS, parameters='run: str = "tiny"')
    write_run(root, write_notebook, name)
    set_params(root, notebooks=[name, TAKEAWAYS])
    plan = RunPlan.of("tiny")
    after = plan.reads(TAKEAWAYS)
    shutil.rmtree(plan.folder)
    assert after == plan.reads(TAKEAWAYS) == plan.outputs(name)[:1]


@pytest.mark.parametrize(
    ("head", "fields", "state", "n_verdicts"),
    [
        (("linear", None), {"value": 3.5 + 1e-7}, "within tolerance", 0),
        (("linear", None), {"value": 3.6}, "different", 0),
        (("linear", "mean"), {"ci_high": 0.5}, "different", 1),
        (("neural", None), {"value": 2.03}, "within tolerance", 0),
        (("neural", None), {"value": 2.5}, "different", 0),
        ((None, None), {"value": 8.0}, "different", 0),
    ],
)
def test_rows_are_equal_within_the_tolerance_of_their_kind_or_different(
    plan, head, fields, state, n_verdicts
):
    whole = compare_with_reference(plan)
    assert whole["counts"] == {"equal": 4}
    assert reproduces(whole)

    change(plan, head, **fields)
    found = compare_with_reference(plan)
    assert found["counts"] == {"equal": 3, state: 1}
    assert len(found["different"]) == (state == "different")
    assert len(found["verdicts"]["changed"]) == n_verdicts
    assert reproduces(found) == (state != "different")
    for one in found["different"]:
        assert f"different: {one['row']}" in told(found)


def test_rows_of_one_side_only_are_named(plan):
    path = plan.reference.outputs(NAME)[0]
    path.write_text(json.dumps(json.loads(path.read_text())[1:]))
    found = compare_with_reference(plan)
    assert found["counts"] == {"equal": 3, "only here": 1}
    assert found["different"][0]["reference"] is None
    assert not reproduces(found)


def test_the_terminal_says_it_and_the_exit_status_follows(plan):
    run = CliRunner().invoke
    assert run(verbs.app, ["reproduced", "tiny"]).exit_code == 1, "not compared yet"
    verbs.compare("tiny")
    said = run(verbs.app, ["reproduced", "tiny"])
    assert (said.exit_code, "4 equal; verdicts: 1 of 1 the same" in said.output) == (0, True)
    change(plan, ("linear", "mean"), ci_high=0.5)
    verbs.compare("tiny")
    said = run(verbs.app, ["reproduced", "tiny"])
    assert said.exit_code == 1
    assert "no significant difference in the reference, better here" in said.output


def test_only_fresh_results_become_the_reference(root, write_notebook):
    write_notebook(SAVES, parameters=PARAMETERS)
    set_params(root)
    plan = RunPlan.of("tiny")
    with pytest.raises(ParamsError, match="not executed yet"):
        verbs.publish("tiny")
    for table in plan.tables():
        write_text(table, "windows")
    verbs.notebook(NAME, "tiny")
    verbs.publish("tiny")
    assert reproduces(compare_with_reference(plan))
    before = {path: path.read_bytes() for path in plan.reference.folder.rglob("*.*")}
    set_params(root, n_seeds=4)
    with pytest.raises(ParamsError, match="parameters"):
        verbs.publish("tiny")
    assert {path: path.read_bytes() for path in before} == before


def test_without_the_record_its_committed_notebook_is_kept(root, write_notebook):
    plan = write_run(root, write_notebook, RECORD)
    shutil.rmtree(plan.folder)
    verbs.notebook(RECORD, "tiny")
    for one, committed in zip(plan.deliverables(), plan.reference.deliverables(), strict=True):
        assert one.read_bytes() == committed.read_bytes()
    found = compare_with_reference(plan)
    assert [one["notebook"] for one in found["kept"]] == [RECORD]
    assert "kept, not executed: 08_published_record" in told(found)
    assert found["counts"] == {}, "what was not executed proves nothing"
    (root / "record").mkdir()
    assert plan.kept(RECORD) is None
