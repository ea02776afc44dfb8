"""The finder and the tap on the zoo of dialects, on look-alikes and on the zoos that people use."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import pytest
import timm
import torch
import torchvision
from conftest import sampled
from dialects import (
    DIALECTS,
    LOOKALIKES,
    Dialect,
    Lookalike,
    Recording,
    as_matrix,
    images,
    settle,
    true_gates,
    varies,
)
from timm.layers import SqueezeExcite as TimmSE
from timm.models._efficientnet_blocks import SqueezeExcite as EfficientNetSE
from timm.models.senet import SEModule as LegacySE
from torch import Tensor, nn
from torchvision.ops import SqueezeExcitation as TorchvisionSE

from seviz.gates import Found, Tap, find
from seviz.results.blocks import SEBlock

pytestmark = [
    pytest.mark.filterwarnings("error"),
    # torch deprecates TorchScript and says so again whenever a scripted module is copied.
    pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
]

by_name = attrgetter("name")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """One thread: the networks are tiny, and sums are taken in one order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def trace_of(model: nn.Module) -> dict[str, Any]:
    """Return what a tap could leave behind: hooks, flags and attributes of every module."""
    hooks = (
        "_forward_hooks",
        "_forward_pre_hooks",
        "_forward_hooks_with_kwargs",
        "_forward_pre_hooks_with_kwargs",
        "_backward_hooks",
        "_backward_pre_hooks",
    )
    return {
        name: (
            module.training,
            sorted(vars(module)),
            [list(getattr(module, kind, ())) for kind in hooks],
        )
        for name, module in model.named_modules()
    }


def state_of(model: nn.Module) -> dict[str, Tensor]:
    """Return a copy of the state dict."""
    return {key: value.clone() for key, value in model.state_dict().items()}


def assert_same_state(model: nn.Module, before: dict[str, Tensor]) -> None:
    """Fail unless the state dict has the same keys and the same bits."""
    after = model.state_dict()
    assert list(after) == list(before)
    assert [key for key in before if not torch.equal(after[key], before[key])] == []


def head_of(model: nn.Module) -> nn.Module:
    """Return the classifier: all gates have been computed when it runs."""
    return next(m for name, m in model.named_modules() if name.split(".")[-1] == "head")


@torch.no_grad()
def tapped(model: nn.Module, found: Found, x: Tensor) -> dict[str, Tensor]:
    """Return the gates that a tap reads in one forward pass."""
    with Tap(model, found) as tap:
        model(x)
        return tap.take()


def assert_same_gates(read: dict[str, Tensor], true: list[Tensor], tolerance: float = 0.0) -> None:
    """Compare gates in forward order; without a tolerance every bit must agree."""
    assert len(read) == len(true)
    for (name, gate), expected in zip(read.items(), true, strict=True):
        assert gate.shape == expected.shape, name
        assert not gate.requires_grad
        difference = (gate.double() - expected.double()).abs().max().item()
        assert difference <= tolerance, f"{name} differs by {difference}"


# -------------------------------------------------------------------------------------------------
# The zoo itself


def test_names_are_unique() -> None:
    names = [entry.name for entry in (*DIALECTS, *LOOKALIKES)]
    assert [name for name, count in Counter(names).items() if count > 1] == []


@pytest.mark.parametrize("dialect", sampled(DIALECTS, 5), ids=by_name)
def test_dialect_is_sound(dialect: Dialect) -> None:
    """The truth has the shapes that the table says, varies, and can be told without a trace."""
    model = dialect.build()
    before = trace_of(model)
    for batch, seed in ((3, 1), (2, 2)):
        x = dialect.example(batch, seed)
        with torch.no_grad():
            assert model(x).isfinite().all()
        gates = true_gates(model, x)
        assert [tuple(gate.shape) for gate in gates] == [(batch, c) for c in dialect.channels]
        if seed == 1:
            assert all(varies(gate) for gate in gates)
    assert len(dialect.hidden) == len(dialect.names) == dialect.gates
    assert trace_of(model) == before
    assert all(m.record is None for m in model.modules() if isinstance(m, Recording))


@pytest.mark.parametrize("lookalike", LOOKALIKES, ids=by_name)
def test_lookalike_is_sound(lookalike: Lookalike) -> None:
    model = lookalike.build()
    for batch in (2, 3):
        with torch.no_grad():
            out = model(lookalike.example(batch, seed=batch))
        assert out.isfinite().all()
        assert not torch.equal(out[0], out[1])


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((2, 3), (2, 3)), ((2, 3, 1, 1), (2, 3)), ((2, 1, 1, 3), (2, 3)), ((2, 3, 1), (2, 3))],
    ids=str,
)
def test_as_matrix_flattens(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert torch.equal(as_matrix(torch.arange(6.0).view(shape)), torch.arange(6.0).view(expected))


def test_as_matrix_undoes_an_expansion() -> None:
    gate = torch.arange(6.0).view(2, 3)
    assert torch.equal(as_matrix(gate[:, :, None, None].expand(2, 3, 4, 5)), gate)


# -------------------------------------------------------------------------------------------------
# What is found


@dataclass(frozen=True, repr=False)
class Searched:
    """A network and what the finder says of it."""

    model: nn.Module
    found: Found
    blocks: list[SEBlock]
    without_squeeze: list[SEBlock]
    others: list[str]

    def facts(self, name: str) -> list[Any]:
        """Return one attribute of every block."""
        return [getattr(block, name) for block in self.blocks]


@dataclass(frozen=True, repr=False)
class Case(Searched):
    """A dialect's network and what the finder says of it."""

    dialect: Dialect


def searched(model: nn.Module, input_size: tuple[int, ...]) -> dict[str, Any]:
    """Return the fields of `Searched`."""
    found = find(model, input_size)
    return {
        "model": model,
        "found": found,
        "blocks": list(found.blocks),
        "without_squeeze": list(found.without_squeeze),
        "others": [other.kind for other in found.others for _ in range(other.count)],
    }


def case_of(dialect: Dialect) -> Case:
    return Case(dialect=dialect, **searched(dialect.build(), dialect.input_size))


@pytest.fixture(scope="module", params=DIALECTS, ids=by_name)
def case(request: pytest.FixtureRequest) -> Case:
    """One dialect, built and searched."""
    return case_of(request.param)


@pytest.fixture(scope="module", params=sampled(DIALECTS, 5), ids=by_name)
def some(request: pytest.FixtureRequest) -> Case:
    """One dialect of some, the others at night: what a tap does is the same for every way of writing."""
    return case_of(request.param)


def test_what_is_found(case: Case) -> None:
    """Number and kind, shapes, functions, names and places: all that the dialect's table says."""
    dialect, number = case.dialect, case.dialect.gates
    assert case.facts("kind") == [dialect.kind] * number
    assert case.without_squeeze == []
    assert case.facts("channels") == list(dialect.channels)
    assert case.facts("hidden") == list(dialect.hidden)
    if dialect.gate is not None:
        assert case.facts("gate") == [dialect.gate] * number
    else:
        assert all(case.facts("gate"))
    assert case.facts("squeeze") == [dialect.squeeze] * number
    assert case.facts("shift") == [dialect.shift] * number
    assert case.facts("name") == list(dialect.names)
    numbers = [f"SE_{block.stage}_{block.index}" for block in case.blocks]
    assert numbers == list(dialect.names)
    if dialect.placement is not None:
        assert case.facts("placement") == [dialect.placement] * number
    else:
        known = {"standard", "pre", "post", "identity", "inside"}
        assert set(case.facts("placement")) <= known
    if dialect.path is not None:
        assert case.facts("path") == [dialect.path.format(n) for n in range(number)]
    if dialect.others is None:
        assert case.others == []
    else:
        assert case.others != []
        assert all(re.search(dialect.others, kind, re.IGNORECASE) for kind in case.others)


def test_parameters(case: Case) -> None:
    """The excitation's parameters are named as in the state dict, and counted."""
    sizes = {name: p.numel() for name, p in case.model.named_parameters(remove_duplicate=False)}
    sizes.update({name.removeprefix("module."): n for name, n in sizes.items()})
    for block in case.blocks:
        assert len(block.parameters) >= 2
        assert block.params == sum(sizes[name] for name in block.parameters)
        if case.dialect.path is not None and case.dialect.whole:
            inside = {name for name in sizes if name.startswith(f"{block.path}.")}
            assert set(block.parameters) == inside


# -------------------------------------------------------------------------------------------------
# What is read


def test_gates_are_the_true_gates(case: Case) -> None:
    """On other images and another batch size than the trace had."""
    x = case.dialect.example(3, seed=1)
    read = tapped(case.model, case.found, x)
    assert list(read) == list(case.dialect.names)
    assert_same_gates(read, true_gates(case.model, x), case.dialect.tolerance)


def test_gates_of_two_batches_in_one_tap(some: Case) -> None:
    batches = [some.dialect.example(2, seed=2), some.dialect.example(5, seed=3)]
    with torch.no_grad(), Tap(some.model, some.found) as tap:
        reads = []
        for x in batches:
            some.model(x)
            reads.append(tap.take())
    for x, read in zip(batches, reads, strict=True):
        assert_same_gates(read, true_gates(some.model, x), some.dialect.tolerance)


def test_gates_with_gradients_on(some: Case) -> None:
    x = some.dialect.example(2, seed=4)
    with Tap(some.model, some.found) as tap:
        some.model(x)
        read = tap.take()
    assert_same_gates(read, true_gates(some.model, x), some.dialect.tolerance)


@torch.no_grad()
def test_logits_are_unchanged(some: Case) -> None:
    x = some.dialect.example(3, seed=5)
    before = some.model(x)
    with Tap(some.model, some.found):
        during = some.model(x)
    assert torch.equal(during, before)
    assert torch.equal(some.model(x), before)


# -------------------------------------------------------------------------------------------------
# What is left behind: nothing


@pytest.mark.parametrize("dialect", sampled(DIALECTS, 5), ids=by_name)
def test_finding_leaves_no_trace(dialect: Dialect) -> None:
    """Even of a module in training mode whose running statistics a pass would move."""
    model = dialect.build()
    trained = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    (trained or list(model.modules()))[-1].training = True
    before, state = trace_of(model), state_of(model)
    find(model, dialect.input_size)
    assert trace_of(model) == before
    assert_same_state(model, state)


@torch.no_grad()
def test_reading_leaves_no_trace(some: Case) -> None:
    stem = next(m for name, m in some.model.named_modules() if name.split(".")[-1] == "stem")
    stem.training = True
    try:
        before, state = trace_of(some.model), state_of(some.model)
        tapped(some.model, some.found, some.dialect.example(2, seed=6))
        assert trace_of(some.model) == before
        assert_same_state(some.model, state)
    finally:
        stem.training = False


def break_head(model: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the classifier raise."""

    def broken(x: Tensor) -> Tensor:
        raise RuntimeError("the head is broken")

    monkeypatch.setattr(head_of(model), "forward", broken)


def test_failed_search_leaves_no_trace(some: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        break_head(some.model, patch)
        before, state = trace_of(some.model), state_of(some.model)
        with pytest.raises(Exception, match="the head is broken"):
            find(some.model, some.dialect.input_size)
        assert trace_of(some.model) == before
        assert_same_state(some.model, state)


def test_failed_pass_leaves_no_trace(some: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it disturb the next one."""
    x = some.dialect.example(2, seed=7)
    before, state = trace_of(some.model), state_of(some.model)
    with monkeypatch.context() as patch:
        break_head(some.model, patch)
        with (
            pytest.raises(RuntimeError, match="the head is broken"),
            torch.no_grad(),
            Tap(some.model, some.found),
        ):
            some.model(x)
    assert trace_of(some.model) == before
    assert_same_state(some.model, state)
    assert_same_gates(
        tapped(some.model, some.found, x), true_gates(some.model, x), some.dialect.tolerance
    )


def test_failed_pass_is_forgotten_inside_a_tap(some: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pass after a failed one, under the same tap, starts from zero."""
    x, y = some.dialect.example(2, seed=8), some.dialect.example(3, seed=9)
    with torch.no_grad(), Tap(some.model, some.found) as tap:
        with monkeypatch.context() as patch:
            break_head(some.model, patch)
            with pytest.raises(RuntimeError, match="the head is broken"):
                some.model(x)
        some.model(y)
        read = tap.take()
    assert_same_gates(read, true_gates(some.model, y), some.dialect.tolerance)


# -------------------------------------------------------------------------------------------------
# Look-alikes


@dataclass(frozen=True, repr=False)
class Similar(Searched):
    """A look-alike's network and what the finder says of it."""

    lookalike: Lookalike

    @property
    def reported(self) -> Counter[str]:
        """How often each mechanism other than SE is reported."""
        return Counter([*self.others, *(block.kind for block in self.without_squeeze)])


@pytest.fixture(scope="module", params=LOOKALIKES, ids=by_name)
def similar(request: pytest.FixtureRequest) -> Similar:
    """One look-alike, built and searched."""
    lookalike: Lookalike = request.param
    return Similar(lookalike=lookalike, **searched(lookalike.build(), lookalike.input_size))


def test_lookalike_is_not_se(similar: Similar) -> None:
    assert similar.blocks == []


def test_lookalike_is_named(similar: Similar) -> None:
    lookalike, reported = similar.lookalike, similar.reported
    if lookalike.named is None:
        assert reported == Counter()
        return
    fitting = [kind for kind in reported if re.search(lookalike.named, kind, re.IGNORECASE)]
    if not lookalike.optional and lookalike.named:
        assert fitting, f"expected {lookalike.named!r}, found {dict(reported)}"
    if lookalike.count is not None:
        assert sum(reported[kind] for kind in fitting) == lookalike.count, dict(reported)


# -------------------------------------------------------------------------------------------------
# The zoos that people use

SE_CLASSES: dict[type[nn.Module], str] = {
    LegacySE: "sigmoid",
    TimmSE: "gate",
    EfficientNetSE: "gate",
    TorchvisionSE: "scale_activation",
}


@dataclass(frozen=True)
class ZooNet:
    """A network of a public zoo.

    Attributes:
        name: Readable id.
        make: Builds it with random weights.
        blocks: Number of SE blocks.
        gate: Gate function of all of them.
        placement: Where they sit.
    """

    name: str
    make: Callable[[], nn.Module]
    blocks: int
    gate: str = "sigmoid"
    placement: str = "standard"


def from_timm(name: str, blocks: int = 0, **facts: Any) -> ZooNet:
    """A network of timm."""
    return ZooNet(
        f"timm-{name}", lambda: timm.create_model(name, pretrained=False), blocks, **facts
    )


def from_torchvision(name: str, blocks: int = 0, **facts: Any) -> ZooNet:
    """A network of torchvision."""
    return ZooNet(
        f"torchvision-{name}",
        lambda: torchvision.models.get_model(name, weights=None),
        blocks,
        **facts,
    )


ZOO = [
    from_timm("legacy_seresnet50", 16),
    from_timm("seresnet50", 16),
    from_timm("seresnext50_32x4d", 16),
    from_timm("efficientnet_b0", 16, placement="inside"),
    from_timm("mobilenetv3_small_100", 9, gate="hardsigmoid", placement="inside"),
    from_timm("regnety_008", 14, placement="inside"),
    from_torchvision("mobilenet_v3_small", 9, gate="hardsigmoid", placement="inside"),
    from_torchvision("efficientnet_b0", 16, placement="inside"),
    from_torchvision("regnet_y_400mf", 16, placement="inside"),
]

SE_FREE = [
    from_timm("resnet18"),
    from_timm("convnext_atto"),
    from_timm("vit_tiny_patch16_224"),
    from_torchvision("mobilenet_v2"),
    ZooNet(
        "torchvision-densenet",
        lambda: torchvision.models.DenseNet(8, (2, 2, 2, 2), 16, num_classes=10),
        blocks=0,
    ),
]


def se_modules(model: nn.Module) -> dict[str, tuple[nn.Module, nn.Module]]:
    """Return path -> (SE module, the submodule whose output is its gate)."""
    return {
        name: (module, module.get_submodule(gate))
        for name, module in model.named_modules()
        for kind, gate in SE_CLASSES.items()
        if type(module) is kind
    }


@torch.no_grad()
def hooked_gates(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Return path -> gate [N, C] in forward order, from hooks on the known gate submodules."""
    gates: dict[str, Tensor] = {}

    def keep(path: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(module: nn.Module, args: Any, output: Tensor) -> None:
            gates[path] = as_matrix(output.clone())

        return hook

    modules = se_modules(model)
    handles = [gate.register_forward_hook(keep(path)) for path, (_, gate) in modules.items()]
    try:
        model(x)
    finally:
        for handle in handles:
            handle.remove()
    return gates


def bottleneck(module: nn.Module) -> tuple[int, int]:
    """Return (channels, hidden) of a zoo's SE module: its first layer's inputs and outputs."""
    first = next(m for m in module.modules() if isinstance(m, nn.Conv2d))
    return first.in_channels, first.out_channels


@dataclass(frozen=True, repr=False)
class ZooCase(Searched):
    """A zoo's network, what the finder says of it, and its gates on other images."""

    net: ZooNet
    true: dict[str, Tensor]
    x: Tensor


@pytest.fixture(scope="module", params=sampled(ZOO, 3), ids=by_name)
def zoo(request: pytest.FixtureRequest) -> ZooCase:
    """One network, searched at 224 px, run at 96 px."""
    zoo_net: ZooNet = request.param
    model = settle(zoo_net.make())
    x = images((3, 96, 96), 3, seed=1)
    true = hooked_gates(model, x)
    return ZooCase(net=zoo_net, true=true, x=x, **searched(model, (3, 224, 224)))


def test_zoo_blocks(zoo: ZooCase) -> None:
    modules = se_modules(zoo.model)
    assert len(modules) == len(zoo.true) == zoo.net.blocks
    assert zoo.facts("path") == list(zoo.true)
    shapes = list(zip(zoo.facts("channels"), zoo.facts("hidden"), strict=True))
    assert shapes == [bottleneck(modules[path][0]) for path in zoo.true]
    for block in zoo.blocks:
        module = modules[block.path][0]
        inside = {f"{block.path}.{name}" for name, _ in module.named_parameters()}
        assert set(block.parameters) == inside
        assert block.params == sum(p.numel() for p in module.parameters())


def test_zoo_kinds(zoo: ZooCase) -> None:
    assert set(zoo.facts("kind")) == {"SE"}
    assert set(zoo.facts("gate")) == {zoo.net.gate}
    assert set(zoo.facts("squeeze")) == {"mean"}
    assert set(zoo.facts("shift")) == {False}
    assert set(zoo.facts("placement")) == {zoo.net.placement}
    assert zoo.without_squeeze == []
    assert zoo.others == []


def test_zoo_names_follow_resolution(zoo: ZooCase) -> None:
    """Stages count from 2 in the order of the maps' sizes, indices from 1 inside each."""
    sizes = zoo.facts("spatial")
    assert sizes == sorted(sizes, reverse=True)
    stages = list(dict.fromkeys(sizes))
    counts: Counter[int] = Counter()
    for block in zoo.blocks:
        stage = stages.index(block.spatial) + 2
        counts[stage] += 1
        assert block.name == f"SE_{stage}_{counts[stage]}"


def test_zoo_gates(zoo: ZooCase) -> None:
    read = tapped(zoo.model, zoo.found, zoo.x)
    assert_same_gates(read, list(zoo.true.values()))
    for gate in read.values():
        assert gate.isfinite().all()
        assert gate.std(1).min() > 0.01
        assert not torch.equal(gate[0], gate[1])


@torch.no_grad()
def test_zoo_logits_are_unchanged(zoo: ZooCase) -> None:
    before, trace = zoo.model(zoo.x), trace_of(zoo.model)
    with Tap(zoo.model, zoo.found):
        during = zoo.model(zoo.x)
    assert torch.equal(during, before)
    assert trace_of(zoo.model) == trace


def test_legacy_seresnet50_has_the_names_of_the_paper() -> None:
    model = timm.create_model("legacy_seresnet50", pretrained=False)
    blocks = find(model, (3, 224, 224)).blocks
    layout = {2: (3, 256, 56), 3: (4, 512, 28), 4: (6, 1024, 14), 5: (3, 2048, 7)}
    expected = [
        (f"SE_{s}_{i + 1}", f"layer{s - 1}.{i}.se_module", channels, channels // 16, (size, size))
        for s, (blocks, channels, size) in layout.items()
        for i in range(blocks)
    ]
    assert [(b.name, b.path, b.channels, b.hidden, b.spatial) for b in blocks] == expected
    assert {b.reduction for b in blocks} == {16}


@pytest.mark.parametrize("net", SE_FREE, ids=by_name)
def test_zoo_without_se(net: ZooNet) -> None:
    found = searched(net.make().eval(), (3, 224, 224))
    assert found["blocks"] == []
    assert found["without_squeeze"] == []
