"""Where a record comes from, as far as others may know it: names, and no folder of a machine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seviz.results.fields import read
from seviz.results.input_fit import InputFit
from seviz.results.preprocessing import Preprocessing

# The folders before a name, which may follow an option's "=" or a prefix: --data=../here/x, cifar10:/here/x.
_FOLDERS = re.compile(r"(^|[=:])(?:[A-Za-z]:(?=[\\/]))?[^=:]*[\\/](?=[^\\/=:])")
# Names of a hub have an owner before a slash.
_HUB = re.compile(r"(?:--?[\w-]+=)?(?:timm:|hf-hub:|hf_hub:|hf:)+([^.~/\\][^:]*)")
# Options whose values are names of classes, which may hold a slash.
_NAMES = frozenset({"--classes", "--explain"})


def without_folders(words: Iterable[str]) -> list[str]:
    r"""Return the words of a command line without the folders in them.

    A record is shown to others; where its images lay, and so whose they are, is nobody's business. Names of
    a hub and names of classes stay.

    >>> without_folders(["--data", "../home/alice/birds", "--arch=net/own.py:make", "--classes", "kite/bird"])
    ['--data', 'birds', '--arch=own.py:make', '--classes', 'kite/bird']
    >>> without_folders(["timm:hf-hub:timm/seresnet50.a1_in1k", "cifar10:C:\\data\\cifar"])
    ['timm:hf-hub:timm/seresnet50.a1_in1k', 'cifar10:cifar']
    """
    shown, names = [], False
    for word in words:
        if word.startswith("-"):
            names = word in _NAMES
        hub = _HUB.fullmatch(word)
        is_name = names or (hub is not None and not _is_there(hub[1]))
        shown.append(word if is_name else _FOLDERS.sub(r"\1", word))
    return shown


def _is_there(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # a name too long for a file, a zero byte
        return False


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
        part: Positions of the images, [begin, end), where the record is of a part of them.
        whole: Of a part: the request of the whole pass.
        total: Of a part: the images of the whole pass.
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
    part: tuple[tuple[int, int], ...] = ()
    whole: str = ""
    total: int = 0

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Header:
        """Build from the JSON form; what a newer seviz wrote besides is left out.

        Raises:
            FieldError: If something is missing or of another type.
        """
        return read(cls, values, "header")
