"""How commands end: one line for what went wrong, nothing for a reader that left, any encoding."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from xperience.cli import app
from xperience.console import FOLDER, Verbs
from xperience.errors import FileError
from xperience.outputs import check_writable

ODD = "录制 ✓ …"


def one_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    assert len(lines) == 1, text
    return lines[0]


def verbs_with(body: Callable[[], None]) -> typer.Typer:
    made = Verbs()
    made.callback()(lambda: None)
    made.command("do")(body)
    return made


def test_the_console_may_have_any_encoding(
    tmp_path: Path, command: Callable, builder: object
) -> None:
    folder = builder.write_episode(tmp_path / ODD, 20)
    document = builder.get(folder, "caption").replace(b"Making tea", ODD.encode())
    builder.put(folder, caption=document)
    env = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = command("inspect", folder, env=env, text=False)
    assert done.returncode == 0, done.stderr
    assert b"main task" in done.stdout
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8", "gb2312"])
def test_an_error_names_any_place_in_any_encoding(encoding: str) -> None:
    """What comes of a file name that is not even UTF-8 is an escape."""

    def refused() -> None:
        print(ODD, flush=True)
        raise FileError(f"{ODD} \udcff", "is there", "nothing", "Go.")

    done = CliRunner(charset=encoding).invoke(verbs_with(refused), ["do"])
    assert done.exit_code == 1
    assert "is there, expected nothing. Go." in done.stderr
    assert isinstance(done.exception, SystemExit)


def test_output_that_nobody_takes(whole_tiny: Path, command: Callable) -> None:
    with Path("/dev/full").open("w") as full:
        done = command("inspect", whole_tiny, capture_output=False, stdout=full, stderr=-1)
    assert "No space left on device" in done.stderr.splitlines()[-1]
    reading, writing = os.pipe()
    os.close(reading)
    left = command("inspect", whole_tiny, capture_output=False, stdout=writing, stderr=-1)
    os.close(writing)
    assert "inspect" not in left.stderr
    for one in (done, left):
        assert one.returncode == 1
        assert "Traceback" not in one.stderr
        assert "Exception ignored" not in one.stderr


def test_what_the_system_refuses_is_one_line_and_a_bug_shows_itself() -> None:
    def refused() -> None:
        Path("/dev/null/below").read_text()

    done = CliRunner().invoke(verbs_with(refused), ["do"])
    assert done.exit_code == 1
    said = one_line(done.stderr)
    assert said.startswith("FileError: /dev/null/below: cannot be used (Not a directory), expected")

    def bug() -> None:
        raise KeyError("x")

    assert isinstance(CliRunner().invoke(verbs_with(bug), ["do"]).exception, KeyError)


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "out": (lambda at: (at / "out").mkdir(), "is a folder, expected a file"),
    "file/out": (lambda at: (at / "file").touch(), "which is no folder, expected a file"),
    "link": (lambda at: (at / "link").symlink_to(at / "gone" / "f"), "link, which leads nowhere"),
    "one/out": (
        lambda at: [(at / "one").symlink_to(at / "two"), (at / "two").symlink_to(at / "one")],
        "one, which leads nowhere, expected a file",
    ),
    "a" * 300: (lambda at: None, "File name too long"),
    "pipe": (lambda at: os.mkfifo(at / "pipe"), "is a device or pipe, expected a file"),
}


@pytest.mark.parametrize("name", REFUSED, ids=lambda name: name[:8])
def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    whole_tiny: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant, why = REFUSED[name]
    plant(tmp_path)
    out, before = tmp_path / name, sorted(tmp_path.rglob("*"))
    monkeypatch.setattr("xperience.features.extract.extract", lambda *_, **__: pytest.fail("began"))
    done = CliRunner().invoke(app, ["features", str(whole_tiny), "--out", str(out)])
    assert done.exit_code == 1, done.output
    said = one_line(done.stderr)
    assert said.startswith(f"FileError: {out}: ")
    assert why in said
    assert sorted(tmp_path.rglob("*")) == before


def test_a_file_in_place_of_an_output_folder_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.touch()
    done = CliRunner().invoke(app, ["standin", str(out), "--frames", "20"])
    assert done.exit_code == 1
    expected = "is a file, expected a folder. Name another place to write to."
    assert one_line(done.stderr) == f"FileError: {out}: {expected}"


def test_no_permission_and_no_room(
    whole_tiny: Path, tmp_path: Path, command: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    shut = tmp_path / "shut"
    shut.mkdir(mode=0o500)
    done = command("features", whole_tiny, "--out", shut / "deep" / "w.parquet")
    assert done.returncode == 1
    said = one_line(done.stderr)
    assert "w.parquet: cannot be used (Permission denied), expected your permission" in said

    full = open("/dev/full", "wb", buffering=0)  # noqa: SIM115 closed by the check
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: full)
    with pytest.raises(FileError, match=r"No space left on device\), expected room on the disk"):
        check_writable(tmp_path / "w.parquet")
    assert full.closed


def test_every_verb_says_whether_its_output_is_a_folder() -> None:
    """A verb whose help says "folder" of its output is one whose output is taken for a folder."""
    seen = 0
    waiting = [app]
    while waiting:
        one = waiting.pop()
        waiting += [group.typer_instance for group in one.registered_groups]
        for registered in one.registered_commands:
            note = registered.callback.__annotations__.get("out")
            if note is None:
                continue
            helps = [part.help for part in note.__metadata__ if hasattr(part, "help")]
            assert (FOLDER in note.__metadata__) == ("older" in helps[0]), registered.callback
            seen += 1
    assert seen > 10


def test_a_signal_ends_a_command_as_an_interrupt() -> None:
    body = (
        "import os, signal, typer\n"
        "from xperience.console import Verbs\n"
        "app = Verbs()\n"
        "app.callback()(lambda: None)\n"
        "@app.command()\n"
        "def do():\n"
        "    try: os.kill(os.getpid(), signal.SIGTERM); signal.pause()\n"
        "    finally: print('tidied')\n"
        "app()\n"
    )
    call = [sys.executable, "-c", body, "do"]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (130, "tidied\n")
