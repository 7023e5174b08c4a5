"""Whatever needs the extras says so, for `make test-extras` runs what says so and nothing else."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
MODULES = {"rerun-sdk": "rerun"}


def extras() -> set[str]:
    """Return the packages of the extras by the names that Python knows them by."""
    project = tomllib.loads((TESTS.parent / "pyproject.toml").read_text(encoding="utf-8"))
    optional = project["project"]["optional-dependencies"]
    names = {re.split("[>=<]", pin)[0] for kind in ("answers", "exports") for pin in optional[kind]}
    return {MODULES.get(name, name.replace("-", "_")) for name in names}


def imported(text: str) -> set[str]:
    """Return the packages that a file imports, at its top or further down."""
    names = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.append(node.module)
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize(
    "path", sorted(TESTS.rglob("test_*.py")), ids=lambda path: str(path.relative_to(TESTS))
)
def test_a_file_that_imports_an_extra_is_marked(path):
    text = path.read_text(encoding="utf-8")
    assert not (imported(text) & extras()) or "mark.extras(" in text


def test_no_test_is_skipped_for_a_package_unseen():
    found = [path.name for path in TESTS.rglob("test_*.py")
             if "importorskip" in path.read_text(encoding="utf-8")
             and "mark.extras(" not in path.read_text(encoding="utf-8")]  # fmt: skip
    assert found == []  # this file names the mark itself


def test_the_extras_are_those_of_the_project():
    assert extras() >= {"transformers", "rerun", "lemminflect", "datasets"}
