"""What one download brings, and what the user sees of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from xperience.hub.faults import dataset_page
from xperience.hub.listing import Listing, RemoteFile, SampleSource

Say = Callable[[str], object]
OnProgress = Callable[[str, int, int], object]

LICENCES = {
    "cc-by-nc-4.0": (
        "CC BY-NC 4.0",
        "you may use, share and adapt the data if you credit its makers, and not commercially",
    ),
}


@dataclass(frozen=True)
class Plan:
    """What one download brings.

    Parameters
    ----------
    listing : Listing
        The dataset at its commit.
    folder : str
        Folder inside the dataset that becomes the folder on disk.
    files : dict of str to RemoteFile
        By path inside the folder on disk.
    missing : tuple of str
        Videos that the hub does not have.
    episode : bool
        Whether these are all files of one episode.
    """

    listing: Listing
    folder: str
    files: dict[str, RemoteFile]
    missing: tuple[str, ...] = ()
    episode: bool = False

    def local_name(self, file: RemoteFile) -> str | None:
        """Return a listed file's path inside the folder on disk, None if it lies elsewhere."""
        if not self.folder:
            return file.path
        inside = file.path.removeprefix(f"{self.folder}/")
        return inside if inside != file.path else None


@dataclass
class Reporter:
    """What the user sees.

    Parameters
    ----------
    say : callable
        Takes a line.
    on_progress : callable or None
        Takes a file's name, bytes here and bytes in all.
    done, total : int
        Bytes that have arrived, of all files, and bytes to come altogether.
    """

    say: Say
    on_progress: OnProgress | None
    done: int = 0
    total: int = 0

    def start(self, source: SampleSource, plan: Plan, out: Path) -> None:
        """Say what will be brought and under which licence, before the first byte."""
        self.done, self.total = 0, sum(file.size for file in plan.files.values())
        commit = plan.listing.commit
        moving = "" if source.revision == commit else f" (revision {source.revision!r})"
        self.say(f"Dataset: {source.repo_id} at commit {commit}{moving}")
        self.say(f"Licence: {_licence_line(source.licence)}")
        self.say(f"The dataset's terms are yours to accept: {dataset_page(source.repo_id)}")
        declared = plan.listing.licence
        if declared and _licence_key(declared) != _licence_key(source.licence):
            self.say(f"Note: the dataset's own page now declares the licence {declared!r}.")
        self.say(f"{len(plan.files)} files, {megabytes(self.total)} -> {out}")
        if plan.missing:
            self.say(f"Not on the hub, the episode works without: {', '.join(plan.missing)}")

    def watcher(self, name: str) -> Callable[[int], object] | None:
        """Return what the transfer calls with the bytes of one file that are here."""
        on_progress, before = self.on_progress, self.done
        if on_progress is None:
            return None
        return lambda n_bytes: on_progress(name, before + n_bytes, self.total)

    def arrived(self, name: str, file: RemoteFile) -> None:
        """Count a file that is in place."""
        self.done += file.size
        if self.on_progress is not None:
            self.on_progress(name, self.done, self.total)


def _licence_key(licence: str) -> str:
    return "-".join(licence.lower().replace("_", " ").replace("-", " ").split())


def _licence_line(licence: str) -> str:
    """Return a licence's name and what it means in one line."""
    name, meaning = LICENCES.get(
        _licence_key(licence), (licence, "read it on the dataset's page before you go on")
    )
    return f"{name}: {meaning}"


def megabytes(n_bytes: int) -> str:
    """Return a number of bytes for readers."""
    return f"{n_bytes / 1e6:,.1f} MB"
