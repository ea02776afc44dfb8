"""A case of a bad checkpoint: what is wrong, how it is given, and what must be said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seviz.networks.architectures.registry import build

ARGS: dict[str, Any] = {"widths": (4, 4, 4), "reduction": 2}
NAMED = ["--arch", "se_resnet14", "--arch-args", "widths=(4,4,4)", "reduction=2"]
CLASSES = ["ant", "bee", "cat"]


@cache
def network() -> nn.Module:
    torch.manual_seed(0)
    return build("se_resnet14", num_classes=3, **ARGS).eval()


def state() -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network().state_dict().items()}


@dataclass(frozen=True)
class Case:
    """What is wrong, how the command line is asked, and what it must say.

    Attributes:
        make: Writes the file at the path it is given.
        code: The exit code.
        parts: What the line holds.
        words: What follows the file on the command line.
        command: The command.
        file: Name of the file.
        detailed: Whether ``--json`` lists what the line has no room for.
    """

    make: Callable[[Path], object]
    code: int = 3
    parts: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    command: str = "inspect"
    file: str = "x.pt"
    detailed: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


CASES: dict[str, Case] = {}


def case(name: str, make: Callable[[Path], object], *parts: str, **more: Any) -> None:
    assert name not in CASES
    CASES[name] = Case(make, parts=parts, **more)


def raw(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def saved(content: Callable[[], object], **how: Any) -> Callable[[Path], object]:
    return lambda path: torch.save(content(), path, **how)
