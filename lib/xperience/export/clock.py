"""When samples of a recording happen, and which streams it has."""

import numpy as np

from xperience.recording import layout
from xperience.recording.recording import Episode


def imu_times_s(episode: Episode) -> np.ndarray:
    """Return when each IMU sample was taken, seconds after the first frame, float64 (n_samples,).

    Samples are tied to frames by ``imu/keyframe_indices``: the sample of a frame happens with it,
    and the device clock of the IMU tells the time between, whatever its zero is.
    """
    stamps_s = episode.read(layout.IMU_STAMPS).astype(np.int64) / 1e9
    keys = episode.annotation.keyframes()
    times_s = episode.frame_times_s[: len(keys)]
    known = (keys[: len(times_s)] >= 0) & (keys[: len(times_s)] < len(stamps_s))
    if not known.any():
        return stamps_s - stamps_s[0]
    offsets_s = times_s[known] - stamps_s[keys[: len(times_s)][known]]
    return stamps_s + float(np.median(offsets_s))


def absent_streams(episode: Episode) -> dict[str, str]:
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
