"""The page on Qwen3-Omni calls verbs and options that exist."""

import re
import shlex

import pytest
from typer.main import get_command

from xperience.cli import app
from xperience.features.windows import WINDOW_FRAMES
from xperience.project import at_root
from xperience.qwen.clips import ExportSettings

PAGE = at_root("docs/howto/qwen3-omni.md")


def commands():
    """Return the words of every call of `xperience` on the page."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    calls = [shlex.split(line, comments=True) for line in lines]
    return [call[1:] for call in calls if call and call[0].endswith("xperience")]


@pytest.mark.parametrize("call", commands(), ids=" ".join)
def test_a_call_is_one_that_can_be_made(call):
    verb, words = get_command(app), list(call)
    while hasattr(verb, "commands"):
        verb = verb.commands[words.pop(0)]
    verb.make_context(call[0], words)  # a wrong option, value or number of words raises


def test_the_page_calls_something():
    assert {tuple(call[:2]) for call in commands()} >= {
        ("answers", "export"), ("answers", "baseline"),
    }  # fmt: skip


def test_the_page_names_the_defaults():
    text, settings = PAGE.read_text(encoding="utf-8"), ExportSettings()
    width, height = settings.tile_px
    assert f"of {width}×{height} pixels" in text
    assert f"at most {settings.listed_options}\n" in text
    assert (settings.fps, settings.lead_s) == (4, (2, 4))
    assert "Four frames a second" in text
    assert "two to four seconds" in text
    assert f"{WINDOW_FRAMES} frames" in text
