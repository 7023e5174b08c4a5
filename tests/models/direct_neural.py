"""The published network as one would write it first: nn.Module, shuffled batches, AdamW.

The reference that `xperience.models.mlp` is held to, for equality and for speed.
"""

import torch
from torch import nn


def network(n_features, n_outputs, *, width=128, dropout=0.1):
    return nn.Sequential(
        nn.LayerNorm(n_features),
        nn.Linear(n_features, width),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(width, width),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(width, n_outputs),
    )


def adam(model, rate=1e-3, decay=1e-4):
    return torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)


def epoch(model, optimiser, z, loss, *, batch=128, order=None):
    """Train one epoch in place. ``loss``: (outputs, places of the batch) -> scalar."""
    model.train()
    order = torch.randperm(len(z)) if order is None else order
    for own in order.split(batch):
        optimiser.zero_grad()
        loss(model(z[own]), own).backward()
        optimiser.step()


@torch.no_grad()
def outputs(model, z):
    model.eval()
    return model(z)
