"""Networks with several outputs: the one that counts, taken where all of seviz can see nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from seviz.errors import UsageError
from seviz.gates.inputs import outputs_in, taken


def with_head(model: nn.Module, head: str) -> nn.Module:
    """Return the network itself, from now on giving one of its outputs alone.

    Names of modules and weights stay: it is the class of the network that changes, so that copies of it do
    the same.

    Args:
        model: A network whose outputs are a mapping, a named tuple, a dataclass, a tuple or a list.
        head: Name of the output, or its position; dots lead into outputs within outputs: ``heads.age``.

    Raises:
        UsageError: If it is a compiled program. When it is run: if it has no such output.

    >>> import torch
    >>> class Two(nn.Linear):
    ...     def forward(self, x):
    ...         return {"age": super().forward(x), "sex": x}
    >>> with_head(Two(2, 3), "age")(torch.zeros(1, 2)).shape
    torch.Size([1, 3])
    """
    kind = type(model)
    if kind.__module__.startswith("torch.jit") or "__class__" in vars(kind):
        raise UsageError(
            f"expected --head with a network of modules, found a compiled program ({kind.__name__}); leave "
            "it out"
        )

    def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        return picked(kind.forward(self, *args, **kwargs), head)

    # Whoever asks for the network's parameters by name finds those of its own forward.
    forward.__wrapped__ = kind.forward  # type: ignore[attr-defined]
    named = {"forward": forward, "__module__": kind.__module__}
    model.__class__ = type(f"{kind.__name__}[{head}]", (kind,), named)
    return model


def picked(result: Any, head: str) -> Any:
    """Return one output of several.

    Raises:
        UsageError: If there is none of that name; the message has those that there are.

    >>> picked({"a": 1, "b": (2, 3)}, "b.1")
    3
    """
    for part in [head] if isinstance(result, Mapping) and head in result else head.split("."):
        by_place = part.isdecimal() and len(part) < 10 and isinstance(result, tuple | list)
        try:
            result = taken(result, int(part) if by_place else part)
        except LookupError:
            there = ", ".join(outputs_in(result)) or "one tensor"
            raise UsageError(
                f"expected the name of an output of the network for --head, found {head!r}; it gives {there}"
            ) from None
    return result
