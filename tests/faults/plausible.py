"""Whether changed values could be true: what no reader could tell from a real recording.

A fault is undetectable in principle if what it changed can still be read, has the shape and kind
that it had, and holds nothing but values within the physical range of its stream; for captions:
strict JSON in UTF-8 whose references are names of frames; for pictures and sound: packets that a
strict decoder takes without an error, of the same size and at the same times. The ranges are set
here, wide and apart from the library's own, so that what lies outside must be named.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import h5py
import numpy as np

from xperience.recording import layout

Rule = Callable[[np.ndarray, h5py.File], bool]


def _within(low: float, high: float) -> Rule:
    return lambda values, file: bool(((values >= low) & (values <= high)).all())


def _growing(values: np.ndarray, file: h5py.File) -> bool:
    return bool((np.diff(values.astype(np.float64)) > 0).all())


def _unit(values: np.ndarray, file: h5py.File) -> bool:
    return bool((abs(np.linalg.norm(values, axis=1) - 1) < 0.01).all())


def _steady(values: np.ndarray, file: h5py.File) -> bool:
    """Whether no step is longer than half a metre a frame, 10 m/s."""
    return bool((np.linalg.norm(np.diff(values, axis=0), axis=1) < 0.5).all())


def _reach(values: np.ndarray, file: h5py.File) -> bool:
    """Whether every hand joint is within 2 m of the camera on the head."""
    return bool((np.linalg.norm(values, axis=-1) < 2).all()) and _told(values)


def _body(values: np.ndarray, file: h5py.File) -> bool:
    """Whether every joint is within 3 m of the root, and the root within 1 km of the origin."""
    away_m = np.linalg.norm(values - values[:, :1], axis=-1)
    return bool((away_m < 3).all() and (abs(values) < 1000).all()) and _told(values)


def _told(values: np.ndarray) -> bool:
    return not (values == 0).all(axis=(1, 2)).any()


def _sensor(limit: float) -> Rule:
    """Within a sensor's range, and never the same for ten samples: a live one is noisy."""

    def fits(values: np.ndarray, file: h5py.File) -> bool:
        still = (np.diff(values, axis=0) == 0).all(axis=1).astype(int)
        stuck = np.convolve(still, np.ones(10)).max() >= 10
        return not stuck and bool((abs(values) < limit).all())

    return fits


def _stamps(values: np.ndarray, file: h5py.File) -> bool:
    return _growing(values, file) and bool((np.diff(values) < 1e9).all()) and _on_frames(file)


def _keys(values: np.ndarray, file: h5py.File) -> bool:
    inside = bool(((values >= 0) & (values < len(file[layout.IMU_STAMPS]))).all())
    return inside and _growing(values, file) and _on_frames(file)


def _on_frames(file: h5py.File) -> bool:
    """Whether the samples that keyframes point at are of their frames' time, within a second."""
    names = file[layout.FRAME_NAMES][()]
    frames_ns = np.array([int(name.partition(b".")[0]) for name in names])
    keys = np.clip(file[layout.IMU_KEYFRAMES][()], 0, len(file[layout.IMU_STAMPS]) - 1)
    return bool((abs(file[layout.IMU_STAMPS][()][keys] - frames_ns) < 1e9).all())


def _names(values: np.ndarray, file: h5py.File) -> bool:
    stems = [name.partition(b".")[0] for name in values]
    return all(stem.isdigit() for stem in stems) and _growing(np.array(stems, dtype="i8"), file)


def _depth(values: np.ndarray, file: h5py.File) -> bool:
    """Whether depths are within the file's own range, and no frame is without any."""
    far_m = file[layout.DEPTH_MAX][()]
    within = ((values >= 0) & (values <= far_m)).all()
    return bool(within and (values > 0).any(axis=(1, 2)).all())


def _rigid(values: np.ndarray, file: h5py.File) -> bool:
    turn = values[:3, :3]
    return np.allclose(turn @ turn.T, np.eye(3), atol=1e-3) and bool((abs(values) < 10).all())


def _projects(values: np.ndarray, file: h5py.File) -> bool:
    """Whether focal lengths and centres, in pixels, are those of some camera."""
    fx, fy, cx, cy = values[[0, 1, 0, 1], [0, 1, 2, 2]] if values.ndim == 2 else values[1:]
    return min(fx, fy) > 1 and min(cx, cy) > 0 and max(fx, fy, cx, cy) < 1e5


def _captions(value: Any, file: h5py.File) -> bool:
    """Whether they are strict JSON in UTF-8 whose frame references are frames' names."""
    known = {name.decode("utf-8", "replace") for name in file[layout.FRAME_NAMES][()]}

    def plain(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({key for key, _ in pairs}) == len(pairs)
        return dict(pairs)

    def refused(constant: str) -> None:
        raise ValueError(constant)

    try:
        text = bytes(value).decode()
        found = json.loads(text, object_pairs_hook=plain, parse_constant=refused)
        json.dumps(found, ensure_ascii=False).encode()  # refuses half a character
        references: set[str] = set()
        for segment in found["segments"]:
            references |= {segment["start_frame"], segment["end_frame"]}
            references |= {*segment["objects"], *segment["interaction"]}
            for action in segment["Current Action"]:
                assert isinstance(action["label"], str | None)
                references |= {action["start_frame_name"], action["end_frame_name"]}
    except (ValueError, KeyError, TypeError, AssertionError):
        return False
    return references <= known and text.isprintable()


RULES: dict[str, Rule] = {
    layout.FRAME_NAMES: _names,
    layout.QUATERNION: _unit,
    layout.TRANSLATION: _steady,
    layout.POINT_CLOUD: _within(-100, 100),
    layout.HAND_LEFT: _reach,
    layout.HAND_RIGHT: _reach,
    layout.KEYPOINTS: _body,
    layout.CONTACTS: _within(0, 1),
    layout.IMU_STAMPS: _stamps,
    layout.IMU_ACCEL: _sensor(160),  # 16 g
    layout.IMU_GYRO: _sensor(35),  # 2000 degrees/s
    layout.IMU_KEYFRAMES: _keys,
    layout.DEPTH: _depth,
    layout.CONFIDENCE: _within(0, 255),
    layout.DEPTH_MIN: _within(0, 4),
    layout.DEPTH_MAX: _within(0.5, 100),
    layout.VIDEO_STAMPS: _growing,
    "calibration/cam01/T_c0_b": _rigid,
    "calibration/cam01/K": _projects,
    "calibration/cam0/intrinsics": _projects,
    "calibration/cam0/resolution": _within(1, 1e5),
    "caption": _captions,
}


def implausible(clean: Path, folder: Path, streams: set[str]) -> list[str]:
    """Return what of a damaged recording contradicts itself or physics; empty: undetectable.

    ``streams`` are those that the changed values were computed from.
    """
    with (
        h5py.File(clean / layout.ANNOTATION) as was,
        h5py.File(folder / layout.ANNOTATION) as file,
    ):
        found = [
            name
            for name in sorted(_paths(streams, was))
            if isinstance(was[name], h5py.Dataset) and not _could_be(name, was[name], file)
        ]
    for stream in sorted(streams & {*layout.CAMERAS, "audio"}):
        name = f"{layout.AUDIO_CAMERA if stream == 'audio' else stream}.mp4"
        track = "audio" if stream == "audio" else "video"
        if not (folder / name).is_file():
            found.append(f"{name} is gone")
            continue
        was, now = (_decoded(where / name, track) for where in (clean, folder))
        found += [f"{name}: {what}" for what in was if was[what] != now[what]]
    return found


def _paths(streams: set[str], file: h5py.File) -> set[str]:
    """Return the datasets that streams are made of."""
    paths = {d.path for s in layout.STREAMS if s.name in streams for d in s.datasets}
    if "depth" in streams:
        paths |= {layout.DEPTH_MIN, layout.DEPTH_MAX}
    if "captions" in streams:
        paths |= {"caption", layout.FRAME_NAMES}
    if "calibration" in streams:
        file[layout.CALIBRATION].visit(lambda name: paths.add(f"{layout.CALIBRATION}/{name}"))
    return paths


def _could_be(name: str, was: h5py.Dataset, file: h5py.File) -> bool:
    try:
        node = file[name]
        value, before = node[()], was[()]
    except (OSError, RuntimeError, KeyError, ValueError):
        return False
    if name == "caption":
        return value == before or _captions(value, file)
    of_points = name == layout.POINT_CLOUD  # as many as there happen to be
    same_kind = node.dtype.kind == was.dtype.kind
    if not same_kind or np.shape(value)[of_points:] != np.shape(before)[of_points:]:
        return False
    if np.array_equal(value, before):
        return True
    if node.dtype.kind == "f" and not np.isfinite(value).all():
        return False
    rule = RULES.get(name)
    with np.errstate(over="ignore"):
        return rule(value, file) if rule else True


def _decoded(path: Path, track: str) -> dict[str, Any]:
    """Return shapes, times and number of a track's frames, and errors of a strict decoder."""
    found: dict[str, Any] = dict.fromkeys(("errors", "frames", "rotation", "rate"))
    frames = []
    try:
        with av.open(str(path), options={"err_detect": "explode"}) as container:
            stream = getattr(container.streams, track)[0]
            stream.codec_context.options = {"err_detect": "crccheck+bitstream+buffer+explode"}
            stream.codec_context.thread_count = 1
            found["rate"] = (
                stream.codec_context.sample_rate if track == "audio" else stream.average_rate
            )
            for frame in container.decode(stream):
                if track == "audio":
                    frames.append((frame.time, frame.samples))
                    if not np.abs(frame.to_ndarray()).max() < 4:
                        found["errors"] = "sound beyond full scale"
                else:
                    frames.append((frame.time, frame.width, frame.height, frame.format.name))
                    found["rotation"] = frame.rotation
                    found["errors"] = "a corrupt frame" if frame.is_corrupt else found["errors"]
    except (av.FFmpegError, IndexError, AttributeError) as error:
        found["errors"] = str(error)
    return found | {"frames": frames}
