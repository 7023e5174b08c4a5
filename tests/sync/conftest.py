"""A short simulated recording, and copies of it whose clocks were moved."""

import io
import shutil
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import h5py
import numpy as np
import pytest

from xperience.recording import layout
from xperience.standin import sensors, write
from xperience.standin.scene import Scene, build_scene
from xperience.standin.settings import StandinSettings
from xperience.standin.sound import soundtrack

CAMERA = layout.AUDIO_CAMERA
SHORT = {"frames": 600, "size_px": (64, 48)}  # shared with the simulator's tests


@dataclass(frozen=True)
class MadeRecording:
    """A recording whose clocks agree."""

    folder: Path
    settings: StandinSettings
    scene: Scene

    def with_knobs(self, folder: Path, **knobs: Any) -> Path:
        """Write it again with one camera, its sound and its inertial stamps moved."""
        settings = self.settings.model_copy(update=knobs)
        folder.mkdir()
        shutil.copy(self.folder / layout.ANNOTATION, folder)
        samples = sensors.inertial(self.scene, settings)
        with h5py.File(folder / layout.ANNOTATION, "r+") as file:
            for path in (layout.IMU_STAMPS, layout.IMU_KEYFRAMES):
                file[path][...] = samples[path]
        sound = soundtrack(self.scene.plan.events, settings)
        join(self.folder / f"{CAMERA}.mp4", sound, folder / f"{CAMERA}.mp4")
        return folder


def join(pictures: Path, sound: Any, out: Path) -> None:
    """Copy the pictures of a file, and sound (samples, or None) if there is some, into another."""
    with av.open(str(pictures)) as seen, av.open(str(out), "w", format="mp4") as container:
        sources = [(seen, seen.streams.video[0])]
        if sound is not None:
            coded = av.open(io.BytesIO(write.encode_sound(np.float32(sound))))
            sources.append((coded, coded.streams.audio[0]))
        # every stream must be known before the first packet
        targets = [container.add_stream_from_template(stream) for _, stream in sources]
        for (source, stream), target in zip(sources, targets, strict=True):
            for packet in source.demux(stream):
                if packet.size:
                    packet.stream = target
                    container.mux(packet)


@pytest.fixture(scope="session")
def short(simulated: Callable[..., Path]) -> MadeRecording:
    """Half a minute whose clocks agree."""
    settings = StandinSettings(**SHORT)
    return MadeRecording(simulated(**SHORT), settings, build_scene(settings))


@pytest.fixture(scope="session")
def long(tmp_path_factory: pytest.TempPathFactory) -> MadeRecording:
    """Two minutes in small pictures: one camera, no depth."""
    settings = StandinSettings(frames=2400, size_px=(96, 72))
    scene, folder = build_scene(settings), tmp_path_factory.mktemp("long")
    write.write_annotation(folder / layout.ANNOTATION, scene, settings)
    heard: Future[bytes] = Future()
    heard.set_result(write.encode_sound(soundtrack(scene.plan.events, settings)))
    camera = sensors.cameras(settings)[CAMERA]
    write.write_video(folder, camera, scene, settings, heard, lambda: None)
    return MadeRecording(folder, settings, scene)


@pytest.fixture
def copied(short: MadeRecording, tmp_path: Path) -> Callable[[], Path]:
    """Return a function that copies what the audit reads of the short recording, to change it."""

    def copy() -> Path:
        folder = tmp_path / "ep"
        folder.mkdir()
        for name in (layout.ANNOTATION, f"{CAMERA}.mp4"):
            shutil.copy(short.folder / name, folder)
        return folder

    return copy
