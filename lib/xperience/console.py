"""How every verb begins and ends: it writes over no input; what goes wrong is one line."""

import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from xperience.errors import XperienceError, file_error
from xperience.outputs import check_output, check_writable
from xperience.text import visible

OUTPUTS = ("out", "cache")
"""Names of the parameters, of any verb, that say where to write."""

NAMED_INPUTS = ("listing", "model")
"""Those whose text is a path, or else a name on the hub; what is typed as a path is one."""

FOLDER = "folder"
"""What stands beside the option, ``Annotated[Path, typer.Option(), FOLDER]``, of such an output."""


class _Group(TyperGroup):
    def main(self, *args: Any, **options: Any) -> Any:
        with exit_on_error():
            return super().main(*args, **options)


class Verbs(typer.Typer):
    """Commands none of which writes onto what it reads, and that end by `exit_on_error`."""

    def __init__(self, **options: Any):
        super().__init__(cls=_Group, pretty_exceptions_enable=False, **options)

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
            notes = {
                name: getattr(verb.__annotations__.get(name), "__metadata__", ())
                for name in OUTPUTS
            }
            folders = {name for name in OUTPUTS if name == "cache" or FOLDER in notes[name]}

            @wraps(verb)
            def checked(**given: Any) -> Any:
                given = {name: _no_url(value) for name, value in given.items()}
                if not replaces:
                    check_outputs(given)
                for name in OUTPUTS:
                    if isinstance(out := given.get(name), Path):
                        check_writable(out, folder=name in folders)
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


def _no_url(value: Any) -> Any:
    """Return paths like ``10:30/x`` and ``http:x`` whole: libraries take them for addresses."""
    if isinstance(value, list):
        return [_no_url(one) for one in value]
    is_like_one = isinstance(value, Path) and ":" in str(value).partition("/")[0]
    return value.absolute() if is_like_one else value


def _is_path(name: str, value: Any) -> bool:
    return isinstance(value, Path) or (name in NAMED_INPUTS and isinstance(value, str))


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Turn bad input and what the system refuses into one line on stderr and exit status 1.

    SIGTERM acts as Ctrl-C. A character that the console's encoding lacks is written as an escape. A
    reader of the output that goes away (``| head``) ends the command quietly. Anything else that is
    raised is a bug, and shows its traceback.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            yield
        finally:
            _flush()
    except BrokenPipeError:
        raise SystemExit(1) from None
    except XperienceError as error:
        _fail(error)
    except OSError as error:
        _fail(file_error(error))


def _fail(error: XperienceError) -> None:
    say(f"{type(error).__name__}: {' '.join(str(error).splitlines())}", err=True)
    raise SystemExit(1) from error


def _flush() -> None:
    """Write out what was printed; where that fails, let nothing try again at the very end."""
    if sys.stdout is None:  # closed by the caller: nobody reads
        return
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise
        raise file_error(error, "standard output") from error


def say(text: str, *, err: bool = False) -> None:
    """Print lines that may hold labels or names: nothing in them steers the terminal."""
    typer.echo(visible(text, one_line=False), err=err)
