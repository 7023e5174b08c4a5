"""Whatever needs the extras says so, for `make test-extras` runs what says so and nothing else."""

import ast
import re
import tomllib
from pathlib import Path

TESTS = Path(__file__).parents[1]
MODULES = {"rerun-sdk": "rerun"}


def imported(text: str) -> set[str]:
    """Return the packages that a file imports, at its top or further down."""
    names = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.append(node.module)
    return {name.split(".")[0] for name in names}


def test_a_file_that_imports_an_extra_is_marked_and_nothing_is_skipped_unseen():
    project = tomllib.loads((TESTS.parent / "pyproject.toml").read_text(encoding="utf-8"))
    optional = project["project"]["optional-dependencies"]
    kinds = ("answers", "exports", "learned")
    pins = [re.split("[>=<]", pin)[0] for kind in kinds for pin in optional[kind]]
    extras = {MODULES.get(name, name.replace("-", "_")) for name in pins}
    assert extras >= {
        "transformers",
        "rerun",
        "lemminflect",
        "datasets",
        "efficientnet_lite_pytorch",
    }
    for path in sorted(TESTS.rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        needs_mark = imported(text) & extras or "importorskip" in text
        assert not needs_mark or "mark.extras(" in text, path
