"""What every contract asks of a block first: are its streams there, and what is odd about them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from xperience.episode import layout
from xperience.episode.coverage import stream_coverage
from xperience.episode.episode import Episode
from xperience.features.blocks import Block, streams_needed
from xperience.features.static import point_cloud_features

_SCANNED = {stream.name for stream in layout.STREAMS} - {"depth"}  # small enough to read twice

WindowSource = Callable[[np.ndarray], np.ndarray]
"""First frames of some windows, shape (n,) -> features, float32 (n, dim); NaN row = missing."""


@dataclass(frozen=True)
class Source:
    """Where a block's windows come from.

    Parameters
    ----------
    compute : callable or None
        None if the block is missing.
    reason : str
        Why it is missing, or what is odd about it; empty if nothing is.
    """

    compute: WindowSource | None
    reason: str = ""


def check_streams(block: Block, episode: Episode, contract: str) -> tuple[str, str]:
    """Return why a block is missing, and what is odd about it if it is not; empty if nothing is."""
    found = {name: stream_state(episode, name) for name in streams_needed(block, contract)}
    lost = [f"{name}: {odd}" for name, (usable, odd) in found.items() if not usable]
    notes = [odd for _, odd in found.values() if odd]
    if "pose" in found and "T_c0_b" not in episode.calibration.numbers.get("cam01", {}):
        notes.append("calibration has no cam01/T_c0_b: poses are taken to be the camera's")
    return "; ".join(lost), "; ".join(notes)


def stream_state(episode: Episode, name: str) -> tuple[bool, str]:
    """Return whether a stream says anything, and what is wrong with it, empty spans included."""
    state = episode.streams[name]
    faults, share = list(state.faults), 1.0
    if state.usable and name in _SCANNED:
        coverage = stream_coverage(episode.annotation, name)
        faults, share = faults + coverage.faults, coverage.share
    return state.usable and share > 0, "; ".join(map(str, faults))


def static_values(block: Block, episode: Episode) -> np.ndarray | str:
    """Return the values of a block that is the same in every window, or why there are none."""
    if block.name != "calibration":
        return point_cloud_features(episode.read(layout.POINT_CLOUD))
    values = episode.calibration.vector
    if len(values) != block.dim:
        return f"calibration holds {len(values)} numbers, expected {block.dim}"
    return values


def repeated(values: np.ndarray, reason: str) -> Source:
    """Return a source of the same values, shape (dim,), in every window."""
    return Source(lambda starts: np.repeat(values[None], len(starts), axis=0), reason)
