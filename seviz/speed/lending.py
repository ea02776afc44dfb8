"""A device as a place for numbers that do not belong to a network: sums, large matrices."""

from __future__ import annotations

import torch

from seviz.places import HOST, Place
from seviz.results import Array


def sums_device(device: torch.device) -> torch.device:
    """Return where float64 is computed: the device itself, or the host where it has none."""
    return torch.device("cpu") if device.type == "mps" else device


def lent(device: torch.device) -> Place:
    """Return the device as a place to compute; the host, with NumPy, for one that has no float64."""
    return HOST if sums_device(device).type == "cpu" else torch_place(device)


def torch_place(device: torch.device) -> Place:
    """Return a place where torch computes."""

    def put(array: Array) -> torch.Tensor:
        return torch.from_numpy(array).to(device)

    def take(tensor: torch.Tensor) -> Array:
        return tensor.cpu().numpy()

    return Place(torch, put, take, full=(torch.OutOfMemoryError,))
