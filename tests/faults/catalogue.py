"""What a fault is: what it is planted in, what it is called, how it is planted."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Case:
    """One fault of one stream."""

    stream: str
    kind: str
    file: str  # that is changed; all others stay links to the clean recording's
    plant: Callable[[Path, np.random.Generator], None]  # into a folder whose file is a copy
    seed: int = 0  # draws places and bits

    @property
    def name(self) -> str:
        """Its name in reports."""
        number = f" #{self.seed}" if self.seed else ""
        return f"{self.stream}: {self.kind}{number}"

    @property
    def rng(self) -> np.random.Generator:
        """A generator of its own, whatever other cases there are."""
        return np.random.default_rng(zlib.crc32(self.name.encode()))


def flip_bits(raw: bytearray, n_bits: int, rng: np.random.Generator) -> None:
    """Flip bits at random places."""
    for place in rng.integers(8 * len(raw), size=n_bits):
        raw[place // 8] ^= 1 << int(place % 8)
