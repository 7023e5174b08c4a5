"""Wide targets on their principal axes: what a network answers in place of thousands of values.

Visual features of neighbouring windows move together, so that a few hundred axes hold nearly all
that 5,096 values say, and a network with as many outputs is trained in a tenth of the time. Squares
along orthonormal axes add up, so the loss is that of the whole vector but for a constant: what the
axes leave out of a target, which no answer on them can change, such as words that only held-out
captions have.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from xperience.heads.conditioning import KEPT_VARIANCE


@dataclass(frozen=True)
class TargetAxes:
    """Principal axes of targets, all on one scale, so that strong axes stay strong.

    Parameters
    ----------
    axes : float32 array, shape (n_axes, n_values)
        Orthonormal, strongest first.
    scale : float
        Root of the mean square along the axes, over the targets that they were made from.
    """

    axes: np.ndarray
    scale: float

    @classmethod
    def of(cls, scores: np.ndarray, kept_share: float) -> "TargetAxes":
        """Return as many axes as hold a share of the targets' squares.

        Parameters
        ----------
        scores : float array, shape (n, n_values)
            z-scored targets, at least one; axes of nothing but zeros are an arbitrary one.
        kept_share : float
            Above 0, at most 1.
        """
        rows = np.asarray(scores, np.float64)
        wide = rows.shape[0] < rows.shape[1]
        squares, sides = eigh(rows @ rows.T if wide else rows.T @ rows)
        squares, sides = squares[::-1], sides[:, ::-1]
        told = max(1, int((squares > KEPT_VARIANCE * squares[0]).sum()))
        held = np.cumsum(np.maximum(squares, 0))
        n_axes = min(1 + int(np.searchsorted(held, kept_share * held[-1])), told)
        axes = sides[:, :n_axes].T
        if wide:
            axes = axes @ rows / np.sqrt(np.maximum(squares[:n_axes], 1e-30))[:, None]
        scale = math.sqrt(held[n_axes - 1] / (n_axes * len(rows)))
        return cls(np.ascontiguousarray(axes, np.float32), scale or 1.0)

    def along(self, scores: np.ndarray) -> np.ndarray:
        """Return targets as they are answered, float (n, n_axes)."""
        return scores @ self.axes.T / np.float32(self.scale)

    def back(self, found: np.ndarray) -> np.ndarray:
        """Return z-scored vectors from what was answered on the axes, (n, n_values)."""
        return (np.float32(self.scale) * found) @ self.axes
