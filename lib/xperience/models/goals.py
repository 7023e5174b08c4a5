"""What networks are asked for and what they give back: goals, losses, fits.

Wide targets may be answered on their principal axes: visual features of neighbouring windows move
together, so that a few hundred axes hold nearly all that 5,096 values say, and a network with as
many outputs trains in a tenth of the time. Squares along orthonormal axes add up, so the loss is
that of the whole vector but for a constant: what the axes leave out of a target, which no answer on
them can change, such as words that only held-out captions have.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from torch.nn import functional

from xperience.errors import ParamsError
from xperience.models.conditioning import strongest_axes
from xperience.models.gram import column_moments
from xperience.models.linear import MAX_POSITIVE_WEIGHT

Kind = Literal["classify", "multilabel", "vectors"]
KINDS = get_args(Kind)


@dataclass(frozen=True)
class Goal:
    """What a head shall predict, with the targets of the training samples.

    Values are class codes, int (n_train,); members of each set, bool (n_train, n_outputs); or
    vectors, float (n_train, n_outputs).

    Raises
    ------
    ParamsError
        If the kind is unknown, or the values do not fit it.
    """

    kind: Kind
    values: np.ndarray
    n_outputs: int

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ParamsError("goal", f"is of kind {self.kind!r}", " or ".join(KINDS), "Name one.")
        shape = np.shape(self.values)
        wanted = shape[:1] if self.kind == "classify" else (*shape[:1], self.n_outputs)
        if shape != wanted or not shape:
            raise ParamsError(
                "goal",
                f"holds values of shape {shape}",
                f"one row per sample for {self.n_outputs} outputs of kind {self.kind!r}",
                "Give codes as (n,), sets and vectors as (n, n_outputs).",
            )
        if self.kind == "classify" and shape[0]:
            least, most = np.min(self.values), np.max(self.values)
            if least < 0 or most >= self.n_outputs:
                raise ParamsError(
                    "goal",
                    f"holds class codes {least} to {most}",
                    f"codes 0 to {self.n_outputs - 1}",
                    "Count every class that occurs in n_outputs.",
                )

    def __len__(self) -> int:
        return len(self.values)


class Epoch(NamedTuple):
    """One pass over the training samples.

    Parameters
    ----------
    epoch : int
        From 1.
    train_loss : float
        Mean over the epoch's batches, as they were trained on (dropout and weights included).
    validation_loss : float or None
        After the epoch, where some samples were held out.
    """

    epoch: int
    train_loss: float
    validation_loss: float | None


@dataclass(frozen=True)
class Fit:
    """What a network predicts from one seed, float32 (n_test, n_outputs).

    Probabilities (over classes they sum to 1, over labels of a set they don't), or vectors in the
    targets' own units. ``epochs`` passes over the training samples made it, of ``n_parameters``
    numbers that were fitted.
    """

    test: np.ndarray
    curve: tuple[Epoch, ...]
    seed: int
    epochs: int
    n_parameters: int


@dataclass(frozen=True)
class Validation:
    """Which training samples to fit on and which to hold out, to choose the number of epochs.

    The caller keeps frames of the two apart.
    """

    fit: np.ndarray
    validate: np.ndarray


class Objective:
    """A goal's loss and what network outputs mean, fitted on some training samples.

    Parameters
    ----------
    goal : Goal
        What is predicted, with the targets of all training samples.
    known : int array, optional
        Training samples that weights and scales are made from; all by default.
    least_deviation : float
        Deviations of vector components are at least this share of the largest one's; 0 leaves them
        as the published contract has them, where a deviation below 1e-6 is 1.
    kept_share : float
        Vectors are answered on as many principal axes as hold this share of their squares, and
        losses are of these; 0 takes all components as they are.
    device : str, optional
        Where outputs lie; the GPU, if there is one, by default.
    """

    def __init__(
        self,
        goal: Goal,
        known: np.ndarray | None = None,
        least_deviation: float = 0.0,
        kept_share: float = 0.0,
        device: str | None = None,
    ):
        self.kind = goal.kind
        self.n_outputs = goal.n_outputs
        self._device = device or pick_device()
        self._axes: np.ndarray | None = None
        self._share = 1.0
        known = np.arange(len(goal)) if known is None else known
        prepare = {"classify": self._classes, "multilabel": self._sets, "vectors": self._vectors}
        prepare[goal.kind](goal, known, least_deviation)
        if kept_share and self.kind == "vectors" and len(known):
            self._turn(known, kept_share)

    def _tensor(self, values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, np.float32)).to(self._device)

    def _classes(self, goal: Goal, known: np.ndarray, _: float) -> None:
        codes = np.asarray(goal.values, np.int64)
        counts = np.bincount(codes[known], minlength=goal.n_outputs)
        weights = 1 / np.maximum(counts, 1)
        weights /= weights[codes[known]].mean() if len(known) else 1.0
        self.targets = torch.from_numpy(codes).to(self._device)  # (n,)
        self._weights = self._tensor(np.where(counts > 0, weights, 0)[codes])  # (n,)

    def _sets(self, goal: Goal, known: np.ndarray, _: float) -> None:
        members = np.asarray(goal.values, bool)
        positive = members[known].sum(axis=0)
        gain = (len(known) - positive) / np.maximum(positive, 1)
        self.targets = self._tensor(members)  # (n, n_labels)
        self._gain = self._tensor(np.clip(gain, 1, MAX_POSITIVE_WEIGHT))  # (n_labels,)

    def _vectors(self, goal: Goal, known: np.ndarray, least_deviation: float) -> None:
        values = np.asarray(goal.values, np.float32)
        mean, std = column_moments(values[known])
        if least_deviation:
            spread = values[known].std(axis=0)
            floor = least_deviation * float(spread.max(initial=0))
            std = np.maximum(std, np.float32(floor)) if floor else np.ones_like(std)
        self._mean, self._std = mean, std
        self.targets = self._tensor((values - mean) / std)  # (n, n_values)

    def _turn(self, known: np.ndarray, kept_share: float) -> None:
        """Bring z-scored vectors to their principal axes, all on one scale."""
        scores, n_values = self.targets.cpu().numpy(), self.n_outputs
        axes, scale = target_axes(scores[known], kept_share)
        self._axes = axes * np.float32(scale)  # (n_axes, n_values)
        self.targets = self._tensor(scores @ axes.T / scale)  # (n, n_axes)
        self.n_outputs = len(axes)
        self._share = scale**2 * self.n_outputs / n_values

    def losses(self, outputs: torch.Tensor, samples: torch.Tensor) -> torch.Tensor:
        """Return the loss of each training sample (...) from its outputs (..., n_outputs)."""
        targets = self.targets[samples]
        if self.kind == "classify":
            logs = functional.log_softmax(outputs, dim=-1)
            own = logs.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
            return -self._weights[samples] * own
        if self.kind == "multilabel":
            return functional.binary_cross_entropy_with_logits(
                outputs, targets, pos_weight=self._gain, reduction="none"
            ).mean(dim=-1)
        return self._share * (outputs - targets).square().mean(dim=-1)

    def counted(self, samples: np.ndarray) -> float:
        """Return by what the summed losses of some samples are divided for their mean: weights."""
        if self.kind == "classify" and len(samples):
            return float(self._weights[torch.from_numpy(np.asarray(samples, np.int64))].sum())
        return float(len(samples))

    def answers(self, outputs: torch.Tensor) -> np.ndarray:
        """Return probabilities or vectors in the targets' own units, float32."""
        if self.kind == "classify":
            return functional.softmax(outputs, dim=-1).cpu().numpy()
        if self.kind == "multilabel":
            return torch.sigmoid(outputs).cpu().numpy()
        found = outputs.cpu().numpy()
        scores = found if self._axes is None else found @ self._axes
        return scores * self._std + self._mean


def target_axes(scores: np.ndarray, kept_share: float) -> tuple[np.ndarray, float]:
    """Return as many principal axes as hold a share of the targets' squares, and their scale.

    Parameters
    ----------
    scores : float array, shape (n, n_values)
        z-scored targets, at least one; zeros alone have one arbitrary axis.
    kept_share : float
        Above 0, at most 1.

    Returns
    -------
    axes : float32 array, shape (n_axes, n_values)
        Orthonormal, strongest first.
    scale : float
        Root of the mean square along the axes.
    """
    rows = np.asarray(scores, np.float64)
    wide = rows.shape[0] < rows.shape[1]
    products = rows @ rows.T if wide else rows.T @ rows
    squares, sides = strongest_axes(products, len(products))
    held = np.cumsum(squares)
    n_axes = min(1 + int(np.searchsorted(held, kept_share * held[-1])), len(squares))
    axes = sides[:, :n_axes].T
    if wide:
        axes = axes @ rows / np.sqrt(np.maximum(squares[:n_axes], 1e-30))[:, None]
    scale = math.sqrt(held[n_axes - 1] / (n_axes * len(rows)))
    return np.ascontiguousarray(axes, np.float32), scale or 1.0


def pick_device() -> str:
    """Return "cuda" where PyTorch sees a GPU, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def epoch_rows(
    train: Sequence[float], validation: Sequence[float] | None = None
) -> tuple[Epoch, ...]:
    """Return a learning curve from the losses of its epochs."""
    held = validation if validation is not None else [None] * len(train)
    return tuple(Epoch(i + 1, *pair) for i, pair in enumerate(zip(train, held, strict=True)))
