"""Files of more tensors than any network has: refused before they are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Refuses
from safetensors.torch import save_file

from seviz.errors import CheckpointError
from seviz.networks.formats.read import read_checkpoint

Tensors = dict[str, torch.Tensor]


def apart(count: int) -> Tensors:
    return {f"layer{i}.weight": torch.full((1,), float(i)) for i in range(count)}


def legacy(tensors: Tensors, path: Path) -> None:
    torch.save(tensors, path, _use_new_zipfile_serialization=False)


def one_storage(tensors: Tensors, path: Path) -> None:
    whole = torch.zeros(len(tensors))
    torch.save(dict(zip(tensors, whole.split(1), strict=True)), path)


def one_dict_often(tensors: Tensors, path: Path) -> None:
    part = dict(list(tensors.items())[: len(tensors) // 4])
    torch.save({f"part{i}": part for i in range(5)}, path)


WRITERS: dict[str, Callable[[Tensors, Path], Any]] = {
    "zip": torch.save,
    "legacy": legacy,
    "one storage": one_storage,
    "one dict often": one_dict_often,
    "safetensors": save_file,
}


@pytest.mark.parametrize("form", WRITERS)
def test_more_tensors_than_a_network_has(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuses: Refuses
) -> None:
    for module in ("archives", "opcodes", "payload", "safetensors"):
        monkeypatch.setattr(f"seviz.networks.formats.{module}.MOST_TENSORS", 40)
    monkeypatch.setattr("seviz.networks.formats.archives._OTHER_MEMBERS", 10)
    path = tmp_path / "many.pt"
    WRITERS[form](apart(24), path)
    assert read_checkpoint(path).payload is not None
    WRITERS[form](apart(60), path)
    with refuses(CheckpointError, "40", "tensors"):
        read_checkpoint(path)
