"""Notebook pairs: the .ipynb half is what its .py half says, and both keep to the house rules."""

import ast
import json
from pathlib import Path

import jupytext
import pytest

from xperience.run.notebooks import FORMATS, KERNEL, TAGS_ONLY, as_text, read_notebook

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
SOURCES = sorted(NOTEBOOKS.glob("*.py"))
MAX_CELL_LINES = 20


def test_every_notebook_is_a_pair():
    assert SOURCES
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == {path.stem for path in SOURCES}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_the_halves_say_the_same_in_short_cells_that_define_nothing(source):
    half = source.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert half == as_text(read_notebook(source)), "make pair writes the .ipynb half anew"
    header = jupytext.reads(source.read_text(encoding="utf-8"), fmt="py:percent").metadata
    assert header["kernelspec"] == KERNEL
    assert header["jupytext"]["formats"] == FORMATS
    assert header["jupytext"]["cell_metadata_filter"] == TAGS_ONLY
    assert "\n#       jupytext_version" not in source.read_text(encoding="utf-8")
    for cell in json.loads(half)["cells"]:
        if cell["cell_type"] != "code":
            continue
        assert (cell["outputs"], cell["execution_count"]) == ([], None)
        tree = ast.parse(code := "".join(cell["source"]))
        imports_only = all(isinstance(node, ast.Import | ast.ImportFrom) for node in tree.body)
        assert imports_only or len(code.splitlines()) <= MAX_CELL_LINES, code
        defined = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        assert not any(isinstance(node, defined) for node in ast.walk(tree)), code
