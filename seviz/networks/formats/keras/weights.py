"""HDF5 as Keras uses it: a copy that is safe to open, and the weights of the format before ``.keras``."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seviz.errors import CheckpointError

# What a damaged file makes HDF5 do may never end; a sound one takes seconds, from a slow disk too.
_SECONDS, _BYTES_PER_SECOND = 20, 5 << 20


@contextmanager
def clean_hdf5(path: Path, limit: int, name: str) -> Iterator[Path]:
    """Give a copy of an HDF5 file that is safe to open, made by `seviz.networks.formats.keras.hdf5_copy`.

    Args:
        path: The file.
        limit: How many bytes its data sets may claim.
        name: What it is called in messages.

    Raises:
        CheckpointError: If the file is damaged; if a link or a data set leads out of it, a data set
            holds something else than numbers, or they claim more than the limit.
    """
    from seviz.networks.formats.keras import hdf5_copy

    search = os.pathsep.join(p for p in sys.path if p)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "model.weights.h5"  # the name that Keras wants
        try:
            done = subprocess.run(
                # -P: the folder of the script is no place to import from.
                [sys.executable, "-P", hdf5_copy.__file__, str(path), str(copy), str(limit)],
                env={**os.environ, "PYTHONPATH": search, "OPENBLAS_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_SECONDS + path.stat().st_size / _BYTES_PER_SECOND,
                check=False,
            )
            code, said = done.returncode, " ".join(done.stdout.split())
        except subprocess.TimeoutExpired:
            code, said = 1, "a file that HDF5 cannot finish reading"
        if code == hdf5_copy.REFUSED:
            raise CheckpointError(
                f"expected plain weights in {name}, found {said}; save it again with model.save()"
            )
        if code:
            raise damaged(path, name, said or "a file that makes HDF5 crash")
        yield copy


def damaged(path: Path, name: str, reason: str) -> CheckpointError:
    """Return the error for a file that is no intact Keras model."""
    return CheckpointError(
        f"expected an intact Keras model, found {reason or 'no message'} in {name} "
        f"({os.path.getsize(path):,} bytes); is it complete, and saved by model.save()?"
    )


def weights_by_layer(file: Any, model: Any, name: str) -> dict[int, torch.Tensor]:
    """Return the numbers of every Keras variable, by ``id``, from the groups of the ``.h5`` format.

    Layers are matched by name. Keras goes by their order, which differs between its versions for
    branches of equal depth.

    Raises:
        CheckpointError: If a layer is missing, or has other weights than its configuration says.
    """
    groups = file["model_weights"]
    values: dict[int, torch.Tensor] = {}
    wrong: list[str] = []
    for layer in model.layers:
        if not layer.weights:
            continue
        group = groups.get(layer.name)
        names = _names(group, "weight_names") if group is not None else []
        variables = _in_order_of(layer, names)
        shapes = [tuple(group[n].shape) for n in names]
        wanted = [tuple(v.shape) for v in variables]
        if shapes != wanted:
            wrong.append(f"{layer.name!r} {shapes or 'missing'} instead of {wanted}")
            continue
        for variable, n in zip(variables, names, strict=True):
            dtype = "float32" if "float" in variable.dtype else variable.dtype
            values[id(variable)] = torch.from_numpy(np.array(group[n], dtype))
    if wrong:
        raise CheckpointError(
            f"expected the weights that the configuration of {name} describes, found {wrong[0]}"
            f"{f' and {len(wrong) - 1} more' if len(wrong) > 1 else ''}; save it again with model.save()"
        )
    return values


def _names(group: Any, attribute: str) -> list[str]:
    """Return a list of names; HDF5 limits the size of an attribute, so a long list comes in parts."""
    parts = [group.attrs[attribute]] if attribute in group.attrs else []
    while f"{attribute}{len(parts)}" in group.attrs:
        parts.append(group.attrs[f"{attribute}{len(parts)}"])
    return [n.decode() if isinstance(n, bytes) else str(n) for part in parts for n in part]


def _in_order_of(layer: Any, names: list[str]) -> list[Any]:
    """Return a layer's variables in the order of the names in the file.

    A layer by itself always saves in one order. Of a model inside the model, layer and weight are
    matched by name where that is possible.
    """
    in_order = [*layer.trainable_weights, *layer.non_trainable_weights]
    if not hasattr(layer, "layers"):
        return in_order
    tails = ["/".join(n.removesuffix(":0").split("/")[-2:]) for n in names]
    by_tail = {"/".join(v.path.split("/")[-2:]): v for v in in_order}
    if len(by_tail) == len(in_order) and sorted(tails) == sorted(by_tail):
        return [by_tail[t] for t in tails]
    return in_order
