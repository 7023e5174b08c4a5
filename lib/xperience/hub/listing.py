"""What a dataset on the hub holds, and which of its files make one episode."""

import re
from collections import defaultdict
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import PurePosixPath
from typing import Annotated

from huggingface_hub import HfApi
from huggingface_hub.errors import HFValidationError, HTTPError
from huggingface_hub.hf_api import DatasetInfo, RepoSibling
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from xperience.episode.layout import ANNOTATION, CAMERAS
from xperience.errors import DownloadError
from xperience.hub.faults import OWN_FOLDER, UnreachableError, endpoint, named_faults
from xperience.hub.source import SampleSource, safe_path

VIDEOS = tuple(f"{camera}.mp4" for camera in CAMERAS)
LISTING_TIMEOUT_S = 60.0
COMMIT = re.compile(r"[0-9a-f]{40}")
_HEX = {"sha256": re.compile(r"[0-9a-f]{64}"), "git-sha1": re.compile(r"[0-9a-f]{40}")}


class RemoteFile(BaseModel):
    """One file of a dataset.

    Parameters
    ----------
    path : str
        Path inside the dataset.
    size : int
        Bytes.
    digest : str
        ``sha256:<hex>`` of the content, or ``git-sha1:<hex>`` (a git blob) for small files.
    """

    model_config = ConfigDict(frozen=True)

    path: Annotated[str, AfterValidator(safe_path)]
    size: int = Field(ge=0)
    digest: str


class Listing(BaseModel):
    """The files of a dataset at one commit.

    Parameters
    ----------
    repo_id : str
        The dataset.
    commit : str
        Hash that the asked revision stands for.
    licence : str or None
        What the dataset's card declares.
    files : tuple of RemoteFile
        All files, sorted by path.
    """

    model_config = ConfigDict(frozen=True)

    repo_id: str
    commit: str
    licence: str | None
    files: tuple[RemoteFile, ...]


class RemoteEpisode(BaseModel):
    """The files of one episode on the hub.

    Parameters
    ----------
    folder : str
        Folder inside the dataset, "" for its top.
    files : tuple of RemoteFile
        Annotation, videos, then caption files.
    missing : tuple of str
        Names of the annotation or videos that are not there.
    """

    model_config = ConfigDict(frozen=True)

    folder: str
    files: tuple[RemoteFile, ...]
    missing: tuple[str, ...]

    @property
    def usable(self) -> bool:
        """Whether the annotation is there; every video is optional."""
        return ANNOTATION not in self.missing

    @property
    def complete(self) -> bool:
        """Whether the annotation and all six videos are there."""
        return not self.missing

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def local_name(self, file: RemoteFile) -> str:
        """Return a file's path inside the episode's folder."""
        return file.path[len(self.folder) + 1 :] if self.folder else file.path


def list_files(source: SampleSource) -> Listing:
    """Ask the hub for the files of a dataset, with sizes and hashes.

    Parameters
    ----------
    source : SampleSource
        Only ``repo_id`` and ``revision`` are read.

    Returns
    -------
    Listing
        With the commit that ``revision`` stands for now.

    Raises
    ------
    UnreachableError
        If the hub does not answer.
    DownloadError
        If the dataset or revision is missing or closed, or the listing cannot be trusted: no
        commit, another commit than the pinned one, a file without size or hash, a path that
        would leave the folder it is put in.
    """
    info = _ask(source)
    files = {s.rfilename: _remote_file(source, s) for s in info.siblings or ()}
    return Listing(
        repo_id=source.repo_id,
        commit=_commit(source, info),
        licence=_card_licence(info),
        files=tuple(files[path] for path in sorted(files)),
    )


def list_episodes(source: SampleSource) -> list[RemoteEpisode]:
    """Return the episodes of a dataset, sorted by folder, unusable ones included.

    Parameters
    ----------
    source : SampleSource
        ``folder`` limits the list to that folder and those below it.

    Raises
    ------
    DownloadError
        See `list_files`.
    """
    episodes = group_episodes(list_files(source).files)
    if not source.folder:
        return episodes
    return [e for e in episodes if f"{e.folder}/".startswith(f"{source.folder}/")]


def group_episodes(files: Iterable[RemoteFile]) -> list[RemoteEpisode]:
    """Find the episodes in a list of files.

    A folder with an annotation or any of the six videos is an episode. JSON files (captions that
    the annotation may point at) belong to the nearest episode at or above them.

    Parameters
    ----------
    files : iterable of RemoteFile
        In any order.

    Returns
    -------
    list of RemoteEpisode
        Sorted by folder; no file is in two of them.
    """
    core: dict[str, dict[str, RemoteFile]] = defaultdict(dict)
    captions = []
    for file in files:
        folder, _, name = file.path.rpartition("/")
        if name in (ANNOTATION, *VIDEOS):
            core[folder][name] = file
        elif name.endswith(".json") and not any(p.startswith(".") for p in file.path.split("/")):
            captions.append(file)
    extra: dict[str, list[RemoteFile]] = defaultdict(list)
    for file in captions:
        above = ("" if str(p) == "." else str(p) for p in PurePosixPath(file.path).parents)
        owner = next((folder for folder in above if folder in core), None)
        if owner is not None:
            extra[owner].append(file)
    return [_episode(folder, core[folder], extra[folder]) for folder in sorted(core)]


def choose_episode(source: SampleSource, listing: Listing) -> RemoteEpisode:
    """Return the episode that the source names, or the only usable one.

    Raises
    ------
    DownloadError
        If the folder holds no usable episode, or no folder is named and there is not exactly one.
    """
    place = f"{source.repo_id}@{listing.commit[:12]}"
    episodes = {episode.folder: episode for episode in group_episodes(listing.files)}
    usable = [folder for folder, episode in episodes.items() if episode.usable]
    if source.folder is None:
        if len(usable) == 1:
            return episodes[usable[0]]
        raise DownloadError(
            place,
            f"holds {len(usable)} usable episodes" + (f" ({_some(usable)})" if usable else ""),
            "one, or a `folder` that chooses",
            "Set `folder` in the params file."
            if usable
            else f"Check `repo_id` and `revision`: an episode is a folder with {ANNOTATION}.",
        )
    if source.folder in usable:
        return episodes[source.folder]
    near = get_close_matches(source.folder, usable, n=3) or usable
    raise DownloadError(
        f"{place}: {source.folder or 'top folder'}",
        f"has no {ANNOTATION}" if source.folder in episodes else "is not an episode's folder",
        f"one of {len(usable)} usable episodes",
        f"Correct `folder` in the params file; nearest: {_some(near) or 'none'}.",
    )


def _some(folders: list[str]) -> str:
    """Return the first few folders as text."""
    shown = ", ".join(folder or "top folder" for folder in folders[:5])
    return shown + (", …" if len(folders) > 5 else "")


def _episode(folder: str, core: dict[str, RemoteFile], extra: list[RemoteFile]) -> RemoteEpisode:
    names = (ANNOTATION, *VIDEOS)
    found = [core[name] for name in names if name in core]
    return RemoteEpisode(
        folder=folder,
        files=(*found, *sorted(extra, key=lambda file: file.path)),
        missing=tuple(name for name in names if name not in core),
    )


def _ask(source: SampleSource) -> DatasetInfo:
    """Return the library's record of a dataset, or an error with a way out."""
    api = HfApi(endpoint=endpoint())
    with named_faults(source.repo_id, source.revision):
        try:
            return api.dataset_info(
                source.repo_id,
                revision=source.revision,
                files_metadata=True,
                timeout=LISTING_TIMEOUT_S,
            )
        except HFValidationError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError) as fault:
            if isinstance(fault, HTTPError):
                raise
            raise UnreachableError(
                f"{source.repo_id}@{source.revision}",
                f"{endpoint()} answered with something else ({type(fault).__name__})",
                "a dataset's listing",
                f"Check HF_ENDPOINT, and whether the network wants a login first. {OWN_FOLDER}",
            ) from fault


def _remote_file(source: SampleSource, sibling: RepoSibling) -> RemoteFile:
    """Return one line of the library's listing as a file that can be checked."""
    place = f"{source.repo_id}@{source.revision}: {sibling.rfilename}"
    lfs = sibling.lfs
    size = lfs.size if lfs else sibling.size
    kind, digest = ("sha256", lfs.sha256) if lfs else ("git-sha1", sibling.blob_id)
    digest = str(digest).lower()
    if not isinstance(size, int) or size < 0 or not _HEX[kind].fullmatch(digest):
        raise DownloadError(
            place,
            f"is listed with size {size} and {kind} {digest!r}",
            "a size and a hash to check the file by",
            "Ask the hub itself, not a mirror that leaves them out: see HF_ENDPOINT.",
        )
    try:
        return RemoteFile(path=sibling.rfilename, size=size, digest=f"{kind}:{digest}")
    except ValueError as fault:
        raise DownloadError(
            place,
            "is a path that could leave the folder it is put in",
            "a plain relative path",
            "Do not use this dataset before its owner has explained the name.",
        ) from fault


def _commit(source: SampleSource, info: DatasetInfo) -> str:
    """Return the commit that was listed, and see that it is the pinned one if one is pinned."""
    commit = (info.sha or "").lower()
    pinned = source.revision.lower() if COMMIT.fullmatch(source.revision.lower()) else commit
    if COMMIT.fullmatch(commit) and commit == pinned:
        return commit
    raise DownloadError(
        f"{source.repo_id}@{source.revision}",
        f"the hub answered for commit {commit or 'unknown'}",
        f"commit {pinned}" if pinned else "a commit hash",
        "Ask the hub itself, not a mirror that is behind: see HF_ENDPOINT.",
    )


def _card_licence(info: DatasetInfo) -> str | None:
    """Return the licence that the dataset's tags declare."""
    tags = (tag for tag in info.tags or () if tag.startswith("license:"))
    return next((tag.removeprefix("license:") for tag in tags), None)
