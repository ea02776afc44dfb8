"""Other reduction ratios: against networks that are built with them, and against the paper's table."""

from __future__ import annotations

import pytest
import timm
import torch

from seviz.cost import audit_network, audit_parameters
from seviz.cost.bottleneck import hidden_units, recognise
from seviz.networks.architectures.cifar_resnet import CifarResNet
from seviz.results.blocks import SEBlock
from seviz.results.cost import FALLBACK_RULE, UNKNOWN_RULE, Audit

SIZE = (3, 224, 224)
RATIOS = (2, 4, 8, 16, 32)
PAPER = {2: 45.7, 4: 35.7, 8: 30.7, 16: 28.1, 32: 26.9}


@pytest.fixture(scope="module")
def se_resnet_50() -> Audit:
    with torch.device("meta"):
        model = timm.create_model("legacy_seresnet50")
    return audit_network(model, SIZE, reductions=RATIOS)


def test_the_papers_sizes_and_where_they_do_not_fit(se_resnet_50: Audit) -> None:
    # (2/r) sum N C^2 = 40,239,104 / r, beside 25,557,032 parameters and 53,120 running statistics.
    without = {r: 25_557_032 + 53_120 + 40_239_104 // r for r in RATIOS}
    assert {r.reduction: r.size for r in se_resnet_50.sweep} == without
    biases = {r: 15_104 + 15_104 // r for r in RATIOS}
    assert {r.reduction: r.size_with_biases for r in se_resnet_50.sweep} == {
        r: without[r] + biases[r] for r in RATIOS
    }
    assert {r.reduction: r.paper for r in se_resnet_50.sweep} == PAPER
    misses = [r.reduction for r in se_resnet_50.sweep if not r.fits(r.size)]
    misses_with = [r.reduction for r in se_resnet_50.sweep if not r.fits(r.size_with_biases)]
    assert (misses, misses_with) == ([8], [2])
    printed = {r.reduction: float(f"{r.size / 1e6:.1f}") for r in se_resnet_50.sweep}
    assert printed == {**PAPER, 8: 30.6}


def test_its_own_ratio_gives_its_own_cost(se_resnet_50: Audit) -> None:
    own = next(r for r in se_resnet_50.sweep if r.reduction == 16)
    assert (own.params, own.se_params) == (se_resnet_50.params, se_resnet_50.se_params)
    assert se_resnet_50.totals is not None
    assert own.macs == se_resnet_50.totals.macs


@pytest.mark.parametrize("reduction", [2, 4, 8, 16, 32, 64])
def test_a_swept_cost_is_that_of_the_network_built_so(reduction: int) -> None:
    (row,) = audit_network(CifarResNet(14, reduction=4), (3, 32, 32), reductions=(reduction,)).sweep
    built = audit_network(CifarResNet(14, reduction=reduction), (3, 32, 32))
    assert (row.params, row.se_params) == (built.params, built.se_params)
    assert built.totals is not None
    assert row.macs == built.totals.macs
    assert row.paper is None
    assert row.fits(row.size) is None


@pytest.mark.parametrize("divisor", [2, 4, 8])
def test_networks_of_timm_built_so(divisor: int) -> None:
    """Biases are swept with their layers: timm's SE has them."""

    def build(ratio: float) -> torch.nn.Module:
        with torch.device("meta"):
            return timm.create_model(
                "seresnet18",
                block_args={"attn_layer": lambda c, **_: timm.layers.SEModule(c, ratio)},
            )

    (row,) = audit_network(build(1 / 16), SIZE, reductions=(divisor,)).sweep
    built = audit_network(build(1 / divisor), SIZE)
    assert (row.params, row.se_params) == (built.params, built.se_params)


@pytest.mark.parametrize(
    ("widths", "ratio", "hidden"),
    [
        ([(256, 16), (512, 32)], 16, {96: 6, 100: 6, 8: 1}),
        ([(24, 1), (64, 4)], 16, {8: 1, 40: 2}),
        ([(24, 2), (64, 4)], 16, {40: 2, 56: 4}),  # rounded: 1.5, 2.5 and 3.5 to even
        ([(72, 24), (120, 32), (960, 240)], 4, {40: 16, 200: 48}),
    ],
)
def test_the_rule_of_the_bottleneck(
    widths: list[tuple[int, int]], ratio: int, hidden: dict[int, int]
) -> None:
    found, rule = recognise(widths)
    assert found == ratio
    assert all(hidden_units(c, ratio, rule) == h for c, h in widths)
    assert {c: hidden_units(c, ratio, rule) for c in hidden} == hidden


def test_a_rule_that_is_not_one_of_channels_alone() -> None:
    found, rule = recognise([(96, 4), (96, 24)])
    assert (found, rule) == (None, UNKNOWN_RULE)
    assert hidden_units(100, 16, rule) == hidden_units(100, 16, FALLBACK_RULE) == 6


def block(params: int, *, channels: int = 64, hidden: int = 8, shift: bool = False) -> SEBlock:
    return SEBlock(
        "SE_2_1",
        "se",
        2,
        1,
        channels,
        hidden,
        "sigmoid",
        "mean",
        "standard",
        ("a", "b"),
        params,
        (8, 8),
        shift=shift,
    )


@pytest.mark.parametrize(
    ("params", "biases", "norms", "others"),
    [
        (1024, 0, 0, 0),
        (1024 + 72, 72, 0, 0),
        (1024 + 64 + 16, 64, 16, 0),
        (1024 + 16, 0, 16, 0),
        (1024 + 64, 64, 0, 0),
        (1024 + 5, 0, 0, 5),
    ],
)
def test_parameters_alone(params: int, biases: int, norms: int, others: int) -> None:
    audit = audit_parameters([block(params)], 10_000, reductions=(16,))
    (cost,) = audit.blocks
    own = cost.params
    assert (own.weights, own.biases, own.norms, own.others) == (1024, biases, norms, others)
    assert own.total == audit.se_params == params
    assert audit.params_without_se == 10_000 - params
    assert cost.work is audit.work is audit.totals is audit.macs_increase is None
    (row,) = audit.sweep
    per_hidden = {0: 128, 72: 129, 64: 128}[biases] + norms // 8
    assert row.se_params == params - 4 * per_hidden
    assert row.macs is None


def test_parameters_alone_equal_those_of_the_network(se_resnet_50: Audit) -> None:
    blocks = [b.block for b in se_resnet_50.blocks]
    alone = audit_parameters(
        blocks, se_resnet_50.params, running_stats=se_resnet_50.running_stats, reductions=RATIOS
    )
    assert alone.se_params == se_resnet_50.se_params
    assert [b.params for b in alone.blocks] == [b.params for b in se_resnet_50.blocks]
    assert [(r.params, r.size, r.paper) for r in alone.sweep] == [
        (r.params, r.size, r.paper) for r in se_resnet_50.sweep
    ]
    assert [s.share for s in alone.stages] == [s.share for s in se_resnet_50.stages]


def test_a_scale_with_a_shift() -> None:
    (cost,) = audit_parameters([block(64 * 8 + 8 * 128, shift=True)], 10_000).blocks
    assert (cost.params.weights, cost.params.biases, cost.params.others) == (1536, 0, 0)
    assert cost.params.formula == 2 * 64 * 8
