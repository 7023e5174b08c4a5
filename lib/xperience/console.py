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

OUTPUTS = ("out", "cache")
"""Names of the parameters, of any verb, that say where to write."""

NAMED_INPUTS = ("listing", "model")
"""Those whose text is a path, or else a name on the hub."""

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

        A verb that ``replaces`` a recording checks itself which one.
        """
        register = super().command(*args, **kwargs)

        def registered(verb: Callable) -> Callable:
            hints = {name: verb.__annotations__.get(name) for name in OUTPUTS}
            folders = {
                name
                for name, hint in hints.items()
                if name == "cache" or FOLDER in getattr(hint, "__metadata__", ())
            }

            @wraps(verb)
            def checked(**given: Any) -> Any:
                given = {name: _no_url(value) for name, value in given.items()}
                outs = {name: given[name] for name in OUTPUTS if isinstance(given.get(name), Path)}
                for out in () if replaces else outs.values():
                    check_output(out, _read_paths(given))
                for name, out in outs.items():
                    check_writable(out, folder=name in folders)
                return verb(**given)

            register(checked)
            return verb

        return registered


def _read_paths(given: dict[str, Any]) -> list[Path | str]:
    """Return what a verb reads: every path among its parameters that is no output."""
    found: list[Path | str] = []
    for name, value in given.items():
        kinds = (Path, str) if name in NAMED_INPUTS else Path
        several = value if isinstance(value, list | tuple) else [value]
        found += [one for one in several if name not in OUTPUTS and isinstance(one, kinds)]
    return found


def _no_url(value: Any) -> Any:
    """Return paths like ``10:30/x`` and ``http:x`` whole: libraries take them for addresses."""
    if isinstance(value, list):
        return [_no_url(one) for one in value]
    is_like_one = isinstance(value, Path) and ":" in str(value).partition("/")[0]
    return value.absolute() if is_like_one else value


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
    from xperience.text import visible  # noqa: PLC0415 - a verb that says nothing needs no patterns

    typer.echo(visible(text, one_line=False), err=err)
