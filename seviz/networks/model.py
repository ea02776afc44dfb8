"""What loading gives: a network, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from seviz.networks.folds import Fold
from seviz.results.classes import ClassTable
from seviz.results.notebook import summary_html
from seviz.results.preprocessing import Preprocessing


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A network that is ready to run.

    Attributes:
        model: The network, on the CPU, in evaluation mode.
        name: Name of the file (without its folder) or of the zoo entry.
        architecture: What was built, for people: ``se_resnet20(reduction=8)``.
        sha256: Hash of the file, or of the state dict of a zoo model.
        classes: What the outputs are called, if that is known.
        preprocessing: What the network expects of its input.
        notes: What a reader of its numbers should know about how it was loaded.
        format: How the file was written.
        prefix: What stands before the network's names in the file.
        recognised: How the architecture was told from the tensors; empty where it was named.
        alternatives: Other architectures with the same tensors.
        arch: What built it, as ``--arch`` takes it; empty where the file holds the network itself.
        arch_args: Its keyword arguments.
        folds: The SE blocks of that architecture that were folded away.
    """

    model: nn.Module
    name: str
    architecture: str
    sha256: str
    classes: ClassTable | None
    preprocessing: Preprocessing
    notes: tuple[str, ...] = field(default=())
    format: str = ""
    prefix: str = ""
    recognised: str = ""
    alternatives: tuple[str, ...] = ()
    arch: str = ""
    arch_args: Mapping[str, Any] = field(default_factory=dict)
    folds: tuple[Fold, ...] = ()

    @property
    def params(self) -> int:
        """Return the number of parameters."""
        return sum(p.numel() for p in self.model.parameters())

    def __repr__(self) -> str:
        """Return one line: what was loaded; ``model`` itself prints its layers."""
        return f"<LoadedModel {self.name}: {self.architecture}, {self.params:,} parameters>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: what was loaded, and what it expects."""
        numbers = {
            "architecture": self.architecture,
            "format": self.format,
            "parameters": f"{self.params:,}",
            "classes": f"{len(self.classes.labels):,}" if self.classes is not None else "",
            "images": self.preprocessing.describe(),
            "notes": "; ".join(self.notes),
        }
        return summary_html(self.name, numbers, "seviz.find(model); seviz.collect(model, data)")

    def with_preprocessing(self, **parts: Any) -> LoadedModel:
        """Return the same network with the parts of its preprocessing that the user gives.

        Args:
            **parts: Fields of `Preprocessing`; ``None`` keeps a part. What follows from a part, as the
                share to crop from the size, follows (`Preprocessing.changed`).
        """
        changed = self.preprocessing.changed(**parts)
        return self if changed is self.preprocessing else self.prepared_by(changed)

    def prepared_by(self, preprocessing: Preprocessing) -> LoadedModel:
        """Return the same network with this preprocessing, and the remark on what of it is assumed."""
        old, new = self.preprocessing.remark, preprocessing.remark
        notes = tuple(note for note in self.notes if note != old)
        return replace(
            self, preprocessing=preprocessing, notes=notes if new is None else (*notes, new)
        )
