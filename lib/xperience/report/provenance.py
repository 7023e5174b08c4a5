"""What a result rests on: data, parameters, library and versions; no times, no machine paths."""

import platform
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from xperience.project import REFERENCE, at_root, project_root
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
    digest, ``library`` (the digest of the library files that the notebook uses), ``python``,
    ``versions`` and ``processor``.
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
        "processor": processor(),
    }


def shown_path(path: Path | str) -> str:
    """Return a path without the machine in it: inside the repository from its top, else the end.

    A run's result has one name, wherever it was read: in the run's folder or in the reference.
    """
    path, root = at_root(path), project_root()
    committed = root / "artifacts" / REFERENCE
    if path.is_relative_to(committed):
        path = root / "artifacts" / path.relative_to(committed)
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


def processor() -> str:
    """Return the processor's name and its widest instruction set, which rounding depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    found = {key.strip(): value.strip() for key, _, value in (one.partition(":") for one in lines)}
    flags = found.get("flags", "").split()
    sets = (name for name in ("avx512f", "avx2", "avx", "sse4_2") if name in flags)
    name = found.get("model name") or platform.machine()
    return ", ".join(part for part in (name, next(sets, "")) if part)
