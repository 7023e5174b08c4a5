"""The linear heads of the contract written out plainly: every sample held, every feature touched.

The reference that `xperience.models` is held to, for equality and for speed. NumPy only.
"""

import numpy as np


def z_scored(
    rows: np.ndarray, train: np.ndarray, test: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return float32 training and test rows, z-scored with the training moments."""
    mean, std = rows[train].mean(axis=0), rows[train].std(axis=0)
    std = np.where(std < 1e-6, np.float32(1), std)
    return (rows[train] - mean) / std, (rows[test] - mean) / std


def samples(parts, source) -> np.ndarray:
    """Return every sample of a design, float32 (n_samples, n_features), pairs written out."""
    columns = []
    for part in parts:
        values = np.concatenate([source(name) for name in part.blocks], axis=1)
        rows = values[part.plus]
        columns.append(rows if part.minus is None else rows - values[part.minus])
    return np.concatenate(columns, axis=1)


def start(n_features: int, n_outputs: int) -> np.ndarray:
    return np.random.default_rng(7).normal(0, 0.01, (n_features, n_outputs)).astype(np.float32)


def softmax(z, z_test, codes, n_classes, *, epochs=400, step=0.12, decay=2e-3):
    """Return test and training probabilities and the final loss."""
    n = len(codes)
    w, b = start(z.shape[1], n_classes).astype(z.dtype), np.zeros(n_classes, z.dtype)
    counts = np.bincount(codes, minlength=n_classes)
    weights = n / (counts[codes] * n_classes)
    weights = (weights / weights.mean()).astype(z.dtype)
    truth = np.eye(n_classes, dtype=z.dtype)[codes]
    for _ in range(epochs):
        error = (_softmax(z @ w + b) - truth) * weights[:, None] / z.dtype.type(n)
        w -= z.dtype.type(step) * (z.T @ error + z.dtype.type(decay) * w)
        b -= z.dtype.type(step) * error.sum(axis=0)
    train, test = _softmax(z @ w + b), _softmax(z_test @ w + b)
    own = np.maximum(train[np.arange(n), codes], 1e-12)
    loss = -(weights * np.log(own)).mean() + decay / 2 * np.square(w, dtype=np.float64).sum()
    return test, train, float(loss)


def logistic(z, z_test, members, *, epochs=400, step=0.05, decay=2e-3):
    """Return test probabilities of each label."""
    n, n_labels = members.shape
    w, b = start(z.shape[1], n_labels).astype(z.dtype), np.zeros(n_labels, z.dtype)
    positive = members.sum(axis=0)
    gain = np.clip((n - positive) / np.maximum(positive, 1), 1, 20)
    weights = np.where(members, gain, 1).astype(z.dtype)
    for _ in range(epochs):
        error = (_sigmoid(z @ w + b) - members) * weights / z.dtype.type(n)
        w -= z.dtype.type(step) * (z.T @ error + z.dtype.type(decay) * w)
        b -= z.dtype.type(step) * error.sum(axis=0)
    return _sigmoid(z_test @ w + b)


def ridge(z, z_test, targets, penalty=10.0):
    """Return test predictions in the targets' units, by the normal equations of the samples."""
    mean, std = targets.mean(axis=0), targets.std(axis=0)
    std = np.where(std < 1e-6, targets.dtype.type(1), std)
    z = np.concatenate([z, np.ones((len(z), 1), z.dtype)], axis=1)
    z_test = np.concatenate([z_test, np.ones((len(z_test), 1), z.dtype)], axis=1)
    kernel = z @ z.T + z.dtype.type(penalty) * np.eye(len(z), dtype=z.dtype)
    weights = z.T @ np.linalg.solve(kernel, (targets - mean) / std)  # (n_features, n_values)
    return (z_test @ weights) * std + mean


def _softmax(scores):
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    return scores / scores.sum(axis=1, keepdims=True)


def _sigmoid(scores):
    return 1 / (1 + np.exp(-np.clip(scores, -60, 60)))
