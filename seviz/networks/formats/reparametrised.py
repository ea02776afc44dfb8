"""Weights that a file holds in parts, pruned and normalised ones: what the network computes with.

PyTorch keeps a weight that is computed from others under other names: ``weight_orig`` and ``weight_mask``
(`torch.nn.utils.prune`), ``weight_g`` and ``weight_v`` (weight norm), ``weight_orig``, ``weight_u`` and
``weight_v`` (spectral norm), and, since 1.9, ``parametrizations.weight.original``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

_PARTS = "parametrizations."
# Of the norm of a vector, as PyTorch's.
_TINY = 1e-12


def resolved(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Return the tensors with weights in the place of their parts, and remarks on what was put together.

    Args:
        tensors: Every tensor of a file by its name.
    """
    made: dict[
        str, tuple[str, Tensor]
    ] = {}  # by the name of the first part: the weight's name and value
    used: set[str] = set()
    counts: dict[str, int] = {}
    for name in tensors:
        if name in used:
            continue
        for ending, others, put_together, kind in _KINDS:
            if not name.endswith(ending):
                continue
            stem = name.removesuffix(ending)
            names = [name, *(stem + other for other in others)]
            if not all(n in tensors for n in names):
                continue
            parts = [tensors[n] for n in names]
            value = put_together(*parts) if all(map(_is_dense, parts)) else None
            if value is None:
                continue
            made[name] = (_plain(stem), value)
            used.update(names)
            counts[kind] = counts.get(kind, 0) + 1
            break
    if not made:
        return dict(tensors), ()
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name in made:
            weight, value = made[name]
            found[weight] = value
        elif name not in used:
            found[name] = tensor
    notes = tuple(f"{count} weights are {kind}" for kind, count in counts.items())
    return found, notes


def _plain(stem: str) -> str:
    """Return ``0.weight`` for ``0.parametrizations.weight``."""
    before, mark, after = stem.rpartition(_PARTS)
    return f"{before}{after}" if mark else stem


def _is_dense(tensor: Tensor) -> bool:
    odd = tensor.is_quantized or tensor.is_meta or tensor.is_complex()
    return tensor.layout is torch.strided and not odd


def _masked(weight: Tensor, mask: Tensor) -> Tensor | None:
    return weight * mask.to(weight.dtype) if weight.shape == mask.shape else None


def _weight_normed(g: Tensor, v: Tensor) -> Tensor | None:
    """Return g v / |v| (Salimans and Kingma, arXiv 1602.07868): a length for each output, or one for all."""
    if g.dim() == 0:
        return torch.mul(v, g / torch.linalg.vector_norm(v).clamp_min(_TINY))
    if g.dim() != v.dim():
        return None
    over = [d for d, size in enumerate(g.shape) if size == 1]
    if any(g.shape[d] != v.shape[d] for d in range(g.dim()) if d not in over):
        return None
    length = torch.linalg.vector_norm(v, dim=over, keepdim=True).clamp_min(_TINY)
    return torch.mul(v, g / length)


def _spectral_normed(weight: Tensor, u: Tensor, v: Tensor) -> Tensor | None:
    """Return the weight over its largest singular value u W v (Miyato et al., arXiv 1802.05957)."""
    for dim in (0, 1):  # transposed convolutions have their outputs second
        if weight.dim() <= dim:
            continue
        matrix = weight.movedim(dim, 0).flatten(1)
        if matrix.shape == (len(u), len(v)):
            return weight / torch.dot(u, matrix @ v)
    return None


_PRUNED = "pruned: what is left of them is taken (weight_orig times weight_mask)"
_NORMED = "kept as a length and a direction: their product is taken (weight norm)"
_SPECTRAL = "kept with their largest singular value: divided by it (spectral norm)"
# The ending of the first part, those of the others, how they go together, and what is said.
_KINDS: tuple[tuple[str, tuple[str, ...], Callable[..., Tensor | None], str], ...] = (
    ("_orig", ("_mask",), _masked, _PRUNED),
    ("_orig", ("_u", "_v"), _spectral_normed, _SPECTRAL),
    ("_g", ("_v",), _weight_normed, _NORMED),
    (".original0", (".original1",), _weight_normed, _NORMED),
    (".original", (".0._u", ".0._v"), _spectral_normed, _SPECTRAL),
)
