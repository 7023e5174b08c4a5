"""What is asked of the hub, the episodes that it lists, and the receipt of what came.

No network library is loaded here: params files and cohorts are read without one.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from xperience.recording.layout import ANNOTATION, CAMERAS
from xperience.storage import known_digest

EPISODE_FILES = (ANNOTATION, *(f"{camera}.mp4" for camera in CAMERAS))
STORE = ".download"
"""Folder inside a downloaded episode: the receipt, and what has arrived of an unfinished one."""
RECEIPT = f"{STORE}/receipt.json"


def _safe_path(path: str) -> str:
    """Return a relative path unchanged if it stays inside the folder it is joined to."""
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts) or any(c in path for c in "\\:\0"):
        raise ValueError(f"{path!r} is not a plain relative path")
    return path


def _safe_folder(folder: str | None) -> str | None:
    return folder and (folder.strip("/") and _safe_path(folder.strip("/")))


class SampleSource(BaseModel):
    """Where an episode comes from: one dataset, pinned."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    repo_id: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")  # ``owner/name`` on the hub
    revision: str = Field(min_length=1)  # commit hash (best: the same files for ever), tag, branch
    folder: Annotated[str | None, AfterValidator(_safe_folder)] = None
    """Of the episode inside the dataset, "" for its top; None takes the only episode."""
    licence: str = Field(min_length=1)  # its identifier, shown before the download


class RemoteFile(BaseModel):
    """One file of a dataset, with its size in bytes.

    ``digest`` is ``sha256:<hex>`` of the content, or ``git-sha1:<hex>`` (a git blob) for small
    files; empty if only sizes are known.
    """

    model_config = ConfigDict(frozen=True)

    path: Annotated[str, AfterValidator(_safe_path)]
    size: int = Field(ge=0)
    digest: str = Field(default="", pattern=r"^(sha256:[0-9a-f]{64}|git-sha1:[0-9a-f]{40})?$")

    def is_at(self, path: Path) -> bool:
        """Return whether a file on disk has this size and content."""
        if not path.is_file() or path.stat().st_size != self.size:
            return False
        kind, _, wanted = self.digest.partition(":")
        if kind == "sha256":
            return known_digest(path) == wanted
        state = hashlib.sha1(b"blob %d\0" % self.size, usedforsecurity=False)
        with path.open("rb") as content:
            return hashlib.file_digest(content, lambda: state).hexdigest() == wanted


class RemoteEpisode(BaseModel):
    """The files of one episode on the hub: annotation, videos, then caption files.

    ``folder`` is "" for the dataset's top. ``missing`` names the annotation or videos that are not
    there; every video is optional.
    """

    model_config = ConfigDict(frozen=True)

    folder: str
    files: tuple[RemoteFile, ...]
    missing: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def local_files(self) -> dict[str, RemoteFile]:
        """The files by their paths inside the episode's folder."""
        prefix = f"{self.folder}/" if self.folder else ""
        return {file.path.removeprefix(prefix): file for file in self.files}


def group_episodes(files: Iterable[RemoteFile]) -> list[RemoteEpisode]:
    """Return the episodes in a list of files, sorted by folder; no file is in two of them.

    A folder with an annotation or any of the six videos is an episode. JSON files (captions that
    the annotation may point at) belong to the nearest episode at or above them.
    """
    core: dict[str, dict[str, RemoteFile]] = defaultdict(dict)
    captions = []
    for file in sorted(files, key=lambda file: file.path):
        folder, _, name = file.path.rpartition("/")
        if name in EPISODE_FILES:
            core[folder][name] = file
        elif name.endswith(".json") and not any(p.startswith(".") for p in file.path.split("/")):
            captions.append(file)
    extra: dict[str, list[RemoteFile]] = defaultdict(list)
    for file in captions:
        above = ("" if str(p) == "." else str(p) for p in PurePosixPath(file.path).parents)
        owner = next((folder for folder in above if folder in core), None)
        if owner is not None:
            extra[owner].append(file)
    return [
        RemoteEpisode(
            folder=folder,
            files=(*(core[folder][n] for n in EPISODE_FILES if n in core[folder]), *extra[folder]),
            missing=tuple(name for name in EPISODE_FILES if name not in core[folder]),
        )
        for folder in sorted(core)
    ]


class Receipt(SampleSource):
    """What was asked for and what a folder holds, as listed and checked; written once it is whole.

    ``commit`` is what ``revision`` stood for: record this one.
    """

    commit: str
    episode: RemoteEpisode

    def answers(self, source: SampleSource, out: Path) -> bool:
        """Return whether a folder holds what is asked for, each file as it was checked."""
        same = (self.repo_id, self.revision) == (source.repo_id, source.revision)
        same = same and source.folder in (None, self.episode.folder)
        return same and all(
            file.is_at(out / name) for name, file in self.episode.local_files.items()
        )


def read_receipt(out: Path) -> Receipt | None:
    """Return the receipt of a folder, or None if it has none that can be read.

    Without a receipt nothing is lost: files are compared by content, and kept if they agree.
    """
    try:
        return Receipt.model_validate_json((out / RECEIPT).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None


def is_own_download(out: Path) -> bool:
    """Return whether a folder holds a download and nothing that somebody put or changed there."""
    receipt = read_receipt(out)
    if receipt is None or out.is_symlink():
        return False
    here = [path for path in out.rglob("*") if not path.is_relative_to(out / STORE)]
    if any(path.is_symlink() for path in here):
        return False
    files = receipt.episode.local_files
    names = [path.relative_to(out).as_posix() for path in here if path.is_file()]
    return all(name in files and files[name].is_at(out / name) for name in names)


def is_unfinished(out: Path) -> bool:
    """Return whether a download into a folder began and did not end."""
    return (out / STORE).is_dir() and read_receipt(out) is None
