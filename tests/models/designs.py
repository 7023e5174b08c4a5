"""Blocks and designs that the tests of heads share."""

import numpy as np

from xperience.models import gram

BLOCKS = ("small", "wide", "odd")


def blocks(n_windows: int, seed: int) -> dict[str, np.ndarray]:
    """Blocks with columns of all sizes, some constant, some that only creep."""
    rng = np.random.default_rng(seed)
    result = {}
    for name, dim in zip(BLOCKS, (3, 40, 7), strict=True):
        values = rng.normal(0, 1, (n_windows, dim)) * rng.lognormal(0, 2, dim) + rng.normal(0, 9)
        values[:, 0] = 431.7
        values[:, 1] = 2.5 + 1e-7 * rng.normal(size=n_windows)
        result[name] = values.astype(np.float32)
    return result


def windows_design(n: int, names: tuple[str, ...] = BLOCKS) -> gram.Design:
    cut = round(0.7 * n)
    return gram.Design((gram.Part(names, np.arange(n)),), np.arange(cut), np.arange(cut, n))


def shuffled_design(n: int, seed: int = 0) -> gram.Design:
    order = np.random.default_rng(seed).permutation(n)
    return gram.Design((gram.Part(BLOCKS, np.arange(n)),), order[: n // 2], order[n // 2 :])


def pairs_design(n: int, cut_share: float = 0.7) -> gram.Design:
    first = np.arange(n - 1)
    a = np.stack([first, first + 1], 1).reshape(-1)
    b = np.stack([first + 1, first], 1).reshape(-1)
    parts = (gram.Part(BLOCKS, a), gram.Part(BLOCKS, b), gram.Part(BLOCKS, b, a))
    cut = round(cut_share * len(a))
    return gram.Design(parts, np.arange(cut), np.arange(cut, len(a)))


def only(design: gram.Design, values: dict[str, np.ndarray]) -> gram.Products:
    ((_, made),) = gram.products([design], values.__getitem__)
    return made
