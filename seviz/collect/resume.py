"""A pass that was killed goes on: its sums are kept in a file beside the record, from time to time."""

from __future__ import annotations

import json
import os
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seviz.collect.cache_key import Request, refuse_other
from seviz.collect.observers import KeptState
from seviz.errors import DataError
from seviz.results.files import SCHEMA_VERSION, written_whole
from seviz.results.stats import Array

RESUME_NAME = "record.resume.npz"
# Seconds between two files, and how many times as long as the last one took to write.
EVERY = 30.0
REST = 50
_META = "meta"


@dataclass(frozen=True)
class Done:
    """How far a pass has come.

    Attributes:
        images: Images that every observer has seen.
        tried: Images read, or found unreadable.
        skipped: Name and reason of those.
    """

    images: int = 0
    tried: int = 0
    skipped: tuple[tuple[str, str], ...] = ()


class Checkpointer:
    """Keeps the state of a pass in a file, and gives it back.

    Args:
        folder: Where the record will be.
        rank: Number of this process, where several share the pass: each has its own file.
        resume: Whether to go on from the file, if there is one.
        tell: Called with a remark.
    """

    def __init__(
        self,
        folder: Path,
        *,
        rank: int | None = None,
        resume: bool = False,
        tell: Callable[[str], Any] = lambda text: None,
    ) -> None:
        name = RESUME_NAME if rank is None else RESUME_NAME.replace(".npz", f".{rank}.npz")
        self.path = folder / name
        self._resume, self._tell = resume, tell
        self._request: Request = {}
        self._kept: Mapping[str, KeptState] = {}
        self._due = float("inf")

    def start(self, request: Request, kept: Mapping[str, KeptState]) -> Done:
        """Begin the pass, or restore what was kept of it.

        Args:
            request: All that the pass depends on.
            kept: What holds its state, by a name that stays the same.

        Returns:
            How far the pass has come.

        Raises:
            CheckpointError: If it is to be resumed with another network.
            DataError: If it is to be resumed with other images, or the file is damaged.
            UsageError: If it is to be resumed with other options.
        """
        self._request, self._kept = {**request, "collected": sorted(kept)}, kept
        self._due = time.monotonic() + EVERY
        if not self._resume:
            if self.path.exists():
                self._tell(
                    f"note: {self.path} holds a pass that was cut short; --resume goes on with it, "
                    "without it this pass begins anew and replaces it"
                )
            return Done()
        if not self.path.exists():
            self._tell(f"nothing to resume: no {self.path}; beginning with the first image")
            return Done()
        meta, arrays = _read(self.path)
        refuse_other(self._request, meta["request"], self.path)
        for owner, holder in kept.items():
            own = f"{owner}/"
            holder.restore(
                {
                    name.removeprefix(own): torch.from_numpy(array)
                    for name, array in arrays.items()
                    if name.startswith(own)
                }
            )
        done = Done(
            meta["images"], meta["tried"], tuple((str(n), str(w)) for n, w in meta["skipped"])
        )
        self._tell(f"resumed after {done.images:,} images, from {self.path}")
        return done

    @property
    def is_due(self) -> bool:
        """Return whether it is time to keep the state."""
        return time.monotonic() >= self._due

    def keep(self, done: Done) -> None:
        """Write the state, whole or not at all; a disk that is full ends the keeping, not the pass."""
        begin = time.monotonic()
        contents: dict[str, Any] = {
            f"{owner}/{name}": tensor.cpu().numpy()
            for owner, holder in self._kept.items()
            for name, tensor in holder.state().items()
        }
        meta = {
            "schema_version": SCHEMA_VERSION,
            "request": self._request,
            "images": done.images,
            "tried": done.tried,
            "skipped": done.skipped,
        }
        contents[_META] = np.array(json.dumps(meta))
        try:
            with written_whole(self.path) as temporary, temporary.open("wb") as file:
                np.savez(file, **contents)
                file.flush()
                os.fsync(file.fileno())  # machines are taken away too, not only processes
        except OSError as exc:
            self._tell(f"warning: cannot keep the state of the pass: {exc.strerror or exc}")
            self._due = float("inf")
            return
        end = time.monotonic()
        self._due = end + max(EVERY, REST * (end - begin))

    def clear(self) -> None:
        """Remove the file, and what a kill in the middle of writing left of it."""
        self.path.unlink(missing_ok=True)
        for rest in self.path.parent.glob(f".{self.path.name}.*.tmp"):
            rest.unlink(missing_ok=True)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        meta = json.loads(str(arrays.pop(_META)))
        if meta["schema_version"] == SCHEMA_VERSION:
            return meta, arrays
        found = f"schema version {meta['schema_version']!r}"
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as exc:
        found = f"damage ({exc})"
    raise DataError(
        f"expected the state of a pass in {path}, found {found}; start anew without --resume"
    )
