"""Linear heads of the published contract, fitted from inner products of samples.

Full-batch gradient descent on weights W with shrinkage λ and step η,

    W ← (1 − ηλ) W − η Zᵀ E,        E = weighted residuals, shape (n_train, n_outputs),

keeps W = c·W0 + Zᵀ A, with c ← (1 − ηλ) c and A ← (1 − ηλ) A − η E. Scores on training rows are
then c·(Z W0) + K A + b and those on test rows c·(Z_test W0) + K_test A + b: no epoch touches a
feature. The squared norm of W, part of the loss, is c²|W0|² + 2c·⟨A, Z W0⟩ + ⟨A, K A⟩.

**Rounding.** The published steps are 15 to 100 times as long as the loss allows: a step times the
largest curvature, at most λmax(K + 1) / 2n of a softmax, would have to stay below 2. Such a descent
first jumps about. Where it soon gets all training samples right the gradient is gone, and the jumps
are forgotten: probabilities in float32 are those in float64 to five digits. Where it doesn't, as
with pairs of windows, each jump multiplies what was rounded, and after 400 epochs the two have
nothing in common. So the curvature can't tell one from the other; both precisions are run.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import get_blas_funcs

from xperience.models.gram import Products, column_moments


@dataclass(frozen=True)
class Descent:
    """Settings of full-batch gradient descent.

    ``decay`` is an L2 penalty on W, not on the biases; W0 is normal with deviation ``spread``.
    """

    epochs: int
    step: float
    decay: float = 2e-3
    seed: int = 7
    spread: float = 0.01

    def start(self, n_features: int, n_outputs: int) -> np.ndarray:
        """Return W0, float32 (n_features, n_outputs)."""
        rng = np.random.default_rng(self.seed)
        return rng.normal(0, self.spread, (n_features, n_outputs)).astype(np.float32)


SOFTMAX = Descent(epochs=400, step=0.12)
LOGISTIC = Descent(epochs=400, step=0.05)
RIDGE_PENALTY = 10.0
THRESHOLD = 0.5
MAX_POSITIVE_WEIGHT = 20.0
LARGEST_CHANGE = 0.005
"""Of a test probability from float64 to float32: at most 0.002 where descents settle, else 0.02."""
FEW_ROWS = 2
"""So many rows of A are multiplied by K one at a time, through one triangle of it, which is several
times as fast as together. That holds Python's lock, so more rows go through PyTorch."""


@dataclass(frozen=True)
class Fitted:
    """Probabilities, float64 (n_test or n_train, n_outputs), of classes or of labels of a set.

    The loss is weighted cross-entropy plus half the decay times the squared norm of W, in nats.
    ``change`` is the greatest difference of a test probability from the same descents in float32.
    """

    test: np.ndarray
    train: np.ndarray
    train_loss: float
    change: float

    @property
    def unstable(self) -> bool:
        """Whether predictions hang on rounding."""
        return self.change > LARGEST_CHANGE


def softmax(
    products: Products, codes: np.ndarray, n_classes: int, descent: Descent = SOFTMAX
) -> Fitted:
    """Fit a softmax regression to the class of each training sample, int (n_train,).

    Samples weigh n / (n_c · n_classes), scaled to mean 1; classes without training samples only
    ever lose probability. The residuals of a sample sum to 0 over classes, so the last column of A
    is minus the sum of the others and isn't multiplied by K.
    """
    weights = class_weights(codes, n_classes)
    truth = np.eye(n_classes)[:, codes]  # (n_classes, n_train)
    scale = weights / len(codes)

    def residuals(scores: np.ndarray) -> np.ndarray:
        error = _softmax(scores)
        error -= truth
        error *= scale
        return error

    run = _descend(products, n_classes, residuals, descent, closed=True)
    train = _softmax(run.train)
    return _fitted(run, _softmax, train, train[codes, np.arange(len(codes))], weights)


def class_weights(codes: np.ndarray, n_classes: int) -> np.ndarray:
    """Return a weight for each sample, the same total for each class, mean 1; shape (n,)."""
    counts = np.bincount(codes, minlength=n_classes)
    weights = len(codes) / (counts[codes] * n_classes)
    return weights / weights.mean()


def logistic(products: Products, members: np.ndarray, descent: Descent = LOGISTIC) -> Fitted:
    """Fit a logistic regression for each label of sets, bool (n_train, n_labels).

    A label's positives weigh clip(negatives / positives, 1, 20).
    """
    members = np.asarray(members, dtype=bool).T  # (n_labels, n_train)
    n_labels, n = members.shape
    positive = members.sum(axis=1, keepdims=True)
    gain = np.clip((n - positive) / np.maximum(positive, 1), 1, MAX_POSITIVE_WEIGHT)
    weights = np.where(members, gain, 1.0)
    scale = weights / n

    def residuals(scores: np.ndarray) -> np.ndarray:
        return (_sigmoid(scores) - members) * scale

    run = _descend(products, n_labels, residuals, descent)
    train = _sigmoid(run.train)
    return _fitted(run, _sigmoid, train, np.where(members, train, 1 - train), weights)


def _fitted(
    run: "_Run",
    probabilities: Callable[[np.ndarray], np.ndarray],
    train: np.ndarray,
    own: np.ndarray,
    weights: np.ndarray,
) -> Fitted:
    entropy = -(weights * np.log(np.maximum(own, 1e-12))).mean()
    loss = float(entropy + run.decay / 2 * run.squared_norm)
    test = probabilities(run.test)
    change = np.abs(probabilities(run.rounded) - test).max(initial=0.0)
    return Fitted(test.T, train.T, loss, float(change))


def chosen_sets(probabilities: np.ndarray, threshold: float = THRESHOLD) -> np.ndarray:
    """Return which labels are predicted, bool (n, n_labels); an empty set takes its likeliest."""
    chosen = probabilities >= threshold
    empty = np.flatnonzero(~chosen.any(axis=1))
    chosen[empty, probabilities[empty].argmax(axis=1)] = True
    return chosen


def ridge(products: Products, targets: np.ndarray, penalty: float = RIDGE_PENALTY) -> np.ndarray:
    """Return ridge predictions, float64 (n_test, n_values), from targets (n_train, n_values).

    Targets are z-scored by column for the fit; predictions are in the targets' own units. The
    penalty is on all weights, that of the appended 1 included.
    """
    mean, std = column_moments(np.asarray(targets, dtype=np.float32))
    scaled = (targets - mean) / std  # (n_train, n_values)
    return (products.hat(penalty) @ scaled) * std + mean


@dataclass(frozen=True)
class _Run:
    """Scores after the last epoch, (n_outputs, n), the squared norm of W and its penalty.

    ``rounded`` are test scores of two descents in float32, (2, n_outputs, n_test).
    """

    train: np.ndarray
    test: np.ndarray
    rounded: np.ndarray
    squared_norm: float
    decay: float


def _descend(
    products: Products,
    n_outputs: int,
    residuals: Callable[[np.ndarray], np.ndarray],
    descent: Descent,
    closed: bool = False,
) -> _Run:
    """Run gradient descent in float64, and in float32 to see what rounding does.

    In float32 it is run twice, side by side, once from scores that are each one bit larger or
    smaller: one rounding may happen to end where the other did. ``residuals`` maps scores to
    weighted errors, (…, n_outputs, n_train); ``closed`` says that they sum to 0 over outputs.
    """
    start = descent.start(products.n_features, n_outputs)
    train0, test0 = (np.ascontiguousarray(scores.T) for scores in products.project(start))

    short = train0.astype(np.float32)
    sides = np.random.default_rng(descent.seed).choice(np.float32([-np.inf, np.inf]), short.shape)
    both = np.stack([short, np.nextafter(short, sides)])
    duals, biases = _epochs(products.train.astype(np.float32), both, residuals, descent, closed)
    (dual,), (bias,) = _epochs(products.train, train0[None], residuals, descent, closed)
    c = (1 - descent.step * descent.decay) ** descent.epochs
    rounded, test = (
        a @ products.test.T + c * test0 + b for a, b in ((duals, biases), (dual, bias))
    )
    spread = dual @ products.train
    norm = c**2 * np.square(start, dtype=np.float64).sum()
    norm += 2 * c * np.vdot(dual, train0) + np.vdot(dual, spread)
    train = spread + c * train0 + bias
    return _Run(train, test, rounded, max(float(norm), 0.0), descent.decay)


def _epochs(
    kernel: np.ndarray,
    first: np.ndarray,
    residuals: Callable[[np.ndarray], np.ndarray],
    descent: Descent,
    closed: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Return A and b after the last epoch, in the kernel's precision.

    ``first`` are the scores Z W0 that runs begin with, (n_runs, n_outputs, n_train), as A is.
    """
    times = _times(kernel)
    shrink = 1 - descent.step * descent.decay
    c, dual, bias = 1.0, np.zeros_like(first), np.zeros((*first.shape[:2], 1), first.dtype)
    for _ in range(descent.epochs):
        if closed and first.shape[1] > 1:
            rest = times(dual[:, :-1])
            scores = np.concatenate([rest, -rest.sum(axis=1, keepdims=True)], axis=1)
        else:
            scores = times(dual)
        error = residuals(scores + c * first + bias)
        c *= shrink
        dual *= shrink
        error *= descent.step
        dual -= error
        bias -= error.sum(axis=2, keepdims=True)
    return dual, bias


def _times(kernel: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function A (…, n) -> A @ K for symmetric K."""
    symv = get_blas_funcs("symv", (kernel,))
    whole = torch.from_numpy(kernel)

    def times(dual: np.ndarray) -> np.ndarray:
        rows = np.ascontiguousarray(dual).reshape(-1, len(kernel))
        if len(rows) <= FEW_ROWS:
            found = np.stack([symv(1.0, kernel.T, row, lower=1) for row in rows])
        else:  # PyTorch's: NumPy's OpenBLAS takes longer to pack K than to multiply a few rows
            found = torch.mm(torch.from_numpy(rows), whole).numpy()
        return found.reshape(dual.shape)

    return times


def _softmax(scores: np.ndarray) -> np.ndarray:
    """Return probabilities, shape (…, n_classes, n)."""
    scores = scores - scores.max(axis=-2, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-2, keepdims=True)
    return scores


def _sigmoid(scores: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(scores, -60, 60)))
