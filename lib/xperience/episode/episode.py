"""One episode: the annotation, the captions and the videos as one thing to read from."""

from collections import Counter
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
        stamps_ns = name_stamps(self.frame_names)
        node = self.annotation.file.get(layout.VIDEO_STAMPS)
        if stamps_ns is not None or not isinstance(node, h5py.Dataset):
            return stamps_ns
        if node.shape != (self.n_frames,) or node.dtype.kind not in "iu":
            return None
        try:
            return self.read(layout.VIDEO_STAMPS).astype(np.int64)
        except EpisodeError:
            return None  # only a stand-in for names without times; every frame keeps its name

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
        return state

    def _read_captions(self) -> tuple[FrameLabels, StreamState]:
        file = self.annotation.file
        node = next((file[key] for key in layout.CAPTION_KEYS if key in file), None)
        place = f"{self.annotation.place}: caption"
        blank = FrameLabels.empty(self.n_frames)
        if node is None:
            fault = Fault("captions", place, "is absent", "JSON, or the path of a JSON file")
            return blank, StreamState("missing", faults=[fault])
        if not isinstance(node, h5py.Dataset) or node.size != 1 or node.dtype.kind not in "OSU":
            fault = Fault("captions", place, "is not a single text", "JSON text")
            return blank, StreamState("broken", faults=[fault])
        try:
            raw = node[()] if node.shape == () else node[()].reshape(-1)[0]
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
