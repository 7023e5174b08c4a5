"""A single frame or a second of sound out of a long file, without decoding the rest."""

from pathlib import Path

import av
import numpy as np

from xperience.errors import EpisodeError
from xperience.recording import layout
from xperience.recording.recording import Recording
from xperience.storage import file_url

_RUN_UP_S = 0.25
"""How much earlier a sound decoder starts."""


def frame_at(episode: Recording, camera: str, frame: int) -> np.ndarray:
    """Return a frame's picture, RGB, uint8 array (height, width, 3).

    It is as stored, which is what calibrations refer to, however players are asked to turn it. The
    decoder jumps to the key picture before it and goes on from there.

    Raises
    ------
    EpisodeError
        If the file can't be opened, shows no picture at that time, or is damaged there.
    """
    path, clock = episode.video_path(camera), episode.clock(camera)
    number = clock.pictures[frame]
    if number < 0:
        raise _unreadable(path, f"shows no picture at frame {frame}")
    tick = int(clock.timeline.ticks[number])
    try:
        with av.open(file_url(path), metadata_errors="replace") as container:
            stream = container.streams.video[0]
            container.seek(tick, stream=stream, backward=True)
            for picture in container.decode(stream):
                if picture.pts is not None and picture.pts >= tick:
                    return picture.to_ndarray(format="rgb24")
    except av.FFmpegError as error:
        raise _unreadable(path, f"cannot be decoded at frame {frame}") from error
    raise _unreadable(path, f"ends before frame {frame} can be decoded")


def sound_level(episode: Recording, start: int, stop: int) -> np.ndarray:
    """Return the loudness of frames [start, stop), float array (stop - start,).

    It is the root mean square of the first channel's samples, full scale is 1; NaN where the file
    holds no sound for that time.

    Raises
    ------
    EpisodeError
        If there is no sound or it can't be decoded there.
    """
    path, clock = episode.video_path(layout.AUDIO_CAMERA), episode.clock(layout.AUDIO_CAMERA)
    frames = np.arange(start, stop)
    try:
        with av.open(file_url(path), metadata_errors="replace") as container:
            if not container.streams.audio:
                raise _unreadable(path, "has no audio stream")
            stream = container.streams.audio[0]
            bounds = clock.samples(frames, frames + 1, stream.rate)
            first = int(bounds[0, 0])
            samples = np.full(int(bounds[-1, 1]) - first, np.nan)
            early_s = first / stream.rate - _RUN_UP_S
            container.seek(int(early_s / stream.time_base), stream=stream, backward=True)
            resampler = av.AudioResampler(format="fltp")
            for heard in container.decode(stream):
                place = round(float(heard.pts * stream.time_base) * stream.rate) - first
                if place >= len(samples):
                    break
                for part in resampler.resample(heard):
                    values = part.to_ndarray()[0]
                    a, b = max(place, 0), min(place + len(values), len(samples))
                    if a < b:
                        samples[a:b] = values[a - place : b - place]
                    place += len(values)
    except av.FFmpegError as error:
        raise _unreadable(path, f"has sound that cannot be decoded at frame {start}") from error
    return np.array([np.sqrt(np.mean(samples[a:b] ** 2)) for a, b in bounds - first])


def _unreadable(path: Path, found: str) -> EpisodeError:
    return EpisodeError(
        f"{path.parent.name}/{path.name}",
        found,
        "a whole video",
        "Fetch the file again, or go on without this stream.",
    )
