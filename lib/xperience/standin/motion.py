"""Smooth motion: sums of minimum-jerk transitions and faded oscillations, all C2."""

from dataclasses import dataclass, field

import numpy as np


def min_jerk(u: np.ndarray) -> np.ndarray:
    """Return the minimum-jerk profile, C2 also at its ends; ``u`` is clipped to [0, 1]."""
    u = np.clip(u, 0.0, 1.0)
    return u**3 * (10 - 15 * u + 6 * u**2)


@dataclass(frozen=True)
class Oscillation:
    """A faded circular or back-and-forth motion.

    Parameters
    ----------
    start_s, end_s : float
    rate_hz : float
    cosine, sine : float array, shape (d,)
        Amplitudes of the two phases, in the track's unit.
    """

    start_s: float
    end_s: float
    rate_hz: float
    cosine: np.ndarray
    sine: np.ndarray

    def __call__(self, time_s: np.ndarray) -> np.ndarray:
        """Return the displacement, shape (n, d)."""
        fade = max(min(0.5, (self.end_s - self.start_s) / 2), 1e-3)
        envelope = min_jerk((time_s - self.start_s) / fade) * min_jerk((self.end_s - time_s) / fade)
        phase = 2 * np.pi * self.rate_hz * (time_s - self.start_s)
        wave = np.cos(phase)[:, None] * self.cosine + np.sin(phase)[:, None] * self.sine
        return envelope[:, None] * wave  # (n, d)


@dataclass
class Track:
    """One quantity over time, planned by waypoints and evaluated at any instants.

    Parameters
    ----------
    value : float array, shape (d,)
        Where the track stands before its first transition; `to` moves it on.
    """

    value: np.ndarray
    moves: list[tuple[float, float, np.ndarray]] = field(default_factory=list)
    waves: list[Oscillation] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.value = np.atleast_1d(np.asarray(self.value, dtype=np.float64))
        self.start = self.value.copy()

    def to(self, start_s: float, end_s: float, target: np.ndarray | float) -> None:
        """Add a transition to ``target``; transitions may overlap, they add up."""
        target = np.atleast_1d(np.asarray(target, dtype=np.float64))
        if not np.allclose(target, self.value, atol=1e-9):
            self.moves.append((start_s, max(end_s - start_s, 1e-3), target - self.value))
        self.value = target.copy()

    def wave(self, span_s: tuple[float, float], rate_hz: float, *amplitudes: np.ndarray) -> None:
        """Add an oscillation with a cosine and a sine amplitude over a span of time."""
        cosine, sine = (np.asarray(amplitude, dtype=np.float64) for amplitude in amplitudes)
        self.waves.append(Oscillation(*span_s, rate_hz, cosine, sine))

    def __call__(self, time_s: np.ndarray) -> np.ndarray:
        """Return the track's values, shape (n, d), at ascending instants, shape (n,)."""
        out = np.zeros((len(time_s), len(self.start)))
        done = np.zeros((len(time_s) + 1, len(self.start)))
        for start_s, length_s, change in self.moves:
            first, last = np.searchsorted(time_s, [start_s, start_s + length_s])
            part = min_jerk((time_s[first:last] - start_s) / length_s)
            out[first:last] += part[:, None] * change
            done[last] += change
        out += self.start + np.cumsum(done[:-1], axis=0)
        for oscillation in self.waves:
            first, last = np.searchsorted(time_s, [oscillation.start_s, oscillation.end_s])
            out[first:last] += oscillation(time_s[first:last])
        return out  # (n, d)


@dataclass(frozen=True)
class Sway:
    """A never-ending small motion: a sum of slow sines.

    Parameters
    ----------
    amplitude, rate_hz, phase : float array, shape (d, k)
    """

    amplitude: np.ndarray
    rate_hz: np.ndarray
    phase: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator, sizes: tuple[float, ...], rates_hz: tuple) -> "Sway":
        """Return a sway of given size per column, at rates drawn between two."""
        shape = (len(sizes), 4)
        rate_hz = rng.uniform(*rates_hz, shape)
        amplitude = rng.uniform(0.4, 1.0, shape) * np.asarray(sizes)[:, None] / 2
        return cls(amplitude, rate_hz, rng.uniform(0, 2 * np.pi, shape))

    def __call__(self, time_s: np.ndarray) -> np.ndarray:
        """Return the displacement, shape (n, d)."""
        angle = 2 * np.pi * self.rate_hz * time_s[:, None, None] + self.phase
        return (self.amplitude * np.sin(angle)).sum(-1)  # (n, d)


def axis_rotation(axis: int, angle_rad: np.ndarray) -> np.ndarray:
    """Return rotations about axis 0, 1 or 2, shape (..., 3, 3), by angles, shape (...)."""
    angle_rad = np.asarray(angle_rad, dtype=np.float64)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    out = np.zeros((*angle_rad.shape, 3, 3))
    out[..., axis, axis] = 1.0
    out[..., i, i] = out[..., j, j] = np.cos(angle_rad)
    out[..., i, j], out[..., j, i] = -np.sin(angle_rad), np.sin(angle_rad)
    return out


def quaternion_from_rotation(rotation: np.ndarray) -> np.ndarray:
    """Return unit quaternions wxyz, shape (n, 4), without jumps of sign, of (n, 3, 3)."""
    r = rotation
    trace = np.trace(r, axis1=1, axis2=2)
    # four ways to the same quaternion, each scaled by its largest entry: the best one is safe
    ways = np.empty((len(r), 4, 4))
    ways[:, 0, 0] = 1 + trace
    ways[:, 0, 1:] = np.stack([r[:, 2, 1], r[:, 0, 2], r[:, 1, 0]], -1)
    ways[:, 0, 1:] -= np.stack([r[:, 1, 2], r[:, 2, 0], r[:, 0, 1]], -1)
    ways[:, 1:, 0] = ways[:, 0, 1:]
    ways[:, 1:, 1:] = r + np.swapaxes(r, 1, 2)
    for k in range(3):
        ways[:, 1 + k, 1 + k] += 1 - trace
    best = ways[np.arange(len(r)), np.einsum("nii->ni", ways).argmax(1)]
    quat = best / np.linalg.norm(best, axis=1, keepdims=True)
    flips = np.where((quat[1:] * quat[:-1]).sum(-1) < 0, -1.0, 1.0)
    sign = np.concatenate([[1.0], np.cumprod(flips)])
    return quat * sign[:, None]


def two_bones(
    root: np.ndarray, target: np.ndarray, lengths_m: tuple[float, float], pole: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the middle and end joint of a limb of two rigid bones that reaches for a target.

    Parameters
    ----------
    root, target : float array, shape (n, 3)
        Where the limb starts and where its end should be; out of reach it is fully stretched.
    lengths_m : (float, float)
    pole : float array, shape (n, 3) or (3,)
        The side to which the middle joint bends.

    Returns
    -------
    middle, end : float array, shape (n, 3)
    """
    upper, lower = lengths_m
    way = target - root
    distance = np.linalg.norm(way, axis=-1, keepdims=True)
    unit = way / np.maximum(distance, 1e-9)
    reach = np.clip(distance, abs(upper - lower) + 1e-3, 0.9995 * (upper + lower))
    side = pole - (pole * unit).sum(-1, keepdims=True) * unit
    side = side / np.maximum(np.linalg.norm(side, axis=-1, keepdims=True), 1e-9)
    along = (upper**2 + reach**2 - lower**2) / (2 * reach)
    out = np.sqrt(np.maximum(upper**2 - along**2, 0))
    return root + along * unit + out * side, root + reach * unit
