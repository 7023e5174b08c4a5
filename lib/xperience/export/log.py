"""A Rerun file that is being written: what is logged at all times, by frame and by moment."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

TIMELINE, FRAMES = "time", "frame"


@dataclass
class Log:
    """A Rerun recording that is being written.

    Parameters
    ----------
    rr : module
        ``rerun``.
    stream : rerun.RecordingStream
    times_s : float array, shape (n_frames,)
    absent : dict of {stream: reason}
        What is not in the file, and why.
    """

    rr: Any
    stream: Any
    times_s: np.ndarray
    absent: dict[str, str] = field(default_factory=dict)

    def still(self, entity: str, *parts: Any) -> None:
        """Log what holds at all times."""
        self.rr.log(entity, *parts, static=True, recording=self.stream)

    def by_frame(self, entity: str, frames: np.ndarray, columns: Any) -> None:
        """Log one row a frame, on both timelines."""
        indexes = [
            self.rr.TimeColumn(TIMELINE, duration=self.times_s[frames]),
            self.rr.TimeColumn(FRAMES, sequence=frames),
        ]
        self.rr.send_columns(entity, indexes, columns, recording=self.stream)

    def by_time(self, entity: str, times_s: np.ndarray, columns: Any) -> None:
        """Log one row a moment that is no frame's."""
        index = self.rr.TimeColumn(TIMELINE, duration=times_s)
        self.rr.send_columns(entity, [index], columns, recording=self.stream)
