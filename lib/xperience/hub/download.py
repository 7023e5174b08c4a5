"""A whole download: licence first, then each file, then the receipt."""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from huggingface_hub.utils import WeakFileLock

from xperience.errors import DownloadError
from xperience.hub.faults import UnreachableError, dataset_page, no_room
from xperience.hub.listing import (
    COMMIT,
    Listing,
    RemoteFile,
    choose_episode,
    list_files,
)
from xperience.hub.receipt import (
    STORE,
    PlacedFile,
    Receipt,
    placed,
    read_receipt,
    refreshed,
    write_receipt,
)
from xperience.hub.reporter import OnProgress, Plan, Reporter, Say, megabytes
from xperience.hub.source import SampleSource
from xperience.hub.transfer import arrived_bytes, fetch_file, matches
from xperience.recording import check_output


def download_episode(
    source: SampleSource,
    out: Path,
    *,
    on_progress: OnProgress | None = None,
    say: Say = print,
) -> Receipt:
    """Bring one episode into a folder, or see that it is there unchanged.

    Shows the licence first; accepting the dataset's terms is up to the user. Files that are in
    place are not fetched again, an interrupted file goes on where it stopped, and a file that has
    changed on disk is fetched anew. With a full commit hash as revision and nothing changed, the
    network is not used at all.

    Parameters
    ----------
    source : SampleSource
        The dataset, pinned.
    out : Path
        Becomes the episode's folder: ``out/annotation.hdf5`` and the videos. The receipt and
        unfinished parts are in ``out/.download``.
    on_progress : callable, optional
        Called with a file's name, the bytes here and the bytes in all, of the whole episode. None
        shows the library's own bar on a terminal.
    say : callable
        Takes each line for the user.

    Returns
    -------
    Receipt
        With the commit, and the videos that the episode lacks.

    Raises
    ------
    UnreachableError
        If the hub does not answer or breaks off.
    DownloadError
        If the hub refuses, there is no such episode, a file is not as listed, or the folder holds
        something else.
    """

    def plan(listing: Listing) -> Plan:
        episode = choose_episode(source, listing)
        files = {episode.local_name(file): file for file in episode.files}
        return Plan(listing, episode.folder, files, episode.missing, episode=True)

    return _download(source, Path(out), None, plan, Reporter(say, on_progress))


def download_files(
    source: SampleSource,
    names: Iterable[str],
    out: Path,
    *,
    on_progress: OnProgress | None = None,
    say: Say = print,
) -> Receipt:
    """Bring named files of a dataset into a folder; otherwise as `download_episode`.

    Parameters
    ----------
    source : SampleSource
        The dataset, pinned; ``folder`` is the folder inside it that ``names`` start from.
    names : iterable of str
        Paths of files, the same on the hub (below ``folder``) and in ``out``.
    out : Path
        Folder for the files.
    on_progress, say
        As in `download_episode`.

    Returns
    -------
    Receipt
        Of all files that were ever brought into ``out`` this way.

    Raises
    ------
    UnreachableError, DownloadError
        As `download_episode`, and if a name is not listed.
    """
    names = tuple(names)
    folder = source.folder or ""

    def plan(listing: Listing) -> Plan:
        there = {file.path: file for file in listing.files}
        paths = {name: f"{folder}/{name}" if folder else name for name in names}
        absent = sorted(path for path in paths.values() if path not in there)
        if absent:
            raise DownloadError(
                f"{source.repo_id}@{listing.commit[:12]}: {absent[0]}",
                f"is not there ({len(absent)} of {len(names)} names are not)",
                "a file of the dataset",
                f"See {dataset_page(source.repo_id)}/tree/{listing.commit} for its files.",
            )
        return Plan(listing, folder, {name: there[path] for name, path in paths.items()})

    return _download(source, Path(out), names, plan, Reporter(say, on_progress))


def _download(
    source: SampleSource,
    out: Path,
    names: tuple[str, ...] | None,
    make_plan: Callable[[Listing], Plan],
    reporter: Reporter,
) -> Receipt:
    """Bring what a plan asks for; the core of both public functions.

    ``names`` are the files asked for, None for a whole episode.
    """
    old = _own_receipt(source, out)
    here = old if old is not None and old.answers(source, names) else None
    if here and COMMIT.fullmatch(source.revision) and here.intact(out):
        reporter.say(f"{out}: {source.repo_id} is here, unchanged, commit {here.commit}")
        return refreshed(out, here)
    try:
        plan = make_plan(list_files(source))
    except UnreachableError as fault:
        if here is None or not here.intact(out):
            raise
        reporter.say(f"{fault}\nGoing on with what is in {out}, unchanged, commit {here.commit}.")
        return refreshed(out, here)
    _refuse_strange_names(out, plan)
    check_output(out.absolute().parent)
    noted = {file.path for file in old.files} if old else set()
    for name in plan.files.keys() - noted:
        _present(out, name, plan.files[name], {})  # before anything is written beside it
    reporter.start(source, plan, out)
    store = out / STORE
    store.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(store / "lock"):
        return _bring(source, out, plan, read_receipt(out), reporter)


def _bring(
    source: SampleSource, out: Path, plan: Plan, old: Receipt | None, reporter: Reporter
) -> Receipt:
    """Put every file of the plan in place; the receipt on disk keeps up after each."""
    noted = {file.path: file for file in old.files} if old else {}
    present = {name: _present(out, name, file, noted) for name, file in plan.files.items()}
    todo = [name for name, note in present.items() if note is None]
    _check_room(out, [plan.files[name] for name in todo])
    notes = noted | {name: note for name, note in present.items() if note is not None}
    _drop_outdated(out, plan, notes, reporter.say)
    for name, file in plan.files.items():
        if name in todo:
            if (out / name).exists():
                reporter.say(f"{name}: not as listed, fetching it again")
            fetch_file(plan.listing, file, out / name, out / STORE, reporter.watcher(name))
            notes[name] = placed(out, name, file)
            write_receipt(out, _receipt(source, plan, notes, finished=False))
        reporter.arrived(name, file)
    for part in (out / STORE).glob("*.part"):
        part.unlink()
    receipt = _receipt(source, plan, notes, finished=True)
    write_receipt(out, receipt)
    reporter.say(f"{len(todo)} files fetched, {len(plan.files) - len(todo)} were here; all checked")
    return receipt


def _receipt(
    source: SampleSource, plan: Plan, notes: dict[str, PlacedFile], finished: bool
) -> Receipt:
    return Receipt(
        repo_id=source.repo_id,
        revision=source.revision,
        commit=plan.listing.commit,
        folder=plan.folder,
        licence=source.licence,
        episode=plan.episode,
        finished=finished,
        missing=plan.missing,
        files=tuple(notes[name] for name in sorted(notes)),
    )


def _own_receipt(source: SampleSource, out: Path) -> Receipt | None:
    """Return the folder's receipt, having seen that it is for the same files.

    Raises
    ------
    DownloadError
        If the folder was filled from another dataset or with another episode.
    """
    old = read_receipt(out)
    if old is None:
        return None
    same_folder = source.folder is None or source.folder == old.folder
    if old.repo_id == source.repo_id and same_folder:
        return old
    raise DownloadError(
        str(out),
        f"already holds {old.repo_id}, folder {old.folder or 'top'!r}",
        f"an empty folder or {source.repo_id}, folder {source.folder or 'top'!r}",
        "Choose another folder for this download.",
    )


def _present(
    out: Path, name: str, file: RemoteFile, noted: dict[str, PlacedFile]
) -> PlacedFile | None:
    """Return the note of a file that is in place as listed, None if it must be fetched.

    Raises
    ------
    DownloadError
        If another file stands there that no receipt knows: it is not ours to replace.
    """
    path, note = out / name, noted.get(name)
    if note is not None and note.digest == file.digest and note.untouched(out):
        return note
    if matches(path, file):
        return placed(out, name, file)
    if note is None and path.exists():
        raise DownloadError(
            str(path),
            "is in the way: it is not the listed file and was not put there by a download",
            f"nothing, or {file.size:,} bytes with {file.digest}",
            "Move it away, or choose another folder for the download.",
        )
    return None


def _refuse_strange_names(out: Path, plan: Plan) -> None:
    """See that every file lands inside the folder and none on the receipt.

    Raises
    ------
    DownloadError
        If one does not; links inside the folder are followed for this.
    """
    root = out.resolve()
    for name in plan.files:
        parent = (out / name).parent.resolve()
        if not parent.is_relative_to(root) or parent.is_relative_to(root / STORE):
            raise DownloadError(
                f"{plan.listing.repo_id}@{plan.listing.commit[:12]}: {name}",
                f"would be written to {parent}",
                f"a place inside {root}, outside its {STORE}",
                "Remove links inside the folder, or choose another one for the download.",
            )


def _drop_outdated(out: Path, plan: Plan, notes: dict[str, PlacedFile], say: Say) -> None:
    """Remove files of an earlier download that this revision no longer has, and their notes.

    Left in place, a video of another revision would pass for part of this episode.

    Raises
    ------
    DownloadError
        If one has been changed since: then it is not ours to remove.
    """
    current = {plan.local_name(file): file.digest for file in plan.listing.files}
    for name in set(notes) - set(plan.files):
        note, path = notes[name], out / name
        if current.get(name) == note.digest and path.exists():
            continue
        if path.exists() and not note.intact(out):
            raise DownloadError(
                str(path),
                "is not part of this revision and has been changed since its download",
                "no such file",
                "Move it away and run again.",
            )
        path.unlink(missing_ok=True)
        del notes[name]
        say(f"{name}: removed, not part of this revision")


def _check_room(out: Path, files: Iterable[RemoteFile]) -> None:
    """See that the disk has room for what is still to come.

    Raises
    ------
    DownloadError
        If not.
    """
    store = out / STORE
    needed = sum(max(0, file.size - arrived_bytes(store, file)) for file in files)
    free = shutil.disk_usage(store).free
    if needed > free:
        raise no_room(str(out), f"{megabytes(free)} left", f"{megabytes(needed)} or more")
