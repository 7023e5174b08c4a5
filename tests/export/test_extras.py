"""Optional packages: never imported on the way in, and named when they are missing."""

import ast
from pathlib import Path

import pytest

import xperience.export
from xperience.export.extras import ExportError, need

ROOM = Path(xperience.export.__file__).parent
OPTIONAL = {"rerun", "datasets", "mlcroissant"}


@pytest.mark.parametrize("path", sorted(ROOM.glob("*.py")), ids=lambda path: path.stem)
def test_nothing_optional_is_imported_by_a_module(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    assert not names & OPTIONAL


def test_a_missing_package_is_named_with_the_extra_that_brings_it():
    with pytest.raises(ExportError, match=r"'no_such_package'.*extra 'exports'.*make extras"):
        need("no_such_package")
