"""The version of what seviz writes, and how a record is told from other files. Imports nothing heavy."""

from __future__ import annotations

import zipfile
from pathlib import Path

SCHEMA_VERSION = 1
RECORD_NAME = "record.npz"
META_NAME = "meta.json"


def record_path(path: str | Path) -> Path:
    """Return the file of a record that is named by its file or by its folder."""
    source = Path(path)
    return source / RECORD_NAME if source.is_dir() else source


def is_record(path: str | Path) -> bool:
    """Return whether ``path`` is a record, or a folder that holds one, by its content."""
    try:
        source = record_path(path)
        if not source.is_file():  # opening a pipe would wait for its writer
            return False
        with zipfile.ZipFile(source) as archive:
            return META_NAME in archive.namelist()
    except Exception:  # a damaged directory of an archive is read as anything
        return False
