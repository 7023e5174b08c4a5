"""Forecasters of joints that move: the steps they took in, where they go out.

All are told by vectors alone and turn with them: a forecast is a weighted sum of velocities, so it
doesn't matter how the axes lie. All minimise what they are judged by, the distance in space, not
its square. Which of them is used is chosen by a rolling origin inside the training part.

``steps`` are movements from frame to frame up to the present, the last one first, metres, shape
(n, n_steps, n_joints, 3); ``ahead`` is where joints go from the present, (n, n_ahead, n_joints, 3).
"""

from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import nn

Forecaster = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(steps, ahead) of training samples and steps of others -> where those go."""
Folds = Sequence[tuple[np.ndarray, np.ndarray]]

MEMORIES, DAMPINGS = (1, 2, 3, 5), tuple(round(0.1 * k, 1) for k in range(11))
"""What damped velocity chooses from: steps that it averages, share kept a frame."""
AR_STEPS, AR_PENALTY, AR_ROUNDS = 5, 1e-4, 8
LEAST_M = 1e-3
"""Residuals below a millimetre weigh no more than one of a millimetre."""
N_HANDS = 2
MEANS_OF = ((1, 2, 3, 5, 10), (1, 3, 10), (1, 3, 10))
"""Steps that velocities are means of: of the joint, of its hand, of both hands."""
ANGLES = ((0, 1), (0, 2), (2, 3), (2, 4), (2, 6), (6, 9), (0, 4), (5, 8), (6, 7), (9, 10))
"""Pairs of those velocities whose angle the gain network sees."""
HIDDEN, UPDATES, BATCH, RATE, DROPPED = 32, 500, 32, 5e-3, 0.3
JOINT_STRIDE = 4
"""A batch shows a quarter of the joints, resampled: those of a hand move nearly alike."""
NETWORK_SEED = 7
_ONE_GENERATOR = Lock()
"""PyTorch draws the weights of new layers from one generator, which threads share."""


def mean_distance(predicted: np.ndarray, ahead: np.ndarray) -> float:
    """Return the mean distance between forecast and true joints, metres."""
    return float(np.linalg.norm(predicted - ahead, axis=-1).mean())


def damped(steps: np.ndarray, memory: int, damping: float, n_ahead: int) -> np.ndarray:
    """Return joints that go on at the mean of their last steps, slower every frame."""
    return _kept(damping, n_ahead)[:, None, None] * steps[:, :memory].mean(axis=1)[:, None]


def damping_of(steps: np.ndarray, ahead: np.ndarray) -> tuple[int, float]:
    """Return the memory (steps) and damping (share kept a frame) that serve samples best."""
    steps, ahead = steps.astype(np.float64), ahead.astype(np.float64)  # small differences of sums
    squares = np.einsum("nhjc,nhjc->nhj", ahead, ahead)
    found = {}
    for memory in MEMORIES:
        step = steps[:, :memory].mean(axis=1)  # (n, n_joints, 3)
        own = np.einsum("njc,njc->nj", step, step)[:, None]
        along = np.einsum("njc,nhjc->nhj", step, ahead)
        for damping in DAMPINGS:
            kept = _kept(damping, ahead.shape[1])[:, None]
            off = squares + kept * (kept * own - 2 * along)  # |kept · step - ahead|²
            found[memory, damping] = np.sqrt(np.maximum(off, 0)).mean()
    return min(found, key=found.get)


def _kept(damping: float, n_ahead: int) -> np.ndarray:
    """Return how many steps joints have gone on by each frame ahead, (n_ahead,)."""
    return np.cumsum(damping ** np.arange(1, n_ahead + 1))


def damped_velocity(steps: np.ndarray, ahead: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Forecast that joints go on as they did, slower every frame, as served training best."""
    return damped(asked, *damping_of(steps, ahead), ahead.shape[1])


def shared_ar(steps: np.ndarray, ahead: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Forecast every coordinate from its own last steps, by one autoregression for all of them."""
    return _summed(asked[:, :AR_STEPS], _least_distance(steps[:, :AR_STEPS], ahead))


def gated_ar(steps: np.ndarray, ahead: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Forecast as `shared_ar`, with coefficients that depend on the speed of the hand."""
    return _summed(_gated(asked), _least_distance(_gated(steps), ahead))


def _gated(steps: np.ndarray) -> np.ndarray:
    speed = np.linalg.norm(steps[:, :3].mean(axis=1, keepdims=True), axis=-1, keepdims=True)
    last = steps[:, :AR_STEPS]
    return np.concatenate([last, last * np.log(_of_hands(speed) + LEAST_M)], axis=1)


def _least_distance(vectors: np.ndarray, ahead: np.ndarray) -> np.ndarray:
    """Return the coefficients (n_vectors, n_ahead) with the least distance: reweighted squares."""
    given = np.moveaxis(vectors, 1, -1).reshape(-1, 3, vectors.shape[1]).astype(np.float64)
    wanted = np.moveaxis(ahead, 1, -1).reshape(-1, 3, ahead.shape[1]).astype(np.float64)
    size = np.sqrt(np.square(given).mean(axis=(0, 1))) + 1e-12  # (n_vectors,)
    given /= size
    found = np.zeros((len(size), wanted.shape[-1]))
    for frame in range(wanted.shape[-1]):
        weights = np.ones(len(given))
        for _ in range(AR_ROUNDS):
            weighted = (given * weights[:, None, None]).reshape(-1, len(size))
            squares = weighted.T @ given.reshape(-1, len(size))
            penalty = (AR_PENALTY * np.trace(squares) / len(size) + 1e-12) * np.eye(len(size))
            right = weighted.T @ wanted[:, :, frame].ravel()
            found[:, frame] = np.linalg.solve(squares + penalty, right)
            off = np.linalg.norm(wanted[:, :, frame] - given @ found[:, frame], axis=-1)
            weights = 1 / np.maximum(off, LEAST_M)
            weights /= weights.mean()
    return found / size[:, None]


def _summed(vectors: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    return np.einsum("nkjc,kh->nhjc", vectors, coefficients, optimize=True)


def gain_network(steps: np.ndarray, ahead: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Forecast a sum of velocities whose gains a small network says.

    The network sees how long the velocities are and the angles between them, which no turn of the
    axes changes. What is learned from is shown backwards in time too, so there must be as many
    steps as frames ahead.
    """
    back = _backwards(steps, ahead)
    velocities = np.concatenate([_velocities(steps), _velocities(back[0])])
    known = np.moveaxis(np.concatenate([ahead, back[1]]), 1, 2)  # (n, n_joints, n_ahead, 3)
    seen = _invariants(velocities)
    mean, deviation = seen.mean(axis=(0, 1)), seen.std(axis=(0, 1)) + 1e-6

    def tensors(given: np.ndarray, features: np.ndarray) -> list[torch.Tensor]:
        scaled = np.clip((features - mean) / deviation, -4, 4)
        return [_by_joint(scaled), _by_joint(np.moveaxis(given, 1, 2))]

    learned, wanted = tensors(velocities, seen), _velocities(asked)
    shown = tensors(wanted, _invariants(wanted))
    ways = _trained(learned, known, shown)
    return np.moveaxis(ways.reshape(len(asked), known.shape[1], *ways.shape[1:]), 1, 2)


def _by_joint(values: np.ndarray) -> torch.Tensor:
    """Return values (n, n_joints, …) as rows (n · n_joints, …)."""
    return torch.tensor(values, dtype=torch.float32).flatten(0, 1)


def _backwards(steps: np.ndarray, ahead: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps and the way ahead of the same movement with time turned round."""
    to_come = np.diff(ahead, axis=1, prepend=0)
    return -to_come, -np.cumsum(steps, axis=1)


def _of_hands(vectors: np.ndarray) -> np.ndarray:
    """Return the mean over each hand's joints, for every joint; joints on the axis before last."""
    shape = vectors.shape
    by_hand = vectors.reshape(*shape[:-2], N_HANDS, -1, shape[-1])
    return np.broadcast_to(by_hand.mean(axis=-2, keepdims=True), by_hand.shape).reshape(shape)


def _velocities(steps: np.ndarray) -> np.ndarray:
    """Return the velocities that forecasts are summed of, (n, n_velocities, n_joints, 3)."""
    sources = (steps, _of_hands(steps), np.broadcast_to(steps.mean(2, keepdims=True), steps.shape))
    means = [source[:, :n].mean(axis=1) for source, spans in zip(sources, MEANS_OF, strict=True)
             for n in spans]  # fmt: skip
    return np.stack(means, axis=1)


def _invariants(velocities: np.ndarray) -> np.ndarray:
    """Return logarithms of lengths, and cosines of angles, (n, n_joints, n_features)."""
    lengths = np.linalg.norm(velocities, axis=-1) + 1e-4  # (n, n_velocities, n_joints)
    ways = velocities / lengths[..., None]
    cosines = [(ways[:, one] * ways[:, other]).sum(axis=-1) for one, other in ANGLES]
    return np.moveaxis(np.concatenate([np.log(lengths), np.stack(cosines, axis=1)], 1), 1, -1)


def _trained(
    learned: Sequence[torch.Tensor], known: np.ndarray, shown: Sequence[torch.Tensor]
) -> np.ndarray:
    """Return what the network forecasts, float32 (n · n_joints, n_ahead, 3)."""
    n, n_joints, n_ahead = known.shape[:3]
    to_come = _by_joint(known)
    n_features, n_velocities = learned[0].shape[-1], learned[1].shape[1]
    scale = torch.arange(1, n_ahead + 1) / 3
    rng = torch.Generator().manual_seed(NETWORK_SEED)
    with _ONE_GENERATOR, torch.random.fork_rng(devices=[]):
        torch.manual_seed(NETWORK_SEED)
        network = nn.Sequential(
            nn.Linear(n_features, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU(),
            nn.Linear(HIDDEN, n_velocities * n_ahead),
        )  # fmt: skip
    for end in network[-1].parameters():
        nn.init.zeros_(end)  # it begins at zero velocity

    def forecast(features: torch.Tensor, velocities: torch.Tensor, kept: Any = 1) -> torch.Tensor:
        inner = network[:2](features) * kept
        gains = network[2:](inner).unflatten(-1, (n_velocities, n_ahead)) * scale
        return torch.einsum("nkh,nkc->nhc", gains, velocities)

    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=UPDATES)
    for _ in range(UPDATES):
        at = torch.randint(n, (BATCH,), generator=rng)
        some = torch.randperm(n_joints, generator=rng)[::JOINT_STRIDE]
        rows = (at[:, None] * n_joints + some).flatten()
        kept = torch.rand((len(rows), HIDDEN), generator=rng) >= DROPPED
        features, given, wanted = (side.index_select(0, rows) for side in (*learned, to_come))
        off = forecast(features, given, kept / (1 - DROPPED)) - wanted
        optimiser.zero_grad()
        (100 * off.norm(dim=-1).mean()).backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        return forecast(*shown).numpy()


FORECASTERS: dict[str, Forecaster] = {
    "damped_velocity": damped_velocity,
    "shared_ar": shared_ar,
    "gated_ar": gated_ar,
    "gain_network": gain_network,
}
"""What `forecast` chooses from, simplest first; add an entry to add one."""


def forecast(
    steps: np.ndarray,
    ahead: np.ndarray,
    asked: np.ndarray,
    folds: Folds,
    forecasters: Mapping[str, Forecaster] = FORECASTERS,
) -> tuple[np.ndarray, str]:
    """Return the forecast of the forecaster that does best inside the training part, and its name.

    Parameters
    ----------
    steps, ahead : float array
        Of training samples.
    asked : float array
        Steps of the samples that are forecast.
    folds : sequence of (int array, int array)
        Training samples to fit on, and to judge by: later ones, whose frames are others. Without
        any the simplest forecaster is taken.
    """

    def error(forecaster: Forecaster) -> float:
        return sum(
            len(held) * mean_distance(forecaster(steps[fit], ahead[fit], steps[held]), ahead[held])
            for fit, held in folds
        )

    name = min(forecasters, key=lambda one: error(forecasters[one]))
    return forecasters[name](steps, ahead, asked), name
