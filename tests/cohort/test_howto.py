"""The page on many episodes calls verbs and options that exist."""

import re
import shlex

import pytest
from typer.main import get_command

from xperience.cli import app
from xperience.project import at_root

PAGE = at_root("docs/howto/many-episodes.md")


def commands():
    """Return the words of every call of `xperience cohort` on the page."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    calls = [shlex.split(line, comments=True) for line in lines]
    return [call[2:] for call in calls if call[:2] == [".venv/bin/xperience", "cohort"]]


@pytest.mark.parametrize("call", commands(), ids=" ".join)
def test_a_call_is_one_that_can_be_made(call):
    cohort = get_command(app).commands["cohort"]
    verb = cohort.commands[call[0]]
    verb.make_context(call[0], call[1:])  # a wrong option, value or number of words raises


def test_the_page_calls_something():
    assert {call[0] for call in commands()} >= {"choose", "rebalance", "overlap", "cost"}
