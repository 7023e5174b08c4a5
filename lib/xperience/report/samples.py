"""Windows spread over an episode, with a picture and three signals each."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from xperience.errors import EpisodeError
from xperience.features.table import WindowTable
from xperience.features.windows import WINDOW_FRAMES
from xperience.recording import layout
from xperience.recording.geometry import WORLD, Points, Transform
from xperience.recording.recording import Episode
from xperience.report.moment import check_usable
from xperience.report.video_seek import frame_at, sound_level

SIGNALS = {"hand speed": "m/s", "turn rate": "rad/s", "sound level": "full scale"}


@dataclass(frozen=True)
class Sample:
    """One window."""

    window: int
    start_frame: int
    action: str | None
    subtask: str | None
    image: np.ndarray | None  # the centre frame, uint8 (height, width, 3)
    signals: dict[str, np.ndarray]  # evenly spread over the window, by names in `SIGNALS`
    problems: dict[str, str]  # why the "image" or a signal isn't there


def read_samples(episode: Episode, table: WindowTable, n: int, camera: str) -> list[Sample]:
    """Return at most n windows evenly spread over an episode, with pictures of a camera."""
    n = min(n, len(table))
    chosen = np.unique(np.linspace(0, len(table) - 1, n + 2)[1:-1].round().astype(int))
    return [_sample(episode, row, camera) for row in table.labels.iloc[chosen].itertuples()]


def _sample(episode: Episode, row: Any, camera: str) -> Sample:
    problems: dict[str, str] = {}
    first, last = int(row.start_frame), int(row.end_frame) + 1
    image = None
    try:
        check_usable(episode, camera)
        image = frame_at(episode, camera, int(row.center_frame))
    except EpisodeError as error:
        problems["image"] = f"{camera} {error.found}"
    signals = {}
    for name, read in zip(SIGNALS, (_hand_speed, _turn_rate, _sound), strict=True):
        try:
            signals[name] = read(episode, first, last)
        except EpisodeError as error:
            signals[name] = np.zeros(0)
            problems[name] = error.found
    labels = (None if not isinstance(x, str) else x for x in (row.action, row.subtask))
    return Sample(int(row.window), first, *labels, image, signals, problems)


def _hand_speed(episode: Episode, first: int, last: int) -> np.ndarray:
    """Return the speed of the faster hand in m/s between frames, world coordinates."""
    check_usable(episode, "pose")
    hands = {"hand_left": layout.HAND_LEFT, "hand_right": layout.HAND_RIGHT}
    usable = [path for stream, path in hands.items() if episode.streams[stream].usable]
    if not usable:
        check_usable(episode, "hand_left")
    speeds = [_one_hand(episode, path, first, last) for path in usable]
    speed = np.fmax.reduce([np.resize(part, last - first - 1) for part in speeds])
    return _some(speed, "hands")


def _one_hand(episode: Episode, path: str, first: int, last: int) -> np.ndarray:
    joints = episode.read(path, first, last).astype(np.float64)
    joints[~np.any(joints != 0, axis=(1, 2))] = np.nan
    to_world = episode.camera_to_world(first, last)
    n = min(len(joints), len(to_world.translation))
    moved = Transform(
        to_world.rotation[:n], to_world.translation[:n], episode.reference_camera, WORLD
    )
    world = moved(Points(joints[:n].mean(axis=1), episode.reference_camera))
    speed = np.full(last - first - 1, np.nan)
    steps = np.linalg.norm(np.diff(world.xyz, axis=0), axis=-1) * episode.fps
    speed[: len(steps)] = steps
    return speed


def _turn_rate(episode: Episode, first: int, last: int) -> np.ndarray:
    """Return how fast the head turns, from the gyroscope's samples in the window, rad/s."""
    check_usable(episode, "imu")
    keys = episode.read(layout.IMU_KEYFRAMES, first, last).astype(np.int64)
    if len(keys) < WINDOW_FRAMES or not 0 <= keys[0] <= keys[-1]:
        raise EpisodeError("imu", "has no samples for this window", "keyframe indices", "")
    gyro = episode.read(layout.IMU_GYRO, int(keys[0]), int(keys[-1]) + 1).astype(np.float64)
    return _some(np.linalg.norm(gyro, axis=1), "imu")


def _sound(episode: Episode, first: int, last: int) -> np.ndarray:
    check_usable(episode, "audio")
    return _some(sound_level(episode, first, last), "audio")


def _some(values: np.ndarray, what: str) -> np.ndarray:
    if not np.isfinite(values).any():
        raise EpisodeError(what, "has no value in this window", "numbers", "")
    return values
