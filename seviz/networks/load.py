"""One function for every way of naming a network."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from seviz.errors import CheckpointError, UsageError
from seviz.networks.arch import build_architecture, describe_architecture, is_known_name, takes
from seviz.networks.architectures.registry import AMBIGUOUS, READERS
from seviz.networks.building import no_random_numbers
from seviz.networks.choosing import choose, places_outside
from seviz.networks.class_files import (
    classes_beside,
    classes_called,
    read_class_names,
    without_total,
)
from seviz.networks.class_names import table_of, with_folders
from seviz.networks.documented import documented, outputs_of
from seviz.networks.filling import check_finite, check_fit, check_floating, check_plain, fill
from seviz.networks.folds import apply_folds
from seviz.networks.formats.file import CheckpointFile
from seviz.networks.formats.hub import facts_beside, weights_in
from seviz.networks.formats.onnx.engine import computed_by_onnxruntime
from seviz.networks.formats.own import check_arguments
from seviz.networks.formats.payload import Payload
from seviz.networks.formats.read import read_checkpoint
from seviz.networks.heads import with_head
from seviz.networks.model import LoadedModel
from seviz.networks.recognise.bare import BareWeights, described
from seviz.networks.recognise.fit import Fit, built_empty, compare, fit
from seviz.networks.recognise.recognise import Recognised, recognise
from seviz.networks.recognise.views import Shape, views
from seviz.networks.zoo import is_hub_name, is_zoo_name, load_zoo
from seviz.results.mechanisms import kinds_of_names, word_of
from seviz.results.preprocessing import Preprocessing

# What computes an ONNX model.
Engine = Literal["torch", "onnxruntime"]
# Folded blocks that a remark names.
_SHOWN = 9


@dataclass(frozen=True)
class LoadOptions:
    """How a file becomes a network.

    Attributes:
        arch: Architecture: a registered name, ``timm:NAME``, ``torchvision:NAME``,
            ``package.module:factory`` or ``file.py:factory``. Not needed where the file says it, or
            where the tensors fit a known one.
        arch_args: Keyword arguments of the architecture; stronger than the file's own.
        ema: Which weights to take where the file has both: the running average (True, and by
            default) or those of the last step (False).
        unsafe: Let the file run whatever code it names.
        allow_nan: Take weights that are not finite.
        mapped: Leave the weights in the file where its format can be mapped into memory: quick, and
            takes no memory, but the file must not change while the network is used.
        class_names: What the outputs are called, in their order, or a file that says it; stronger than
            what the checkpoint says.
        weights: Where in the file they are, where it has several: ``student``, ``model_ema.module``.
        head: Name or position of the output that counts, of a network that gives several.
        engine: What computes an ONNX model: ``torch``, or ``onnxruntime``.
    """

    arch: str | None = None
    arch_args: Mapping[str, Any] | None = None
    ema: bool | None = None
    unsafe: bool = False
    allow_nan: bool = False
    mapped: bool = False
    class_names: str | Path | Sequence[str] | None = None
    weights: str | None = None
    head: str | None = None
    engine: Engine = "torch"


def load(
    spec: str | Path,
    *,
    arch: str | None = None,
    arch_args: Mapping[str, Any] | None = None,
    ema: bool | None = None,
    unsafe: bool = False,
    allow_nan: bool = False,
    class_names: str | Path | Sequence[str] | None = None,
    weights: str | None = None,
    head: str | None = None,
    engine: Engine = "torch",
    preprocessing: Preprocessing | None = None,
    input_size: Sequence[int] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    crop_pct: float | None = None,
    crop_mode: str | None = None,
    interpolation: str | None = None,
    channel_order: str | None = None,
) -> LoadedModel:
    """Load a network.

    Args:
        spec: A checkpoint file of any format, a folder as a hub gives it, ``timm:NAME``,
            ``torchvision:NAME`` or ``hf-hub:NAME``.
        arch: Architecture, where the file does not say it and its tensors fit no known one.
        arch_args: Keyword arguments of the architecture; added to, and stronger than, the file's own.
        ema: Which weights to take where the file has both; the running average by default.
        unsafe: Let the file run whatever code it names. Never from a file that is not yours.
        allow_nan: Take weights that are not finite.
        class_names: What the outputs are called, in their order, or a file that says it.
        weights: Where in the file they are, where it has several: ``student``, ``model_ema.module``.
        head: Name or position of the output that counts, of a network that gives several.
        engine: What computes an ONNX model: ``torch``, or ``onnxruntime``, which is quicker on a CPU.
        preprocessing: How images are prepared, in place of what the file says or what is assumed. The
            arguments below change parts of it, as the options of the same names do.
        input_size: Channels, height and width of the input.
        mean: Mean per channel, on the scale 0 to 1.
        std: Standard deviation per channel, on the scale 0 to 1.
        crop_pct: Share of the image's side that the crop keeps.
        crop_mode: ``center``, ``squash`` (stretch) or ``border``.
        interpolation: Filter of the resize: ``nearest``, ``bilinear``, ``bicubic`` or ``lanczos``.
        channel_order: ``rgb`` or ``bgr``.

    Raises:
        CheckpointError: If the file is refused, or does not fit the architecture.
        UnknownArchitectureError: If its tensors fit no known architecture.
        UsageError: If there is no such architecture, or two are named.

    >>> load("timm:seresnet18", arch_args={"pretrained": False}).params  # doctest: +SKIP
    11776552
    """
    options = LoadOptions(
        arch,
        arch_args,
        ema,
        unsafe,
        allow_nan,
        class_names=class_names,
        weights=weights,
        head=head,
        engine=engine,
    )
    opened = open_checkpoint(spec, options)
    if isinstance(opened, BareWeights):
        raise opened.refuse()
    if preprocessing is not None:
        opened = opened.prepared_by(preprocessing)
    return opened.with_preprocessing(
        input_size=input_size,
        mean=mean,
        std=std,
        crop_pct=crop_pct,
        crop_mode=crop_mode,
        interpolation=interpolation,
        channel_order=channel_order,
    )


def open_checkpoint(spec: str | Path, options: LoadOptions) -> LoadedModel | BareWeights:
    """Load a network, or, where no architecture is known, what can be said of its weights alone.

    Raises:
        CheckpointError: If the file is refused, or does not fit the architecture.
        UsageError: If there is no such architecture, or two are named.
    """
    opened = _open(spec, options)
    if options.head is not None and not isinstance(opened, BareWeights):
        with_head(opened.model, options.head)
    if options.engine == "onnxruntime":
        opened = computed_by_onnxruntime(opened)
    return opened if isinstance(opened, BareWeights) else _with_names(opened, spec, options)


def _with_names(loaded: LoadedModel, spec: str | Path, options: LoadOptions) -> LoadedModel:
    """Return the network with the class names that the user gives, else its own, else those beside it."""
    given = options.class_names
    if given is not None:
        notes = loaded.notes
        if isinstance(given, str | Path):
            named = read_class_names(given, loaded.classes)
            names, left_out = without_total(named.labels, outputs_of(loaded.model))
            if left_out is not None:
                named = table_of(names)
                notes = (*notes, f"of the names in {Path(given).name}, {left_out}")
        else:
            named = table_of([str(name) for name in given])
        return replace(loaded, classes=with_folders(named, loaded.classes), notes=notes)
    if not Path(spec).exists():
        return loaded
    if loaded.classes is not None:
        called, note = classes_called(loaded.classes, Path(spec))
        return replace(loaded, classes=called, notes=(*loaded.notes, *filter(None, [note])))
    beside, note = classes_beside(Path(spec), outputs_of(loaded.model))
    notes = loaded.notes if note is None else (*loaded.notes, note)
    return replace(loaded, classes=beside, notes=notes)


def _open(spec: str | Path, options: LoadOptions) -> LoadedModel | BareWeights:
    given = dict(options.arch_args or {})
    if is_zoo_name(str(spec)) or is_hub_name(str(spec)):
        if options.arch is not None:
            raise UsageError(
                f"expected --arch with a checkpoint file, found it with {spec}; leave it out, or name a "
                "file"
            )
        loaded = load_zoo(str(spec), given)
        loaded.model.eval()
        return loaded
    file = _read(Path(spec), options)
    if file.payload is None:
        if options.weights is not None:
            raise UsageError(
                f"expected --weights with a file of named tensors, found it with {file.name}, which is a "
                "whole network; leave it out"
            )
        return _ready(file, options)
    packed = sum(n.endswith("_packed_params") for n in (*file.payload.facts, *file.payload.tensors))
    if packed:
        raise CheckpointError(
            f"expected weights as floating-point numbers in {file.name}, found those of {packed} quantised "
            "layers; save the network before quantisation"
        )
    if options.weights is not None:
        file = replace(file, payload=file.payload.under(options.weights, file.name))
    assert file.payload is not None
    name = options.arch or file.metadata.get("arch")
    if name is None:
        return _unnamed(file, file.payload, options)
    return _named(file, file.payload, name, options)


def _read(path: Path, options: LoadOptions) -> CheckpointFile:
    """Read a file, or that of a folder, and the configuration of a hub beside it."""
    is_folder = os.path.isdir(path)  # unlike Path.is_dir, no error for a name that is too long
    weights = weights_in(path) if is_folder else path
    file = read_checkpoint(weights, unsafe=options.unsafe)
    beside = facts_beside(weights) if file.payload is not None else {}
    if file.payload is not None and beside:
        file = replace(file, payload=replace(file.payload, facts={**beside, **file.payload.facts}))
    return replace(file, name=path.resolve().name) if is_folder else file


def _ready(file: CheckpointFile, options: LoadOptions) -> LoadedModel:
    """Return a file that is a network itself."""
    assert file.network is not None
    model = file.network.float()
    with suppress(NotImplementedError):  # an exported program is in the mode it was exported in
        model.eval()
    note = "the file's own code was run" if file.ran_code else None
    trouble = check_finite(model.state_dict(), file.name, allow_nan=options.allow_nan)
    preprocessing, table, more = documented(file, None, model)
    return LoadedModel(
        model,
        file.name,
        file.description or type(model).__qualname__,
        file.sha256,
        table,
        preprocessing,
        (*filter(None, [note, trouble]), *file.notes, *more),
        format=file.format,
    )


def _named(file: CheckpointFile, payload: Payload, name: str, options: LoadOptions) -> LoadedModel:
    """Load into the architecture that the user or the file names."""
    if options.arch is None and not is_known_name(name):
        # Importing what a file names would let the file run any code there is: os:system.
        raise CheckpointError(
            f"expected a registered architecture, timm:NAME or torchvision:NAME in {file.name}, found "
            f"{name!r}, which is code; give --arch {name} if you trust it"
        )
    own = file.metadata.get("arch_args") or {} if name == file.metadata.get("arch") else {}
    whole, more = payload.resolved()
    shapes = _shapes(whole)
    check_arguments(own, shapes.values(), file.name)
    args = {**own, **(options.arch_args or {})}
    classes = file.metadata.get("classes")
    if name == file.metadata.get("arch") and classes is not None and "num_classes" not in args:
        args = _with_classes(name, args, len(classes))
    folds = file.metadata.get("folded", ())
    built = None
    if is_known_name(name):
        # Those of the file first: their order is that of the architecture's description, in records too.
        args = {**args, **{k: v for k, v in _read_off(name, shapes).items() if k not in args}}
    else:
        built = apply_folds(build_architecture(name, args), folds, file.name)
        if more and not built.state_dict().keys() & whole.tensors.keys() - payload.tensors.keys():
            whole, more = payload, ()  # the code keeps them in parts itself
            shapes = _shapes(payload)
    empty = built_empty(name, args, folds, file.name) if built is None else built
    fits = [
        compare(built, view, name, args)
        if built is not None
        else fit(name, args, view, folds, file.name, empty)
        for view in views(shapes)
    ]
    complete = [f for f in fits if f.complete]
    best = max(fits, key=lambda f: (f.share, -f.view.size))
    shown = describe_architecture(name, {k: v for k, v in args.items() if k != "num_classes"})
    check_fit(best, shown, file.name)
    chosen, notes = choose([Recognised(f) for f in complete], payload, options.ema, file.name)
    if name in AMBIGUOUS and AMBIGUOUS[name].argument not in {**own, **(options.arch_args or {})}:
        notes += (AMBIGUOUS[name].note,)
    return _filled(file, whole, chosen.fit, (*more, *notes), options, built)


def _read_off(name: str, shapes: Mapping[str, Shape]) -> dict[str, Any]:
    """Return the arguments of an architecture of this package that the shapes tell."""
    for view in views(shapes):
        for read in READERS:
            guess = read(view.shapes)
            if guess is not None and guess[0] == name:
                return dict(guess[1])
    return {}


def _unnamed(
    file: CheckpointFile, payload: Payload, options: LoadOptions
) -> LoadedModel | BareWeights:
    """Recognise the architecture."""
    payload, more = payload.resolved()
    shapes = _shapes(payload)
    recognition = recognise(shapes, payload.facts)
    if not recognition.found and options.arch_args:
        raise UsageError(
            f"expected --arch-args with --arch, or with a file whose architecture is known, found it with "
            f"{file.name}, whose is not; give --arch NAME as well"
        )
    if not recognition.found:
        return described(file, payload, recognition.near, more)
    chosen, notes = choose(list(recognition.found), payload, options.ema, file.name)
    name, found = chosen.fit.name, chosen.fit
    if chosen.note is not None:
        notes += (chosen.note,)
    if options.arch_args:
        found = fit(name, {**found.args, **options.arch_args}, found.view, file_name=file.name)
        check_fit(found, describe_architecture(name, found.args), file.name)
    if name in AMBIGUOUS and AMBIGUOUS[name].argument not in found.args:
        notes += (AMBIGUOUS[name].note,)
    loaded = _filled(file, payload, found, (*more, *notes), options, None)
    return replace(
        loaded,
        recognised=f"{_entry(name)}, 100 % of {len(chosen.fit.names)} tensors",
        alternatives=(*(n for n, _ in chosen.others), *chosen.same),
    )


def _filled(
    file: CheckpointFile,
    payload: Payload,
    found: Fit,
    notes: tuple[str, ...],
    options: LoadOptions,
    built: nn.Module | None,
) -> LoadedModel:
    shown = describe_architecture(
        found.name, {k: v for k, v in found.args.items() if k != "num_classes"}
    )
    weights: dict[str, Tensor] = {own: payload.tensors[name] for own, name in found.names.items()}
    folds = file.metadata.get("folded", ())
    if folds:
        blocks = "block" if len(folds) == 1 else "blocks"
        word = word_of(kinds_of_names(fold.name for fold in folds))
        shown += f", {len(folds)} {word} {blocks} folded"
        notes += (_folded_note(file.metadata),)
    used = {name: payload.tensors[name] for name in found.names.values()}
    check_plain(used, file.name)
    places = found.model.state_dict()  # once: it walks through all modules
    check_floating(used, {n: places[o] for o, n in found.names.items()}, file.name)
    trouble = check_finite(used, file.name, allow_nan=options.allow_nan)
    if built is None:
        with no_random_numbers():
            built = apply_folds(build_architecture(found.name, found.args), folds, file.name)
    fill(built, weights, shown, mapped=options.mapped and is_known_name(found.name))
    built.eval()
    halves = {v.dtype for v in weights.values() if v.is_floating_point()} - {
        p.dtype for p in built.parameters()
    }
    if halves:
        kinds = ", ".join(sorted(str(h).removeprefix("torch.") for h in halves))
        notes += (f"weights saved as {kinds} were widened to float32",)
    alone = not any(f"under {found.view.prefix}" in n for n in notes)
    left = len(payload.tensors.keys() - found.view.full.values() - set(found.names.values()))
    outside = left - sum(n.endswith("num_batches_tracked") for n in payload.tensors)
    hidden = places_outside(payload, found)
    if hidden:
        listed = ", ".join(hidden[:_SHOWN]) + ", ..." * (len(hidden) > _SHOWN)
        notes += (
            f"{outside} tensors beside the network were left out, and {len(hidden)} of its places look like "
            f"excitations of SE ({listed}): {found.name} is a part of what this file holds; --arch "
            "file.py:factory takes the whole",
        )
    elif outside > 0 and alone:
        notes += (f"{outside} tensors beside the network were left out",)
    borrowed = sorted(set(found.names.values()) - set(found.view.full.values()))
    if borrowed:
        notes += (f"the classifier is {' and '.join(borrowed)}",)
    preprocessing, table, more = documented(file, found, built)
    return LoadedModel(
        built,
        file.name,
        shown,
        file.sha256,
        table,
        preprocessing,
        (*notes, *filter(None, [trouble]), *file.notes, *more),
        format=file.format,
        prefix=found.view.prefix,
        arch=found.name,
        arch_args=found.args,
        folds=folds,
    )


def _folded_note(metadata: Mapping[str, Any]) -> str:
    listed = ", ".join(fold.name for fold in metadata["folded"][:_SHOWN])
    more = len(metadata["folded"]) - _SHOWN
    origin = metadata["folded_from"] or {}
    name, sha256 = origin.get("name", "a network"), origin.get("sha256", "")[:12]
    return (
        f"{listed}{f' and {more} more' if more > 0 else ''} of {name}{f' ({sha256})' if sha256 else ''} "
        "folded away; the blocks that are left are numbered anew"
    )


def _with_classes(name: str, args: Mapping[str, Any], count: int) -> dict[str, Any]:
    return {**args, "num_classes": count} if takes(name, "num_classes") else dict(args)


def _shapes(payload: Payload) -> dict[str, Shape]:
    return {name: tuple(tensor.shape) for name, tensor in payload.tensors.items()}


def _entry(name: str) -> str:
    """Return ``seresnet50 (timm)`` for ``timm:seresnet50``."""
    zoo, colon, entry = name.partition(":")
    return f"{entry} ({zoo})" if colon else f"{name} (seviz)"
