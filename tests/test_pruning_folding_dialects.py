"""Every way to write SE, folded: the same numbers as with the gates set by hand, and no parameter left."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter

import numpy as np
import pytest
import torch
from conftest import Refuses, sampled
from dialects import DIALECTS, Dialect, true_gates
from test_gates_rerun import set_by_hand
from torch import Tensor, nn

from seviz.cost import split
from seviz.cost.attribution import used_parameters
from seviz.errors import CheckpointError, DataError
from seviz.gates import trace, unwrap
from seviz.networks import LoadedModel
from seviz.networks.architectures.se import SqueezeExcite
from seviz.pruning.folding import Folded, fold
from seviz.results.preprocessing import Preprocessing
from seviz.results.stats import Floats

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
]

# A norm or a convolution may be what makes the map; a gate may be kept in three ways.
NORM, SCALE, GATE = "norm before", "fixed scale", "fixed gate"
HOW = {
    **dict.fromkeys(
        [
            "scale-residual",
            "block-scales",
            "block-scales-linear",
            "block-scales-addcmul",
            "block-scales-addcmul-in-place",
            "block-scales-mul-module",
            "block-scales-float-functional",
            "inline-functional",
            "inline-torch",
            "inline-method",
            "inline-module",
            "inline-hardsigmoid",
            "half-of-the-channels",
            "beside-spatial-gate",
            "shared-module-block-scales",
            "called-by-forward",
            "returns-both",
        ],
        GATE,
    ),
    "place-pre": "convolution after",
    "place-inverted-residual": "convolution after",
    "place-inception": "convolution before",
    "place-identity": SCALE,
    "bfloat16": SCALE,
    "nhwc": "linear before",
    "nhwc-square": "linear before",
}
# Where the way differs from block to block: what makes the map is a sum, or a strided shortcut.
MIXED = {
    "place-post": [SCALE, "convolution after", "norm and convolution before"],
    "place-projection": [SCALE, SCALE, "convolution before"],
}
# Eight bits cannot hold the number whose sigmoid is the gate.
REFUSED = {"bfloat16-inline": "found a difference of"}
# Their gates alone are not enough (tests/test_pruning_shift.py has them with shifts).
SHIFTED = [d for d in DIALECTS if d.shift]


def as_loaded(dialect: Dialect) -> LoadedModel:
    preprocessing = Preprocessing(input_size=dialect.input_size)  # type: ignore[arg-type]
    return LoadedModel(dialect.build(), dialect.name, dialect.name, "", None, preprocessing)


def means(dialect: Dialect, model: nn.Module) -> tuple[list[Tensor], Mapping[str, Floats]]:
    gates = [g.double().mean(0) for g in true_gates(model, dialect.example(6, seed=21))]
    return gates, {n: g.numpy() for n, g in zip(dialect.names, gates, strict=True)}


@pytest.mark.parametrize(
    "dialect",
    sampled([d for d in DIALECTS if d.name not in REFUSED and not d.shift], 12),
    ids=attrgetter("name"),
)
def test_folds(dialect: Dialect) -> None:
    loaded = as_loaded(dialect)
    model = unwrap(loaded.model)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    gates, by_name = means(dialect, model)
    folded: Folded = fold(loaded, ["all"], by_name)
    expected_how = MIXED.get(dialect.name, [HOW.get(dialect.name, NORM)] * dialect.gates)
    assert [b.how for b in folded.blocks] == expected_how

    x = dialect.example(3, seed=22)
    # What is compiled does not look at the patched method; the finder's own check has compared it.
    if dialect.name != "torchscript-whole":
        with set_by_hand(dict(enumerate(gates))), torch.no_grad():
            held = model(x)
        with torch.no_grad():
            difference = (folded.loaded.model(x) - held).abs().max() / held.abs().max()
        assert difference <= 1e-4

    traced = trace(folded.loaded.model, dialect.input_size)
    assert traced.found.blocks == ()
    parts = split(trace(model, dialect.input_size))
    named = dict(model.named_parameters())
    own = (used_parameters(parts.se) - used_parameters(parts.rest)) & set(named)
    gone = sum(p.numel() for p in model.parameters())
    gone -= sum(p.numel() for p in folded.loaded.model.parameters())
    assert gone == sum(named[n].numel() for n in own) == sum(b.params for b in folded.blocks)

    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[k], v) for k, v in before.items())


@pytest.mark.parametrize(
    "dialect", [d for d in DIALECTS if d.name in REFUSED], ids=attrgetter("name")
)
def test_refused(dialect: Dialect, refuses: Refuses) -> None:
    loaded = as_loaded(dialect)
    _, by_name = means(dialect, loaded.model)
    with refuses(CheckpointError, REFUSED[dialect.name]):
        fold(loaded, ["all"], by_name)


@pytest.mark.parametrize("dialect", SHIFTED, ids=attrgetter("name"))
def test_a_gate_without_its_shift(dialect: Dialect, refuses: Refuses) -> None:
    loaded = as_loaded(dialect)
    _, by_name = means(dialect, loaded.model)
    with refuses(DataError, "finite gates, and as many shifts"):
        fold(loaded, ["all"], by_name)


def test_a_module_that_runs_twice_cannot_hold_two_gates(refuses: Refuses) -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.se, self.head = nn.Conv2d(3, 8, 3), SqueezeExcite(8, 4), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            y = self.se(self.conv(x)) + self.se(self.conv(x.flip(-1)))
            return self.head(y.mean((2, 3)))

    gates = {name: np.full(8, 0.5) for name in ("SE_2_1", "SE_2_2")}
    with refuses(CheckpointError, "alone, found its own run for SE_2_2, too"):
        fold(Twice().eval(), ["SE_2_1"], gates, images=torch.rand(2, 3, 12, 12))


def test_one_of_two_blocks_that_share_a_module(refuses: Refuses) -> None:
    """The other one still needs the weights; nothing is counted as gone."""
    dialect = next(d for d in DIALECTS if d.name == "shared-module")
    loaded = as_loaded(dialect)
    gates, by_name = means(dialect, loaded.model)
    folded = fold(loaded, ["SE_2_2"], by_name)
    assert folded.params_before == folded.params_after
    assert folded.blocks[0].params == 0
    x = dialect.example(3, seed=22)
    with set_by_hand({1: gates[1]}), torch.no_grad():
        held = loaded.model(x)
    with torch.no_grad():
        torch.testing.assert_close(folded.loaded.model(x), held, rtol=1e-5, atol=1e-5)
    both = fold(loaded, ["SE_2_1", "SE_2_2"], by_name)
    assert both.params_before - both.params_after == 148
    assert np.isclose(both.difference, 0, atol=1e-5)
