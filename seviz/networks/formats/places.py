"""Places for modules in a network by dotted names that a file gives, whether or not they are free."""

from __future__ import annotations

from torch import nn


def put_at(
    root: nn.Module, path: str, module: nn.Module, numbers: dict[tuple[int, str], int]
) -> str:
    """Put a module at a dotted path, or at one like it that is free; return where it is.

    Args:
        root: The network.
        path: Where it is wanted.
        module: What goes there.
        numbers: As for `free_name`.
    """
    *above, leaf = [part for part in path.split(".") if part] or ["step"]
    place = []
    for part in above:
        while part not in root._modules and hasattr(root, part):
            part += "_"  # noqa: PLW2901
        if root._modules.get(part) is None:
            root.add_module(part, nn.Module())
        child = root._modules[part]
        assert child is not None
        root = child
        place.append(part)
    existing = root._modules.get(leaf)
    if type(existing) is nn.Module:  # a place that only holds others
        module._modules.update(existing._modules)
        root._modules[leaf] = module
    else:
        leaf = free_name(root, leaf, numbers)
        root.add_module(leaf, module)
    return ".".join([*place, leaf])


def take_out(root: nn.Module, path: str) -> None:
    """Take out the module at ``path``, and the places around it that hold nothing any more."""
    parent, _, leaf = path.rpartition(".")
    around = root.get_submodule(parent)
    module = around._modules[leaf]
    assert module is not None
    if module._modules:
        emptied = nn.Module()
        emptied._modules.update(module._modules)
        around._modules[leaf] = emptied
        return
    del around._modules[leaf]
    if parent and type(around) is nn.Module and not around._modules:
        take_out(root, parent)


def free_name(
    module: nn.Module, name: str, numbers: dict[tuple[int, str], int] | None = None
) -> str:
    """Return a name that PyTorch takes: no dots, not empty, and none that the module has already.

    Args:
        module: Where it goes.
        name: The one that is wanted.
        numbers: How far names were counted, by module and name: a file may give all operators one name.
    """
    name = name.replace(".", "_") or "_"
    if not hasattr(module, name):
        return name
    number = (numbers or {}).get((id(module), name), 1) + 1
    while hasattr(module, f"{name}_{number}"):
        number += 1
    if numbers is not None:
        numbers[id(module), name] = number
    return f"{name}_{number}"
