"""What befalls recordings: modalities that are absent, streams that stop, a body that is lost."""

from collections.abc import Callable
from pathlib import Path

import av
import h5py
import numpy as np

from xperience.recording import layout
from xperience.storage import file_url

STOPS_AT = 0.7
"""Share of a video after which it breaks off."""

LOST = (0.4, 0.5)
"""Shares of the recording between which a body or hand is lost."""


def without_depth(episode: Path) -> None:
    """Take depth and confidence away."""
    with h5py.File(episode / layout.ANNOTATION, "r+") as file:
        del file["depth"]


def without_imu(episode: Path) -> None:
    """Take the inertial samples away."""
    with h5py.File(episode / layout.ANNOTATION, "r+") as file:
        del file["imu"]


def without_camera(episode: Path) -> None:
    """Take one camera's video away."""
    (episode / f"{layout.CAMERAS[3]}.mp4").unlink()


def without_sound(episode: Path) -> None:
    """Leave only the pictures in every video."""
    for camera in layout.CAMERAS:
        _copy_pictures(episode / f"{camera}.mp4")


def video_stops(episode: Path) -> None:
    """Let one camera's video, with its sound, end early."""
    _copy_pictures(episode / f"{layout.CAMERAS[1]}.mp4", STOPS_AT)


def body_lost(episode: Path) -> None:
    """Lose the body, and the left hand, for a while: NaN and zeros, as trackers leave them."""
    with h5py.File(episode / layout.ANNOTATION, "r+") as file:
        for path, value in ((layout.KEYPOINTS, np.nan), (layout.HAND_LEFT, 0.0)):
            rows = file[path]
            first, last = (round(share * len(rows)) for share in LOST)
            rows[first:last] = value


def _copy_pictures(path: Path, share: float = 1.0) -> None:
    """Write a video's pictures anew, up to a share of them, without its sound."""
    scratch = path.with_suffix(".part")
    with av.open(file_url(path)) as source, av.open(file_url(scratch), "w", format="mp4") as target:
        pictures = source.streams.video[0]
        kept = round(pictures.frames * share)
        copy = target.add_stream_from_template(pictures)
        for number, packet in enumerate(source.demux(pictures)):
            if packet.size and number < kept:
                packet.stream = copy
                target.mux(packet)
    scratch.replace(path)


MISHAPS: dict[str, Callable[[Path], None]] = {
    "without_depth": without_depth,
    "without_imu": without_imu,
    "without_camera": without_camera,
    "without_sound": without_sound,
    "video_stops": video_stops,
    "body_lost": body_lost,
}
"""Everything that may befall an episode, by name."""
