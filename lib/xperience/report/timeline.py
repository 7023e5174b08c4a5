"""Who does what when, as the windows table says: actions, steps, the cut of train from test."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from xperience.features.table import WindowTable
from xperience.features.windows import STRIDE_FRAMES, WINDOW_FRAMES
from xperience.tasks.splits import TRAIN_SHARE

_TO_MIDDLE = (WINDOW_FRAMES - 1) // 2


@dataclass(frozen=True)
class Timeline:
    """Labels over the windows of an episode, numbered in order of first appearance."""

    n_frames: int
    fps: float
    middle_s: np.ndarray  # time of each window's centre frame, (n_windows,)
    action: np.ndarray  # number of its label, -1 for none, (n_windows,)
    subtask: np.ndarray
    actions: list[str]  # the labels by number
    subtasks: list[str]
    n_train: int  # labelled windows before the chronological cut
    cut_s: float | None  # between the last training and the first test window, if there are both

    @classmethod
    def of(cls, table: WindowTable) -> "Timeline":
        """Return the timeline of a windows table."""
        labels, info = table.labels, table.info
        action, actions = pd.factorize(labels["action"])
        subtask, subtasks = pd.factorize(labels["subtask"])
        middle_s = labels["center_frame"].to_numpy() / info.fps
        labelled_s = middle_s[action >= 0]
        n_train = round(TRAIN_SHARE * len(labelled_s))
        both = 0 < n_train < len(labelled_s)
        return cls(
            info.n_frames,
            info.fps,
            middle_s,
            action,
            subtask,
            list(actions),
            list(subtasks),
            n_train,
            float(labelled_s[n_train - 1 : n_train + 1].mean()) if both else None,
        )

    @property
    def stride_s(self) -> float:
        """Time from one window to the next."""
        return STRIDE_FRAMES / self.fps

    @property
    def labelled_share(self) -> float:
        """Share of windows whose action is labelled."""
        return float(np.mean(self.action >= 0))

    @property
    def late_actions(self) -> list[str]:
        """Actions that no training window shows."""
        labelled = self.action[self.action >= 0]
        seen = set(labelled[: self.n_train].tolist())
        return [label for number, label in enumerate(self.actions) if number not in seen]

    @property
    def step_of_action(self) -> list[int]:
        """Step that each action first appears in, by number; -1 where that is unlabelled."""
        first = [int(np.argmax(self.action == number)) for number in range(len(self.actions))]
        return [int(self.subtask[window]) for window in first]

    def spans(self, numbers: np.ndarray, number: int) -> list[tuple[float, float]]:
        """Return (start, length) in seconds of each contiguous segment of windows with a label."""
        edges = np.flatnonzero(np.diff(np.r_[0, (numbers == number).astype(np.int8), 0]))
        half_s = self.stride_s / 2
        return [
            (self.middle_s[a] - half_s, self.middle_s[b - 1] - self.middle_s[a] + 2 * half_s)
            for a, b in edges.reshape(-1, 2)
        ]

    def changes_s(self) -> np.ndarray:
        """Return when the action changes, seconds; windows without a label are passed over."""
        known = np.flatnonzero(self.action >= 0)
        changed = np.flatnonzero(np.diff(self.action[known]))
        return (self.middle_s[known[changed]] + self.middle_s[known[changed + 1]]) / 2

    def steps(self) -> pd.DataFrame:
        """Return one row a step: its number from 1, name, start, windows, actions within it."""
        rows = []
        for number, name in enumerate(self.subtasks):
            inside = self.subtask == number
            found = np.unique(self.action[inside & (self.action >= 0)])
            start_s = round(float(self.middle_s[inside][0]) - _TO_MIDDLE / self.fps, 1)
            names = "; ".join(self.actions[index] for index in found)
            rows.append((number + 1, name, start_s, int(inside.sum()), names))
        columns = ["step", "subtask", "start (s)", "windows", "actions"]
        return pd.DataFrame(rows, columns=columns).set_index("step")
