"""Shapes of meta tensors by rules, against the operators themselves on tensors with numbers."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from conftest import at_night
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from seviz.gates import shapes

aten = torch.ops.aten
SMALL = st.integers(1, 5)


def same_as_torch(func, *args):
    """Compare a rule with the operator; return whether there was a rule for these arguments."""
    meta = tree_map(lambda leaf: on_meta(leaf) if isinstance(leaf, Tensor) else leaf, args)
    by_rule = []
    rule = shapes._RULES[func]

    def watched(*given):
        by_rule.append(rule(*given))
        return by_rule[-1]

    shapes._RULES[func] = watched
    try:
        try:
            expected = func(*args)
        except (RuntimeError, IndexError) as refused:
            if "single memory location" in str(refused):
                return False  # of numbers: a meta tensor has none that could overlap
            with pytest.raises((RuntimeError, IndexError, ValueError)):
                shapes.run(func, meta, {})
            return False
        found = shapes.run(func, meta, {})
    finally:
        shapes._RULES[func] = rule
    if all(shape is None for shape in by_rule):
        # Left to torch, whose operator on the meta device may order the dimensions otherwise than on the CPU.
        assert [t.shape for t in tree_leaves(found)] == [t.shape for t in tree_leaves(expected)]
        expected = func(*meta)
    for own, true in zip(tree_leaves(found), tree_leaves(expected), strict=True):
        assert own.is_meta
        assert own.shape == true.shape
        assert own.dtype == true.dtype
        # The stride of a dimension of one element means nothing.
        assert [s for s, n in zip(own.stride(), own.shape, strict=True) if n > 1] == [
            s for s, n in zip(true.stride(), true.shape, strict=True) if n > 1
        ]
    return any(shape is not None for shape in by_rule)


def on_meta(tensor):
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_convolutions(data) -> None:
    draw = data.draw
    groups, inside, outside = draw(st.sampled_from([1, 2])), draw(SMALL), draw(SMALL)
    size, kernel = draw(st.integers(1, 9)), draw(st.integers(1, 4))
    step, pad, hole = draw(st.integers(1, 3)), draw(st.integers(0, 2)), draw(st.integers(1, 2))
    wrong = draw(st.sampled_from([0, 0, 0, 1]))
    image = torch.rand(2, groups * inside + wrong, size, size + 1)
    weight = torch.rand(groups * outside, inside, kernel, kernel)
    bias = torch.rand(groups * outside) if draw(st.booleans()) else None
    same_as_torch(
        aten.convolution.default, image, weight, bias,
        [step, step], [pad, pad], [hole, hole], False, [0, 0], groups,
    )  # fmt: skip


def test_a_plain_convolution_goes_by_its_rule() -> None:
    image, weight = torch.rand(2, 3, 8, 8), torch.rand(6, 3, 3, 3)
    one, none = [1, 1], [0, 0]
    assert same_as_torch(
        aten.convolution.default, image, weight, None, [2, 2], one, one, False, none, 1
    )
    transposed = torch.rand(3, 6, 3, 3)
    assert not same_as_torch(
        aten.convolution.default, image, transposed, None, one, none, one, True, none, 1
    )


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([aten.max_pool2d_with_indices.default, aten.avg_pool2d.default]),
    st.integers(1, 10),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(0, 2),
    st.booleans(),
)
def test_pools(func, size, kernel, step, pad, ceil_mode) -> None:
    maps = torch.rand(2, 3, size, size + 2)
    hole = [[1, 1]] if func is aten.max_pool2d_with_indices.default else []
    same_as_torch(func, maps, [kernel, kernel], [step, step], [pad, pad], *hole, ceil_mode)


def test_pools_by_default_step_by_their_size() -> None:
    maps = torch.rand(2, 3, 9, 9)
    assert same_as_torch(aten.avg_pool2d.default, maps, [2, 2])
    assert same_as_torch(aten.max_pool2d_with_indices.default, maps, [3, 3])
    assert same_as_torch(aten._adaptive_avg_pool2d.default, maps, [4, 5])


BINARY = [f for f, rule in shapes._RULES.items() if rule is shapes._broadcast]
UNARY = [f for f, rule in shapes._RULES.items() if rule is shapes._same]


def test_what_is_left_to_torch_is_what_torch_says() -> None:
    # Dimensions of one element leave the order open: torch's two devices choose differently.
    a, b = torch.rand(2, 1, 1).permute(2, 1, 0), torch.rand(3, 2)
    assert not same_as_torch(aten.add.Tensor, a, b)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(BINARY),
    st.lists(SMALL, min_size=1, max_size=4),
    st.lists(st.sampled_from([0, 1, 2]), min_size=4, max_size=4),
    st.integers(0, 3),
    st.sampled_from(["plain", "turned", "expanded", "sliced"]),
)
def test_two_tensors(func, shape, other, dropped, kind) -> None:
    """Broadcasting: a dimension is the same, one, or (wrong, or the other one is one) two more."""
    b_shape = [(n, 1, n + 2)[o] for n, o in zip(shape, other, strict=False)][dropped:]
    a, b = formed(kind, shape), torch.rand(b_shape)
    same_as_torch(func, a, b)
    same_as_torch(func, a, formed(kind, shape))
    same_as_torch(func, a, 2.0)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(UNARY),
    st.lists(SMALL, min_size=1, max_size=4),
    st.sampled_from(["plain", "turned", "expanded", "sliced"]),
)
def test_one_tensor(func, shape, kind) -> None:
    same_as_torch(func, formed(kind, shape))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(SMALL, min_size=1, max_size=4),
    st.lists(st.integers(-2, 3), max_size=5),
    st.sampled_from([(), (0.5,), (None, 0.5), (0.2, 0.7)]),
)
def test_padding_and_ranges(shape, amounts, ends) -> None:
    same_as_torch(aten.constant_pad_nd.default, torch.rand(shape), amounts, 0.0)
    for func in (aten.clamp.default, aten.clamp_.default):
        same_as_torch(func, torch.rand(shape), *ends)


def test_padding_and_ranges_go_by_their_rules() -> None:
    maps = torch.rand(2, 3, 5, 6)
    assert same_as_torch(aten.constant_pad_nd.default, maps, [0, 1, 2, 0], -1.0)
    assert same_as_torch(aten.clamp_.default, maps, -128, 127)
    assert same_as_torch(aten.round_.default, maps)


def formed(kind, shape):
    """Return a tensor of a shape whose numbers lie in memory in one way or another."""
    if kind == "turned":
        return torch.rand(shape[::-1]).permute(*reversed(range(len(shape))))
    if kind == "expanded":
        return torch.rand([*shape[:-1], 1]).expand(shape)
    if kind == "sliced":
        return torch.rand([shape[0], *(n + 1 for n in shape[1:])])[
            (slice(None), *(slice(0, n) for n in shape[1:]))
        ]
    return torch.rand(shape)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([aten.mean.dim, aten.sum.dim_IntList, aten.amax.default]),
    st.lists(SMALL, min_size=1, max_size=4),
    st.lists(st.integers(-5, 4), max_size=3),
    st.booleans(),
    st.sampled_from(["plain", "turned", "expanded", "sliced"]),
)
def test_reductions(func, shape, dims, keep, kind) -> None:
    same_as_torch(func, formed(kind, shape), dims, keep)


@settings(max_examples=100, deadline=None)
@given(SMALL, SMALL, SMALL, st.integers(0, 1), st.booleans())
def test_products(n, k, m, wrong, turned) -> None:
    a = torch.rand(n, k)
    b = torch.rand(m, k + wrong).t() if turned else torch.rand(k + wrong, m)
    same_as_torch(aten.mm.default, a, b)
    same_as_torch(aten.addmm.default, torch.rand(m), a, b)
    same_as_torch(aten.addmm.default, torch.rand(n, m), a, b)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(SMALL, min_size=1, max_size=4),
    st.lists(SMALL, min_size=1, max_size=3),
    st.integers(-5, 4),
    st.booleans(),
)
def test_joining(shape, widths, dim, wrong) -> None:
    tensors = []
    for i, width in enumerate(widths):
        own = list(shape)
        if -len(own) <= dim < len(own):
            own[dim] = width
        if wrong and i:
            own[0] += 1
        tensors.append(torch.rand(own))
    same_as_torch(aten.cat.default, tensors, dim)


def test_probabilities() -> None:
    assert same_as_torch(aten._softmax.default, torch.rand(2, 5), 1, False)
    assert same_as_torch(aten._log_softmax.default, torch.rand(2, 5), -1, False)


def test_every_operator_has_a_rule_that_answers() -> None:
    """What the other tests draw at random is answered by a rule, and not by torch alone."""
    x = torch.rand(2, 3, 4, 4)
    for func in UNARY:
        assert same_as_torch(func, x), func
    for func in BINARY:
        assert same_as_torch(func, x, torch.rand(2, 3, 1, 1)), func
    assert same_as_torch(aten.mean.dim, x, [2, 3])
    assert same_as_torch(aten.addmm.default, torch.rand(5), torch.rand(2, 3), torch.rand(5, 3).t())
    assert same_as_torch(aten.cat.default, [x, x], 1)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (torch.rand(2, 3), torch.rand(2, 3).double()),
        (torch.rand(2, 3).half(), torch.rand(2, 3)),
        (torch.ones(2, 3, dtype=torch.int64), torch.rand(2, 3)),
        (torch.rand(2, 0), torch.rand(2, 1)),
        (torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last), torch.rand(2, 3, 1, 1)),
    ],
    ids=["types", "halves", "integers", "nothing", "channels last"],
)
def test_what_is_not_plain_is_left_to_torch(a, b) -> None:
    assert not same_as_torch(aten.add.Tensor, a, b)


def test_batch_norm_in_evaluation() -> None:
    for maps in (torch.rand(2, 3, 4, 4), torch.rand(2, 4, 4, 3).permute(0, 3, 1, 2)):
        args = [torch.ones(3), torch.zeros(3), torch.zeros(3), torch.ones(3)]
        meta = [a.to("meta") for a in args]
        found = shapes.run(
            aten.native_batch_norm.default, (on_meta(maps), *meta, False, 0.1, 1e-5), {}
        )
        true = aten.native_batch_norm.default(maps, *args, False, 0.1, 1e-5)
        assert found[0].shape == true[0].shape
        assert found[0].stride() == true[0].stride()


INSPECT = """
import sys
from seviz.gates import find
from seviz.networks.architectures.registry import SMALL_IMAGES, build
from seviz.networks.building import on_meta
for name in {names!r}:
    size = (3, 32, 32) if name in SMALL_IMAGES else (3, 224, 224)
    assert find(on_meta(lambda: build(name)), size).blocks
found = [m for m in ("sympy", "torch._dynamo") if m in sys.modules]
assert not found, found
"""
NAMES = [
    "se_resnet20",
    "se_resnet164",
    "senet_notes",
    "shared_bn_se_resnet50",
    "se_densenet121",
    "se_bn_inception",
]


@pytest.mark.nightly
@pytest.mark.parametrize("names", [NAMES[:1], at_night(NAMES[1:])])
def test_no_network_of_ours_loads_the_compiler(names: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INSPECT.format(names=names)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
