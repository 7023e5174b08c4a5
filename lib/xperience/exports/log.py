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
    entities : set of str
        What has been logged.
    units : dict of {entity: unit}
        What curves below an entity are measured in.
    """

    rr: Any
    stream: Any
    times_s: np.ndarray
    absent: dict[str, str] = field(default_factory=dict)
    entities: set[str] = field(default_factory=set)
    units: dict[str, str] = field(default_factory=dict)

    def holds(self, entity: str) -> bool:
        """Return whether an entity or one below it was logged."""
        return any(one == entity or one.startswith(f"{entity}/") for one in self.entities)

    def still(self, entity: str, *parts: Any) -> None:
        """Log what holds at all times."""
        self.entities.add(entity)
        self.rr.log(entity, *parts, static=True, recording=self.stream)

    def by_frame(self, entity: str, frames: np.ndarray, columns: Any) -> None:
        """Log one row a frame, on both timelines."""
        self.entities.add(entity)
        indexes = [
            self.rr.TimeColumn(TIMELINE, duration=self.times_s[frames]),
            self.rr.TimeColumn(FRAMES, sequence=frames),
        ]
        self.rr.send_columns(entity, indexes, columns, recording=self.stream)

    def by_time(self, entity: str, times_s: np.ndarray, columns: Any) -> None:
        """Log one row a moment that is no frame's."""
        self.entities.add(entity)
        index = self.rr.TimeColumn(TIMELINE, duration=times_s)
        self.rr.send_columns(entity, [index], columns, recording=self.stream)
