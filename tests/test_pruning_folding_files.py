"""Folded checkpoints: what is written is what is loaded, here and without seviz, and no file gets its way."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from conftest import Refuses, Tiny

import seviz
from seviz.errors import CheckpointError, UsageError
from seviz.gates import find
from seviz.networks import LoadedModel, load, save_checkpoint
from seviz.networks.architectures.folded import ChannelScale
from seviz.networks.architectures.registry import build
from seviz.networks.folds import Fold, Place, read_folds
from seviz.pruning.folding import Folded, fold
from seviz.results.preprocessing import Preprocessing
from seviz.results.stats import Floats

X = torch.randn(5, 3, 12, 12, generator=torch.Generator().manual_seed(0))


def gates_of(loaded: LoadedModel) -> dict[str, Floats]:
    """Return gates that differ from channel to channel."""
    blocks = find(loaded.model, loaded.preprocessing.input_size).blocks
    return {b.name: np.linspace(0.2, 0.9, b.channels) for b in blocks}


@pytest.fixture(scope="module")
def folded(tiny: Tiny) -> Folded:
    loaded = load(tiny.path)
    return fold(loaded, ["SE_3_1", "SE_4"], gates_of(loaded))


@pytest.fixture(scope="module")
def slim(folded: Folded, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slim") / "slim.pt"
    folded.save(path)
    folded.export(path.with_suffix(".pt2"))
    return path


def logits(model: torch.nn.Module, x: torch.Tensor = X) -> torch.Tensor:
    with torch.no_grad():
        return model(x)  # type: ignore[no-any-return]


def test_round_trip(folded: Folded, slim: Path, tiny: Tiny) -> None:
    again = load(slim)
    assert torch.equal(logits(again.model), logits(folded.loaded.model))
    assert again.params == folded.params_after < folded.params_before
    assert again.classes is not None
    assert again.classes.labels == tiny.classes
    assert again.preprocessing == tiny.preprocessing
    assert again.architecture == "se_resnet14(reduction=4, widths=(8, 8, 16)), 3 SE blocks folded"
    (note,) = again.notes
    sha256 = folded.original.sha256[:12]
    assert note.startswith(f"SE_3_1, SE_4_1, SE_4_2 of tiny.pt ({sha256}) folded away")
    assert [b.path for b in find(again.model, (3, 12, 12)).blocks] == [
        *("layer1.0.se", "layer1.1.se", "layer2.1.se")
    ]


def test_folding_what_was_folded(slim: Path, tmp_path: Path) -> None:
    loaded = load(slim)
    twice = fold(loaded, ["all"], gates_of(loaded))
    again = load(twice.save(tmp_path / "twice.pt"))
    assert [f.name for f in again.folds] == [
        "SE_3_1",
        "SE_4_1",
        "SE_4_2",
        "SE_2_1",
        "SE_2_2",
        "SE_3_1",
    ]
    assert torch.equal(logits(again.model), logits(twice.loaded.model))
    assert find(again.model, (3, 12, 12)).blocks == ()
    assert not any(".se." in name for name in again.model.state_dict())


def test_names_are_those_of_the_architecture(slim: Path, tiny: Tiny) -> None:
    held = torch.load(slim, weights_only=True)
    gone = tuple(f"{path}." for path in ("layer2.0.se", "layer3.0.se", "layer3.1.se"))
    assert list(held["state_dict"]) == [
        k for k in tiny.model.state_dict() if not k.startswith(gone)
    ]
    assert held["seviz_format"] == 2
    assert held["folded_from"]["name"] == "tiny.pt"


def test_networks_without_folded_blocks_are_written_as_before(tiny: Tiny) -> None:
    held = torch.load(tiny.path, weights_only=True)
    assert held["seviz_format"] == 1
    assert not {"folded", "folded_from"} & held.keys()


@pytest.mark.nightly
def test_it_runs_without_seviz(folded: Folded, slim: Path, tmp_path: Path) -> None:
    """In a process in which importing seviz fails."""
    torch.save({"x": X, "logits": logits(folded.loaded.model)}, tmp_path / "expected.pt")
    code = f"""
import sys
sys.modules["seviz"] = None
import torch
held = torch.load({str(slim)!r}, weights_only=True)
assert held["arch"] == "se_resnet14"
expected = torch.load({str(tmp_path / "expected.pt")!r}, weights_only=True)
run = torch.export.load({str(slim.with_suffix(".pt2"))!r}).module()
for n in (1, 2, 5):
    torch.testing.assert_close(run(expected["x"][:n]), expected["logits"][:n])
weights = dict(run.state_dict())
assert all(torch.equal(weights[k], v) for k, v in held["state_dict"].items() if k in weights)
print(len(weights))
"""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout.split()[-1]) > 60


def test_kept_scales_come_back(tmp_path: Path) -> None:
    """A norm that runs twice cannot take a gate up."""
    model = build("shared_bn_se_resnet18", num_classes=4).eval()
    loaded = load(
        save_checkpoint(
            tmp_path / "shared.pt",
            model,
            arch="shared_bn_se_resnet18",
            arch_args={"num_classes": 4},
            preprocessing=Preprocessing((3, 64, 64)),
        )
    )
    made = fold(loaded, ["SE_2"], gates_of(loaded))
    assert {b.how for b in made.blocks} == {"fixed scale"}
    again = load(made.save(tmp_path / "slim.pt"))
    scales = [m for m in again.model.modules() if isinstance(m, ChannelScale)]
    assert len(scales) == len(made.blocks)
    assert scales[0].scale.flatten().tolist() == pytest.approx(np.linspace(0.2, 0.9, 64), rel=1e-6)
    assert not [n for n, _ in again.model.named_parameters() if n.endswith("scale")]
    x = torch.randn(2, 3, 64, 64)
    assert torch.equal(logits(again.model, x), logits(made.loaded.model, x))


def test_a_zoos_classes_come_back_with_its_name(tmp_path: Path) -> None:
    """With ids and synonyms, which a list of names would lose."""
    model = timm.create_model("mobilenetv3_small_050").eval()
    path = save_checkpoint(
        tmp_path / "m.pt",
        model,
        arch="timm:mobilenetv3_small_050",
        preprocessing=Preprocessing((3, 64, 64)),
    )
    loaded = load(path)
    made = fold(loaded, ["SE_3"], gates_of(loaded))
    again = load(made.save(tmp_path / "slim.pt"))
    assert torch.load(tmp_path / "slim.pt", weights_only=True)["classes"] is None
    assert again.classes is not None
    assert again.classes == loaded.classes
    assert again.architecture.startswith("timm:mobilenetv3_small_050")


INLINE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.fc1, self.fc2 = nn.Linear(width, 2), nn.Linear(2, width)
        self.head = nn.Linear(width, 4)

    def forward(self, x):
        x = self.stem(x)
        z = torch.relu(self.fc1(x.mean((2, 3))))
        x = x * torch.sigmoid(self.fc2(z))[..., None, None]
        return self.head(torch.nn.functional.silu(x).mean((2, 3)))
"""


def test_a_factory_of_ones_own_is_named_again(elsewhere: Path, refuses: Refuses) -> None:
    """And its forward is as it was: the layer that gives the gate gives fixed numbers."""
    from seviz.networks.arch import build_architecture

    (elsewhere / "code").mkdir()
    Path("code/own_inline_net.py").write_text(INLINE)
    arch = str(elsewhere / "code" / "own_inline_net.py:Net")
    torch.manual_seed(0)
    torch.save(build_architecture(arch, {"width": 8}).state_dict(), "plain.pt")
    loaded = load("plain.pt", arch=arch, arch_args={"width": 8}).with_preprocessing(
        input_size=(3, 12, 12)
    )
    made = fold(loaded, ["all"], gates_of(loaded))
    assert made.blocks[0].how == "fixed gate"
    assert made.params_before - made.params_after == (8 * 2 + 2) + (2 * 8 + 8)
    made.save("slim.pt")
    made.export("slim.pt2")
    assert torch.load("slim.pt", weights_only=True)["arch"] == "own_inline_net.py:Net"
    with refuses(CheckpointError, "which is code", "--arch own_inline_net.py:Net"):
        load("slim.pt")
    again = load("slim.pt", arch=arch, arch_args={"width": 8})
    assert torch.equal(logits(again.model), logits(made.loaded.model))
    program = torch.export.load("slim.pt2").module()
    torch.testing.assert_close(logits(program), logits(made.loaded.model))


def test_an_architecture_without_a_name(tiny: Tiny, tmp_path: Path, refuses: Refuses) -> None:
    torch.save(tiny.model, tmp_path / "whole.pt")
    loaded = load(tmp_path / "whole.pt", unsafe=True).with_preprocessing(input_size=(3, 12, 12))
    made = fold(loaded, ["SE_2"], gates_of(loaded))
    with refuses(UsageError, "whole.pt", "state dict"):
        made.save(tmp_path / "slim.pt")
    assert not (tmp_path / "slim.pt").exists()


def test_a_network_that_cannot_be_exported(tmp_path: Path, refuses: Refuses) -> None:
    class Counts(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = torch.nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(x.mean((2, 3))) if float(x.sum()) >= 0 else self.fc(x.amax((2, 3)))

    loaded = LoadedModel(Counts(), "net", "net", "", None, Preprocessing((3, 8, 8)))
    with refuses(CheckpointError, "net to be exported", "--no-export"):
        Folded(loaded, loaded, (), 0.0).export(tmp_path / "x.pt2")
    assert not list(tmp_path.iterdir())


# -------------------------------------------------------------------------------------------------
# Files that say something else


def changed(slim: Path, change: Any) -> dict[str, Any]:
    held = copy.deepcopy(torch.load(slim, weights_only=True))
    change(held)
    return held


PLACE = {"path": "layer1.0.se", "kind": "passed", "shape": []}
FOLD = {"name": "SE_2_1", "into": [], "how": "x", "params": 0, "places": [PLACE]}


@pytest.mark.parametrize(
    "folds",
    [
        3,
        "all",
        {"name": "SE_2_1"},
        [3],
        [{}],
        [{**FOLD, "name": 3}],
        [{**FOLD, "name": "x" * 10_000}],
        [{**FOLD, "into": "layer1"}],
        [{**FOLD, "into": [3]}],
        [{**FOLD, "how": None}],
        [{**FOLD, "params": "0"}],
        [{**FOLD, "params": -1}],
        [{**FOLD, "params": True}],
        [{**FOLD, "places": None}],
        [{**FOLD, "places": [3]}],
        [{**FOLD, "places": [PLACE] * 1000}],
        [{**FOLD, "places": [{**PLACE, "path": ""}]}],
        [{**FOLD, "places": [{**PLACE, "path": "layer1..se"}]}],
        [{**FOLD, "places": [{**PLACE, "path": 3}]}],
        [{**FOLD, "places": [{**PLACE, "kind": "os.system"}]}],
        [{**FOLD, "places": [{**PLACE, "kind": ["passed"]}]}],
        [{**FOLD, "places": [{**PLACE, "kind": "zeros", "shape": [1 << 40]}]}],
        [{**FOLD, "places": [{**PLACE, "kind": "scale", "shape": [1024, 1024, 1024]}]}],
        [{**FOLD, "places": [{**PLACE, "kind": "scale", "shape": [-1]}]}],
        [{**FOLD, "places": [{**PLACE, "kind": "scale", "shape": [0]}]}],
        [{**FOLD, "places": [{**PLACE, "kind": "scale", "shape": [2.0]}]}],
        [{**FOLD, "places": [{**PLACE, "kind": "scale", "shape": [True]}]}],
        [{**FOLD, "places": [{**PLACE, "kind": "scale", "shape": [1] * 100}]}],
        [FOLD] * 100_000,
    ],
    ids=lambda v: json.dumps(v)[:60],
)
def test_malformed_descriptions(slim: Path, tmp_path: Path, refuses: Refuses, folds: Any) -> None:
    torch.save(changed(slim, lambda h: h.update(folded=folds)), tmp_path / "x.pt")
    with refuses(CheckpointError, "'folded'", "x.pt", "'seviz fold'"):
        load(tmp_path / "x.pt")


@pytest.mark.parametrize("origin", [3, "tiny.pt", {"name": 3}, {3: "tiny.pt"}], ids=str)
def test_malformed_origins(slim: Path, tmp_path: Path, refuses: Refuses, origin: Any) -> None:
    torch.save(changed(slim, lambda h: h.update(folded_from=origin)), tmp_path / "x.pt")
    with refuses(CheckpointError, "'folded_from'"):
        load(tmp_path / "x.pt")


@pytest.mark.parametrize(
    ("place", "part"),
    [
        ({"path": "layer9.0.se"}, "a module layer9.0.se"),
        ({"path": "layer1.0.se.fc.0.weight"}, "a module layer1.0.se.fc.0.weight"),
        ({"path": "__class__"}, "a module __class__"),
        ({"path": "layer1.0.conv1"}, "conv1.weight"),
        ({"path": "layer1"}, "layer1"),
        ({"kind": "scale", "shape": [8, 1, 1]}, "layer1.0.se.scale"),
        ({"path": "layer2.0.se.fc"}, "apart from each other"),
        ({"path": "layer2.0.se"}, "apart from each other"),
    ],
    ids=str,
)
def test_descriptions_that_do_not_fit(
    slim: Path, tmp_path: Path, refuses: Refuses, place: dict[str, Any], part: str
) -> None:
    fold = {**FOLD, "places": [{**PLACE, **place}]}
    held = changed(slim, lambda h: h["folded"].append(fold))
    torch.save(held, tmp_path / "x.pt")
    with refuses(CheckpointError, part):
        load(tmp_path / "x.pt")


def test_a_description_of_something_else_than_se(slim: Path, tmp_path: Path) -> None:
    """It loads, as its tensors fit, and gives what it says: numbers, and nothing that runs."""
    held = changed(
        slim, lambda h: h["folded"].append({**FOLD, "places": [{**PLACE, "path": "fc"}]})
    )
    held["folded"][-1]["places"][0].update(kind="zeros", shape=[3, 7, 7])
    held["state_dict"] = {k: v for k, v in held["state_dict"].items() if not k.startswith("fc.")}
    torch.save(held, tmp_path / "x.pt")
    loaded = load(tmp_path / "x.pt")
    assert loaded.model(X).shape == (5, 3, 7, 7)


def test_a_file_that_holds_code_for_its_folds(slim: Path, tmp_path: Path, refuses: Refuses) -> None:
    held = changed(slim, lambda h: h.update(arch="os:mkdir", arch_args={"path": "made"}))
    torch.save(held, tmp_path / "x.pt")
    with refuses(CheckpointError, "which is code"):
        load(tmp_path / "x.pt")


def test_descriptions_survive_a_trip() -> None:
    place = Place("a.se", "scale", (3, 1, 1))
    fold = Fold("SE_2_1", ("a.bn",), "norm before", 7, (place,))
    assert read_folds([fold.to_dict()], "x") == (fold,)
    assert read_folds(json.loads(json.dumps([fold.to_dict()])), "x") == (fold,)
    assert read_folds(None, "x") == ()


def test_seviz_reads_the_program_as_weights(slim: Path) -> None:
    """The program itself is not run; its names are those of the checkpoint."""
    with pytest.raises(seviz.SevizError, match=r"slim\.pt2"):
        load(slim.with_suffix(".pt2"))
