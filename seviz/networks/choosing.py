"""Which of the weights in a file are taken, and what is left out."""

from __future__ import annotations

from collections.abc import Sequence, Set

from seviz.errors import UsageError
from seviz.networks.formats.payload import Payload
from seviz.networks.recognise.bare import excitations
from seviz.networks.recognise.fit import Fit
from seviz.networks.recognise.recognise import Recognised
from seviz.networks.recognise.views import views


def choose(
    found: list[Recognised], payload: Payload, ema: bool | None, name: str
) -> tuple[Recognised, tuple[str, ...]]:
    """Choose among several sets of weights in one file: averaged or not, then the first.

    Args:
        found: The networks that were recognised, one for each set.
        payload: What the file holds.
        ema: Whether averaged weights are wanted; ``None`` where nobody said.
        name: Name of the file.

    Returns:
        The network, and remarks on the choice.

    Raises:
        UsageError: If averaged weights are wanted and there are none.
    """

    def averaged(one: Recognised) -> bool:
        return payload.is_averaged(one.fit.view.prefix)

    wanted = [r for r in found if averaged(r) == (ema is not False)]
    if not wanted and ema is True:
        raise UsageError(
            f"expected averaged weights (EMA) in {name}, found none under "
            f"{', '.join(r.fit.view.prefix or '(no prefix)' for r in found)}; leave --ema out"
        )
    chosen = (wanted or found)[0]
    notes: tuple[str, ...] = ()
    rest = [r for r in found if r is not chosen]
    if rest and averaged(chosen) != averaged(rest[0]):
        took, other = ("averaged (EMA)", "--no-ema") if averaged(chosen) else ("raw", "--ema")
        notes += (
            f"the file has raw and averaged weights; the {took} ones under {chosen.fit.view.prefix} were "
            f"taken, {other} takes those under {rest[0].fit.view.prefix}",
        )
    elif rest:
        places = ", ".join(r.fit.view.prefix or "(no prefix)" for r in rest)
        notes += (
            f"the file has several sets of weights that fit; those under "
            f"{chosen.fit.view.prefix or '(no prefix)'} were taken, not those under {places}; --weights "
            f"{rest[0].fit.view.prefix or chosen.fit.view.prefix} takes those",
        )
    elif averaged(chosen) and ema is None:
        notes += (f"averaged weights (EMA) under {chosen.fit.view.prefix}",)
    elif averaged(chosen) and ema is False:
        notes += ("the file has averaged weights (EMA) only; they were taken",)
    return chosen, notes


def places_outside(payload: Payload, found: Fit) -> list[str]:
    """Return where, outside the network that was recognised, a file holds what looks like SE.

    A second set of the same weights (averaged ones, a teacher's) is no part of a larger network.
    """
    taken = {*found.view.full.values(), *found.names.values()}
    rest = {n: tuple(t.shape) for n, t in payload.tensors.items() if n not in taken}
    same = set(found.view.shapes)
    places: dict[str, None] = {}
    for view in views(rest) if rest else ():
        for block in excitations(view):
            if not any(_is_copy(name, same) for name in block.parameters):
                places[_common_path(block.parameters)] = None
    return list(places)


def _is_copy(name: str, own: Set[str]) -> bool:
    """Return whether a tensor has the name of one of the network's own, under another prefix."""
    parts = name.split(".")
    return any(".".join(parts[begin:]) in own for begin in range(len(parts)))


def _common_path(names: Sequence[str]) -> str:
    """Return the module that holds parameters of these names."""
    shared: list[str] = []
    for parts in zip(*(n.split(".")[:-1] for n in names), strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return ".".join(shared)
