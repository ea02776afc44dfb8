"""What enters the first batch norms of a network, against what they remember of their training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

# Of each channel no more than that counts: one that never moves has a divergence without bound.
_MOST = 1.0
_TINY = 1e-12
_NAMES = (("running_mean", "running_var"), ("moving_mean", "moving_variance"))


class Memory(NamedTuple):
    """What a norm remembers, and where its channels are.

    Attributes:
        mean: Running mean [C].
        var: Running variance [C].
        axis: Axis of the channels in what enters it.
    """

    mean: Tensor
    var: Tensor
    axis: int


class _Enough(BaseException):  # no error, and not for a network to catch
    """The last norm that is looked at was reached."""


def memory(module: nn.Module) -> Memory | None:
    """Return what a module remembers of its input, if it is a batch norm of PyTorch or Keras."""
    for mean_name, var_name in _NAMES:
        mean, var = getattr(module, mean_name, None), getattr(module, var_name, None)
        if isinstance(mean, Tensor) and isinstance(var, Tensor) and mean.shape == var.shape:
            return Memory(mean, var, _axis(module)) if mean.dim() == 1 else None
    return None


def is_new(module: nn.Module) -> bool:
    """Return whether a norm is as it was made, with mean 0 and variance 1 of every channel."""
    known = memory(module)
    return known is not None and bool((known.mean == 0).all() and (known.var == 1).all())


def _axis(module: nn.Module) -> int:
    layer = getattr(module, "_keras", None)  # a layer of Keras, which keeps its channels last
    axis = layer.value[0].axis if layer is not None else 1
    return int(axis[0] if isinstance(axis, list | tuple) else axis)


def first_norms(model: nn.Module, image: Tensor) -> list[nn.Module]:
    """Return the batch norms that a pass meets once, in its order.

    Args:
        model: The network, in evaluation mode.
        image: An image [1, C, H, W] on its device.
    """
    met: Counter[nn.Module] = Counter()
    norms = [module for module in model.modules() if memory(module) is not None]
    with _hooked(norms, lambda norm, inputs: met.update([norm])), torch.inference_mode():
        model(image)
    return [norm for norm, times in met.items() if times == 1]


class NormInputs:
    """Keeps the means of what enters the first norms, and compares them with what they remember.

    The untouched network is run, up to the last of these norms: in the copies that a long pass runs on
    norms are folded into convolutions. A norm that is met more than once, shared by several places, has a
    memory of all of them and is left out.

    Args:
        model: The network, in evaluation mode.
        most: How many norms to look at.
        norms: Its norms in their order, from `first_norms`, where they are known.

    Attributes:
        images: Images that were looked at.
    """

    def __init__(
        self, model: nn.Module, most: int, norms: Sequence[nn.Module] | None = None
    ) -> None:
        self._model, self._most = model, most
        self._norms = norms[:most] if norms is not None else None
        self._left = 0
        self._seen: dict[nn.Module, list[Tensor]] = {}
        self.images = 0

    def update(self, images: Tensor) -> None:
        """Run images [N, C, H, W], on the network's device, up to the last of these norms."""
        if self._norms is None:
            self._norms = first_norms(self._model, images[:1])[: self._most]
        if not self._norms:
            return
        self._left = len(self._norms)
        with _hooked(self._norms, self._look), torch.inference_mode(), suppress(_Enough):
            self._model(images)
        self.images += len(images)

    def compute(self) -> list[float]:
        """Return the misfit in front of each norm, in the order of the network.

        See `seviz.results.input_fit` for what it is.
        """
        found = []
        for norm, parts in self._seen.items():
            known = memory(norm)
            assert known is not None
            mean, squares = torch.cat(parts, 1).cpu().double().mean(1)
            var = (squares - mean.square()).clamp_min(_TINY)
            old_mean, old_var = known.mean.cpu().double(), known.var.cpu().double()
            ratio = var / old_var.clamp_min(_TINY)
            distance = (mean - old_mean).square() / old_var.clamp_min(_TINY)
            divergence = 0.5 * (ratio - 1 - ratio.log() + distance)
            found.append(float(divergence.clamp_max(_MOST).mean()))
        return found

    def _look(self, norm: nn.Module, inputs: tuple[Any, ...]) -> None:
        known = memory(norm)
        assert known is not None
        # Per image [2, N, C] in float32, so that no map is widened to float64; they stay on the device, for
        # which nothing waits here.
        x = inputs[0].movedim(known.axis, 1).float()
        x = x[:, :, None] if x.dim() == 2 else x.flatten(2)
        squares = torch.linalg.vector_norm(x, dim=2).square() / x.shape[2]  # no second map
        self._seen.setdefault(norm, []).append(torch.stack([x.mean(2), squares]))
        self._left -= 1
        if not self._left:
            raise _Enough


@contextmanager
def _hooked(norms: Sequence[nn.Module], look: Callable[[nn.Module, Any], Any]) -> Iterator[None]:
    hooks = [norm.register_forward_pre_hook(look) for norm in norms]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
