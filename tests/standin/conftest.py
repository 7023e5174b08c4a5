"""One small simulated episode for all tests of this folder."""

from dataclasses import dataclass
from pathlib import Path

import av
import h5py
import numpy as np
import pytest

from xperience.standin.scene import Scene, build_scene
from xperience.standin.settings import StandinSettings
from xperience.standin.write import write_episode


@dataclass(frozen=True)
class Small:
    folder: Path
    settings: StandinSettings
    scene: Scene
    arrays: dict[str, np.ndarray]

    def __getitem__(self, path: str) -> np.ndarray:
        return self.arrays[path]

    def frames(self, camera: str) -> np.ndarray:
        with av.open(str(self.folder / f"{camera}.mp4")) as container:
            return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])

    def sound(self, camera: str = "fisheye_cam0") -> np.ndarray:
        with av.open(str(self.folder / f"{camera}.mp4")) as container:
            blocks = [f.to_ndarray()[0] for f in container.decode(audio=0)]
        return np.concatenate(blocks)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return every dataset of a file."""
    arrays = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, node: (
                arrays.update({name: node[()]}) if isinstance(node, h5py.Dataset) else None
            )
        )
    return arrays


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    settings = StandinSettings(frames=400, size_px=(96, 72))
    folder = tmp_path_factory.mktemp("simulator") / "ep"
    write_episode(folder, settings)
    arrays = read_arrays(folder / "annotation.hdf5")
    return Small(folder, settings, build_scene(settings), arrays)


@pytest.fixture(scope="session")
def full_scene() -> Scene:
    """The default episode's scene: no pictures, so a fraction of a second."""
    return build_scene(StandinSettings())
