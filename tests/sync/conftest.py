"""Short simulated recordings with one camera, and copies of them whose clocks were moved."""

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import h5py
import numpy as np
import pytest

from xperience.recording import layout
from xperience.standin import annotation, sensors, video
from xperience.standin.picture import Gallery
from xperience.standin.scene import Scene, build_scene
from xperience.standin.settings import StandinSettings
from xperience.standin.sound import soundtrack

CAMERA = layout.AUDIO_CAMERA


@dataclass(frozen=True)
class Recording:
    """A recording without depth and with one camera; the audit reads nothing else."""

    folder: Path
    settings: StandinSettings
    scene: Scene

    def with_knobs(self, folder: Path, **knobs: Any) -> Path:
        """Write the same recording again, its sound and its inertial stamps moved; return it."""
        settings = self.settings.model_copy(update=knobs)
        folder.mkdir()
        shutil.copy(self.folder / layout.ANNOTATION, folder)
        samples = sensors.inertial(self.scene, settings)
        with h5py.File(folder / layout.ANNOTATION, "r+") as file:
            file[layout.IMU_STAMPS][...] = samples.stamp_ns
            file[layout.IMU_KEYFRAMES][...] = samples.keyframe
        sound = folder / "sound.m4a"
        video.encode_sound(soundtrack(self.scene.plan.events, settings), sound)
        join(self.folder / f"{CAMERA}.mp4", sound, folder / f"{CAMERA}.mp4")
        sound.unlink()
        return folder


def join(pictures: Path, sound: Path | None, out: Path) -> None:
    """Copy the pictures of one file and the sound of another into a third."""
    with ExitStack() as stack:
        container = stack.enter_context(av.open(str(out), "w", format="mp4"))
        sources = [stack.enter_context(av.open(str(path))) for path in (pictures, sound) if path]
        streams = [
            getattr(source.streams, kind)[0]
            for source, kind in zip(sources, ("video", "audio"), strict=False)
        ]
        # every stream must be known before the first packet
        targets = [container.add_stream_from_template(stream) for stream in streams]
        for source, stream, target in zip(sources, streams, targets, strict=True):
            for packet in source.demux(stream):
                if packet.size:
                    packet.stream = target
                    container.mux(packet)


def record(folder: Path, n_frames: int, size_px: tuple[int, int]) -> Recording:
    """Write a recording whose clocks agree."""
    settings = StandinSettings(frames=n_frames, size_px=size_px)
    scene = build_scene(settings)
    folder.mkdir()
    gallery = folder / "gallery"
    gallery.mkdir()
    Gallery.of(scene.solids, settings.seed).save(gallery)
    annotation.write_annotation(folder / layout.ANNOTATION, scene, settings, None)
    sound = gallery / "sound.mp4"
    video.encode_sound(soundtrack(scene.plan.events, settings), sound)
    camera = sensors.cameras(settings)[CAMERA]
    pose = camera.from_rig @ sensors.rig_from_world(*scene.wearer.rig(scene.time_s))
    turn = np.ascontiguousarray(pose.rotation)
    job = video.VideoJob(
        folder / f"{CAMERA}.mp4", camera.model, turn, pose.translation, gallery, sound, settings.fps
    )
    video.write_video(job)
    shutil.rmtree(gallery)
    return Recording(folder, settings, scene)


@pytest.fixture(scope="session")
def short(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """Half a minute whose clocks agree."""
    return record(tmp_path_factory.mktemp("sync") / "ep", 600, (96, 72))


@pytest.fixture(scope="session")
def long(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """The default recording, nearly five minutes, in small pictures."""
    return record(tmp_path_factory.mktemp("sync") / "ep", 5821, (96, 72))


@pytest.fixture
def copied(short: Recording, tmp_path: Path) -> Callable[[], Path]:
    """Return a function that copies the short recording, to plant faults in it."""
    return lambda: Path(shutil.copytree(short.folder, tmp_path / "ep"))
