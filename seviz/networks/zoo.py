"""Networks from timm and torchvision, with their own preprocessing and class names."""

from __future__ import annotations

import difflib
import hashlib
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from seviz.errors import CheckpointError, UsageError
from seviz.networks.imagenet import imagenet_classes
from seviz.networks.importing import without_compiler
from seviz.networks.model import LoadedModel
from seviz.networks.written import crop_share
from seviz.results.classes import ClassTable
from seviz.results.preprocessing import ASSUMED, Preprocessing

ZOOS = ("timm", "torchvision")
# Height and width at which detectors are looked at where nobody says another; they resize images themselves.
_DETECTED = 320


# Where timm finds networks that it has no name for: Hugging Face's hub, and folders laid out like it.
HUBS = ("hf-hub:", "local-dir:")


def is_zoo_name(spec: str) -> bool:
    """Return whether ``spec`` is ``timm:NAME`` or ``torchvision:NAME``."""
    return spec.partition(":")[0] in ZOOS and ":" in spec


def is_hub_name(spec: str) -> bool:
    """Return whether ``spec`` is ``hf-hub:OWNER/NAME`` or ``local-dir:FOLDER``, both read by timm."""
    return spec.startswith(HUBS)


def load_zoo(spec: str, arch_args: Mapping[str, Any]) -> LoadedModel:
    """Build ``timm:NAME``, ``torchvision:NAME`` or ``hf-hub:OWNER/NAME`` with its published weights.

    ``pretrained=False`` among the arguments gives random weights, and needs no network.

    Raises:
        UsageError: If the zoo has no such network.
        CheckpointError: If the weights cannot be had, or the arguments do not fit.
    """
    if is_hub_name(spec):
        spec = f"timm:{spec}"
    zoo, _, name = spec.partition(":")
    check_zoo_name(zoo, name)
    args = dict(arch_args)
    pretrained = bool(args.pop("pretrained", True))
    try:
        with _quiet_hub():
            model = _build(zoo, name, pretrained, args)
    except Exception as exc:
        reason = next(iter(str(exc).strip().splitlines()), "no message").partition(". ")[0][:160]
        hint = "check --arch-args"
        if name.startswith(HUBS):
            hint = "check the name and the connection, or load the weights from a file"
        elif pretrained:
            hint = f"check the connection, or load a local file with --arch {spec}"
        raise CheckpointError(
            f"expected {spec} from {zoo}, found {type(exc).__name__}: {reason}; {hint}"
        ) from exc
    notes = (
        () if pretrained else ("random weights: the gates show the initialisation, not learning",)
    )
    preprocessing, classes = zoo_config(spec, model)
    preprocessing = preprocessing.for_channels(args.get("in_chans"))
    if name.startswith("local-dir:"):  # folders of this machine do not belong into a record
        spec = f"local-dir:{os.path.basename(os.path.abspath(name.partition(':')[2]))}"
    return LoadedModel(
        model,
        spec,
        spec,
        state_hash(model),
        classes,
        preprocessing,
        notes,
        arch="" if name.startswith(HUBS) else spec,
        arch_args=args,
    )


def zoo_config(spec: str, model: nn.Module) -> tuple[Preprocessing, ClassTable | None]:
    """Return the preprocessing and the class names that the zoo documents for a network."""
    zoo, _, name = spec.partition(":")
    return _timm_config(model) if zoo == "timm" else _torchvision_config(name, model)


def state_hash(model: nn.Module) -> str:
    """Return the sha256 over the names and bytes of the state dict."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def zoo_names() -> list[str]:
    """Return ``timm:NAME`` and ``torchvision:NAME`` of every network that classifies images."""
    with without_compiler():
        import timm
        import torchvision

    others = torchvision.models.list_models(module=torchvision.models)
    return [f"timm:{n}" for n in timm.list_models()] + [f"torchvision:{n}" for n in others]


def check_zoo_name(zoo: str, name: str) -> None:
    """Check that a zoo has a network of this name.

    Raises:
        UsageError: If it has none; the closest names are listed.
    """
    if zoo == "timm":
        with without_compiler():
            import timm

        known = timm.list_models()
        base = name.partition(".")[0]
        if base in known or name.startswith(HUBS):
            return
    else:
        with without_compiler():
            import torchvision

        known = torchvision.models.list_models()  # detectors and segmenters too
        base = name
        if name in known:
            return
    close = difflib.get_close_matches(base, known, n=3) or [k for k in known if base in k][:3]
    raise UsageError(
        f"expected a network of {zoo}, found {name!r}; "
        f"{'closest: ' + ', '.join(close) if close else 'see its documentation for the names'}"
    )


def _build(zoo: str, name: str, pretrained: bool, args: dict[str, Any]) -> nn.Module:
    model: nn.Module
    if zoo == "timm":
        with without_compiler():
            import timm

        model = timm.create_model(name, pretrained=pretrained, **args)
    else:
        model = build_torchvision(name, "DEFAULT" if pretrained else None, args)
    return model


def build_torchvision(name: str, weights: str | None, args: Mapping[str, Any]) -> nn.Module:
    """Build a network of torchvision; without weights, none are fetched for its backbone either.

    Args:
        name: As torchvision lists it: networks that classify, detect or segment.
        weights: ``DEFAULT`` or none.
        args: Further arguments.
    """
    import inspect

    with without_compiler():
        import torchvision

    builder = torchvision.models.get_model_builder(name)
    more = dict(args)
    if weights is None and "weights_backbone" in inspect.signature(builder).parameters:
        more.setdefault("weights_backbone", None)
    model: nn.Module = builder(weights=weights, **more)
    return model


@contextmanager
def _quiet_hub() -> Iterator[None]:
    """Keep the hub client from logging each of its retries; the error at the end says it all."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _timm_config(model: nn.Module) -> tuple[Preprocessing, ClassTable | None]:
    with without_compiler():
        from timm.data.config import resolve_model_data_config
        from timm.data.imagenet_info import infer_imagenet_subset

    config = resolve_model_data_config(model)  # type: ignore[no-untyped-call]
    preprocessing = Preprocessing(
        tuple(config["input_size"]),
        tuple(config["mean"]),
        tuple(config["std"]),
        config["interpolation"],
        float(config["crop_pct"]),
        "timm",
        config["crop_mode"],
    )
    cfg = getattr(model, "pretrained_cfg", None) or {}
    names = cfg.get("label_names")
    outputs = getattr(model, "num_classes", None)
    if names and len(names) == outputs:
        return preprocessing, ClassTable.from_labels([str(n) for n in names])
    if outputs == 1000 and infer_imagenet_subset(model) in (None, "imagenet-1k"):
        return preprocessing, imagenet_classes()
    return preprocessing, None


def _uncropped(shown: Any) -> Preprocessing:
    """Return the preprocessing of a network that takes images of any size: a segmenter or a detector.

    Detectors standardise and resize images themselves.
    """
    side = int((getattr(shown, "resize_size", None) or [_DETECTED])[0])
    return Preprocessing(
        (3, side, side),
        tuple(getattr(shown, "mean", (0.0, 0.0, 0.0))),
        tuple(getattr(shown, "std", (1.0, 1.0, 1.0))),
        "bilinear",
        1.0,
        "torchvision",
        "squash",
        assumed=("input_size", "crop_pct"),
    )


def _torchvision_config(name: str, model: nn.Module) -> tuple[Preprocessing, ClassTable | None]:
    with without_compiler():
        import torchvision

    weights = torchvision.models.get_model_weights(name)
    default = getattr(weights, "DEFAULT", None)
    if default is None:
        return Preprocessing(origin="ImageNet's", assumed=ASSUMED), None
    shown = default.transforms()
    if not hasattr(shown, "crop_size"):
        return _uncropped(shown), None
    size = int(shown.crop_size[0])
    preprocessing = Preprocessing(
        (3, size, size),
        tuple(shown.mean),
        tuple(shown.std),
        shown.interpolation.value,
        crop_share(size, int(shown.resize_size[0])),
        "torchvision",
    )
    named = list(default.meta.get("categories", ()))
    last = [m for m in model.modules() if isinstance(m, nn.Linear)]
    if last and last[-1].out_features != len(named):
        return preprocessing, None
    # torchvision lists ImageNet's classes in ImageNet's order, without ids and synonyms.
    return preprocessing, imagenet_classes() if len(named) == 1000 else ClassTable.from_labels(
        named
    )
