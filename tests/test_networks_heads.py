"""Networks with several outputs: one of them is taken by name, in every command."""

from __future__ import annotations

import copy
import json
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Refuses, Run
from PIL import Image
from torch import nn

import seviz
from seviz.collect.options import PassOptions
from seviz.errors import CheckpointError, DataError, UsageError
from seviz.networks.heads import picked, with_head

SIZE = ["--input-size", "3", "16", "16", "--mean", "0", "0", "0", "--std", "1", "1", "1"]
CODE = """
import torch
from torch import nn
from seviz.networks.architectures.registry import build

class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = build("se_resnet14", num_classes=3, widths=(8, 8, 8), reduction=4)
        self.age = nn.Linear(3, 2)

    def forward(self, x):
        y = self.net(x)
        return {"kind": y, "more": (self.age(y), -y)}
"""
Pair = namedtuple("Pair", "first second")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Return code, weights and images of three classes."""
    folder = tmp_path_factory.mktemp("heads")
    (folder / "heads_code.py").write_text(CODE)
    names: dict[str, type[nn.Module]] = {}
    exec(CODE, names)
    torch.manual_seed(0)
    torch.save(names["Heads"]().state_dict(), folder / "net.pt")
    rng = np.random.default_rng(0)
    for name in "abc":
        (folder / "images" / name).mkdir(parents=True)
        for number in range(4):
            pixels = rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "images" / name / f"{number}.png")
    return folder / "heads_code.py", folder / "net.pt", folder / "images"


@pytest.fixture
def words(files: tuple[Path, Path, Path], elsewhere: Path) -> list[object]:
    code, weights, _ = files
    return [weights, "--arch", f"{code}:Heads", *SIZE]


def test_the_outputs_are_named(
    run: Run, words: list[object], files: tuple[Path, Path, Path]
) -> None:
    said = run("inspect", *words)
    assert "outputs       kind, more.0, more.1; --head takes one of them" in said.out
    assert json.loads(run("inspect", *words, "--json").out)["outputs"] == [
        "kind",
        "more.0",
        "more.1",
    ]
    data = ["--data", files[2], "-j", "0"]
    said = run("confusion", *words, *data, "--labels", "sorted")
    assert said.code == DataError.exit_code
    assert "found kind, more.0, more.1; take one of them with --head" in said.err
    said = run("collect", *words, *data, "-o", "out")
    assert "several outputs (kind, more.0, more.1), so predictions are not scored" in said.err
    said = run("collect", *words, *data, "--head", "sex")
    assert said.code == UsageError.exit_code
    assert "for --head, found 'sex'; it gives kind, more.0, more.1\n" in said.err


def test_one_of_them_is_scored(files: tuple[Path, Path, Path]) -> None:
    """Against the plain network, by hand; ``more.1`` answers the opposite."""
    code, weights, images = files
    names: dict[str, type[nn.Module]] = {}
    exec(CODE, names)
    plain = names["Heads"]().eval()
    plain.load_state_dict(torch.load(weights))
    paths = sorted(images.rglob("*.png"))
    pixels = np.stack([np.asarray(Image.open(p), np.float32) / 255 for p in paths])
    with torch.no_grad():
        scores = plain(torch.from_numpy(pixels).permute(0, 3, 1, 2))["kind"].numpy()
    true = np.repeat(np.arange(3), 4)
    options = PassOptions(workers=0, labels="sorted", fast=False)
    for head, expected in (("kind", scores.argmax(1)), ("more.1", scores.argmin(1))):
        loaded = seviz.load(
            weights,
            arch=f"{code}:Heads",
            head=head,
            input_size=(3, 16, 16),
            mean=(0,) * 3,
            std=(1,) * 3,
        )
        record = seviz.collect(loaded, str(images), options)
        found = np.zeros((3, 3), int)
        np.add.at(found, (true, expected), 1)
        np.testing.assert_array_equal(record.arrays["confusion"], found)


def test_two_heads_are_two_passes(
    run: Run, words: list[object], files: tuple[Path, Path, Path]
) -> None:
    asked = [*words, "--data", files[2], "-j", "0", "-o", "out", "--labels", "sorted"]
    assert "used again" not in run("collect", *asked, "--head", "kind").err
    assert "used again" not in run("collect", *asked, "--head", "more.1").err


def test_the_network_keeps_its_names_and_copies_do_the_same() -> None:
    class Two(nn.Linear):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
            return super().forward(x), x

    model = Two(2, 3)
    names = list(model.state_dict())
    x = torch.ones(1, 2)
    expected = model(x)[0]
    headed = with_head(model, "0")
    assert list(headed.state_dict()) == names
    assert isinstance(headed, Two)
    for one in (headed, copy.deepcopy(headed)):
        assert torch.equal(one(x), expected)


@pytest.mark.parametrize(
    ("result", "head"),
    [
        ({"a.b": 1}, "a.b"),
        (Pair(0, 1), "second"),
        ([5, {"x": 1}], "1.x"),
        ({"a": Pair(1, 2)}, "a.0"),
    ],
)
def test_ways_of_naming(result: object, head: str) -> None:
    assert picked(result, head) == 1


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_there_is_no_such_output(refuses: Refuses) -> None:
    one = torch.zeros(2, 3)
    with refuses(UsageError, "found 'b'; it gives a"):
        picked({"a": one}, "b")
    with refuses(UsageError, "found '7'; it gives 0, 1"):
        picked((one, one), "7")
    with refuses(UsageError, "found 'x'; it gives one tensor"):
        picked(one, "x")
    with refuses(UsageError, "a compiled program"):
        with_head(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), "x")


class TwoInputs(nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x + y


def test_what_to_do_is_said_by_what_is_wrong(refuses: Refuses) -> None:
    with refuses(CheckpointError, "missing a required argument: 'y'", "with inputs="):
        seviz.find(TwoInputs(), (3, 8, 8))
    with refuses(CheckpointError, "give the size with which it was trained (--input-size)"):
        seviz.find(nn.Sequential(nn.Flatten(), nn.Linear(5, 5)), (3, 8, 8))
    batches = [(torch.zeros(2, 8, 8, 3), torch.zeros(2, dtype=torch.long))]
    with refuses(CheckpointError, "put the channels first"):
        seviz.collect(nn.Sequential(nn.Conv2d(3, 4, 3)), batches)
    plain = nn.Sequential(nn.Conv2d(1, 4, 3))
    with refuses(CheckpointError, "put the number of images first"):
        seviz.collect(plain, [torch.zeros(1, 8, 8)] * 3)
    heads = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    batches = [(torch.zeros(2, 4), torch.zeros(2, dtype=torch.long))]
    with refuses(CheckpointError, "give as output one that the network has, found 'nope'"):
        seviz.collect(heads, batches, output="nope")


def test_layers_that_wait_for_a_first_batch(refuses: Refuses) -> None:
    waiting = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.LazyLinear(2), nn.LazyLinear(2))
    batches = [(torch.zeros(2, 3, 8, 8), torch.zeros(2, dtype=torch.long))]
    for use in (
        lambda: seviz.find(waiting, (3, 8, 8)),
        lambda: seviz.collect(waiting, batches),
        lambda: seviz.audit(waiting, (3, 8, 8)),
    ):
        with refuses(CheckpointError, "found 2 and 1 more waiting for a first batch"):
            use()


def test_images_without_labels_are_not_scored(refuses: Refuses) -> None:
    network = seviz.load(seviz.sample("se_resnet_digits")).model
    with refuses(DataError, "labels to score predictions with", "batches of images and labels"):
        seviz.ablate(network, [torch.zeros(4, 1, 32, 32)])
