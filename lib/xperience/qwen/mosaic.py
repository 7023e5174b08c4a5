"""Six views of one moment as one picture, and clips of such pictures as MP4.

Every video is decoded once and forwards, all of them in step; a mosaic is put together only where
a clip shows it, and held only until the last clip that shows it is written.
"""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import chain, repeat
from pathlib import Path

import av
import cv2
import numpy as np

from xperience.qwen.clips import Clip
from xperience.recording import layout
from xperience.recording.recording import Episode
from xperience.storage import file_url, whole_file

COLUMNS = 3
CAMERAS = layout.CAMERAS
"""Tiles in order, row by row, three a row."""

_HATCH_PX, _LIGHT, _DARK = 8, 150, 60
_CODEC = {"preset": "veryfast", "threads": "1", "x264-params": "mbtree=0"}
# Macroblock trees are off: with them the encoder writes other bits from one call to the next.
_NO_MORE_KEYS = 2**30
_LABEL_FROM_PX = 64
"""Tiles less high than this carry no name: it could not be read."""


def hatched(tile_px: tuple[int, int]) -> np.ndarray:
    """Return the tile of a camera that isn't there: grey stripes, which no scene looks like.

    Parameters
    ----------
    tile_px : (int, int)
        Width and height.

    Returns
    -------
    uint8 array, shape (height, width, 3)
    """
    across, down = np.meshgrid(np.arange(tile_px[0]), np.arange(tile_px[1]))
    stripes = (across + down) // _HATCH_PX % 2 == 0
    grey = np.where(stripes, _LIGHT, _DARK).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)  # (height, width, 3)


def fitted(rgb: np.ndarray, tile_px: tuple[int, int]) -> np.ndarray:
    """Return a picture in a tile, its proportions kept, black beside it.

    Parameters
    ----------
    rgb : uint8 array, shape (any height, any width, 3)
    tile_px : (int, int)
        Width and height.

    Returns
    -------
    uint8 array, shape (height, width, 3)
    """
    width, height = tile_px
    scale = min(width / rgb.shape[1], height / rgb.shape[0])
    size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    tile = np.zeros((height, width, 3), np.uint8)
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    tile[top : top + size[1], left : left + size[0]] = cv2.resize(rgb, size, interpolation=how)
    return tile


def named(tile: np.ndarray, camera: str) -> np.ndarray:
    """Return a tile with its camera's name in the corner, if it is high enough to read."""
    if len(tile) < _LABEL_FROM_PX:
        return tile
    scale = len(tile) / 400
    font = cv2.FONT_HERSHEY_SIMPLEX
    (width, height), below = cv2.getTextSize(camera, font, scale, 1)
    written = tile.copy()
    cv2.rectangle(written, (0, 0), (width + 4, height + below + 2), (0, 0, 0), cv2.FILLED)
    cv2.putText(written, camera, (2, height + 1), font, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return written


def mosaics(
    episode: Episode, frames: Iterable[int], tile_px: tuple[int, int]
) -> Iterator[tuple[int, np.ndarray, tuple[bool, ...]]]:
    """Yield the mosaic of some frames, decoding each video once.

    Parameters
    ----------
    episode : Episode
    frames : iterable of int
        Frames of the recording.
    tile_px : (int, int)
        Width and height of a tile.

    Yields
    ------
    int
        The frame; ascending, each once.
    uint8 array, shape (2 · height, 3 · width, 3)
        RGB.
    tuple of bool
        Which cameras are there, in the order of `CAMERAS`; the others' tiles are hatched.
    """
    wanted = np.array(sorted(set(frames)))
    views = [
        episode.pictures(camera, wanted) if episode.streams[camera].usable else repeat(None)
        for camera in CAMERAS
    ]
    for frame, *pictures in zip(wanted.tolist(), *views, strict=False):
        tiles = [
            named(hatched(tile_px) if rgb is None else fitted(rgb, tile_px), camera)
            for camera, rgb in zip(CAMERAS, pictures, strict=True)
        ]
        rows = [np.hstack(tiles[i : i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)]
        yield frame, np.vstack(rows), tuple(rgb is not None for rgb in pictures)


def clip_pictures(
    episode: Episode, clips: Sequence[Clip], tile_px: tuple[int, int]
) -> Iterator[tuple[Clip, list[np.ndarray], np.ndarray]]:
    """Yield the pictures of each clip as soon as its last one is there.

    Parameters
    ----------
    episode : Episode
    clips : sequence of Clip
        By window.
    tile_px : (int, int)

    Yields
    ------
    Clip
    list of uint8 array, length n_shown
        Mosaics; clips that overlap share them.
    bool array, shape (n_shown, 6)
        Which cameras are there.
    """
    waiting = list(clips)
    held: dict[int, tuple[np.ndarray, tuple[bool, ...]]] = {}
    for frame, picture, there in mosaics(episode, (f for c in clips for f in c.shown), tile_px):
        held[frame] = picture, there
        while waiting and waiting[0].end_frame == frame:
            clip = waiting.pop(0)
            found = [held[shown] for shown in clip.shown]
            yield clip, [one for one, _ in found], np.array([seen for _, seen in found])
        oldest = min((clip.shown[0] for clip in waiting), default=frame + 1)
        held = {shown: one for shown, one in held.items() if shown >= oldest}


def write_mp4(
    path: Path,
    pictures: Iterable[np.ndarray],
    fps: float,
    crf: int,
    *,
    key_every: int | None = None,
) -> None:
    """Write pictures as H.264 in an MP4, whole or not at all.

    Parameters
    ----------
    path : Path
    pictures : iterable of uint8 array, shape (height, width, 3)
        RGB, at least one.
    fps : float
    crf : int
        Quality, 0 to 51.
    key_every : int, optional
        Pictures from one that is told without others to the next; by default only the first is.
    """
    rate, pictures = Fraction(fps).limit_denominator(1001), iter(pictures)
    first = next(pictures)
    options = {"fflags": "+bitexact", "movflags": "+faststart"}
    height, width = first.shape[:2]
    with (
        whole_file(path) as scratch,
        av.open(file_url(scratch), "w", "mp4", options=options) as file,
    ):
        video = file.add_stream("libx264", rate=rate, options=_CODEC | {"crf": str(crf)})
        video.width, video.height = width, height
        video.pix_fmt = "yuv444p" if width % 2 or height % 2 else "yuv420p"
        video.codec_context.gop_size = key_every or _NO_MORE_KEYS
        video.codec_context.thread_count = 1
        video.codec_context.flags |= av.codec.context.Flags.bitexact
        for number, picture in enumerate(chain([first], pictures)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, 1 / rate
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
