"""Two runs side by side: zero against a copy, a difference where one is, other data refused."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from xperience.cli import app
from xperience.evaluation.metrics import labels, score
from xperience.evaluation.predictions import COLUMNS
from xperience.evaluation.records import Record, read_records, write_records
from xperience.report.compare import CompareError, compare_runs

SECTION, N = "03_tiny", 240
HEADS = {"linear": (None,), "neural": (7, 8)}
HANDS = ("hand_trajectory_forecast", "linear")


def _predictions(rng, task, head, seed):
    """Return what a head predicted: right three times in four."""
    truth = np.repeat(["pour", "stir", "wipe", "pour", "rest", "stir"], N // 6)
    base = {"contract": "corrected", "task": task, "head": head, "seed": seed}
    base |= {"window": np.arange(N), "start_frame": 5 * np.arange(N)}
    if task == "cross_modal_retrieval":
        return pd.DataFrame(base | {"error": rng.integers(1, 20, N).astype(np.float32)})
    if task == HANDS[0]:
        return pd.DataFrame(base | {"error": rng.uniform(0.01, 0.1, N).astype(np.float32)})
    if task == "object_relevance":
        truth = np.repeat(["cup", "cup|jug", "", "spoon"], N // 4)
    predicted = np.where(rng.random(N) < 0.75, truth, rng.permutation(truth))
    return pd.DataFrame(base | {"truth": truth, "predicted": predicted})


def _right(table):
    return (table["truth"] == table["predicted"]).mean()


def _macro_f1(table):
    return score("macro_f1_present", labels(table["truth"], table["predicted"])).value


SCORES = {
    "timeline_action": ("macro_f1", "1", True, _macro_f1),
    "timeline_subtask": ("accuracy", "1", True, _right),
    "object_relevance": ("exact_match", "1", True, _right),
    "cross_modal_retrieval": ("mrr", "1", True, lambda t: (1 / t["error"].astype(float)).mean()),
    HANDS[0]: ("mpjpe", "m", False, lambda t: t["error"].astype(float).mean()),
}


def _write_run(root, run, tables, *, data="0" * 64, contract="corrected", extra=()):
    """Write a run whose metric rows are those of its predictions."""
    folder, rows = root / "artifacts" / run, list(extra)
    for (task, head), found in tables.items():
        metric, unit, up, of = SCORES[task]
        base = {"run": run, "section": SECTION, "contract": contract, "task": task, "head": head}
        base |= {"metric": metric, "unit": unit, "higher_is_better": up}
        values = [float(of(one)) for one in found]
        rows.append(Record(**base, value=float(np.mean(values))))
        seeds = [one["seed"].iloc[0] for one in found]
        rows += [
            Record(**base, value=value, seed=int(seed))
            for value, seed in zip(values, seeds, strict=True)
            if len(found) > 1
        ]
    name = f"artifacts/{run}/windows/{run}.corrected.parquet"
    origin = {"notebook": {"name": SECTION}, "data": {name: data}, "parameters": {"run": run}}
    write_records(folder / "metrics" / f"{SECTION}.json", rows, origin | {"library": "1"})
    every = pd.concat([one for found in tables.values() for one in found])
    (folder / "predictions").mkdir(exist_ok=True)
    every.reindex(columns=list(COLUMNS)).to_parquet(folder / "predictions" / f"{SECTION}.parquet")


@pytest.fixture
def tables():
    rng = np.random.default_rng(7)
    return {
        (task, head): [_predictions(rng, task, head, seed) for seed in seeds]
        for task in SCORES
        for head, seeds in HEADS.items()
    }


@pytest.fixture
def root(tmp_path, monkeypatch, tables):
    """A repository with run "a" and its copy "b"."""
    monkeypatch.setenv("XPERIENCE_ROOT", str(tmp_path))
    floor = {"section": SECTION, "contract": "corrected", "task": "timeline_action"}
    floor |= {"run": "a", "head": "majority", "variant": "floor", "metric": "macro_f1"}
    _write_run(tmp_path, "a", tables, extra=[Record(**floor, value=0.1)])
    shutil.copytree(tmp_path / "artifacts" / "a", tmp_path / "artifacts" / "b")
    return tmp_path


def by_head(found):
    return {(pair.either.task, pair.either.head): pair for pair in found.pairs}


def copies(tables):
    return {key: [table.copy() for table in found] for key, found in tables.items()}


def test_a_run_against_its_copy_is_zero_everywhere(root):
    found = compare_runs("a", "b")
    whole = [pair for pair in found.pairs if pair.difference]
    assert len(whole) == len(SCORES) * len(HEADS)
    assert {(pair.difference.value, pair.verdict) for pair in whole} == {(0.0, "equal")}
    assert not any(pair.differ for pair in found.pairs)
    assert not found.other


def test_one_changed_prediction_differs_there_and_nowhere_else(root, tables):
    changed = copies(tables)
    first = changed["timeline_action", "linear"][0]
    first.loc[0, "predicted"] = "wipe" if first.loc[0, "predicted"] != "wipe" else "rest"
    _write_run(root, "b", changed)
    found = compare_runs("a", "b")
    differ = {key for key, one in by_head(found).items() if one.difference and one.differ}
    assert differ == {("timeline_action", "linear")}
    verdicts = {pair.verdict for pair in found.pairs if pair.difference}
    assert verdicts == {"equal", "no significant difference"}
    lone = next(pair for pair in found.pairs if pair.either.variant == "floor")
    assert (lone.second, lone.why, lone.verdict) == (None, "only a has this row", "")


def test_a_clear_gain_is_better_from_one_side_and_worse_from_the_other(root, tables):
    right = copies(tables)
    better = [("timeline_action", "linear"), ("timeline_action", "neural")]
    for table in (table for key in better for table in right[key]):
        table["predicted"] = table["truth"]
    right[HANDS][0]["error"] /= 2
    _write_run(root, "b", right)
    for names, said in ((("b", "a"), "better"), (("a", "b"), "worse")):
        found = by_head(compare_runs(*names))
        assert {found[key].verdict for key in (*better, HANDS)} == {said}
        row = found[better[0]].difference
        assert (row.run, row.against) == names
        assert (row.ci_low > 0) == (row.value > 0) == (row.ci_high > 0)


def test_errors_at_the_end_and_squared_ones_are_paired_by_the_columns_kept_for_them(root, tables):
    measures = {"final_frame_mpjpe": ("last_error", "m"), "mse": ("squared_error", "m²")}
    squares = (tables[HANDS][0]["error"] ** 2).astype(np.float32)
    for kept, whole in ((measures, True), ({}, False)):
        for run, factor in (("a", 1.0), ("b", 0.5)):
            base = {"run": run, "section": SECTION, "contract": "corrected", "head": "linear"}
            base |= {"task": HANDS[0], "higher_is_better": False}
            value = float((factor * squares).astype(float).mean())
            rows = [Record(**base, metric=m, unit=u, value=value) for m, (_, u) in measures.items()]
            columns = {column: factor * squares for column, _ in kept.values()}
            _write_run(root, run, {HANDS: [tables[HANDS][0].assign(**columns)]}, extra=rows)
        pairs = {pair.either.metric: pair for pair in compare_runs("a", "b").pairs}
        for metric in measures:
            row = pairs[metric].difference
            if whole:
                assert row.value == pytest.approx(float(squares.mean()) / 2, rel=1e-5)
                assert 0 < row.ci_low < row.value < row.ci_high
                assert pairs[metric].verdict == "worse"
            else:
                assert row is None
                assert "keep too little" in pairs[metric].why


def test_other_data_contracts_or_no_provenance_are_refused(root, tables):
    _write_run(root, "b", tables, data="1" * 64)
    with pytest.raises(CompareError, match="other data") as refused:
        compare_runs("a", "b")
    for run in ("a", "b"):
        assert f"artifacts/{run}/windows/{run}.corrected.parquet" in str(refused.value)
    _write_run(root, "b", tables, contract="published")
    with pytest.raises(CompareError, match="corrected and published"):
        compare_runs("a", "b")
    (root / "artifacts" / "b" / "metrics" / f"{SECTION}.provenance.json").unlink()
    with pytest.raises(CompareError, match=r"provenance\.json: cannot be read"):
        compare_runs("a", "b")
    with pytest.raises(CompareError, match="two runs"):
        compare_runs("a", "a")


def test_parameters_and_library_may_differ_and_are_listed(root):
    path = root / "artifacts" / "b" / "metrics" / f"{SECTION}.provenance.json"
    origin = json.loads(path.read_text()) | {"library": "2"}
    origin["parameters"]["n_seeds"] = 3
    path.write_text(json.dumps(origin))
    other = compare_runs("a", "b").other[SECTION]
    assert other == {"parameters.n_seeds": (None, 3), "library": ("1", "2")}


def test_predictions_of_other_samples_or_scores_are_not_paired(root, tables):
    later = copies(tables)
    later["cross_modal_retrieval", "linear"][0]["window"] += 1
    _write_run(root, "b", later)
    path = root / "artifacts" / "b" / "predictions" / f"{SECTION}.parquet"
    table = pd.read_parquet(path)
    table.assign(predicted=table["predicted"].replace("pour", "rest")).to_parquet(path)
    found = by_head(compare_runs("a", "b"))
    assert "samples or their truth" in found["cross_modal_retrieval", "linear"].why
    assert "don't give this score" in found["timeline_action", "linear"].why
    assert found[HANDS].difference.value == 0


def test_one_task_can_be_asked_for_and_an_unknown_one_is_refused(root):
    found = compare_runs("a", "b", task="object_relevance")
    assert {pair.either.task for pair in found.pairs} == {"object_relevance"}
    with pytest.raises(CompareError, match="Did you mean 'object_relevance'"):
        compare_runs("a", "b", task="object_relevanse")


def test_sections_told_from_metrics_and_sections_of_one_run_are_left_out(root):
    row = Record(run="a", section="07_told", contract="corrected", metric="claims", value=1)
    for run in ("a", "b"):
        data = {f"artifacts/{run}/metrics/{SECTION}.json": run * 64}
        path = root / "artifacts" / run / "metrics" / "07_told.json"
        write_records(path, [row], {"data": data})
    lone = row.model_copy(update={"section": "09_lone"})
    write_records(root / "artifacts" / "a" / "metrics" / "09_lone.json", [lone], {"data": {}})
    left_out = compare_runs("a", "b").left_out
    assert left_out["07_told"] == "it is told from the other sections' metrics"
    assert left_out["09_lone"] == "only a has it"


def test_the_verb_prints_and_writes_tidy_rows(root, tables):
    out = root / "m.json"
    done = CliRunner().invoke(app, ["compare", "a", "b", "--out", str(out)])
    assert done.exit_code == 0
    assert "10 rows compared sample by sample" in done.output
    rows = read_records(out)
    assert sum(row.against == "b" and row.value == 0 for row in rows) == 10
    told = json.loads(CliRunner().invoke(app, ["compare", "a", "b", "--json"]).output)
    assert len(told["rows"]) == len(rows)
    assert CliRunner().invoke(app, ["compare", "a", "c"]).exit_code == 1
