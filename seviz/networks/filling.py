"""Putting weights into a network: all of them, in the right place, and finite."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from seviz.errors import CheckpointError
from seviz.networks.recognise.fit import Fit

_SHOWN = 3


def fill(
    model: nn.Module, weights: Mapping[str, Tensor], architecture: str, *, mapped: bool = False
) -> None:
    """Load weights strictly; half-precision numbers are widened to the network's own type.

    Args:
        model: The network.
        weights: Tensors by their names in the network; step counters of norms may be missing.
        architecture: For messages.
        mapped: Put the tensors themselves in, where they have the type of the network's, and copy
            nothing.

    Raises:
        CheckpointError: If a tensor is none that can be copied.
    """
    own = model.state_dict()
    kept = {k: v for k, v in own.items() if k not in weights}
    alike = all(v.dtype == own[k].dtype and not v.is_meta for k, v in weights.items())
    try:
        model.load_state_dict({**kept, **weights}, strict=True, assign=mapped and alike)
    except RuntimeError as exc:
        raise CheckpointError(
            f"expected tensors that can be copied into {architecture}, found others "
            f"({' '.join(str(exc).split())[:300]}); save plain dense tensors on the CPU"
        ) from exc


def check_plain(weights: Mapping[str, Tensor], name: str) -> None:
    """Check that weights are real numbers, each of which is there.

    Args:
        weights: The tensors that are used, by their names in the file.
        name: Name of the file.

    Raises:
        CheckpointError: If any is sparse, quantised, complex or without values.
    """
    bad = {key: kind for key, value in weights.items() if (kind := _oddity(value)) is not None}
    if bad:
        listed = ", ".join(f"{key} ({kind})" for key, kind in list(bad.items())[:_SHOWN])
        raise CheckpointError(
            f"expected plain dense numbers in {name}, found others in {len(bad)} of {len(weights)} "
            f"tensors: {listed}; save a float copy of the network, on the CPU",
            details={"not plain": [*bad]},
        )


def check_floating(weights: Mapping[str, Tensor], own: Mapping[str, Tensor], name: str) -> None:
    """Check that no weight is a whole number that stands for another one.

    Args:
        weights: The tensors that are used, by their names in the file.
        own: Those of the network that they go to, by the same names.
        name: Name of the file.

    Raises:
        CheckpointError: If weights are int8 (or so): without their scales they are other numbers.
    """
    bad = [
        f"{key} ({str(value.dtype).removeprefix('torch.')})"
        for key, value in weights.items()
        if own[key].is_floating_point() and not value.is_floating_point()
    ]
    if bad:
        raise CheckpointError(
            f"expected weights as floating-point numbers in {name}, found whole numbers in {len(bad)} of "
            f"{len(weights)} tensors: {', '.join(bad[:_SHOWN])}; quantised weights mean nothing without "
            "their scales: save a float copy of the network",
            details={"not floating-point": bad},
        )


def _oddity(tensor: Tensor) -> str | None:
    if tensor.layout is not torch.strided:
        return str(tensor.layout).removeprefix("torch.")
    if tensor.is_meta:
        return "meta, without values"
    if tensor.is_quantized or tensor.is_complex():
        return str(tensor.dtype).removeprefix("torch.")
    return None


def check_finite(weights: Mapping[str, Tensor], name: str, *, allow_nan: bool) -> str | None:
    """Look for NaN and infinity.

    Args:
        weights: The tensors that are used, by their names in the file.
        name: Name of the file.
        allow_nan: Return a note instead of raising.

    Raises:
        CheckpointError: If there are any; the tensors are named.
    """
    bad = {
        key: int((~torch.isfinite(value.float())).sum())
        for key, value in weights.items()
        if value.is_floating_point() and not _is_finite(value)
    }
    if not bad:
        return None
    listed = ", ".join(f"{key} ({n:,})" for key, n in list(bad.items())[:_SHOWN])
    more = f" and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    found = f"NaN or infinity in {len(bad)} of {len(weights)} tensors: {listed}{more}"
    if allow_nan:
        return f"{found}; whatever is computed from them is no number"
    raise CheckpointError(
        f"expected finite weights in {name}, found {found}; take a checkpoint from before the training "
        "diverged, or give --allow-nan",
        details={"not finite": [*bad]},
    )


def _is_finite(tensor: Tensor) -> bool:
    # A sum is not finite where a number is not, and costs a fifth of looking at each.
    numbers = tensor.float()
    return bool(torch.isfinite(numbers.sum()) or torch.isfinite(numbers).all())


def check_fit(found: Fit, architecture: str, name: str) -> None:
    """Check that nothing is missing, left over or of another shape.

    Raises:
        CheckpointError: If so; all names are in its details, the first of each in its message.
    """
    if found.complete:
        return
    shapes = [f"{n} {seen} instead of {own}" for n, seen, own in found.other_shape]
    kinds = {
        "missing": list(found.missing),
        "unexpected": list(found.unexpected),
        "of another shape": shapes,
    }
    parts = [
        f"{len(names)} {kind} ({', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''})"
        for kind, names in kinds.items()
        if names
    ]
    wanted = len(found.names) + len(found.missing) + len(found.other_shape)
    raise CheckpointError(
        f"expected the {wanted} tensors of {architecture} in {name}, found {'; '.join(parts)}; check "
        "--arch and --arch-args",
        details={kind: names for kind, names in kinds.items() if names},
    )
