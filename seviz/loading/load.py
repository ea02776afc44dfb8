"""One function for every way of naming a network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seviz.classes import ClassTable
from seviz.errors import CheckpointError, UsageError
from seviz.loading.arch import build_architecture, describe_architecture, is_known_name
from seviz.loading.files import CheckpointFile, fill, read_checkpoint
from seviz.loading.model import LoadedModel
from seviz.loading.zoo import is_zoo_name, load_zoo, zoo_config
from seviz.models.registry import AMBIGUOUS
from seviz.preprocessing import Preprocessing

ASSUMED = "ImageNet's, assumed"


def load(
    spec: str | Path,
    *,
    arch: str | None = None,
    arch_args: Mapping[str, Any] | None = None,
) -> LoadedModel:
    """Load a network.

    Args:
        spec: A checkpoint file, ``timm:NAME`` or ``torchvision:NAME``.
        arch: Architecture of a file that does not say it itself: a registered name, ``timm:NAME``,
            ``torchvision:NAME``, ``package.module:factory`` or ``file.py:factory``.
        arch_args: Keyword arguments of the architecture; added to, and stronger than, the file's own.

    Raises:
        CheckpointError: If the file is refused, or does not fit the architecture.
        UsageError: If there is no such architecture, or two are named.

    >>> load("timm:seresnet18", arch_args={"pretrained": False}).params  # doctest: +SKIP
    11776552
    """
    given = dict(arch_args or {})
    zoo = is_zoo_name(str(spec))
    if zoo and arch is not None:
        raise UsageError(
            f"expected --arch with a checkpoint file, found it with {spec}; leave it out, or name a file"
        )
    loaded = load_zoo(str(spec), given) if zoo else _load_file(Path(spec), arch, given)
    loaded.model.eval()
    return loaded


def _load_file(path: Path, arch: str | None, given: dict[str, Any]) -> LoadedModel:
    file = read_checkpoint(path)
    name = arch or file.metadata.get("arch")
    if name is None:
        raise CheckpointError(
            f"expected the architecture of {path.name} from the file or from --arch, found neither in "
            f"its {len(file.weights)} tensors; give --arch NAME, timm:NAME, torchvision:NAME or "
            "file.py:factory"
        )
    if arch is None and not is_known_name(name):
        # Importing what a file names would let the file run any code there is: os:system.
        raise CheckpointError(
            f"expected a registered architecture, timm:NAME or torchvision:NAME in {path.name}, found "
            f"{name!r}, which is code; give --arch {name} if you trust it"
        )
    own = file.metadata.get("arch_args") or {} if name == file.metadata.get("arch") else {}
    args = {**own, **given}
    classes = file.metadata.get("classes")
    implied = {}
    if name == file.metadata.get("arch") and classes is not None:
        implied["num_classes"] = len(classes)
    model = build_architecture(name, args, implied)
    shown = {k: v for k, v in args.items() if k != "num_classes"}
    architecture = describe_architecture(name, shown)
    fill(model, file.weights, architecture)
    preprocessing, table = _config(file, name, model)
    notes = []
    if name in AMBIGUOUS and AMBIGUOUS[name][0] not in args:
        notes.append(AMBIGUOUS[name][1])
    if preprocessing.origin == ASSUMED:
        notes.append(
            "the checkpoint does not say how images were prepared; ImageNet's mean, std and size are "
            "assumed: give --input-size, --mean, --std, --crop-pct if it was trained otherwise"
        )
    return LoadedModel(
        model, path.name, architecture, file.sha256, table, preprocessing, tuple(notes)
    )


def _config(file: CheckpointFile, arch: str, model: Any) -> tuple[Preprocessing, ClassTable | None]:
    """Return preprocessing and classes: the file's own, else the zoo's, else assumed and none."""
    preprocessing = Preprocessing(origin=ASSUMED)
    table: ClassTable | None = None
    if is_zoo_name(arch):
        preprocessing, table = zoo_config(arch, model)
    if file.metadata.get("preprocessing") is not None:
        preprocessing = Preprocessing.from_dict(file.metadata["preprocessing"])
    if file.metadata.get("classes") is not None:
        table = ClassTable.from_labels([str(c) for c in file.metadata["classes"]])
    return preprocessing, table
