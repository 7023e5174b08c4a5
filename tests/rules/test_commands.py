"""Commands in README and docs are ones that exist, with the arguments and options that they take.

They are parsed as a shell and the command itself would parse them, and not run: what most of them
do is tested in the room of the verb, and the how-tos of tasks, heads and features are executed by
`tests/evaluation/test_howto.py`. Not run anywhere here: what needs the network (`make sample`,
`make record`, another tool's installation), a cluster or a second machine.
"""

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from xperience.cli import app

REPOSITORY = Path(__file__).parents[2]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
UsageError = typer.BadParameter.__base__
OURS = {".venv/bin/xperience", "xperience"}
TARGETS = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
SETTINGS = set(re.findall(r"^([A-Z_]+) \?=", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))


def commands() -> list[tuple[str, list[str]]]:
    """Return the page and the words of every command, comments and variables before it left out."""
    found = []
    for page in PAGES:
        name = page.relative_to(REPOSITORY).as_posix()
        for block in BLOCK.findall(page.read_text(encoding="utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                while words and re.match(r"[A-Z_]+=", words[0]):
                    words.pop(0)
                found += [(name, words)] if words else []
    return found


def parse(words: list[str]) -> None:
    """Parse a command's arguments without calling it; UsageError if it would be refused."""
    command, parent, rest = typer.main.get_command(app), None, words
    while isinstance(command, TyperGroup):
        parent = command.make_context(command.name, rest, parent=parent)
        _, command, rest = command.resolve_command(parent, parent._protected_args + parent.args)
    command.make_context(command.name, rest, parent=parent)


FOUND = commands()


@pytest.mark.parametrize(
    ("page", "words"),
    [(page, words) for page, words in FOUND if words[0] in OURS],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[1:]),
)
def test_a_command_takes_what_it_is_given(page, words):
    try:
        parse(words[1:])
    except UsageError as error:
        pytest.fail(f"{page}: {' '.join(words)}: {error.format_message()}")


def test_make_has_every_target_and_setting():
    made = [(page, words[1:]) for page, words in FOUND if words[0] == "make"]
    assert made
    for page, words in made:
        for word in words:
            setting, is_setting, _ = word.partition("=")
            known = setting in SETTINGS if is_setting else word in TARGETS
            assert known, f"{page}: make {' '.join(words)}"


def test_a_wrong_option_would_be_seen():
    with pytest.raises(UsageError, match="--nowhere"):
        parse(["suite", "EPISODE", "--nowhere"])
