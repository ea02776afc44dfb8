"""Files from elsewhere: bare state dicts load, and everything else is refused in one line."""

from __future__ import annotations

import os
import pickle
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Refuses, Tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from seviz.errors import CheckpointError, UnknownArchitectureError
from seviz.networks import load
from seviz.networks.architectures.registry import build
from seviz.networks.filling import fill
from seviz.networks.formats.read import read_checkpoint


def args_of(tiny: Tiny) -> dict[str, Any]:
    return {**tiny.arch_args, "num_classes": 4}


def same_logits(tiny: Tiny, path: Path) -> bool:
    loaded = load(path, arch=tiny.arch, arch_args=args_of(tiny))
    assert not loaded.model.training
    x = torch.randn(3, 3, 12, 12)
    with torch.no_grad():
        return torch.equal(loaded.model(x), tiny.model(x))


# -------------------------------------------------------------------------------------------------
# What loads


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state},
        lambda state: {"state_dict": state, "epoch": 7, "optimizer": {"lr": 0.1}},
        lambda state: {k: v for k, v in state.items() if "num_batches_tracked" not in k},
        lambda state: {"model": state, "epoch": 3},
        lambda state: {**state, "step": 3},
        lambda state: {**state, "total_ops": torch.zeros(1), "fc.total_params": torch.zeros(1)},
    ],
    ids=[
        *("bare", "under-state_dict", "of-a-training", "without-counters"),
        *("under-model", "with-a-number", "profiled"),
    ],
)
def test_state_dicts(tiny: Tiny, tmp_path: Path, wrap: Callable[[dict[str, Tensor]], Any]) -> None:
    torch.save(wrap(tiny.model.state_dict()), tmp_path / "x.pt")
    assert same_logits(tiny, tmp_path / "x.pt")


@pytest.mark.filterwarnings("ignore:.*legacy:FutureWarning")
def test_the_format_before_zip(tiny: Tiny, tmp_path: Path) -> None:
    torch.save(tiny.model.state_dict(), tmp_path / "x.pt", _use_new_zipfile_serialization=False)
    assert not zipfile.is_zipfile(tmp_path / "x.pt")
    assert same_logits(tiny, tmp_path / "x.pt")


def test_a_file_without_checksums(tiny: Tiny, tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(tiny.model.state_dict(), tmp_path / "x.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert same_logits(tiny, tmp_path / "x.pt")


def test_half_precision_weights_are_widened(tiny: Tiny, tmp_path: Path) -> None:
    torch.save({k: v.half() for k, v in tiny.model.state_dict().items()}, tmp_path / "x.pt")
    loaded = load(tmp_path / "x.pt", arch=tiny.arch, arch_args=args_of(tiny))
    assert any("float16" in n and "widened" in n for n in loaded.notes)
    weight = loaded.model.get_parameter("fc.weight")
    assert weight.dtype == torch.float32
    assert torch.equal(weight, tiny.model.get_parameter("fc.weight").half().float())


def test_a_bare_state_dict_says_what_is_assumed(tiny: Tiny, tmp_path: Path) -> None:
    torch.save(tiny.model.state_dict(), tmp_path / "x.pt")
    loaded = load(tmp_path / "x.pt", arch=tiny.arch, arch_args=args_of(tiny))
    assert loaded.classes is None
    (note,) = loaded.notes
    assert "assumed" in note
    assert "--mean" in note


# -------------------------------------------------------------------------------------------------
# What is no checkpoint


def test_nothing_there(tmp_path: Path, refuses: Refuses) -> None:
    with refuses(CheckpointError, "found nothing at", "no.pt", "timm:NAME"):
        load(tmp_path / "no.pt")
    with refuses(CheckpointError, "found nothing at"):
        load("x" * 5000)
    with refuses(CheckpointError, "found a folder at"):
        load(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"plain text\nof two lines", b"<html>", b"\x80\x02.", b"PK\x03\x04", b"\x00" * 5000],
    ids=["empty", "text", "html", "pickle", "zip-header", "zeros"],
)
def test_other_content(tmp_path: Path, refuses: Refuses, content: bytes) -> None:
    (tmp_path / "x.pt").write_bytes(content)
    with refuses(CheckpointError, "x.pt", f"({len(content):,} bytes)", "is it complete"):
        load(tmp_path / "x.pt", arch="se_resnet14")


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99, None])
def test_a_truncated_file(
    tiny: Tiny, tmp_path: Path, refuses: Refuses, share: float | None
) -> None:
    whole = tiny.path.read_bytes()
    cut = whole[: int(len(whole) * share)] if share else whole[:-1]
    (tmp_path / "x.pt").write_bytes(cut)
    with refuses(CheckpointError, "x.pt", f"({len(cut):,} bytes)", "is it complete"):
        load(tmp_path / "x.pt")


def test_a_flipped_bit_in_a_weight(tiny: Tiny, tmp_path: Path, refuses: Refuses) -> None:
    """PyTorch itself does not look at the checksums, and would load another number."""
    content = bytearray(tiny.path.read_bytes())
    where = content.find(tiny.model.get_parameter("fc.weight").detach().numpy().tobytes())
    assert where > 0
    content[where + 3] ^= 0x10
    (tmp_path / "x.pt").write_bytes(content)
    assert not torch.equal(
        torch.load(tmp_path / "x.pt", weights_only=True)["state_dict"]["fc.weight"],
        tiny.model.get_parameter("fc.weight"),
    )
    with refuses(CheckpointError, "damage in x.pt", "checksum", "copy or download it again"):
        load(tmp_path / "x.pt")


def small_state() -> dict[str, Tensor]:
    return {"fc.weight": torch.arange(12.0).reshape(3, 4), "fc.bias": torch.ones(3)}


@cache
def small_file(is_zip: bool) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.pt"
        torch.save(small_state(), path, _use_new_zipfile_serialization=is_zip)
        return path.read_bytes()


@settings(max_examples=60)
@given(st.floats(0, 1, exclude_max=True), st.integers(0, 7))
def test_no_flipped_bit_changes_a_weight(place: float, bit: int) -> None:
    content = bytearray(small_file(True))
    content[int(place * len(content))] ^= 1 << bit
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.pt"
        path.write_bytes(content)
        try:
            payload = read_checkpoint(path).payload
        except CheckpointError:
            return
    assert payload is not None
    weights = payload.tensors
    assert weights.keys() == small_state().keys()
    assert all(torch.equal(v, weights[k]) for k, v in small_state().items())


@pytest.mark.filterwarnings("ignore:.*legacy:FutureWarning")
@settings(max_examples=60)
@given(st.floats(0, 1, exclude_max=True), st.integers(0, 7), st.booleans())
def test_damage_to_the_format_before_zip_is_no_crash(place: float, bit: int, cut: bool) -> None:
    content = bytearray(small_file(False))
    position = int(place * len(content))
    content[position] ^= 1 << bit
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.pt"
        path.write_bytes(content[:position] if cut else content)
        with suppress(CheckpointError):
            read_checkpoint(path)


def test_other_archives(tmp_path: Path, refuses: Refuses) -> None:
    np.savez(tmp_path / "x.npz", a=np.zeros(3))
    with refuses(CheckpointError, "zip archive of something else in x.npz"):
        load(tmp_path / "x.npz", arch="se_resnet14")


def test_a_file_that_may_not_be_read(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, refuses: Refuses
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied", str(tiny.path))

    # zipfile takes a file that it cannot read for one that is no archive.
    monkeypatch.setattr("zipfile.is_zipfile", lambda path: False)
    monkeypatch.setattr("pathlib.Path.open", refuse)
    with refuses(CheckpointError, "Permission denied in tiny.pt"):
        load(tiny.path)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ([1, 2], "found list"),
        (torch.zeros(3), "found Tensor"),
        (None, "found NoneType"),
        ({}, "found an empty dict"),
        ({"state_dict": {}}, "found a dict without one"),
        ({"state_dict": [1]}, "found a dict without one"),
        ({1: torch.zeros(1)}, "found a dict without one"),
        ({"optimizer": {"w": torch.zeros(1)}}, "found a dict without one"),
    ],
    ids=str,
)
def test_no_state_dict(tmp_path: Path, refuses: Refuses, content: object, found: str) -> None:
    torch.save(content, tmp_path / "x.pt")
    with refuses(CheckpointError, "x.pt", found, "model.state_dict()"):
        load(tmp_path / "x.pt", arch="se_resnet14")


# -------------------------------------------------------------------------------------------------
# What would run code


class Trap:
    """Unpickling it makes a folder."""

    def __init__(self, place: Path) -> None:
        self.place = str(place)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.place,)


@pytest.mark.parametrize("protocol", [0, 2, 5, "torch", "legacy"])
@pytest.mark.filterwarnings("ignore:.*legacy:FutureWarning")
def test_a_pickle_that_runs_a_command(
    tmp_path: Path, refuses: Refuses, protocol: int | str
) -> None:
    made = tmp_path / "made"
    pickle.loads(pickle.dumps(Trap(made)))
    made.rmdir()  # the trap works

    path = tmp_path / "x.pt"
    if isinstance(protocol, int):
        path.write_bytes(pickle.dumps({"w": Trap(made)}, protocol))
    else:
        content = {"state_dict": small_state(), "extra": Trap(made)}
        torch.save(content, path, _use_new_zipfile_serialization=protocol == "torch")
    known = ("run code", "model.state_dict() instead") if protocol not in (0, 5) else ()
    with refuses(CheckpointError, "x.pt", *known):
        load(path, arch="se_resnet14")
    assert not made.exists()


def test_a_whole_pickled_network(tiny: Tiny, tmp_path: Path, refuses: Refuses) -> None:
    torch.save(tiny.model, tmp_path / "x.pt")
    with refuses(
        CheckpointError,
        "a whole pickled network that would run code",
        "torch.nn.modules.",
        "save model.state_dict() instead",
        "--unsafe-load",
    ):
        load(tmp_path / "x.pt", arch=tiny.arch, arch_args=args_of(tiny))
    loaded = load(tmp_path / "x.pt", unsafe=True)
    assert loaded.architecture == "CifarResNet"
    assert any("own code was run" in n for n in loaded.notes)
    x = torch.randn(3, 3, 12, 12)
    with torch.no_grad():
        assert torch.equal(loaded.model(x), tiny.model(x))


# -------------------------------------------------------------------------------------------------
# What does not fit


def test_no_architecture(tiny: Tiny, tmp_path: Path, refuses: Refuses) -> None:
    named = {k.replace("conv", "c"): v for k, v in tiny.model.state_dict().items()}
    torch.save(named, tmp_path / "x.pt")
    with refuses(
        UnknownArchitectureError,
        "x.pt, found 89 tensors that fit none",
        "no known network comes near",
        "give --arch NAME",
    ):
        load(tmp_path / "x.pt")


def test_missing_unexpected_and_other_shapes(tiny: Tiny, tmp_path: Path, refuses: Refuses) -> None:
    state = dict(tiny.model.state_dict())
    for name in ("conv1.weight", "bn1.weight", "bn1.bias", "fc.bias"):
        state[f"other.{name}"] = state.pop(name)
    state["fc.weight"] = torch.zeros(4, 7)
    torch.save(state, tmp_path / "x.pt")
    with refuses(
        CheckpointError,
        "the 89 tensors of se_resnet14(reduction=4, widths=(8, 8, 16)) in x.pt",
        "4 missing (conv1.weight, bn1.weight, bn1.bias, ...)",
        "4 unexpected (other.conv1.weight, other.bn1.weight, other.bn1.bias, ...)",
        "1 of another shape (fc.weight (4, 7) instead of (4, 16))",
        "check --arch and --arch-args",
    ):
        load(tmp_path / "x.pt", arch=tiny.arch, arch_args=args_of(tiny))


def test_weights_of_the_twin(tiny: Tiny, tmp_path: Path, refuses: Refuses) -> None:
    twin = build("resnet14", num_classes=4, widths=tiny.arch_args["widths"])
    torch.save(twin.state_dict(), tmp_path / "x.pt")
    with refuses(CheckpointError, "12 missing (layer1.0.se.fc.0.weight, "):
        load(tmp_path / "x.pt", arch=tiny.arch, arch_args=args_of(tiny))


def test_tensors_without_values(refuses: Refuses) -> None:
    weights = {"weight": torch.empty(3, 4, device="meta"), "bias": torch.zeros(3)}
    with refuses(CheckpointError, "copied into net", "weight", "meta"):
        fill(nn.Linear(4, 3), weights, "net")


# -------------------------------------------------------------------------------------------------
# Weights that fit two networks


@pytest.mark.parametrize(("squeeze", "ambiguous"), [(None, True), (True, False), (False, False)])
def test_the_network_of_the_notes(tmp_path: Path, squeeze: bool | None, ambiguous: bool) -> None:
    small: dict[str, Any] = {"filters": 8, "blocks": 2, "reduction": 2}
    torch.save(build("senet_notes", **small).state_dict(), tmp_path / "x.pt")
    given = small if squeeze is None else {**small, "squeeze": squeeze}
    loaded = load(tmp_path / "x.pt", arch="senet_notes", arch_args=given)
    assert any("ambiguous" in n and "squeeze=false" in n for n in loaded.notes) == ambiguous
    assert loaded.model.get_submodule("res_blocks.0.se_block").squeeze == (squeeze is not False)
