"""What a result rests on: data, parameters, library and versions; no times, no machine paths."""

import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from xperience.project import at_root, project_root
from xperience.sources import source_digests, sources_of
from xperience.storage import file_digest, value_digest

PACKAGES = (
    "av",
    "h5py",
    "librosa",
    "numpy",
    "opencv-python-headless",
    "pandas",
    "pyarrow",
    "scikit-learn",
    "scipy",
    "torch",
)


def provenance(
    notebook: str, parameters: Mapping[str, Any], inputs: Iterable[Path | str] = ()
) -> dict[str, Any]:
    """Return what a notebook's numbers rest on; the same again gives the same object.

    It holds ``notebook``, ``data`` (the digest of each input file), ``parameters`` and their
    digest, ``library`` (the digest of the library files that the notebook uses), ``python`` and
    ``versions``.
    """
    source, parameters = at_root("notebooks") / f"{notebook}.py", dict(parameters)
    files = sorted(map(Path, inputs))
    return {
        "notebook": {"name": notebook, "digest": file_digest(source)},
        "data": {shown_path(path): file_digest(at_root(path)) for path in files},
        "parameters": parameters,
        "parameters_digest": value_digest(parameters),
        "library": value_digest(source_digests(sources_of(source))),
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "versions": versions(),
    }


def shown_path(path: Path | str) -> str:
    """Return a path without the machine in it: inside the repository from its top, else the end."""
    path, root = at_root(path), project_root()
    inside = path.is_relative_to(root)
    return path.relative_to(root).as_posix() if inside else "/".join(path.parts[-2:])


def versions() -> dict[str, str]:
    """Return the versions of the packages that numbers depend on; an absent one is left out."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package).partition("+")[0]
        except PackageNotFoundError:
            continue
    return found
