"""Where things lie in the repository, found from any folder inside it."""

import hashlib
import os
import re
import unicodedata
from pathlib import Path

from xperience.errors import ParamsError

BASE_RUN = "standin"
REFERENCE, ENTRIES = "reference", "entries"
"""Folders in ``artifacts/`` that hold what is committed: results of runs, predictions of others."""
LONGEST_NAME = 48
"""Characters of a recording's name; with what is put to it, a file name holds 255 bytes."""
ROOT_VARIABLE = "XPERIENCE_ROOT"
RECORD_VARIABLE = "XPERIENCE_PUBLISHED"
RECORD, MIRROR = "artifacts/record", "../shared/published"
"""Where `make record` puts the published record, and where a mirror of it may lie."""
RECORD_RECEIPT = f"{RECORD}/.download/receipt.json"
NOTE, RECORD_FILES = "params/published.yaml", "params/published.csv"
"""The note's figures and where its record lies; size and SHA-256 of each file of the record."""
PAGE = "RESEARCH_TAKEAWAYS"
"""Of the files that a run's takeaways are written to, without ending."""
STILL = "XPERIENCE_STILL"
"""Set in kernels of runs that nobody watches: controls become still pictures."""


def project_root() -> Path:
    """Return the repository's top folder: the one with ``pyproject.toml`` and ``params/``.

    The environment variable ``XPERIENCE_ROOT`` wins; otherwise the search goes up from the current
    folder, so that a notebook finds the same files from the top and from ``notebooks/``.
    """
    named = os.environ.get(ROOT_VARIABLE)
    if named:
        return Path(named).resolve()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "pyproject.toml").is_file() and (folder / "params").is_dir():
            return folder
    raise ParamsError(
        "current folder",
        f"is {here}",
        "a folder inside the repository (with pyproject.toml and params/)",
        f"Change into the repository, or set {ROOT_VARIABLE} to its top folder.",
    )


def at_root(path: Path | str) -> Path:
    """Return ``path`` resolved against the repository's top folder; an absolute path stays."""
    return project_root() / path


def episode_name(episode: Path | str) -> str:
    """Return a short name for a recording: its folder's, or the parent's if that is "episode".

    Letters and digits of every script are kept, all else becomes a dash. Two recordings may share
    it; `own_name` tells them apart.

    >>> episode_name("artifacts/standin/episode"), episode_name("/data/ep_0001/")
    ('standin', 'ep_0001')
    """
    folder = Path(episode)
    named = folder if folder.name != "episode" else folder.parent
    text = unicodedata.normalize("NFC", named.name)
    kept = {"Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd"}
    signs = (one if one in "_." or unicodedata.category(one) in kept else "-" for one in text)
    return re.sub("-+", "-", "".join(signs))[:LONGEST_NAME].strip("-.") or "episode"


def own_name(episode: Path | str) -> str:
    """Return a name that no other recording's folder has, however this one is spelled or linked."""
    folder = Path(episode).resolve()
    return f"{episode_name(folder)}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:10]}"


def run_folder(run: str) -> Path:
    """Return the folder that a run writes to; a name that leads elsewhere is a ParamsError."""
    if run != Path(run).name or run in ("..", REFERENCE, ENTRIES):
        raise ParamsError(
            "run", f"is {run!r}", "a run's name, no path", "Runs are folders in artifacts/."
        )
    return at_root("artifacts") / run


def reference_folder(run: str) -> Path:
    """Return the folder of a run's committed results, with which reruns are compared."""
    return run_folder(run).parent / REFERENCE / run


def results_folder(run: str) -> Path:
    """Return where a run's results are read: its own folder, or the reference if it never ran."""
    own, committed = run_folder(run), reference_folder(run)
    has_run = (own / "metrics").is_dir() or not (committed / "metrics").is_dir()
    return own if has_run else committed


def known_runs(left: str = "metrics") -> list[str]:
    """Return the names of runs that left such a file or folder, here or in the reference."""
    own, committed = at_root("artifacts"), at_root("artifacts") / REFERENCE
    found = [path for top in (own, committed) for path in top.glob(f"*/{left}")]
    return sorted({path.parent.name for path in found})


def located(name: str) -> Path:
    """Return where a file lies whose path was written down: in the reference if only there."""
    path = at_root(name)
    parts = Path(name).parts
    if path.exists() or parts[:1] != ("artifacts",):
        return path
    committed = at_root("artifacts").joinpath(REFERENCE, *parts[1:])
    return committed if committed.exists() else path


def windows_path(run: str, episode: Path | str, contract: str = "published") -> Path:
    """Return where a run keeps the windows table of a recording under a contract."""
    kind = "" if contract == "published" else f".{contract}"
    return run_folder(run) / "windows" / f"{episode_name(episode)}{kind}.parquet"


def entries_folder(run: str) -> Path:
    """Return where the entries of a run's table are committed: scored predictions of others."""
    return run_folder(run).parent / ENTRIES / run


def metrics_path(run: str, section: str) -> Path:
    """Return where a run keeps the metric rows of a section (a notebook's name)."""
    return run_folder(run) / "metrics" / f"{section}.json"


def predictions_path(run: str, section: str) -> Path:
    """Return where a run keeps what a section's heads answered."""
    return run_folder(run) / "predictions" / f"{section}.parquet"


def provenance_path(metrics: Path | str) -> Path:
    """Return where the provenance of a metrics file lies: beside it."""
    return Path(metrics).with_suffix(".provenance.json")


def record_folder(named: Path | str = "") -> Path | None:
    """Return the folder of the published record, or None where there is none.

    The environment variable ``XPERIENCE_PUBLISHED`` wins, then ``named``; else it is the mirror
    beside the repository, or what `make record` has brought wholly.
    """
    chosen = os.environ.get(RECORD_VARIABLE) or named
    places = [at_root(one) for one in ([chosen] if chosen else [MIRROR, RECORD])]
    unfinished = at_root(RECORD) if not at_root(RECORD_RECEIPT).is_file() else None
    return next((one.resolve() for one in places if one.is_dir() and one != unfinished), None)
