"""How every verb begins and ends: it writes over no input; our own errors are one line."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import typer

from xperience.errors import XperienceError
from xperience.recording import check_output

OUTPUTS = ("out", "cache")
"""Names of the parameters, of any verb, that say where to write."""

NAMED_INPUTS = ("listing", "model")
"""Those whose text is a path, or else a name on the hub; what is typed as a path is one."""


@contextmanager
def told() -> Iterator[None]:
    """Turn our own errors into a line on stderr and exit status 1; let SIGTERM act as Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except XperienceError as error:
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        raise typer.Exit(1) from error


class Verbs(typer.Typer):
    """Commands none of which writes onto what it reads, or into a recording."""

    def command(
        self, *args: Any, replaces: bool = False, **kwargs: Any
    ) -> Callable[[Callable], Callable]:
        """Return what registers a verb, as in Typer, with the check of its outputs before it.

        Parameters
        ----------
        replaces : bool, optional
            Whether the verb may replace a recording, and so checks itself which one.
        *args, **kwargs
            As in Typer.
        """
        register = super().command(*args, **kwargs)

        def registered(verb: Callable) -> Callable:
            @wraps(verb)
            def checked(**given: Any) -> Any:
                with told():
                    if not replaces:
                        check_outputs(given)
                    return verb(**given)

            register(checked)
            return verb

        return registered


def check_outputs(given: dict[str, Any]) -> None:
    """Refuse the outputs of a call that would harm its inputs or a recording.

    Parameters
    ----------
    given : dict
        The verb's parameters by name: those in ``OUTPUTS`` are written, other paths are read.
    """
    inputs = []
    for name, value in given.items():
        several = value if isinstance(value, list | tuple) else [value]
        is_read = name not in OUTPUTS
        inputs += [one for one in several if is_read and _is_path(name, one)]
    for name in OUTPUTS:
        if isinstance(out := given.get(name), Path):
            check_output(out, inputs)


def _is_path(name: str, value: Any) -> bool:
    return isinstance(value, Path) or (name in NAMED_INPUTS and isinstance(value, str))
