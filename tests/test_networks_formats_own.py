"""seviz's own checkpoint: what is saved is what is loaded, and a file never gets code to run."""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Refuses, Tiny

import seviz
from seviz.errors import CheckpointError, UsageError
from seviz.networks import load, save_checkpoint
from seviz.networks.architectures.registry import build
from seviz.results.preprocessing import Preprocessing


def payload(tiny: Tiny, **changes: Any) -> dict[str, Any]:
    return {**torch.load(tiny.path, weights_only=True), **changes}


def test_round_trip(tiny: Tiny) -> None:
    loaded = load(tiny.path)
    x = torch.randn(5, 3, 12, 12)
    with torch.no_grad():
        assert torch.equal(loaded.model(x), tiny.model(x))
    assert not any(m.training for m in loaded.model.modules())
    assert loaded.classes is not None
    assert loaded.classes.labels == tiny.classes
    assert loaded.preprocessing == tiny.preprocessing
    assert loaded.name == "tiny.pt"
    assert loaded.architecture == "se_resnet14(reduction=4, widths=(8, 8, 16))"
    assert loaded.sha256 == hashlib.sha256(tiny.path.read_bytes()).hexdigest()
    assert loaded.params == sum(p.numel() for p in tiny.model.parameters())
    assert loaded.notes == ()


def test_one_network_is_compared_with_all_parts_of_a_file(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file has some ten parts that may be a network; building one for each was most of the loading."""
    calls = []
    monkeypatch.setattr(
        "seviz.networks.recognise.fit.build_architecture",
        lambda name, args: calls.append(name) or build(name, **args),
    )
    load(tiny.path)
    assert calls == ["se_resnet14"]


def test_plain_pytorch_reads_it(tiny: Tiny) -> None:
    held = torch.load(tiny.path, weights_only=True)
    assert set(held) == {
        *("seviz_format", "arch", "arch_args", "classes", "preprocessing", "state_dict")
    }
    twin = build("se_resnet14", num_classes=4, **tiny.arch_args)
    twin.load_state_dict(held["state_dict"])
    prepared = tiny.preprocessing
    assert held["preprocessing"] == {  # what every seviz reads
        "input_size": prepared.input_size,
        "mean": prepared.mean,
        "std": prepared.std,
        "interpolation": prepared.interpolation,
        "crop_pct": prepared.crop_pct,
        "origin": prepared.origin,
    }


def test_weights_are_copies_on_the_cpu(tiny: Tiny, tmp_path: Path) -> None:
    """A network loaded from a file that is mapped into memory outlives the file."""
    path = tmp_path / "copy.pt"
    path.write_bytes(tiny.path.read_bytes())
    loaded = load(path)
    path.unlink()
    before = tiny.model.state_dict()
    assert all(torch.equal(v, before[k]) for k, v in loaded.model.state_dict().items())


def test_without_classes_and_preprocessing(tiny: Tiny, tmp_path: Path) -> None:
    path = save_checkpoint(
        tmp_path / "bare.pt",
        tiny.model,
        arch=tiny.arch,
        arch_args={**tiny.arch_args, "num_classes": 4},
    )
    loaded = load(path)
    assert loaded.classes is None
    assert loaded.preprocessing.input_size == (3, 32, 32)
    assert loaded.preprocessing.assumed == ("mean", "std", "input_size", "crop_pct")
    assert "assumed" in loaded.preprocessing.told_by
    (note,) = loaded.notes
    assert "--input-size" in note


def test_arguments_given_are_stronger_than_the_files(tiny: Tiny, refuses: Refuses) -> None:
    with refuses(CheckpointError, "(2, 8) instead of (4, 8)"):
        load(tiny.path, arch_args={"reduction": 2})


def test_another_architecture_than_the_files(tiny: Tiny) -> None:
    args = {**tiny.arch_args, "num_classes": 4, "depth": 14}
    loaded = load(
        tiny.path, arch="seviz.networks.architectures.cifar_resnet:CifarResNet", arch_args=args
    )
    assert loaded.classes is not None
    assert loaded.classes.labels == tiny.classes
    x = torch.randn(2, 3, 12, 12)
    with torch.no_grad():
        assert torch.equal(loaded.model(x), tiny.model(x))


# -------------------------------------------------------------------------------------------------
# Saving


def test_a_failed_save_leaves_what_was_there(tiny: Tiny, tmp_path: Path) -> None:
    class Unpicklable(torch.nn.Module):
        def state_dict(self, *args: Any, **kwargs: Any) -> Any:
            return {"w": _Refusing()}

    path = tmp_path / "kept.pt"
    path.write_bytes(b"before")
    with pytest.raises(RuntimeError, match="in the middle"):
        save_checkpoint(path, Unpicklable(), arch=tiny.arch)
    assert path.read_bytes() == b"before"
    assert [p.name for p in tmp_path.iterdir()] == ["kept.pt"]


class _Refusing(torch.Tensor):
    """A tensor that cannot be written."""

    def detach(self) -> torch.Tensor:
        return self

    def cpu(self) -> torch.Tensor:  # type: ignore[override]
        return self

    def contiguous(self) -> torch.Tensor:  # type: ignore[override]
        return self

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise RuntimeError("in the middle")


@pytest.mark.parametrize(
    "arch_args", [{"reduction": np.int64(4)}, {"act": torch.nn.ReLU}, {"path": Path("x")}]
)
def test_what_could_not_be_read_back_is_not_written(
    tiny: Tiny, tmp_path: Path, refuses: Refuses, arch_args: dict[str, Any]
) -> None:
    with refuses(UsageError, "plain numbers"):
        save_checkpoint(tmp_path / "x.pt", tiny.model, arch=tiny.arch, arch_args=arch_args)
    assert not list(tmp_path.iterdir())


def test_class_names_of_numpy(tiny: Tiny, tmp_path: Path) -> None:
    names = list(np.array(tiny.classes))
    path = save_checkpoint(
        tmp_path / "x.pt", tiny.model, arch=tiny.arch, arch_args=tiny.arch_args, classes=names
    )
    table = load(path).classes
    assert table is not None
    assert table.labels == tiny.classes


def test_equal_networks_give_equal_bytes(tiny: Tiny, tmp_path: Path) -> None:
    """PyTorch writes the name of the file that it is given into the archive."""
    kept: dict[str, Any] = {"classes": tiny.classes, "preprocessing": tiny.preprocessing}
    for name in ("one.pt", "another.pt"):
        save_checkpoint(tmp_path / name, tiny.model, arch="se_resnet14", **kept)
    whole = (tmp_path / "one.pt").read_bytes()
    assert whole == (tmp_path / "another.pt").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.pt") as archive:
        assert {name.partition("/")[0] for name in archive.namelist()} == {"archive"}


def test_a_folder_is_made(tiny: Tiny, tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path / "a" / "b" / "x.pt", tiny.model, arch=tiny.arch)
    assert [p.name for p in path.parent.iterdir()] == ["x.pt"]


# -------------------------------------------------------------------------------------------------
# Files that say something else


def test_a_newer_format(tiny: Tiny, tmp_path: Path, refuses: Refuses) -> None:
    torch.save(payload(tiny, seviz_format=4), tmp_path / "new.pt")
    with refuses(CheckpointError, "format 3 or older", "found 4 in new.pt", "update seviz"):
        load(tmp_path / "new.pt")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seviz_format", "1"),
        ("seviz_format", None),
        ("arch", 3),
        ("arch", ["se_resnet14"]),
        ("arch_args", 3),
        ("arch_args", ["reduction"]),
        ("arch_args", {1: 2}),
        ("classes", 4),
        ("classes", "abcd"),
        ("classes", []),
        ("classes", {"ant": 0}),
        ("classes", ["ant", None, "cat", "dog"]),
        ("preprocessing", "imagenet"),
        ("preprocessing", {"size": 224}),
        ("preprocessing", {"input_size": 224}),
        ("preprocessing", {"input_size": [224, 224]}),
        ("preprocessing", {"mean": ["a", "b", "c"]}),
        ("preprocessing", {"std": 0.5}),
        ("preprocessing", {"interpolation": 3}),
        ("preprocessing", {"crop_pct": None}),
    ],
)
def test_malformed_entries(
    tiny: Tiny, tmp_path: Path, refuses: Refuses, key: str, value: object
) -> None:
    torch.save(payload(tiny, **{key: value}), tmp_path / "x.pt")
    with refuses(CheckpointError, repr(key), "x.pt", "seviz.save_checkpoint"):
        load(tmp_path / "x.pt")


def test_more_classes_than_outputs(tiny: Tiny, tmp_path: Path, refuses: Refuses) -> None:
    torch.save(payload(tiny, classes=[*tiny.classes, "elk"]), tmp_path / "x.pt")
    with refuses(CheckpointError, "fc.weight (4, 16) instead of (5, 16)"):
        load(tmp_path / "x.pt")


def test_entries_may_be_missing(tiny: Tiny, tmp_path: Path, refuses: Refuses) -> None:
    held = payload(tiny)
    del held["arch"], held["preprocessing"]
    torch.save(held, tmp_path / "x.pt")
    recognised = load(tmp_path / "x.pt")
    assert recognised.recognised == "se_resnet14 (seviz), 100 % of 89 tensors"
    assert recognised.classes is not None
    args = {**tiny.arch_args, "num_classes": 4}
    assert load(tmp_path / "x.pt", arch=tiny.arch, arch_args=args).classes is not None


@pytest.mark.parametrize(
    ("arch", "arch_args"),
    [
        ("os:mkdir", {"path": "made"}),
        ("net.py:make", {}),
        ("timm:hf-hub:somebody/something", {}),
        ("timm:local-dir:.", {}),
        ("hf-hub:somebody/something", {}),
    ],
)
def test_a_file_alone_gets_no_code_to_run(
    tiny: Tiny,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_network: None,
    refuses: Refuses,
    arch: str,
    arch_args: dict[str, Any],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text("import os\nos.mkdir('made')\ndef make(): ...\n")
    torch.save(payload(tiny, arch=arch, arch_args=arch_args), "x.pt")
    with refuses(CheckpointError, repr(arch), f"--arch {arch} if you trust it"):
        load("x.pt")
    assert not Path("made").exists()


@pytest.mark.parametrize("takes", [True, False], ids=["takes-classes", "takes-none"])
def test_a_factory_of_ones_own(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, takes: bool
) -> None:
    """The number of classes goes to a factory that takes it, and to no other."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    takes_it = "def make(num_classes, **kwargs):\n    kwargs['num_classes'] = num_classes\n"
    takes_none = (
        "def make(reduction, widths):\n    kwargs = dict(reduction=reduction, widths=widths)\n"
    )
    Path("own_net.py").write_text(
        "from seviz.networks.architectures.registry import build\n"
        + (takes_it if takes else takes_none)
        + "    return build('se_resnet14', **{'num_classes': 4, **kwargs})\n"
    )
    arch = "own_net.py:make"
    save_checkpoint("x.pt", tiny.model, arch=arch, arch_args=tiny.arch_args, classes=tiny.classes)
    loaded = load("x.pt", arch=arch)
    x = torch.randn(2, 3, 12, 12)
    with torch.no_grad():
        assert torch.equal(loaded.model(x), tiny.model(x))


def test_preprocessing_changed_by_the_user(tiny: Tiny) -> None:
    loaded = seviz.load(tiny.path)
    assert loaded.with_preprocessing(mean=None, std=None) is loaded
    changed = loaded.with_preprocessing(mean=(0.1, 0.2, 0.3), crop_pct=None)
    assert changed.preprocessing == Preprocessing(
        (3, 12, 12),
        (0.1, 0.2, 0.3),
        (0.25,) * 3,
        "bilinear",
        1.0,
    )
    assert changed.preprocessing.told_by == "ours; mean given"
    assert changed.model is loaded.model


def test_preprocessing_that_is_newer_is_written_as_such(tiny: Tiny, tmp_path: Path) -> None:
    prepared = tiny.preprocessing.changed(crop_mode="squash", channel_order="bgr")
    path = save_checkpoint(
        tmp_path / "x.pt",
        tiny.model,
        arch=tiny.arch,
        arch_args={**tiny.arch_args, "num_classes": 4},
        preprocessing=prepared,
    )
    assert torch.load(path, weights_only=True)["seviz_format"] == 3
    loaded = load(path)
    assert loaded.preprocessing == prepared
    assert loaded.preprocessing.given == ("channel_order", "crop_mode")


@pytest.mark.parametrize(
    "wrong", [{"crop_mode": "stretch"}, {"channel_order": "gbr"}, {"assumed": [1]}, {"given": 3}]
)
def test_newer_preprocessing_is_checked(
    tiny: Tiny, tmp_path: Path, refuses: Refuses, wrong: dict[str, Any]
) -> None:
    prepared = {**tiny.preprocessing.to_dict(), **wrong}
    torch.save(payload(tiny, preprocessing=prepared), tmp_path / "x.pt")
    with refuses(CheckpointError, "'preprocessing'"):
        load(tmp_path / "x.pt")
