"""Networks that Keras saved, rebuilt from their description."""

from __future__ import annotations

from seviz.networks.formats.file import CheckpointFile, Reader, Seen
from seviz.networks.formats.keras.files import is_keras, read_keras
from seviz.results.files import file_sha256
from seviz.results.preprocessing import ASSUMED, Preprocessing


def _read(seen: Seen, unsafe: bool) -> CheckpointFile:
    path = seen.path
    read = read_keras(path)
    return CheckpointFile(
        path.name,
        "Keras",
        file_sha256(path),
        network=read.model,
        notes=read.notes,
        description=read.description,
        preprocessing=Preprocessing(input_size=read.input_size, origin=ASSUMED),
        num_classes=read.num_classes,
    )


KERAS = Reader("Keras", lambda seen: is_keras(seen.path), _read)
