"""One episode: the annotation, the captions and the videos as one thing to read from."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from xperience.errors import EpisodeError, TextError
from xperience.recording import layout, media
from xperience.recording.annotation import (
    Annotation,
    Fault,
    StreamState,
    missing_filter,
    read_fault,
)
from xperience.recording.calibration import Calibration
from xperience.recording.captions import (
    FrameIndex,
    FrameLabels,
    frame_labels,
    load_captions,
    name_stamps,
    not_text,
)
from xperience.recording.clock import (
    FrameClock,
    counting_faults,
    frame_clock,
    picture_faults,
    sound_faults,
)
from xperience.recording.geometry import RIG, WORLD, Transform, rotation_from_quaternion
from xperience.recording.plausible import out_of_order
from xperience.text import decode, padded

_CODING_S = 0.1
"""By how much sound may outlast the pictures: coders fill their last block."""


class Recording:
    """A recording in a folder, opened read-only.

    Nothing long is loaded on opening; arrays come by slices, videos and sound by streaming. What is
    missing or broken is named in ``streams`` (those of the annotation, "calibration", "captions",
    the six cameras and "audio"); asking for it raises.

    Parameters
    ----------
    folder : path
        Holds ``annotation.hdf5`` and up to six videos.

    Raises
    ------
    EpisodeError
        If there is no usable annotation.

    Examples
    --------
    >>> with Recording("artifacts/standin/episode") as episode:  # doctest: +SKIP
    ...     episode.read(layout.HAND_LEFT, 0, 20).shape
    (20, 21, 3)
    """

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise EpisodeError(
                str(folder),
                "is not a folder" if self.folder.exists() else "is not there",
                "an episode folder",
                "Give the folder that holds the annotation and the videos.",
            )
        self.name = self.folder.resolve().name
        self.annotation = Annotation(self.folder / layout.ANNOTATION)
        self.frame_names = self.annotation.frame_names
        self.n_frames = self.annotation.n_frames
        self.streams: dict[str, StreamState] = dict(self.annotation.streams)
        self.videos: dict[str, media.VideoInfo] = {}
        self._labels: dict[str, FrameLabels] = {}
        self._clocks: dict[str, FrameClock] = {}
        try:
            self.calibration = self._read_calibration()
            self.streams["calibration"] = self._calibration_state()
            self._captions, self.streams["captions"] = self._read_captions()
            self._probe_videos()
            self._check_times()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Recording":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the annotation file."""
        self.annotation.close()

    @property
    def labels(self) -> FrameLabels:
        """Labels of each frame under `published`; blank where captions are missing or broken."""
        return self.labels_of("published")

    def labels_of(self, contract: str) -> FrameLabels:
        """Return the labels of each frame; blank where captions are missing or broken.

        Contracts differ in references outside the recording, and labels that look the same; see
        `frame_labels`.
        """
        if contract not in self._labels:
            labels, _ = frame_labels(self._captions, self._frame_index, contract)
            self._labels[contract] = labels
        return self._labels[contract]

    @cached_property
    def _frame_index(self) -> FrameIndex:
        return FrameIndex(self.frame_names, self.stamps_ns)

    @cached_property
    def stamps_ns(self) -> np.ndarray | None:
        """Device time of each frame in ns, shape (n_frames,), from the names or the video group."""
        return next(iter(self.device_clocks_ns), None)

    @property
    def device_clocks_ns(self) -> list[np.ndarray]:
        """Device times of the frames in ns, each of shape (n_frames,): names first, then video."""
        return [stamps for stamps in self._device_clocks.values() if stamps is not None]

    @cached_property
    def _device_clocks(self) -> dict[str, np.ndarray | None]:
        """What each path says of the frames' times in ns; None where it is there but says none."""
        clocks = {}
        stamps_ns = name_stamps(self.frame_names)
        if stamps_ns is not None:
            clocks[layout.FRAME_NAMES] = stamps_ns
        if layout.VIDEO_STAMPS in self.annotation.file:
            clocks[layout.VIDEO_STAMPS] = None
            with suppress(EpisodeError):  # named as no time; every frame keeps its name
                if self.annotation.holds(layout.VIDEO_STAMPS, self.n_frames):
                    clocks[layout.VIDEO_STAMPS] = _whole(self.read(layout.VIDEO_STAMPS))
        return clocks

    @cached_property
    def fps(self) -> float:
        """Frames per second: of the device clock, else of a video, else the nominal rate."""
        stamps = self.stamps_ns
        if stamps is not None and len(stamps) > 1 and stamps[-1] > stamps[0]:
            rate = (len(stamps) - 1) / (int(stamps[-1]) - int(stamps[0])) * 1e9
            if rate < media.FPS_LIMIT:
                return float(rate)
        rates = [float(info.usual_fps or info.fps) for info in self.videos.values() if info.fps]
        return rates[0] if rates else layout.DEFAULT_FPS

    @cached_property
    def device_s(self) -> np.ndarray | None:
        """Seconds by the device since the first frame, shape (n_frames,); None unless they grow."""
        stamps_ns = self.stamps_ns
        if stamps_ns is None or not (stamps_ns[1:] > stamps_ns[:-1]).all():
            return None
        return (stamps_ns - stamps_ns[0]) / 1e9

    @cached_property
    def frame_times_s(self) -> np.ndarray:
        """Seconds since the first frame, shape (n_frames,): by the device, else by the rate."""
        return np.arange(self.n_frames) / self.fps if self.device_s is None else self.device_s

    def clock(self, camera: str) -> FrameClock:
        """Return when frames happen in the time of a camera's file, and which picture each shows.

        The file's packets are read on the first call only.

        Raises
        ------
        EpisodeError
            If there is no such video that can be opened.
        """
        if camera not in self._clocks:
            timeline = media.read_timeline(self.video_path(camera))
            rate = float(self.videos[camera].fps) if camera in self.videos else 0.0
            self._clocks[camera] = frame_clock(
                timeline, self.n_frames, self.fps, self.device_s, rate
            )
        return self._clocks[camera]

    def timing_faults(self, stream: str, *, counted: bool) -> list[Fault]:
        """Return what is odd about when a camera's pictures, or the sound, are presented.

        With ``counted`` also by how much counting pictures or samples disagrees with their times.
        Other streams have no such faults.
        """
        camera = layout.AUDIO_CAMERA if stream == "audio" else stream
        if camera not in layout.CAMERAS or not self.streams[stream].usable:
            return []
        clock, place = self.clock(camera), f"{self.folder.name}/{camera}.mp4"
        if stream == "audio":
            faults, away_s = sound_faults(place, clock), clock.counted_sound_s()
            slack_s = media.SOUND_SLACK_S
        else:
            faults, away_s = picture_faults(camera, place, clock), clock.counted_pictures_s()
            slack_s = float(np.median(np.diff(clock.begin_s, append=clock.end_s[-1]))) / 2
        return faults + (counting_faults(stream, place, away_s, slack_s) if counted else [])

    def pictures(
        self, camera: str, frames: np.ndarray, *, threads: int = 1
    ) -> Iterator[np.ndarray | None]:
        """Yield the picture of each of some frames, ascending; None where the camera shows none.

        They are RGB, uint8 (height, width, 3), turned as the file asks; a view: copy what you keep
        beyond the next. ``threads`` are the decoder's; 0 lets FFmpeg choose.
        """
        clock = self.clock(camera)
        turns = clock.timeline.rotation_deg // 90
        each = clock.pictures[frames].tolist()
        how = {"threads": threads, "wanted": set(each)}
        shown = media.read_pictures(self.video_path(camera), clock.timeline, **how)
        number, rgb = -1, None
        for wanted in each:
            while number < wanted and (found := next(shown, None)) is not None:
                number, rgb, is_damaged = found
                rgb = None if is_damaged else rgb
            is_shown = rgb is not None and number == wanted
            yield np.ascontiguousarray(np.rot90(rgb, turns)) if is_shown else None

    def sound(
        self, starts: np.ndarray, stops: np.ndarray, rate_hz: int = layout.AUDIO_RATE_HZ
    ) -> Iterator[np.ndarray]:
        """Yield the sound of runs of frames [start, stop), read once, forwards.

        It is mono, float32 in [-1, 1]; NaN where the file holds no sound for that time. Starts may
        not decrease.
        """
        camera = layout.AUDIO_CAMERA
        reader = media.SoundReader(self.video_path(camera), rate_hz)
        for start, stop in self.clock(camera).samples(starts, stops, rate_hz):
            yield reader.until(start, stop)

    def read(self, path: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Read rows of a dataset; see `Annotation.read`."""
        return self.annotation.read(path, start, stop)

    def camera_to_world(self, start: int = 0, stop: int | None = None) -> Transform:
        """Return the pose of the reference camera, which hands are given in, in each frame.

        NaN at frames without a pose; identity throughout if the recording has no SLAM.
        """
        if not self.streams["pose"].usable:
            n = len(range(*slice(start, stop).indices(self.n_frames)))
            eye = np.broadcast_to(np.eye(3), (n, 3, 3))
            return Transform(eye, np.zeros((n, 3)), self.reference_camera, WORLD)
        rotation = rotation_from_quaternion(self.read(layout.QUATERNION, start, stop))
        translation = self.read(layout.TRANSLATION, start, stop).astype(np.float64)
        n = min(len(rotation), len(translation))
        rig = Transform(rotation[:n], translation[:n], WORLD, RIG)
        return (self.calibration.reference_from_rig @ rig).inverse()

    @property
    def reference_camera(self) -> str:
        """Name of the coordinate frame of poses and hands."""
        return self.calibration.reference_from_rig.target

    def video_path(self, camera: str) -> Path:
        """Return where a camera's video is or would be."""
        return self.folder / f"{camera}.mp4"

    def lose_video(self, camera: str, why: str) -> None:
        """Call a video broken, and the sound with it if that is in it."""
        self.videos.pop(camera, None)
        place = f"{self.folder.name}/{camera}.mp4"
        for name in (camera, "audio") if camera == layout.AUDIO_CAMERA else (camera,):
            if self.streams[name].usable:
                fault = Fault(name, place, why, "a file that can be read")
                self.streams[name].add(fault, "broken")
                self.streams[name].n_rows = 0

    def _read_calibration(self) -> Calibration:
        group = self.annotation.file[layout.CALIBRATION]
        place = f"{self.annotation.place}: {layout.CALIBRATION}"
        try:
            baseline_m = self.annotation.scalar(layout.STEREO_BASELINE, np.nan)
            return Calibration.read(group, baseline_m if baseline_m > 0 else None)
        except (OSError, RuntimeError, KeyError) as error:
            node = None
            with suppress(OSError, RuntimeError, KeyError):  # the damage lies in the search's way
                node = group.visititems(lambda _, node: node if missing_filter(node) else None)
            place = f"{self.annotation.place}: {node.name[1:]}" if node else place
            raise read_fault(place, "a number", node, error) from error

    def _calibration_state(self) -> StreamState:
        values = self.calibration.vector
        state = StreamState("ok", len(values))
        place = f"{self.annotation.place}: {layout.CALIBRATION}"
        if not len(values):
            state.add(Fault("calibration", place, "holds no number", "camera parameters"), "broken")
        elif unknown := np.count_nonzero(~np.isfinite(values)):
            found = f"{unknown} of {len(values)} numbers are not finite"
            state.add(Fault("calibration", place, found, "finite numbers"), "partial")
        for entry, (found, expected) in self.calibration.faults.items():
            state.add(Fault("calibration", f"{place}/{entry}", found, expected), "partial")
        return state

    def _check_times(self) -> None:
        """Record frame times that are none or do not grow, with the poses of those frames."""
        for path, stamps in self._device_clocks.items():
            found, expected = "is no time a frame", f"{self.n_frames} times in nanoseconds"
            if stamps is not None:
                bad = np.flatnonzero(out_of_order(stamps))
                if not len(bad):
                    continue
                found = f"{len(bad)} of {len(stamps)} times repeat or go back"
                found, expected = f"{found}, first at frame {bad[0]}", "times that grow"
            fault = Fault("pose", f"{self.annotation.place}: {path}", found, expected)
            self.streams["pose"].add(fault, "partial")

    def _read_captions(self) -> tuple[dict[str, Any], StreamState]:
        """Return the caption document, empty if there is none of use, and what of it is there."""
        place = f"{self.annotation.place}: caption"
        there = [key for key in layout.CAPTION_KEYS if key in self.annotation.file]
        if not there:
            fault = Fault("captions", place, "is absent", "JSON, or the path of a JSON file")
            return {}, StreamState("missing", faults=[fault])
        document, fault = self._caption_document(there[0], place)
        if document is None:
            return {}, StreamState("broken", faults=[fault])
        labels, faults = frame_labels(document, self._frame_index)
        faults += [fault] if fault else []
        self._labels["published"] = labels
        if labels.is_blank:
            faults.append(Fault("captions", place, "says nothing of any frame", "labels"))
            return document, StreamState("broken", faults=faults)
        return document, StreamState("partial" if faults else "ok", self.n_frames, faults)

    def _caption_document(self, key: str, place: str) -> tuple[dict[str, Any] | None, Fault | None]:
        node = None
        try:
            node = self.annotation.file[key]
            is_array = isinstance(node, h5py.Dataset)
            by_byte = is_array and node.dtype.kind in "iu" and node.dtype.itemsize == 1
            is_text = is_array and node.size == 1 and node.dtype.kind in "OSU"
            if not is_text and not (by_byte and node.size > 0):
                return None, Fault("captions", place, "is not a single text", "JSON text")
            text = decode(_bytes_of(node[()]))
        except (OSError, RuntimeError, KeyError) as error:
            why = read_fault(place, "its text", node, error)
            return None, Fault("captions", why.place, why.found, why.expected)
        except TextError as error:
            return None, not_text(place, error)
        return load_captions(text, self.folder)

    def _probe_videos(self) -> None:
        for camera in layout.CAMERAS:
            path = self.video_path(camera)
            place = f"{self.folder.name}/{path.name}"
            if not path.exists():
                fault = Fault(camera, place, "is not there", "the camera's video")
                self.streams[camera] = StreamState("missing", faults=[fault])
                continue
            try:
                info = media.probe(path)
            except EpisodeError as error:
                fault = Fault(camera, error.place, error.found, error.expected)
                self.streams[camera] = StreamState("broken", faults=[fault])
                continue
            self.videos[camera] = info
            faults = media.media_faults(camera, place, info, self.n_frames, self.fps)
            status = ("partial" if faults else "ok") if info.n_frames else "broken"
            self.streams[camera] = StreamState(status, info.n_frames, faults)
        self._check_sizes()
        self.streams["audio"] = self._audio_state()

    def _check_sizes(self) -> None:
        """Record videos of another size than most cameras of their kind; all if none prevails."""
        for kind in (layout.FISHEYE_CAMERAS, layout.STEREO_CAMERAS):
            sizes = {
                camera: f"{self.videos[camera].width}x{self.videos[camera].height} px"
                for camera in kind
                if camera in self.videos
            }
            for camera, size in sizes.items():
                others = [sizes[other] for other in sizes if other != camera]
                if others and 2 * others.count(size) < len(others):
                    place = f"{self.folder.name}/{self.video_path(camera).name}"
                    found = f"has pictures of {size}"
                    expected = f"{Counter(others).most_common(1)[0][0]} as its fellow cameras"
                    self.streams[camera].add(Fault(camera, place, found, expected), "partial")

    def _audio_state(self) -> StreamState:
        camera = layout.AUDIO_CAMERA
        place = f"{self.folder.name}/{camera}.mp4"
        info = self.videos.get(camera)
        if info is None or info.audio_rate_hz is None:
            found = "has no audio stream that can be decoded" if info else "cannot give sound"
            fault = Fault("audio", place, found, "sound in the video file")
            return StreamState("missing", faults=[fault])
        if not info.audio_s:
            fault = Fault("audio", place, "has an audio stream of no length", "sound")
            return StreamState("broken", faults=[fault])
        state = StreamState("ok", round(info.audio_s * info.audio_rate_hz))
        video_s = self.n_frames / self.fps
        if not 0.99 * video_s <= info.audio_s <= 1.01 * video_s + _CODING_S:
            found = f"has {info.audio_s:.2f} s of sound"
            state.add(Fault("audio", place, found, f"{video_s:.2f} s"), "partial")
        for fault in media.rate_faults("audio", place, info, self.fps):
            state.add(fault, "partial")
        return state


def _bytes_of(value: Any) -> bytes:
    """Return the bytes of a text in HDF5, which may pad it with zeros or take away its last."""
    if isinstance(value, np.ndarray):
        value = value.tobytes() if value.dtype.kind in "iu" else value.reshape(-1)[0]
    raw = value if isinstance(value, bytes) else str(value).encode()
    return padded(raw.rstrip(b"\0"))


def _whole(stamps: np.ndarray) -> np.ndarray | None:
    """Return stamps as int64, or None if one is no number of that range."""
    limits = np.iinfo(np.int64)
    if stamps.dtype.kind == "f":
        stamps = stamps.astype(np.float64)
        fits = (np.abs(stamps) < limits.max).all()  # NaN is not
    else:
        fits = stamps.dtype.kind in "iu" and (stamps <= limits.max).all()
    return stamps.astype(np.int64) if fits else None
