"""Where in a file the network may be: every prefix that holds a good part of its tensors.

DataParallel, compile, Lightning, detectors and one's own habits put prefixes before the names of a network,
in any nesting, and checkpointing wrappers put more in the middle. Nothing is matched against a list: a
*view* is what lies under one prefix, whatever it is called.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Shape = tuple[int, ...]

_LEAST = 3
_SHARE = 0.1
_DEPTH = 16


@dataclass(frozen=True, eq=False)
class View:
    """The tensors under one prefix.

    Attributes:
        prefix: The prefix in the file, without its last dot; empty for all tensors.
        full: Name in the file by plain name.
        shapes: Shape by plain name.
    """

    prefix: str
    full: Mapping[str, str]
    shapes: Mapping[str, Shape]

    @property
    def size(self) -> int:
        """Number of tensors that count."""
        return sum(not is_counter(name) for name in self.shapes)


def is_counter(name: str) -> bool:
    """Return whether this counts training steps: no part of inference, and old files have none."""
    return name.rpartition(".")[2] in {"num_batches_tracked", "n_averaged"}


def views(shapes: Mapping[str, Shape]) -> list[View]:
    """Return every view that may be a network, the largest first.

    >>> [v.prefix for v in views({"ema.module.a.w": (1,), "ema.module.b": (2,), "ema.module.c": (3,)})]
    ['ema.module']
    """
    plain = {name: parts for name, parts in _plain(shapes).items() if not is_counter(name)}
    counts: Counter[tuple[str, ...]] = Counter()
    for parts in plain.values():
        for end in range(min(len(parts), _DEPTH)):
            counts[parts[:end]] += 1
    least = max(_LEAST, _SHARE * len(plain))
    # Of a chain of prefixes around the same tensors only the last is a view.
    inner: Counter[tuple[str, ...]] = Counter()
    for prefix, count in counts.items():
        if prefix:
            inner[prefix[:-1]] = max(inner[prefix[:-1]], count)
    kept = [p for p, count in counts.items() if count >= least and inner[p] < count]
    found = []
    for prefix in kept or [()]:
        under = {
            name: parts[len(prefix) :]
            for name, parts in plain.items()
            if parts[: len(prefix)] == prefix
        }
        full = {".".join(parts): name for name, parts in under.items()}
        found.append(View(_real_prefix(full), full, {p: tuple(shapes[n]) for p, n in full.items()}))
    return sorted(found, key=lambda v: -v.size)


def whole(shapes: Mapping[str, Shape]) -> View:
    """Return the view of a network's own state dict: every tensor, under its plain name."""
    parts = _plain({n: s for n, s in shapes.items() if not is_counter(n)})
    shared = 0
    while len({p[shared] for p in parts.values() if len(p) > shared + 1}) == 1 and all(
        len(p) > shared + 1 for p in parts.values()
    ):
        shared += 1
    full = {".".join(p[shared:]): name for name, p in parts.items()}
    return View("", full, {p: tuple(shapes[n]) for p, n in full.items()})


def _real_prefix(full: Mapping[str, str]) -> str:
    """Return the part that all names in the file share, in whole components."""
    names = [name.split(".")[:-1] for name in full.values()]
    shared = []
    for parts in zip(*names, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return ".".join(shared)


def _plain(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the components of each name without those that wrappers put in the middle.

    ``layer1._checkpoint_wrapped_module.0.weight`` is ``layer1.0.weight``: a component that begins with an
    underscore, or is ``module``, and has no sibling, is a wrapper's.
    """
    children: dict[tuple[str, ...], set[str]] = {}
    split = {name: tuple(name.split(".")) for name in names}
    for parts in split.values():
        for end in range(len(parts)):
            children.setdefault(parts[:end], set()).add(parts[end])

    def kept(parts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(
            part
            for end, part in enumerate(parts)
            if end == len(parts) - 1
            or not (part == "module" or part.startswith("_"))
            or len(children[parts[:end]]) > 1
        )

    return {name: kept(parts) for name, parts in split.items()}
