"""What a user meets who points --data at images of all kinds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from seviz.cli import main


class Level(nn.Module):
    """Answers k where the mean grey of the image is nearest to 20 k + 5, of 255."""

    def __init__(self, num_classes: int = 12) -> None:
        super().__init__()
        self.levels = nn.Parameter((20 * torch.arange(num_classes) + 5) / 255)
        self.stem, self.down, self.up = nn.Conv2d(3, 4, 1), nn.Linear(4, 2), nn.Linear(2, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x)
        s = torch.sigmoid(self.up(torch.relu(self.down(y.mean((2, 3))))))
        gated = y * s[:, :, None, None]
        return -((x.mean((1, 2, 3))[:, None] - self.levels) ** 2) * 1000 + 0 * gated.mean()


def level(num_classes: int = 12) -> Level:
    return Level(num_classes)


NAMES = [f"class_{i}" for i in range(1, 13)]


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A network, and a folder of two images for each of its classes in natural order."""
    monkeypatch.chdir(tmp_path)
    torch.save(level().state_dict(), tmp_path / "net.pt")
    for k, name in enumerate(NAMES):
        for i in range(2):
            file = tmp_path / f"data/{name}/{i}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (20 * k + 5,) * 3).save(file)
    return tmp_path


def run(capsys, command: str, *words: str) -> tuple[int, dict, str]:
    plain = "--input-size 3 8 8 --mean 0 0 0 --std 1 1 1 --crop-pct 1 -j 0 --json"
    arch = f"{__file__}:level"
    code = main([command, "net.pt", "--arch", arch, *plain.split(" "), "-o", "out", *words])
    out, err = capsys.readouterr()
    return code, json.loads(out) if out.strip() else {}, err


def test_natural_order(place, capsys):
    code, found, err = run(
        capsys, "confusion", "--data", "data", "--labels", "natural", "--format", "png"
    )
    assert (code, found["top1"]) == (0, 1.0)
    assert "--labels sorted takes that order" in err
    code, found, err = run(
        capsys, "confusion", "--data", "data", "--labels", "sorted", "--format", "png"
    )
    assert code == 0
    # By hand: of the names in sorted order only class_1 stands at its own place.
    assert found["top1"] == pytest.approx(1 / 12)
    assert "top-1 is 8.3 % with the folders in sorted order and 100.0 % in natural" in err


def test_names_from_a_file(place, capsys):
    (place / "names.txt").write_text("\n".join(NAMES))
    words = ("--class-names", "names.txt", "--data", "data", "--format", "png")
    code, found, _ = run(capsys, "confusion", *words)
    assert (code, found["top1"], found["images"]) == (0, 1.0, 24)
    (place / "names.txt").write_text("\n".join(NAMES[:-1]))
    code, _, err = run(capsys, "confusion", *words)
    assert code == 3
    assert "found 11 names and 12 outputs" in err


def gates(place: Path) -> tuple[np.ndarray, int]:
    from seviz.results.record import Record

    record = Record.load(place / "out")
    (block,) = record.blocks
    return record.stats(block.name).mean, record.header.images


@torch.no_grad()
def expected(values: list[int]) -> list[float]:
    """Mean gates of plain images of these greys, by the formula."""
    model = Level()
    model.load_state_dict(torch.load("net.pt"))
    x = (torch.tensor(values).float() / 255)[:, None, None, None].expand(-1, 3, 8, 8)
    y = model.stem(x).mean((2, 3))
    return torch.sigmoid(model.up(torch.relu(model.down(y)))).mean(0).tolist()


@pytest.mark.parametrize(
    ("data", "greys"),
    [
        ("data/class_3/0.png", [45]),
        ("data/class_3", [45, 45]),
        ("list.csv", [45, 65]),
        ("some.npz", [45, 65]),
        ("some.npy", [45, 65]),
    ],
)
def test_gates_of_images_without_classes(place, capsys, data, greys):
    (place / "list.csv").write_text("path\ndata/class_3/0.png\ndata/class_4/0.png\n")
    pixels = np.stack([np.full((8, 8, 3), grey, np.uint8) for grey in (45, 65)])
    np.save(place / "some.npy", pixels)
    np.savez(place / "some.npz", images=pixels)
    for labels in ("model", "data"):
        code, found, _ = run(capsys, "collect", "--data", data, "--labels", labels)
        assert (code, found["images"], found["classes"]) == (0, len(greys), ["all"])
        mean, images = gates(place)
        assert images == len(greys)
        assert mean[0].tolist() == pytest.approx(expected(greys), abs=1e-6)
    code, _, err = run(capsys, "collect", "--data", data, "--labels", "sorted")
    assert code == 4
    assert "without classes" in err


def test_the_same_images_by_folder_list_and_arrays(place, capsys):
    """Counts and sums are the same, bit for bit."""
    rows = [f"data/{name}/{i}.png,{name}" for name in sorted(NAMES) for i in range(2)]
    (place / "list.csv").write_text("\n".join(["path,label", *rows]))
    pixels = np.stack([np.asarray(Image.open(row.split(",")[0])) for row in rows])
    np.savez(place / "d.npz", x=pixels, y=np.array([row.split(",")[1] for row in rows]))
    found = []
    for data in ("data", "list.csv", "d.npz"):
        code, _, _ = run(capsys, "collect", "--data", data, "--labels", "natural")
        assert code == 0
        from seviz.results.record import Record

        record = Record.load(place / "out")
        found.append(replace(record, arrays=dict(record.arrays)))  # the next pass replaces the file
    for other in found[1:]:
        assert other.classes.labels == found[0].classes.labels
        for name, array in found[0].arrays.items():
            assert np.array_equal(other.arrays[name], array, equal_nan=True), name


def test_sixteen_bits_are_remarked_on(place, capsys):
    values = np.tile(np.linspace(0, 255, 8).astype(np.uint16), (8, 1))
    (place / "deep").mkdir()
    Image.fromarray(values).save(place / "deep/0.png")
    code, _, err = run(capsys, "collect", "--data", "deep/0.png")
    assert code == 0
    assert "taken as 8-bit values, as ImageFolder and timm take them" in " ".join(err.split())


@pytest.mark.parametrize(
    ("folders", "why"),
    [
        (("dogs/pug", "dogs/husky", "cats/manx", "cats/siam"), "folders inside folders"),
        (("fold1/a", "fold1/b", "fold2/a", "fold2/b"), "--split fold1"),
        (("Training/a", "Training/b"), "--split Training"),
        (("train", "val"), "parts of a data set"),
    ],
)
def test_what_is_not_one_folder_per_class_is_refused_in_a_line(place, capsys, folders, why):
    for folder in folders:
        (place / "x" / folder).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(place / "x" / folder / "1.png")
    code, _, err = run(capsys, "collect", "--data", "x", "--labels", "data")
    assert code == 4
    assert why in err.strip().splitlines()[-1]
