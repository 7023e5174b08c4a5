"""The published network as one would write it first: nn.Module, batches of samples, AdamW.

The reference that `xperience.heads.neural` is held to, for equality and for speed.
"""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


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


def fit(model, z, loss, *, epochs=80, batch=128, rate=1e-3, decay=1e-4, loader=False, orders=None):
    """Train in place. ``loss``: (outputs, places) -> scalar; ``orders``: a permutation an epoch."""
    adam = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)
    places = torch.arange(len(z))
    data = DataLoader(TensorDataset(z, places), batch_size=batch, shuffle=True)
    model.train()
    for epoch in range(epochs):
        order = orders[epoch] if orders is not None else torch.randperm(len(z))
        for rows, own in data if loader else ((z[own], own) for own in order.split(batch)):
            adam.zero_grad()
            loss(model(rows), own).backward()
            adam.step()
    return model


@torch.no_grad()
def outputs(model, z):
    model.eval()
    return model(z)
