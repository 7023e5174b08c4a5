"""How an adapter is trained, and what a step sees: functions of the seed and the step."""

from dataclasses import dataclass
from math import cos, pi

import numpy as np

from xperience.qwen.schema import AnswersError

ATTENTION = r".*language_model\.layers\.\d+\.self_attn\.[qkvo]_proj"
"""The text model's attention: not the experts, which are held as blocks, and not the towers."""


@dataclass(frozen=True)
class Settings:
    """How an adapter is trained.

    Parameters
    ----------
    steps : int
        Optimiser steps.
    batch : int
        Records of a step, over all processes.
    piece : int
        Records that a process takes through the model at once; what is left is accumulated.
    learning_rate : float
        Its peak: reached after ``warmup`` steps, 0 after the last, a cosine between.
    warmup : int
    weight_decay : float
    most_gradient : float
        A longer gradient is scaled to this length.
    rank : int
        Of the adapter's matrices.
    alpha : float
        The adapter's output is scaled by ``alpha / rank``.
    dropout : float
        Of the adapter's input.
    targets : str
        Regular expression of the linear layers that are adapted.
    save_every : int
        Steps between checkpoints; each is validated.
    most_validation : int
        At most so many validation records, evenly spaced.
    bf16 : bool
        Compute in bfloat16; the adapter stays in float32.
    recompute : bool
        Keep fewer activations and compute them again (gradient checkpointing).
    seed : int
    """

    steps: int = 100
    batch: int = 8
    piece: int = 1
    learning_rate: float = 1e-4
    warmup: int = 5
    weight_decay: float = 0.0
    most_gradient: float = 1.0
    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.05
    targets: str = ATTENTION
    save_every: int = 50
    most_validation: int = 256
    bf16: bool = False
    recompute: bool = False
    seed: int = 7

    def __post_init__(self) -> None:
        counts = ("steps", "batch", "piece", "rank", "save_every", "most_validation")
        wrong = [name for name in counts if getattr(self, name) < 1]
        if wrong:
            raise wrong_setting(wrong[0], getattr(self, wrong[0]), "1 or more")

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, the first being 0."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / (self.warmup + 1)
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.learning_rate * (1 + cos(pi * done)) / 2

    def records_of(self, step: int, n_records: int) -> list[int]:
        """Return which records a step sees: all before any again, in an order drawn anew."""
        first = step * self.batch
        return [self._nth(place, n_records) for place in range(first, first + self.batch)]

    def _nth(self, place: int, n_records: int) -> int:
        epoch, within = divmod(place, n_records)
        return int(np.random.default_rng([self.seed, epoch]).permutation(n_records)[within])


def wrong_setting(name: str, found: object, expected: str) -> AnswersError:
    """Return the error of a setting that cannot be."""
    return AnswersError(f"settings: {name}", f"is {found}", expected, "Name another value.")
