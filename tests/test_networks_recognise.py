"""Architectures from the weights alone: under any wrapper, with any number of classes."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from conftest import Refuses, at_night, crossed, sampled
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from seviz.errors import CheckpointError, UnknownArchitectureError, UsageError
from seviz.gates import find
from seviz.networks import BareWeights, LoadedModel, LoadOptions, load, open_checkpoint
from seviz.networks.architectures.registry import build
from seviz.networks.recognise.recognise import recognise
from seviz.networks.recognise.views import View, views, whole

State = dict[str, Tensor]
SMALL = "mobilenetv3_small_050"


@cache
def network(num_classes: int = 7) -> nn.Module:
    torch.manual_seed(num_classes)
    return timm.create_model(SMALL, num_classes=num_classes).eval()


def state(num_classes: int = 7) -> State:
    return dict(network(num_classes).state_dict())


def opened(content: Any, path: Path, **options: Any) -> LoadedModel:
    torch.save(content, path)
    loaded = open_checkpoint(path, LoadOptions(**options))
    assert not isinstance(loaded, BareWeights), loaded.refuse()
    return loaded


def same(one: nn.Module, other: nn.Module, size: int = 64) -> bool:
    x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return torch.equal(one(x), other(x))


def said(loaded: LoadedModel) -> str:
    return "\n".join(loaded.notes)


# -------------------------------------------------------------------------------------------------
# Wrappers and prefixes


def prefixed(prefix: str) -> Callable[[State], State]:
    return lambda s: {f"{prefix}{k}": v for k, v in s.items()}


def inside(word: str) -> Callable[[State], State]:
    """Put a wrapper's name behind the second component, as checkpointing wrappers do."""

    def wrap(s: State) -> State:
        parts = {k: k.split(".") for k in s}
        return {
            ".".join([p[0], p[1], word, *p[2:]] if p[0] == "blocks" else p): s[k]
            for k, p in parts.items()
        }

    return wrap


WRAPPERS: dict[str, Callable[[State], Any]] = {
    "bare": lambda s: s,
    "DataParallel": prefixed("module."),
    "compile": prefixed("_orig_mod."),
    "compile of DataParallel": prefixed("_orig_mod.module."),
    "DataParallel of compile": prefixed("module._orig_mod."),
    "Lightning": lambda s: {"state_dict": prefixed("model.")(s), "epoch": 3, "loops": {}},
    "a name nobody thought of": prefixed("gizmo.my_net_7."),
    "eight wrappers": prefixed("a.b.c.d.e.f.g.h."),
    "timm": lambda s: {
        "arch": SMALL,
        "args": argparse.Namespace(model=SMALL, lr=0.1),
        "state_dict": s,
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": []},
    },
    "torchvision": lambda s: {"model": s, "args": argparse.Namespace(model=SMALL)},
    "net and accuracy": lambda s: {"net": prefixed("module.")(s), "acc": 93.1, "epoch": 9},
    "model_state_dict": lambda s: {"model_state_dict": s, "optimizer_state_dict": {}},
    "pycls": lambda s: {"model_state": s, "cfg": "MODEL: x"},
    "nested dicts": lambda s: {"classy_state_dict": {"base_model": {"model": {"trunk": s}}}},
    "metrics beside it": lambda s: {
        "state_dict": {**prefixed("model.")(s), "criterion.weight": torch.ones(7)}
    },
    "FSDP in the middle": inside("_fsdp_wrapped_module"),
    "checkpointing in the middle": inside("_checkpoint_wrapped_module"),
    "optimizer with the shapes of the weights": lambda s: {
        "model": s,
        "optimizer": {"exp_avg": {k: v * 0 for k, v in s.items()}},
    },
    "without counters": lambda s: {k: v for k, v in s.items() if "num_batches" not in k},
    "after a profiler": lambda s: {
        **s,
        "total_ops": torch.zeros(1),
        "conv_stem.total_params": s["classifier.bias"],
    },
}


@pytest.mark.parametrize("wrapper", sampled(WRAPPERS, 4))
def test_wrappers(wrapper: str, tmp_path: Path) -> None:
    loaded = opened(WRAPPERS[wrapper](state()), tmp_path / "x.pt")
    assert loaded.architecture == f"timm:{SMALL}"
    # 34 convolutions with biases in the SE layers, norms with four tensors, the classifier.
    tensors = sum("num_batches_tracked" not in k for k in state())
    assert loaded.recognised == f"{SMALL} (timm), 100 % of {tensors} tensors"
    assert same(loaded.model, network())


def test_left_overs_of_a_profiler_are_named(tmp_path: Path) -> None:
    loaded = opened(WRAPPERS["after a profiler"](state()), tmp_path / "x.pt")
    assert "2 left-overs of a profiler dropped" in said(loaded)


def test_the_weights_of_a_detector(tmp_path: Path) -> None:
    """A backbone beside other networks, and a classifier under another name."""
    body = {k: v for k, v in state().items() if not k.startswith("classifier.")}
    content = {
        "meta": {"CLASSES": list("abcdefg")},
        "state_dict": {
            **prefixed("backbone.")(body),
            "neck.conv.weight": torch.zeros(8, 8, 3, 3),
            "head.fc.weight": state()["classifier.weight"],
            "head.fc.bias": state()["classifier.bias"],
        },
    }
    loaded = opened(content, tmp_path / "x.pt")
    assert same(loaded.model, network())
    assert loaded.prefix == "state_dict.backbone"
    assert "the classifier is state_dict.head.fc.bias and state_dict.head.fc.weight" in said(loaded)
    assert loaded.classes is not None
    assert loaded.classes.labels == list("abcdefg")


def test_a_backbone_without_any_classifier(tmp_path: Path) -> None:
    body = {k: v for k, v in state().items() if not k.startswith("classifier.")}
    loaded = opened(prefixed("encoder.")(body), tmp_path / "x.pt")
    expected = timm.create_model(SMALL, num_classes=0).eval()
    expected.load_state_dict(body)
    assert same(loaded.model, expected)
    assert loaded.classes is None


def test_the_names_that_a_user_gives_fit_under_any_prefix(tmp_path: Path) -> None:
    model = build("se_resnet14", num_classes=3, widths=(4, 4, 4), reduction=2).eval()
    torch.save({"net": prefixed("module.x.")(dict(model.state_dict()))}, tmp_path / "x.pt")
    (tmp_path / "mine.py").write_text(
        "from seviz.networks.architectures.registry import build\n"
        "def make(): return build('se_resnet14', num_classes=3, widths=(4, 4, 4), reduction=2)\n"
    )
    loaded = load(tmp_path / "x.pt", arch=f"{tmp_path / 'mine.py'}:make")
    assert same(loaded.model, model, 32)
    assert loaded.prefix == "net.module.x"
    assert loaded.recognised == ""


# -------------------------------------------------------------------------------------------------
# What is read off the shapes


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("seresnet18", {"num_classes": 10}),
        ("legacy_seresnet18", {"num_classes": 2, "in_chans": 1}),
        ("mobilenetv3_small_050", {"in_chans": 4}),
        at_night(("ghostnet_050", {"num_classes": 11})),
        at_night(("seresnet18", {"num_classes": 0})),
    ],
    ids=str,
)
def test_classes_and_channels(name: str, kwargs: dict[str, int], tmp_path: Path) -> None:
    model = timm.create_model(name, **kwargs).eval()
    loaded = opened(model.state_dict(), tmp_path / "x.pt")
    x = torch.randn(1, kwargs.get("in_chans", 3), 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded.model(x), model(x))
    assert loaded.preprocessing.input_size[0] == kwargs.get("in_chans", 3)
    assert len(loaded.preprocessing.mean) == kwargs.get("in_chans", 3)
    assert "does not say how images were prepared" in said(loaded)
    assert (loaded.classes is None) == ("num_classes" in kwargs)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("se_resnet20", {"reduction": 4, "num_classes": 100}),
        ("resnet20", {"num_classes": 3}),
        ("senet_notes", {"filters": 24, "blocks": 3, "reduction": 4, "num_classes": 3}),
        ("shared_bn_se_resnet18", {"num_classes": 5}),
        # Large ones.
        pytest.param("se_resnet110", {}, marks=pytest.mark.nightly),
        pytest.param("se_resnet164", {"num_classes": 100}, marks=pytest.mark.nightly),
        pytest.param("se_densenet121", {"num_classes": 12}, marks=pytest.mark.nightly),
        pytest.param("se_bn_inception", {"num_classes": 9}, marks=pytest.mark.nightly),
    ],
    ids=str,
)
def test_networks_that_no_zoo_has(name: str, arguments: dict[str, Any], tmp_path: Path) -> None:
    model = build(name, **arguments).eval()
    loaded = opened({"model": prefixed("module.")(dict(model.state_dict()))}, tmp_path / "x.pt")
    assert loaded.recognised.startswith(f"{name} (seviz), 100 % of ")
    small = ("resnet" in name and "shared" not in name) or name == "senet_notes"
    assert loaded.preprocessing.input_size == ((3, 32, 32) if small else (3, 224, 224))
    assert same(loaded.model, model)


def test_torchvision(tmp_path: Path) -> None:
    model = torchvision.models.mobilenet_v3_small(num_classes=6).eval()
    loaded = opened(model.state_dict(), tmp_path / "x.pt")
    assert loaded.recognised.startswith("mobilenet_v3_small (torchvision), 100 % of ")
    assert same(loaded.model, model)
    assert loaded.preprocessing.origin == "torchvision:mobilenet_v3_small's"
    assert loaded.preprocessing.assumed


# -------------------------------------------------------------------------------------------------
# Averaged weights


def both() -> dict[str, State]:
    other = timm.create_model(SMALL, num_classes=7).eval()
    return {"raw": state(), "ema": dict(other.state_dict())}


def averaged_model(kept: Mapping[str, State]) -> dict[str, Any]:
    """What torch.optim.swa_utils.AveragedModel itself writes."""
    model = timm.create_model(SMALL, num_classes=7)
    model.load_state_dict(kept["ema"])
    return {"model": kept["raw"], "model_ema": AveragedModel(model).state_dict()}


EMA: dict[str, Callable[[Mapping[str, State]], dict[str, Any]]] = {
    "timm": lambda k: {"state_dict": k["raw"], "state_dict_ema": k["ema"]},
    "torchvision": averaged_model,
    "lightning in one dict": lambda k: {
        "state_dict": {**prefixed("model.")(k["raw"]), **prefixed("ema_model.module.")(k["ema"])}
    },
    "pycls": lambda k: {"model_state": k["raw"], "ema_state": k["ema"]},
    "mmengine": lambda k: {
        "state_dict": k["ema"],
        "ema_state_dict": prefixed("module.")(k["raw"]),
        "message_hub": {},
    },
    "Lightning's WeightAveraging": lambda k: {
        "state_dict": prefixed("model.")(k["ema"]),
        "current_model_state": prefixed("model.")(k["raw"]),
        "averaging_state": {},
    },
}


@pytest.mark.parametrize(("layout", "ema"), crossed(EMA, [None, True, False], 2))
def test_averaged_weights(layout: str, ema: bool | None, tmp_path: Path) -> None:
    kept = both()
    loaded = opened(EMA[layout](kept), tmp_path / "x.pt", ema=ema)
    expected = timm.create_model(SMALL, num_classes=7).eval()
    expected.load_state_dict(kept["raw" if ema is False else "ema"])
    assert same(loaded.model, expected)
    other = "--ema takes" if ema is False else "--no-ema takes"
    assert "raw and averaged weights" in said(loaded)
    assert other in said(loaded)


def test_averaged_weights_alone(tmp_path: Path) -> None:
    loaded = opened({"model_ema": state()}, tmp_path / "x.pt")
    assert "averaged weights (EMA) under model_ema" in said(loaded)
    loaded = opened({"model_ema": state()}, tmp_path / "x.pt", ema=False)
    assert "averaged weights (EMA) only" in said(loaded)


def test_no_averaged_weights(tmp_path: Path, refuses: Refuses) -> None:
    with refuses(UsageError, "expected averaged weights (EMA) in x.pt", "leave --ema out"):
        opened(state(), tmp_path / "x.pt", ema=True)


def test_two_sets_of_weights(tmp_path: Path) -> None:
    kept = both()
    loaded = opened({"student": kept["raw"], "helper": kept["ema"]}, tmp_path / "x.pt")
    assert "several sets of weights that fit" in said(loaded)
    assert "under student were taken, not those under helper" in said(loaded)
    assert same(loaded.model, network())


# -------------------------------------------------------------------------------------------------
# What a state dict cannot show


def test_twins_are_ambiguous(tmp_path: Path) -> None:
    """TensorFlow's ports pad otherwise and have another epsilon, and the same tensors."""
    port = timm.create_model("tf_mobilenetv3_small_075").eval()
    loaded = opened(port.state_dict(), tmp_path / "x.pt")
    assert loaded.architecture == "timm:mobilenetv3_small_075"
    assert "timm:tf_mobilenetv3_small_075" in loaded.alternatives
    note = next(n for n in loaded.notes if n.startswith("ambiguous"))
    assert "conv_stem: Conv2d or Conv2dSame" in note
    assert "--arch timm:tf_mobilenetv3_small_075 takes the other" in note
    assert not same(loaded.model, port)
    named = load(tmp_path / "x.pt", arch="timm:tf_mobilenetv3_small_075")
    assert same(named.model, port)


def test_the_stride_of_the_notes_network_is_ambiguous(tmp_path: Path) -> None:
    weights = build("shared_bn_se_resnet50", num_classes=2).state_dict()
    loaded = opened(weights, tmp_path / "x.pt")
    assert "stride_in_1x1=true loads the other" in said(loaded)


@pytest.mark.parametrize(
    "facts",
    [
        {"arch": "tf_mobilenetv3_small_075"},
        {"args": argparse.Namespace(model="tf_mobilenetv3_small_075.in1k")},
        {"hyper_parameters": {"backbone": "timm:tf_mobilenetv3_small_075"}},
    ],
    ids=["arch", "args", "hyper-parameters"],
)
def test_the_file_itself_says_which(facts: dict[str, Any], tmp_path: Path) -> None:
    port = timm.create_model("tf_mobilenetv3_small_075").eval()
    loaded = opened({"state_dict": port.state_dict(), **facts}, tmp_path / "x.pt")
    assert loaded.architecture == "timm:tf_mobilenetv3_small_075"
    assert not any(n.startswith("ambiguous") for n in loaded.notes)
    assert same(loaded.model, port)


def test_what_the_file_says_is_no_code(tmp_path: Path) -> None:
    loaded = opened({"state_dict": state(), "arch": "os:system"}, tmp_path / "x.pt")
    assert loaded.architecture == f"timm:{SMALL}"


# -------------------------------------------------------------------------------------------------
# What fits nothing


def test_a_near_miss_names_the_nearest(tmp_path: Path, refuses: Refuses) -> None:
    weights = dict(timm.create_model("seresnet18").state_dict())
    tensors = sum("num_batches_tracked" not in k for k in weights)
    fits = (tensors - 2) / tensors
    weights["layer1.0.se.fc1.weight"] = torch.zeros(9, 64, 1, 1)
    del weights["layer2.0.conv1.weight"]
    torch.save(weights, tmp_path / "x.pt")
    with refuses(
        UnknownArchitectureError,
        f"nearest: timm:seresnet18, {fits:.0%} of {tensors} tensors",
        "lacks layer2.0.conv1.weight",
        "layer1.0.se.fc1.weight is 9x64x1x1, not 8x64x1x1",
    ):
        load(tmp_path / "x.pt")
    bare = open_checkpoint(tmp_path / "x.pt", LoadOptions())
    assert isinstance(bare, BareWeights)
    shares = [n["share"] for n in bare.nearest()]
    assert len(shares) == 3
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == round(fits, 4)


def test_arguments_need_an_architecture(tmp_path: Path, refuses: Refuses) -> None:
    with refuses(UsageError, "expected --arch-args with --arch", "whose is not"):
        opened({f"x{i}": torch.ones(2, 3) for i in range(9)}, tmp_path / "x.pt", arch_args={"r": 2})


def test_arguments_are_added_to_those_that_the_shapes_tell(
    tmp_path: Path, refuses: Refuses
) -> None:
    notes = build("senet_notes", num_classes=4, squeeze=True)
    weights = notes.state_dict()
    assert "ambiguous" in said(opened(weights, tmp_path / "x.pt"))
    for arch in (
        None,
        "senet_notes",
    ):  # the remedy that the remark names, with the name and without
        other = opened(weights, tmp_path / "x.pt", arch=arch, arch_args={"squeeze": False})
        assert "ambiguous" not in said(other)
        assert other.arch_args["squeeze"] is False
        assert not find(other.model, (3, 32, 32)).blocks
    small = build("se_resnet14", num_classes=4, widths=(4, 8, 8), reduction=2)
    assert opened(small.state_dict(), tmp_path / "x.pt", arch="se_resnet14").params > 0
    with refuses(CheckpointError, "of another shape", "check --arch and --arch-args"):
        opened(small.state_dict(), tmp_path / "x.pt", arch_args={"reduction": 4})


def test_se_outside_a_backbone_is_named(tmp_path: Path) -> None:
    backbone = torchvision.models.resnet18(num_classes=5).state_dict()
    weights = {f"encoder.{n}": t for n, t in backbone.items()}
    for i, c in enumerate((64, 32)):
        weights[f"decoder.{i}.conv.weight"] = torch.randn(c, 64, 3, 3)
        weights[f"decoder.{i}.scse.fc1.weight"] = torch.randn(c // 8, c)
        weights[f"decoder.{i}.scse.fc2.weight"] = torch.randn(c, c // 8)
    (note,) = [n for n in opened(weights, tmp_path / "x.pt").notes if "excitations" in n]
    assert "2 of its places look like excitations of SE (decoder.0.scse, decoder.1.scse)" in note
    assert "--arch file.py:factory" in note
    # A second copy of the network's own is none.
    own = state()
    copies = {f"{part}.{n}": t for part in ("model", "teacher") for n, t in own.items()}
    assert not any("excitations" in n for n in opened(copies, tmp_path / "x.pt").notes)


def test_one_layer_is_no_network() -> None:
    assert recognise({"weight": (3, 4), "bias": (3,)}, {}).found == ()


# -------------------------------------------------------------------------------------------------
# Views


def names(view: View) -> list[str]:
    return sorted(view.shapes)


def test_views_of_two_networks() -> None:
    shapes: dict[str, tuple[int, ...]] = {
        f"{p}.{n}": (2,) for p in ("a.module", "b.x.y") for n in ("conv.w", "conv.b", "fc.w")
    }
    found = {v.prefix: names(v) for v in views(shapes)}
    assert found["a.module"] == found["b.x.y"] == ["conv.b", "conv.w", "fc.w"]
    assert len(found[""]) == 6


def test_a_component_of_the_network_s_own_stays() -> None:
    """``module`` with a sibling is no wrapper's."""
    shapes = {"net.module.w": (1,), "net.other.w": (1,), "net.other.b": (1,)}
    assert names(whole(shapes)) == ["module.w", "other.b", "other.w"]


# -------------------------------------------------------------------------------------------------
# Class names that training scripts leave in their files

LABELS = [f"class {letter}" for letter in "abcdefg"]


@pytest.mark.parametrize(
    ("facts", "known"),
    [
        ({"classes": LABELS}, True),
        ({"class_names": tuple(LABELS)}, True),
        ({"hyper_parameters": {"label_names": LABELS}}, True),
        ({"class_to_idx": {label: n for n, label in reversed([*enumerate(LABELS)])}}, True),
        ({"meta": {"dataset_meta": {"classes": LABELS}}}, True),
        ({"classes": LABELS[:-1]}, False),  # not as many as the outputs
        ({"classes": ["same"] * 7}, False),
        ({"class_to_idx": {label: n + 1 for n, label in enumerate(LABELS)}}, False),
        ({"classes": 7}, False),
    ],
    ids=str,
)
def test_class_names(facts: dict[str, Any], known: bool, tmp_path: Path) -> None:
    loaded = opened({"state_dict": state(), **facts}, tmp_path / "x.pt")
    assert (loaded.classes is not None) == known
    if loaded.classes is not None:
        assert loaded.classes.labels == LABELS


def test_the_network_is_walked_through_a_few_times_not_once_for_each_tensor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, walk = [], nn.Module.state_dict

    def counted(self: nn.Module, *args: Any, **options: Any) -> Any:
        calls.append(not args and not options)  # from outside, not for a part
        return walk(self, *args, **options)

    weights = state()
    monkeypatch.setattr(nn.Module, "state_dict", counted)
    opened(weights, tmp_path / "w.pt")
    assert len(weights) > 60
    assert sum(calls) < 20
