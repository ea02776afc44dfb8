"""Where results go, and in which formats: checked before the work, and not after it."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seviz.cli.settings import settings
from seviz.collect.distributed import launched
from seviz.errors import UsageError
from seviz.results.writing import claim_folder

if TYPE_CHECKING:
    from seviz.cli.console import Speaker
    from seviz.cli.options import PageOptions
    from seviz.figures.look import Look
    from seviz.results.spec import Spec


def output_folder(spec: Spec, output: str | None) -> Path:
    """Return where results go: the user's folder, that of the record, or reports/<checkpoint name>."""
    folder = Path(output) if output is not None else usual_folder(spec)
    check_folder(folder)
    return folder


def usual_folder(spec: Spec) -> Path:
    """Return where results go if the command does not say it: the folder of the record, or the usual one."""
    if spec.is_record:
        return spec.file.parent
    path = Path(spec.name)
    name = path.stem if path.suffix else path.name
    name = re.sub(r"[^\w.\-]+", "_", name.rpartition(":")[2])
    return default_folder(name if name.strip(".") else "network")  # "..", too, would lead elsewhere


def default_folder(name: str) -> Path:
    """Return where results go that nobody named a folder for: that of the project, else reports/<name>."""
    own = settings().take("output")
    return Path("reports") / name if own is None else Path(own.replace("{name}", name))


def check_folder(folder: Path) -> None:
    """Check that results can be written to a folder, before the work and not after it.

    Raises:
        UsageError: If it, or a part of its path, is a file, or may not be written to.
    """
    if folder.suffix == ".npz":
        raise UsageError(
            f"expected a folder for the results, found {folder}; name the folder, and the record is "
            "record.npz in it"
        )
    there = next((p for p in (folder, *folder.parents) if os.path.lexists(p)), Path())
    if _is_too_long(folder):
        found, there = "a name that is too long", Path(f"{str(folder)[:60]}...")
    elif not there.is_dir():
        found = "a link to nothing" if there.is_symlink() and not there.exists() else "a file"
    elif not os.access(there, os.W_OK | os.X_OK):
        found = "no permission to write"
    else:
        return
    raise UsageError(
        f"expected a folder for the results, found {found} at {there}; name another with --output"
    )


def _is_too_long(folder: Path) -> bool:
    """Return whether the system has no room for the name of a folder, or for files in it."""
    try:
        os.lstat(folder / ("x" * 80))  # as long as that of any file of results, while it is written
    except OSError as exc:
        return exc.errno == errno.ENAMETOOLONG
    return False


# Folders that `claim` made, the innermost first.
_made: list[Path] = []


def claim(folder: Path, speaker: Speaker) -> None:
    """Claim a folder for the results that come now, until the command ends; say so if another seviz has.

    Each file is then whole, and of one of the two; not all of them need be of the same.
    """
    if not launched().first:
        return
    _made.extend(place for place in (folder, *folder.parents) if not place.exists())
    folder.mkdir(parents=True, exist_ok=True)
    if not claim_folder(folder):
        speaker.remark(
            f"warning: another seviz writes into {folder} now; some files there may be its own: name another "
            "folder with --output"
        )


def leave_no_empty_folder() -> None:
    """Remove the folders that `claim` made and nothing was written into: what is refused leaves nothing."""
    while _made:
        with suppress(OSError):  # not empty, or gone
            _made.pop(0).rmdir()


def look_of(shown: PageOptions, **more: Any) -> Look:
    """Return how figures are to look, checked before the work; ``more`` are other parts of a look.

    Raises:
        UsageError: If a width, font, palette or name cannot be.
    """
    from seviz.figures.look import Look
    from seviz.figures.saving import checked_dpi

    checked_dpi(shown.dpi)
    chosen = {f.name: getattr(shown, f.name) for f in fields(shown) if f.name != "dpi"}
    return Look.of(**chosen, **more)


def check_formats(formats: Sequence[str]) -> None:
    """Refuse formats in which no figure can be saved.

    Raises:
        UsageError: If there is one, or none is given.
    """
    from seviz.figures.saving import FORMATS

    wrong = [f for f in formats if f not in FORMATS]
    if wrong or not formats:
        raise UsageError(
            f"expected --format as any of {', '.join(FORMATS)}, found {' '.join(wrong) or 'none'}"
        )
