"""What a record says of where it comes from: names, and no folder of anybody's machine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import mutants
import numpy as np
import pytest
import torch
from conftest import Run, Tiny

from seviz.results.header import without_folders


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("../home/alice/d", "d"),
        ("home/alice/d/", "d/"),
        ("/home/alice/d", "d"),
        ("~/alice/d", "d"),
        ("C:\\Users\\alice\\d", "d"),
        ("--data=../alice/d", "--data=d"),
        ("--data=C:/Users/alice/d", "--data=d"),
        ("cifar10:/home/alice/cifar10", "cifar10:cifar10"),
        ("cifar10:../alice/cifar10", "cifar10:cifar10"),
        ("../alice/net.py:make", "net.py:make"),
        ("weights=/home/alice/w.pt", "weights=w.pt"),
        ("hf:./alice/d", "hf:d"),
        ("hf:alice/birds", "hf:alice/birds"),  # a data set on the hub
        ("timm:hf-hub:timm/seresnet50.a1_in1k", "timm:hf-hub:timm/seresnet50.a1_in1k"),
        ("se_resnet50.pt", "se_resnet50.pt"),
        ("widths=(8,8,16)", "widths=(8,8,16)"),
        ("..", ".."),
        ("0.5", "0.5"),
    ],
)
def test_words(word: str, shown: str) -> None:
    assert without_folders([word]) == [shown]


def test_names_of_classes_keep_their_slash() -> None:
    words = [
        "--classes",
        "kite/bird",
        "cat",
        "--data",
        "alice/d",
        "--explain",
        "a/b",
        "c/d",
        "-o",
        "x/y",
    ]
    shown = ["--classes", "kite/bird", "cat", "--data", "d", "--explain", "a/b", "c/d", "-o", "y"]
    assert without_folders(words) == shown


@pytest.mark.usefixtures("elsewhere")
def test_no_file_of_a_pass_names_a_folder_of_the_user(
    run: Run, tiny: Tiny, pictures: Path, elsewhere: Path
) -> None:
    home = elsewhere / "home" / "alice"
    shutil.copytree(pictures, home / "d" / "images")
    (home / "d" / "images" / "ant" / "00a.png").write_text("not a picture")
    torch.save(tiny.model.state_dict(), home / "bare.pt")
    (home / "net.py").write_text(
        "from seviz.networks.architectures.registry import build\n"
        "def make(notes='', **kwargs):\n    return build('se_resnet14', **kwargs)\n"
    )
    said = run(
        *("collect", "home/alice/bare.pt", "--arch", "./home/alice/net.py:make"),
        *("--arch-args", f"notes={home}/notes.txt"),
        *tiny.words[3:],
        *("--data", "home/alice/d/images", "-j", "0", "-o", "home/alice/out"),
    )
    assert said.code == 0, said.err
    content = mutants.members(home / "out" / "record.npz")
    header = json.loads(content["meta.json"])["header"]
    assert "alice" not in json.dumps(header)
    assert header["source"] == "images"
    assert header["skipped"][0][0] == "ant/00a.png"
    assert " --data images " in header["command"]


def test_a_list_with_paths_that_lead_elsewhere(tmp_path: Path) -> None:
    from seviz.data.base import ListSource

    files = [b"a/1.png", b"../home/alice/cats/2.png", str(tmp_path / "b" / "3.png").encode()]
    source = ListSource(
        name="list",
        split="",
        folders=("x",),
        labels=np.zeros(3, np.int64),
        root=tmp_path,
        files=np.array(files),
    )
    names = [source.image_name(i) for i in range(3)]
    assert names == ["a/1.png", "cats/2.png", "b/3.png"]
