"""A simulated episode on disk, whole or not at all: its annotation, and six videos with sound."""

import io
import json
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, as_completed
from fractions import Fraction
from itertools import count
from pathlib import Path
from threading import Event

import av
import h5py
import numpy as np

from xperience.outputs import check_output
from xperience.progress import OnProgress, quiet
from xperience.recording import layout
from xperience.recording.geometry import Points, Transform
from xperience.standin import sensors, sound
from xperience.standin.mark import check_replaceable, write_mark
from xperience.standin.raycast import Renderer, compile_caster
from xperience.standin.scene import Scene, build_scene
from xperience.standin.script import captions, load_script
from xperience.standin.settings import SOUND_RATE_HZ, StandinSettings
from xperience.storage import file_url, whole_folder

DEPTH_MIN_M, DEPTH_MAX_M = 0.2, 4.0
GENERATOR = "xperience.standin"

_DEPTH_NOISE = 0.004  # of the depth squared, as stereo has it
_EDGE_M = 0.04
_STRIDE = 100  # frames between two reports of progress
_AUDIO_BIT_RATE, _AUDIO_BLOCK = 64_000, 1024
_VIDEO_OPTIONS = {"preset": "veryfast", "crf": "25", "threads": "1", "x264-params": "mbtree=0"}
"""Macroblock trees would let unset memory take part in the encoder's choices."""
_GOP = 40


def write_episode(
    folder: Path,
    settings: StandinSettings,
    on_progress: OnProgress | None = None,
    fault: Callable[[Path], object] | None = None,
) -> Path:
    """Write a simulated episode: ``annotation.hdf5`` and six videos with sound.

    It appears, or replaces an older simulated episode, only when everything in it is written. Equal
    settings give equal files, whatever the number of workers. ``on_progress`` may be called from
    any thread; ``fault`` changes the folder before it is in place, as in `family.FAULTS`.

    If the folder holds anything but an episode that bears the simulator's mark, or the script is
    unusable, that is a ParamsError; if it lies in a recording, an OutputError.
    """
    folder, tell = Path(folder), on_progress or quiet
    check_replaceable(folder)
    check_output(folder.absolute().parent)
    tell("scene", 0, 1)
    scene = build_scene(settings)
    tell("scene", 1, 1)
    with whole_folder(folder, replace=True) as scratch:
        _write_files(scratch, scene, settings, tell)
        if fault is not None:
            fault(scratch)
        write_mark(scratch)
        check_replaceable(folder)  # it may have been filled meanwhile
    return folder


def _write_files(folder: Path, scene: Scene, settings: StandinSettings, tell: OnProgress) -> None:
    cameras, stop = sensors.cameras(settings).values(), Event()
    drawn, total = count(1), settings.frames * len(cameras)

    def on_frame() -> None:
        if stop.is_set():
            raise CancelledError
        done = next(drawn)
        if done % _STRIDE == 0 or done == total:
            tell("videos", done, total)

    with ThreadPoolExecutor(min(settings.workers, len(cameras))) as pool:
        try:
            heard = pool.submit(lambda: encode_sound(sound.soundtrack(scene.plan.events, settings)))
            compile_caster(tell)
            videos = [
                pool.submit(write_video, folder, camera, scene, settings, heard, on_frame)
                for camera in cameras
            ]
            path = folder / layout.ANNOTATION
            tell("annotation", 0, 1)
            write_annotation(path, scene, settings)
            tell("annotation", 1, 1)
            write_depth(path, scene, settings, tell)
            for video in as_completed(videos):
                video.result()
        except BaseException:
            stop.set()
            raise


# -- annotation --------------------------------------------------------------------------------


def write_annotation(path: Path, scene: Scene, settings: StandinSettings) -> None:
    """Write everything but depth into a new file; equal settings give equal arrays.

    Hands are in the axes of camera 0 of ``cam01`` (which is fisheye camera 0), bodies in world
    axes. Poses lead from world to rig; the rig is the inertial unit: x ahead, y left, z up.
    """
    stamps = sensors.frame_stamps_ns(settings)
    names = [f"{stamp}.jpg" for stamp in stamps]
    document = captions(load_script(settings.script), names)
    with h5py.File(path, "w") as file:
        file[layout.FRAME_NAMES] = np.array([name.encode() for name in names], dtype="S32")
        file[layout.QUATERNION] = _quaternion(scene.rig.rotation)
        file[layout.TRANSLATION] = scene.rig.translation
        file[layout.POINT_CLOUD] = sensors.sparse_map(scene, settings.seed)
        _write_calibration(file, settings)
        to_camera = sensors.cameras(settings)[layout.STEREO_CAMERAS[0]].from_rig @ scene.rig
        for hand, side in ((layout.HAND_LEFT, "left"), (layout.HAND_RIGHT, "right")):
            file[hand] = to_camera(Points(scene.hands[side], "world")).xyz
        file[layout.KEYPOINTS] = scene.body
        file[layout.CONTACTS] = sensors.contacts(scene)
        for name, values in sensors.inertial(scene, settings).items():
            file[name] = values
        file[layout.VIDEO_STAMPS] = stamps
        file[layout.VIDEO_NUMBERS] = np.arange(settings.frames)
        file[layout.CAPTION_KEYS[0]] = json.dumps(document, ensure_ascii=False).encode()
        _write_metadata(file, scene, settings)


def _write_calibration(file: h5py.File, settings: StandinSettings) -> None:
    cameras = sensors.cameras(settings)
    for number, name in enumerate(layout.FISHEYE_CAMERAS):
        camera, group = cameras[name], file.create_group(f"{layout.CALIBRATION}/cam{number}")
        model = camera.model
        group["T_c_b"] = _matrix(camera.from_rig)
        group["intrinsics"] = np.array([model.xi, *model.focal_px, *model.centre_px])
        group["resolution"] = np.array(model.size_px, dtype=np.int64)
    pair, group = cameras[layout.STEREO_CAMERAS[0]], file.create_group("calibration/cam01")
    (fx, fy), (cx, cy) = pair.model.focal_px, pair.model.centre_px
    group["K"] = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])
    group["T_c0_b"] = _matrix(pair.from_rig)


def _matrix(transform: Transform) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = transform.rotation, transform.translation
    return matrix


def _quaternion(rotation: np.ndarray) -> np.ndarray:
    """Return unit quaternions wxyz, shape (n, 4), without jumps of sign, of (n, 3, 3)."""
    r = rotation
    trace = np.trace(r, axis1=1, axis2=2)
    # four ways to the same quaternion, each scaled by its largest entry: the best one is safe
    ways = np.empty((len(r), 4, 4))
    ways[:, 0, 0] = 1 + trace
    ways[:, 0, 1:] = np.stack([r[:, 2, 1], r[:, 0, 2], r[:, 1, 0]], -1)
    ways[:, 0, 1:] -= np.stack([r[:, 1, 2], r[:, 2, 0], r[:, 0, 1]], -1)
    ways[:, 1:, 0] = ways[:, 0, 1:]
    ways[:, 1:, 1:] = r + np.swapaxes(r, 1, 2)
    for k in range(3):
        ways[:, 1 + k, 1 + k] += 1 - trace
    best = ways[np.arange(len(r)), np.einsum("nii->ni", ways).argmax(1)]
    quat = best / np.linalg.norm(best, axis=1, keepdims=True)
    flips = np.where((quat[1:] * quat[:-1]).sum(-1) < 0, -1.0, 1.0)
    sign = np.concatenate([[1.0], np.cumprod(flips)])
    return quat * sign[:, None]


def _write_metadata(file: h5py.File, scene: Scene, settings: StandinSettings) -> None:
    group = file.create_group("metadata")
    events = sound.sound_events(scene.plan.events, settings.fps, settings.duration_s)
    asked = settings.model_dump(mode="json", exclude={"workers", "script"})
    group["generator"] = GENERATOR
    group["settings"] = json.dumps(asked)
    group["sound_events"] = json.dumps(events)
    group["stereo_baseline_m"] = sensors.BASELINE_M
    group["depth_camera"] = layout.STEREO_CAMERAS[0]
    group["depth_kind"] = "distance along the optical axis"
    group["pixel_origin"] = "the image's corner: the middle of the first pixel is (0.5, 0.5)"
    group["gravity_m_s2"] = sensors.GRAVITY_M_S2
    group["floor_contacts"] = sensors.floor_contacts(scene)


def write_depth(path: Path, scene: Scene, settings: StandinSettings, tell: OnProgress) -> None:
    """Add depth and its confidence to an annotation file, frame by frame.

    Depth is the distance along the optical axis of the left stereo camera, with stereo's noise
    that grows with the square of the distance; 0 where it is out of range or at a depth edge.
    Confidence falls with distance and at edges.
    """
    camera = sensors.cameras(settings)[layout.STEREO_CAMERAS[0]]
    renderer = Renderer(camera.model.scaled(settings.depth_size_px), scene, settings.seed)
    poses = camera.from_rig @ scene.rig
    width, height = settings.depth_size_px
    shape = (settings.frames, height, width)
    rng = np.random.default_rng([settings.seed, 8])
    with h5py.File(path, "r+") as file:
        layouts = {"chunks": (1, height, width), "compression": "gzip", "compression_opts": 1}
        depth = file.create_dataset(layout.DEPTH, shape, np.float16, shuffle=True, **layouts)
        trust = file.create_dataset(layout.CONFIDENCE, shape, np.uint8, **layouts)
        file[layout.DEPTH_MIN] = np.float32(DEPTH_MIN_M)
        file[layout.DEPTH_MAX] = np.float32(DEPTH_MAX_M)
        file[layout.DEPTH_SCALE] = np.float32(1.0)
        for number in range(settings.frames):
            renderer.draw(number, poses[number])
            depth[number], trust[number] = _measured(renderer.depth_m, rng)
            done = number + 1
            if done == settings.frames or done % _STRIDE == 0:
                tell("depth", done, settings.frames)


def _measured(true_m: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return depth as a stereo pair would measure it and the confidence in it."""
    noise = rng.standard_normal(true_m.shape, dtype=np.float32)
    edge = np.zeros_like(true_m)  # the largest step to a neighbour
    down, across = np.abs(np.diff(true_m, axis=0)), np.abs(np.diff(true_m, axis=1))
    for side, step in (
        (edge[1:], down),
        (edge[:-1], down),
        (edge[:, 1:], across),
        (edge[:, :-1], across),
    ):
        np.maximum(side, step, out=side)
    depth = true_m + _DEPTH_NOISE * true_m**2 * noise
    trust = np.exp(-0.25 * true_m) / (1 + (edge / _EDGE_M) ** 2)
    good = (true_m > DEPTH_MIN_M) & (true_m < DEPTH_MAX_M) & (trust > 0.03)
    trust = np.where(good, 255 * trust, 0)
    return np.where(good, depth, 0).astype(np.float16), trust.astype(np.uint8)


# -- videos ------------------------------------------------------------------------------------


def encode_sound(samples: np.ndarray) -> bytes:
    """Return mono sound, float32 in [-1, 1] at 48 kHz, as AAC in an MP4.

    The container's edit list hides the encoder's start-up samples, so the first decoded sample is
    the first of ``samples``.
    """
    out = io.BytesIO()
    with av.open(out, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
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
    return out.getvalue()


def write_video(
    folder: Path,
    camera: sensors.Camera,
    scene: Scene,
    settings: StandinSettings,
    heard: Future[bytes],
    on_frame: Callable[[], None],
) -> None:
    """Draw and encode one camera's video, frame by frame, and copy its encoded sound into it.

    Equal arguments give equal bytes. ``on_frame`` is called after each frame.
    """
    renderer, poses = Renderer(camera.model, scene, settings.seed), camera.from_rig @ scene.rig
    rate = Fraction(settings.fps).limit_denominator(1001)
    options = {"fflags": "+bitexact", "movflags": "+faststart"}
    out = file_url(folder / f"{camera.name}.mp4")
    with (
        av.open(io.BytesIO(heard.result())) as source,
        av.open(out, "w", format="mp4", options=options) as container,
    ):
        video = video_stream(container, camera.model.size_px, rate)
        audio = container.add_stream_from_template(source.streams.audio[0])
        packets = [packet for packet in source.demux(source.streams.audio[0]) if packet.size]
        packets.reverse()
        for number in range(settings.frames):
            renderer.draw(number, poses[number])
            frame = av.VideoFrame.from_ndarray(renderer.rgb, format="rgb24")
            frame.pts, frame.time_base = number, 1 / rate
            container.mux(video.encode(frame))
            while packets and packets[-1].pts * packets[-1].time_base <= number / rate:
                _copy(packets.pop(), audio, container)
            on_frame()
        container.mux(video.encode(None))
        while packets:
            _copy(packets.pop(), audio, container)


def video_stream(
    container: av.container.OutputContainer, size_px: tuple[int, int], rate: Fraction
) -> av.VideoStream:
    """Return a new H.264 stream, whose bytes follow from its pictures alone."""
    video = container.add_stream("libx264", rate=rate, options=_VIDEO_OPTIONS)
    video.width, video.height = size_px
    video.pix_fmt = "yuv420p"
    video.codec_context.gop_size = _GOP
    video.codec_context.thread_count = 1
    video.codec_context.flags |= av.codec.context.Flags.bitexact
    return video


def _copy(packet: av.Packet, stream: av.AudioStream, container: av.container.OutputContainer):
    packet.stream = stream
    container.mux(packet)
