"""The media of an episode's clips: written once, kept while what they rest on stays the same."""

import json
import wave
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from xperience.qwen import mosaic
from xperience.qwen.clips import Clip, ExportSettings
from xperience.qwen.schema import AnswersError
from xperience.qwen.supervised import Lost, Media
from xperience.recording import layout
from xperience.recording.clock import stretches
from xperience.recording.recording import Episode
from xperience.sources import LIBRARY, source_digests
from xperience.storage import (
    file_digest,
    remove_folder,
    value_digest,
    whole_file,
    write_json,
)

MEDIA, INDEX = "media", "media.json"
_RATE_HZ = layout.AUDIO_RATE_HZ
_SOURCES = (
    *(f"qwen/{one}.py" for one in ("clips", "media_files", "mosaic", "supervised")),
    *(f"recording/{one}.py" for one in ("clock", "recording", "media")),
)
_LEAST_GAP_S = 0.01
"""A gap in the sound that is shorter is not worth naming."""


def media_of(
    out: Path, name: str, episode: Episode, clips: Sequence[Clip], settings: ExportSettings
) -> list[Media | None]:
    """Return the media of an episode's clips; files that are there and whole are kept.

    Parameters
    ----------
    out : Path
        Folder of the export; paths are relative to it.
    name : str
        The episode's name in the roster.
    episode : Episode
    clips : sequence of Clip
    settings : ExportSettings

    Returns
    -------
    list of (Media or None)
        One a clip; None where no camera has a picture of the window.

    Raises
    ------
    AnswersError
        If the episode has no video at all.
    """
    if not episode.videos:
        raise AnswersError(
            name, "has no video that can be opened", "at least one camera's",
            "Export records before videos are discarded, or fetch them again.",
        )  # fmt: skip
    folder = out / MEDIA / name
    key = _key(episode, clips, settings)
    kept = _kept(out, folder / INDEX, key)
    if kept is not None:
        return kept
    if folder.exists():
        remove_folder(folder)
    pictures = mosaic.clip_pictures(episode, clips, settings.tile_px)
    seen = {
        clip: _media(out, folder, episode, (clip, tiles, there), settings.crf)
        for clip, tiles, there in pictures
        if there[list(clip.in_window)].any()
    }
    heard = dict(_sounds(out, folder, episode, list(seen)))
    found = [seen[clip] | heard[clip] if clip in seen else None for clip in clips]
    write_json(folder / INDEX, {"key": key, "media": found})
    return [_as_media(one) for one in found]


def _as_media(told: dict[str, Any] | None) -> Media | None:
    return None if told is None else Media.model_validate(told)


def _key(episode: Episode, clips: Sequence[Clip], settings: ExportSettings) -> str:
    videos = {camera: file_digest(episode.video_path(camera)) for camera in episode.videos}
    shown = {camera: episode.clock(camera).pictures.tolist() for camera in episode.videos}
    return value_digest(
        {
            "videos": videos,
            "clock": [episode.frame_times_s.tolist(), shown],
            "clips": [[clip.start_frame, *clip.shown] for clip in clips],
            "pictures": [settings.fps, *settings.tile_px, settings.crf],
            "tools": source_digests(LIBRARY / one for one in _SOURCES),
            "versions": {package: version(package) for package in ("av", "opencv-python-headless")},
        }
    )


def _kept(out: Path, index: Path, key: str) -> list[Media | None] | None:
    """Return what an earlier call wrote, if it rests on the same and all files are whole."""
    try:
        told = json.loads(index.read_text(encoding="utf-8"))
        found = [_as_media(one) for one in told["media"]] if told["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # nothing there, or not of our making: it is written anew
    is_whole = found is not None and all(one is None or _whole(out, one) for one in found)
    return found if is_whole else None


def _whole(out: Path, one: Media) -> bool:
    files = {one.video: one.video_sha256, one.audio: one.audio_sha256}
    named = {name: digest for name, digest in files.items() if name is not None}
    return all(
        (out / name).is_file() and file_digest(out / name) == digest
        for name, digest in named.items()
    )


def _media(
    out: Path,
    folder: Path,
    episode: Episode,
    shown: tuple[Clip, list[np.ndarray], np.ndarray],
    crf: int,
) -> dict[str, Any]:
    """Write a clip's video; return what is to be said of it, without its sound."""
    clip, pictures, there = shown
    path = folder / f"{clip.start_frame:06d}.mp4"
    mosaic.write_mp4(path, pictures, clip.fps, crf)
    return {
        "video": path.relative_to(out).as_posix(),
        "video_sha256": file_digest(path),
        "fps": clip.fps,
        "n_frames": len(pictures),
        "window_frames": len(clip.in_window),
        "seconds": (clip.end_frame + 1 - clip.shown[0]) / clip.source_fps,
        "cameras": list(mosaic.CAMERAS),
        "lost": _lost(episode, there),
    }


def _lost(episode: Episode, there: np.ndarray) -> dict[str, Any]:
    """Return what is to be said of cameras that are not there in all frames, bool (n, 6)."""
    found = {}
    for camera, seen in zip(mosaic.CAMERAS, there.T, strict=True):
        if not seen.all():
            faults = episode.streams[camera].faults
            reason = "; ".join(fault.found for fault in faults) or "has no picture of these frames"
            found[camera] = Lost(frames=stretches(~seen), reason=reason).model_dump()
    return found


def _sounds(
    out: Path, folder: Path, episode: Episode, clips: Sequence[Clip]
) -> Iterator[tuple[Clip, dict[str, Any]]]:
    """Write each clip's sound; yield what is to be said of it."""
    state = episode.streams["audio"]
    if not state.usable:
        yield from ((clip, _no_sound(state.faults[0].found)) for clip in clips)
        return
    forwards = sorted(clips, key=lambda clip: clip.shown[0])
    spans = np.array([(clip.shown[0], clip.end_frame + 1) for clip in forwards]).reshape(-1, 2)
    for clip, samples in zip(forwards, episode.sound(*spans.T), strict=True):
        is_gap = np.isnan(samples)
        gaps = [(start / _RATE_HZ, (stop + 1) / _RATE_HZ) for start, stop in stretches(is_gap)]
        silent_s = [(start, stop) for start, stop in gaps if stop - start >= _LEAST_GAP_S]
        if is_gap.all():
            yield clip, _no_sound("none was recorded in the clip")
            continue
        wav = folder / f"{clip.start_frame:06d}.wav"
        write_wav(wav, np.nan_to_num(samples))
        yield (
            clip,
            {
                "audio": wav.relative_to(out).as_posix(),
                "audio_sha256": file_digest(wav),
                "audio_rate_hz": _RATE_HZ,
                "audio_seconds": len(samples) / _RATE_HZ,
                "silent_s": silent_s,
                "why_no_audio": "none was recorded in parts of the clip" if silent_s else None,
            },
        )


def _no_sound(reason: str) -> dict[str, Any]:
    nothing = {"audio": None, "audio_sha256": None, "audio_seconds": 0.0}
    return nothing | {"audio_rate_hz": _RATE_HZ, "why_no_audio": reason}


def write_wav(path: Path, samples: np.ndarray) -> None:
    """Write 16 kHz mono sound as 16-bit WAV, whole or not at all.

    Parameters
    ----------
    path : Path
    samples : float array, shape (n_samples,)
        In [-1, 1]; what lies beyond is cut off.
    """
    values = np.round(np.clip(samples, -1, 1) * 32767).astype("<i2")
    with whole_file(path) as scratch, wave.open(str(scratch), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE_HZ)
        file.writeframes(values.tobytes())
