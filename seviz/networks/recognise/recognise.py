"""Which network a bare set of named tensors belongs to.

Own architectures are read off the shapes, whatever their depth, width and reduction; the zoos' are looked
up in the index, built on the meta device, and compared in full. Nothing less than every tensor counts as
recognised.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seviz.errors import SevizError
from seviz.networks.architectures.registry import READERS
from seviz.networks.recognise.fit import Fit, fit, with_foreign_head
from seviz.networks.recognise.twins import difference
from seviz.networks.recognise.views import Shape, View, views
from seviz.networks.recognise.zoo_index import Ranked, rank

# How alike a network must be to be built and compared, and how many are.
_ALIKE = 0.5
_BUILT = 4
_NEAR = 3
# Names that files call their architecture by: timm, torchvision's references, Lightning, people.
_HINT = re.compile(
    r"(^|\.)(arch|architecture|model|model_name|model_type|net|network|backbone|encoder|name|variant)$"
)


@dataclass(frozen=True, eq=False)
class Recognised:
    """A network that all tensors of a view fit.

    Attributes:
        fit: The network taken.
        others: Networks that fit as well and compute something else, with what differs.
        same: Networks that fit as well and compute the same.
    """

    fit: Fit
    others: tuple[tuple[str, str], ...] = ()
    same: tuple[str, ...] = ()

    @property
    def note(self) -> str | None:
        """What to say of the choice, if there was one."""
        if not self.others:
            return None
        listed = [f"{name} ({differs})" for name, differs in self.others[:3]]
        more = f" and {len(self.others) - 3} more" if len(self.others) > 3 else ""
        return (
            f"ambiguous: the same tensors fit {', '.join(listed)}{more}; {self.fit.name} was taken, "
            f"--arch {self.others[0][0]} takes the other"
        )


@dataclass(frozen=True, eq=False)
class Recognition:
    """What was found in a file.

    Attributes:
        found: Recognised networks, one for each view that is a network (raw and averaged weights).
        near: The networks that come nearest where none fits.
    """

    found: tuple[Recognised, ...]
    near: tuple[Fit, ...] = ()


def recognise(shapes: Mapping[str, Shape], facts: Mapping[str, Any]) -> Recognition:
    """Recognise the networks in a set of named tensors.

    Args:
        shapes: Shape of every tensor by its name in the file.
        facts: What else the file says, by dotted path; an architecture named there breaks ties.
    """
    hints = _hints(facts)
    found: list[Recognised] = []
    near: list[Fit] = []
    for view in views(shapes):
        if any(_inside(view, r.fit.view) for r in found):
            continue
        own, close = _own(view)
        if own is not None:
            found.append(Recognised(own))
            continue
        fits, closest = _zoo(view, hints)
        near += [*close, *closest]
        if fits:
            found.append(_settled(fits, hints, shapes))
    near.sort(key=lambda f: (-f.share, -len(f.names)))
    best: dict[str, Fit] = {}
    for one in near:
        best.setdefault(one.name, one)
    return Recognition(tuple(found), tuple(best.values())[:_NEAR])


def _inside(view: View, other: View) -> bool:
    return set(view.full.values()) <= set(other.full.values())


def _own(view: View) -> tuple[Fit | None, list[Fit]]:
    """Return the architecture of this package that fits, and those that come near."""
    near = []
    for read in READERS:
        guess = read(view.shapes)
        if guess is None:
            continue
        try:
            one = fit(*guess, view)
        except SevizError:
            continue
        if one.complete:
            return one, []
        near.append(one)
    return None, near


def _zoo(view: View, hints: frozenset[str]) -> tuple[list[Fit], list[Fit]]:
    """Return every network of the zoos that fits, and, where none does, those that come near."""
    ranked = rank(view)
    same = [r for r in ranked if r.same_names and r.likeness >= _ALIKE]
    fits = [one for one in _fits(_equals(same, hints), view) if one.complete]
    if fits:
        return fits, []
    near = []
    for one in _fits([r for r in ranked if r.likeness >= _ALIKE and r not in same][:_BUILT], view):
        if one.complete:
            fits.append(one)
        near.append(one)
    return fits, [] if fits else near


def _equals(ranked: Sequence[Ranked], hints: frozenset[str]) -> list[Ranked]:
    """Return the most alike, all of them where they are equally so, the one to take by default first."""
    if not ranked:
        return []
    top = max(r.likeness for r in ranked)
    return sorted(
        (r for r in ranked if r.likeness >= top - 1e-9), key=lambda r: _preference(r.name, hints)
    )


def _preference(name: str, hints: frozenset[str]) -> tuple[bool, bool, int, str]:
    """Order: what the file names, PyTorch's own variants before TensorFlow's ports, short names."""
    entry = name.partition(":")[2]
    return (entry not in hints, entry.startswith("tf_"), len(entry), entry)


def _fits(ranked: Sequence[Ranked], view: View) -> Iterator[Fit]:
    for candidate in ranked:
        try:
            yield fit(candidate.name, {}, view)
        except SevizError:
            continue  # another version of the zoo has it no more


def _settled(fits: list[Fit], hints: frozenset[str], shapes: Mapping[str, Shape]) -> Recognised:
    first, *rest = sorted(fits, key=lambda f: _preference(f.name, hints))
    same, others = [], []
    for other in rest:
        differs = difference(first.model, other.model)
        if differs is None:
            same.append(other.name)
        else:
            others.append((other.name, differs))
    if first.name.partition(":")[2] in hints:
        others = []  # the file itself says which
    if first.args.get("num_classes") == 0:
        first = with_foreign_head(first, shapes)
    return Recognised(first, tuple(others), tuple(same))


def _hints(facts: Mapping[str, Any]) -> frozenset[str]:
    """Return the words under which a file may name its architecture, as the zoos spell them."""
    return frozenset(
        value.rpartition(":")[2].partition(".")[0]
        for key, value in facts.items()
        if isinstance(value, str) and _HINT.search(key) and len(value) < 100
    )
