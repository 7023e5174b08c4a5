"""Statistics of columns in the form that LeRobot keeps them."""

from collections.abc import Sequence

import numpy as np

from xperience.export.extras import ExportError

Statistics = dict[str, np.ndarray]
QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}


def statistics(rows: np.ndarray, place: str = "column") -> Statistics:
    """Return the statistics of each column over the rows without a NaN.

    Parameters
    ----------
    rows : array, shape (n, d)
        At least one row is known.
    place : str, optional
        What an error names.

    Returns
    -------
    dict of {name: array (d,)}
        min, max, mean, std, quantiles; ``count``, shape (1,), is the number of known rows.

    Raises
    ------
    ExportError
        If no row is known.
    """
    rows = np.asarray(rows, dtype=np.float64)
    known = rows[np.isfinite(rows).all(axis=1)]
    if not len(known):
        raise ExportError(place, "is known in no frame", "some frames", "Leave this episode out.")
    found = {name: np.quantile(known, share, axis=0) for name, share in QUANTILES.items()}
    found |= {"min": known.min(axis=0), "max": known.max(axis=0)}
    found |= {"mean": known.mean(axis=0), "std": known.std(axis=0)}
    return found | {"count": np.array([len(known)])}


def picture_statistics(pictures: np.ndarray) -> Statistics:
    """Return the statistics of each colour, arrays of shape (3, 1, 1); ``count`` is of pictures.

    Parameters
    ----------
    pictures : float array, shape (n, height, width, 3)
        In [0, 1].
    """
    found = statistics(pictures.reshape(-1, 3))
    found = {name: value.reshape(3, 1, 1) for name, value in found.items() if name != "count"}
    return found | {"count": np.array([len(pictures)])}


def pooled(parts: Sequence[Statistics]) -> Statistics:
    """Return the statistics of several episodes together.

    Notes
    -----
    Extremes, mean and standard deviation are those of all rows. Quantiles are means of the
    episodes' quantiles, weighted by their rows, as LeRobot itself pools them: not those of all
    rows, unless there is one episode.
    """
    counts = np.array([part["count"][0] for part in parts], dtype=np.float64)
    share = counts / counts.sum()

    def mean(values: list[np.ndarray]) -> np.ndarray:
        return np.tensordot(share, np.stack(values), axes=1)

    middle = mean([part["mean"] for part in parts])
    spread = mean([part["std"] ** 2 + (part["mean"] - middle) ** 2 for part in parts])
    found = {name: mean([part[name] for part in parts]) for name in QUANTILES}
    found |= {"min": np.min([part["min"] for part in parts], axis=0)}
    found |= {"max": np.max([part["max"] for part in parts], axis=0)}
    found |= {"mean": middle, "std": np.sqrt(spread)}
    return found | {"count": np.array([int(counts.sum())])}
