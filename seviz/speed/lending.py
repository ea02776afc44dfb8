"""A device as a place for large arrays that do not belong to a network."""

from __future__ import annotations

import torch

from seviz.places import HOST, Place
from seviz.results import Array


def lent(device: torch.device) -> Place:
    """Return the device as a place to compute; the host, with NumPy, for one that has no float64."""
    return HOST if device.type in ("cpu", "mps") else torch_place(device)


def torch_place(device: torch.device) -> Place:
    """Return a place where torch computes."""

    def put(array: Array) -> torch.Tensor:
        return torch.from_numpy(array).to(device)

    def take(tensor: torch.Tensor) -> Array:
        return tensor.cpu().numpy()

    return Place(torch, put, take)
