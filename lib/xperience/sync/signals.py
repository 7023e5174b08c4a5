"""What the audit compares: signals of motion, of sound and of a body's events, on one grid.

How fast the head turns is told three ways, by SLAM poses, by the gyroscope and by the picture.
Where something begins to be heard is compared with the moments at which a body may be heard: a
contact begins, a hand or a foot comes to rest.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import cv2
import librosa
import numpy as np
from scipy.integrate import cumulative_trapezoid

from xperience.errors import EpisodeError
from xperience.recording import layout
from xperience.recording.geometry import LEFT_WRIST, RIGHT_WRIST, Points
from xperience.recording.layout import AUDIO_RATE_HZ
from xperience.recording.media import read_sound
from xperience.recording.recording import Recording
from xperience.sync.lags import RATE_HZ

_LONGEST_GAP = 3.5
"""Frames, or inertial samples, over which a straight line may stand in for what is missing."""


# -- time and grids ----------------------------------------------------------------------------


def regular_grid(length_s: float) -> np.ndarray:
    """Return instants `1 / RATE_HZ` apart, from half a step to `length_s`, shape (n,)."""
    return (np.arange(int(length_s * RATE_HZ)) + 0.5) / RATE_HZ


def _usable(time_s: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return which known samples are later than all known ones before them, shape (n,)."""
    good = known & np.isfinite(time_s)
    own = time_s[good]
    good[good] = own > np.r_[-np.inf, np.maximum.accumulate(own)[:-1]][: len(own)]
    return good


def on_grid(time_s: np.ndarray, values: np.ndarray, grid_s: np.ndarray, gap_s: float) -> np.ndarray:
    """Return a sampled quantity, shape (n,), on another grid, shape (m,), by straight lines.

    A sample whose clock has run back is left out, and so is one that is NaN. No line is drawn
    between samples more than ``gap_s`` apart: there, before the first sample and after the last,
    the result is NaN.
    """
    good = _usable(time_s, np.isfinite(values))
    time_s, values = time_s[good], values[good]
    if len(time_s) < 2:
        return np.full(len(grid_s), np.nan)
    out = np.interp(grid_s, time_s, values, left=np.nan, right=np.nan)
    after = np.clip(np.searchsorted(time_s, grid_s), 1, len(time_s) - 1)
    return np.where(time_s[after] - time_s[after - 1] > gap_s, np.nan, out)


def between_frames(time_s: np.ndarray, values: np.ndarray, grid_s: np.ndarray) -> np.ndarray:
    """Return what was measured from frame to frame, shape (n, n_channels), on a regular grid.

    Frames were taken at ``time_s``, shape (n_frames,); values are of the first n steps.
    """
    middle_s = (time_s[1:] + time_s[:-1])[: len(values)] / 2
    gap_s = _LONGEST_GAP * float(np.median(np.diff(time_s)))
    return np.stack([on_grid(middle_s, channel, grid_s, gap_s) for channel in values.T], axis=1)


def frame_stamps_ns(episode: Recording) -> np.ndarray | None:
    """Return the device time of each frame in ns, shape (n_frames,), or None if nothing tells it.

    From the frame names or the video group; else from the inertial samples that the keyframes name.
    """
    if episode.stamps_ns is not None or not episode.streams["imu"].usable:
        return episode.stamps_ns
    samples = episode.read(layout.IMU_STAMPS)
    keys = episode.annotation.keyframes()
    fits = len(keys) == episode.n_frames and ((keys >= 0) & (keys < len(samples))).all()
    return samples[keys] if fits else None


def frame_times_s(episode: Recording) -> np.ndarray:
    """Return when each frame was taken, in seconds since the first, shape (n_frames,).

    Device time where there is one, else counted at the recording's frame rate.
    """
    stamps_ns = frame_stamps_ns(episode)
    if stamps_ns is None:
        return np.arange(episode.n_frames) / episode.fps
    return _since_s(stamps_ns, stamps_ns[0])


def _since_s(stamps_ns: np.ndarray, first_ns: float) -> np.ndarray:
    """Return seconds since an instant, shape (n,); whole stamps lose no digit."""
    return (stamps_ns - first_ns).astype(np.float64) / 1e9


def _steps_s(time_s: np.ndarray) -> np.ndarray:
    """Return the time between frames, NaN where it stands still or runs back."""
    step_s = np.diff(time_s)
    return np.where(step_s > 0, step_s, np.nan)


# -- motion ------------------------------------------------------------------------------------

_SMALL_PX, _TILE_PX = (96, 64), 32
_N_TILES = _SMALL_PX[0] * _SMALL_PX[1] // _TILE_PX**2
_MOST_FRAMES, _FOLDS, _RIDGE = 30, 24, 1e-9
_OUTLIER, _CUT, _MEDIAN_OF_NORMAL = 4.0, 6.0, 0.6745
_LEAST_TEXTURE = 1.0
"""Grey levels of standard deviation below which a tile shows nothing to follow."""


def turning_rad_s(quat_wxyz: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    """Return the angular speed between neighbouring poses, shape (n - 1,), in radians per second.

    NaN beside a pose that is not there, or where time stands still.
    """
    quat = np.asarray(quat_wxyz, dtype=np.float64)
    norm = np.linalg.norm(quat, axis=1, keepdims=True)
    known = np.isfinite(norm) & (norm > 0)
    quat = np.where(known, quat, np.nan) / np.where(known, norm, np.nan)
    chord = np.linalg.norm(np.diff(quat, axis=0), axis=1)
    other = np.linalg.norm(quat[1:] + quat[:-1], axis=1)  # q and -q are the same rotation
    angle = 4 * np.arcsin(np.minimum(chord, other) / 2)
    return angle / _steps_s(time_s)


def gyro_rad_s(
    episode: Recording, first_ns: float, grid_s: np.ndarray, span_s: float
) -> np.ndarray:
    """Return the gyroscope's angular speed in radians per second, shape (n,); NaN without samples.

    Each value is the mean turn over ``span_s``: one frame's time, as between poses. The grid counts
    from the device time of the first frame, by the inertial stamps.
    """
    rows = min(episode.annotation.n_rows(path) for path in (layout.IMU_STAMPS, layout.IMU_GYRO))
    time_s = _since_s(episode.read(layout.IMU_STAMPS, 0, rows), first_ns)
    rate = episode.read(layout.IMU_GYRO, 0, rows).astype(np.float64)
    good = _usable(time_s, np.isfinite(rate).all(1))
    time_s, rate = time_s[good], rate[good]
    if len(time_s) < 2:
        return np.full(len(grid_s), np.nan)
    turned = cumulative_trapezoid(rate, time_s, axis=0, initial=0)
    gap_s = max(_LONGEST_GAP * float(np.median(np.diff(time_s))), span_s)
    before, after = (
        np.stack([on_grid(time_s, axis, grid_s + side, gap_s) for axis in turned.T], axis=1)
        for side in (-span_s / 2, span_s / 2)
    )
    return np.linalg.norm(after - before, axis=1) / span_s


def camera_motion(episode: Recording, time_s: np.ndarray) -> np.ndarray:
    """Return how the reference camera turns and moves between frames, shape (n - 1, 6).

    Along its own axes: rotation in rad/s, then translation in m/s; NaN beside a pose that is not
    there.
    """
    pose = episode.camera_to_world(0, len(time_s))
    n = min(len(pose.translation), len(time_s))
    back = np.swapaxes(pose.rotation[: n - 1], 1, 2)
    turn = back @ pose.rotation[1:n]  # (n - 1, 3, 3)
    skew = turn - np.swapaxes(turn, 1, 2)
    turned = np.stack([skew[:, 2, 1], skew[:, 0, 2], skew[:, 1, 0]], axis=1) / 2
    moved = np.einsum("nij,nj->ni", back, np.diff(pose.translation[:n], axis=0))
    return np.hstack([turned, moved]) / _steps_s(time_s[:n])[:, None]


def picture_px_s(pictures: Iterable[np.ndarray | None], time_s: np.ndarray) -> np.ndarray:
    """Return how parts of the picture move, from phase correlation of small grey frames.

    Pictures are uint8 RGB, one per frame, streamed; None where a frame has none. No more of them
    are read than there are frame times. Motion, float (n_frames - 1, 12), is in pixels of a picture
    of 96 x 64 per second, to the right and downwards, for 3 x 2 tiles; NaN beside a frame without a
    picture, where time stands still and where a tile shows nothing to follow.
    """
    cv2.setNumThreads(1)
    window = cv2.createHanningWindow((_TILE_PX, _TILE_PX), cv2.CV_32F)
    moved_px = np.full((len(time_s) - 1, _N_TILES, 2), np.nan)
    before: list[np.ndarray | None] = [None] * _N_TILES
    for number, rgb in enumerate(islice(pictures, len(time_s))):
        now = [None] * _N_TILES if rgb is None else _tiles(rgb)
        for tile, (old, new) in enumerate(zip(before, now, strict=True)):
            if old is not None and new is not None:
                shift = np.array(cv2.phaseCorrelate(old, new, window)[0])
                if np.abs(shift).max() <= _TILE_PX / 4:  # further is no shift but a failure
                    moved_px[number - 1, tile] = shift
        before = now
    return moved_px.reshape(-1, 2 * _N_TILES) / _steps_s(time_s)[:, None]


def _tiles(rgb: np.ndarray) -> list[np.ndarray | None]:
    """Return the tiles of a small grey copy; None where one shows nothing to follow."""
    small = cv2.resize(rgb, _SMALL_PX, interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    cut = grey.reshape(_SMALL_PX[1] // _TILE_PX, _TILE_PX, -1, _TILE_PX).swapaxes(1, 2)
    tiles = np.ascontiguousarray(cut).reshape(_N_TILES, _TILE_PX, _TILE_PX)
    return [tile if tile.std() >= _LEAST_TEXTURE else None for tile in tiles]


def matched(moved: np.ndarray, motion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the picture's motion and what the camera's own motion predicts of it, in one unit.

    Parts of the picture move, shape (n, n_channels), NaN where unknown, and so does the camera,
    shape (n, 6), at the same frames by the recording's own count. The unit is the standard
    deviation of what the prediction leaves over, so that the parts that follow the camera count
    most. Both are cut off at a few of them, so that a few fast turns don't outvote the rest.

    How a camera sits on the rig, its lens and how far the scene is away are not asked for: a linear
    map is fitted, at whichever whole number of frames between the two it fits best. Each half of
    the segments is predicted by the map of the other half, so that signals which have nothing to
    do with each other still don't look alike.
    """
    n = min(len(moved), len(motion))
    moved, motion = moved[:n], motion[:n]
    most = min(_MOST_FRAMES, n // 4)
    shifts = range(-most, most + 1)
    best = max(shifts, key=lambda by: _fit(*_shifted(moved, motion, by))[1])
    clean = moved
    for _ in range(2):  # hands pass through the picture: the second fit leaves them out
        predicted = _predicted(clean, motion, best)
        left = np.full(moved.shape, np.nan)
        _shifted(left, left, best)[0][:] = np.subtract(*_shifted(moved, predicted, best))
        spread = _spread(left)
        clean = np.where(np.abs(left) > _OUTLIER * spread, np.nan, moved)
    unit = np.where(spread > 0, spread, np.inf)
    return np.clip(moved / unit, -_CUT, _CUT), np.clip(predicted / unit, -_CUT, _CUT)


def _predicted(moved: np.ndarray, motion: np.ndarray, shift: int) -> np.ndarray:
    """Return each half of the segments as the map of the other half predicts it."""
    fold = np.arange(len(moved)) * _FOLDS // len(moved) % 2
    out = np.full(moved.shape, np.nan)
    for own in (0, 1):
        others = np.where((fold != own)[:, None], moved, np.nan)
        out[fold == own] = motion[fold == own] @ _fit(*_shifted(others, motion, shift))[0]
    return out


def _spread(left: np.ndarray) -> np.ndarray:
    """Return each channel's usual distance from 0, as a standard deviation; 0 where all unknown."""
    channels = (channel[np.isfinite(channel)] for channel in left.T)
    return np.array([np.median(np.abs(c)) / _MEDIAN_OF_NORMAL if len(c) else 0.0 for c in channels])


def _shifted(late: np.ndarray, early: np.ndarray, by: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that belong together if one comes so many rows after the other."""
    if by < 0:
        return late[:by], early[-by:]
    return late[by:], early[: len(early) - by]


def _fit(moved: np.ndarray, motion: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the map from motion to picture, shape (6, n_channels), and how well it fits, 0 to 1.

    What is unknown is left out of the picture, channel by channel; so maps are solved one by one.
    """
    there = np.isfinite(motion).all(1)
    motion = np.where(there[:, None], motion, 0)
    known = np.isfinite(moved) & there[:, None]
    moved = np.where(known, moved, 0)
    gram = np.einsum("nc,ni,nj->cij", known.astype(float), motion, motion, optimize=True)
    size = np.maximum(np.trace(gram, axis1=1, axis2=2), 1e-12)[:, None, None]
    gram = gram + _RIDGE * size * np.eye(motion.shape[1])
    chart = np.linalg.solve(gram, (moved.T @ motion)[:, :, None])[:, :, 0].T
    left = ((moved - known * (motion @ chart)) ** 2).sum(0)
    whole = (moved**2).sum(0)
    return chart, float(np.mean(1 - left / np.maximum(whole, 1e-12)))


# -- sound -------------------------------------------------------------------------------------

_N_FFT, _HOP, _N_MELS = 256, 80, 24
"""Short spectra: 16 ms long, one every 5 ms, so that an onset's time is known to some ms."""
STEP_S = _HOP / AUDIO_RATE_HZ
SILENT_PEAK = 1e-4
"""Sound that never gets louder, -80 dB, holds nothing to hear."""
_FLOOR_POWER = 1e-6
_ATTACK_LEAD_S = 0.004569166920647872
"""By how much the rises of a sudden sound come before it, measured on bursts of noise that begin at
known samples at all places between two spectra. Loudness in dB shoots up as soon as the very end of
a spectrum's window reaches the sound, half a window before the window's middle does. So the rises
lie early, by an amount that depends on the window alone and hardly on the sound.
"""
_CHUNK = 16_000 * 20  # samples at a time
_QUIET_SHARE = 95  # percentile: only what rises above most of the recording counts


class OnsetTrack:
    """Onset strength of a whole sound track, read as a stream.

    Every 5 ms of the file's time that has sound: ``time_s`` and ``strength_db``, the mean rise of
    the mel bands, float (n,). A sudden sound's rises lie about the instant at which it begins.
    ``peak`` is the greatest amplitude, 0 to 1.
    """

    def __init__(self, path: Path):
        self.peak = 0.0
        time_s, strength_db = [np.zeros(0)], [np.zeros(0)]
        for place, samples in self._chunks(path):
            strength_db.append(_strengths(samples))
            # rises lie midway between the middles of neighbouring spectra
            rises = np.arange(len(strength_db[-1])) * _HOP + _N_FFT / 2 + _HOP / 2
            time_s.append(place / AUDIO_RATE_HZ + _ATTACK_LEAD_S + rises / AUDIO_RATE_HZ)
        self.time_s, self.strength_db = np.concatenate(time_s), np.concatenate(strength_db)

    def _chunks(self, path: Path) -> Iterator[tuple[int, np.ndarray]]:
        """Yield pieces of sound and their places.

        Neighbours share one spectrum, so that no rise is lost between them, but none across a hole.
        """
        held: list[np.ndarray] = []
        first = end = 0
        for place, part in read_sound(path, AUDIO_RATE_HZ):
            self.peak = max(self.peak, float(np.abs(part).max(initial=0.0)))
            if place != end:
                if held:
                    yield first, np.concatenate(held)
                held, first = [], place
            held.append(part)
            end = place + len(part)
            if end - first >= _CHUNK:
                samples = np.concatenate(held)
                yield first, samples
                n_spectra = (len(samples) - _N_FFT) // _HOP + 1
                held = [samples[(n_spectra - 1) * _HOP :]]
                first = end - len(held[0])
        if held:
            yield first, np.concatenate(held)

    def standing_out(self, grid_s: np.ndarray) -> np.ndarray:
        """Return how far onsets stand above nearly all of the recording, on a grid, shape (n,).

        A running tap or a grinder rises and falls all the time; what is struck stands out.
        """
        above = np.maximum(self.strength_db - np.percentile(self.strength_db, _QUIET_SHARE), 0)
        smooth = (above[:-1] + above[1:]) / 2  # two steps make one of the grid
        middle_s = (self.time_s[:-1] + self.time_s[1:]) / 2
        return on_grid(middle_s, smooth, grid_s, 3 * _HOP / AUDIO_RATE_HZ)


def _strengths(samples: np.ndarray) -> np.ndarray:
    """Return the onset strength of a piece of sound, one value a step between its spectra."""
    if len(samples) < _N_FFT + _HOP:
        return np.zeros(0)
    mel = librosa.feature.melspectrogram(
        y=samples, sr=AUDIO_RATE_HZ, n_fft=_N_FFT, hop_length=_HOP, n_mels=_N_MELS, center=False
    )
    level_db = librosa.power_to_db(mel, ref=1.0, amin=_FLOOR_POWER, top_db=None)
    rise = librosa.onset.onset_strength(S=level_db, sr=AUDIO_RATE_HZ, center=False)
    return rise[1:]  # the first has nothing before it


# -- the body's events -------------------------------------------------------------------------

_LEFT_ANKLE, _RIGHT_ANKLE = 7, 8
_LEAST_SPEED_M_S = 0.05  # a slower movement is no movement: trackers tremble
_TREMBLE = 5.0  # times the speed of a joint at rest
_AT_REST_SHARE = 0.2  # of a movement's top speed
_TAIL_SHARE = 0.04
_KERNEL_S = 0.025  # half a frame at 20 Hz


def body_events(episode: Recording) -> dict[str, np.ndarray]:
    """Return when a body may be heard, by kind; none where a stream is gone.

    In frames, not whole: 1.5 lies midway between frames 1 and 2. Wrists come from the body, or from
    the hands brought into world coordinates where there is no body; ankles from the body alone.
    """
    contacts, wrists, ankles = np.zeros(0), [], []
    if episode.streams["contacts"].usable:
        contacts = contact_onsets(episode.read(layout.CONTACTS))
    if episode.streams["body"].usable:
        joints = [LEFT_WRIST, RIGHT_WRIST, _LEFT_ANKLE, _RIGHT_ANKLE]
        blocks = episode.annotation.blocks(layout.KEYPOINTS, episode.streams["body"].n_rows)
        points = np.concatenate([_known(block)[:, joints] for _, block in blocks])  # (n, 4, 3)
        wrists, ankles = [points[:, 0], points[:, 1]], [points[:, 2], points[:, 3]]
    elif episode.streams["pose"].usable:
        hands = {"hand_left": layout.HAND_LEFT, "hand_right": layout.HAND_RIGHT}
        there = [path for stream, path in hands.items() if episode.streams[stream].usable]
        wrists = [_wrist(episode, path) for path in there]
    hands, feet = (
        np.concatenate([np.zeros(0), *(stops(one, episode.fps) for one in limbs)])
        for limbs in (wrists, ankles)
    )
    return {"contact onsets": contacts, "stops of a hand": hands, "of a foot": feet}


def _wrist(episode: Recording, path: str) -> np.ndarray:
    """Return a hand's wrist in world coordinates, shape (n, 3)."""
    joints = _known(episode.read(path))
    pose = episode.camera_to_world(0, len(joints))
    n = min(len(joints), len(pose.translation))
    return pose[:n](Points(joints[:n, 0], pose.source)).xyz


def _known(joints: np.ndarray) -> np.ndarray:
    """Return joints with NaN in frames that are all zero, as trackers leave them."""
    joints = np.asarray(joints, dtype=np.float64)
    lost = ~np.any(np.nan_to_num(joints), axis=(1, 2))
    return np.where(lost[:, None, None], np.nan, joints)


def contact_onsets(contacts: np.ndarray) -> np.ndarray:
    """Return where contacts begin, in frames: midway from the last frame without to the first with.

    Contacts have shape (n_frames, n_joints), above 0 is contact. Joints that touch in the same
    frame count once.
    """
    touching = np.nan_to_num(contacts) > 0
    begins = (touching[1:] & ~touching[:-1]).any(axis=1)
    return np.flatnonzero(begins) + 0.5


def stops(xyz_m: np.ndarray, fps: float) -> np.ndarray:
    """Return when a point comes to rest after a movement, in frames, finer than whole ones.

    Positions have shape (n_frames, 3), along axes that don't move; NaN where unknown.

    If the frame rate is not above 0, that is an EpisodeError.

    People bring their limbs to rest smoothly, with the least jerk: at a share u of the time, speed
    is 16 u² (1 - u)² of its top. So √(1 - √(speed / top)) rises along a straight line that is 1 at
    the end of the movement, and the line tells the end from the frames before it. A hand that hits
    something stops at once: then the line is steep, and ends between two frames.
    """
    if not fps > 0:
        raise EpisodeError("stops", f"fps is {fps}", "a rate above 0", "Give frames per second.")
    speed = np.linalg.norm(np.diff(xyz_m, axis=0), axis=1) * fps  # (n_frames - 1,)
    known = np.isfinite(speed)
    if known.sum() < 3:
        return np.zeros(0)
    least = max(_LEAST_SPEED_M_S, _TREMBLE * float(np.percentile(speed[known], 10)))
    return np.array([_end(speed, top, low) for top, low in _movements(speed, least)], dtype=float)


def _movements(speed: np.ndarray, least: float) -> list[tuple[int, int]]:
    """Return (last peak, rest after it) of each movement that is fast enough and really ends."""
    rises, falls = speed[1:] >= speed[:-1], speed[1:] < speed[:-1]  # of a plateau, the last counts
    peaks = np.flatnonzero(np.r_[True, rises] & np.r_[falls, True] & (speed > least))
    lows = np.flatnonzero(np.r_[False, falls] & np.r_[rises, False])
    unknown = np.maximum.accumulate(np.where(np.isfinite(speed), -1, np.arange(len(speed))))
    found, last = [], -1
    for low in lows:
        first = max(last, int(unknown[low]))  # what came before a gap is another movement
        own = peaks[np.searchsorted(peaks, first, "right") : np.searchsorted(peaks, low)]
        if len(own) and speed[low] <= _AT_REST_SHARE * speed[own].max():
            found.append((int(own[-1]), int(low)))
            last = low
    return found


def _end(speed: np.ndarray, top: int, low: int) -> float:
    """Return when the movement ends, in frames, from the line that its last frames lie on."""
    steps = np.arange(top, low + 1)
    steps = steps[speed[steps] > _TAIL_SHARE * speed[top]][-3:]
    middle = steps + 0.5  # speed i lies between frames i and i + 1
    line = np.sqrt(np.clip(1 - np.sqrt(speed[steps] / speed[top]), 0, 1))
    if len(steps) < 2:
        return min(middle[-1] + 0.5, low + 0.5)
    slope, start = np.polyfit(middle, line, 1)
    return float(np.clip((1 - start) / max(slope, 1e-9), middle[-1], low + 0.5))


def event_signal(time_s: np.ndarray, grid_s: np.ndarray) -> np.ndarray:
    """Return a signal on a regular grid with one bump an event, half a frame wide, shape (n,)."""
    step_s = grid_s[1] - grid_s[0]
    reach = int(np.ceil(4 * _KERNEL_S / step_s))
    out = np.zeros(len(grid_s) + 2 * reach)
    place = (np.asarray(time_s) - grid_s[0]) / step_s
    place = place[(place >= 0) & (place <= len(grid_s) - 1)]
    around = np.arange(-reach, reach + 1)
    nearest = np.rint(place).astype(int)
    bumps = np.exp(-0.5 * ((around + (nearest - place)[:, None]) * step_s / _KERNEL_S) ** 2)
    np.add.at(out, nearest[:, None] + around + reach, bumps)
    return out[reach : reach + len(grid_s)]
