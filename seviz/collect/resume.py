"""A pass that was killed goes on: its sums are kept in a file beside the record, from time to time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from seviz.collect.cache_key import Request, refuse_other
from seviz.collect.observers import KeptState
from seviz.collect.restored import check_restored, form_of
from seviz.errors import DataError, UsageError
from seviz.results.archive import Archive, write_archive
from seviz.results.checking import DamageError, Facts
from seviz.results.fields import FieldError, parse, read
from seviz.results.files import SCHEMA_VERSION, written_whole
from seviz.results.writing import claim_folder, release_folder

RESUME_NAME = "record.resume.npz"
# Seconds between two files, and how many times as long as the last one took to write.
EVERY = 30.0
REST = 50
_DOCUMENT = "state.json"


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
        # Processes that share a pass are not each other's rivals: the first one claims the folder.
        self._first, self._alone = not rank, True

    def start(
        self, request: Request, kept: Mapping[str, KeptState], facts: Facts | None = None
    ) -> Done:
        """Begin the pass, or restore what was kept of it.

        Args:
            request: All that the pass depends on.
            kept: What holds its state, by a name that stays the same.
            facts: What the sums must fit; without it their numbers are not checked.

        Returns:
            How far the pass has come.

        Raises:
            CheckpointError: If it is to be resumed with another network.
            DataError: If it is to be resumed with other images, or the file is damaged.
            UsageError: If it is to be resumed with other options, or while another process is at it.
        """
        self._request, self._kept = {**request, "collected": sorted(kept)}, kept
        self._due = time.monotonic() + EVERY
        if not self._claim() and self._resume:
            raise UsageError(
                f"expected to be alone with {self.path.parent}, found another process that collects into it; "
                "wait for its end, or name another folder"
            )
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
        try:
            state, archive = _read(self.path)
            refuse_other(self._request, state.request, self.path)
            _restore(kept, archive, state)
            if facts is not None:
                check_restored(kept, replace(facts, images=state.images))
        except (DamageError, FieldError) as exc:
            raise DataError(
                f"expected the state of a pass in {self.path}, found {exc}; start anew without --resume"
            ) from None
        done = Done(state.images, state.tried, state.skipped)
        self._tell(f"resumed after {done.images:,} images, from {self.path}")
        return done

    @property
    def is_due(self) -> bool:
        """Return whether it is time to keep the state."""
        return time.monotonic() >= self._due

    def keep(self, done: Done) -> None:
        """Write the state, whole or not at all; a disk that is full ends the keeping, not the pass."""
        begin = time.monotonic()
        if not self._claim():
            return
        arrays = {
            f"{owner}/{name}": tensor.cpu().numpy()
            for owner, holder in self._kept.items()
            for name, tensor in holder.state().items()
        }
        document = {
            "schema_version": SCHEMA_VERSION,
            "request": self._request,
            "images": done.images,
            "tried": done.tried,
            "skipped": done.skipped,
        }
        try:
            # Machines are taken away too, not only processes.
            with (
                written_whole(self.path, durable=True) as temporary,
                temporary.open("wb") as file,
            ):
                write_archive(file, _DOCUMENT, document, arrays)
        except OSError as exc:
            self._tell(f"warning: cannot keep the state of the pass: {exc.strerror or exc}")
            self._due = float("inf")
            return
        end = time.monotonic()
        self._due = end + max(EVERY, REST * (end - begin))

    def clear(self) -> None:
        """Remove the file."""
        if self._alone:
            self.path.unlink(missing_ok=True)
            release_folder(self.path.parent)

    def _claim(self) -> bool:
        """Return whether the state in the folder is this pass's own; told once if it is not."""
        folder = self.path.parent
        if self._alone and self._first and not claim_folder(folder):
            self._alone, self._due = False, float("inf")
            if not self._resume:
                self._tell(
                    f"warning: another process collects into {folder}; this one keeps no state there, and "
                    "the record will be that of the one that ends last"
                )
        return self._alone


@dataclass(frozen=True)
class _State:
    """The document of the file: what was asked for, and how far the pass had come."""

    schema_version: int
    request: Mapping[str, Any]
    images: int
    tried: int
    skipped: tuple[tuple[str, str], ...]


def _read(path: Path) -> tuple[_State, Archive]:
    """Return what is in a file.

    Raises:
        DamageError: If it is damaged, or another seviz wrote it.
        FieldError: If its document is.
    """
    try:
        archive = Archive(path, _DOCUMENT)
    except DamageError:
        raise
    except Exception as exc:  # what a damaged archive makes its reader do is anybody's guess
        raise DamageError(f"damage ({exc})") from None
    state = read(_State, parse(archive.document), "state")
    if state.schema_version != SCHEMA_VERSION:
        raise DamageError(f"schema version {state.schema_version!r}")
    if not 0 <= state.images <= state.tried or state.tried - state.images != len(state.skipped):
        raise DamageError(
            f"{state.images} images and {len(state.skipped)} skipped ones of {state.tried}"
        )
    return state, archive


def _restore(kept: Mapping[str, KeptState], archive: Archive, state: _State) -> None:
    """Give each holder its part.

    Raises:
        DamageError: If a part is missing, or does not fit what it is for.
    """
    for owner, holder in kept.items():
        own = {}
        for name, tensor in holder.state().items():
            member = f"{owner}/{name}"
            if member not in archive.names:
                raise DamageError(f"no {member}")
            own[name] = archive.read(member, form_of(tensor, state.tried))
        try:
            holder.restore({name: torch.from_numpy(array.copy()) for name, array in own.items()})
        except Exception as exc:  # the parts do not fit each other
            raise DamageError(f"damage in {owner} ({exc})") from exc
