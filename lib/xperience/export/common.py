"""What all exports share: optional packages, folders that are whole or absent, absent streams."""

from importlib import import_module
from pathlib import Path
from typing import Any

from xperience.errors import XperienceError
from xperience.outputs import check_output
from xperience.recording import layout
from xperience.recording.recording import Recording


class ExportError(XperienceError):
    """Something that cannot be exported, or without a package that isn't installed."""


def need(package: str) -> Any:
    """Return the module of an optional package, or say which extra brings it."""
    try:
        return import_module(package)
    except ImportError as error:
        raise ExportError(
            f"package {package!r}",
            f"cannot be imported ({error})",
            "the extra 'exports'",
            "Install it, with its pins: make extras.",
        ) from error


def check_new(path: Path | str) -> None:
    """Refuse a folder to write to that holds something, or that would lie in a recording."""
    path = Path(path)
    check_output(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ExportError(
            path.name, "is there already", "a new folder", "Name another, or move it."
        )


def absent_streams(episode: Recording) -> dict[str, str]:
    """Return why each stream that can't be used can't be, by its name."""
    found = {
        name: "; ".join(map(str, state.faults)) or state.status
        for name, state in episode.streams.items()
        if not state.usable
    }
    for camera in layout.CAMERAS:
        if camera not in found and (episode.clock(camera).pictures < 0).all():
            found[camera] = f"{camera}.mp4 shows no picture in the time of any frame"
    if "audio" not in found and not episode.clock(layout.AUDIO_CAMERA).heard.any():
        found["audio"] = f"{layout.AUDIO_CAMERA}.mp4 holds no sound in the time of any frame"
    return found
