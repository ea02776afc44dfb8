"""Every SE network of timm and torchvision: saved as a bare state dict, recognised, and the same again.

A sample by default; all of them at night.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from conftest import sampled
from torch import nn

from seviz.networks import BareWeights, LoadOptions, open_checkpoint
from seviz.networks.arch import build_architecture
from seviz.networks.building import no_random_numbers, on_meta
from seviz.networks.recognise.zoo_index import entries
from seviz.networks.zoo import zoo_names

SAMPLE = [
    *("torchvision:regnet_y_400mf", "timm:legacy_seresnext26_32x4d", "timm:nf_seresnet26"),
    *("timm:sebotnet33ts_256", "timm:mobilenetv3_small_050", "timm:ghostnet_050"),
    *("timm:lcnet_050", "timm:regnety_002"),
]
# All of them take an hour on one core; which have SE is known only when they are built.
PARTS = 24
SE_CLASSES = ("SEModule", "SqueezeExcit", "SELayer")
RECOGNISED, NAMED, OTHER, UNKNOWN = (
    "recognised, same logits",
    "ambiguous, same logits with --arch",
    "other logits",
    "not recognised",
)


@dataclass(frozen=True)
class Outcome:
    name: str
    kind: str
    detail: str = ""


def has_se(model: nn.Module) -> bool:
    return any(type(m).__name__.startswith(SE_CLASSES) for m in model.modules())


def randomised(name: str) -> nn.Module:
    """Build a network whose every number matters: norms and layer scales are often made as zeros."""
    with no_random_numbers():
        model = build_architecture(name, {})
    generator = torch.Generator().manual_seed(7)
    for key, value in model.state_dict().items():
        if not value.is_floating_point():
            continue
        if value.dim() > 1:
            fan_in = max(1, value[0].numel())
            value.normal_(0, fan_in**-0.5, generator=generator)
        elif key.endswith(("bias", "running_mean")):
            value.normal_(0, 0.1, generator=generator)
        else:
            value.uniform_(0.5, 1.5, generator=generator)
    return model.eval()


def logits(model: nn.Module, size: int) -> torch.Tensor:
    x = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        return model(x)


def same(one: nn.Module, other: nn.Module) -> bool:
    cfg = getattr(one, "pretrained_cfg", None) or {}
    for size in (64, cfg.get("input_size", (3, 224, 224))[-1], 256):
        try:
            expected = logits(one, size)
        except Exception:
            continue  # too small, or a size that the network is bound to
        assert torch.isfinite(expected).all()
        assert expected.std() > 0
        try:
            return torch.equal(expected, logits(other, size))
        except Exception:
            return False  # a variant for images of another size
    raise AssertionError("no size that the network takes")


def outcome(name: str, folder: Path) -> Outcome:
    original = randomised(name)
    path = folder / "weights.pt"
    torch.save(original.state_dict(), path)
    opened = open_checkpoint(path, LoadOptions())
    if isinstance(opened, BareWeights):
        return Outcome(name, UNKNOWN, str(opened.nearest()))
    known = {opened.architecture.partition("(")[0], *opened.alternatives}
    assert name in known, f"{name} was taken for {known}"
    if same(original, opened.model):
        return Outcome(name, RECOGNISED, opened.recognised)
    if any(note.startswith("ambiguous") for note in opened.notes):
        named = open_checkpoint(path, LoadOptions(arch=name))
        assert not isinstance(named, BareWeights)
        if same(original, named.model):
            return Outcome(name, NAMED, opened.architecture)
    return Outcome(name, OTHER, opened.architecture)


@pytest.mark.parametrize("name", sampled(SAMPLE, 2))
def test_a_network_is_recognised(name: str, tmp_path: Path) -> None:
    assert has_se(meta(name))
    found = outcome(name, tmp_path)
    print(found)
    assert found.kind in {RECOGNISED, NAMED}


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(PARTS))
def test_every_se_network_is_recognised(
    part: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    bad = []
    for name in zoo_names()[part::PARTS]:
        if has_se(meta(name)):
            found = outcome(name, tmp_path)
            record_property("outcome", found.kind)
            if found.kind in {OTHER, UNKNOWN}:
                bad.append(found)
            gc.collect()
    assert not bad


def test_the_sample_is_of_the_zoos() -> None:
    assert set(SAMPLE) <= set(zoo_names())


def meta(name: str) -> nn.Module:
    return on_meta(lambda: build_architecture(name, {}))


def test_the_index_has_every_network_of_the_zoos() -> None:
    """Those of the timm and torchvision it was made with; newer ones are named, not skipped silently."""
    listed = {e.name for e in entries()}
    new = sorted(set(zoo_names()) - listed)
    assert not new, f"not in networks.json: {', '.join(new[:10])}; run make index"
