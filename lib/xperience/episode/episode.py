"""One episode: the annotation, the captions and the videos as one thing to read from."""

from contextlib import suppress
from functools import cached_property
from pathlib import Path
from types import TracebackType

import h5py
import numpy as np

from xperience.episode import layout, media
from xperience.episode.annotation import Annotation, Fault, StreamState
from xperience.episode.calibration import Calibration
from xperience.episode.captions import (
    FrameIndex,
    FrameLabels,
    frame_labels,
    load_captions,
    name_stamps,
)
from xperience.episode.plausible import out_of_order
from xperience.errors import EpisodeError
from xperience.geometry import WORLD, Transform, rotation_from_quaternion


class Episode:
    """A recording in a folder, opened read-only.

    Nothing long is loaded on opening; arrays come by slices, videos and sound by streaming. What is
    missing or broken is named in ``streams``; asking for it raises.

    Parameters
    ----------
    folder : path
        Holds ``annotation.hdf5`` and up to six videos.

    Attributes
    ----------
    n_frames : int
    frame_names : list of str, length n_frames
    calibration : Calibration
        The cameras: their models and their places on the rig.
    streams : dict of StreamState
        Those of the annotation, "captions", the six cameras and "audio".

    Raises
    ------
    EpisodeError
        If there is no usable annotation.

    Examples
    --------
    >>> with Episode("artifacts/standin/episode") as episode:  # doctest: +SKIP
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
        try:
            self.calibration = self._read_calibration()
            self.streams["calibration"] = self._calibration_state()
            self._labels, self.streams["captions"] = self._read_captions()
            self._probe_videos()
            self._check_times()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Episode":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the annotation file."""
        self.annotation.close()

    @property
    def labels(self) -> FrameLabels:
        """Labels of each frame; blank where captions are missing or broken."""
        return self._labels

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
        rates = [float(info.fps) for info in self.videos.values() if info.fps]
        return rates[0] if rates else layout.DEFAULT_FPS

    def read(self, path: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Read rows of a dataset; see `Annotation.read`."""
        return self.annotation.read(path, start, stop)

    def camera_to_world(self, start: int = 0, stop: int | None = None) -> Transform:
        """Return the pose of the reference camera, the one that hands are given in.

        Parameters
        ----------
        start, stop : int
            Frames [start, stop).

        Returns
        -------
        Transform, rotation (n, 3, 3) and translation (n, 3)
            NaN at frames without a pose; identity throughout if the recording has no SLAM.
        """
        if not self.streams["pose"].usable:
            n = len(range(*slice(start, stop).indices(self.n_frames)))
            eye = np.broadcast_to(np.eye(3), (n, 3, 3))
            return Transform(eye, np.zeros((n, 3)), self.reference_camera, WORLD)
        rotation = rotation_from_quaternion(self.read(layout.QUATERNION, start, stop))
        translation = self.read(layout.TRANSLATION, start, stop).astype(np.float64)
        n = min(len(rotation), len(translation))
        rig = Transform(rotation[:n], translation[:n], WORLD, self.calibration.rig)
        return (self.calibration.reference_from_rig @ rig).inverse()

    @property
    def reference_camera(self) -> str:
        """Name of the coordinate frame of poses and hands."""
        return self.calibration.reference_from_rig.target

    def video_path(self, camera: str) -> Path:
        """Return where a camera's video is or would be."""
        return self.folder / f"{camera}.mp4"

    def _read_calibration(self) -> Calibration:
        try:
            baseline_m = self.annotation.scalar(layout.STEREO_BASELINE, np.nan)
            group = self.annotation.file[layout.CALIBRATION]
            return Calibration.read(group, baseline_m if baseline_m > 0 else None)
        except (OSError, RuntimeError, KeyError) as error:
            raise EpisodeError(
                f"{self.annotation.place}: {layout.CALIBRATION}",
                f"is damaged ({error})",
                "one group of numbers a camera",
                "Fetch the file again; part of it is damaged.",
            ) from error

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

    def _read_captions(self) -> tuple[FrameLabels, StreamState]:
        file = self.annotation.file
        node = next((file[key] for key in layout.CAPTION_KEYS if key in file), None)
        place = f"{self.annotation.place}: caption"
        blank = FrameLabels.empty(self.n_frames)
        if node is None:
            fault = Fault("captions", place, "is absent", "JSON, or the path of a JSON file")
            return blank, StreamState("missing", faults=[fault])
        if not _is_text(node):
            fault = Fault("captions", place, "is not a single text", "JSON text")
            return blank, StreamState("broken", faults=[fault])
        try:
            raw = node[()]
            if node.dtype.kind in "iu":
                raw = raw.tobytes().rstrip(b"\0")
            elif node.shape:
                raw = raw.reshape(-1)[0]
        except OSError as error:
            fault = Fault("captions", place, f"cannot be read ({error})", "JSON text")
            return blank, StreamState("broken", faults=[fault])
        text = raw.decode("utf-8", errors="replace") if isinstance(raw, bytes) else str(raw)
        document, fault = load_captions(text, self.folder)
        if document is None:
            return blank, StreamState("broken", faults=[fault])
        labels, faults = frame_labels(document, FrameIndex(self.frame_names, self.stamps_ns))
        if labels == FrameLabels.empty(self.n_frames, labels.main_task):
            faults.append(Fault("captions", place, "says nothing of any frame", "labels"))
            return labels, StreamState("broken", faults=faults)
        return labels, StreamState("partial" if faults else "ok", self.n_frames, faults)

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
            self.streams[camera] = self._video_state(camera, place, info)
        self.streams["audio"] = self._audio_state()

    def _video_state(self, camera: str, place: str, info: media.VideoInfo) -> StreamState:
        faults = media.media_faults(camera, place, info, self.n_frames, self.fps)
        if not info.n_frames:
            return StreamState("broken", faults=faults)
        return StreamState("partial" if faults else "ok", info.n_frames, faults)

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
        if info.audio_s < 0.99 * video_s:
            found = f"has {info.audio_s:.2f} s of sound"
            state.add(Fault("audio", place, found, f"{video_s:.2f} s"), "partial")
        return state


def _is_text(node: object) -> bool:
    """Return whether a node is a single text, or an array of the bytes of one."""
    if not isinstance(node, h5py.Dataset) or not node.size:
        return False
    if node.dtype.kind in "OSU":
        return node.size == 1
    return node.dtype.kind in "iu" and node.dtype.itemsize == 1


def _whole(stamps: np.ndarray) -> np.ndarray | None:
    """Return stamps as int64, or None if one is no number of that range."""
    limits = np.iinfo(np.int64)
    if stamps.dtype.kind == "f":
        stamps = stamps.astype(np.float64)
        fits = (np.abs(stamps) < limits.max).all()  # NaN is not
    else:
        fits = stamps.dtype.kind in "iu" and (stamps <= limits.max).all()
    return stamps.astype(np.int64) if fits else None
