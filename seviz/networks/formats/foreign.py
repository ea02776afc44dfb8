"""Files of networks that are not read: their names, so that nobody takes a whole file for a damaged one."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from seviz.networks.formats.file import Seen


@dataclass(frozen=True)
class Foreign:
    """A format that is known and not read.

    Attributes:
        title: What people call it.
        recognises: Tells whether a file is of this kind.
    """

    title: str
    recognises: Callable[[Seen], bool]


def _starts(*starts: bytes, at: int = 0) -> Callable[[Seen], bool]:
    return lambda seen: any(seen.start[at : at + len(s)] == s for s in starts)


def _ends(*suffixes: str) -> Callable[[Seen], bool]:
    return lambda seen: seen.path.suffix.lower() in suffixes


# By content where that tells, else by the end of the name.
FOREIGN = (
    Foreign("TensorRT engine", _starts(b"ftrt", b"ptrt")),
    Foreign("TensorRT engine", _ends(".engine", ".trt", ".plan")),
    Foreign("Paddle", _ends(".pdmodel", ".pdiparams", ".pdparams")),
    Foreign("Core ML", _ends(".mlmodel", ".mlpackage")),
    Foreign("ncnn", _starts(b"7767517\n")),
    Foreign("OpenVINO", _starts(b'<?xml version="1.0"?>\n<net ', b"<net ")),
    Foreign("GGUF", _starts(b"GGUF")),
    Foreign("NumPy", _starts(b"\x93NUMPY")),
    Foreign("TensorFlow graph", _ends(".pb", ".pbtxt", ".index", ".meta")),
    Foreign("Flax or JAX (msgpack)", _ends(".msgpack")),
)


# Folders that are one network: a file that each has.
FOLDERS = {
    "Manifest.json": "Core ML",
    "saved_model.pb": "TensorFlow SavedModel",
    "saved_model.pbtxt": "TensorFlow SavedModel",
    "tf_model.h5": "a transformers model of TensorFlow",
    "flax_model.msgpack": "Flax or JAX",
    "inference.pdmodel": "Paddle",
    "checkpoint": "a TensorFlow checkpoint",
}


def foreign_folder(names: Collection[str]) -> str | None:
    """Return the name of the format of a folder that is not read, by the names of the files in it.

    >>> foreign_folder(["saved_model.pb", "fingerprint.pb"]), foreign_folder(["model.safetensors"])
    ('TensorFlow SavedModel', None)
    """
    return next((title for name, title in FOLDERS.items() if name in names), None)


def foreign_format(seen: Seen) -> str | None:
    """Return the name of the format of a file that is not read; ``None`` where it is none of those known."""
    return next((row.title for row in FOREIGN if row.recognises(seen)), None)
