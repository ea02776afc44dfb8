"""Batch norms folded into the convolutions before them, where the recorded pass shows that this is exact.

In evaluation a batch norm is y = gamma (x - mean) / sqrt(var + eps) + beta for each channel. Where x comes
from a convolution, gamma / sqrt(var + eps) can be multiplied into its kernels (Jacob et al. 2018,
arXiv:1712.05877, section 3.2), and one sweep over the map is saved.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import chain

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from seviz.gates.graph import Graph, Op, Value

# Operators of a batch norm by running statistics, with the place of the flag that says otherwise. Their
# first arguments are the map, weight, bias, mean and variance; their last one is epsilon.
_TRAINS = {
    "native_batch_norm": 5,
    "cudnn_batch_norm": 5,
    "miopen_batch_norm": 5,
    "_native_batch_norm_legit_no_training": None,
    "_batch_norm_no_update": None,
}


@dataclass(frozen=True)
class NormFold:
    """A convolution whose output goes to one batch norm and nowhere else.

    Attributes:
        convolution: Module path.
        norm: Module path.
        parameters: State-dict names of the norm's weight, bias, mean and variance; ``None`` where it has
            no weight or bias.
        epsilon: What is added to the variance.
    """

    convolution: str
    norm: str
    parameters: tuple[str | None, ...]
    epsilon: float


def folds(model: nn.Module, graph: Graph, keep: Collection[str] = ()) -> list[NormFold]:
    """Find the batch norms that can be folded away.

    Modules that are called more than once, and weights that are shared or computed (weight norm,
    pruning, standardised kernels), are left alone.

    Args:
        model: The network.
        graph: Its recorded pass.
        keep: Paths of modules whose output must stay what it is.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    tensors = named_tensors(model)
    calls = Counter(op.call.path for op in graph.ops if _is_convolution(op) or op.name in _TRAINS)
    results = {id(value) for value in graph.results}
    found = []
    for op in graph.ops:
        if op.name not in _TRAINS or op.kwargs or not isinstance(op.args[0], Value):
            continue
        flag, x = _TRAINS[op.name], op.args[0]
        if (flag is not None and op.args[flag]) or x.op is None or not _is_convolution(x.op):
            continue
        convolution, norm = x.op.call, op.call
        alone = len(x.uses) == 1 and id(x) not in results and _returned_by(x, convolution.path)
        once = calls[convolution.path] == calls[norm.path] == convolution.number == norm.number == 1
        kernel, shift = x.op.args[1], x.op.args[2]
        raw = [v for v in (kernel, shift, *op.args[1:5]) if v is not None]
        plain = all(v.op is None and v.parameter is not None and len(v.uses) == 1 for v in raw)
        if not (alone and once and plain) or {convolution.path, norm.path} & set(keep):
            continue
        layer, normalisation = modules[convolution.path], modules[norm.path]
        if not isinstance(layer, _ConvNd) or not isinstance(normalisation, _BatchNorm):
            continue
        if layer.weight is not tensors[kernel.parameter]:
            continue
        if not _returned_by(op.outputs[0], norm.path) and not _ends_in_activation(normalisation):
            continue
        names = tuple(None if v is None else v.parameter for v in op.args[1:5])
        found.append(NormFold(convolution.path, norm.path, names, op.args[-1]))
    return found


def fold_norms(model: nn.Module, found: Collection[NormFold]) -> None:
    """Fold batch norms in place; module paths stay, and parameters are replaced, not written to."""
    tensors: Mapping[str, Tensor] = named_tensors(model)
    modules = dict(model.named_modules(remove_duplicate=False))
    for fold in found:
        layer, norm = modules[fold.convolution], modules[fold.norm]
        weight, bias, mean, variance = (
            None if name is None else _exact(tensors[name]) for name in fold.parameters
        )
        assert mean is not None, "a norm by running statistics has them"
        assert variance is not None
        scale = (variance + fold.epsilon).rsqrt()
        scale = scale if weight is None else scale * weight
        kernel, shift = layer.weight, layer.bias
        assert isinstance(kernel, Tensor)
        moved = -mean if shift is None else _exact(shift) - mean
        moved = moved * scale if bias is None else moved * scale + bias
        shape = (-1,) + (1,) * (kernel.dim() - 1)
        layer.weight = _parameter(_exact(kernel) * scale.reshape(shape), kernel)
        layer.bias = _parameter(moved, kernel)
        rest: nn.Module = nn.Identity()
        if _ends_in_activation(norm):
            rest = nn.Sequential(OrderedDict(drop=norm.drop, act=norm.act))
        parent, _, name = fold.norm.rpartition(".")
        model.get_submodule(parent)._modules[name] = rest.train(False)


def named_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return parameters and buffers by every name that they have."""
    return dict(
        chain(
            model.named_parameters(remove_duplicate=False),
            model.named_buffers(remove_duplicate=False),
        )
    )


def _exact(tensor: Tensor) -> Tensor:
    # On the host: not every device has float64, and all of them are to compute with the same numbers.
    return tensor.detach().cpu().double()


def _parameter(values: Tensor, like: Tensor) -> nn.Parameter:
    return nn.Parameter(values.to(like.device, like.dtype), requires_grad=like.requires_grad)


def _is_convolution(op: Op) -> bool:
    return op.name == "convolution" and not op.kwargs and not op.args[6]  # 6: transposed


def _returned_by(value: Value, path: str) -> bool:
    return any(end.call.path == path and end.position == 0 for end in value.exits)


def _ends_in_activation(norm: nn.Module) -> bool:
    """Whether this is timm's norm with dropout and activation behind it, in one module."""
    return type(norm).__name__ == "BatchNormAct2d" and type(norm).__module__.startswith("timm.")
