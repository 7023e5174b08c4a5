"""Notebook pairs: the .ipynb half is what its .py half says, and both keep to the house rules."""

import ast
import json
from pathlib import Path

import pytest

from xperience.run.pairs import FORMATS, KERNEL, TAGS_ONLY, header, pair_text

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
SOURCES = sorted(NOTEBOOKS.glob("*.py"))
HALVES = sorted(NOTEBOOKS.glob("*.ipynb"))
MAX_CELL_LINES = 15


def test_every_notebook_is_a_pair():
    assert [path.stem for path in SOURCES] == [path.stem for path in HALVES] != []


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_the_halves_say_the_same(source):
    half = source.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert half == pair_text(source), "make pair writes the .ipynb half anew"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_the_header_pairs_and_names_no_version(source):
    found = header(source)
    assert found["kernelspec"] == KERNEL
    assert found["jupytext"]["formats"] == FORMATS
    assert found["jupytext"]["cell_metadata_filter"] == TAGS_ONLY
    assert "jupytext_version" not in source.read_text(encoding="utf-8").split("# ---")[1].replace(
        "-jupytext.text_representation.jupytext_version", ""
    )


@pytest.mark.parametrize("half", HALVES, ids=lambda path: path.stem)
def test_cells_are_short_have_no_outputs_and_define_nothing(half):
    for cell in json.loads(half.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        source = "".join(cell["source"])
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
        tree = ast.parse(source)
        imports_only = all(isinstance(node, ast.Import | ast.ImportFrom) for node in tree.body)
        assert imports_only or len(source.splitlines()) <= MAX_CELL_LINES, source
        defined = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        assert not any(isinstance(node, defined) for node in ast.walk(tree)), source
