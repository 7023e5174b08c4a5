"""One clock of a recording's frames: which picture and which sound belong to each.

A file says when it shows its pictures and plays its sound (start times, edit lists, gaps, variable
rate, coding delays). A frame's picture is the one shown on the frame's slot, its sound what is
heard while it lasts; where there is none, nothing takes its place.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from xperience.recording.annotation import Fault
from xperience.recording.layout import AUDIO_RATE_HZ
from xperience.recording.media import RATE_SLACK, MediaTimeline

LEAST_HEARD = 0.8
"""Share of a frame's time that must have sound for it to count as there."""
_UNEVEN = 0.2
_SHORT_END = 0.01
_MOST_TOLD = 3


@dataclass(frozen=True)
class FrameClock:
    """When each frame of a recording happens in the time of one of its files."""

    timeline: MediaTimeline
    begin_s: np.ndarray  # seconds in the file's time at which each frame begins
    end_s: np.ndarray
    pictures: np.ndarray  # number of the picture on each frame's slot, -1 where none is
    rate_hz: float  # frames per second by which `published` counts sound: the file's mean rate

    @property
    def n_surplus(self) -> int:
        """Shown pictures that are no frame's: before the first, after the last, two on one slot."""
        return len(self.timeline.ticks) - int(np.sum(self.pictures >= 0))

    @cached_property
    def heard(self) -> np.ndarray:
        """Share of each frame's time that has sound, float (n_frames,), 0 to 1."""
        inside_s = np.zeros(len(self.begin_s))
        for begin_s, end_s in self.timeline.sound_s:
            shared_s = np.minimum(self.end_s, end_s) - np.maximum(self.begin_s, begin_s)
            inside_s += np.clip(shared_s, 0, None)
        return inside_s / (self.end_s - self.begin_s)

    @property
    def sound_is_counted(self) -> bool:
        """Whether the n-th sample lies at n / rate: from the file's time 0 on, without a hole."""
        runs_s = self.timeline.sound_s
        return len(runs_s) == 1 and round(runs_s[0, 0] * AUDIO_RATE_HZ) == 0

    def samples(
        self, starts: np.ndarray, stops: np.ndarray, rate_hz: int = AUDIO_RATE_HZ
    ) -> np.ndarray:
        """Return the samples [first, last) of runs of frames [start, stop), int array (n, 2).

        They are counted at ``rate_hz`` from the file's time 0.
        """
        spans_s = np.stack([self.begin_s[starts], self.end_s[np.asarray(stops) - 1]], axis=1)
        return np.round(spans_s * rate_hz).astype(np.int64)

    def counted_pictures_s(self) -> np.ndarray:
        """Return how many seconds after a frame the picture is shown that has the frame's number.

        As far as there are pictures; positive where counting takes a later one.
        """
        n = min(len(self.begin_s), len(self.timeline.ticks))
        return self.timeline.picture_s[:n] - self.begin_s[:n]

    def counted_sound_s(self) -> np.ndarray:
        """Return the same of the sound that counting samples gives each frame, shape (n,)."""
        runs_s = self.timeline.sound_s
        counted_s = np.cumsum(np.append(0, runs_s[:, 1] - runs_s[:, 0]))
        at_s = np.arange(len(self.begin_s)) / self.rate_hz
        at_s = at_s[at_s < counted_s[-1]]
        run = np.searchsorted(counted_s, at_s, side="right") - 1
        return runs_s[run, 0] + at_s - counted_s[run] - self.begin_s[: len(at_s)]


def runs_of(lost: np.ndarray) -> list[tuple[int, int]]:
    """Return first and last place of each run of true values, from bool (n,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], lost, [False]])))
    return [(int(first), int(after) - 1) for first, after in edges.reshape(-1, 2)]


def picture_faults(name: str, place: str, clock: FrameClock) -> list[Fault]:
    """Return what is odd about when a camera's file, called ``place``, shows its pictures."""
    line, found = clock.timeline, []
    if line.n_hidden:
        found.append((f"hides {line.n_hidden} pictures by its edit list", "every picture shown"))
    if line.zero_s:
        delay = f"begins {line.zero_s:.3f} s late to hold coding delays"
        found.append((delay, "an edit list that takes them out"))
    if line.rotation_deg:
        turned = f"asks for pictures turned by {line.rotation_deg} degrees counterclockwise"
        found.append((f"{turned} (`corrected` turns them)", "pictures as they are seen"))
    if len(line.ticks) > 1:
        low_ms, usual_ms, high_ms = 1e3 * np.percentile(np.diff(line.picture_s), [5, 50, 95])
        if high_ms - low_ms > _UNEVEN * usual_ms:
            found.append((f"shows pictures {low_ms:.0f} to {high_ms:.0f} ms apart", "an even rate"))
    if lost := runs_of(clock.pictures < 0):
        found.append((f"shows no picture in {_told(lost)}", "one a frame"))
    if clock.n_surplus:
        found.append((f"shows {clock.n_surplus} pictures that are no frame's", "one a frame"))
    return [Fault(name, place, *words) for words in found]


def sound_faults(place: str, clock: FrameClock) -> list[Fault]:
    """Return what is odd about when a file plays its sound; see `picture_faults`."""
    lost = runs_of(clock.heard < LEAST_HEARD)
    if lost and lost[-1][1] == len(clock.heard) - 1:
        n = lost[-1][1] - lost[-1][0] + 1
        lost = lost if n > _SHORT_END * len(clock.heard) else lost[:-1]
    found = f"has no sound in {_told(lost)}"
    return [Fault("audio", place, found, "sound throughout")] if lost else []


def counting_faults(name: str, place: str, away_s: np.ndarray, slack_s: float) -> list[Fault]:
    """Return by how much counting, as `published` does, disagrees with a file's times.

    ``away_s`` is `FrameClock.counted_pictures_s` or `FrameClock.counted_sound_s`.
    """
    off = np.flatnonzero(np.abs(away_s) > slack_s)
    if not len(off):
        return []
    most_s = float(away_s[off][np.abs(away_s[off]).argmax()])
    what = f"what comes up to {abs(most_s):.3f} s {'after' if most_s > 0 else 'before'} them"
    found = f"counted, frames {off[0]} to {off[-1]} get {what}"
    return [Fault(name, place, found, "what is shown or heard at their time")]


def _told(lost: list[tuple[int, int]]) -> str:
    """Return runs of frames for readers, the longest of many."""
    shown = sorted(sorted(lost, key=lambda ends: ends[0] - ends[1])[:_MOST_TOLD])
    words = [f"{a} to {b}" if b > a else str(a) for a, b in shown]
    more = f" and {len(lost) - len(shown)} shorter runs" if len(lost) > len(shown) else ""
    n = sum(b - a + 1 for a, b in lost)
    return f"{n} frames: {', '.join(words)}{more}"


def frame_clock(
    timeline: MediaTimeline,
    n_frames: int,
    fps: float,
    device_s: np.ndarray | None,
    rate: float = 0.0,
) -> FrameClock:
    """Return the clock of a recording's frames in the time of one of its files.

    Parameters
    ----------
    timeline : MediaTimeline
        Of the file.
    n_frames, fps
        Of the recording.
    device_s : float array, shape (n_frames,), or None
        When each frame was taken, from the first on, where a device clock runs forwards.
    rate : float
        Mean rate that the file claims; 0 if it says none.

    Notes
    -----
    Frames lie on an even grid of the file's own step, or where the device says: whichever puts more
    shown pictures on frames, the even grid on a tie, since clocks of a device and of a file drift
    apart. A file of another rate is on the device's time, unless it has a picture for every frame
    and no gap. Within half a step, the first frame begins where pictures do.
    """
    candidates = []
    own_s = _own_grid(timeline, n_frames, (rate, fps))
    if own_s is not None:
        every = len(timeline.ticks) == n_frames and (_on_slots(timeline, own_s) >= 0).all()
        if device_s is None or every or abs((own_s[1] - own_s[0]) * fps - 1) <= RATE_SLACK:
            candidates.append(own_s)
    if device_s is not None:
        usual_s = float(np.median(np.diff(device_s))) if n_frames > 1 else 1 / fps
        candidates.append(_in_phase(timeline, np.append(device_s, device_s[-1] + usual_s)))
    if not candidates:
        candidates.append(_in_phase(timeline, np.arange(n_frames + 1) / fps))
    edges_s = max(candidates, key=lambda at_s: int(np.sum(_on_slots(timeline, at_s) >= 0)))
    longest_s = 1.5 * float(np.median(np.diff(edges_s)))  # a device that paused heard nothing
    end_s = np.minimum(edges_s[1:], edges_s[:-1] + longest_s)
    return FrameClock(timeline, edges_s[:-1], end_s, _on_slots(timeline, edges_s), rate or fps)


def _own_grid(
    timeline: MediaTimeline, n_frames: int, rates: tuple[float, ...]
) -> np.ndarray | None:
    """Return the frames' edges on an even grid at the pictures' own step; None without pictures."""
    shown_s = timeline.picture_s
    steps_s = np.diff(shown_s)
    if not (steps_s > 0).any():
        return None
    usual_s = float(np.median(steps_s[steps_s > 0]))
    usual_s = float(steps_s[np.abs(steps_s - usual_s) < usual_s / 2].mean())  # rounded: 33, 33, 34
    slots = np.append(0, np.cumsum(np.round(steps_s / usual_s)))
    for _ in range(3):
        step_s, first_s = np.polyfit(slots, shown_s, 1)
        slots = np.round((shown_s - first_s) / step_s)
    before = round((first_s - timeline.zero_s) / step_s)
    frames = np.arange(n_frames + 1)
    for claimed in filter(None, rates):
        # a claim that the pictures keep to the last tick is no estimate
        away_s = shown_s - timeline.zero_s - (slots + before) / claimed
        phase_s = float(np.median(away_s))
        if np.abs(away_s - phase_s).max() <= timeline.tick_s:
            phase_s = phase_s if abs(phase_s) > timeline.tick_s else 0.0
            return timeline.zero_s + phase_s + frames / claimed
    return first_s + (frames - before) * step_s


def _in_phase(timeline: MediaTimeline, since_first_s: np.ndarray) -> np.ndarray:
    """Return the frames' edges moved by less than half a step to where the pictures begin."""
    edges_s = timeline.zero_s + since_first_s
    pictures = _on_slots(timeline, edges_s)
    seen = pictures >= 0
    if not seen.any():
        return edges_s
    return edges_s + float(np.median(timeline.picture_s[pictures[seen]] - edges_s[:-1][seen]))


def _on_slots(timeline: MediaTimeline, edges_s: np.ndarray) -> np.ndarray:
    """Return the picture nearest to each frame's begin, within half a step; -1 where there is none.

    ``edges_s`` holds the begin of each frame, and the end of the last.
    """
    shown_s, begin_s = timeline.picture_s, edges_s[:-1]
    pictures = np.full(len(begin_s), -1)
    half_s = float(np.median(np.diff(edges_s))) / 2
    between_s = (begin_s[1:] + begin_s[:-1]) / 2
    frame = np.searchsorted(between_s, shown_s, side="right")
    away_s = np.abs(shown_s - begin_s[frame])
    # nearest last, so that of two pictures on one slot the nearer stays
    order = np.argsort(-away_s, kind="stable")
    order = order[away_s[order] <= half_s]
    pictures[frame[order]] = order
    return pictures
