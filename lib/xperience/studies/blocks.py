"""The feature blocks of a recording as heads want them."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from xperience.tasks.task import Task


class Table(Protocol):
    """Where blocks come from: a windows table, or anything like it."""

    def block(self, name: str) -> np.ndarray:
        """Return a block, float32 (n_windows, dim), NaN where it is null."""
        ...


class Blocks:
    """The feature blocks of a windows table, read once each, with nulls as NaN or as zeros.

    Parameters
    ----------
    table : WindowTable or anything with ``block``
    missing : mapping of {block: reason}
        Blocks that hold nothing but nulls.
    """

    def __init__(self, table: Table, missing: Mapping[str, str]):
        self.missing = missing
        self._table = table
        self._raw: dict[str, np.ndarray] = {}
        self._known: dict[str, np.ndarray] = {}
        self._gaps: dict[str, int] = {}

    def raw(self, name: str) -> np.ndarray:
        """Return a block, float32 (n_windows, dim), NaN where it is null."""
        if name not in self._raw:
            self._raw[name] = self._table.block(name)
            self._gaps[name] = int(np.isnan(self._raw[name]).any(axis=1).sum())
        return self._raw[name]

    def filled(self, name: str) -> np.ndarray:
        """Return a block with zeros in place of nulls, as the published contract wants it."""
        if name not in self._known:
            values = self.raw(name)
            lost = np.isnan(values).any(axis=1)
            if lost.any():
                values = values.copy()
                values[lost] = 0
            self._known[name] = values
        return self._known[name]

    def notes(self, task: Task, stand_in: str = "zeros") -> list[str]:
        """Return what stands for missing values in a task's input, one text a block."""
        found = []
        for name in task.input_blocks:
            n_windows = len(self.raw(name))
            if name in self.missing:
                found.append(f"{name} is {stand_in}: {self.missing[name]}")
            elif self._gaps[name]:
                found.append(f"{name} is {stand_in} in {self._gaps[name]} of {n_windows} windows")
        return found
