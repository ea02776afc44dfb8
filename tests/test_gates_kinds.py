"""Gates of other kinds than SE: found by data flow, named for what they are, read to the last bit."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import pytest
import timm
import torch
from conftest import sampled
from dialects import Block, Net, conv_se, images, net, settle, varies
from dialects import Bottleneck as BroadcastBAM
from mechanisms import (
    BAM,
    CBAM,
    FOREIGN,
    UNREAD,
    AuthorsCBAM,
    AuthorsECA,
    Foreign,
    Recording,
    SKApart,
    SKStacked,
    VoVNetESE,
    each,
    noted,
)
from timm.layers import (
    CecaModule,
    EcaModule,
    EffectiveSEModule,
    GatherExcite,
    GlobalContext,
    SelectiveKernel,
    SplitAttn,
)
from timm.layers.cbam import CbamModule, ChannelAttn, LightCbamModule
from timm.layers.selective_kernel import SelectiveKernelAttn
from timm.models.hgnet import EseModule
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from seviz.errors import CheckpointError, NoSEBlockError, UsageError
from seviz.gates import Found, Tap, find, trace
from seviz.gates.kinds import PER_PIXEL, SQUEEZED, row_of
from seviz.gates.rerun import Rerun
from seviz.results.blocks import FORMS, GateBlock
from seviz.results.mechanisms import BY_KEY, MECHANISMS

SIZE = (3, 32, 32)
by_name = attrgetter("name")


@torch.no_grad()
def tapped(model: nn.Module, found: Found, x: Tensor) -> dict[str, Tensor]:
    """Return the gates that a tap reads in one forward pass."""
    with Tap(model, found) as tap:
        model(x.clone())
        return tap.take()


# -------------------------------------------------------------------------------------------------
# The table


def test_every_kind_that_is_described_is_recognised() -> None:
    rows = {kind.mechanism for _, kind in (*SQUEEZED, *PER_PIXEL)} - {None}
    assert rows == set(MECHANISMS)
    assert {m.form for m in MECHANISMS} == set(FORMS)


def test_words_and_prefixes_are_unique() -> None:
    for fact in ("key", "name", "prefix", "title", "source"):
        values = [getattr(m, fact).lower() for m in MECHANISMS]
        assert len(set(values)) == len(values), fact
    assert all(m.prefix.isalpha() for m in MECHANISMS)
    assert "all" not in BY_KEY


def test_what_is_read_per_pixel_is_not_among_all() -> None:
    model = each(BAM)().eval()
    assert find(model, SIZE, "all").blocks == ()
    assert len(find(model, SIZE, "bam").blocks) == 3


def test_an_unknown_kind_is_a_usage_error() -> None:
    with pytest.raises(
        UsageError, match=r"expected a kind of gate \(se, gate, ese, .*, all\), found 'x'"
    ):
        find(net(nn.Identity), SIZE, "x")


# -------------------------------------------------------------------------------------------------
# Implementations from the papers


@pytest.mark.parametrize("entry", FOREIGN, ids=by_name)
def test_foreign_blocks(entry: Foreign) -> None:
    model = entry.build()
    found = find(model, SIZE, entry.key)
    kind = BY_KEY[entry.key]
    maps = entry.facts.get("branches", 1)
    assert [b.name for b in found.blocks] == [f"{kind.prefix}_{n}" for n in ("2_1", "2_2", "3_1")]
    assert [b.channels for b in found.blocks] == [16 * maps, 16 * maps, 24 * maps]
    assert [b.spatial for b in found.blocks] == [(32, 32), (32, 32), (16, 16)]
    last = found.blocks[-1]
    assert type(last) is FORMS[kind.form]
    assert last.mechanism is kind
    assert last.facts == entry.facts
    assert (last.squeeze, last.gate) == (entry.squeeze, entry.gate)
    # The module is the gate's alone, but for selective kernels and split attention, which hold convolutions.
    if maps == 1:
        holder = model.get_submodule(last.path)
        assert last.params == sum(
            p.numel() for n, p in holder.named_parameters() if n[:6] != "conv.x"
        )


@pytest.mark.parametrize("entry", FOREIGN, ids=by_name)
def test_foreign_gates(entry: Foreign) -> None:
    """On other images and another batch size than the trace had; equal to the last bit."""
    model = entry.build()
    found = find(model, SIZE, entry.key)
    x = entry.example(3, seed=1)
    read = list(tapped(model, found, x).values())
    true = noted(model, x)
    assert len(read) == len(true) == 3
    low, high = BY_KEY[entry.key].limits
    for gate, expected in zip(read, true, strict=True):
        assert torch.equal(gate, expected)
        assert low <= gate.min() <= gate.max() <= high
        assert not torch.equal(gate[0], gate[1])


@pytest.mark.parametrize("entry", sampled(FOREIGN, 4), ids=by_name)
def test_foreign_gates_are_no_se(entry: Foreign) -> None:
    model = entry.build()
    found = find(model, SIZE)
    assert found.blocks == ()
    assert found.without_squeeze == ()
    assert sum(o.count for o in found.others) >= 3
    assert found.readable == (entry.key,)
    with pytest.raises(
        NoSEBlockError,
        match=f"--mechanism {entry.key} reads those .in Python, mechanism=.{entry.key}.",
    ):
        found.require_se()


@pytest.mark.parametrize(
    "entry", sampled([e for e in FOREIGN if not BY_KEY[e.key].per_pixel], 4), ids=by_name
)
def test_all_kinds_give_the_same_blocks(entry: Foreign) -> None:
    model = entry.build()
    one, every = find(model, SIZE, entry.key), find(model, SIZE, "all")
    assert one.blocks == every.blocks
    assert one.others == every.others


@torch.no_grad()
@pytest.mark.parametrize("entry", sampled(FOREIGN, 4), ids=by_name)
def test_reading_changes_nothing(entry: Foreign) -> None:
    model = entry.build()
    x = entry.example(2, seed=2)
    before = model(x.clone())
    found = find(model, SIZE, entry.key)
    with Tap(model, found):
        during = model(x.clone())
    assert torch.equal(before, during)
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize("entry", [e for e in FOREIGN if e.weights is not None], ids=by_name)
def test_closed_form_of_the_weights(entry: Foreign) -> None:
    last = find(entry.build(), SIZE, entry.key).blocks[-1]
    weights = row_of(last).weights
    assert weights is not None
    assert weights(last) == entry.weights


@pytest.mark.parametrize("entry", UNREAD, ids=by_name)
def test_what_is_no_gate_per_channel_is_named_and_not_read(entry: Foreign) -> None:
    model = entry.build()
    found = find(model, SIZE, "all")
    assert found.blocks == ()
    assert found.readable == ()
    kinds = [o.kind for o in found.others]
    if entry.named:
        assert [o.count for o in found.others if entry.named in o.kind] == [3]
    else:
        assert not any(word in kind for kind in kinds for word in ("SE", "global context"))


# -------------------------------------------------------------------------------------------------
# timm's own modules


def timm_net(make: Callable[[int], nn.Module]) -> nn.Module:
    return settle(net(make))


# Module, kind, the submodule (or its kind) whose output is the gate, blocks.
TIMM: dict[str, tuple[Callable[[int], nn.Module], str, str]] = {
    "EcaModule": (EcaModule, "eca", "gate"),
    "EcaModule-kernel": (lambda c: EcaModule(kernel_size=5), "eca", "gate"),
    "EcaModule-mlp": (lambda c: EcaModule(c, use_mlp=True), "eca", "gate"),
    "CecaModule": (CecaModule, "eca", "gate"),
    "CbamModule": (lambda c: CbamModule(c, rd_ratio=0.25), "cbam", "channel.gate"),
    "EffectiveSEModule": (EffectiveSEModule, "ese", "gate"),
    "EffectiveSEModule-maxpool": (lambda c: EffectiveSEModule(c, add_maxpool=True), "ese", "gate"),
    "GatherExcite": (lambda c: GatherExcite(c, use_mlp=False), "ge", "gate"),
    "GatherExcite-maxpool": (
        lambda c: GatherExcite(c, use_mlp=False, add_maxpool=True),
        "ge",
        "gate",
    ),
    "GlobalContext": (GlobalContext, "gc", "gate"),
    "GlobalContext-both": (lambda c: GlobalContext(c, fuse_add=True), "gc", "gate"),
    "GlobalContext-mean": (lambda c: GlobalContext(c, use_attn=False), "se", "gate"),
    "SelectiveKernel": (lambda c: SelectiveKernel(c, split_input=False), "sk", "attn"),
    "SelectiveKernel-split": (SelectiveKernel, "sk", "attn"),
    "SelectiveKernel-three": (
        lambda c: SelectiveKernel(c, kernel_size=[3, 5, 7], split_input=False),
        "sk",
        "attn",
    ),
    "SplitAttn": (SplitAttn, "split", "rsoftmax"),
    "SplitAttn-groups": (lambda c: SplitAttn(c, groups=2), "split", "rsoftmax"),
    "SplitAttn-radix-4": (lambda c: SplitAttn(c, radix=4), "split", "rsoftmax"),
    "SplitAttn-radix-1": (lambda c: SplitAttn(c, radix=1), "se", "rsoftmax"),
}


@torch.no_grad()
def hooked(model: nn.Module, gates: list[str], x: Tensor) -> list[Tensor]:
    """Return what these submodules give, each [N, C] (SK's are [N, paths, C, 1, 1])."""
    seen: list[Tensor] = []
    handles = [
        model.get_submodule(path).register_forward_hook(
            lambda m, a, out: seen.append(out.flatten(1))
        )
        for path in gates
    ]
    try:
        model(x)
    finally:
        for handle in handles:
            handle.remove()
    return seen


@pytest.mark.parametrize("name", TIMM)
def test_timm_modules(name: str) -> None:
    make, key, gate = TIMM[name]
    model = timm_net(make)
    found = find(model, SIZE, key)
    x = images(SIZE, 3, seed=1)
    true = hooked(model, [f"blocks.{n}.se.{gate}" for n in range(3)], x)
    read = list(tapped(model, found, x).values())
    assert len(read) == len(true) == 3
    assert all(torch.equal(a, b) for a, b in zip(read, true, strict=True))
    assert {b.kind for b in found.blocks} == {BY_KEY[key].name}
    expected = len(find(model, SIZE).blocks)
    assert expected == (3 if key == "se" else 0)


@torch.no_grad()
def test_timm_light_cbam() -> None:
    """Its gate is a function: it is recovered from what the module makes of its input."""
    model = timm_net(lambda c: LightCbamModule(c, rd_ratio=0.25))
    found = find(model, SIZE, "cbam")
    maps: list[tuple[Tensor, Tensor]] = []
    for block in found.blocks:
        model.get_submodule(block.path).register_forward_hook(
            lambda m, args, out: maps.append((args[0].clone(), out.clone()))
        )
    x = images(SIZE, 3, seed=1)
    read = tapped(model, found, x)
    assert len(read) == len(maps) == 3
    for gate, (before, after) in zip(read.values(), maps, strict=True):
        assert torch.equal(before * gate[:, :, None, None], after)


ATTENTION: dict[type[nn.Module], str] = {
    EcaModule: "eca",
    CecaModule: "eca",
    ChannelAttn: "cbam",
    EffectiveSEModule: "ese",
    EseModule: "ese",
    GatherExcite: "ge",
    GlobalContext: "gc",
    SelectiveKernelAttn: "sk",
    SplitAttn: "split",
}
NETWORKS = (
    *(
        "ecaresnet26t",
        "eca_nfnet_l0",
        "ese_vovnet19b_dw",
        "gcresnext26ts",
        "skresnet18",
        "resnest14d",
    ),
    *("skresnext50_32x4d", "eca_botnext26ts_256", "hgnet_tiny", "focalnet_tiny_srf"),
)
# Names of those that have such modules, and of some that have none.
OTHERS = re.compile(r"eca|ese_|^gc|sk(res|net)|resnest|hgnet|vovnet|nfnet")


def instances(model: nn.Module) -> Counter[str]:
    """Count timm's attention modules by the kind that they are."""
    count: Counter[str] = Counter()
    for module in model.modules():
        for kind, key in ATTENTION.items():
            if isinstance(module, GlobalContext) and module.mlp_scale is None:
                continue  # It only adds.
            if isinstance(module, kind):
                radix_1 = isinstance(module, SplitAttn) and module.radix == 1
                count["se" if radix_1 else key] += 1
    return count


@pytest.mark.parametrize("name", sampled(NETWORKS, 2))
def test_timm_networks(name: str) -> None:
    check_network(name)


@pytest.mark.nightly
@pytest.mark.parametrize(
    "first", sorted({name[:3] for name in timm.list_models() if OTHERS.search(name)})
)
def test_every_network_of_timm(first: str) -> None:
    """All names of a few letters at their beginning."""
    for name in timm.list_models(f"{first}*"):
        if OTHERS.search(name):
            check_network(name)


def check_network(name: str) -> None:
    """Compare what is found in a network with the classes of its modules."""
    with torch.device("meta"):
        model = timm.create_model(name, pretrained=False)
    size = model.pretrained_cfg["input_size"]
    found = Counter(b.mechanism.key for b in find(model, size, "all").blocks)
    se = found.pop("se", 0)
    own = instances(model)
    radix_1 = own.pop("se", 0)
    assert found == own
    assert len(find(model, size).blocks) == se >= radix_1


# -------------------------------------------------------------------------------------------------
# Several kinds in one network


class Mixed(Net):
    """SE, then ECA, then CBAM, at two sizes."""

    def __init__(self) -> None:
        kinds = iter([conv_se, AuthorsECA, AuthorsCBAM, VoVNetESE])

        def block(inputs: int, channels: int, stride: int) -> nn.Module:
            return Block(inputs, channels, stride, se=next(kinds))

        super().__init__(block, widths=(16, 16, 24, 24), strides=(1, 1, 2, 1))


def test_each_kind_is_named_on_its_own() -> None:
    model = settle(Mixed())
    names = {
        key: [b.name for b in find(model, SIZE, key).blocks] for key in ("se", "eca", "cbam", "ese")
    }
    # The first size at which a kind occurs is its stage 2.
    assert names == {"se": ["SE_2_1"], "eca": ["ECA_2_1"], "cbam": ["CBAM_2_1"], "ese": ["eSE_2_1"]}
    every = find(model, SIZE, "all")
    assert [b.name for b in every.blocks] == ["SE_2_1", "ECA_2_1", "CBAM_2_1", "eSE_2_1"]
    assert every.others == ()
    assert every.readable == ("se", "eca", "cbam", "ese")
    others = {o.kind.split()[0]: o.count for o in find(model, SIZE).others}
    assert others == {"ECA": 1, "CBAM": 1, "eSE": 1}


def test_the_gates_of_all_kinds_in_one_pass() -> None:
    model = settle(Mixed())
    x = images(SIZE, 3, seed=1)
    read = list(tapped(model, find(model, SIZE, "all"), x).values())
    assert all(torch.equal(a, b) for a, b in zip(read, noted(model, x), strict=True))
    assert all(varies(gate) for gate in read)


@pytest.mark.parametrize(
    "before", [BroadcastBAM, BAM, SKStacked, SKApart], ids=lambda c: c.__name__
)
def test_what_comes_before_hides_no_se(before: type[nn.Module]) -> None:
    """A map that was made of branches or of two halves is a map, not something squeezed."""
    kinds = iter([before, conv_se, conv_se])

    def block(inputs: int, channels: int, stride: int) -> nn.Module:
        return Block(inputs, channels, stride, se=next(kinds))

    model = settle(Net(block))
    assert [b.name for b in find(model, SIZE).blocks] == ["SE_2_1", "SE_3_1"]


class Volume(nn.Module):
    """SE on a short clip, squeezed one axis after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv3d(3, 16, 3, padding=1), nn.Linear(16, 5)
        self.fc1, self.fc2 = nn.Linear(16, 4), nn.Linear(4, 16)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        gate = torch.sigmoid(self.fc2(self.fc1(x.mean(2).mean(2).mean(2)).relu()))
        out: Tensor = self.head((x * gate[..., None, None, None]).mean((2, 3, 4)))
        return out


def test_a_mean_over_few_frames_is_a_squeeze() -> None:
    """Where a sum over a few stacked maps is none."""
    (block,) = find(settle(Volume()), (3, 4, 16, 16)).blocks
    assert (block.channels, block.facts) == (16, {"hidden": 4, "reduction": 4})


# -------------------------------------------------------------------------------------------------
# Replacing gates, counting


@torch.no_grad()
@pytest.mark.parametrize(
    ("make", "key"),
    [(AuthorsECA, "eca"), (CBAM, "cbam"), (SKStacked, "sk"), (BAM, "bam")],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_replaced_gates_are_those_set_by_hand(
    make: type[nn.Module], key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = settle(net(make))
    x = images(SIZE, 4, seed=3)
    traced = trace(model, SIZE, key)
    rerun = Rerun(model, traced, x)
    _, gates = rerun.baseline(x)
    name = traced.found.blocks[1].name
    new = gates[name].mean(0)
    replaced = rerun.replaced({name: new})
    seen = 0

    def note(module: Recording, gate: Tensor) -> Tensor:
        nonlocal seen
        seen += 1
        return new.view(1, *gate.shape[1:]).expand_as(gate) if seen == 2 else gate

    if key == "bam":  # hands out the mean of its gate, not the gate
        block = model.get_submodule("blocks.1.se")
        handle = block.register_forward_hook(
            lambda m, args, out: args[0] * new[None, :, None, None]
        )
        expected = model(x)
        handle.remove()
    else:
        monkeypatch.setattr(Recording, "note", note)
        expected = model(x)
    assert torch.equal(replaced, expected)


def test_gates_of_separate_maps_are_read_and_not_replaced() -> None:
    model = settle(net(SKApart))
    with pytest.raises(CheckpointError, match=r"one place, found SK_2_1 in 2"):
        Rerun(model, trace(model, SIZE, "sk"), images(SIZE, 2, seed=1))


MACS: list[tuple[str, Callable[[int], nn.Module], str]] = [
    ("eca", lambda c: EcaModule(kernel_size=3), "eca"),
    ("ese", EffectiveSEModule, "ese"),
    ("gc", GlobalContext, "gc"),
]


@pytest.mark.parametrize(
    ("name", "make", "key"), MACS, ids=lambda v: v if isinstance(v, str) else ""
)
def test_closed_form_of_the_operations(
    name: str, make: Callable[[int], nn.Module], key: str
) -> None:
    """Against torch's own counter, which counts two for a multiplication with an addition."""
    block: GateBlock = find(timm_net(make), SIZE, key).blocks[-1]
    macs = row_of(block).macs
    assert macs is not None
    module: Any = make(24).eval()
    with FlopCounterMode(display=False) as counter:
        module(torch.zeros(1, 24, 16, 16))
    assert counter.get_total_flops() == 2 * macs(block)
