"""The neural head of the published contract, trained without normalising a batch twice.

LayerNorm → 128 → GELU → dropout → 128 → GELU → dropout → outputs, AdamW, 80 epochs in batches of
128. The first layer does nearly all the work; `xperience.heads.neural_inputs` says how it is made
cheap. The rest is left to autograd. What a seed gives does not depend on the other seeds of a call.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from xperience.heads.gram import BlockSource, Design
from xperience.heads.neural_dense import DENSE, dense
from xperience.heads.neural_fused import FusedLayer
from xperience.heads.neural_goals import (
    Device,
    Epoch,
    Fit,
    Goal,
    Objective,
    Validation,
    epoch_rows,
    pick_device,
)
from xperience.heads.neural_inputs import NormedInputs
from xperience.heads.neural_layer import Adam, Layer, NormedLinear

__all__ = [
    "DENSE",
    "PUBLISHED",
    "Epoch",
    "Fit",
    "Goal",
    "Settings",
    "Validation",
    "dense",
    "published_mlp",
]


@dataclass(frozen=True)
class Settings:
    """Settings of the published network and its training.

    Parameters
    ----------
    width : int
        Units of each of the two hidden layers.
    dropout : float
    rate : float
        Step of AdamW.
    decay : float
        Weight decay of AdamW, on every parameter.
    batch : int
        Samples a step.
    epochs : int
    """

    width: int = 128
    dropout: float = 0.1
    rate: float = 1e-3
    decay: float = 1e-4
    batch: int = 128
    epochs: int = 80


PUBLISHED = Settings()


def published_mlp(
    design: Design,
    source: BlockSource,
    goal: Goal,
    seeds: Sequence[int],
    settings: Settings = PUBLISHED,
    device: Device = "auto",
) -> list[Fit]:
    """Train the published network, once a seed.

    Parameters
    ----------
    design : Design
        Inputs; z-scored with the moments of the training samples.
    source : callable (block name) -> float32 array (n_windows, dim)
        Finite values.
    goal : Goal
        Vectors are z-scored with the training moments for the fit. Classes weigh the same in total;
        positives of a label weigh clip(negatives / positives, 1, 20).
    seeds : sequence of int
        Initial weights, order of batches and dropout come from the seed alone.
    settings : Settings
    device : {"auto", "cpu", "cuda"}
        "auto" takes a GPU where there is one. On a CPU a seed gives the same bytes every time, on
        one number of threads.

    Returns
    -------
    list of Fit
        One a seed.
    """
    place = pick_device(device)
    inputs = NormedInputs.of(design, source, place)
    objective = Objective(goal, device=place)
    return [_train(inputs, objective, goal.n_outputs, seed, settings) for seed in seeds]


def _train(
    inputs: NormedInputs, objective: Objective, n_outputs: int, seed: int, settings: Settings
) -> Fit:
    """Return the fit of one seed."""
    began = time.perf_counter()
    network = Network(inputs, n_outputs, seed, settings)
    curve = [network.epoch(objective) for _ in range(settings.epochs)]
    train, test = (objective.answers(outputs) for outputs in network.outputs())
    spent, device = time.perf_counter() - began, inputs.scale.device.type
    return Fit(test, train, epoch_rows(curve), seed, settings.epochs, spent, device)


class Network:
    """The published network on its way through the epochs.

    Parameters
    ----------
    inputs : NormedInputs
    n_outputs : int
    seed : int
    settings : Settings
    """

    def __init__(self, inputs: NormedInputs, n_outputs: int, seed: int, settings: Settings):
        self._settings, self._device = settings, inputs.scale.device
        self._chance = torch.Generator().manual_seed(seed)
        self._dropped = torch.Generator(self._device).manual_seed(seed)
        width = settings.width
        first, *rest = [
            [side.to(self._device) for side in start(n_in, n_out, self._chance)]
            for n_in, n_out in ((inputs.n_features, width), (width, width), (width, n_outputs))
        ]
        adam = Adam(settings.rate, settings.decay)
        layer = FusedLayer if self._device.type == "cpu" else NormedLinear
        self._first: Layer = layer(inputs, *first, adam)
        self._rest = [side.requires_grad_() for layer in rest for side in layer]
        self._n = len(inputs.scale)
        self._adam = torch.optim.AdamW(
            self._rest, lr=settings.rate, weight_decay=settings.decay, fused=True
        )

    def epoch(self, objective: Objective) -> float:
        """Take one step a batch; return the mean loss of the samples as they were trained on."""
        settings, total = self._settings, 0.0
        order = torch.randperm(self._n, generator=self._chance).to(self._device)
        masks = self._masks()
        for first in range(0, self._n, settings.batch):
            batch = order[first : first + settings.batch]
            hidden = self._first(batch).requires_grad_()  # (batch, width)
            outputs = self._tail(hidden, masks[:, first : first + settings.batch])
            loss = objective.loss(outputs, batch)
            loss.backward()
            self._first.learn(hidden.grad)
            self._adam.step()
            self._adam.zero_grad()
            total += loss.item() * len(batch)
        return total / self._n

    def _masks(self) -> torch.Tensor:
        """Return what the epoch's hidden values are multiplied by, (2, n, width)."""
        kept, shape = 1 - self._settings.dropout, (2, self._n, self._settings.width)
        drawn = torch.rand(shape, generator=self._dropped, device=self._device)
        return (drawn < kept) / kept

    def _tail(self, hidden: torch.Tensor, masks: torch.Tensor | None = None) -> torch.Tensor:
        """Return outputs from what the first layer gave."""
        weights, bias, weights_out, bias_out = self._rest
        hidden = functional.gelu(hidden)
        hidden = hidden if masks is None else hidden * masks[0]
        hidden = functional.gelu(functional.linear(hidden, weights, bias))
        hidden = hidden if masks is None else hidden * masks[1]
        return functional.linear(hidden, weights_out, bias_out)

    @torch.no_grad()
    def outputs(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the outputs of training and test samples, without dropout."""
        whole = torch.arange(self._n, device=self._device)
        train = [self._tail(self._first(part)) for part in whole.split(self._settings.batch)]
        return torch.cat(train), self._tail(self._first.test())


def start(n_in: int, n_out: int, chance: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weights (n_out, n_in) and biases (n_out,), uniform as PyTorch starts its layers."""
    bound = 1 / math.sqrt(n_in)
    shapes = ((n_out, n_in), (n_out,))
    weights, bias = (
        torch.empty(shape).uniform_(-bound, bound, generator=chance) for shape in shapes
    )
    return weights, bias
