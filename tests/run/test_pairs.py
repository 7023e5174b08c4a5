import json
import os

import pytest

from xperience.errors import NotebookError
from xperience.run.pairs import write_pair


def test_the_notebook_half_follows_from_the_text_half(write_notebook):
    source = write_notebook("print(1)", "print(1)")
    assert write_pair(source)
    first = source.with_suffix(".ipynb").read_bytes()
    assert not write_pair(source), "nothing to do the second time"
    source.with_suffix(".ipynb").unlink()
    write_pair(source)
    assert source.with_suffix(".ipynb").read_bytes() == first
    notebook = json.loads(first)
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids), "equal cells have different ids"
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert b'jupytext_version":' not in first


def test_edits_in_the_younger_notebook_half_are_not_lost(write_notebook):
    source = write_notebook("print(1)")
    write_pair(source)
    half = source.with_suffix(".ipynb")
    half.write_text(half.read_text().replace("print(1)", "print(2)"))
    os.utime(source, ns=(0, 0))
    with pytest.raises(NotebookError, match="is the younger one"):
        write_pair(source)
    source.touch()
    os.utime(half, ns=(0, 0))
    assert write_pair(source)
