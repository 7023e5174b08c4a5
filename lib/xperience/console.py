"""How a verb of the command line ends: our own errors as one line, an interrupt as an interrupt."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from xperience.errors import XperienceError
from xperience.text import visible


@contextmanager
def told() -> Iterator[None]:
    """Turn our own errors into a line on stderr and exit status 1; let SIGTERM act as Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except XperienceError as error:
        say(f"{type(error).__name__}: {error}", err=True)
        raise typer.Exit(1) from error


def say(text: str, *, err: bool = False) -> None:
    """Print lines that may hold labels or names: nothing in them steers the terminal."""
    typer.echo(visible(text, one_line=False), err=err)
