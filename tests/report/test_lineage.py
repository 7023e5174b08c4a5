"""The way from a sentence to its files: every link, and what becomes of each when it changes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from xperience.cli import app
from xperience.evaluation.records import Record, write_records
from xperience.features.table import TableInfo, write_table
from xperience.report.lineage import SelectorError, select, selector_of, trace
from xperience.report.provenance import provenance, shown_path
from xperience.storage import file_digest

RUN, SECTION = "tiny", "03_tiny"
BASE = {"run": RUN, "section": SECTION, "contract": "corrected", "task": "timeline_action"}
ROWS = [
    Record(**BASE, head="linear", metric="macro_f1", value=0.5),
    Record(**BASE, head="linear", metric="accuracy", value=0.6),
    Record(**BASE, head="linear", metric="macro_f1", against="majority", value=0.25),
    Record(**BASE, head="neural", metric="macro_f1", value=0.4),
    Record(**BASE, head="neural", metric="macro_f1", value=0.3, seed=7),
    Record(**BASE, head="majority", metric="macro_f1", variant="local/floor", value=0.1),
]
SENTENCE = "Linear heads find the action."
FIRST = "timeline_action/linear/macro_f1"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The folder of an executed run: recording, windows table, notebook, metrics, sentences."""
    monkeypatch.setenv("XPERIENCE_ROOT", str(tmp_path))
    run = tmp_path / "artifacts" / RUN
    (run / "episode").mkdir(parents=True)
    (run / "episode" / "annotation.hdf5").write_bytes(b"frames")
    sources = {"annotation.hdf5": file_digest(run / "episode" / "annotation.hdf5")}
    table = run / "windows" / f"{RUN}.corrected.parquet"
    write_table(table, TableInfo("corrected", "episode", "", 60, 20.0, sources, {}, {}), [])
    source = tmp_path / "notebooks" / f"{SECTION}.py"
    source.parent.mkdir()
    source.write_text("from xperience import storage")
    parameters = {"run": RUN, "episode": f"artifacts/{RUN}/episode"}
    metrics = run / "metrics" / f"{SECTION}.json"
    origin = provenance(SECTION, parameters, [table])
    write_records(metrics, ROWS, origin)
    assert provenance(SECTION, parameters, [shown_path(table)]) == origin
    assert str(tmp_path) not in json.dumps(origin)
    outputs = {shown_path(p): file_digest(p) for p in (metrics, provenance_of(run))}
    sealed = {"notebook": file_digest(source), "parameters": parameters, "outputs": outputs}
    write(executed_of(run), {"metadata": {"xperience": sealed}, "cells": []})
    where = {"column": "run", "contract": "corrected"}
    one = {"claim": "found", "sentence": SENTENCE, "rows": [ROWS[0].model_dump()]} | where
    both = {"claim": "compared", "sentence": "Heads differ."} | where
    both["rows"] = [ROWS[2].model_dump(), ROWS[3].model_dump()]
    sources = {shown_path(metrics): file_digest(metrics)}
    takeaways = {"sources": sources, "takeaways": [{"claims": [one, both]}]}
    write(run / "RESEARCH_TAKEAWAYS.json", takeaways)
    return run


def provenance_of(run):
    return run / "metrics" / f"{SECTION}.provenance.json"


def executed_of(run):
    return run / "notebooks" / f"{SECTION}.ipynb"


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def link_of(kind):
    return next(link for link in trace("linear/macro_f1", RUN).links if link.kind == kind)


def states():
    return {(one.kind, one.name.rpartition("/")[2]): one.state for one in trace(FIRST, RUN).links}


def test_every_link_is_there_and_as_it_was(run):
    found = trace(FIRST, RUN)
    assert [link.kind for link in found.links] == [
        "sentence", "metrics", "provenance", "parameters", "library", "versions",
        "notebook", "executed", "data", "recording",
    ]  # fmt: skip
    assert {link.state for link in found.links} == {"same"}
    assert (found.row, found.links[0].name) == (ROWS[0], SENTENCE)
    unused = trace("timeline_action/linear/accuracy", RUN).links[0]
    assert unused.detail == "no sentence uses this row"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (f"artifacts/{RUN}/metrics/{SECTION}.provenance.json", "provenance"),
        (f"artifacts/{RUN}/episode/annotation.hdf5", "recording"),
        (f"artifacts/{RUN}/windows/{RUN}.corrected.parquet", "data"),
        (f"notebooks/{SECTION}.py", "notebook"),
    ],
)
def test_a_changed_file_is_said_and_so_is_an_absent_one(run, path, kind):
    file = run.parents[1] / path
    assert states()[kind, file.name] == "same"
    file.write_bytes(file.read_bytes() + b"\n")
    assert {name[0] for name, state in states().items() if state == "changed"} == {kind}
    file.unlink()
    assert states()[kind, file.name] == "absent"


def test_metrics_that_changed_break_their_sentence_too(run):
    metrics = run / "metrics" / f"{SECTION}.json"
    metrics.write_text(metrics.read_text().replace("0.5", "0.75"))
    found = trace(FIRST, RUN)
    assert [one.kind for one in found.links if one.state == "changed"] == ["sentence", "metrics"]
    assert found.row.value == 0.75


@pytest.mark.parametrize(
    ("kind", "key", "value", "said"),
    [
        ("parameters", "parameters", {"n": 1}, "own digest"),
        ("versions", "versions", {"numpy": "1.0.0"}, "numpy is"),
        ("library", "library", "0" * 64, "storage.py"),
    ],
)
def test_what_changed_in_the_provenance_is_named(run, kind, key, value, said):
    document = json.loads(executed_of(run).read_text())
    document["metadata"]["xperience"]["library"] = {"storage.py": "0" * 16}
    write(executed_of(run), document)
    write(provenance_of(run), json.loads(provenance_of(run).read_text()) | {key: value})
    link = link_of(kind)
    assert link.state == "changed"
    assert said in link.detail


def test_a_row_is_traced_up_to_the_sentences_of_the_run_that_it_is_held_out_to(run):
    """A cohort tells no takeaways of its own: those of the run that names it do."""
    own = run / "RESEARCH_TAKEAWAYS.json"
    found = json.loads(own.read_text())
    own.unlink()
    other = run.parent / "other" / own.name
    for heldout, state in ((None, "absent"), ("somebody", "absent"), (RUN, "same")):
        write(other, found | {"heldout": heldout})
        assert link_of("sentence").state == state
    assert link_of("sentence").name == SENTENCE
    assert link_of("sentence").detail == "artifacts/other/RESEARCH_TAKEAWAYS.json"


def test_a_claim_is_traced_by_its_row_or_answered_with_its_rows(run):
    assert trace("found", RUN).row == ROWS[0]
    assert trace("found/corrected/run", RUN) == trace("found", RUN)
    with pytest.raises(SelectorError, match="a claim that rests on 2 rows") as refused:
        trace("compared", RUN)
    assert all(selector_of(row) in str(refused.value) for row in ROWS[2:4])
    with pytest.raises(SelectorError, match="no row has 'found'"):
        trace("found/published", RUN)
    with pytest.raises(SelectorError, match="Did you mean 'tiny'"):
        trace("linear", "tinny")


def test_the_plainest_row_is_meant_and_any_other_can_be_asked_for():
    for row in ROWS:
        assert select(selector_of(row), ROWS) == row
    asked = {
        "linear/macro_f1": 0, "neural/macro_f1": 3, "neural/macro_f1/7": 4, "local/macro_f1": 5,
        "local/floor": 5, "03/against=majority": 2,
    }  # fmt: skip
    assert {words: ROWS.index(select(words, ROWS)) for words in asked} == asked


@given(st.permutations(["03_tiny", "corrected", "timeline_action", "linear", "macro_f1"]))
def test_words_may_stand_in_any_order(words):
    assert select("/".join(words), ROWS) == ROWS[0]


@pytest.mark.parametrize(
    ("selector", "said"),
    [
        ("timeline_acton", "Did you mean 'timeline_action'"),
        ("head=linaer", "Did you mean 'linear'"),
        ("againts=majority", "Did you mean 'against'"),
        ("macro_f1", "timeline_action/neural/macro_f1"),
        ("neural/accuracy", "none of those that 'neural' leaves"),
    ],
)
def test_words_that_mean_no_row_or_several_are_refused_with_the_way_out(selector, said):
    with pytest.raises(SelectorError, match="expected") as refused:
        select(selector, ROWS)
    assert said in str(refused.value)


def test_the_verb_prints_lines_and_json(run):
    call = ["trace", "linear/macro_f1", "--run", RUN]
    assert SENTENCE in CliRunner().invoke(app, call).output
    found = json.loads(CliRunner().invoke(app, [*call, "--json"]).output)
    assert found["row"]["value"] == 0.5
    assert {link["state"] for link in found["links"]} == {"same"}
    assert str(run.parents[1]) not in json.dumps(found)
    assert CliRunner().invoke(app, ["trace", "nothing", "--run", RUN]).exit_code == 1


def test_a_path_elsewhere_is_shown_by_its_end(tmp_path, monkeypatch):
    monkeypatch.setenv("XPERIENCE_ROOT", str(tmp_path / "repo"))
    assert shown_path(tmp_path / "far" / "small" / "a.hdf5") == "small/a.hdf5"
