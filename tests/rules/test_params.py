"""Params files, the model that checks them, and the notebooks' parameters cells agree."""

import inspect
import re
from pathlib import Path

import pytest

from xperience.params import RunParams, load_params
from xperience.project import NOTE
from xperience.run.notebooks import check_parameters, declared_parameters
from xperience.text import read_yaml

REPOSITORY = Path(__file__).parents[2]
RUNS = ("standin", "smoke", "sample")
SOURCES = sorted((REPOSITORY / "notebooks").glob("*.py"))
STRUCTURE = {
    "notebooks", "standin", "sample", "family", "n_shards", "api", "discard", "companions",
}  # fmt: skip
LAST = "07_takeaways"
"""It reads what all others wrote."""
FEWER = ("n_seeds", "companions", "api")
"""Settings that make a run shorter, not another one."""
READ_NO_RECORDING = {"08_published_record"}


@pytest.mark.parametrize("run", RUNS)
def test_a_params_file_is_valid_and_names_notebooks_that_exist(run):
    params = load_params(run)
    assert set(params.notebooks) <= {path.stem for path in SOURCES}
    assert params.notebooks == sorted(params.notebooks, key=lambda name: (name == LAST, name))


@pytest.mark.parametrize("run", RUNS)
def test_every_value_is_commented(run):
    lines = (REPOSITORY / "params" / f"{run}.yaml").read_text(encoding="utf-8").splitlines()
    values = [line for line in lines if re.match(r"\s*\w+:", line)]
    assert [line for line in values if "  # " not in line] == []


def test_the_smoke_run_is_the_standins_on_less():
    smoke, standin = (load_params(run).model_dump() for run in ("smoke", "standin"))
    differing = {key for key in standin if smoke[key] != standin[key]}
    assert differing - set(FEWER) == {"run", "episode", "standin", "notebooks"}
    assert all(smoke[key] <= standin[key] for key in FEWER)
    assert set(standin["notebooks"]) - set(smoke["notebooks"]) == READ_NO_RECORDING
    assert set(smoke["notebooks"]) <= set(standin["notebooks"])


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_notebooks_defaults_are_the_standins(source):
    declared = declared_parameters(source)
    assert set(declared) <= set(RunParams.model_fields), "declare it in RunParams too"
    owner = next(run for run in ("standin", "family") if source.stem in load_params(run).notebooks)
    given = load_params(owner).for_notebook(list(declared))
    check_parameters(given, declared, source.name)
    assert {name: declared[name] for name in given} == given
    for name in set(declared) - set(given):
        assert declared[name] == RunParams.model_fields[name].default


def test_the_published_network_is_trained_where_the_note_reports_it():
    figures = read_yaml(REPOSITORY / NOTE, NOTE)["figures"]
    scores = [figure["score"] for figure in figures if "score" in figure]
    reported = {task for task, head, _ in scores if head == "neural"}
    assert set(RunParams.model_fields["published_networks"].default) == reported


def test_every_parameter_is_one_that_some_notebook_declares():
    declared = {name for source in SOURCES for name in declared_parameters(source)}
    assert set(RunParams.model_fields) - STRUCTURE == declared


def test_every_field_is_described():
    lines = inspect.getsource(RunParams).splitlines()
    for name in RunParams.model_fields:
        place = next(n for n, line in enumerate(lines) if line.startswith(f"    {name}: "))
        assert "  #: " in lines[place] or lines[place - 1].startswith("    #: "), name
