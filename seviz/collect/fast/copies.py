"""Changed copies of a network that share what they do not change with it."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import torch
from torch import nn

from seviz.collect.fast.backends import arranged
from seviz.collect.fast.norms import NormFold, fold_norms
from seviz.networks.architectures.folded import shared_copy
from seviz.networks.formats.graph_network import GraphNetwork, GraphStep


def changed_copy(
    model: nn.Module, *, folds: Collection[NormFold] = (), channels_last: bool = False
) -> nn.Module:
    """Return a copy that computes the same in another order.

    Args:
        model: The network; it is left as it is.
        folds: Batch norms to fold into the convolutions before them.
        channels_last: Whether the kernels of 2-D convolutions are stored with the channels innermost.
    """
    # Parameters that are made in inference mode cannot be compiled later.
    with torch.inference_mode(False), torch.no_grad():
        copy = shared_copy(model)
        for module in copy.modules():
            module.training = False
        fold_norms(copy, folds)
        if channels_last:
            _arrange_kernels(copy)
    return copy


def has_foreign_hooks(model: nn.Module) -> bool:
    """Whether somebody watches the network: hooks other than torch's own (weight norm, pruning)."""
    return any(
        not type(hook).__module__.startswith("torch.")
        for module in model.modules()
        for hooks in (module._forward_hooks, module._forward_pre_hooks)
        for hook in hooks.values()
    )


def is_float32(model: nn.Module) -> bool:
    """Whether every floating-point number of the network is float32."""
    floating = [t for t in (*model.parameters(), *model.buffers()) if t.is_floating_point()]
    return bool(floating) and all(t.dtype is torch.float32 for t in floating)


def has_maps(model: nn.Module) -> bool:
    """Whether there are 2-D convolutions, for which the order of the channels in memory matters."""
    if isinstance(model, GraphNetwork) and model.engine is not None:
        return False  # it computes with numbers of its own
    return any(True for _ in _kernels(model))


def _kernels(model: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """Yield the modules of 2-D convolutions with the names of their kernels."""
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            yield module, "weight"
        elif isinstance(module, GraphStep):
            # An operator of a file, whatever it is called there. For other weights of four dimensions the
            # order in memory makes no difference.
            yield from ((module, n) for n, p in module._parameters.items() if _is_kernel(p))


def _is_kernel(parameter: nn.Parameter | None) -> bool:
    return parameter is not None and parameter.dim() == 4 and len(parameter) > 1


def _arrange_kernels(model: nn.Module) -> None:
    made: dict[int, nn.Parameter] = {}
    for module, name in _kernels(model):
        kernel = module._parameters.get(name)
        if kernel is None:  # computed by a hook or a parametrisation
            continue
        if id(kernel) not in made:
            made[id(kernel)] = nn.Parameter(arranged(kernel.detach()), kernel.requires_grad)
        module._parameters[name] = made[id(kernel)]
