"""The calibration group: numbers as the contract flattens them, and cameras to project with."""

from dataclasses import dataclass

import h5py
import numpy as np

from xperience.recording import layout
from xperience.recording.geometry import RIG, CameraModel, Transform
from xperience.recording.plausible import FOCAL_PX, rigid_fault


@dataclass(frozen=True)
class Calibration:
    """The cameras of an episode.

    ``numbers`` holds every numeric entry of each camera, flat; cameras and entries are sorted. The
    reference camera, the one that poses and hands are given in, is that of ``cam01/T_c0_b`` where
    it is there, else the rig itself.
    """

    numbers: dict[str, dict[str, np.ndarray]]
    reference_from_rig: Transform
    stereo_baseline_m: float | None = None  # between the stereo cameras; None if nobody says

    @classmethod
    def read(cls, group: h5py.Group, stereo_baseline_m: float | None = None) -> "Calibration":
        """Return what an episode's ``calibration`` group says."""
        numbers: dict[str, dict[str, np.ndarray]] = {}
        for camera in sorted(group):
            entries: dict[str, np.ndarray] = {}
            _collect(group[camera], "", entries)
            numbers[camera] = {key: entries[key] for key in sorted(entries)}
        matrix = numbers.get("cam01", {}).get("T_c0_b", np.zeros(0))
        reference = Transform(np.eye(3), np.zeros(3), RIG, RIG)
        if matrix.size == 16 and np.isfinite(matrix).all():
            reference = Transform.from_matrix(matrix.reshape(4, 4), RIG, layout.FISHEYE_CAMERAS[0])
        return cls(numbers, reference, stereo_baseline_m)

    @property
    def reference_fault(self) -> str:
        """Why ``cam01/T_c0_b`` cannot lead to the reference camera; "" if it can or is absent."""
        matrix = self.numbers.get("cam01", {}).get("T_c0_b")
        return "" if matrix is None else rigid_fault(matrix)

    @property
    def faults(self) -> dict[str, tuple[str, str]]:
        """What cannot be and what should, by entry: motions not rigid, lenses without focus."""
        found = {}
        for camera, entries in self.numbers.items():
            for key in entries.keys() & _CHECKS.keys():
                check, expected = _CHECKS[key]
                if fault := check(entries[key]):
                    found[f"{camera}/{key}"] = fault, expected
        return dict(sorted(found.items()))

    @property
    def vector(self) -> np.ndarray:
        """Every number in one vector, in the contract's order."""
        parts = [values for entries in self.numbers.values() for values in entries.values()]
        return np.concatenate(parts) if parts else np.zeros(0)

    def model(self, camera: str) -> CameraModel | None:
        """Return how a camera projects, or None if its calibration does not say.

        Fisheye cameras: ``cam<i>/intrinsics`` = xi, fx, fy, cx, cy with ``resolution``. The stereo
        pair shares ``cam01/K``, which holds no image size: its principal point is taken as the
        middle of the image.
        """
        if camera in layout.STEREO_CAMERAS:
            k = self.numbers.get("cam01", {}).get("K")
            if k is None or k.size != 9 or _lens_fault(k):
                return None
            k = k.reshape(3, 3)
            size = (round(2 * k[0, 2]), round(2 * k[1, 2]))
            return CameraModel((k[0, 0], k[1, 1]), (k[0, 2], k[1, 2]), size)
        entries = self.numbers.get(camera.removeprefix("fisheye_"), {})
        intrinsics, resolution = entries.get("intrinsics"), entries.get("resolution")
        if intrinsics is None or resolution is None:
            return None
        if intrinsics.size != 5 or _lens_fault(intrinsics) or _size_fault(resolution):
            return None
        xi, fx, fy, cx, cy = intrinsics
        size = (int(resolution[0]), int(resolution[1]))
        return CameraModel((fx, fy), (cx, cy), size, xi)

    def camera_from_rig(self, camera: str) -> Transform | None:
        """Return where a camera sits on the rig, or None if its calibration does not say.

        Fisheye cameras: ``T_c_b``, or a chain of ``T_cn_cnm1`` from the camera before. The stereo
        pair: ``cam01/T_c0_b`` for the left one; the right one is the baseline further along x. The
        release does not hold the baseline; a recording may say it in ``metadata``.
        """
        left, right = layout.STEREO_CAMERAS
        if camera in (left, right):
            matrix = _rigid(self.numbers.get("cam01", {}).get("T_c0_b"))
            if camera == right and matrix is not None:
                shift = np.eye(4)
                shift[0, 3] = -(self.stereo_baseline_m or 0)
                matrix = None if self.stereo_baseline_m is None else shift @ matrix
        elif camera in layout.FISHEYE_CAMERAS:
            matrix = self._chain(layout.FISHEYE_CAMERAS.index(camera))
        else:
            matrix = None
        return None if matrix is None else Transform.from_matrix(matrix, RIG, camera)

    def _chain(self, number: int) -> np.ndarray | None:
        entries = self.numbers.get(f"cam{number}", {})
        direct = _rigid(entries.get("T_c_b"))
        if direct is not None or number == 0:
            return direct
        step, before = _rigid(entries.get("T_cn_cnm1")), self._chain(number - 1)
        return None if step is None or before is None else step @ before


def _rigid(values: np.ndarray | None) -> np.ndarray | None:
    return None if values is None or rigid_fault(values) else values.reshape(4, 4)


def _lens_fault(values: np.ndarray) -> str:
    """Return why numbers are no ``intrinsics`` or ``K``; "" if they are."""
    if values.size not in (5, 9):
        return f"has {values.size} numbers"
    if not np.isfinite(values).all():
        return "holds numbers that are not finite"
    focal_px = values[1:3] if values.size == 5 else values[[0, 4]]
    if (focal_px <= 0).any() or (focal_px > FOCAL_PX).any():
        return "has focal lengths of {:g} and {:g} px".format(*focal_px)
    return ""


def _size_fault(values: np.ndarray) -> str:
    good = values.size == 2 and np.isfinite(values).all() and (values >= 1).all()
    return "" if good else f"is {values.tolist()}"


_RIGID = (rigid_fault, "a rigid motion, 4x4")
_CHECKS = {
    "T_c_b": _RIGID,
    "T_cn_cnm1": _RIGID,
    "T_c0_b": _RIGID,
    "intrinsics": (_lens_fault, "xi, two focal lengths above 0 and the centre"),
    "K": (_lens_fault, "3x3 with two focal lengths above 0"),
    "resolution": (_size_fault, "width and height in pixels"),
}


def _collect(node: h5py.Group | h5py.Dataset, key: str, into: dict[str, np.ndarray]) -> None:
    if isinstance(node, h5py.Group):
        for name in node:
            _collect(node[name], f"{key}/{name}".lstrip("/"), into)
    elif isinstance(node, h5py.Dataset) and node.shape is not None and node.dtype.kind in "fiub":
        into[key] = np.asarray(node[()], dtype=np.float64).reshape(-1)
