"""What a pass is asked for: everything that its numbers depend on. Equal requests, equal records."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from seviz.collect.fast import REDUCED
from seviz.errors import CheckpointError, DataError, SevizError, UsageError
from seviz.networks import LoadedModel
from seviz.networks.zoo import is_zoo_name, state_hash

# Packages whose version tells what their code does.
_VERSIONED = {"torch", "torchvision", "timm", "seviz"}
_SHOWN = 60

Request = Mapping[str, Any]


def network_request(loaded: LoadedModel) -> dict[str, Any]:
    """Return the part of a request that is about the network.

    The hash of the file does not tell which of its weights were taken, nor that of the weights which
    strides the network has; the printed modules do.
    """
    printed = f"{loaded.architecture}\n{loaded.model}"
    preprocessing = loaded.preprocessing.to_dict()
    del preprocessing["origin"]  # says who told, not what
    return {
        "checkpoint (sha256)": loaded.sha256,
        "weights (sha256)": state_hash(loaded.model),
        "architecture": loaded.architecture,
        "modules (sha256)": hashlib.sha256(printed.encode()).hexdigest(),
        **{f"preprocessing: {name}": value for name, value in preprocessing.items()},
        **{f"version of {name}": number for name, number in library_versions().items()},
    }


def digest(request: Request) -> str:
    """Return a SHA-256 that two requests share if they are equal.

    >>> digest({"a": 1, "b": (2, 3)}) == digest({"b": [2, 3], "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()


def runs_versioned_code(loaded: LoadedModel) -> bool:
    """Return whether the network computes what the versions of known packages say, and no code of others.

    Code of one's own changes under the same name; no hash of a checkpoint tells.
    """
    name = loaded.architecture.partition("(")[0]
    if "whole network" in loaded.format or (":" in name and not is_zoo_name(name)):
        return False
    return {type(m).__module__.partition(".")[0] for m in loaded.model.modules()} <= _VERSIONED


def refuse_other(now: Request, then: Request, where: object) -> None:
    """Raise if a pass that was begun is not the one that is asked for.

    Args:
        now: What is asked for.
        then: What was begun.
        where: The file that was left.

    Raises:
        CheckpointError: If the network differs.
        DataError: If the images or their preprocessing do.
        UsageError: If anything else does.
    """
    for name in [*now, *(n for n in then if n not in now)]:
        ours, theirs = (json.loads(json.dumps(r.get(name))) for r in (now, then))
        if ours != theirs:
            raise _error(name)(
                f"expected to resume with the same {name}, found {_show(ours)} where {where} has "
                f"{_show(theirs)}; start anew without --resume"
            )


def _error(name: str) -> type[SevizError]:
    if name.startswith(("checkpoint", "weights", "architecture", "modules")):
        return CheckpointError
    if name.startswith(("data", "images", "preprocessing", "classes")):
        return DataError
    return UsageError


def _show(value: object) -> str:
    text = json.dumps(value).strip('"')
    if len(text) == 64 and " " not in text:
        return f"{text[:12]}..."  # a hash
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def dtype_name(loaded: LoadedModel, amp_dtype: str | None) -> str:
    """Return the floating-point type of a pass, as a record names it."""
    if amp_dtype is not None:
        return REDUCED[amp_dtype].label
    first = next(loaded.model.parameters(), torch.empty(0))
    return str(first.dtype).removeprefix("torch.")


def library_versions() -> dict[str, str]:
    """Return the versions of what makes a record."""
    names = ("seviz", "torch", "torchvision", "timm", "numpy", "pillow")
    return {"python": platform.python_version(), **{n: _version(n) for n in names}}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"  # a source tree on the path, say
