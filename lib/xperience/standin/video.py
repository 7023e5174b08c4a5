"""One video of an episode: pictures drawn, encoded and joined with the sound, frame by frame."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from xperience.recording.geometry import CameraModel, Transform
from xperience.standin.picture import Gallery, Picture
from xperience.standin.settings import SOUND_RATE_HZ
from xperience.storage import file_url

_AUDIO_BIT_RATE, _AUDIO_BLOCK = 64_000, 1024
_VIDEO_OPTIONS = {"preset": "veryfast", "crf": "25", "threads": "1", "x264-params": "mbtree=0"}
"""Macroblock trees would let unset memory take part in the encoder's choices."""
_GOP = 40


@dataclass(frozen=True)
class VideoJob:
    """What a worker process needs to write one video.

    Parameters
    ----------
    path : Path
    model : CameraModel
    rotation, translation : float array, shape (n_frames, 3, 3) and (n_frames, 3)
        World to camera, metres.
    gallery : Path
        Folder that holds the scene.
    sound : Path
        Encoded sound to copy into the file.
    fps : float
        Frames a second.
    """

    path: Path
    model: CameraModel
    rotation: np.ndarray
    translation: np.ndarray
    gallery: Path
    sound: Path
    fps: float


def encode_sound(samples: np.ndarray, path: Path) -> None:
    """Write mono sound as AAC in an MP4.

    The container's edit list hides the encoder's start-up samples, so the first decoded sample is
    the first of ``samples``.

    Parameters
    ----------
    samples : float32 array, shape (n_samples,)
        48 kHz, in [-1, 1].
    path : Path
    """
    with av.open(file_url(path), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("aac", rate=SOUND_RATE_HZ, layout="mono")
        stream.bit_rate = _AUDIO_BIT_RATE
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        for first in range(0, len(samples), _AUDIO_BLOCK):
            block = np.ascontiguousarray(samples[None, first : first + _AUDIO_BLOCK])
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
            frame.rate, frame.pts = SOUND_RATE_HZ, first
            frame.time_base = Fraction(1, SOUND_RATE_HZ)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_video(job: VideoJob) -> str:
    """Draw and write one video with its sound; return the file's name.

    Nothing but the frame being drawn is held. The same job writes the same bytes in any process.
    """
    picture = Picture(job.model, Gallery.load(job.gallery))
    poses = Transform(job.rotation, job.translation, "world", "camera")
    rate = Fraction(job.fps).limit_denominator(1001)
    options = {"fflags": "+bitexact", "movflags": "+faststart"}
    with (
        av.open(file_url(job.sound)) as sound,
        av.open(file_url(job.path), "w", format="mp4", options=options) as container,
    ):
        video = _video_stream(container, job.model.size_px, rate)
        audio = container.add_stream_from_template(sound.streams.audio[0])
        packets = _packets(sound)
        waiting = next(packets, None)
        for number in range(len(job.translation)):
            pose = Transform(poses.rotation[number], poses.translation[number], "world", "camera")
            picture.draw(number, pose)
            frame = av.VideoFrame.from_ndarray(picture.rgb, format="rgb24")
            frame.pts, frame.time_base = number, 1 / rate
            container.mux(video.encode(frame))
            while waiting is not None and waiting.pts * waiting.time_base <= number / rate:
                waiting.stream = audio
                container.mux(waiting)
                waiting = next(packets, None)
        container.mux(video.encode(None))
        while waiting is not None:
            waiting.stream = audio
            container.mux(waiting)
            waiting = next(packets, None)
    return job.path.name


def _video_stream(
    container: av.container.OutputContainer, size_px: tuple[int, int], rate: Fraction
) -> av.VideoStream:
    video = container.add_stream("libx264", rate=rate, options=_VIDEO_OPTIONS)
    video.width, video.height = size_px
    video.pix_fmt = "yuv420p"
    video.codec_context.gop_size = _GOP
    video.codec_context.thread_count = 1
    video.codec_context.flags |= av.codec.context.Flags.bitexact
    return video


def _packets(sound: av.container.InputContainer):
    return (packet for packet in sound.demux(sound.streams.audio[0]) if packet.size)
