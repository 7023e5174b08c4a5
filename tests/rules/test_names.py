"""Names and docstrings of the library: a class name is used once, a listed parameter described.

A list of known exceptions fails as soon as an entry isn't needed any more.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

LIBRARY = Path(__file__).parents[2] / "lib" / "xperience"
SECTIONS = ("Parameters", "Returns", "Yields", "Attributes")

TWICE: set[str] = set()
"""Class names that occur in several modules."""

UNDESCRIBED = {"evaluation", "report", "studies"}
"""Rooms with parameters that are listed without a description."""


@cache
def trees() -> dict[str, ast.Module]:
    return {
        path.relative_to(LIBRARY).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(LIBRARY.rglob("*.py"))
    }


def classes() -> Counter[str]:
    nodes = (node for tree in trees().values() for node in ast.walk(tree))
    names = (node.name for node in nodes if isinstance(node, ast.ClassDef))
    return Counter(name for name in names if not name.startswith("_"))


def undescribed(text: str) -> Iterator[str]:
    """Yield the entries of a docstring's sections that no indented line follows."""
    lines = text.splitlines()
    for place, line in enumerate(lines[:-1]):
        if line in SECTIONS and re.fullmatch("-+", lines[place + 1]):
            body = lines[place + 2 :]
            ends = (n for n, one in enumerate(body[1:]) if re.fullmatch("-{3,}", one))
            section = body[: next(ends, len(body))]
            for entry, after in zip(section, [*section[1:], ""], strict=True):
                is_entry = bool(entry) and not entry.startswith(" ")
                if is_entry and (line != "Returns" or " : " in entry) and not after.startswith(" "):
                    yield entry


def test_a_public_class_name_occurs_once():
    assert {name for name, count in classes().items() if count > 1} == TWICE


def test_a_listed_parameter_is_described():
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    faults = [
        f"{file}: {node.name}: {entry}"
        for file, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, kinds)
        for entry in undescribed(ast.get_docstring(node) or "")
    ]
    rooms = {fault.partition("/")[0].partition(":")[0] for fault in faults}
    assert [fault for fault in faults if not fault.startswith(tuple(UNDESCRIBED))] == []
    assert rooms >= UNDESCRIBED, "these rooms describe all that they list: take them out"
