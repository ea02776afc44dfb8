"""From whatever a file holds to named tensors, and what it says of them.

Training scripts wrap the weights: ``{"state_dict": ...}``, ``{"model": ..., "model_ema": ...}``, Lightning,
OpenMMLab. Nothing is unwrapped by name here: every tensor in every nested dict gets its dotted path as its
name, and the recogniser finds the network among them, under whatever prefix.
"""

from __future__ import annotations

import re
from argparse import Namespace
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from seviz.errors import CheckpointError, UsageError
from seviz.networks.formats.archives import MOST_TENSORS, too_many_tensors
from seviz.networks.formats.reparametrised import resolved

# What training state is kept under. Its tensors have the shapes of the weights and are none.
_STATE = re.compile(
    r"(optim(izer)?(_?states?)?(_dict)?|opt(_state)?|lr_?schedulers?|schedulers?|scaler|amp|callbacks|"
    r"loops|exp_avg(_sq)?|momentum(_buffer)?|message_hub|averaging_state)",
    re.IGNORECASE,
)
# Profilers (thop) leave these behind in the network that they counted.
_PROFILER = frozenset({"total_ops", "total_params"})
_AVERAGED = re.compile(r"(^|_)(ema|swa|averaged?|avg|polyak)(_|$)", re.IGNORECASE)
_DEPTH = 12
# How often one dict may be met. A few dicts that hold each other many times over would never end.
_MEETINGS = 8
# Names of tensors are shorter, and have fewer parts.
_LETTERS, _PARTS = 1000, 32


@dataclass(frozen=True, eq=False)
class Payload:
    """Named tensors and the small facts beside them.

    Attributes:
        tensors: Every named tensor of the file by its dotted path.
        facts: What else the file holds, by its dotted path: numbers, text, lists of them.
        averaged: Prefixes of the names whose weights are a running average over training.
        notes: What was left out.
    """

    tensors: dict[str, Tensor]
    facts: dict[str, Any] = field(default_factory=dict)
    averaged: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def resolved(self) -> tuple[Payload, tuple[str, ...]]:
        """Return this with pruned and normalised weights put together, and remarks on them."""
        tensors, notes = resolved(self.tensors)
        return (replace(self, tensors=tensors) if notes else self), notes

    def under(self, key: str, file_name: str) -> Payload:
        """Return the tensors under one key.

        Args:
            key: ``student``, or a longer part of a dotted path.
            file_name: For messages.

        Raises:
            UsageError: If there are none.
        """
        wanted = key.strip(".").split(".")
        kept = {n: t for n, t in self.tensors.items() if _holds(n.split(".")[:-1], wanted)}
        if not kept or not wanted[0]:
            raise UsageError(
                f"expected weights under {key!r} in {file_name}, found none; it has them under "
                f"{', '.join(_places(self.tensors))}"
            )
        return replace(self, tensors=kept)

    def is_averaged(self, name: str) -> bool:
        """Return whether a tensor, or everything under a prefix, is a running average."""
        return any(name == p or name.startswith(f"{p}.") for p in self.averaged)


def flatten(content: Any, file_name: str) -> Payload:
    """Return the named tensors of a file's content.

    Args:
        content: What was unpickled.
        file_name: For messages.

    Raises:
        CheckpointError: If it holds none, or one without a shape.
    """
    tensors: dict[str, Tensor] = {}
    facts: dict[str, Any] = {}
    long = 0
    if isinstance(content, Mapping):
        for name, leaf in _leaves(content, Counter()):
            if _is_long(name):
                long += isinstance(leaf, Tensor)
            elif isinstance(leaf, Tensor) and leaf.is_nested:
                raise CheckpointError(
                    f"expected tensors with a shape in {file_name}, found {name} nested; save plain tensors"
                )
            elif isinstance(leaf, Tensor):
                if len(tensors) >= MOST_TENSORS:  # one dict may be met under several names
                    raise too_many_tensors("more", file_name)
                # A view of its own, without the attributes that the file may have given it.
                tensors[name] = Tensor.detach(leaf)
            else:
                facts[name] = leaf
    left = [n for n in tensors if n.rpartition(".")[2] in _PROFILER]
    for name in left:
        del tensors[name]
    if not tensors:
        found = type(content).__name__
        if isinstance(content, Mapping):
            found = "a dict without one" if content else "an empty dict"
        raise CheckpointError(
            f"expected named tensors in {file_name}, found {found}; save model.state_dict(), or a dict "
            "that has it under 'state_dict'"
        )
    notes = (
        f"{len(left)} left-overs of a profiler dropped (total_ops, total_params)" if left else "",
        f"{long} tensors left out whose names have over {_LETTERS:,} letters or {_PARTS} parts"
        if long
        else "",
    )
    return Payload(tensors, facts, _averaged(content, tensors), tuple(filter(None, notes)))


def _leaves(
    node: Mapping[Any, Any], met: Counter[int], path: str = "", depth: int = 0
) -> Iterator[tuple[str, Any]]:
    met[id(node)] += 1
    if depth > _DEPTH or met[id(node)] > _MEETINGS:
        return
    for key, value in node.items():
        # Optimizers number their parameters.
        if not isinstance(key, str) or (_STATE.fullmatch(key) and not isinstance(value, Tensor)):
            continue
        name = f"{path}{key}"
        inner = vars(value) if isinstance(value, Namespace) else value
        if not isinstance(inner, Mapping) or _is_numbered(inner):
            yield name, value
        elif not _is_long(name):
            yield from _leaves(inner, met, f"{name}.", depth + 1)


def _holds(path: list[str], wanted: list[str]) -> bool:
    """Return whether components follow each other in a path."""
    return any(path[i : i + len(wanted)] == wanted for i in range(len(path) - len(wanted) + 1))


def _places(names: Iterable[str], most: int = 8) -> list[str]:
    """Return the first prefixes at which the names of a file part."""
    paths = [n.split(".") for n in names]
    shared = 0
    while len({p[shared] for p in paths if len(p) > shared + 1}) == 1:
        shared += 1
    found = list(dict.fromkeys(".".join(p[: shared + 1]) for p in paths if len(p) > shared + 1))
    return [*found[:most], *(["..."] if len(found) > most else [])]


def _is_numbered(node: Mapping[Any, Any]) -> bool:
    """Return whether a dict holds texts by number, as class names are kept."""
    return bool(node) and all(type(k) is int and isinstance(v, str) for k, v in node.items())


def _is_long(name: str) -> bool:
    return len(name) > _LETTERS or name.count(".") > _PARTS


def _averaged(content: Any, tensors: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Return the prefixes of averaged weights, as the frameworks that write such files lay them out."""
    if "ema_state_dict" in content and "message_hub" in content:
        # mmengine swaps before it saves: the average is in the state dict.
        return ("state_dict",)
    if "current_model_state" in content and "averaging_state" in content:
        # So does Lightning's WeightAveraging.
        return ("state_dict",)
    prefixes = set()
    for name in tensors:
        parts = name.split(".")
        for end, part in enumerate(parts[:-1], 1):
            if _AVERAGED.search(part):
                prefixes.add(".".join(parts[:end]))
                break
        if parts[-1] == "n_averaged":  # torch.optim.swa_utils.AveragedModel
            prefixes.add(".".join([*parts[:-1], "module"]))
    return tuple(sorted(prefixes))
