"""The annotation file of a simulated episode."""

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from xperience.recording import layout
from xperience.recording.geometry import Points, Transform
from xperience.standin import sensors, sound
from xperience.standin.motion import quaternion_from_rotation
from xperience.standin.picture import Gallery, Picture
from xperience.standin.scene import Scene
from xperience.standin.script import captions, load_script
from xperience.standin.settings import StandinSettings

DEPTH_MIN_M, DEPTH_MAX_M = 0.2, 4.0
GENERATOR = "xperience.standin"
_DEPTH_NOISE = 0.004  # of the depth squared, as stereo has it
_EDGE_M = 0.04

Progress = Callable[[int, int], None]


def write_annotation(path: Path, scene: Scene, settings: StandinSettings, gallery: Gallery) -> None:
    """Write everything but depth; equal settings give equal arrays.

    Parameters
    ----------
    path : Path
        A new file.
    scene : Scene
    settings : StandinSettings
    gallery : Gallery
        What the pictures are drawn from.

    Notes
    -----
    Hands are in the axes of camera 0 of ``cam01`` (which is fisheye camera 0), bodies in world
    axes. Poses lead from world to rig; the rig is the inertial unit: x ahead, y left, z up.
    """
    stamps = sensors.frame_stamps_ns(settings.frames, settings.fps)
    names = [f"{stamp}.jpg" for stamp in stamps]
    document = captions(load_script(settings.script), names)
    with h5py.File(path, "w") as file:
        _write_poses(file, scene, settings, names)
        _write_calibration(file, settings)
        _write_body(file, scene, settings)
        samples = sensors.inertial(scene, settings)
        file[layout.IMU_STAMPS], file[layout.IMU_KEYFRAMES] = samples.stamp_ns, samples.keyframe
        file[layout.IMU_ACCEL], file[layout.IMU_GYRO] = samples.accel, samples.gyro
        file[layout.VIDEO_STAMPS] = stamps
        file[layout.VIDEO_NUMBERS] = np.arange(settings.frames)
        file[layout.CAPTION_KEYS[0]] = json.dumps(document, ensure_ascii=False).encode()
        _write_metadata(file, scene, settings)


def _write_poses(file: h5py.File, scene: Scene, settings: StandinSettings, names: list) -> None:
    pose = sensors.rig_from_world(*scene.wearer.rig(scene.time_s))
    file[layout.FRAME_NAMES] = np.array([name.encode() for name in names], dtype="S32")
    file[layout.QUATERNION] = quaternion_from_rotation(pose.rotation)
    file[layout.TRANSLATION] = pose.translation
    file[layout.POINT_CLOUD] = sensors.sparse_map(scene, settings.seed)


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


def _write_body(file: h5py.File, scene: Scene, settings: StandinSettings) -> None:
    camera = sensors.cameras(settings)[layout.STEREO_CAMERAS[0]]
    pose = sensors.rig_from_world(*scene.wearer.rig(scene.time_s))
    to_camera = camera.from_rig @ pose
    for path, side in ((layout.HAND_LEFT, "left"), (layout.HAND_RIGHT, "right")):
        file[path] = to_camera(Points(scene.hands[side], "world")).xyz
    file[layout.KEYPOINTS] = scene.body
    file[layout.CONTACTS] = sensors.contacts(scene)


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


def write_depth(
    path: Path, scene: Scene, settings: StandinSettings, gallery: Gallery, on_frame: Progress
) -> None:
    """Add depth and its confidence to an annotation file, frame by frame.

    Depth is the distance along the optical axis of the left stereo camera, with stereo's noise
    that grows with the square of the distance; 0 where it is out of range or at a depth edge.
    Confidence falls with distance and at edges.
    """
    camera = sensors.cameras(settings)[layout.STEREO_CAMERAS[0]]
    picture = Picture(camera.model.scaled(settings.depth_size_px), gallery)
    poses = camera.from_rig @ sensors.rig_from_world(*scene.wearer.rig(scene.time_s))
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
            pose = Transform(
                poses.rotation[number], poses.translation[number], "world", camera.name
            )
            picture.draw(number, pose)
            depth[number], trust[number] = _measured(picture.depth_m, rng)
            on_frame(number + 1, settings.frames)


def _measured(true_m: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return depth as a stereo pair would measure it and the confidence in it."""
    noise = rng.standard_normal(true_m.shape, dtype=np.float32)
    edge = np.zeros_like(true_m)
    for axis in (0, 1):
        step = np.abs(np.diff(true_m, axis=axis))
        edge[1:] = np.maximum(edge[1:], step) if axis == 0 else edge[1:]
        edge[:-1] = np.maximum(edge[:-1], step) if axis == 0 else edge[:-1]
        if axis == 1:
            edge[:, 1:] = np.maximum(edge[:, 1:], step)
            edge[:, :-1] = np.maximum(edge[:, :-1], step)
    depth = true_m + _DEPTH_NOISE * true_m**2 * noise
    trust = np.exp(-0.25 * true_m) / (1 + (edge / _EDGE_M) ** 2)
    good = (true_m > DEPTH_MIN_M) & (true_m < DEPTH_MAX_M) & (trust > 0.03)
    trust = np.where(good, 255 * trust, 0)
    return np.where(good, depth, 0).astype(np.float16), trust.astype(np.uint8)
