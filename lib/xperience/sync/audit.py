"""The audit of a whole episode: four pairs of clocks, each with a verdict."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xperience.errors import EpisodeError, ParamsError, did_you_mean
from xperience.progress import OnProgress, quiet
from xperience.recording import layout
from xperience.recording.recording import Episode
from xperience.sync import motion
from xperience.sync.container import compare_clocks, count_gaps
from xperience.sync.events import body_events, event_signal
from xperience.sync.lags import SHORTEST_S, measure_lag, regular_grid
from xperience.sync.pair import ClockPair, Misalignment, Names, Range, Verdict
from xperience.sync.sound import SILENT_PEAK, STEP_S, OnsetTrack

LEAST_TURN_RAD_S = 0.02
"""A head whose fastest twentieth of the time is slower than this hardly turns."""
FEWEST_EVENTS = 8
_FEWEST_FRAMES = 48

_WORDS = {
    "gyro_rotation": ("gyroscope", "SLAM rotation"),
    "flow_camera": ("picture's motion", "SLAM motion"),
    "sound_body": ("sound", "body's contacts and stops"),
    "container_device": ("video file's clock", "device clock"),
}
PAIRS = tuple(_WORDS)
RESOLUTION_FRAMES = {
    "gyro_rotation": 0.1,
    "flow_camera": 0.25,
    "sound_body": 0.5,
    "container_device": 0.0,
}
"""Share of a frame's time that a pair cannot resolve, however long the recording.

How a head moves between two frames is interpolated; how a picture moves is blurred by what moves in
it; a limb that is at rest in one frame and was not in the one before may have been heard anywhere
between, the sooner the more abruptly it stopped. Such errors are the same for all events or moves
of a recording, so drawing its stretches anew cannot show them.
"""
_BODY = ("body", "contacts", "hand_left", "hand_right")


@dataclass(frozen=True)
class SyncAudit:
    """What was found of an episode's clocks.

    Parameters
    ----------
    episode : str
        Name of the folder.
    length_s : float
        From the first frame to the last.
    frame_ms : float
        Time of one frame.
    pairs : tuple of ClockPair
        Those asked for, in that order.
    """

    episode: str
    length_s: float
    frame_ms: float
    pairs: tuple[ClockPair, ...]

    def __getitem__(self, name: str) -> ClockPair:
        """Return the pair of a name."""
        return next(pair for pair in self.pairs if pair.name == name)

    def to_json(self) -> str:
        """Return the audit as JSON text."""
        whole = {"episode": self.episode, "length_s": self.length_s, "frame_ms": self.frame_ms}
        whole["pairs"] = [pair.to_dict() for pair in self.pairs]
        return json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False)

    def to_text(self) -> str:
        """Return a few lines a pair for readers."""
        lines = [f"{self.episode}: {self.length_s:.1f} s, one frame is {self.frame_ms:.1f} ms"]
        for pair in self.pairs:
            lines += ["", f"{pair.late} against {pair.reference}: {pair.headline}"]
            if found := pair.misalignment:
                lines.append(f"  offset {found.offset_ms} ms in the middle of the recording")
                drift = f"{found.drift_ppm} ppm" if found.drift_ppm else "not known: too short"
                lines.append(f"  drift {drift}")
                lines.append(f"  from {found.start_ms} ms at the start to {found.end_ms} ms")
                lines.append(f"  a steady offset below {pair.smallest_ms:.0f} ms would not be told")
            if pair.evidence:
                lines.append(f"  rests on {pair.evidence}")
        return "\n".join(lines)


def audit_episode(
    folder: Path | str,
    pairs: Sequence[str] = PAIRS,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> SyncAudit:
    """Return whether the streams of a recording belong to the same moments, without any label.

    Parameters
    ----------
    folder : path
        The episode; only read. Videos and sound are streamed.
    pairs : sequence of str
        Names in `PAIRS`; only these are looked at.
    seed : int
        Draws the resamples behind the intervals.
    on_progress : callable, optional
        Called with the step "pairs of clocks", how many were judged, and how many there are.

    Returns
    -------
    SyncAudit
        A pair that cannot be judged (a stream is missing, silent or motionless, the recording too
        short, the signals unlike each other) says so and why, and holds no offset.

    Raises
    ------
    EpisodeError
        If there is no usable annotation.
    ParamsError
        If there is no pair of a name.
    """
    if unknown := [name for name in pairs if name not in PAIRS]:
        hint = did_you_mean(unknown[0], PAIRS)
        raise ParamsError("pairs", f"holds {unknown[0]!r}", "names of pairs of clocks", hint)
    # what is implausible is for `inspect` to name; computing with it is no news
    with Episode(folder) as episode, np.errstate(over="ignore", invalid="ignore"):
        time_s = motion.frame_times_s(episode)
        frame_ms = 1e3 / episode.fps
        tell = on_progress or quiet
        found: list[ClockPair] = []
        tell("pairs of clocks", 0, len(pairs))
        for name in pairs:
            found.append(_audited(_Job(episode, _names(name, frame_ms), time_s, seed)))
            tell("pairs of clocks", len(found), len(pairs))
        return SyncAudit(episode.name, float(time_s[-1] - time_s[0]), frame_ms, tuple(found))


def _names(name: str, frame_ms: float) -> Names:
    return Names(name, *_WORDS[name], frame_ms, frame_ms * RESOLUTION_FRAMES[name])


@dataclass(frozen=True)
class _Job:
    """One pair of an episode, and the device time of its frames."""

    episode: Episode
    names: Names
    time_s: np.ndarray
    seed: int

    def need(self, stream: str) -> None:
        """Stop here, with the reason, where a stream cannot be read."""
        state = self.episode.streams[stream]
        if not state.usable:
            fault = state.faults[0]
            raise _CannotTellError(f"{stream} is {state.status} ({fault.found})")

    def grid_s(self, time_s: np.ndarray) -> np.ndarray:
        """Return the instants at which signals of these frames are compared."""
        length_s = float(time_s[-1]) if len(time_s) else 0.0
        if not length_s >= SHORTEST_S:
            raise _CannotTellError(
                f"the recording lasts {length_s:.1f} s, at least {SHORTEST_S:.0f} s are needed"
            )
        return regular_grid(length_s)

    def turning(self) -> np.ndarray:
        """Return the angular speed between neighbouring poses, shape (n - 1,)."""
        self.need("pose")
        quat = self.episode.read(layout.QUATERNION)
        n = min(len(quat), len(self.time_s))
        speed = motion.turning_rad_s(quat[:n], self.time_s[:n])
        return _moving("the head", speed)


class _CannotTellError(Exception):
    """Why a pair cannot be judged; never leaves this module."""


def _audited(job: _Job) -> ClockPair:
    judge: dict[str, Callable[[_Job], ClockPair]] = {
        "gyro_rotation": _gyro,
        "flow_camera": _flow,
        "sound_body": _sound,
        "container_device": _container,
    }
    try:
        return judge[job.names.name](job)
    except _CannotTellError as error:
        return job.names.cannot_tell(str(error))
    except EpisodeError as error:
        return job.names.cannot_tell(f"{error.place} {error.found}")


def _moving(who: str, speed: np.ndarray) -> np.ndarray:
    """Return angular speeds, if there is some motion in them."""
    known = np.isfinite(speed)
    if not known.any():
        raise _CannotTellError(f"no motion of {who} is known")
    fast = float(np.percentile(speed[known], 95))
    if fast < LEAST_TURN_RAD_S:
        raise _CannotTellError(f"{who} hardly turns: {np.rad2deg(fast):.2f} degrees/s at most")
    return speed


def _gyro(job: _Job) -> ClockPair:
    turning = job.turning()
    job.need("imu")
    grid_s = job.grid_s(job.time_s)
    reference = motion.between_frames(job.time_s, turning[:, None], grid_s)
    stamps_ns = motion.frame_stamps_ns(job.episode)
    if stamps_ns is None:
        raise _CannotTellError("neither frame names nor keyframes tie inertial samples to frames")
    span_s = float(np.median(np.diff(job.time_s)))
    late = motion.gyro_rad_s(job.episode, stamps_ns[0], grid_s, span_s)
    _moving("the gyroscope", late)
    # roots: a few fast turns of the head should not outvote all the rest
    return _correlated(job, np.sqrt(late), np.sqrt(reference[:, 0]), "of angular speeds")


def _flow(job: _Job) -> ClockPair:
    job.turning()
    grid_s = job.grid_s(job.time_s)
    camera = next((name for name in layout.CAMERAS if job.episode.streams[name].usable), None)
    if camera is None:
        raise _CannotTellError("no camera's video can be read")
    frames = np.arange(len(job.time_s))
    moved = motion.picture_px_s(job.episode.pictures(camera, frames), job.time_s)
    if np.isfinite(moved).any(1).sum() < _FEWEST_FRAMES or not np.nanmax(np.abs(moved)) > 0:
        raise _CannotTellError(f"the picture of {camera} shows nothing that moves")
    both = motion.matched(moved, motion.camera_motion(job.episode, job.time_s))
    late, reference = (motion.between_frames(job.time_s, values, grid_s) for values in both)
    what = f"of the motion of {camera}'s picture with what the camera's own motion predicts"
    return _correlated(job, late, reference, what)


def _sound(job: _Job) -> ClockPair:
    episode = job.episode
    job.need("audio")
    if not any(episode.streams[name].usable for name in _BODY):
        raise _CannotTellError("neither body nor contacts nor hands can be read")
    begin_s = episode.clock(layout.AUDIO_CAMERA).begin_s
    grid_s = job.grid_s(begin_s - begin_s[0])
    onsets = OnsetTrack(episode.video_path(layout.AUDIO_CAMERA))
    if len(onsets.strength_db) * STEP_S < SHORTEST_S:
        raise _CannotTellError(
            f"there are {len(onsets.strength_db) * STEP_S:.1f} s of sound, "
            f"at least {SHORTEST_S:.0f} s are needed"
        )
    if onsets.peak < SILENT_PEAK:
        raise _CannotTellError("the sound is silent")
    events = body_events(episode)
    places = events.all
    places = places[places <= len(begin_s) - 1]
    if len(places) < FEWEST_EVENTS:
        raise _CannotTellError(f"the body gives {len(places)} events, {FEWEST_EVENTS} are needed")
    event_s = np.interp(places, np.arange(len(begin_s)), begin_s)
    heard = onsets.standing_out(grid_s + begin_s[0])
    if not np.nanmax(heard, initial=0.0) > 0:
        raise _CannotTellError("nothing in the sound has an onset")
    bumps = event_signal(event_s - begin_s[0], grid_s)
    return _correlated(job, heard, bumps, f"of onsets with {events}", len(places))


def _correlated(
    job: _Job, late: np.ndarray, reference: np.ndarray, what: str, n_events: int | None = None
) -> ClockPair:
    lag = measure_lag(late, reference, job.seed)
    evidence = (
        f"a correlation of {lag.correlation:.2f} {what}, {lag.stands_out:.1f} standard deviations "
        f"above chance, in {lag.n_stretches} stretches"
    )
    return job.names.of_lag(lag, evidence, n_events)


def _container(job: _Job) -> ClockPair:
    episode = job.episode
    camera = next((name for name in layout.CAMERAS if episode.streams[name].usable), None)
    if camera is None:
        raise _CannotTellError("no camera's video can be read")
    if episode.stamps_ns is None:
        raise _CannotTellError("frame names hold no device times")
    clock = episode.clock(camera)
    seen = np.flatnonzero(clock.pictures >= 0)
    seen = seen[seen < len(job.time_s)]
    n = len(seen)
    if n < _FEWEST_FRAMES:
        raise _CannotTellError(f"{camera} has {n} frames, {_FEWEST_FRAMES} are needed")
    if not job.time_s[seen[-1]] > job.time_s[seen[0]]:
        raise _CannotTellError("device times do not grow")
    shown_s = clock.timeline.picture_s[clock.pictures[seen]]
    found = compare_clocks(shown_s, job.time_s[seen], job.seed)
    evidence = (
        f"{n:,} frames of {camera}, jitter {found.jitter_ms:.2f} ms, "
        f"gaps in the file {found.gaps[0]}, on the device {count_gaps(job.time_s)}"
    )
    n_shown = len(clock.timeline.ticks)
    if n_shown != len(job.time_s):
        evidence += f"; the file has {n_shown:,} frames, the recording {len(job.time_s):,}"
    more = {"evidence": evidence, "n_events": n, "n_stretches": found.n_stretches}
    more["furthest_ms"] = found.furthest_ms
    return job.names.judged(Misalignment.of(found.line, found.resampled, found.length_s), **more)


__all__ = ["PAIRS", "ClockPair", "Range", "SyncAudit", "Verdict", "audit_episode"]
