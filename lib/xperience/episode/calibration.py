"""The calibration group: numbers as the contract flattens them, and cameras to project with."""

from dataclasses import dataclass

import h5py
import numpy as np

from xperience.episode import layout
from xperience.geometry import RIG, CameraModel, Transform


@dataclass(frozen=True)
class Calibration:
    """The cameras of an episode.

    Parameters
    ----------
    numbers : dict of {camera key: {entry: float array, flat}}
        Every numeric entry, cameras and entries sorted; what is not numeric is left out.
    reference_from_rig : Transform
        From the rig to the reference camera, the one that poses and hands are given in:
        ``cam01/T_c0_b`` where it is there, else the rig itself.
    stereo_baseline_m : float or None
        Distance between the stereo cameras, which look the same way; None if nobody says.
    """

    numbers: dict[str, dict[str, np.ndarray]]
    reference_from_rig: Transform
    stereo_baseline_m: float | None = None

    rig = RIG

    @classmethod
    def read(cls, group: h5py.Group, stereo_baseline_m: float | None = None) -> "Calibration":
        """Return the calibration of an episode's ``calibration`` group."""
        numbers: dict[str, dict[str, np.ndarray]] = {}
        for camera in sorted(group):
            entries: dict[str, np.ndarray] = {}
            _collect(group[camera], "", entries)
            numbers[camera] = {key: entries[key] for key in sorted(entries)}
        matrix = _matrix(numbers.get("cam01", {}).get("T_c0_b"))
        if matrix is None:
            reference = Transform(np.eye(3), np.zeros(3), RIG, RIG)
        else:
            reference = Transform.from_matrix(matrix, RIG, layout.FISHEYE_CAMERAS[0])
        return cls(numbers, reference, stereo_baseline_m)

    @property
    def vector(self) -> np.ndarray:
        """Every number in one vector, in the contract's order."""
        parts = [values for entries in self.numbers.values() for values in entries.values()]
        return np.concatenate(parts) if parts else np.zeros(0)

    def model(self, camera: str) -> CameraModel | None:
        """Return how a camera projects, or None if its calibration does not say.

        Notes
        -----
        Fisheye cameras: ``cam<i>/intrinsics`` = xi, fx, fy, cx, cy with ``resolution``. The stereo
        pair shares ``cam01/K``, which holds no image size: its principal point is taken as the
        middle of the image.
        """
        if camera in layout.STEREO_CAMERAS:
            k = self.numbers.get("cam01", {}).get("K")
            if k is None or k.size != 9:
                return None
            k = k.reshape(3, 3)
            size = (round(2 * k[0, 2]), round(2 * k[1, 2]))
            return CameraModel((k[0, 0], k[1, 1]), (k[0, 2], k[1, 2]), size)
        entries = self.numbers.get(_key(camera), {})
        intrinsics, resolution = entries.get("intrinsics"), entries.get("resolution")
        if intrinsics is None or intrinsics.size != 5 or resolution is None:
            return None
        xi, fx, fy, cx, cy = intrinsics
        size = (int(resolution[0]), int(resolution[1]))
        return CameraModel((fx, fy), (cx, cy), size, xi)

    def camera_from_rig(self, camera: str) -> Transform | None:
        """Return where a camera sits on the rig, or None if its calibration does not say.

        Notes
        -----
        Fisheye cameras: ``T_c_b``, or a chain of ``T_cn_cnm1`` from the camera before. The stereo
        pair: ``cam01/T_c0_b`` for the left one; the right one is the baseline further along x. The
        release does not hold the baseline; a recording may say it in ``metadata``.
        """
        left, right = layout.STEREO_CAMERAS
        if camera in (left, right):
            matrix = _matrix(self.numbers.get("cam01", {}).get("T_c0_b"))
            if camera == right and matrix is not None:
                matrix = self._shifted(matrix)
        elif camera in layout.FISHEYE_CAMERAS:
            matrix = self._chain(layout.FISHEYE_CAMERAS.index(camera))
        else:
            matrix = None
        return None if matrix is None else Transform.from_matrix(matrix, RIG, camera)

    def _shifted(self, matrix: np.ndarray) -> np.ndarray | None:
        if self.stereo_baseline_m is None:
            return None
        shift = np.eye(4)
        shift[0, 3] = -self.stereo_baseline_m
        return shift @ matrix

    def _chain(self, number: int) -> np.ndarray | None:
        entries = self.numbers.get(f"cam{number}", {})
        direct = _matrix(entries.get("T_c_b"))
        if direct is not None or number == 0:
            return direct
        step, before = _matrix(entries.get("T_cn_cnm1")), self._chain(number - 1)
        return None if step is None or before is None else step @ before


def _key(camera: str) -> str:
    return camera.removeprefix("fisheye_")


def _matrix(values: np.ndarray | None) -> np.ndarray | None:
    ok = values is not None and values.size == 16 and np.isfinite(values).all()
    return values.reshape(4, 4) if ok else None


def _collect(node: h5py.Group | h5py.Dataset, key: str, into: dict[str, np.ndarray]) -> None:
    if isinstance(node, h5py.Group):
        for name in node:
            _collect(node[name], f"{key}/{name}".lstrip("/"), into)
    elif isinstance(node, h5py.Dataset) and node.shape is not None and node.dtype.kind in "fiub":
        into[key] = np.asarray(node[()], dtype=np.float64).reshape(-1)
