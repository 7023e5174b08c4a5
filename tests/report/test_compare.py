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


def _answers(rng, task, head, seed, contract="corrected"):
    """Return what a head said: right three times in four."""
    truth = np.repeat(["pour", "stir", "wipe", "pour", "rest", "stir"], N // 6)
    if task == "cross_modal_retrieval":
        said = {"error": rng.integers(1, 20, N).astype(np.float32), "unit": "rank"}
    elif task == "hand_trajectory_forecast":
        said = {"error": rng.uniform(0.01, 0.1, N).astype(np.float32), "unit": "m"}
    elif task == "object_relevance":
        sets = np.array(["cup", "cup|jug", "", "spoon"])
        truth = np.repeat(sets, N // 4)
        said = {"predicted": np.where(rng.random(N) < 0.75, truth, rng.permutation(truth))}
    else:
        said = {"predicted": np.where(rng.random(N) < 0.75, truth, rng.permutation(truth))}
    base = {"contract": contract, "task": task, "head": head, "seed": seed}
    base |= {"window": np.arange(N), "start_frame": 5 * np.arange(N)}
    return pd.DataFrame(base | ({"truth": truth} if "predicted" in said else {}) | said)


def _macro_f1(tables):
    values = [score("macro_f1_present", labels(t["truth"], t["predicted"])).value for t in tables]
    return float(np.mean(values))


SCORES = {
    "timeline_action": ("macro_f1", "1", True, _macro_f1),
    "timeline_subtask": ("accuracy", "1", True, lambda ts: np.mean(
        [(t["truth"] == t["predicted"]).mean() for t in ts])),
    "object_relevance": ("exact_match", "1", True, lambda ts: np.mean(
        [(t["truth"] == t["predicted"]).mean() for t in ts])),
    "cross_modal_retrieval": ("mrr", "1", True, lambda ts: np.mean(
        [(1 / t["error"].astype(float)).mean() for t in ts])),
    "hand_trajectory_forecast": ("mpjpe", "m", False, lambda ts: np.mean(
        [t["error"].astype(float).mean() for t in ts])),
}  # fmt: skip


def _write_run(root, run, tables, *, data="0" * 64, contract="corrected", extra=()):
    """Write a run whose metric rows are those of its predictions."""
    folder = root / "artifacts" / run
    rows = list(extra)
    for (task, head), found in tables.items():
        metric, unit, up, of = SCORES[task]
        base = {"run": run, "section": SECTION, "contract": contract, "task": task, "head": head}
        base |= {"metric": metric, "unit": unit, "higher_is_better": up}
        rows.append(Record(**base, value=float(of(found))))
        if len(found) > 1:
            rows += [
                Record(**base, value=float(of([one])), seed=int(one["seed"].iloc[0]))
                for one in found
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
        (task, head): [_answers(rng, task, head, seed) for seed in seeds]
        for task in SCORES
        for head, seeds in HEADS.items()
    }


@pytest.fixture
def root(tmp_path, monkeypatch, tables):
    monkeypatch.setenv("XPERIENCE_ROOT", str(tmp_path))
    floor = Record(
        run="a", section=SECTION, contract="corrected", task="timeline_action", head="majority",
        variant="floor", metric="macro_f1", value=0.1,
    )  # fmt: skip
    _write_run(tmp_path, "a", tables, extra=[floor])
    return tmp_path


def _edit(root, run, change):
    path = root / "artifacts" / run / "predictions" / f"{SECTION}.parquet"
    table = pd.read_parquet(path)
    table.assign(predicted=change(table)).to_parquet(path)


def test_a_run_against_its_copy_is_zero_everywhere(root):
    shutil.copytree(root / "artifacts" / "a", root / "artifacts" / "b")
    found = compare_runs("a", "b")
    whole = [pair for pair in found.pairs if pair.difference]
    assert len(whole) == len(SCORES) * len(HEADS)
    assert {pair.difference.value for pair in whole} == {0.0}
    assert {pair.verdict for pair in whole} == {"equal"}
    assert not any(pair.differ for pair in found.pairs)
    assert not found.other


def test_one_changed_prediction_differs_there_and_nowhere_else(root, tables):
    changed = {key: [table.copy() for table in found] for key, found in tables.items()}
    first = changed["timeline_action", "linear"][0]
    first.loc[0, "predicted"] = "wipe" if first.loc[0, "predicted"] != "wipe" else "rest"
    _write_run(root, "b", changed)
    found = compare_runs("a", "b")
    other = {
        (pair.either.task, pair.either.head)
        for pair in found.pairs
        if pair.difference and pair.difference.value != 0
    }
    assert other == {("timeline_action", "linear")}
    assert {pair.verdict for pair in found.pairs if pair.difference} <= {"equal", "can't tell"}


def test_a_clear_gain_is_better_from_one_side_and_worse_from_the_other(root, tables):
    right = {key: [table.copy() for table in found] for key, found in tables.items()}
    for key in (("timeline_action", "linear"), ("timeline_action", "neural")):
        for table in right[key]:
            table["predicted"] = table["truth"]
    right["hand_trajectory_forecast", "linear"][0]["error"] /= 2
    _write_run(root, "b", right)
    for names, said in ((("b", "a"), "better"), (("a", "b"), "worse")):
        found = compare_runs(*names)
        verdicts = {(p.either.task, p.either.head): p.verdict for p in found.pairs if p.difference}
        assert verdicts["timeline_action", "linear"] == said
        assert verdicts["timeline_action", "neural"] == said
        assert verdicts["hand_trajectory_forecast", "linear"] == said
        row = next(p.difference for p in found.pairs if p.verdict == said)
        assert (row.run, row.against) == names
        assert (row.ci_low > 0) == (row.value > 0) == (row.ci_high > 0)


FRAME_MEANS = {"final_frame_mpjpe": ("last_error", "m"), "mse": ("squared_error", "m²")}


def test_errors_at_the_end_and_squared_ones_are_paired_by_the_columns_kept_for_them(root, tables):
    hands = ("hand_trajectory_forecast", "linear")
    kept = {"a": tables[hands][0].copy(), "b": tables[hands][0].copy()}
    for run, factor in (("a", 1.0), ("b", 0.5)):
        base = {"run": run, "section": SECTION, "contract": "corrected", "head": "linear",
                "task": hands[0], "higher_is_better": False}  # fmt: skip
        rows = []
        for metric, (column, unit) in FRAME_MEANS.items():
            values = (factor * tables[hands][0]["error"] ** 2).astype(np.float32)
            kept[run][column] = values
            value = float(values.astype(float).mean())
            rows.append(Record(**base, metric=metric, unit=unit, value=value))
        _write_run(root, run, {hands: [kept[run]]}, extra=rows)
    pairs = {pair.either.metric: pair for pair in compare_runs("a", "b").pairs}
    for metric in FRAME_MEANS:
        row = pairs[metric].difference
        assert row.value == pytest.approx((tables[hands][0]["error"] ** 2).mean() / 2, rel=1e-5)
        assert 0 < row.ci_low < row.value < row.ci_high
        assert pairs[metric].verdict == "worse"


def test_runs_of_before_those_columns_say_that_they_keep_too_little(root, tables):
    hands = ("hand_trajectory_forecast", "linear")
    base = {"section": SECTION, "contract": "corrected", "head": "linear", "task": hands[0],
            "higher_is_better": False, "metric": "mse", "unit": "m²", "value": 0.1}  # fmt: skip
    for run in ("a", "b"):
        _write_run(root, run, {hands: tables[hands]}, extra=[Record(run=run, **base)])
    (pair,) = (one for one in compare_runs("a", "b").pairs if one.either.metric == "mse")
    assert pair.difference is None
    assert "keep too little" in pair.why


def test_other_data_are_refused_by_name(root, tables):
    _write_run(root, "b", tables, data="1" * 64)
    with pytest.raises(CompareError, match="other data") as refused:
        compare_runs("a", "b")
    assert "artifacts/a/windows/a.corrected.parquet" in str(refused.value)
    assert "artifacts/b/windows/b.corrected.parquet" in str(refused.value)


def test_other_contracts_are_refused(root, tables):
    _write_run(root, "b", tables, contract="published")
    with pytest.raises(CompareError, match="corrected and published"):
        compare_runs("a", "b")


def test_a_run_without_provenance_is_refused(root):
    shutil.copytree(root / "artifacts" / "a", root / "artifacts" / "b")
    (root / "artifacts" / "b" / "metrics" / f"{SECTION}.provenance.json").unlink()
    with pytest.raises(CompareError, match=r"provenance\.json: cannot be read"):
        compare_runs("a", "b")


def test_parameters_and_library_may_differ_and_are_listed(root):
    shutil.copytree(root / "artifacts" / "a", root / "artifacts" / "b")
    path = root / "artifacts" / "b" / "metrics" / f"{SECTION}.provenance.json"
    origin = json.loads(path.read_text())
    origin["parameters"]["n_seeds"] = 3
    origin["library"] = "2"
    path.write_text(json.dumps(origin))
    other = compare_runs("a", "b").other[SECTION]
    assert other == {"parameters.n_seeds": (None, 3), "library": ("1", "2")}


def test_predictions_that_do_not_give_the_score_are_not_paired(root):
    shutil.copytree(root / "artifacts" / "a", root / "artifacts" / "b")
    _edit(root, "b", lambda table: table["predicted"].replace("pour", "rest"))
    found = {(p.either.task, p.either.head): p for p in compare_runs("a", "b").pairs}
    assert "don't give this score" in found["timeline_action", "linear"].why
    assert found["hand_trajectory_forecast", "linear"].difference.value == 0


def test_predictions_of_other_samples_are_not_paired(root, tables):
    later = {key: [table.copy() for table in found] for key, found in tables.items()}
    later["cross_modal_retrieval", "linear"][0]["window"] += 1
    _write_run(root, "b", later)
    found = {(p.either.task, p.either.head): p for p in compare_runs("a", "b").pairs}
    assert "samples or their truth" in found["cross_modal_retrieval", "linear"].why


def test_unpaired_rows_stand_side_by_side_and_say_so(root, tables):
    _write_run(root, "b", tables)
    lone = next(p for p in compare_runs("a", "b").pairs if p.either.variant == "floor")
    assert (lone.second, lone.why) == (None, "only a has this row")
    assert lone.verdict == ""


def test_one_task_can_be_asked_for_and_an_unknown_one_is_refused(root):
    shutil.copytree(root / "artifacts" / "a", root / "artifacts" / "b")
    found = compare_runs("a", "b", task="object_relevance")
    assert {pair.either.task for pair in found.pairs} == {"object_relevance"}
    with pytest.raises(CompareError, match="Did you mean 'object_relevance'"):
        compare_runs("a", "b", task="object_relevanse")
    with pytest.raises(CompareError, match="two runs"):
        compare_runs("a", "a")


def test_sections_told_from_metrics_and_sections_of_one_run_are_left_out(root):
    shutil.copytree(root / "artifacts" / "a", root / "artifacts" / "b")
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
    _write_run(root, "b", tables)
    out = root / "m.json"
    done = CliRunner().invoke(app, ["compare", "a", "b", "--out", str(out)])
    assert done.exit_code == 0
    assert "10 rows compared sample by sample" in done.output
    rows = read_records(out)
    assert sum(row.against == "b" and row.value == 0 for row in rows) == 10
    told = json.loads(CliRunner().invoke(app, ["compare", "a", "b", "--json"]).output)
    assert len(told["rows"]) == len(rows)
    assert CliRunner().invoke(app, ["compare", "a", "c"]).exit_code == 1
