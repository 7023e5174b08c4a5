"""98 values a video frame: colour, its histogram, a small grey picture and its gradients."""

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice, takewhile
from pathlib import Path

import cv2
import numpy as np

from xperience.features.blocks import N_VIDEO
from xperience.recording.media import MediaTimeline, read_pictures

_SIDE, _SMALL, _BINS, _BATCH = 32, 8, 8, 32
_MAX_LINES = 65535 // 255  # so many bytes add up within 16 bits
_BIN_OF_VALUE = np.minimum(np.arange(256) * _BINS // 255, _BINS - 1)


def video_rows(
    path: Path, timeline: MediaTimeline, n_pictures: int, quarter_turns: int = 0
) -> Iterator[np.ndarray]:
    """Yield the features of a video's first shown pictures, float32 (n_rows, 99), some at a time.

    Row n is of picture n on the file's timeline, turned counterclockwise by some quarter turns; NaN
    for one that the decoder gave up. The last column is 1 for a damaged picture, else 0.
    """
    cv2.setNumThreads(1)
    pictures = (
        (number, shrink(rgb), is_damaged)
        for number, rgb, is_damaged in read_pictures(path, timeline)
    )
    pictures = takewhile(lambda picture: picture[0] < n_pictures, pictures)
    n_rows = 0
    while batch := list(islice(pictures, _BATCH)):
        numbers, small, damaged = zip(*batch, strict=True)
        places = np.array(numbers) - n_rows
        rows = np.full((places[-1] + 1, N_VIDEO + 1), np.nan, dtype=np.float32)
        turned = np.rot90(np.stack(small), quarter_turns, axes=(1, 2))
        rows[places, :N_VIDEO] = frame_features(turned)
        rows[places, N_VIDEO] = damaged
        n_rows += len(rows)
        yield rows


def shrink(rgb: np.ndarray) -> np.ndarray:
    """Return a picture, uint8 (height, width, 3), area-interpolated to 32x32.

    As OpenCV does it, bit for bit. Where both sides divide by 32 the picture is cut into equal
    cells; summing whole image lines first is four times as fast as OpenCV's own loop over cells.
    """
    height, width, _ = rgb.shape
    rows, columns = height // _SIDE, width // _SIDE
    unequal = height % _SIDE or width % _SIDE
    if unequal or rows > _MAX_LINES or (rows, columns) == (2, 2):  # 2x2 rounds halves up there
        return cv2.resize(rgb, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    lines = np.add.reduce(rgb.reshape(_SIDE, rows, width * 3), axis=1, dtype=np.uint16)
    cells = lines.reshape(_SIDE * _SIDE, columns * 3).astype(np.float32) @ _channel_of(columns)
    cells *= np.float32(1 / (rows * columns))
    return np.rint(cells).astype(np.uint8).reshape(_SIDE, _SIDE, 3)


@lru_cache(maxsize=8)
def _channel_of(columns: int) -> np.ndarray:
    """Return which channel each of a line's values belongs to, 0 or 1, shape (columns * 3, 3)."""
    return np.tile(np.eye(3, dtype=np.float32), (columns, 1))


def frame_features(rgb: np.ndarray) -> np.ndarray:
    """Return the features, float32 (n, 98), of RGB pictures, uint8 (n, 32, 32, 3).

    Means (3) and stds (3) of the channels in [0, 1], 8-bin histograms (24), the 8x8 grey picture
    (64), the absolute grey gradients' mean along x and y, then their std (4).
    """
    n = len(rgb)
    # pixel by pixel: float32 sums depend on their order, and this is the published one
    unit = np.ascontiguousarray(rgb.reshape(n, -1, 3).swapaxes(0, 1)).astype(np.float32) / 255
    grey = cv2.cvtColor(rgb.reshape(-1, _SIDE, 3), cv2.COLOR_RGB2GRAY)
    grey = grey.reshape(n, _SIDE, _SIDE).astype(np.float32) / 255
    cell = _SIDE // _SMALL
    small = grey.reshape(n, _SMALL, cell, _SMALL, cell).mean((2, 4))  # area interpolation
    dy, dx = (np.abs(slope).reshape(n, -1) for slope in np.gradient(grey, axis=(1, 2)))
    edges = [dx.mean(1), dy.mean(1), dx.std(1), dy.std(1)]
    parts = [
        unit.mean(0),
        unit.std(0),
        _histograms(rgb.reshape(n, -1, 3)),
        small.reshape(n, -1),
        np.stack(edges, axis=1),
    ]
    return np.concatenate(parts, axis=1, dtype=np.float32)  # (n, 98)


def _histograms(pixels: np.ndarray) -> np.ndarray:
    """Return histograms that sum to 1, shape (n, 24), of uint8 pixels, shape (n, n_pixels, 3)."""
    n, n_pixels, channels = pixels.shape
    bins = _BIN_OF_VALUE.take(pixels.astype(np.intp))  # five times as fast as by bytes
    bins += np.arange(n * channels).reshape(n, 1, channels) * _BINS  # bins of their own for each
    counts = np.bincount(bins.reshape(-1), minlength=n * channels * _BINS)
    return counts.reshape(n, channels * _BINS) / n_pixels


assert 3 + 3 + 3 * _BINS + _SMALL**2 + 4 == N_VIDEO
