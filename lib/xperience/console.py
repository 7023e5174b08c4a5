"""How a verb of the command line ends: our own errors as one line, an interrupt as an interrupt."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from xperience.errors import XperienceError


@contextmanager
def told() -> Iterator[None]:
    """Turn our own errors into a line on stderr and exit status 1; let SIGTERM act as Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except XperienceError as error:
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        raise typer.Exit(1) from error
