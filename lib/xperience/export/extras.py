"""The optional packages that exports are written with."""

from importlib import import_module
from typing import Any

from xperience.errors import XperienceError


class ExportError(XperienceError):
    """Something that cannot be exported, or without a package that isn't installed."""


def need(package: str, extra: str = "exports") -> Any:
    """Return an optional package's module.

    Parameters
    ----------
    package : str
        Name to import.
    extra : str, optional
        The extra that brings it; `make extras` installs all of them, pinned.

    Raises
    ------
    ExportError
        If it is not installed; it says how to install it.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise ExportError(
            f"package {package!r}",
            f"cannot be imported ({error})",
            f"the extra {extra!r}",
            "Install it, with its pins: make extras.",
        ) from error
