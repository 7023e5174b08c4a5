"""The media of a record, decoded: the clip's frames and its sound."""

from pathlib import Path

import av
import numpy as np

from xperience.qwen.schema import AnswersError
from xperience.storage import file_url

AUDIO_HZ = 16_000


def read_frames(path: Path) -> np.ndarray:
    """Return all frames of a short clip.

    Parameters
    ----------
    path : Path

    Returns
    -------
    uint8 array, shape (n_frames, height, width, 3)
        Red, green, blue.

    Raises
    ------
    AnswersError
        If the file cannot be decoded or holds no frame.
    """
    try:
        with av.open(file_url(path)) as container:
            container.streams.video[0].thread_count = 1
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    except (OSError, IndexError, av.FFmpegError) as error:
        raise _undecodable(path, error) from error
    if not frames:
        raise _undecodable(path, "no frame")
    return np.stack(frames)  # (n_frames, height, width, 3)


def read_sound(path: Path) -> np.ndarray:
    """Return the sound of a short clip.

    Parameters
    ----------
    path : Path

    Returns
    -------
    float32 array, shape (n_samples,)
        Mono, 16 kHz, within -1 to 1.

    Raises
    ------
    AnswersError
        If the file cannot be decoded or is silent of samples.
    """
    resampler = av.AudioResampler(format="flt", layout="mono", rate=AUDIO_HZ)
    try:
        with av.open(file_url(path)) as container:
            parts = [
                piece.to_ndarray()[0]
                for frame in [*container.decode(audio=0), None]
                for piece in resampler.resample(frame)
            ]
    except (OSError, IndexError, av.FFmpegError) as error:
        raise _undecodable(path, error) from error
    if not sum(map(len, parts)):
        raise _undecodable(path, "no sample")
    return np.concatenate(parts)  # (n_samples,)


def _undecodable(path: Path, why: object) -> AnswersError:
    return AnswersError(
        path.name, f"cannot be decoded ({why})", "a clip that the export wrote",
        "Export the records again.",
    )  # fmt: skip
