"""A recording without its bulk: labels, poses, hands and body stay; depth, cloud and videos go."""

import json
from pathlib import Path

import h5py

from xperience.hub.source import is_own_download
from xperience.recording import layout
from xperience.recording.files import SLIM, recording_digests
from xperience.standin.mark import is_simulated, write_mark
from xperience.storage import whole_file

BULK = ("depth", layout.POINT_CLOUD)
"""What is not needed once the windows are made: most of an annotation's bytes."""


def is_slim(episode: Path) -> bool:
    """Return whether a recording has been made slim, or was about to be when it was cut off."""
    try:
        with h5py.File(episode / layout.ANNOTATION) as file:
            return SLIM in file.attrs
    except OSError:
        return False  # absent or broken: others tell


def may_be_slim(episode: Path) -> bool:
    """Return whether a recording can be had again: it was downloaded or simulated, or is slim."""
    return is_slim(episode) or is_own_download(episode) or is_simulated(episode)


def slim(episode: Path) -> int:
    """Drop the bulk of a recording in place; return the bytes freed.

    Parameters
    ----------
    episode : Path
        Its folder; windows should have been made from it before. Captions in files of their own
        stay.

    Notes
    -----
    The annotation is copied without its bulk and replaced only when the copy is whole; videos are
    removed after that, so that an interrupted call can be made again. A slim one stays as it is.
    """
    path = episode / layout.ANNOTATION
    videos = [episode / f"{camera}.mp4" for camera in layout.CAMERAS]
    before, ours = _bytes(path, *videos), is_simulated(episode)
    if not is_slim(episode):
        _write_slim(path)
    for video in videos:
        video.unlink(missing_ok=True)
    freed = before - _bytes(path, *videos)
    if ours and freed:
        write_mark(episode)
    return freed


def _write_slim(path: Path) -> None:
    noted = json.dumps(recording_digests(path.parent))
    with (
        whole_file(path, in_recording=True) as scratch,
        h5py.File(path) as source,
        h5py.File(scratch, "w") as target,
    ):
        _copy(source, target)
        target.attrs[SLIM] = noted


def _copy(source: h5py.Group, target: h5py.Group, above: str = "") -> None:
    target.attrs.update(source.attrs)
    for name, item in source.items():
        path = f"{above}/{name}".lstrip("/")
        if path in BULK:
            continue
        if isinstance(item, h5py.Group):
            _copy(item, target.create_group(name), path)
        else:
            source.copy(item, target, name)


def _bytes(*paths: Path) -> int:
    return sum(path.stat().st_size for path in paths if path.is_file())
