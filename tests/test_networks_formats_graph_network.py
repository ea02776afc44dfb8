"""A list of operators as a PyTorch module: names, weights, memory, and taking steps out."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import seviz
from seviz.errors import CheckpointError
from seviz.gates import find
from seviz.networks.formats.graph_network import GraphNetwork, Step

CONV = ("", "weight", "bias")
FUNCTIONS = {
    "Conv": F.conv2d,
    "Relu": torch.relu,
    "Sigmoid": torch.sigmoid,
    "Mean": lambda x: x.mean((2, 3), keepdim=True),
    "Mul": torch.mul,
    "Flatten": lambda x: x.flatten(1),
}


class Written(nn.Module):
    """The same network as `steps`, written by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.se = nn.ModuleDict({"fc1": nn.Conv2d(8, 2, 1), "fc2": nn.Conv2d(2, 8, 1)})
        self.head = nn.Conv2d(8, 4, 1, bias=False)

    def gate(self, x: Tensor) -> Tensor:
        squeezed = self.stem(x).mean((2, 3), keepdim=True)
        return torch.sigmoid(self.se["fc2"](torch.relu(self.se["fc1"](squeezed))))

    def forward(self, x: Tensor) -> Tensor:
        scaled = self.gate(x) * self.stem(x)
        return torch.as_tensor(self.head(scaled).mean((2, 3), keepdim=True)).flatten(1)


def steps() -> list[Step]:
    return [
        Step("stem", "Conv", ("x", "stem.weight", "stem.bias"), ("map",), {"padding": 1}, CONV),
        Step("se.Mean", "Mean", ("map",), ("m",)),
        Step("se.fc1", "Conv", ("m", "se.fc1.weight", "b1"), ("h",), {}, CONV),
        Step("se.Relu", "Relu", ("h",), ("r",)),
        Step("se.fc2", "Conv", ("r", "se.fc2.weight", "b2"), ("u",), {}, CONV),
        Step("se.Sigmoid", "Sigmoid", ("u",), ("gate",)),
        Step("se.Mul", "Mul", ("gate", "map"), ("scaled",)),
        Step("head", "Conv", ("scaled", "any.name", ""), ("logits",), {}, CONV),
        Step("Mean", "Mean", ("logits",), ("pooled",)),
        Step("Flatten", "Flatten", ("pooled",), ("y",)),
    ]


@pytest.fixture
def pair() -> tuple[GraphNetwork, Written]:
    torch.manual_seed(0)
    written = Written().eval()
    state = dict(written.named_parameters())
    renamed = {"se.fc1.bias": "b1", "se.fc2.bias": "b2", "head.weight": "any.name"}
    weights = {renamed.get(name, name): p.detach().clone() for name, p in state.items()}
    return GraphNetwork(steps(), ["x"], ["y"], weights, {}, FUNCTIONS).eval(), written


def test_weights_are_parameters_under_the_names_of_a_network_written_by_hand(
    pair: tuple[GraphNetwork, Written],
) -> None:
    graph, written = pair
    images = torch.randn(2, 3, 8, 8)
    assert {n: p.shape for n, p in graph.named_parameters()} == {
        n: p.shape for n, p in written.named_parameters()
    }
    assert torch.equal(graph(images), written(images))
    assert torch.equal(copy.deepcopy(graph)(images), graph(images))


def test_the_block_is_found_and_read(pair: tuple[GraphNetwork, Written]) -> None:
    graph, written = pair
    (block,) = find(graph, (3, 8, 8)).blocks
    assert (block.name, block.path, block.channels) == ("SE_2_1", "se", 8)
    images = torch.randn(6, 3, 8, 8)
    record = seviz.collect(graph, [(images, torch.zeros(6, dtype=torch.long))])
    mean = written.gate(images).mean(0).flatten().detach().double().numpy()
    assert abs(record.stats("SE_2_1").sum.sum(axis=0) / 6 - mean).max() < 1e-6


def test_a_value_is_let_go_after_its_last_use(pair: tuple[GraphNetwork, Written]) -> None:
    graph, _ = pair
    refs: dict[str, weakref.ref[Tensor]] = {}
    alive: list[str] = []

    def watch(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: object, output: Tensor) -> None:
            alive[:] = [n for n, r in refs.items() if r() is not None] if name == "head" else alive
            refs[name] = weakref.ref(output)

        return hook

    for step in graph.steps:
        graph.get_submodule(step.name).register_forward_hook(watch(step.name))
    with torch.no_grad():
        graph(torch.randn(1, 3, 8, 8))
    assert alive == ["se.Mul"]  # the map that the head takes, and nothing of the excitation


def test_what_is_not_known_is_named_with_its_node() -> None:
    odd = Step("a", "Attention2D", ("x",), ("y",), node="/blocks/3/attn")
    with pytest.raises(
        CheckpointError, match=r"found Attention2D \(node /blocks/3/attn\)"
    ) as error:
        GraphNetwork([odd], ["x"], ["y"], {}, {}, FUNCTIONS, name="net.onnx")
    assert "net.onnx" in str(error.value)
    with pytest.raises(CheckpointError, match="the value z before node"):
        GraphNetwork([Step("a", "Relu", ("z",), ("y",))], ["x"], ["y"], {}, {}, FUNCTIONS)
    with pytest.raises(CheckpointError, match="the output z"):
        GraphNetwork([Step("a", "Relu", ("x",), ("y",))], ["x"], ["z"], {}, {}, FUNCTIONS)


def test_names_that_pytorch_does_not_take_are_changed() -> None:
    named = [
        Step("type", "Relu", ("x",), ("a",)),
        Step("float.forward", "Relu", ("a",), ("b",)),
        Step("se", "Relu", ("b",), ("c",)),
        Step("se", "Relu", ("c",), ("d",)),
        Step("se.mean", "Relu", ("d",), ("e",)),
        Step("", "Relu", ("e",), ("y",)),
    ]
    network = GraphNetwork(named, ["x"], ["y"], {}, {}, FUNCTIONS)
    assert [s.name for s in network.steps] == [
        "type_2",
        "float_.forward_2",
        "se",
        "se_2",
        "se.mean",
        "step",
    ]
    assert network(torch.tensor([-1.0, 1.0])).tolist() == [0, 1]


def test_a_weight_of_several_steps_is_one_parameter() -> None:
    shared = [
        Step("a", "Conv", ("x", "w", ""), ("m",), {}, CONV),
        Step("b", "Conv", ("m", "w", ""), ("y",), {}, CONV),
    ]
    network = GraphNetwork(shared, ["x"], ["y"], {"w": torch.randn(3, 3, 1, 1)}, {}, FUNCTIONS)
    assert [n for n, _ in network.named_parameters()] == ["a.weight"]
    assert set(network.state_dict()) == {"a.weight", "b.weight"}
    assert network.get_submodule("a").weight is network.get_submodule("b").weight


def test_a_gate_taken_out_takes_its_excitation_with_it(pair: tuple[GraphNetwork, Written]) -> None:
    graph, written = pair
    images = torch.randn(2, 3, 8, 8)
    plain = copy.deepcopy(graph)
    plain.without("se.Mul", 1)
    expected = written.head(written.stem(images)).mean((2, 3))
    assert torch.allclose(plain(images), expected)
    assert {n for n, _ in plain.named_modules()} == {"", "stem", "head", "Mean", "Flatten"}
    held = copy.deepcopy(graph)
    gate = torch.rand(8, 1, 1)
    held.fixed("se.Mul", 0, gate)
    expected = written.head(written.stem(images) * gate).mean((2, 3))
    assert torch.allclose(held(images), expected)
    assert [n for n, _ in held.named_parameters()] == ["stem.weight", "stem.bias", "head.weight"]
    program = torch.export.export(held, (images,))
    assert torch.allclose(program.module()(images), expected)
