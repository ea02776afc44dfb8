"""Where a record comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from seviz.results.input_fit import InputFit
from seviz.results.preprocessing import Preprocessing


@dataclass(frozen=True)
class Header:
    """Where a record comes from; everything a reader needs to trust or repeat it.

    Attributes:
        checkpoint: Name of the file or zoo entry.
        architecture: What was built.
        checkpoint_sha256: Hash of the file, or of the state dict of a zoo model.
        source: Name of the images, without the machine's path.
        split: Part of the source.
        preprocessing: How images were made into tensors.
        num_classes: Width of the network's output.
        images: Images that went through the network.
        skipped: Images that could not be read, with the reason.
        missing: Classes of the network without images in the source.
        extra: Folders of the source that are no class of the network.
        partial: Whether the pass was interrupted.
        device: Device of the pass.
        dtype: Floating-point type of the pass.
        created: Date and time, ISO 8601, UTC.
        command: The command line, or empty from Python.
        versions: Versions of the libraries that made it.
        notes: Remarks on how the network was loaded or read.
        request: SHA-256 over all that the numbers depend on; empty where that is not known.
        fit: Whether the input fits the network; records of an older seviz do not say.
    """

    checkpoint: str
    architecture: str
    checkpoint_sha256: str
    source: str
    split: str
    preprocessing: Preprocessing
    num_classes: int
    images: int
    skipped: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    partial: bool = False
    device: str = "cpu"
    dtype: str = "float32"
    created: str = ""
    command: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    request: str = ""
    fit: InputFit | None = None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Header:
        """Build from the JSON form."""
        fields: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        fields["preprocessing"] = Preprocessing.from_dict(values["preprocessing"])
        fields["skipped"] = tuple((str(p), str(why)) for p, why in values.get("skipped", ()))
        if fields.get("fit") is not None:
            fields["fit"] = InputFit.from_dict(values["fit"])
        return cls(**fields)
