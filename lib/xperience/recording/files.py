"""Which files a recording is made of, and what stands for their content."""

import json
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py

from xperience.errors import unreadable
from xperience.outputs import FILES
from xperience.progress import OnProgress, quiet
from xperience.recording import layout
from xperience.storage import known_digest

SLIM = "bulk_discarded"
"""Attribute of an annotation without its bulk: the digests of the recording's files before."""

_VIDEOS = {f"{camera}.mp4" for camera in layout.CAMERAS}


def recording_files(folder: Path | str) -> dict[str, Path]:
    """Return {path as seen from the folder: path} of what a recording follows from and is there.

    That is the annotation, the videos, a caption file, and what the annotation holds by link:
    external links, sources of virtual datasets, external storage, whatever those link to in turn.
    """
    folder = Path(folder)
    found = {name: folder / name for name in FILES if (folder / name).is_file()}
    return found | {_name(path, folder): path for path in _named_files(folder)}


def linked_files(folder: Path | str, names: Iterable[str]) -> list[str]:
    """Return which of a recording's files its annotation's arrays lie in, itself included."""
    folder = Path(folder)
    captions = {_name(path, folder) for path in _caption_files(folder)}
    return [name for name in names if name not in _VIDEOS | captions]


def recording_digests(folder: Path | str, on_progress: OnProgress | None = None) -> dict[str, str]:
    """Return {name: digest of its content} of every file that a recording follows from.

    Of a video that the system can't read, why it can't in place of a digest; see `lost_videos`.
    """
    files, report, digests = recording_files(folder), on_progress or quiet, {}
    with ThreadPoolExecutor() as threads:
        asked = {name: threads.submit(known_digest, path) for name, path in files.items()}
        for number, (name, digest) in enumerate(asked.items(), 1):
            try:
                digests[name] = digest.result()
            except OSError as error:
                if name not in _VIDEOS:
                    raise
                digests[name] = unreadable(error)
            report("digests", number, len(files))
    return digests


def lost_videos(digests: dict[str, str]) -> dict[str, str]:
    """Return {camera: why its video cannot be read} from the digests of a recording."""
    return {Path(name).stem: said for name, said in digests.items() if " " in said}


def digests_before_slim(folder: Path | str) -> dict[str, str] | None:
    """Return the digests of a recording that has lost its bulk as they were; None if it has not.

    What it has kept beside its annotation counts as it is now.
    """
    try:
        with h5py.File(Path(folder) / layout.ANNOTATION) as file:
            noted = json.loads(file.attrs[SLIM])
    except (OSError, KeyError, TypeError, ValueError):
        return None
    if not isinstance(noted, dict):
        return None  # made slim when nothing was noted
    now = recording_digests(folder)
    return noted | {name: now[name] for name in now if name not in FILES}


def _name(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def _named_files(folder: Path) -> Iterator[Path]:
    yield from _caption_files(folder)
    waiting = [folder / layout.ANNOTATION]
    seen = set(waiting)
    while waiting:
        new = [path for path in _links_of(waiting.pop()) if path not in seen]
        seen |= set(new)
        waiting += new
        yield from new


def _caption_files(folder: Path) -> list[Path]:
    """Return the file inside the folder that stands in place of captions, if one does."""
    try:
        with h5py.File(folder / layout.ANNOTATION) as file:
            node = next(file[key] for key in layout.CAPTION_KEYS if key in file)
            raw = node[()]
    except (OSError, RuntimeError, KeyError, TypeError, StopIteration):
        return []  # absent or damaged: others tell
    raw = raw.tobytes() if getattr(raw, "dtype", None) == "uint8" else raw
    raw = raw.reshape(-1)[0] if getattr(raw, "size", 0) == 1 and hasattr(raw, "reshape") else raw
    text = raw.decode(errors="replace") if isinstance(raw, bytes) else str(raw)
    try:
        path = Path(os.path.normpath(folder / text.strip("\0 \n\r\t\ufeff")))
        inside = path.resolve().is_relative_to(folder.resolve())
        return [path] if inside and path.is_file() else []
    except (OSError, ValueError, RuntimeError):
        return []  # it is no path but the captions themselves


def _links_of(path: Path) -> list[Path]:
    """Return the other files that an HDF5 file refers to, as far as they are there."""
    try:
        with h5py.File(path) as file:
            names = list(_references(file, {file.id}))
    except (OSError, RuntimeError, KeyError, TypeError):
        return []  # not HDF5 (raw storage), or damaged: others tell
    ways = [path.parent, Path(os.path.realpath(path)).parent, Path.cwd()]
    found = []
    for name in names:
        places = [Path(os.path.normpath(way / name)) for way in ways]
        found += [place for place in places if place.is_file()][:1]
    return list(dict.fromkeys(found))


def _references(group: h5py.Group, seen: set[h5py.h5g.GroupID]) -> Iterator[str]:
    """Yield the file names in external links, virtual datasets and external storage of a group."""
    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            yield link.filename
            continue
        try:
            node = group.get(name)
            stored = _stored_in(node) if isinstance(node, h5py.Dataset) else ()
        except (OSError, RuntimeError, KeyError):
            continue  # damaged or dangling: others tell
        yield from stored
        if isinstance(node, h5py.Group) and node.id not in seen:
            seen.add(node.id)
            yield from _references(node, seen)


def _stored_in(node: h5py.Dataset) -> Iterable[str]:
    if node.is_virtual:
        sources = (source.file_name for source in node.virtual_sources())
        return [source for source in sources if source != "."]
    return [name for name, _, _ in node.external or ()]
