"""The media of clips: six views of one moment as one picture, MP4 and WAV files, read back again.

Every video of an episode is decoded once and forwards, all of them in step; a mosaic is put
together only where a clip shows it, and held only until the last clip that shows it is written.
What is written once is kept while what it rests on stays the same.
"""

import json
import wave
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from importlib.metadata import version
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from xperience.errors import EpisodeError
from xperience.qwen.clips import Clip, ExportSettings
from xperience.qwen.schema import AnswersError
from xperience.qwen.supervised import Media
from xperience.recording import layout
from xperience.recording.clock import runs_of
from xperience.recording.media import read_mono, read_rgb
from xperience.recording.recording import Recording
from xperience.sources import LIBRARY, source_digests
from xperience.storage import (
    file_digest,
    file_url,
    remove_folder,
    value_digest,
    whole_file,
    write_json,
)

CAMERAS, COLUMNS = layout.CAMERAS, 3
"""Tiles in order, row by row, three a row."""
AUDIO_HZ = layout.AUDIO_RATE_HZ
MEDIA, INDEX = "media", "media.json"

_HATCH_PX, _LIGHT, _DARK = 8, 150, 60
_LABEL_FROM_PX = 64
"""Tiles less high than this carry no name: it could not be read."""
_CODEC = {"preset": "veryfast", "threads": "1", "x264-params": "mbtree=0"}
# Macroblock trees are off: with them the encoder writes other bits from one call to the next.
_NO_MORE_KEYS = 2**30
_LEAST_GAP_S = 0.01
"""A gap in the sound that is shorter is not worth naming."""
_SOURCES = ("qwen/clips", "qwen/media", "qwen/supervised",
            "recording/clock", "recording/recording", "recording/media")  # fmt: skip


def hatched(tile_px: tuple[int, int]) -> np.ndarray:
    """Return the tile of a camera that isn't there: grey stripes, which no scene looks like."""
    across, down = np.meshgrid(np.arange(tile_px[0]), np.arange(tile_px[1]))
    stripes = (across + down) // _HATCH_PX % 2 == 0
    grey = np.where(stripes, _LIGHT, _DARK).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)  # (height, width, 3)


def fitted(rgb: np.ndarray, tile_px: tuple[int, int]) -> np.ndarray:
    """Return a picture of any size in a tile, its proportions kept, black beside it."""
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
    episode: Recording, frames: Iterable[int], tile_px: tuple[int, int]
) -> Iterator[tuple[int, np.ndarray, tuple[bool, ...]]]:
    """Yield some frames, ascending, their mosaics and which cameras are there.

    Each video is decoded once. A mosaic is RGB, uint8 (2 · height, 3 · width, 3); a camera that is
    not there, in the order of `CAMERAS`, has a hatched tile.
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


def _clip_pictures(
    episode: Recording, clips: Sequence[Clip], tile_px: tuple[int, int]
) -> Iterator[tuple[Clip, list[np.ndarray], np.ndarray]]:
    """Yield each clip, its mosaics, and which cameras are there in each, bool (n_shown, 6).

    It comes as soon as its last picture is there; clips that overlap share mosaics.
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
    key_every: int = _NO_MORE_KEYS,
) -> None:
    """Write RGB pictures as H.264 in an MP4, whole or not at all; one that is there is replaced.

    At least one picture, uint8 (height, width, 3); quality goes from 0 (best) to 51. The first
    picture is stored without others, and every ``key_every`` th after it where that is given.
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
        video.codec_context.gop_size = key_every
        video.codec_context.thread_count = 1
        video.codec_context.flags |= av.codec.context.Flags.bitexact
        for number, picture in enumerate(chain([first], pictures)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, 1 / rate
            file.mux(video.encode(frame))
        file.mux(video.encode(None))


def write_wav(path: Path, samples: np.ndarray) -> None:
    """Write 16 kHz mono sound in [-1, 1] as 16-bit WAV, whole or not at all."""
    values = np.round(np.clip(samples, -1, 1) * 32767).astype("<i2")
    with whole_file(path) as scratch, wave.open(str(scratch), "wb") as file:
        file.setparams((1, 2, AUDIO_HZ, 0, "NONE", ""))
        file.writeframes(values.tobytes())


def read_frames(path: Path, n_frames: int) -> np.ndarray:
    """Return all frames of a short clip, RGB, uint8 (n_frames, height, width, 3)."""
    return np.stack(_decoded(path, read_rgb(path), n_frames))


def read_sound(path: Path) -> np.ndarray:
    """Return the sound of a short clip, 16 kHz mono within -1 to 1, float32 (n_samples,)."""
    return np.concatenate(_decoded(path, read_mono(path, AUDIO_HZ)))


def _decoded(path: Path, parts: Iterator[np.ndarray], n: int | None = None) -> list[np.ndarray]:
    """Return the parts of a file; an AnswersError if there are none, or not n of them."""
    try:
        found = [part.copy() for part in parts]  # each is a view of one buffer
        why = f"{len(found)} of {n} frames are there" if n else "nothing is in it"
    except EpisodeError as error:
        found, why = [], error.found
    if not found or n not in (None, len(found)):
        raise AnswersError(
            path.name, f"cannot be decoded ({why})", "a clip that the export wrote",
            "Export the records again.",
        )  # fmt: skip
    return found


def media_of(
    out: Path, name: str, episode: Recording, clips: Sequence[Clip], settings: ExportSettings
) -> list[Media | None]:
    """Return the media of an episode's clips; None where no camera has a picture of the window.

    Files that are there and whole are kept. Paths are relative to ``out``, the export's folder. An
    episode without any video is an AnswersError.
    """
    if not episode.videos:
        raise AnswersError(
            name, "has no video that can be opened", "at least one camera's",
            "Export records before videos are discarded, or fetch them again.",
        )  # fmt: skip
    folder = out / MEDIA / name
    shown = {camera: episode.clock(camera).pictures.tolist() for camera in episode.videos}
    key = value_digest(
        {
            "videos": {name: file_digest(episode.video_path(name)) for name in episode.videos},
            "clock": [episode.frame_times_s.tolist(), shown],
            "clips": [[clip.start_frame, *clip.shown] for clip in clips],
            "pictures": [settings.fps, *settings.tile_px, settings.crf],
            "tools": source_digests(LIBRARY / f"{one}.py" for one in _SOURCES),
            "versions": {package: version(package) for package in ("av", "opencv-python-headless")},
        }
    )
    kept = _kept(out, folder / INDEX, key)
    if kept is not None:
        return kept
    if folder.exists():
        remove_folder(folder)
    told: dict[Clip, dict[str, Any]] = {}
    for clip, tiles, there in _clip_pictures(episode, clips, settings.tile_px):
        if there[list(clip.in_window)].any():
            video = folder / f"{clip.start_frame:06d}.mp4"
            write_mp4(video, tiles, clip.fps, settings.crf)
            told[clip] = {
                "video": video.relative_to(out).as_posix(),
                "video_sha256": file_digest(video),
                "fps": clip.fps,
                "n_frames": len(tiles),
                "window_frames": len(clip.in_window),
                "seconds": (clip.end_frame + 1 - clip.shown[0]) / clip.source_fps,
                "cameras": list(CAMERAS),
                "lost": _lost(episode, there),
            }
    for clip, sound in _sounds(out, folder, episode, list(told)):
        told[clip] |= sound
    found = [Media.model_validate(told[clip]) if clip in told else None for clip in clips]
    write_json(folder / INDEX, {"key": key, "media": [one and one.model_dump() for one in found]})
    return found


def _kept(out: Path, index: Path, key: str) -> list[Media | None] | None:
    """Return what an earlier call wrote, if it rests on the same and all files are whole."""
    try:
        told = json.loads(index.read_text(encoding="utf-8"))
        found = [one and Media.model_validate(one) for one in told["media"]]
        is_same = told["key"] == key
    except (OSError, ValueError, KeyError, TypeError):
        return None  # nothing there, or not of our making: it is written anew
    for one in filter(None, found):
        for name, digest in ((one.video, one.video_sha256), (one.audio, one.audio_sha256)):
            if name and not ((out / name).is_file() and file_digest(out / name) == digest):
                return None
    return found if is_same else None


def _lost(episode: Recording, there: np.ndarray) -> dict[str, Any]:
    """Return what is to be said of cameras that are not there in all frames, bool (n, 6)."""
    found = {}
    for camera, seen in zip(CAMERAS, there.T, strict=True):
        if not seen.all():
            faults = episode.streams[camera].faults
            reason = "; ".join(fault.found for fault in faults) or "has no picture of these frames"
            found[camera] = {"frames": runs_of(~seen), "reason": reason}
    return found


def _sounds(
    out: Path, folder: Path, episode: Recording, clips: Sequence[Clip]
) -> Iterator[tuple[Clip, dict[str, Any]]]:
    """Write each clip's sound; yield what is to be said of it."""
    silent = {
        "audio": None, "audio_sha256": None, "audio_seconds": 0.0, "audio_rate_hz": AUDIO_HZ,
        "why_no_audio": "none was recorded in the clip",
    }  # fmt: skip
    state = episode.streams["audio"]
    if not state.usable:
        yield from ((clip, silent | {"why_no_audio": state.faults[0].found}) for clip in clips)
        return
    forwards = sorted(clips, key=lambda clip: clip.shown[0])
    spans = np.array([(clip.shown[0], clip.end_frame + 1) for clip in forwards]).reshape(-1, 2)
    for clip, samples in zip(forwards, episode.sound(*spans.T), strict=True):
        is_gap = np.isnan(samples)
        if is_gap.all():
            yield clip, silent
            continue
        gaps = [(start / AUDIO_HZ, (stop + 1) / AUDIO_HZ) for start, stop in runs_of(is_gap)]
        silent_s = [(start, stop) for start, stop in gaps if stop - start >= _LEAST_GAP_S]
        wav = folder / f"{clip.start_frame:06d}.wav"
        write_wav(wav, np.nan_to_num(samples))
        yield (
            clip,
            silent
            | {
                "audio": wav.relative_to(out).as_posix(),
                "audio_sha256": file_digest(wav),
                "audio_seconds": len(samples) / AUDIO_HZ,
                "silent_s": silent_s,
                "why_no_audio": "none was recorded in parts of the clip" if silent_s else None,
            },
        )
