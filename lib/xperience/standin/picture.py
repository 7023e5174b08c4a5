"""Pictures of a scene: what the ray caster needs, prepared once, and one call a frame."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from xperience.recording.geometry import CameraModel, Transform
from xperience.standin import raycast
from xperience.standin.kitchen import KITCHEN

if TYPE_CHECKING:
    from xperience.standin.scene import Solids

_FADE_RAD = 1.45  # no lens of the rig sees further from its axis than this


@dataclass(frozen=True)
class Gallery:
    """Solids as flat arrays that can be stored and shared between processes.

    Parameters
    ----------
    kind : int array, shape (n,)
    looks : float32 array, shape (n, 7)
        Colour, inner colour, texture.
    shadows : int array, shape (s,)
        Solids that throw shadows on the table.
    geometry : float32 array, shape (n_frames, n, 8)
    wall : float32 array, shape (3,)
    """

    kind: np.ndarray
    looks: np.ndarray
    shadows: np.ndarray
    geometry: np.ndarray
    wall: np.ndarray

    @classmethod
    def of(cls, solids: "Solids", seed: int) -> "Gallery":
        """Return the gallery of a scene's solids; the seed paints the walls."""
        texture = solids.texture[:, None].astype(np.float32)
        looks = np.concatenate([solids.colour, solids.inner, texture], axis=1)
        owners = {*KITCHEN, "left_hand", "right_hand", "sleeve", "arm"}
        shadows = np.array([k for k, owner in enumerate(solids.owner) if owner in owners])
        rng = np.random.default_rng([seed, 5])
        wall = np.array([0.80, 0.77, 0.70]) + rng.uniform(-0.08, 0.08, 3)
        return cls(solids.kind, looks, shadows, solids.geometry, wall.astype(np.float32))

    def save(self, folder: Path) -> None:
        """Write the arrays into a folder, for `load` in another process."""
        for name in ("kind", "looks", "shadows", "geometry", "wall"):
            np.save(folder / f"{name}.npy", getattr(self, name))

    @classmethod
    def load(cls, folder: Path) -> "Gallery":
        """Return what `save` wrote; the geometry stays on disk until it is read."""
        names = ("kind", "looks", "shadows")
        kind, looks, shadows = (np.load(folder / f"{name}.npy") for name in names)
        geometry = np.load(folder / "geometry.npy", mmap_mode="r")
        return cls(kind, looks, shadows, geometry, np.load(folder / "wall.npy"))


class Picture:
    """Draws one camera's pictures, frame by frame, into its own buffers.

    Parameters
    ----------
    model : CameraModel
        At the size to draw.
    gallery : Gallery
    """

    def __init__(self, model: CameraModel, gallery: Gallery):
        self.gallery = gallery
        width, height = model.size_px
        v, u = np.mgrid[:height, :width]
        rays = model.rays(np.stack([u, v], axis=-1) + 0.5)
        rays[rays[..., 2] < np.cos(_FADE_RAD)] = np.nan
        self.rays = rays.astype(np.float32)
        self.cones = _tile_cones(self.rays)
        self.rgb = np.zeros((height, width, 3), dtype=np.uint8)
        self.depth_m = np.zeros((height, width), dtype=np.float32)
        self.hits = np.zeros((height, width), dtype=np.int16)

    def draw(self, frame: int, to_camera: Transform) -> None:
        """Draw a frame, seen from the place that the world-to-camera transform says."""
        back = to_camera.inverse()
        raycast.cast(
            self.rays,
            self.cones,
            back.translation.astype(np.float32),
            np.ascontiguousarray(back.rotation, dtype=np.float32),
            self.gallery.kind,
            np.array(self.gallery.geometry[frame]),
            self.gallery.looks,
            self.gallery.shadows,
            self.gallery.wall,
            self.rgb,
            self.depth_m,
            self.hits,
        )


def _tile_cones(rays: np.ndarray) -> np.ndarray:
    height, width = rays.shape[:2]
    size = raycast.TILE
    cones = np.zeros((-(-height // size), -(-width // size), 4), dtype=np.float32)
    for row in range(cones.shape[0]):
        for col in range(cones.shape[1]):
            tile = rays[row * size : (row + 1) * size, col * size : (col + 1) * size].reshape(-1, 3)
            tile = tile[np.isfinite(tile[:, 0])]
            if len(tile):
                middle = tile.mean(0) / np.linalg.norm(tile.mean(0))
                spread = np.arccos(np.clip((tile @ middle).min(), -1, 1))
                cones[row, col] = *middle, spread + 1e-3
    return cones
