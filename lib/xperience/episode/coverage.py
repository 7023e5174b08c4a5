"""Where a stream has rows but nothing in them: NaN, or all zero where zero means no estimate."""

from dataclasses import dataclass

import numpy as np

from xperience.episode.annotation import Annotation, Fault
from xperience.episode.layout import STREAMS, Dataset, Stream
from xperience.errors import EpisodeError

_SPANS_NAMED = 3
_BY_NAME = {stream.name: stream for stream in STREAMS}


@dataclass(frozen=True)
class Coverage:
    """How much of a stream says something.

    Parameters
    ----------
    share : float
        Share of the episode's frames (or of the stream's own rows) with values.
    faults : list of Fault
        The spans without, by kind.
    """

    share: float
    faults: list[Fault]


def stream_coverage(annotation: Annotation, name: str) -> Coverage:
    """Return how much of a usable stream of small rows holds values; depth is not for this.

    Parameters
    ----------
    annotation : Annotation
    name : str
        A stream of ``layout.STREAMS`` other than "depth".

    Returns
    -------
    Coverage
        Over the episode's frames; for the IMU and the point cloud over their own rows.
    """
    stream = _BY_NAME[name]
    try:
        kinds = _scan(annotation, stream)
    except EpisodeError as error:
        return Coverage(0.0, [Fault(name, error.place, error.found, error.expected)])
    bad = np.zeros(min(map(len, kinds.values())), dtype=bool)
    faults = []
    for what, rows in kinds.items():
        bad |= rows[: len(bad)]
        if rows.any():
            path = what.partition(" ")[2]
            found = f"{_spans(rows)} {'are' if rows.sum() > 1 else 'is'} {what.partition(' ')[0]}"
            faults.append(Fault(name, f"{annotation.place}: {path}", found, "numbers"))
    n_rows = len(bad) if _counts_own_rows(stream) else annotation.n_frames
    return Coverage(float((~bad).sum() / n_rows), faults)


def _counts_own_rows(stream: Stream) -> bool:
    return all(dataset.rows != "frame" for dataset in _scanned(stream))


def _scanned(stream: Stream) -> tuple[Dataset, ...]:
    """Return the datasets whose rows are worth a look; of the IMU the samples, not the indices."""
    rows = stream.datasets[0].rows
    return tuple(d for d in stream.datasets if d.rows == rows)


def _scan(annotation: Annotation, stream: Stream) -> dict[str, np.ndarray]:
    """Return {"NaN path" or "all-zero path": bool array, shape (n_rows,)}."""
    found = {}
    for dataset in _scanned(stream):
        size = annotation.n_rows(dataset.path)
        if dataset.rows == "frame":
            size = min(size, annotation.n_frames)
        unknown, zero = np.zeros(size, dtype=bool), np.zeros(size, dtype=bool)
        for start, rows in annotation.blocks(dataset.path, size):
            flat = rows.reshape(len(rows), -1)
            unknown[start : start + len(rows)] = ~np.isfinite(flat).all(1)
            zero[start : start + len(rows)] = dataset.check_zero & (flat == 0).all(1)
        found |= {f"NaN {dataset.path}": unknown, f"all-zero {dataset.path}": zero}
    return found


def _spans(bad: np.ndarray) -> str:
    """Return "rows 10-19, 40 and 2 more spans" for a bool array."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], bad.astype(np.int8), [0]])))
    spans = [(start, stop - 1) for start, stop in edges.reshape(-1, 2)]
    named = [f"{a}" if a == b else f"{a}-{b}" for a, b in spans[:_SPANS_NAMED]]
    more = len(spans) - len(named)
    return f"rows {', '.join(named)}" + (f" and {more} more spans" if more else "")
