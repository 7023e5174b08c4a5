"""One small simulated episode for all tests of this folder, and the default one's scene."""

import json
from dataclasses import dataclass
from pathlib import Path

import av
import h5py
import numpy as np
import pytest

from xperience.standin.scene import Scene, build_scene
from xperience.standin.settings import StandinSettings

SMALL = {"frames": 600, "size_px": (64, 48)}


@dataclass(frozen=True)
class Small:
    folder: Path
    settings: StandinSettings
    scene: Scene
    arrays: dict[str, np.ndarray]

    def __getitem__(self, path: str) -> np.ndarray:
        return self.arrays[path]

    @property
    def sound_events(self) -> list[dict]:
        return json.loads(self["metadata/sound_events"])

    def frames(self, camera: str) -> np.ndarray:
        with av.open(str(self.folder / f"{camera}.mp4")) as container:
            return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])

    def sound(self, camera: str = "fisheye_cam0") -> np.ndarray:
        with av.open(str(self.folder / f"{camera}.mp4")) as container:
            return np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])


@pytest.fixture(scope="session")
def small(simulated) -> Small:
    folder, arrays = simulated(**SMALL), {}

    def read(name: str, node: h5py.Group | h5py.Dataset) -> None:
        if isinstance(node, h5py.Dataset):
            arrays[name] = node[()]

    with h5py.File(folder / "annotation.hdf5") as file:
        file.visititems(read)
    settings = StandinSettings(**SMALL)
    return Small(folder, settings, build_scene(settings), arrays)


@pytest.fixture(scope="session")
def full_scene() -> Scene:
    """The default episode's scene: no pictures, so a fraction of a second."""
    return build_scene(StandinSettings())
