"""A tiny whole episode, written without the simulator, and the tools to plant faults in it."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import h5py
import numpy as np

FPS, SIZE_PX, SOUND_HZ = 20, (64, 48), 32_000
CAMERAS = (*(f"fisheye_cam{i}" for i in range(4)), "stereo_left", "stereo_right")
FIRST_NS, STEP_NS = 75_294_505_147_569, 50_000_000
DEPTH_SHAPE, DEPTH_CHUNK = (12, 16), 4
IMU_PER_FRAME, START_M = 5, np.array([1.0, 2.0, 0.5])


def frame_names(n_frames: int) -> list[str]:
    return [f"{FIRST_NS + index * STEP_NS}.jpg" for index in range(n_frames)]


def caption_document(names: list[str]) -> dict[str, Any]:
    """Two segments that cover every frame, an action each, objects and interaction now and then."""
    middle, last = len(names) // 2, len(names) - 1
    segments = []
    for number, (start, end) in enumerate([(0, middle - 1), (middle, last)]):
        action = {
            "label": f"Action {number}",
            "description": f"doing {number}",
            "start_frame_name": names[start],
            "end_frame_name": names[end],
        }
        segments.append(
            {
                "Sub Task": f"Step {number}",
                "start_frame": names[start],
                "end_frame": names[end],
                "Current Action": [action],
                "objects": {names[start]: ["cup", "kettle"], names[(start + end) // 2]: ["lid"]},
                "interaction": {names[start]: f"Hand on cup {number}"},
            }
        )
    return {"config": {"Main Task": "Making tea"}, "segments": segments}


def arrays(n_frames: int, seed: int = 0) -> dict[str, Any]:
    """Return every dataset of the layout but the long ones, `depth/depth` and `confidence`."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(n_frames) / FPS
    angle = 0.3 * np.sin(time_s)
    zero = np.zeros(n_frames)
    n_samples = IMU_PER_FRAME * n_frames
    names = frame_names(n_frames)
    steps_m = rng.normal(0, 0.01, (n_frames, 52, 3))
    body = np.cumsum(steps_m, axis=0) + rng.normal(0, 0.15, (52, 3))  # as wide as a person
    found = {
        "slam/frame_names": np.array(names, dtype="S32"),
        "slam/quat_wxyz": np.stack([np.cos(angle), zero, np.sin(angle), zero], axis=1),
        "slam/trans_xyz": np.cumsum(rng.normal(0, 0.01, (n_frames, 3)), axis=0) + START_M,
        "slam/point_cloud": rng.normal(0, 2, (50, 3)).astype(np.float32),
        "hand_mocap/left_joints_3d": body[:, 20:41] + 0.1,
        "hand_mocap/right_joints_3d": body[:, 31:52] - 0.1,
        "full_body_mocap/keypoints": body,
        "full_body_mocap/contacts": (rng.random((n_frames, 21)) > 0.8).astype(np.float32),
        "imu/device_timestamp_ns": FIRST_NS + np.arange(n_samples) * (STEP_NS // IMU_PER_FRAME),
        "imu/accel_xyz": rng.normal((0, 0, 9.8), 1, (n_samples, 3)),
        "imu/gyro_xyz": rng.normal(0, 0.2, (n_samples, 3)),
        "imu/keyframe_indices": np.arange(n_frames) * IMU_PER_FRAME,
        "depth/depth_min": np.float32(0),
        "depth/depth_max": np.float32(5),
        "video/device_timestamp": FIRST_NS + np.arange(n_frames) * STEP_NS,
        "caption": json.dumps(caption_document(names)).encode(),
    }
    pose = np.eye(4)
    pose[:3, 3] = (0.05, -0.02, 0.01)
    for number in range(4):
        found[f"calibration/cam{number}/T_c_b"] = pose
        found[f"calibration/cam{number}/intrinsics"] = [1.2, 30.0, 30.0, 32.0, 24.0]
        found[f"calibration/cam{number}/resolution"] = list(SIZE_PX)
        found[f"calibration/cam{number}/model"] = b"omni"
    found["calibration/cam01/K"] = [[30.0, 0, 32], [0, 30, 24], [0, 0, 1]]
    found["calibration/cam01/T_c0_b"] = pose
    return found


def depth_maps(start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """Return depth in metres and its confidence; some pixels hold none."""
    height, width = DEPTH_SHAPE
    place = np.arange(height * width).reshape(1, height, width)
    frame = np.arange(start, stop).reshape(-1, 1, 1)
    depth_m = 0.5 + ((7 * place + 3 * frame) % 101) / 25
    depth_m[(place + frame) % 9 == 0] = 0
    return depth_m.astype(np.float16), ((5 * place + frame) % 256).astype(np.uint8)


def write_annotation(path: Path, n_frames: int) -> None:
    with h5py.File(path, "w") as file:
        for name, value in arrays(n_frames).items():
            file[name] = value
        chunk = (DEPTH_CHUNK, *DEPTH_SHAPE)
        shape = (n_frames, *DEPTH_SHAPE)
        kept = {"shape": shape, "chunks": chunk, "compression": "gzip", "compression_opts": 1}
        depth = file.create_dataset("depth/depth", dtype="f2", **kept)
        sure = file.create_dataset("depth/confidence", dtype="u1", **kept)
        for start in range(0, n_frames, 1000):
            stop = min(start + 1000, n_frames)
            depth[start:stop], sure[start:stop] = depth_maps(start, stop)


def picture(index: int, seed: int) -> np.ndarray:
    """Return a picture that differs from its neighbours, uint8 (height, width, 3)."""
    width, height = SIZE_PX
    y, x = np.mgrid[:height, :width]
    red, green = (3 * x + 5 * index + 40 * seed) % 256, (5 * y + 2 * index) % 256
    return np.stack([red, green, (x + y + 9 * index) % 256], axis=-1).astype(np.uint8)


def write_video(
    path: Path,
    n_frames: int,
    *,
    seed: int = 0,
    fps: int = FPS,
    sound_s: float | None = None,
    faststart: bool = False,
) -> None:
    """Write H.264, with AAC sound of some length; the index last, or first with ``faststart``."""
    options = {"movflags": "faststart"} if faststart else {}
    with av.open(str(path), "w", options=options) as container:
        video = container.add_stream(
            "libx264", rate=fps, options={"preset": "ultrafast", "crf": "20", "threads": "1"}
        )
        (video.width, video.height), video.pix_fmt = SIZE_PX, "yuv420p"
        sound = container.add_stream("aac", rate=SOUND_HZ, layout="mono") if sound_s else None
        for index in range(n_frames):
            frame = av.VideoFrame.from_ndarray(picture(index, seed), format="rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if sound:
            write_sound(container, sound, sound_s)


def write_sound(container: Any, stream: Any, length_s: float) -> None:
    time_s = np.arange(round(length_s * SOUND_HZ)) / SOUND_HZ
    tone = (
        0.3 * np.sin(2 * np.pi * 440 * time_s * (1 + 0.1 * time_s)) * (1 + np.sin(7 * time_s)) / 2
    )
    frame = av.AudioFrame.from_ndarray(tone.astype(np.float32)[None], format="fltp", layout="mono")
    frame.sample_rate, frame.time_base = SOUND_HZ, Fraction(1, SOUND_HZ)
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def write_episode(folder: Path, n_frames: int) -> Path:
    folder.mkdir(parents=True)
    write_annotation(folder / "annotation.hdf5", n_frames)
    for seed, camera in enumerate(CAMERAS):
        sound_s = n_frames / FPS if camera == "fisheye_cam0" else None
        write_video(folder / f"{camera}.mp4", n_frames, seed=seed, sound_s=sound_s)
    return folder


def get(folder: Path, name: str) -> np.ndarray:
    with h5py.File(folder / "annotation.hdf5") as file:
        return file[name][()]


def put(folder: Path, **values: Any) -> None:
    """Replace datasets or groups, ``__`` for ``/`` in their names; None deletes."""
    with h5py.File(folder / "annotation.hdf5", "r+") as file:
        for name, value in values.items():
            path = name.replace("__", "/")
            if path in file:
                del file[path]
            if value is not None:
                file[path] = value


def put_captions(folder: Path, captions: Any) -> None:
    put(folder, caption=captions if isinstance(captions, str | bytes) else json.dumps(captions))


def damage_chunk(folder: Path, name: str, number: int) -> None:
    """Overwrite one stored chunk, so that the file opens but those rows cannot be read."""
    path = folder / "annotation.hdf5"
    with h5py.File(path) as file:
        chunk = file[name].id.get_chunk_info(number)
    with path.open("r+b") as raw:
        raw.seek(chunk.byte_offset)
        raw.write(b"\xff" * chunk.size)


def cut(path: Path, share: float) -> None:
    """Keep only the first part of a file."""
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
