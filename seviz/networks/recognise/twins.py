"""What two networks with the same tensors differ in: what a state dict cannot show."""

from __future__ import annotations

from torch import nn

_SHOWN = 60
# What plays no part in inference.
_TRAINING = frozenset({"training", "p", "momentum", "grad_checkpointing"})


def difference(one: nn.Module, other: nn.Module) -> str | None:
    """Return what distinguishes two networks, at the first module where they differ.

    Compares the kinds of the modules in order, what they print of themselves and their plain attributes
    (strides, epsilons, activation functions).

    Returns:
        ``layer1.0.conv1: stride (2, 2) or (1, 1)``; None if nothing differs.
    """
    ours, theirs = _described(one), _described(other)
    for (path, here), (_, there) in zip(ours, theirs, strict=False):
        for key in sorted(here.keys() | there.keys()):
            if here.get(key) != there.get(key):
                told = " or ".join(_short(side.get(key)) for side in (here, there))
                return f"{path}: {key} {told}" if key else f"{path}: {told}"
    if len(ours) != len(theirs):
        longer = max(ours, theirs, key=len)
        return f"{longer[min(len(ours), len(theirs))][0]} (one has it)"
    return None


def _described(model: nn.Module) -> list[tuple[str, dict[str, object]]]:
    """List the modules that compute something, in order, with all that they show of themselves."""
    listed = []
    for path, module in model.named_modules():
        if not path:
            continue
        shown: dict[str, object] = {"": type(module).__name__}
        for place, item in enumerate(_items(module.extra_repr())):
            key, equals, value = item.partition("=")
            shown[key if equals else f"argument {place}"] = value if equals else item
        for key, value in vars(module).items():
            if key.startswith("_") or key in _TRAINING or "drop" in key:
                continue
            if _is_plain(value):
                shown[key] = str(value)
            elif callable(value) and hasattr(value, "__name__"):
                shown[key] = value.__name__
        listed.append((path, {k: v for k, v in shown.items() if "drop" not in k}))
    return listed


def _items(shown: str) -> list[str]:
    """Split ``3, 8, stride=(2, 2)`` at the commas that are in no brackets.

    >>> _items("3, 8, stride=(2, 2)")
    ['3', '8', 'stride=(2, 2)']
    """
    items, depth = [""], 0
    for letter in shown:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            items.append("")
        else:
            items[-1] += letter
    return [item.strip() for item in items if item.strip()]


def _is_plain(value: object) -> bool:
    if isinstance(value, tuple | list):
        return all(_is_plain(v) for v in value)
    return isinstance(value, bool | int | float | str | None)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
