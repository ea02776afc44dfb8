"""The zoo of dialects: SE written in every way the field writes it, and what merely looks like SE.

Each network is a stem, three blocks (the last at half the resolution) and a linear head. Every
block hands the tensor that scales its map to `Recording.note`, so that `true_gates` knows the gates
without seviz. Weights come from `settle`: the gates differ between images, channels and blocks.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.ao.nn.quantized import FloatFunctional
from torch.utils.checkpoint import checkpoint

from seviz.networks.architectures.senet_notes import SENetNotes

WIDTHS = (16, 16, 24)
HIDDEN = (4, 4, 6)
STRIDES = (1, 1, 2)
NAMES = ("SE_2_1", "SE_2_2", "SE_3_1")

CONV: dict[int, type[nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
NORM: dict[int, type[nn.Module]] = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}

Function = Callable[[Tensor], Tensor]
Scaling = Callable[[Tensor, Tensor], Tensor]
# A function, a module, or what makes the module.
Piece = Function | type[nn.Module] | partial[nn.Module]


# -------------------------------------------------------------------------------------------------
# The truth


class Recording(nn.Module):
    """A module that can hand out its gate while `true_gates` listens."""

    record: list[Tensor] | None = None

    def note(self, gate: Tensor) -> Tensor:
        """Return ``gate``, the tensor that scales the map, and record it if anyone listens."""
        if self.record is not None:
            self.record.append(gate.detach())
        return gate


@torch.no_grad()
def true_gates(model: nn.Module, x: Tensor) -> list[Tensor]:
    """Return the gates of one forward pass in forward order, each [N, C]."""
    recorder: list[Tensor] = []
    listening = [m for m in model.modules() if isinstance(m, Recording)]
    for module in listening:
        module.record = recorder
    try:
        model(x)
    finally:
        for module in listening:
            del module.record
    return [as_matrix(gate) for gate in recorder]


@contextmanager
def set_by_hand(gates: dict[int, Tensor]) -> Iterator[None]:
    """Let the networks of the zoo apply another gate; the n-th of a pass by its number."""
    seen = 0

    def note(module: Recording, gate: Tensor) -> Tensor:
        nonlocal seen
        seen += 1
        if seen - 1 not in gates:
            return gate
        new = gates[seen - 1].to(gate.dtype).expand(len(gate), -1)
        # [N, C], [N, C, 1, 1], [N, 1, 1, C], [N, 1, C], or [N, C, ...] expanded over the map.
        if sum(n > 1 for n in gate.shape[1:]) <= 1:
            return new.reshape(gate.shape)
        return new.reshape(*new.shape, *[1] * (gate.dim() - 2)).expand_as(gate)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recording, "note", note)
        yield


def as_matrix(gate: Tensor) -> Tensor:
    """Return [N, C] for a gate of any shape: [N, C], [N, C, 1, 1], [N, 1, 1, C], [N, C, H, W]."""
    if sum(size > 1 for size in gate.shape[1:]) <= 1:
        return gate.reshape(len(gate), -1)
    return gate[(slice(None), slice(None), *[0] * (gate.dim() - 2))]


@torch.no_grad()
def settle(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give every parameter and running statistic a seeded value that matters; switch to eval."""
    generator = torch.Generator().manual_seed(seed)

    def normal(tensor: Tensor, std: float) -> Tensor:
        return torch.randn(tensor.shape, generator=generator) * std

    norms = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)
    scales = {id(m.weight) for m in model.modules() if isinstance(m, norms)}
    for parameter in model.parameters():
        if id(parameter) in scales:
            parameter.copy_(torch.rand(parameter.shape, generator=generator) + 0.5)
        elif parameter.dim() < 2:
            parameter.copy_(normal(parameter, 0.5))
        else:
            parameter.copy_(normal(parameter, parameter[0].numel() ** -0.5))
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.copy_(normal(buffer, 0.2))
        elif name.endswith("running_var"):
            buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
    return model.eval()


def varies(gate: Tensor) -> bool:
    """Return whether a gate [N, C] differs from image to image and from channel to channel."""
    gate = gate.double()
    return bool(gate.std(0).mean() > 0.01 and gate.std(1).mean() > 0.05)


def images(
    shape: Sequence[int], batch: int, seed: int, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Return [batch, *shape] noise whose brightness and contrast differ from image to image."""
    generator = torch.Generator().manual_seed(seed)
    per_image = (batch, *[1] * len(shape))
    contrast = torch.rand(per_image, generator=generator) + 0.5
    brightness = torch.randn(per_image, generator=generator)
    noise = torch.randn((batch, *shape), generator=generator)
    return (noise * contrast + brightness).to(dtype)


# -------------------------------------------------------------------------------------------------
# Networks without SE, to put it in


class Block(Recording):
    """conv-BN-ReLU-conv-BN, ``se``, addition, ReLU; subclasses write the forward anew."""

    def __init__(
        self,
        inputs: int,
        channels: int,
        stride: int,
        se: Callable[[int], nn.Module] = nn.Identity,
        dims: int = 2,
    ) -> None:
        super().__init__()
        conv, norm = CONV[dims], NORM[dims]
        self.conv1 = conv(inputs, channels, 3, stride, padding=1, bias=False)
        self.bn1 = norm(channels)
        self.conv2 = conv(channels, channels, 3, padding=1, bias=False)
        self.bn2 = norm(channels)
        self.se = se(channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != channels:
            self.shortcut = conv(inputs, channels, 1, stride, bias=False)

    def branch(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))

    def forward(self, x: Any) -> Any:
        return F.relu(self.se(self.branch(x)) + self.shortcut(x))


class Net(nn.Module):
    """Stem, blocks, global average pooling, linear head."""

    def __init__(
        self,
        block: Callable[[int, int, int], nn.Module],
        widths: Sequence[int] = WIDTHS,
        strides: Sequence[int] = STRIDES,
        dims: int = 2,
    ) -> None:
        super().__init__()
        self.stem = CONV[dims](3, widths[0], 3, padding=1)
        before = [widths[0], *widths]
        self.blocks = nn.Sequential(*map(block, before, widths, strides))
        self.head = nn.Linear(widths[-1], 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(F.relu(self.stem(x)))
        return self.head(x.flatten(2).mean(-1))


def net(se: Callable[[int], nn.Module], **options: Any) -> nn.Module:
    """Return a network of plain residual blocks with ``se(channels)`` on each branch."""
    return Net(partial(Block, se=se, dims=options.get("dims", 2)), **options)


# -------------------------------------------------------------------------------------------------
# Pieces: squeezes, excitations, gate functions, ways to scale


def mean(x: Tensor) -> Tensor:
    """[N, C, ...] -> [N, C]."""
    return x.mean(tuple(range(2, x.dim())))


def mean_kept(x: Tensor) -> Tensor:
    """[N, C, ...] -> [N, C, 1, ...]."""
    return x.mean(tuple(range(2, x.dim())), keepdim=True)


def scale_vector(x: Tensor, gate: Tensor) -> Tensor:
    """Scale with a gate [N, C]."""
    return x * gate[:, :, None, None]


def linear(
    c: int,
    *,
    hidden: int | None = None,
    bias: bool = True,
    act: Callable[[], nn.Module] = nn.ReLU,
    norms: Sequence[Callable[[int], nn.Module]] = (),
) -> nn.Sequential:
    """Linear, (norm,) activation, Linear(, norm): the excitation up to the gate function."""
    return _excitation(nn.Linear, c, hidden or c // 4, bias, act, norms)


def conv(
    c: int,
    *,
    hidden: int | None = None,
    bias: bool = True,
    act: Callable[[], nn.Module] = nn.ReLU,
    norms: Sequence[Callable[[int], nn.Module]] = (),
    dims: int = 2,
    groups: int = 1,
) -> nn.Sequential:
    """The same with 1x1 convolutions."""
    layer = partial(CONV[dims], kernel_size=1, groups=groups)
    return _excitation(layer, c, hidden or c // 4, bias, act, norms)


def _excitation(
    layer: Callable[..., nn.Module],
    c: int,
    hidden: int,
    bias: bool,
    act: Callable[[], nn.Module],
    norms: Sequence[Callable[[int], nn.Module]],
) -> nn.Sequential:
    first = [norm(hidden) for norm in norms[:1]]
    second = [norm(c) for norm in norms[1:]]
    return nn.Sequential(
        layer(c, hidden, bias=bias), *first, act(), layer(hidden, c, bias=bias), *second
    )


def made(piece: Piece) -> Function:
    """Return an instance of a module class (or a partial of one); a function as it is."""
    return piece() if isinstance(piece, (type, partial)) else piece


class SE(Recording):
    """squeeze, excitation, gate function, scale; each a module, a module class or a function."""

    def __init__(
        self,
        excitation: nn.Module,
        gate: Piece = torch.sigmoid,
        squeeze: Piece = mean_kept,
        scale: Scaling = operator.mul,
    ) -> None:
        super().__init__()
        self.squeeze = made(squeeze)
        self.excitation = excitation
        self.gate = made(gate)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return self.scale(x, self.note(self.gate(self.excitation(self.squeeze(x)))))


def linear_se(c: int, gate: Piece = torch.sigmoid, **options: Any) -> SE:
    """SE on [N, C] vectors with two Linear layers."""
    return SE(linear(c, **options), gate, squeeze=mean, scale=scale_vector)


def conv_se(c: int, gate: Piece = torch.sigmoid, **options: Any) -> SE:
    """SE on [N, C, 1, 1] tensors with two 1x1 convolutions."""
    return SE(conv(c, **options), gate)


def squeezed_by(squeeze: Piece) -> Callable[[], nn.Module]:
    """A network whose SE blocks squeeze in this way, whether that leaves [N, C] or [N, C, 1, 1]."""

    def se(c: int) -> nn.Module:
        excitation = nn.Sequential(nn.Flatten(), *linear(c))
        return SE(excitation, squeeze=squeeze, scale=scale_vector)

    return lambda: net(se)


def scaled_by(scale: Scaling, kept: bool = False) -> Callable[[], nn.Module]:
    """A network whose SE blocks apply a gate [N, C] (``kept``: [N, C, 1, 1]) with this function."""

    def se(c: int) -> nn.Module:
        if kept:
            return SE(conv(c), scale=scale)
        return SE(linear(c), squeeze=mean, scale=scale)

    return lambda: net(se)


class HardSigmoid6(nn.Module):
    """``relu6(x + 3) / 6``."""

    def __init__(self) -> None:
        super().__init__()
        self.relu6 = nn.ReLU6()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu6(x + 3) / 6


class HardSigmoid2(nn.Module):
    """``clamp((x + bias) / divisor, low, high)`` with a slope of a half."""

    def __init__(self, bias: float = 1.0, divisor: float = 2.0) -> None:
        super().__init__()
        self.bias, self.divisor = bias, divisor

    def forward(self, x: Tensor) -> Tensor:
        x = (x + self.bias) / self.divisor
        return x.clamp_(0.0, 1.0)


class Swish(nn.Module):
    """``x * sigmoid(x)``, written out."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)


class WrittenHardSwish(nn.Module):
    """``x * relu6(x + 3) / 6``, written out."""

    def forward(self, x: Tensor) -> Tensor:
        return x * F.relu6(x + 3) / 6


class _SwishFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * torch.sigmoid(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        s = torch.sigmoid(x)
        return grad * (s * (1 + x * (1 - s)))


class FrugalSwish(nn.Module):
    """Swish as an autograd function that stores its input alone."""

    def forward(self, x: Tensor) -> Tensor:
        return _SwishFunction.apply(x)


class SwapNorm(nn.Module):
    """LayerNorm over the channels of [N, C, 1, 1]."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(c)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


# -------------------------------------------------------------------------------------------------
# SE modules that are more than a combination of pieces


class NamedParts(Recording):
    """fc1, relu, fc2, sigmoid as attributes, as the first PyTorch ports had them."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(c, c // 4, kernel_size=1)
        self.relu = nn.ReLU(inplace=True)
        self.fc2 = nn.Conv2d(c // 4, c, kernel_size=1)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        module_input = x
        x = self.avg_pool(x)
        x = self.relu(self.fc1(x))
        x = self.note(self.sigmoid(self.fc2(x)))
        return module_input * x


class TutorialSE(Recording):
    """``fc`` a Sequential that ends in Sigmoid; view, view, expand_as."""

    def __init__(self, c: int, *, bias: bool = False) -> None:
        super().__init__()
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(
            nn.Linear(c, c // 4, bias=bias),
            nn.ReLU(inplace=True),
            nn.Linear(c // 4, c, bias=bias),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        n, c, _, _ = x.size()
        y = self.avg_pool(x).view(n, c)
        y = self.fc(y).view(n, c, 1, 1)
        return x * self.note(y.expand_as(x))


class PooledSequential(Recording):
    """The whole gate, pooling included, in one Sequential."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d((1, 1)), *conv(c), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return x * self.note(self.gate(x))


class LayerList(Recording):
    """A ModuleList of layers, run in a loop."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.AdaptiveAvgPool2d(1), *conv(c), nn.Sigmoid()])

    def forward(self, x: Tensor) -> Tensor:
        s = x
        for layer in self.layers:
            s = layer(s)
        return self.note(s) * x


class Conv1dSE(Recording):
    """Conv1d layers on [N, C, 1]."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.excitation = conv(c, dims=1)

    def forward(self, x: Tensor) -> Tensor:
        z = x.flatten(2).mean(2, keepdim=True)
        s = self.note(torch.sigmoid(self.excitation(z)))
        return x * s.unsqueeze(-1)


class RawParameters(Recording):
    """Weights as bare parameters and ``F.linear``: there is no layer to hook."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.w1 = nn.Parameter(torch.zeros(c // 4, c))
        self.b1 = nn.Parameter(torch.zeros(c // 4))
        self.w2 = nn.Parameter(torch.zeros(c, c // 4))
        self.b2 = nn.Parameter(torch.zeros(c))

    def forward(self, x: Tensor) -> Tensor:
        z = F.relu(F.linear(mean(x), self.w1, self.b1))
        s = self.note(torch.sigmoid(F.linear(z, self.w2, self.b2)))
        return x * s[..., None, None]


class MatrixProducts(Recording):
    """Weights as bare parameters, [in, out], and the ``@`` operator."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.zeros(c, c // 4))
        self.up = nn.Parameter(torch.zeros(c // 4, c))

    def forward(self, x: Tensor) -> Tensor:
        s = self.note((F.relu(mean(x) @ self.down) @ self.up).sigmoid())
        return x * s[..., None, None]


class ForwardMethods(Recording):
    """Layers called by their ``forward`` method, past every hook."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(c, c // 4, 1)
        self.fc2 = nn.Conv2d(c // 4, c, 1)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        z = F.relu(self.fc1.forward(mean_kept(x)))
        return x * self.note(self.sigmoid.forward(self.fc2.forward(z)))


class ReturnsBoth(Recording):
    """Returns the scaled map and the gate; the block uses the map."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.excitation = conv(c)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        s = self.note(torch.sigmoid(self.excitation(mean_kept(x))))
        return x * s, s


class ScaleShift(Recording):
    """2C outputs: ``x * sigmoid(w) + b``, halves taken apart by ``halves(z, C)``."""

    def __init__(
        self,
        c: int,
        halves: Callable[[Tensor, int], Sequence[Tensor]],
        fused: bool = False,
    ) -> None:
        super().__init__()
        self.c, self.halves, self.fused = c, halves, fused
        self.fc = nn.Sequential(nn.Conv2d(c, c // 4, 1), nn.ReLU(), nn.Conv2d(c // 4, 2 * c, 1))

    def forward(self, x: Tensor) -> Tensor:
        w, b = self.halves(self.fc(F.adaptive_avg_pool2d(x, 1)), self.c)
        gate = self.note(torch.sigmoid(w))
        return torch.addcmul(b, x, gate) if self.fused else x * gate + b


class HalfOfTheChannels(Recording):
    """SE on the first half of the channels alone; the second half passes."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.excitation = conv(c // 2)

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, dim=1)
        return torch.cat([a * self.note(torch.sigmoid(self.excitation(mean_kept(a)))), b], dim=1)


class ConcurrentSE(Recording):
    """scSE: a channel gate and a spatial gate on the same map, added."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.channel = conv(c)
        self.pixel = nn.Conv2d(c, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.note(torch.sigmoid(self.channel(F.adaptive_avg_pool2d(x, 1))))
        return x * gate + x * torch.sigmoid(self.pixel(x))


class Scripted(Recording):
    """The excitation, gate function included, is compiled TorchScript."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.excitation = script(nn.Sequential(*conv(c), nn.Sigmoid()))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.note(self.excitation(mean_kept(x)))


class WholeSE(nn.Module):
    """An SE module with a method for the gate, to be compiled as a whole."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(c, c // 4, 1)
        self.fc2 = nn.Conv2d(c // 4, c, 1)

    @torch.jit.export
    def gate(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.fc2(F.relu(self.fc1(x.mean((2, 3), keepdim=True)))))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x)


class ScriptedWhole(Recording):
    """Squeeze, excitation and scale are TorchScript; the truth is the gate computed once more."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.compiled = script(WholeSE(c))

    def forward(self, x: Tensor) -> Tensor:
        if self.record is not None:
            self.note(self.compiled.gate(x))
        return self.compiled(x)


def script(module: nn.Module) -> nn.Module:
    """Compile to TorchScript, which torch deprecates and old code still uses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(module)


def weight_normed(c: int) -> SE:
    """Both Linear layers under the weight norm of ``parametrizations``."""
    fc1, act, fc2 = linear(c)
    wrap = nn.utils.parametrizations.weight_norm
    return SE(nn.Sequential(wrap(fc1), act, wrap(fc2)), squeeze=mean, scale=scale_vector)


def weight_normed_by_hook(c: int) -> SE:
    """Both Linear layers under the older weight norm, which sits in a forward pre-hook."""
    fc1, act, fc2 = linear(c)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        wrapped = [nn.utils.weight_norm(layer) for layer in (fc1, fc2)]
    return SE(nn.Sequential(wrapped[0], act, wrapped[1]), squeeze=mean, scale=scale_vector)


# -------------------------------------------------------------------------------------------------
# Blocks: where the gate is applied, and by whom


def gate_only(c: int) -> SE:
    """SE that returns its gate [N, C, 1, 1] and leaves the multiplication to the block."""
    return SE(conv(c), squeeze=mean_kept, scale=lambda x, gate: gate)


class BlockScales(Block):
    """The block multiplies by what its SE module returns."""

    def forward(self, x: Tensor) -> Tensor:
        out = self.branch(x)
        return F.relu(out * self.se(out) + self.shortcut(x))


class BlockScalesFused(Block):
    """The multiplication is fused with the residual addition."""

    def forward(self, x: Tensor) -> Tensor:
        out = self.branch(x)
        return F.relu(torch.addcmul(self.shortcut(x), out, self.se(out)))


class BlockScalesFusedInPlace(Block):
    """The same, into the shortcut's memory."""

    def forward(self, x: Tensor) -> Tensor:
        out = self.branch(x)
        return self.shortcut(x).clone().addcmul_(out, self.se(out)).relu_()


class Mul(nn.Module):
    """Multiplies its two inputs."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a * b


class BlockScalesByModule(Block):
    """A module multiplies the map and the gate."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.mul = Mul()

    def forward(self, x: Tensor) -> Tensor:
        out = self.branch(x)
        return F.relu(self.mul(out, self.se(out)) + self.shortcut(x))


class BlockScalesByFloatFunctional(Block):
    """Quantisation-ready: the product and the sum are `FloatFunctional` calls."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.product = FloatFunctional()
        self.sum = FloatFunctional()

    def forward(self, x: Tensor) -> Tensor:
        out = self.branch(x)
        return F.relu(self.sum.add(self.product.mul(out, self.se(out)), self.shortcut(x)))


class Inline(Block):
    """SE in the residual block itself: two 1x1 convolutions and a function."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__(inputs, channels, stride)
        del self.se
        self.fc1 = nn.Conv2d(channels, channels // 4, kernel_size=1)
        self.fc2 = nn.Conv2d(channels // 4, channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        out = self.branch(x)
        w = F.avg_pool2d(out, out.size(2))
        w = F.relu(self.fc1(w))
        w = self.note(self.gate(self.fc2(w)))
        out = out * w
        out += self.shortcut(x)
        return F.relu(out)

    def gate(self, z: Tensor) -> Tensor:
        return F.sigmoid(z)


class InlineTorch(Inline):
    def gate(self, z: Tensor) -> Tensor:
        return torch.sigmoid(z)


class InlineMethod(Inline):
    def gate(self, z: Tensor) -> Tensor:
        return z.sigmoid()


class InlineModule(Inline):
    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__(inputs, channels, stride)
        self.sigmoid = nn.Sigmoid()

    def gate(self, z: Tensor) -> Tensor:
        return self.sigmoid(z)


class InlineHard(Inline):
    def gate(self, z: Tensor) -> Tensor:
        return F.hardsigmoid(z)


class InlineScaleShift(Block):
    """Scale-plus-shift SE written in the block, gate and offset by slices."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__(inputs, channels, stride)
        del self.se
        self.channels = channels
        self.fc1 = nn.Linear(channels, channels // 4)
        self.fc2 = nn.Linear(channels // 4, 2 * channels)

    def forward(self, x: Tensor) -> Tensor:
        out = self.branch(x)
        z = self.fc2(F.relu(self.fc1(mean(out))))[:, :, None, None]
        gate = self.note(torch.sigmoid(z[:, : self.channels]))
        return F.relu(out * gate + z[:, self.channels :] + self.shortcut(x))


class CallsForward(Block):
    """Calls ``self.se.forward``, past every hook of that module."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.se.forward(self.branch(x)) + self.shortcut(x))


class UsesFirstOutput(Block):
    """Uses the first of the two things its SE module returns."""

    def forward(self, x: Tensor) -> Tensor:
        out, _ = self.se(self.branch(x))
        return F.relu(out + self.shortcut(x))


class Checkpointed(Block):
    """The branch and its SE run under activation checkpointing."""

    def forward(self, x: Tensor) -> Tensor:
        out = checkpoint(lambda t: self.se(self.branch(t)), x, use_reentrant=False)
        return F.relu(out + self.shortcut(x))


class ScaledTwice(Block):
    """Normaliser-free: a constant multiplies the scaled map."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.se(self.branch(x)) * 2.0 * 0.7 + self.shortcut(x))


class SEPre(Block):
    """SE before the residual branch (channels of the input)."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__(inputs, channels, stride)
        self.se = conv_se(inputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.branch(self.se(x)) + self.shortcut(x))


class SEPost(Block):
    """SE after the addition."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.se(self.branch(x) + self.shortcut(x)))


class SEIdentity(Block):
    """SE on the shortcut."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.branch(x) + self.se(self.shortcut(x)))


class InvertedResidual(Recording):
    """Expansion, depthwise convolution, SE, projection."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        wide = 2 * inputs
        self.expand = nn.Sequential(
            nn.Conv2d(inputs, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.SiLU()
        )
        self.depthwise = nn.Sequential(
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.SiLU(),
        )
        self.se = conv_se(wide, hidden=inputs // 4, act=nn.SiLU)
        self.project = nn.Sequential(
            nn.Conv2d(wide, channels, 1, bias=False), nn.BatchNorm2d(channels)
        )
        same = stride == 1 and inputs == channels
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, channels, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.project(self.se(self.depthwise(self.expand(x))))


class Straight(nn.Module):
    """VGG style: convolution, SE, no shortcut."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, channels, 3, stride, 1),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )
        self.se = conv_se(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.se(self.body(x))


class BranchSequential(nn.Module):
    """SE as one more layer of the branch's Sequential."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(inputs, channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels),
            conv_se(channels),
        )
        same = stride == 1 and inputs == channels
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, channels, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.branch(x) + self.shortcut(x))


class Inception(nn.Module):
    """Two parallel convolutions, concatenated, then SE."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.small = nn.Conv2d(inputs, channels // 2, 1, stride)
        self.large = nn.Conv2d(inputs, channels // 2, 3, stride, 1)
        self.se = conv_se(channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.se(torch.cat([self.small(x), self.large(x)], dim=1)))


class DeadSE(Block):
    """Has a second SE module that no forward pass reaches."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__(inputs, channels, stride, conv_se)
        self.unused_se = conv_se(channels)


class ThroughDict(Block):
    """Takes and returns a dict."""

    def forward(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        return {**data, "map": super().forward(data["map"])}


class ThroughTuple(Block):
    """Takes and returns (map, list of earlier maps)."""

    def forward(self, data: tuple[Tensor, list[Tensor]]) -> tuple[Tensor, list[Tensor]]:
        x, earlier = data
        return super().forward(x), [*earlier, x]


class PlainTensorNet(Net):
    """Normalises its input with a tensor that is neither parameter nor buffer."""

    def __init__(self, block: Callable[[int, int, int], nn.Module]) -> None:
        super().__init__(block)
        self.average = torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - self.average)


class PackedNet(Net):
    """Packs the stem's output before the blocks and unpacks it after them."""

    def __init__(
        self,
        block: Callable[[int, int, int], nn.Module],
        pack: Callable[[Tensor], Any],
        unpack: Callable[[Any], Tensor],
    ) -> None:
        super().__init__(block)
        self.pack, self.unpack = pack, unpack

    def forward(self, x: Tensor) -> Tensor:
        x = self.unpack(self.blocks(self.pack(F.relu(self.stem(x)))))
        return self.head(mean(x))


class ChannelsLastBlock(Recording):
    """[N, H, W, C] throughout: LayerNorm, Linear, SE with a gate [N, 1, 1, C]."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.enter = nn.Linear(inputs, channels)
        self.norm = nn.LayerNorm(channels)
        self.mix = nn.Linear(channels, channels)
        self.se = SE(linear(channels), squeeze=lambda x: x.mean((1, 2), keepdim=True))

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x[:, :: self.stride, :: self.stride])
        return x + self.se(self.mix(F.gelu(self.norm(x))))


class ChannelsLastNet(Net):
    """Permutes once after the stem and works on the last dimension from there."""

    def __init__(self, **options: Any) -> None:
        super().__init__(ChannelsLastBlock, **options)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.stem(x).permute(0, 2, 3, 1))
        return self.head(x.mean((1, 2)))


def shared_se() -> nn.Module:
    """The first two blocks use one SE module."""
    model = net(conv_se)
    model.blocks[1].se = model.blocks[0].se
    return model


def shared_functional() -> nn.Module:
    """The first two blocks share one SE module whose gate is a function of the block."""
    model = Net(partial(BlockScales, se=linear_gate))
    model.blocks[1].se = model.blocks[0].se
    return model


def linear_gate(c: int) -> SE:
    """SE with Linear layers that returns its gate as [N, C, 1, 1]."""
    return SE(
        linear(c),
        gate=lambda z: torch.sigmoid(z)[:, :, None, None],
        squeeze=mean,
        scale=lambda x, gate: gate,
    )


def shared_sigmoid() -> nn.Module:
    """One sigmoid module serves all blocks."""
    sigmoid = nn.Sigmoid()
    return net(partial(conv_se, gate=sigmoid))


def data_parallel() -> nn.Module:
    """DataParallel around a network, on no device but the CPU whatever the machine has."""
    model = nn.DataParallel(net(conv_se).cpu())
    model.device_ids = []
    return model.cpu()


# -------------------------------------------------------------------------------------------------
# The table


@dataclass(frozen=True)
class Dialect:
    """One way to write SE, and what is true of it.

    Attributes:
        name: Readable id.
        make: Builds the network; `build` gives it its weights.
        input_size: Shape of one image.
        channels: Channels of each block, in forward order.
        hidden: Units of each bottleneck.
        gate: Gate function; ``None`` where no name is settled.
        shift: Whether the excitation also gives an offset.
        squeeze: ``mean`` or ``max``.
        placement: Where the block sits in its residual unit; ``None`` where no name is settled.
        names: Names of the blocks.
        path: Path of the module that holds a block, ``{}`` being its number; ``None`` where more
            than one answer is right.
        whole: Whether that module's parameters are the excitation's, no more and no less.
        dtype: Type of weights and images.
        tolerance: Largest difference between a gate read and the true one; 0 asks for equal bits.
        others: Pattern of another mechanism that the network has beside SE.
    """

    name: str
    make: Callable[[], nn.Module]
    input_size: tuple[int, ...] = (3, 32, 32)
    channels: tuple[int, ...] = WIDTHS
    hidden: tuple[int, ...] = HIDDEN
    gate: str | None = "sigmoid"
    shift: bool = False
    squeeze: str = "mean"
    kind: str = "SE"
    placement: str | None = "standard"
    names: tuple[str, ...] = NAMES
    path: str | None = "blocks.{}.se"
    whole: bool = True
    dtype: torch.dtype = torch.float32
    tolerance: float = 0.0
    others: str | None = None

    @property
    def gates(self) -> int:
        """Number of SE blocks."""
        return len(self.channels)

    def build(self) -> nn.Module:
        """Return the network in eval mode, with the first weights that leave no gate constant."""
        model = self.make()
        for seed in range(50):
            settle(model, seed)
            if all(varies(gate) for gate in true_gates(model, self.example(3, seed=1))):
                return model
        raise AssertionError(f"no weights found with which the gates of {self.name} vary")

    def example(self, batch: int, seed: int) -> Tensor:
        """Return images for it."""
        return images(self.input_size, batch, seed, self.dtype)


def module(name: str, se: Callable[[int], nn.Module], **facts: Any) -> Dialect:
    """A dialect that is an SE module on the branch of a plain residual block."""
    return Dialect(name, partial(net, se), **facts)


def _in_steps(x: Tensor, step: float) -> Tensor:
    """Return the nearest of 511 numbers, as a quantised network does between its layers."""
    return x.div(step).round_().clamp_(-255, 255).mul_(step)


def function(name: str, written: Piece, **facts: Any) -> Dialect:
    """A dialect that is a gate function after 1x1 convolutions, inside an SE module."""
    return module(name, partial(conv_se, gate=written), **facts)


def blocks(name: str, block: Callable[[int, int, int], nn.Module], **facts: Any) -> Dialect:
    """A dialect that is a way to write the residual block."""
    return Dialect(name, partial(Net, block), **facts)


def inline(name: str, block: Callable[[int, int, int], nn.Module], **facts: Any) -> Dialect:
    """A dialect that has no SE module: the block itself holds the SE code."""
    return blocks(name, block, path="blocks.{}", whole=False, **facts)


def halves(
    name: str, take: Callable[[Tensor, int], Sequence[Tensor]], fused: bool = False
) -> Dialect:
    """A scale-plus-shift dialect, by how its two halves are taken from the 2C numbers."""
    se = partial(ScaleShift, halves=take, fused=fused)
    return module(name, se, shift=True, tolerance=LAST_BIT)


def block_scales(
    name: str, block: type[Block], se: Callable[[int], nn.Module] = gate_only
) -> Dialect:
    """A dialect in which the SE module makes the gate and the block applies it."""
    return blocks(name, partial(block, se=se), path=None)


# Half of each row of 2C numbers is strided memory. Its sigmoid may differ in the last bit from that
# of a contiguous copy of the same numbers, where the processor takes several numbers at a time.
LAST_BIT = 1e-6

EXCITATIONS = [
    module("linear", partial(linear_se, bias=True)),
    module("linear-no-bias", partial(linear_se, bias=False)),
    module("conv1x1", conv_se),
    module("conv1x1-no-bias", partial(conv_se, bias=False)),
    module("conv1x1-grouped", partial(conv_se, groups=2)),
    module("conv1d", Conv1dSE),
    module("raw-parameters", RawParameters),
    module("raw-parameters-matmul", MatrixProducts),
    module("silu", partial(conv_se, act=nn.SiLU)),
    module("x-times-sigmoid-x", partial(conv_se, act=Swish)),
    module("swish-autograd-function", partial(conv_se, act=FrugalSwish)),
    module("hardswish", partial(linear_se, act=nn.Hardswish)),
    module("hardswish-written-out", partial(linear_se, act=WrittenHardSwish)),
    module("prelu", partial(conv_se, act=nn.PReLU)),
    module("gelu", partial(linear_se, act=nn.GELU)),
    module("relu-in-place", partial(linear_se, act=partial(nn.ReLU, inplace=True))),
    module("no-activation", partial(linear_se, act=nn.Identity)),
    module("bn-after-first", partial(conv_se, norms=[nn.BatchNorm2d])),
    module("bn-after-both", partial(conv_se, bias=False, norms=[nn.BatchNorm2d] * 2)),
    module("bn1d-after-first", partial(linear_se, bias=False, norms=[nn.BatchNorm1d])),
    module("group-norm", partial(conv_se, norms=[partial(nn.GroupNorm, 2)])),
    module("layer-norm", partial(linear_se, norms=[nn.LayerNorm])),
    module("layer-norm-permuted", partial(conv_se, norms=[SwapNorm])),
    module(
        "norm-before-first",
        lambda c: SE(nn.Sequential(nn.LayerNorm(c), *linear(c)), squeeze=mean, scale=scale_vector),
    ),
    module("dropout", partial(linear_se, act=lambda: nn.Sequential(nn.ReLU(), nn.Dropout(0.3)))),
    module("weight-norm", weight_normed),
    module("weight-norm-by-hook", weight_normed_by_hook),
    module("hidden-of-one", partial(conv_se, hidden=1), hidden=(1, 1, 1)),
    module("torchscript-excitation", Scripted),
    module("torchscript-whole", ScriptedWhole, path=None),
]

GATE_FUNCTIONS = [
    module("sigmoid-attribute", NamedParts),
    function("sigmoid-module", nn.Sigmoid),
    function("torch-sigmoid", torch.sigmoid),
    function("tensor-sigmoid", lambda z: z.sigmoid()),
    function("tensor-sigmoid-in-place", lambda z: z.sigmoid_()),
    function("functional-sigmoid", F.sigmoid),
    function("sigmoid-written-out", lambda z: 1 / (1 + torch.exp(-z))),
    function("sigmoid-by-tanh", lambda z: 0.5 * (torch.tanh(0.5 * z) + 1)),
    function("two-sigmoid", lambda z: 2 * torch.sigmoid(z), gate="2*sigmoid"),
    function("sigmoid-times-two", lambda z: z.sigmoid() * 2.0, gate="2*sigmoid"),
    function("one-plus-tanh", lambda z: 1 + torch.tanh(z), gate=None),
    function("hardsigmoid-module", nn.Hardsigmoid, gate="hardsigmoid"),
    function(
        "hardsigmoid-module-in-place", partial(nn.Hardsigmoid, inplace=True), gate="hardsigmoid"
    ),
    function("functional-hardsigmoid", F.hardsigmoid, gate="hardsigmoid"),
    function(
        "functional-hardsigmoid-in-place",
        lambda z: F.hardsigmoid(z, inplace=True),
        gate="hardsigmoid",
    ),
    function("relu6", lambda z: F.relu6(z + 3.0) / 6.0, gate="hardsigmoid"),
    function(
        "relu6-in-place",
        lambda z: F.relu6(z.add_(3.0), inplace=True).div_(6.0),
        gate="hardsigmoid",
    ),
    function("relu6-module", HardSigmoid6, gate="hardsigmoid"),
    function("relu6-times-sixth", lambda z: F.relu6(3 + z) * (1 / 6), gate="hardsigmoid"),
    function("clamp-0-6", lambda z: (z + 3).clamp(0, 6) / 6, gate="hardsigmoid"),
    function(
        "clamp-slope-fifth",
        lambda z: torch.clamp(0.2 * z + 0.5, 0, 1),
        gate="hardsigmoid (slope 0.2)",
    ),
    function(
        "clamp-slope-fifth-in-place",
        lambda z: z.mul_(0.2).add_(0.5).clamp_(min=0.0, max=1.0),
        gate="hardsigmoid (slope 0.2)",
    ),
    function(
        "hardtanh-slope-fifth",
        lambda z: F.hardtanh(z * 0.2 + 0.5, 0.0, 1.0),
        gate="hardsigmoid (slope 0.2)",
    ),
    function("clamp-slope-half", HardSigmoid2, gate="hardsigmoid (slope 0.5)"),
    function(
        "quantised",
        lambda z: _in_steps(_in_steps(F.relu6(_in_steps(z, 0.05) + 3), 6 / 255) / 6, 1 / 255),
        gate="hardsigmoid",
    ),
    function(
        "quantised-sigmoid",
        lambda z: _in_steps(torch.sigmoid(_in_steps(z, 0.05)), 1 / 256),
        gate="sigmoid",
    ),
    function(
        "kept-in-range", lambda z: F.hardsigmoid(z.clamp(0, 4)), gate="hardsigmoid (0.5 to 1)"
    ),
    function("clamp-alone", lambda z: z.clamp(0, 1), gate=None),
]

SQUEEZES = [
    Dialect("squeeze-module", squeezed_by(partial(nn.AdaptiveAvgPool2d, 1))),
    Dialect("squeeze-functional", squeezed_by(lambda x: F.adaptive_avg_pool2d(x, (1, 1)))),
    Dialect("squeeze-mean-dims", squeezed_by(lambda x: x.mean((2, 3)))),
    Dialect("squeeze-mean-kept", squeezed_by(lambda x: x.mean([2, 3], keepdim=True))),
    Dialect("squeeze-mean-mean", squeezed_by(lambda x: x.mean(2).mean(2))),
    Dialect("squeeze-mean-mean-last", squeezed_by(lambda x: x.mean(-1).mean(-1))),
    Dialect(
        "squeeze-view-mean", squeezed_by(lambda x: x.contiguous().view(*x.shape[:2], -1).mean(-1))
    ),
    Dialect("squeeze-flatten-mean", squeezed_by(lambda x: x.flatten(2).mean(2))),
    Dialect("squeeze-avg-pool", squeezed_by(lambda x: F.avg_pool2d(x, x.size()[2:]))),
    Dialect("squeeze-avg-pool-fixed", squeezed_by(lambda x: F.avg_pool2d(x, x.shape[-1]))),
    Dialect(
        "squeeze-sum-over-size", squeezed_by(lambda x: x.sum((2, 3)) / (x.shape[2] * x.shape[3]))
    ),
    Dialect("squeeze-sum-times", squeezed_by(lambda x: x.sum((-2, -1)) * (1 / x[0, 0].numel()))),
    Dialect("squeeze-einsum", squeezed_by(lambda x: torch.einsum("nchw->nc", x) / x[0, 0].numel())),
    Dialect("squeeze-in-double", squeezed_by(lambda x: x.double().mean((2, 3)).to(x.dtype))),
    Dialect("squeeze-amax", squeezed_by(lambda x: x.amax((2, 3))), squeeze="max"),
    Dialect("squeeze-max-dim", squeezed_by(lambda x: x.flatten(2).max(-1)[0]), squeeze="max"),
    Dialect("squeeze-max-module", squeezed_by(partial(nn.AdaptiveMaxPool2d, 1)), squeeze="max"),
    Dialect("squeeze-max-pool", squeezed_by(lambda x: F.max_pool2d(x, x.shape[2:])), squeeze="max"),
]

SCALES = [
    module("tutorial", TutorialSE),
    module("pooled-sequential", PooledSequential),
    module("module-list", LayerList),
    Dialect("scale-broadcast", scaled_by(lambda x, g: x * g, kept=True)),
    Dialect("scale-gate-first", scaled_by(lambda x, g: g * x, kept=True)),
    Dialect("scale-torch-mul", scaled_by(torch.mul, kept=True)),
    Dialect("scale-mul-in-place", scaled_by(lambda x, g: x.mul_(g), kept=True)),
    Dialect("scale-imul", scaled_by(operator.imul, kept=True)),
    Dialect("scale-ellipsis", scaled_by(lambda x, g: x * g[..., None, None])),
    Dialect("scale-view", scaled_by(lambda x, g: x * g.view(*g.shape, 1, 1))),
    Dialect("scale-expand", scaled_by(lambda x, g: x * g[:, :, None, None].expand(x.shape))),
    Dialect("scale-expand-as", scaled_by(lambda x, g: x * g.expand_as(x), kept=True)),
    Dialect("scale-repeat", scaled_by(lambda x, g: x * g.repeat(1, 1, *x.shape[2:]), kept=True)),
    Dialect(
        "scale-repeat-view-as",
        scaled_by(lambda x, g: x * g[:, :, None].repeat(1, 1, x[0, 0].numel()).view_as(x)),
    ),
    Dialect("scale-interpolate", scaled_by(lambda x, g: x * F.interpolate(g, x.shape[2:]), True)),
    Dialect("scale-einsum", scaled_by(lambda x, g: torch.einsum("nchw,nc->nchw", x, g))),
    Dialect(
        "scale-flat-map",
        scaled_by(lambda x, g: (x.flatten(2) * g[:, :, None]).view_as(x)),
    ),
    Dialect(
        "scale-channels-last",
        scaled_by(lambda x, g: (x.permute(0, 2, 3, 1) * g[:, None, None]).permute(0, 3, 1, 2)),
    ),
    Dialect("scale-residual", scaled_by(lambda x, g: x + x * g, kept=True)),
    block_scales("block-scales", BlockScales),
    block_scales("block-scales-linear", BlockScales, linear_gate),
    block_scales("block-scales-addcmul", BlockScalesFused),
    block_scales("block-scales-addcmul-in-place", BlockScalesFusedInPlace),
    block_scales("block-scales-mul-module", BlockScalesByModule),
    block_scales("block-scales-float-functional", BlockScalesByFloatFunctional),
    blocks("constant-outside", partial(ScaledTwice, se=conv_se)),
    inline("inline-functional", Inline),
    inline("inline-torch", InlineTorch),
    inline("inline-method", InlineMethod),
    inline("inline-module", InlineModule),
    inline("inline-hardsigmoid", InlineHard, gate="hardsigmoid"),
]

SHIFTS = [
    halves("shift-chunk", lambda z, c: z.chunk(2, 1)),
    halves("shift-split", lambda z, c: z.split(c, 1)),
    halves("shift-slices", lambda z, c: (z[:, :c], z[:, c:])),
    halves("shift-unbind", lambda z, c: z.view(-1, 2, c, 1, 1).unbind(1)),
    halves("shift-offset-first", lambda z, c: z.chunk(2, 1)[::-1]),
    halves("shift-offset-first-slices", lambda z, c: (z[:, c:], z[:, :c])),
    halves("shift-addcmul", lambda z, c: z.chunk(2, 1), fused=True),
    inline("shift-inline", InlineScaleShift, shift=True, tolerance=LAST_BIT),
]

PLACES = [
    Dialect(
        "place-pre",
        partial(Net, SEPre, widths=(16, 24, 24), strides=(1, 2, 1)),
        channels=(16, 16, 24),
        hidden=(4, 4, 6),
        placement="pre",
    ),
    blocks("place-post", partial(SEPost, se=conv_se), placement="post"),
    Dialect(
        "place-identity",
        partial(Net, partial(SEIdentity, se=conv_se), widths=(16, 16, 16), strides=(1, 1, 1)),
        channels=(16, 16, 16),
        hidden=(4, 4, 4),
        placement="identity",
        names=("SE_2_1", "SE_2_2", "SE_2_3"),
    ),
    # A shortcut with a convolution is a branch like any other.
    blocks("place-projection", partial(SEIdentity, se=conv_se), placement=None),
    Dialect(
        "place-inverted-residual",
        partial(Net, InvertedResidual, widths=(16, 16, 16)),
        channels=(32, 32, 32),
        hidden=(4, 4, 4),
        placement="inside",
    ),
    blocks("place-straight", Straight, placement="inside"),
    blocks("place-branch-sequential", BranchSequential, path="blocks.{}.branch.5"),
    blocks("place-inception", Inception, placement="inside"),
    module(
        "half-of-the-channels",
        HalfOfTheChannels,
        channels=(8, 8, 12),
        hidden=(2, 2, 3),
        placement=None,
    ),
    module(
        "beside-spatial-gate",
        ConcurrentSE,
        path="blocks.{}.se.channel",
        placement=None,
        whole=False,
        others="spatial",
    ),
    blocks("dead-module", DeadSE),
    Dialect("shared-module", shared_se, path=None),
    Dialect("shared-module-block-scales", shared_functional, path=None),
    Dialect("shared-sigmoid", shared_sigmoid),
    Dialect("plain-tensor", lambda: PlainTensorNet(partial(Block, se=conv_se))),
    # No hook can tell that the product is made in the SE module.
    blocks("called-by-forward", partial(CallsForward, se=conv_se), path=None),
    module("layers-called-by-forward", ForwardMethods),
    blocks("returns-both", partial(UsesFirstOutput, se=ReturnsBoth)),
    blocks("checkpointed", partial(Checkpointed, se=conv_se)),
    Dialect("data-parallel", data_parallel, path=None),
    Dialect(
        "through-dict",
        lambda: PackedNet(
            partial(ThroughDict, se=conv_se), lambda x: {"map": x, "first": x}, lambda d: d["map"]
        ),
    ),
    Dialect(
        "through-tuple",
        lambda: PackedNet(partial(ThroughTuple, se=linear_se), lambda x: (x, []), lambda d: d[0]),
    ),
]

LAYOUTS = [
    Dialect("nhwc", ChannelsLastNet),
    Dialect(
        "nhwc-square",
        partial(ChannelsLastNet, widths=(16, 16, 8)),
        input_size=(3, 16, 16),
        channels=(16, 16, 8),
        hidden=(4, 4, 2),
    ),
    Dialect(
        "square",
        partial(net, linear_se, widths=(16, 16, 8)),
        input_size=(3, 16, 16),
        channels=(16, 16, 8),
        hidden=(4, 4, 2),
    ),
    Dialect("channels-last-memory", lambda: net(conv_se).to(memory_format=torch.channels_last)),
    Dialect(
        "1-d",
        partial(net, lambda c: SE(conv(c, dims=1)), dims=1),
        input_size=(3, 64),
    ),
    Dialect(
        "1-d-linear",
        partial(
            net, lambda c: SE(linear(c), squeeze=mean, scale=lambda x, g: x * g[:, :, None]), dims=1
        ),
        input_size=(3, 64),
    ),
    Dialect(
        "3-d",
        partial(
            net, lambda c: SE(conv(c, dims=3), squeeze=partial(nn.AdaptiveAvgPool3d, 1)), dims=3
        ),
        input_size=(3, 4, 12, 12),
    ),
    Dialect(
        "3-d-linear",
        partial(
            net,
            lambda c: SE(linear(c), squeeze=mean, scale=lambda x, g: x * g[:, :, None, None, None]),
            dims=3,
        ),
        input_size=(3, 4, 12, 12),
    ),
    Dialect("bfloat16", lambda: net(conv_se).bfloat16(), dtype=torch.bfloat16),
    Dialect(
        "bfloat16-inline",
        lambda: Net(Inline).bfloat16(),
        path="blocks.{}",
        whole=False,
        dtype=torch.bfloat16,
    ),
    Dialect("float64", lambda: net(linear_se).double(), dtype=torch.float64),
]

DIALECTS: list[Dialect] = [
    *EXCITATIONS,
    *GATE_FUNCTIONS,
    *SQUEEZES,
    *SCALES,
    *SHIFTS,
    *PLACES,
    *LAYOUTS,
]
# What TorchScript compiled does not look at the method that `set_by_hand` patches.
SETTABLE = [d for d in DIALECTS if d.name != "torchscript-whole"]


# -------------------------------------------------------------------------------------------------
# What looks like SE and is not


class ECA(nn.Module):
    """A convolution along the channels instead of a bottleneck."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(mean(x).unsqueeze(1))
        return x * torch.sigmoid(y).transpose(1, 2).unsqueeze(-1)


class ECAPermuted(nn.Module):
    """The same from [N, C, 1, 1] by squeeze and transpose."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.conv = nn.Conv1d(1, 1, kernel_size=5, padding=2, bias=False)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        y = self.avg_pool(x)
        y = self.conv(y.squeeze(-1).transpose(-1, -2)).transpose(-1, -2).unsqueeze(-1)
        return x * self.sigmoid(y).expand_as(x)


class ChannelAttention(nn.Module):
    """CBAM's channel half: average and maximum through one MLP, added before the sigmoid."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.mlp = conv(c, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        average = self.mlp(F.adaptive_avg_pool2d(x, 1))
        maximum = self.mlp(F.adaptive_max_pool2d(x, 1))
        return x * torch.sigmoid(average + maximum)


class SpatialAttention(nn.Module):
    """CBAM's spatial half: mean and maximum over the channels, a convolution, a sigmoid."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], dim=1)
        return x * torch.sigmoid(self.conv(pooled))


class PixelSE(nn.Module):
    """scSE's spatial half: a 1x1 convolution to one channel, a sigmoid."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.conv(x))


class LayerScale(nn.Module):
    """A learned factor per channel."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(c, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class EffectiveSE(nn.Module):
    """A single layer C -> C and a hard sigmoid."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.fc = nn.Conv2d(c, c, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * F.hardsigmoid(self.fc(mean_kept(x)))


class GatherExcite(nn.Module):
    """No parameters: the sigmoid of the mean; ``extent`` 0 gathers over the whole map."""

    def __init__(self, c: int, extent: int = 0) -> None:
        super().__init__()
        self.extent = extent

    def forward(self, x: Tensor) -> Tensor:
        if not self.extent:
            return x * torch.sigmoid(F.adaptive_avg_pool2d(x, 1))
        gathered = F.avg_pool2d(x, self.extent, self.extent)
        return x * torch.sigmoid(F.interpolate(gathered, x.shape[2:]))


class GlobalContext(nn.Module):
    """Attention pooling, a bottleneck with LayerNorm, an addition."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.attention = nn.Conv2d(c, 1, 1)
        self.transform = conv(c, norms=[SwapNorm])

    def forward(self, x: Tensor) -> Tensor:
        weights = self.attention(x).flatten(2).softmax(-1)
        context = torch.bmm(x.flatten(2), weights.transpose(1, 2)).unsqueeze(-1)
        return x + self.transform(context)


class AddsExcitation(nn.Module):
    """Adds the excitation's output instead of multiplying by it."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.excitation = conv(c)

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.sigmoid(self.excitation(mean_kept(x)))


class SelectiveKernel(nn.Module):
    """Two branches, weighed against each other per channel by a softmax."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.near = nn.Conv2d(c, c, 3, padding=1)
        self.far = nn.Conv2d(c, c, 3, padding=2, dilation=2)
        self.reduce = nn.Sequential(nn.Conv2d(c, c // 4, 1), nn.BatchNorm2d(c // 4), nn.ReLU())
        self.select = nn.Conv2d(c // 4, 2 * c, 1)

    def forward(self, x: Tensor) -> Tensor:
        maps = torch.stack([self.near(x), self.far(x)], dim=1)
        weights = self.select(self.reduce(mean_kept(maps.sum(1))))
        weights = weights.view(len(x), 2, -1, 1, 1).softmax(1)
        return (maps * weights).sum(1)


class SplitAttention(nn.Module):
    """Radix 2: the groups of one grouped convolution, weighed by a softmax over the radix."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c, 2 * c, 3, padding=1, groups=2)
        self.fc1 = nn.Conv2d(c, c // 4, 1)
        self.fc2 = nn.Conv2d(c // 4, 2 * c, 1)

    def forward(self, x: Tensor) -> Tensor:
        splits = F.relu(self.conv(x)).chunk(2, 1)
        z = F.relu(self.fc1(mean_kept(splits[0] + splits[1])))
        a, b = self.fc2(z).view(len(x), 2, -1).softmax(1).unbind(1)
        return splits[0] * a[..., None, None] + splits[1] * b[..., None, None]


class CoordinateAttention(nn.Module):
    """Pooling along each axis, one shared convolution, a gate per row and a gate per column."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c, c // 4, 1)
        self.bn1 = nn.BatchNorm2d(c // 4)
        self.rows = nn.Conv2d(c // 4, c, 1)
        self.columns = nn.Conv2d(c // 4, c, 1)

    def forward(self, x: Tensor) -> Tensor:
        h, w = x.shape[2:]
        pooled = torch.cat([x.mean(3, keepdim=True), x.mean(2, keepdim=True).mT], dim=2)
        rows, columns = F.hardswish(self.bn1(self.conv1(pooled))).split([h, w], dim=2)
        return x * torch.sigmoid(self.rows(rows)) * torch.sigmoid(self.columns(columns.mT))


class PerPixelGate(nn.Module):
    """conv-ReLU-conv-sigmoid on the map itself: SE with the squeeze left out."""

    def __init__(self, c: int, forgotten: bool = False) -> None:
        super().__init__()
        self.forgotten = forgotten
        self.fc = conv(c)

    def forward(self, x: Tensor) -> Tensor:
        w = F.adaptive_avg_pool2d(x, 1) if self.forgotten else x
        w = self.fc(x)
        return x * torch.sigmoid(w)


class Bottleneck(nn.Module):
    """BAM: a channel part and a spatial part make one gate per number of the map."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.channel = conv(c, norms=[nn.BatchNorm2d])
        self.spatial = nn.Sequential(
            nn.Conv2d(c, c // 4, 1), nn.ReLU(), nn.Conv2d(c // 4, 1, 3, padding=2, dilation=2)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * (1 + torch.sigmoid(self.channel(mean_kept(x)) * self.spatial(x)))


class MetaAcon(nn.Module):
    """MetaAconC: swish whose steepness comes from the squeezed map."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.p1 = nn.Parameter(torch.ones(c, 1, 1))
        self.p2 = nn.Parameter(torch.ones(c, 1, 1))
        self.fc1 = nn.Conv2d(c, c // 4, 1)
        self.fc2 = nn.Conv2d(c // 4, c, 1)

    def forward(self, x: Tensor) -> Tensor:
        beta = torch.sigmoid(self.fc2(self.fc1(mean_kept(x))))
        difference = (self.p1 - self.p2) * x
        return difference * torch.sigmoid(beta * difference) + self.p2 * x


class DynamicReLU(nn.Module):
    """DY-ReLU-B: the larger of two lines, slopes and offsets from the squeezed map."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(c, c // 4)
        self.fc2 = nn.Linear(c // 4, 4 * c)

    def forward(self, x: Tensor) -> Tensor:
        theta = 2 * torch.sigmoid(self.fc2(F.relu(self.fc1(mean(x))))) - 1
        a1, a2, b1, b2 = theta[..., None, None].chunk(4, dim=1)
        return torch.max(x * (a1 + 1) + 0.5 * b1, x * a2 + 0.5 * b2)


class GlobalResponseNorm(nn.Module):
    """GRN: every channel scaled by its norm over the mean of the channels' norms."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1, c, 1, 1))
        self.beta = nn.Parameter(torch.zeros(1, c, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        size = x.norm(p=2, dim=(2, 3), keepdim=True)
        return self.gamma * (x * (size / (size.mean(1, keepdim=True) + 1e-6))) + self.beta + x


class WrittenInstanceNorm(nn.Module):
    """Instance norm written out: a statistic of each channel scales it, with no layer between."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(c, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        variance = x.var((2, 3), keepdim=True, unbiased=False)
        return (x - mean_kept(x)) * torch.rsqrt(variance + 1e-5) * self.weight


class WrittenBatchNorm(nn.Module):
    """Batch norm in evaluation, written out."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.register_buffer("running_mean", torch.zeros(c))
        self.register_buffer("running_var", torch.ones(c))
        self.weight = nn.Parameter(torch.ones(c))
        self.bias = nn.Parameter(torch.zeros(c))

    def forward(self, x: Tensor) -> Tensor:
        scale = self.weight * torch.rsqrt(self.running_var + 1e-5)
        offset = self.bias - self.running_mean * scale
        return x * scale[None, :, None, None] + offset[None, :, None, None]


class SimAM(nn.Module):
    """A gate per pixel from the distance to the channel's mean; no parameters."""

    def __init__(self, c: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        distance = (x - mean_kept(x)).square()
        return x * torch.sigmoid(distance / (4 * (mean_kept(distance) + 1e-4)) + 0.5)


class WholeImageGate(nn.Module):
    """One number per image."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(c, c // 4), nn.ReLU(), nn.Linear(c // 4, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.fc(mean(x)))[..., None, None]


class LearnedGate(nn.Module):
    """The sigmoid of a parameter: the same gate for every image."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(c, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.logits)


class RoutedConv(nn.Module):
    """CondConv: the squeezed map weighs kernels, not maps."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.kernels = nn.Parameter(torch.zeros(2, c, c, 3, 3))
        self.route = nn.Linear(c, 2)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        weights = torch.sigmoid(self.route(mean(x))) @ self.kernels.flatten(1)
        out = F.conv2d(x.reshape(1, n * c, h, w), weights.view(n * c, c, 3, 3), padding=1, groups=n)
        return out.view(n, c, h, w)


class Activations(nn.Module):
    """Swish and hard swish, as modules and written out, one after the other."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.silu = nn.SiLU()
        self.hardswish = nn.Hardswish()

    def forward(self, x: Tensor) -> Tensor:
        x = self.hardswish(self.silu(x))
        x = x * torch.sigmoid(x)
        x = x * torch.tanh(F.softplus(x))
        return x * F.relu6(x + 3) / 6


class CrossGate(Block):
    """The block's input is squeezed, its output is scaled."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__(inputs, channels, stride)
        del self.se
        self.fc1 = nn.Linear(inputs, channels // 4)
        self.fc2 = nn.Linear(channels // 4, channels)

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.fc2(F.relu(self.fc1(mean(x)))))
        return F.relu(self.branch(x) * gate[..., None, None] + self.shortcut(x))


class TokenBlock(nn.Module):
    """LayerNorm and a mixer on tokens [N, L, C], added to them."""

    def __init__(self, mixer: Callable[[int], nn.Module], c: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(c)
        self.mixer = mixer(c)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mixer(self.norm(x))


class TokenNet(nn.Module):
    """4x4 patches, two token blocks, mean over the tokens, head."""

    def __init__(self, mixer: Callable[[int], nn.Module], c: int = 24) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, c, 4, 4)
        self.blocks = nn.Sequential(TokenBlock(mixer, c), TokenBlock(mixer, c))
        self.head = nn.Linear(c, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.patch(x).flatten(2).mT).mean(1))


class Attention(nn.Module):
    """Multi-head self-attention in plain matrix products."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(c, 3 * c)
        self.out = nn.Linear(c, c)

    def forward(self, x: Tensor) -> Tensor:
        n, length, c = x.shape
        q, k, v = self.qkv(x).view(n, length, 3, 2, c // 2).permute(2, 0, 3, 1, 4)
        weights = (q @ k.mT * (c // 2) ** -0.5).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).flatten(2))


class GatedMLP(nn.Module):
    """Two projections of the same tokens, one the gate of the other."""

    def __init__(self, c: int, gate: Function = torch.sigmoid) -> None:
        super().__init__()
        self.gate = gate
        self.up = nn.Linear(c, 2 * c)
        self.gate_up = nn.Linear(c, 2 * c)
        self.down = nn.Linear(2 * c, c)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.gate(self.gate_up(x)) * self.up(x))


class GLU(nn.Module):
    """``F.glu`` between two projections."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.up = nn.Linear(c, 4 * c)
        self.down = nn.Linear(2 * c, c)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.glu(self.up(x)))


class SpatialGatingUnit(nn.Module):
    """gMLP: half of the channels, mixed along the tokens, multiplies the other half."""

    def __init__(self, c: int, length: int = 64) -> None:
        super().__init__()
        self.up = nn.Linear(c, 2 * c)
        self.norm = nn.LayerNorm(c)
        self.along = nn.Linear(length, length)
        self.down = nn.Linear(c, c)

    def forward(self, x: Tensor) -> Tensor:
        u, v = F.gelu(self.up(x)).chunk(2, -1)
        return self.down(u * self.along(self.norm(v).mT).mT)


class RecurrentHead(nn.Module):
    """Convolutions, then a recurrent network along the rows."""

    def __init__(self, cell: type[nn.Module]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.rnn = cell(8 * 16, 16, batch_first=True)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        rows = F.relu(self.stem(x)).permute(0, 2, 1, 3).flatten(2)
        return self.head(self.rnn(rows)[0][:, -1])


class WrittenLSTMHead(nn.Module):
    """An LSTM cell written out, fed by global average pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Net(Block)
        self.inputs = nn.Linear(5, 32)
        self.states = nn.Linear(8, 32)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        z = self.body(x)
        h = c = z.new_zeros(len(z), 8)
        for _ in range(3):
            i, f, g, o = (self.inputs(z) + self.states(h)).chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        return self.head(h)


class SwishHead(nn.Module):
    """After pooling, a bottleneck gates the vector itself; no map is scaled."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Net(Block)
        self.body.head = nn.Identity()
        self.fc1 = nn.Linear(WIDTHS[-1], 6)
        self.fc2 = nn.Linear(6, WIDTHS[-1])
        self.head = nn.Linear(WIDTHS[-1], 5)

    def forward(self, x: Tensor) -> Tensor:
        z = self.body(x)
        return self.head(z * torch.sigmoid(self.fc2(F.silu(self.fc1(z)))))


def small_vit() -> nn.Module:
    """The ViT-Tiny of timm with two blocks, for 64-pixel images."""
    return timm.create_model("vit_tiny_patch16_224", img_size=64, depth=2, num_classes=5)


@dataclass(frozen=True)
class Lookalike:
    """A network without SE.

    Attributes:
        name: Readable id.
        make: Builds the network; `build` gives it its weights.
        named: Pattern, in any case, that the finder's name for it must match; ``""`` where any name
            or none will do; ``None`` where nothing at all may be reported.
        count: How often it is to be reported under that name; ``None`` leaves it open.
        optional: Whether it may also go unreported.
        input_size: Shape of one image.
    """

    name: str
    make: Callable[[], nn.Module]
    named: str | None
    count: int | None = None
    optional: bool = False
    input_size: tuple[int, ...] = (3, 32, 32)

    def build(self) -> nn.Module:
        """Return the network in eval mode, with settled weights."""
        return settle(self.make())

    def example(self, batch: int, seed: int) -> Tensor:
        """Return images for it."""
        return images(self.input_size, batch, seed)


def in_place_of_se(
    name: str, attention: Callable[[int], nn.Module], named: str | None, **facts: Any
) -> Lookalike:
    """A look-alike on the branch of each residual block."""
    return Lookalike(name, partial(net, attention), named, **facts)


def on_tokens(name: str, mixer: Callable[[int], nn.Module], named: str | None) -> Lookalike:
    """A look-alike that mixes tokens."""
    return Lookalike(name, partial(TokenNet, mixer), named)


LOOKALIKES: list[Lookalike] = [
    in_place_of_se("eca", ECA, r"\bECA\b", count=3),
    in_place_of_se("eca-permuted", ECAPermuted, r"\bECA\b", count=3),
    in_place_of_se("cbam-channel", ChannelAttention, "CBAM", count=3),
    in_place_of_se("cbam-spatial", SpatialAttention, "spatial", count=3),
    in_place_of_se("scse-spatial", PixelSE, "spatial", count=3),
    in_place_of_se("layer-scale", LayerScale, "layer scale", count=3),
    in_place_of_se("learned-gate", LearnedGate, ""),
    in_place_of_se("ese", EffectiveSE, r"\beSE\b", count=3),
    in_place_of_se("gather-excite", GatherExcite, "gather|parameter-free", count=3),
    in_place_of_se("gather-excite-local", partial(GatherExcite, extent=8), ""),
    in_place_of_se("global-context", GlobalContext, "global context", optional=True),
    in_place_of_se("adds-excitation", AddsExcitation, None),
    in_place_of_se("selective-kernel", SelectiveKernel, "softmax", count=3),
    in_place_of_se("split-attention", SplitAttention, "softmax"),
    in_place_of_se(
        "softmax-over-channels",
        partial(linear_se, gate=lambda z: z.softmax(1)),
        "softmax",
        count=3,
    ),
    in_place_of_se(
        "unbounded", partial(conv_se, gate=F.relu), "unbounded|not bounded|relu", count=3
    ),
    in_place_of_se(
        "unbounded-linear", partial(conv_se, gate=lambda z: z), "unbounded|identity|linear"
    ),
    in_place_of_se("coordinate-attention", CoordinateAttention, "coordinate|axis|spatial"),
    in_place_of_se("per-pixel", PerPixelGate, "without squeeze", count=3),
    in_place_of_se(
        "squeeze-forgotten", partial(PerPixelGate, forgotten=True), "without squeeze", count=3
    ),
    Lookalike(
        "senet-notes",
        partial(SENetNotes, squeeze=False, filters=16, blocks=2),
        "without squeeze",
        count=2,
    ),
    in_place_of_se("bam", Bottleneck, ""),
    in_place_of_se("meta-acon", MetaAcon, ""),
    in_place_of_se("dynamic-relu", DynamicReLU, ""),
    in_place_of_se("grn", GlobalResponseNorm, ""),
    in_place_of_se("simam", SimAM, ""),
    in_place_of_se("instance-norm-written-out", WrittenInstanceNorm, ""),
    in_place_of_se("batch-norm-written-out", WrittenBatchNorm, None),
    in_place_of_se("plain-group-norm", lambda c: nn.GroupNorm(4, c), None),
    in_place_of_se("whole-image-gate", WholeImageGate, ""),
    in_place_of_se("routed-convolution", RoutedConv, ""),
    in_place_of_se("activations", Activations, None),
    in_place_of_se("plain-resnet", nn.Identity, None),
    Lookalike("cross-gate", partial(Net, CrossGate), "cross", count=3),
    Lookalike("gru-head", partial(RecurrentHead, nn.GRU), None),
    Lookalike("lstm-head", partial(RecurrentHead, nn.LSTM), None),
    Lookalike("lstm-written-out", WrittenLSTMHead, None),
    Lookalike("gated-head", SwishHead, ""),
    Lookalike("vit", small_vit, "attention", input_size=(3, 64, 64)),
    on_tokens("attention", Attention, "attention"),
    on_tokens("gated-mlp", GatedMLP, "gated|GLU"),
    on_tokens("swiglu", partial(GatedMLP, gate=F.silu), "gated|GLU"),
    on_tokens("geglu", partial(GatedMLP, gate=F.gelu), "gated|GLU"),
    on_tokens("glu", GLU, "gated|GLU"),
    on_tokens("gmlp", SpatialGatingUnit, ""),
]
