"""The chain from a sentence to its files: every link, and what becomes of each when it changes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from xperience.cli import app
from xperience.evaluation.records import Record, write_records
from xperience.features.table import TableInfo, write_table
from xperience.report.provenance import provenance
from xperience.report.selector import SelectorError, select, selector_of
from xperience.report.trace import trace
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


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with one executed run: recording, windows table, notebook, metrics, sentence."""
    monkeypatch.setenv("XPERIENCE_ROOT", str(tmp_path))
    recording = tmp_path / "artifacts" / RUN / "episode"
    recording.mkdir(parents=True)
    (recording / "annotation.hdf5").write_bytes(b"frames")
    sources = {"annotation.hdf5": file_digest(recording / "annotation.hdf5")}
    table = tmp_path / "artifacts" / RUN / "windows" / f"{RUN}.corrected.parquet"
    write_table(table, TableInfo("corrected", "episode", "", 60, 20.0, sources, {}, {}), [])
    source = tmp_path / "notebooks" / f"{SECTION}.py"
    source.parent.mkdir()
    source.write_text("from xperience import storage")
    parameters = {"run": RUN, "episode": f"artifacts/{RUN}/episode"}
    metrics = tmp_path / "artifacts" / RUN / "metrics" / f"{SECTION}.json"
    write_records(metrics, ROWS, provenance(SECTION, parameters, [table]))
    beside = metrics.with_suffix(".provenance.json")
    outputs = {_shown(path, tmp_path): file_digest(path) for path in (metrics, beside)}
    sealed = {"notebook": file_digest(source), "parameters": parameters, "outputs": outputs}
    _write(
        tmp_path / "artifacts" / RUN / "notebooks" / f"{SECTION}.ipynb",
        {"metadata": {"xperience": sealed}, "cells": []},
    )
    claim = {
        "claim": "found",
        "column": "run",
        "contract": "corrected",
        "sentence": "Linear heads find the action.",
        "rows": [ROWS[0].model_dump()],
    }
    both = {
        "claim": "compared",
        "column": "run",
        "contract": "corrected",
        "sentence": "Heads differ.",
        "rows": [ROWS[2].model_dump(), ROWS[3].model_dump()],
    }
    sources = {_shown(metrics, tmp_path): file_digest(metrics)}
    takeaways = {"sources": sources, "takeaways": [{"claims": [claim, both]}]}
    _write(tmp_path / "artifacts" / RUN / "RESEARCH_TAKEAWAYS.json", takeaways)
    return tmp_path


def _shown(path, root):
    return path.relative_to(root).as_posix()


def _write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def states(selector="timeline_action/linear/macro_f1"):
    return {
        (link.kind, link.name.rpartition("/")[2]): link.state for link in trace(selector, RUN).links
    }


def test_every_link_is_there_and_as_it_was(repository):
    found = trace("timeline_action/linear/macro_f1", RUN)
    kinds = [link.kind for link in found.links]
    assert kinds == [
        "sentence", "metrics", "provenance", "parameters", "library", "versions",
        "notebook", "executed", "data", "recording",
    ]  # fmt: skip
    assert {link.state for link in found.links} == {"same"}
    assert found.row == ROWS[0]
    assert not found.broken
    assert found.links[0].name == "Linear heads find the action."


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (f"artifacts/{RUN}/metrics/{SECTION}.provenance.json", "provenance"),
        (f"artifacts/{RUN}/episode/annotation.hdf5", "recording"),
        (f"artifacts/{RUN}/windows/{RUN}.corrected.parquet", "data"),
        (f"notebooks/{SECTION}.py", "notebook"),
    ],
)
def test_a_changed_file_is_said_and_so_is_an_absent_one(repository, path, kind):
    file = repository / path
    before = states()
    file.write_bytes(file.read_bytes() + b"\n")
    now = states()
    assert {name[0] for name, state in now.items() if state == "changed"} == {kind}
    file.unlink()
    gone = states()
    assert gone[kind, file.name] == "absent"
    assert before[kind, file.name] == "same"


def test_metrics_that_changed_break_their_sentence_too(repository):
    metrics = repository / "artifacts" / RUN / "metrics" / f"{SECTION}.json"
    metrics.write_text(metrics.read_text().replace("0.5", "0.75"))
    found = trace("timeline_action/linear/macro_f1", RUN)
    assert [link.kind for link in found.broken] == ["sentence", "metrics"]
    assert found.row.value == 0.75


def test_parameters_that_do_not_give_their_digest_are_changed(repository):
    path = repository / "artifacts" / RUN / "metrics" / f"{SECTION}.provenance.json"
    found = json.loads(path.read_text())
    found["parameters"]["n"] = 1
    _write(path, found)
    links = {link.kind: link for link in trace("linear/macro_f1", RUN).links}
    assert links["parameters"].state == "changed"
    assert "own digest" in links["parameters"].detail


def test_the_library_link_names_the_files_that_changed(repository):
    executed = repository / "artifacts" / RUN / "notebooks" / f"{SECTION}.ipynb"
    document = json.loads(executed.read_text())
    document["metadata"]["xperience"]["library"] = {"storage.py": "0" * 16}
    _write(executed, document)
    path = repository / "artifacts" / RUN / "metrics" / f"{SECTION}.provenance.json"
    found = json.loads(path.read_text())
    found["library"] = "0" * 64
    _write(path, found)
    library = next(link for link in trace("linear/macro_f1", RUN).links if link.kind == "library")
    assert library.state == "changed"
    assert "storage.py" in library.detail


def test_other_versions_are_named(repository):
    path = repository / "artifacts" / RUN / "metrics" / f"{SECTION}.provenance.json"
    found = json.loads(path.read_text())
    found["versions"]["numpy"] = "1.0.0"
    _write(path, found)
    link = next(link for link in trace("linear/macro_f1", RUN).links if link.kind == "versions")
    assert (link.state, link.detail.split()[0]) == ("changed", "numpy")


def test_a_row_that_no_sentence_uses_says_so(repository):
    first = trace("timeline_action/linear/accuracy", RUN).links[0]
    assert first.detail == "no sentence uses this row"


def test_a_row_is_traced_up_to_the_sentences_of_the_run_that_it_is_held_out_to(repository):
    """A cohort tells no takeaways of its own: those of the run that names it do."""
    own = repository / "artifacts" / RUN / "RESEARCH_TAKEAWAYS.json"
    found = json.loads(own.read_text())
    own.unlink()
    assert trace("linear/macro_f1", RUN).links[0].state == "absent"
    _write(repository / "artifacts" / "other" / own.name, found | {"heldout": "somebody"})
    assert trace("linear/macro_f1", RUN).links[0].state == "absent"
    _write(repository / "artifacts" / "other" / own.name, found | {"heldout": RUN})
    link = trace("linear/macro_f1", RUN).links[0]
    assert (link.name, link.state) == ("Linear heads find the action.", "same")
    assert link.detail == "artifacts/other/RESEARCH_TAKEAWAYS.json"


def test_a_claim_is_traced_by_its_row_or_answered_with_its_rows(repository):
    assert trace("found", RUN).row == ROWS[0]
    assert trace("found/corrected/run", RUN) == trace("found", RUN)
    with pytest.raises(SelectorError, match="a claim that rests on 2 rows") as refused:
        trace("compared", RUN)
    assert selector_of(ROWS[2]) in str(refused.value)
    assert selector_of(ROWS[3]) in str(refused.value)
    with pytest.raises(SelectorError, match="no row has 'found'"):
        trace("found/published", RUN)


def test_the_plainest_row_is_meant_and_any_other_can_be_asked_for():
    for row in ROWS:
        assert select(selector_of(row), ROWS) == row
    assert select("linear/macro_f1", ROWS) == ROWS[0]
    assert select("neural/macro_f1", ROWS) == ROWS[3]
    assert select("neural/macro_f1/7", ROWS) == ROWS[4]
    assert select("local/macro_f1", ROWS) == ROWS[5]
    assert select("local/floor", ROWS) == ROWS[5]
    assert select("03/against=majority", ROWS) == ROWS[2]


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


def test_a_run_without_metrics_is_refused_with_the_nearest_one(repository):
    with pytest.raises(SelectorError, match="Did you mean 'tiny'"):
        trace("linear", "tinny")


def test_the_verb_prints_lines_and_json(repository):
    call = ["trace", "linear/macro_f1", "--run", RUN]
    text = CliRunner().invoke(app, call)
    assert text.exit_code == 0
    assert "Linear heads find the action." in text.output
    found = json.loads(CliRunner().invoke(app, [*call, "--json"]).output)
    assert found["row"]["value"] == 0.5
    assert {link["state"] for link in found["links"]} == {"same"}
    assert str(repository) not in json.dumps(found)
    assert CliRunner().invoke(app, ["trace", "nothing", "--run", RUN]).exit_code == 1
