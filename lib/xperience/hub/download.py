"""A whole download: the licence first, then each file, checked, then all of them put in place.

The library ``huggingface_hub`` speaks to the hub. This room chooses the files that make one episode
or the published record, and lets none into its folder before all agree with sizes and hashes that
are known beforehand. ``HF_ENDPOINT`` names another hub, ``HF_TOKEN`` an account.
"""

import errno
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

from huggingface_hub import HfApi, constants, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import http_get
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import WeakFileLock, build_hf_headers

from xperience.errors import DownloadError, XperienceError
from xperience.hub.source import (
    RECEIPT,
    STORE,
    Receipt,
    RemoteEpisode,
    RemoteFile,
    SampleSource,
    group_episodes,
    read_receipt,
)
from xperience.outputs import check_output
from xperience.recording.layout import ANNOTATION
from xperience.storage import write_text

COMMIT = re.compile(r"[0-9a-f]{40}")
LICENCES = {
    "cc-by-nc-4.0": "CC BY-NC 4.0: you may use, share and adapt the data if you credit its makers, "
    "and not commercially",
}
AGAIN = "Run the same command again: it resumes with what has already arrived."
OWN_FOLDER = (
    "With a folder that already holds the episode no network is needed: "
    "make reproduce RUN=sample EPISODE=<folder>."
)


class UnreachableError(DownloadError):
    """The hub did not answer, or not to the end; the files themselves may be fine."""


def list_episodes(source: SampleSource) -> list[RemoteEpisode]:
    """Return the episodes of a dataset, or of one folder, sorted, unusable ones included.

    If the hub does not answer, that is an UnreachableError. If the dataset or revision is missing
    or closed, or the listing cannot be trusted (another commit than the pinned one, a file without
    size or hash, a path that would leave its folder), it is a DownloadError.
    """
    commit, _ = resolve(source.repo_id, source.revision)
    return group_episodes(list_files(source.repo_id, commit, source.folder))


def download_episode(
    source: SampleSource, out: Path, *, say: Callable[[str], object] = print
) -> Receipt:
    """Bring one episode into a folder, or see that it is there unchanged.

    Shows the licence first; accepting the dataset's terms is up to the user. Every file is read and
    compared with the hub's size and hash. Files that are there are not fetched again, an
    interrupted one goes on where it stopped, and the episode appears once all of it has arrived; no
    file that is there is replaced or removed. With a full commit hash as revision and nothing
    changed, the network is not used at all. ``say`` takes each line for the user.

    If the hub does not answer or breaks off, that is an UnreachableError. If it refuses, there is
    no such episode, a file is not as listed, the disk is full, or the folder holds something else,
    it is a DownloadError.
    """
    old = read_receipt(out)
    if old and COMMIT.fullmatch(source.revision) and old.answers(source, out):
        say(f"{out}: {source.repo_id} is here, unchanged, commit {old.commit}")
        return old
    try:
        commit, declared = resolve(source.repo_id, source.revision)
        episode = _choose_episode(source, commit)
    except UnreachableError as fault:
        if old is None or not old.answers(source, out):
            raise
        say(f"{fault}\nGoing on with what is in {out}, unchanged, commit {old.commit}.")
        return old
    receipt = Receipt(**source.model_dump(), commit=commit, episode=episode)
    if old and (old.repo_id, old.episode.folder) != (source.repo_id, episode.folder):
        raise DownloadError(
            str(out),
            f"already holds {old.repo_id}, folder {old.episode.folder!r}",
            f"an empty folder or {source.repo_id}, folder {episode.folder!r}",
            "Choose another folder for this download.",
        )
    before = dict.fromkeys(old.episode.local_files) if old else {}
    absent = absent_files(out, before | episode.local_files)
    _notice(receipt, declared, out, say)

    def fetch(file: RemoteFile, part: Path) -> None:
        url = hf_hub_url(source.repo_id, file.path, repo_type="dataset", revision=commit)
        place = f"{source.repo_id}@{commit[:12]}: {file.path}"
        transfer(place, url, file, part, page_of(source.repo_id), build_hf_headers())

    with named_faults(str(out), page_of(source.repo_id)):
        bring_all(out, absent, fetch, lambda: receipt.model_dump_json(indent=1))
    n_here = len(episode.files) - len(absent)
    say(f"{len(absent)} files fetched, {n_here} were here; all checked")
    return receipt


# What the hub has


def resolve(repo_id: str, revision: str, kind: str = "dataset") -> tuple[str, str | None]:
    """Return the commit that a revision stands for, and the licence that its page declares."""
    place = f"{repo_id}@{revision}"
    with named_faults(place, page_of(repo_id, kind)):
        info = HfApi().repo_info(
            repo_id, repo_type=kind, revision=revision, timeout=60, expand=["sha", "tags"]
        )
        tags = [tag.removeprefix("license:") for tag in info.tags or () if "license:" in tag]
    pinned = COMMIT.fullmatch(revision)
    if info.sha is None or (pinned and info.sha != revision):
        raise DownloadError(
            place,
            f"the hub answered for commit {info.sha or 'unknown'}",
            f"commit {revision}" if pinned else "a commit hash",
            "Ask the hub itself, not a mirror that is behind: see HF_ENDPOINT.",
        )
    return info.sha, next(iter(tags), None)


def list_files(
    repo_id: str, commit: str, folder: str | None = None, kind: str = "dataset"
) -> list[RemoteFile]:
    """Return the files in and below a folder, none if there is no such folder."""
    place = f"{repo_id}@{commit[:12]}"
    with named_faults(place, page_of(repo_id, kind)):
        try:
            tree = HfApi().list_repo_tree(
                repo_id, folder or None, recursive=True, revision=commit, repo_type=kind
            )
            return [_remote_file(place, entry) for entry in tree if isinstance(entry, RepoFile)]
        except EntryNotFoundError:
            return []


def _remote_file(place: str, entry: RepoFile) -> RemoteFile:
    """Return one line of the library's listing as a file that can be checked and placed."""
    size = entry.lfs.size if entry.lfs else entry.size
    digest = f"sha256:{entry.lfs.sha256}" if entry.lfs else f"git-sha1:{entry.blob_id}"
    try:
        return RemoteFile(path=entry.path, size=size, digest=digest)
    except ValueError as fault:
        raise DownloadError(
            f"{place}: {entry.path}",
            f"is listed with size {size} and hash {digest!r}",
            "a plain relative path, and a size and a hash to check the file by",
            "Ask the hub itself (see HF_ENDPOINT); if it says the same, ask the dataset's owner.",
        ) from fault


def _choose_episode(source: SampleSource, commit: str) -> RemoteEpisode:
    """Return the episode that the source names, or the only usable one."""
    episodes = group_episodes(list_files(source.repo_id, commit, source.folder))
    usable = {one.folder: one for one in episodes if ANNOTATION not in one.missing}
    if source.folder is None and len(usable) == 1:
        return next(iter(usable.values()))
    if source.folder in usable:
        return usable[source.folder]
    everywhere = group_episodes(list_files(source.repo_id, commit))
    folders = [one.folder for one in everywhere if ANNOTATION not in one.missing]
    near = source.folder and get_close_matches(source.folder, folders, n=5)
    near = near or folders[:5]
    asked = "no folder" if source.folder is None else f"folder {source.folder!r}"
    raise DownloadError(
        f"{source.repo_id}@{commit[:12]}",
        f"holds {len(folders)} usable episodes, {asked} names none of them",
        f"a folder with {ANNOTATION}",
        f"Set `folder` in the params file; nearest: {', '.join(map(repr, near))}."
        if near
        else f"Check `repo_id` and `revision` against {page_of(source.repo_id)}, and HF_ENDPOINT.",
    )


def page_of(repo_id: str, kind: str = "dataset") -> str:
    """Return where a person finds a repository of the hub."""
    return f"{constants.ENDPOINT}/{'datasets/' if kind == 'dataset' else ''}{repo_id}"


def _notice(
    receipt: Receipt, declared: str | None, out: Path, say: Callable[[str], object]
) -> None:
    """Say what the user must see before the first byte: dataset, licence, size."""
    key, episode = receipt.licence.lower().replace(" ", "-"), receipt.episode
    say(f"Dataset: {receipt.repo_id} at commit {receipt.commit} (revision {receipt.revision!r})")
    say(f"Licence: {LICENCES.get(key, f'{receipt.licence}: read it before you go on')}")
    say(f"The dataset's terms are yours to accept: {page_of(receipt.repo_id)}")
    if declared and declared.lower() != key:
        say(f"Note: the dataset's own page now declares the licence {declared!r}.")
    say(f"{len(episode.files)} files, {episode.size / 1e6:,.1f} MB -> {out}")
    if episode.missing:
        say(f"Not on the hub, the episode works without: {', '.join(episode.missing)}")


# What the folder has


def absent_files(out: Path, wanted: Mapping[str, RemoteFile | None]) -> dict[str, RemoteFile]:
    """Return the files that a folder lacks, having seen that nothing else there is in the way.

    Where None is wanted nothing may lie.
    """
    check_output(out.absolute().parent)
    absent = {}
    for name, file in wanted.items():
        path = out / name
        leads_out = not path.parent.resolve().is_relative_to(out.resolve())
        if leads_out or (path.exists() and not (file and file.is_at(path))):
            raise DownloadError(
                str(path),
                f"leads to {path.resolve()}" if leads_out else "is in the way, with other content",
                f"{file.size:,} bytes with {file.digest}, or nothing" if file else "no such file",
                "Move it away and run again, or choose another folder: a download never replaces "
                "what is there, and another revision may list something else.",
            )
        if file and not path.exists():
            absent[name] = file
    return absent


def bring_all(
    out: Path,
    absent: dict[str, RemoteFile],
    fetch: Callable[[RemoteFile, Path], object],
    receipt: Callable[[], str],
) -> None:
    """Fetch files beside the folder's own, then move all of them to their places."""
    store = out / STORE
    store.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(store / "lock"):
        parts = {
            name: store / "parts" / f"{name}.{file.digest[-16:]}"
            for name, file in absent.items()
            if not (out / name).exists()
        }
        arrived = sum(part.stat().st_size for part in parts.values() if part.is_file())
        needed = sum(absent[name].size for name in parts) - arrived
        free = shutil.disk_usage(store).free
        if needed > free:
            raise OSError(errno.ENOSPC, f"{free:,} bytes are left, {needed:,} are needed")
        for name, part in parts.items():
            part.parent.mkdir(parents=True, exist_ok=True)
            fetch(absent[name], part)
        (out / RECEIPT).unlink(missing_ok=True)  # cut off from here on, it is unfinished
        for name, part in parts.items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            part.replace(out / name)
        write_text(out / RECEIPT, receipt() + "\n", in_recording=True)
        shutil.rmtree(store / "parts", ignore_errors=True)


def transfer(
    place: str, url: str, file: RemoteFile, part: Path, page: str, headers: dict[str, str]
) -> None:
    """Append what is missing of a file to its part, and see that the whole is as listed.

    A CSV file that is as listed but for its line ends becomes so: copies differ in them.

    The library's own one-call download begins each try anew (its scratch file is unique to the
    process), so its transfer function is given our file and the place to go on from.
    """
    headers = headers | {"Accept-Encoding": "identity"}
    with named_faults(place, page), part.open("ab") as sink:
        arrived = sink.seek(0, os.SEEK_END)
        if arrived < file.size:
            http_get(url, sink, resume_size=arrived, headers=headers, displayed_filename=file.path)
        sink.flush()
        os.fsync(sink.fileno())
    if file.path.endswith(".csv") and not file.is_at(part):
        part.write_bytes(part.read_bytes().replace(b"\r\n", b"\n"))
    if not file.is_at(part):
        arrived = part.stat().st_size
        part.unlink()
        raise DownloadError(
            place,
            f"has arrived as {arrived:,} bytes that are not the file",
            f"{file.size:,} bytes with {file.digest} as listed",
            "Run the same command again: this file begins anew, finished ones are kept. If it "
            "comes back, the network alters the file or the dataset is damaged at this revision.",
        )


# What can go wrong on the way


@contextmanager
def named_faults(place: str, page: str) -> Iterator[None]:
    """Turn what the library raises inside the block into errors with a way out."""
    try:
        yield
    except XperienceError:
        raise
    except HfHubHTTPError as fault:
        raise _refusal(place, page, fault) from fault
    except HFValidationError as fault:
        raise DownloadError(
            place, "is not a name the hub knows", "owner/name", "Correct `repo_id` in the params."
        ) from fault
    except (HTTPError, ConnectionError, TimeoutError, ValueError, KeyError, TypeError) as fault:
        found = f"did not arrive ({type(fault).__name__}: {fault or 'no details'})"
        way_out = f"Check the network and HF_ENDPOINT. {AGAIN} {OWN_FOLDER}"
        if isinstance(fault, OfflineModeIsEnabled):
            found = "cannot be asked for, HF_HUB_OFFLINE forbids the network"
            way_out = f"Unset HF_HUB_OFFLINE and run again. {OWN_FOLDER}"
        raise UnreachableError(
            place, found, f"an answer from {constants.ENDPOINT}", way_out
        ) from fault
    except OSError as fault:
        if fault.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DownloadError(
            place,
            f"does not fit on the disk ({fault.strerror})",
            "room for the whole episode",
            f"Free some space or choose another disk. {AGAIN}",
        ) from fault


def _refusal(place: str, page: str, fault: HfHubHTTPError) -> DownloadError:
    """Return our error for an answer of the hub that is not what was asked for."""
    status = fault.response.status_code
    if status == 429 or status >= 500:
        wait = "The hub asks for fewer requests: wait some minutes, or set HF_TOKEN. "
        return UnreachableError(
            place,
            f"was answered with HTTP {status}",
            "the listing or the file",
            (wait if status == 429 else "") + AGAIN,
        )
    if isinstance(fault, GatedRepoError):
        found = "is gated, its owner wants its terms accepted first"
        way_out = (
            f"Log in at {page}, accept the terms there, set HF_TOKEN to a token of that account, "
            "and run again."
        )
    elif isinstance(fault, RevisionNotFoundError):
        found = "has no such revision"
        way_out = f"Correct `revision` in the params file; {page}/commits/main lists the commits."
    elif isinstance(fault, RepositoryNotFoundError) or status in (401, 403):
        found = f"does not exist, or is private (HTTP {status})"
        way_out = (
            "Check `repo_id` in the params file; for a private dataset set HF_TOKEN, and accept "
            f"the terms at {page} if it asks for that."
        )
    else:
        found = f"is not there (HTTP {status})"
        way_out = f"Check `repo_id` and `revision` in the params against {page}, and HF_ENDPOINT."
    return DownloadError(
        place, found, "a dataset, revision and file that this account may read", way_out
    )
