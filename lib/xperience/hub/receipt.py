"""The note beside downloaded files: what they are, where from, and whether they still are it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from xperience.hub.listing import RemoteFile
from xperience.hub.source import SampleSource, safe_path
from xperience.hub.transfer import matches
from xperience.storage import write_text

STORE = ".download"
RECEIPT = f"{STORE}/receipt.json"


class PlacedFile(BaseModel):
    """A file that was checked when it was put in place.

    Parameters
    ----------
    path : str
        Path inside the folder of the download.
    size : int
        Bytes.
    digest : str
        As in the hub's listing.
    mtime_ns : int
        Time of the last change then; another time makes the content be checked again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Annotated[str, AfterValidator(safe_path)]
    size: int = Field(ge=0)
    digest: str
    mtime_ns: int

    def untouched(self, out: Path) -> bool:
        """Return whether the file has the size and time of change that were noted."""
        path = out / self.path
        if not path.is_file():
            return False
        now = path.stat()
        return (now.st_size, now.st_mtime_ns) == (self.size, self.mtime_ns)

    def intact(self, out: Path) -> bool:
        """Return whether the content is still what was noted; read only if the file was touched."""
        as_listed = RemoteFile(path=self.path, size=self.size, digest=self.digest)
        return self.untouched(out) or matches(out / self.path, as_listed)


class Receipt(BaseModel):
    """What a folder holds and where it came from.

    Parameters
    ----------
    repo_id, revision, folder, licence
        As asked for; see `SampleSource`. ``folder`` is the one that was found.
    commit : str
        Commit that ``revision`` stood for: record this one.
    episode : bool
        Whether all files of one episode were asked for.
    finished : bool
        Whether everything that was asked for is in place.
    missing : tuple of str
        Videos that the episode lacks on the hub.
    files : tuple of PlacedFile
        Sorted by path.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    repo_id: str
    revision: str
    commit: str
    folder: str
    licence: str
    episode: bool
    finished: bool
    missing: tuple[str, ...]
    files: tuple[PlacedFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def answers(self, source: SampleSource, names: Iterable[str] | None) -> bool:
        """Return whether this revision and these files (None: the episode) were brought before."""
        if self.revision != source.revision:
            return False
        return self.episode if names is None else set(names) <= {file.path for file in self.files}

    def intact(self, out: Path) -> bool:
        """Return whether the download was finished and no file has changed since."""
        return self.finished and all(file.intact(out) for file in self.files)


def placed(out: Path, name: str, file: RemoteFile) -> PlacedFile:
    """Return the note for a file that has just been checked."""
    mtime_ns = (out / name).stat().st_mtime_ns
    return PlacedFile(path=name, size=file.size, digest=file.digest, mtime_ns=mtime_ns)


def read_receipt(out: Path) -> Receipt | None:
    """Return the receipt of a folder, or None if it has none that can be read.

    Without a receipt nothing is lost: files are compared by content, and kept if they agree.
    """
    try:
        return Receipt.model_validate_json((out / RECEIPT).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError, ValidationError):
        return None


def is_unfinished(out: Path) -> bool:
    """Return whether a download into a folder began and did not end: it looks like less."""
    if not (out / STORE).is_dir():
        return False
    receipt = read_receipt(out)
    return receipt is None or not receipt.finished


def is_own_download(out: Path) -> bool:
    """Return whether a folder holds a download and nothing that somebody put or changed there."""
    receipt = read_receipt(out)
    if receipt is None or out.is_symlink():
        return False
    here = [path for path in out.rglob("*") if not path.is_relative_to(out / STORE)]
    if any(path.is_symlink() for path in here):
        return False
    noted = {file.path: file for file in receipt.files}
    names = [path.relative_to(out).as_posix() for path in here if path.is_file()]
    return all(name in noted and noted[name].intact(out) for name in names)


def write_receipt(out: Path, receipt: Receipt) -> None:
    """Write the receipt of a folder, whole or not at all."""
    write_text(out / RECEIPT, receipt.model_dump_json(indent=1) + "\n", in_recording=True)


def refreshed(out: Path, receipt: Receipt) -> Receipt:
    """Return a receipt with today's times, of files whose content has just been seen to agree.

    It is written if a time differs, so that the content need not be read again next time.
    """
    now = {file.path: (out / file.path).stat().st_mtime_ns for file in receipt.files}
    if all(file.mtime_ns == now[file.path] for file in receipt.files):
        return receipt
    files = tuple(f.model_copy(update={"mtime_ns": now[f.path]}) for f in receipt.files)
    receipt = receipt.model_copy(update={"files": files})
    write_receipt(out, receipt)
    return receipt
