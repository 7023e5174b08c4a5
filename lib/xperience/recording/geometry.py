"""Coordinate frames that cannot be mixed by accident, rigid poses, camera models, skeletons.

Points carry the name of the coordinate frame they live in ("world", "rig", "body", or a camera such
as "fisheye_cam0"); a transform says from which to which it leads. Subtracting a world point from a
camera point, the flaw of the published hand features, raises instead of returning a wrong number.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from xperience.errors import CoordinateFrameError

WORLD, RIG, BODY = "world", "rig", "body"

SMPLH_BODY_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)
"""Parents of the 22 body joints: pelvis, hips, spine, knees, …, wrists (20 left, 21 right)."""

SMPLH_PARENTS = SMPLH_BODY_PARENTS + tuple(
    first + k - 1 if k % 3 else wrist for wrist, first in ((20, 22), (21, 37)) for k in range(15)
)
"""Parents of the 52 SMPL-H joints: 22 of the body, then 15 of each hand (three a finger)."""

SMPLH_BONES = tuple((parent, joint) for joint, parent in enumerate(SMPLH_PARENTS) if parent >= 0)

MANO_PARENTS = (-1, 0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 0, 13, 14, 15, 0, 17, 18, 19)
"""Parents of the 21 hand joints: wrist, then thumb, index, middle, ring, little, root to tip."""

MANO_BONES = tuple((parent, joint) for joint, parent in enumerate(MANO_PARENTS) if parent >= 0)

PELVIS, LEFT_HIP, RIGHT_HIP, HEAD, LEFT_WRIST, RIGHT_WRIST = 0, 1, 2, 15, 20, 21

_LEAST_LEVEL = 0.1
"""Hips whose line is so steep (84 degrees; only this share of it is level) show no heading."""


@dataclass(frozen=True)
class Points:
    """Points and the coordinate frame that their numbers are in."""

    xyz: np.ndarray  # (..., 3) metres
    frame: str  # "world", "rig", "body" or a camera's name

    def __sub__(self, other: "Points") -> np.ndarray:
        """Return the difference vectors, shape (..., 3), in metres along this frame's axes."""
        if self.frame != other.frame:
            raise CoordinateFrameError(
                "Points - Points",
                f"coordinate frames {self.frame!r} and {other.frame!r}",
                "one coordinate frame on both sides",
                "Bring one side over with a Transform first.",
            )
        return self.xyz - other.xyz


@dataclass(frozen=True)
class Transform:
    """A rigid motion, or one a frame: ``x_target = rotation @ x_source + translation``."""

    rotation: np.ndarray  # (..., 3, 3)
    translation: np.ndarray  # (..., 3) metres, along the target's axes
    source: str  # names of coordinate frames
    target: str

    @classmethod
    def from_matrix(cls, matrix: np.ndarray, source: str, target: str) -> "Transform":
        """Return the transform of homogeneous matrices, shape (..., 4, 4)."""
        matrix = np.asarray(matrix)
        return cls(matrix[..., :3, :3], matrix[..., :3, 3], source, target)

    def inverse(self) -> "Transform":
        """Return the way back."""
        back = np.swapaxes(self.rotation, -1, -2)
        return Transform(back, -_rotate(back, self.translation), self.target, self.source)

    def __getitem__(self, index: Any) -> "Transform":
        """Return some of the poses, picked along the leading axes as NumPy does."""
        return Transform(self.rotation[index], self.translation[index], self.source, self.target)

    def __matmul__(self, first: "Transform") -> "Transform":
        """Return ``self`` after ``first``; the coordinate frames between them must agree."""
        self._expect(first.target, "Transform @ Transform")
        return Transform(
            self.rotation @ first.rotation,
            _rotate(self.rotation, first.translation) + self.translation,
            first.source,
            self.target,
        )

    def __call__(self, points: Points) -> Points:
        """Return points, shape (..., 3), or (..., n, 3) for n a pose, in the target frame.

        Raises
        ------
        CoordinateFrameError
            If the points are not in the source coordinate frame.
        """
        self._expect(points.frame, "Transform(points)")
        extra = points.xyz.ndim - self.translation.ndim
        shape = self.translation.shape[:-1] + (1,) * max(extra, 0)
        moved = _rotate(self.rotation.reshape(*shape, 3, 3), points.xyz)
        return Points(moved + self.translation.reshape(*shape, 3), self.target)

    def _expect(self, frame: str, place: str) -> None:
        if frame != self.source:
            raise CoordinateFrameError(
                place,
                f"got points in {frame!r}",
                f"the transform's source {self.source!r}",
                f"It leads from {self.source!r} to {self.target!r}; use its inverse or another.",
            )


def body_frames(joints: Points, up: np.ndarray) -> Transform:
    """Return the way into the body's own coordinate frame, one a pose.

    Its origin is the pelvis; x points forward, y to the left, z up. Only the heading turns with the
    body: leaning and bending don't tilt it, so that "up" and "in front" mean the same in each pose.

    Of SMPL-H joints, xyz of shape (..., n_joints, 3), the pelvis and both hips are read. Where one
    is not a number, or the line of the hips is so steep that it shows no heading, the result is
    NaN. ``up`` is a unit vector along the axes of the joints' frame.
    """
    across = joints.xyz[..., LEFT_HIP, :] - joints.xyz[..., RIGHT_HIP, :]
    level = across - (across @ up)[..., None] * up
    length = np.linalg.norm(level, axis=-1, keepdims=True)
    seen = length > _LEAST_LEVEL * np.linalg.norm(across, axis=-1, keepdims=True)
    left = level / np.where(seen, length, np.nan)
    rows = (np.cross(left, up), left, np.where(seen, up, np.nan))
    rotation = np.stack(rows, axis=-2)  # (..., 3, 3)
    root = joints.xyz[..., PELVIS, :]
    return Transform(rotation, -_rotate(rotation, root), joints.frame, BODY)


def _rotate(rotation: np.ndarray, xyz: np.ndarray) -> np.ndarray:
    return np.einsum("...ij,...j->...i", rotation, xyz)


def rotation_from_quaternion(quat_wxyz: np.ndarray) -> np.ndarray:
    """Return rotation matrices of quaternions, normalised first.

    Quaternions have shape (..., 4), scalar first; matrices, float64 (..., 3, 3), are NaN where a
    quaternion is zero or not finite.
    """
    quat = np.asarray(quat_wxyz, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        norm = np.linalg.norm(quat, axis=-1, keepdims=True)
        w, x, y, z = np.moveaxis(np.where((norm > 0) & (norm < np.inf), quat / norm, np.nan), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


@dataclass(frozen=True)
class CameraModel:
    """The unified (Mei) camera model; ``xi = 0`` is a pinhole.

    A point is projected to the unit sphere, shifted by ``xi`` along the optical axis and projected
    to the image. Camera axes: x right, y down, z forward.
    """

    focal_px: tuple[float, float]  # x, y
    centre_px: tuple[float, float]
    size_px: tuple[int, int]  # width and height of the image that they belong to
    xi: float = 0.0  # mirror parameter, 0 or above

    def scaled(self, size_px: tuple[int, int]) -> "CameraModel":
        """Return the model of the same camera whose image was resized to ``size_px``."""
        sx, sy = size_px[0] / self.size_px[0], size_px[1] / self.size_px[1]
        return CameraModel(
            (self.focal_px[0] * sx, self.focal_px[1] * sy),
            (self.centre_px[0] * sx, self.centre_px[1] * sy),
            size_px,
            self.xi,
        )

    def project(self, xyz: np.ndarray) -> np.ndarray:
        """Return pixel positions, shape (..., 2), of points in the camera's coordinate frame.

        NaN for what the camera cannot see.
        """
        xyz = np.asarray(xyz, dtype=np.float64)
        distance = np.linalg.norm(xyz, axis=-1)
        depth = xyz[..., 2] + self.xi * distance
        # beyond xi > 1 the sphere folds over itself: only the near side of the fold is seen
        limit = 0.0 if self.xi <= 1 else distance * (self.xi - 1 / self.xi)
        with np.errstate(invalid="ignore", divide="ignore"):
            uv = xyz[..., :2] / np.where(depth > limit, depth, np.nan)[..., None]
        return uv * self.focal_px + self.centre_px

    def rays(self, uv: np.ndarray) -> np.ndarray:
        """Return unit directions, shape (..., 3), of pixel positions, shape (..., 2).

        NaN where no ray of the model ends in that pixel.
        """
        m = (np.asarray(uv, dtype=np.float64) - self.centre_px) / self.focal_px
        r2 = (m**2).sum(-1)
        with np.errstate(invalid="ignore"):
            root = np.sqrt(1 + (1 - self.xi**2) * r2)
        scale = (self.xi + root) / (1 + r2)
        return np.concatenate([m * scale[..., None], (scale - self.xi)[..., None]], axis=-1)
