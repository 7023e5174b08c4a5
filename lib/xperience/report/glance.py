"""A single frame or a second of sound out of a long file, without decoding the rest."""

from functools import lru_cache
from pathlib import Path

import av
import numpy as np

from xperience.errors import EpisodeError
from xperience.features.audio import frame_bounds
from xperience.storage import file_url


def frame_at(path: Path, index: int) -> np.ndarray:
    """Return one frame of a video: jump to the key frame before it and decode from there.

    Parameters
    ----------
    path : Path
    index : int
        The frame's place in the order of presentation, from 0.

    Returns
    -------
    uint8 array, shape (height, width, 3)
        RGB.

    Raises
    ------
    EpisodeError
        If the file can't be opened, is shorter, or is damaged at that place.
    """
    stamps = _stamps(path, path.stat().st_mtime_ns)
    if not 0 <= index < len(stamps):
        raise _unreadable(path, f"holds {len(stamps)} frames, so none with number {index}")
    try:
        with av.open(file_url(path), metadata_errors="replace") as container:
            stream = container.streams.video[0]
            container.seek(int(stamps[index]), stream=stream, backward=True)
            for frame in container.decode(stream):
                if frame.pts is not None and frame.pts >= stamps[index]:
                    return frame.to_ndarray(format="rgb24")
    except av.FFmpegError as error:
        raise _unreadable(path, f"cannot be decoded at frame {index}") from error
    raise _unreadable(path, f"ends before frame {index} can be decoded")


@lru_cache(maxsize=32)
def _stamps(path: Path, _changed_ns: int) -> np.ndarray:
    """Return the presentation time of every frame, in order, from the packets alone."""
    stamps: list[int] = []
    try:
        with av.open(file_url(path), metadata_errors="replace") as container:
            if not container.streams.video:
                raise _unreadable(path, "has no video stream")
            for packet in container.demux(container.streams.video[0]):
                stamp = packet.pts if packet.pts is not None else packet.dts
                if packet.size and stamp is not None:
                    stamps.append(stamp)
    except (av.FFmpegError, EOFError) as error:
        if not stamps:
            raise _unreadable(path, "cannot be opened") from error
    return np.sort(np.array(stamps, dtype=np.int64))


def sound_level(path: Path, start: int, stop: int, fps: float) -> np.ndarray:
    """Return the loudness of each frame of a stretch of a video's sound.

    Parameters
    ----------
    path : Path
    start, stop : int
        Frames [start, stop).
    fps : float
        Frames per second of the container.

    Returns
    -------
    float array, shape (stop - start,)
        Root mean square of the first channel's samples, full scale is 1; NaN beyond the sound's
        end.

    Raises
    ------
    EpisodeError
        If there is no sound or it can't be decoded there.
    """
    try:
        with av.open(file_url(path), metadata_errors="replace") as container:
            if not container.streams.audio:
                raise _unreadable(path, "has no audio stream")
            stream = container.streams.audio[0]
            bounds = frame_bounds(stop, fps, stream.rate)[start:]
            samples = _samples(container, stream, int(bounds[0]), int(bounds[-1]))
    except av.FFmpegError as error:
        raise _unreadable(path, f"has sound that cannot be decoded at frame {start}") from error
    pieces = np.split(samples, (bounds - bounds[0])[1:-1])
    return np.array([np.sqrt(np.mean(piece**2)) for piece in pieces])


def _samples(
    container: av.container.InputContainer, stream: av.AudioStream, first: int, last: int
) -> np.ndarray:
    """Return samples [first, last) of the first channel, NaN where there are none."""
    samples = np.full(last - first, np.nan)
    start_s = float((stream.start_time or 0) * stream.time_base)
    early_s = max(first / stream.rate - 0.25, 0) + start_s  # a decoder needs a run-up
    container.seek(int(early_s / stream.time_base), stream=stream, backward=True)
    resampler = av.AudioResampler(format="fltp")
    for frame in container.decode(stream):
        place = round((float(frame.pts * stream.time_base) - start_s) * stream.rate) - first
        if place >= len(samples):
            break
        for part in resampler.resample(frame):
            values = part.to_ndarray()[0]
            a, b = max(place, 0), min(place + len(values), len(samples))
            if a < b:
                samples[a:b] = values[a - place : b - place]
            place += len(values)
    return samples


def _unreadable(path: Path, found: str) -> EpisodeError:
    return EpisodeError(
        f"{path.parent.name}/{path.name}",
        found,
        "a whole video",
        "Fetch the file again, or go on without this stream.",
    )
