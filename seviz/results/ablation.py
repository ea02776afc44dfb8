"""What happens to a network when its gates are replaced: the result of an ablation. Needs no torch."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from seviz.errors import DataError
from seviz.results.blocks import SE, check_names
from seviz.results.fields import FieldError, parse, read
from seviz.results.files import SCHEMA_VERSION, plain_file, written_whole
from seviz.results.keys import file_key
from seviz.results.mechanisms import Mechanism, kinds_of_names, word_of
from seviz.results.notebook import Shown

ABLATION_NAME = "ablation.json"
# What a file calls the parameters of gates of another kind.
_GATES_PARAMS = file_key("se_params")


@dataclass(frozen=True)
class Replaced:
    """The network with the gates of some blocks replaced, on the same images as the network itself.

    Attributes:
        name: The block, or the stage (``SE_4``), that was replaced, last where several were.
        blocks: All blocks whose gates were replaced.
        lost: Images that only the network itself has right, b.
        won: Images that only the network with replaced gates has right, c.
        params: Parameters of these blocks, which nothing else uses.
        macs: MACs of their fully connected layers, for one image.
    """

    name: str
    blocks: tuple[str, ...]
    lost: int
    won: int
    params: int
    macs: int


@dataclass(frozen=True)
class Ablation(Shown):
    """How much each block of a network matters for its top-1.

    Attributes:
        checkpoint: Name of the file or zoo entry.
        checkpoint_sha256: Its hash, as in a record.
        architecture: What was built.
        source: Name of the images.
        split: Part of the source.
        images: Images that went through the network.
        right: Images whose largest output is their class.
        by: Whether one ``block`` or one ``stage`` was replaced at a time.
        gates: What gates were replaced by: ``one``, their ``mean`` over all images, or those of another
            image (``shuffle``).
        seed: Seed of the shuffle.
        params: Parameters of the network.
        se_params: Those that only its gates use, of the kind that was replaced.
        macs: MACs of the network, for one image.
        single: One block or stage replaced at a time, in forward order.
        cumulative: Replaced together, from the one that matters least to the one that matters most; empty
            where the passes were interrupted.
        dtype: Floating-point type of the passes.
        skipped: Images that could not be read, with the reason.
        partial: Whether the passes were interrupted.
        command: The command line, or empty from Python.
        created: Date and time, ISO 8601, UTC.
        versions: Versions of the libraries that made it.
        notes: What a reader of the numbers should know.
    """

    checkpoint: str
    checkpoint_sha256: str
    architecture: str
    source: str
    split: str
    images: int
    right: int
    by: str
    gates: str
    seed: int
    params: int
    se_params: int
    macs: int
    single: tuple[Replaced, ...]
    cumulative: tuple[Replaced, ...]
    dtype: str = "float32"
    skipped: tuple[tuple[str, str], ...] = ()
    partial: bool = False
    command: str = ""
    created: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def kinds(self) -> tuple[Mechanism, ...]:
        """Return the kinds of the gates that were replaced."""
        return kinds_of_names(name for part in self.single for name in part.blocks)

    @property
    def word(self) -> str:
        """Return what these gates are called: ``SE``, ``ECA``, ``SE + ECA``."""
        return word_of(self.kinds)

    @property
    def top1(self) -> float:
        """Return the share of images that the network itself has right."""
        return self.right / self.images

    def top1_with(self, replaced: Replaced) -> float:
        """Return the share that it has right with gates replaced."""
        return (self.right - replaced.lost + replaced.won) / self.images

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict with every field; `from_dict` reads it.

        Where other gates than SE were replaced, no key says that they are SE: ``gates_params``.
        """
        values = asdict(self)
        if self.word != SE:
            values = {_GATES_PARAMS if k == "se_params" else k: v for k, v in values.items()}
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Ablation:
        """Build from `to_dict`'s output, also after a trip through JSON.

        Raises:
            FieldError: If something is missing, of another type, or cannot be the result of an ablation.
        """
        if isinstance(values, Mapping) and _GATES_PARAMS in values:
            values = {"se_params": values[_GATES_PARAMS], **values}
        made = read(cls, values, "ablation")
        _check(made)
        return made

    def save(self, path: str | Path) -> Path:
        """Write it as JSON, whole or not at all; a folder gets ``ablation.json``."""
        target = Path(path)
        if target.suffix != ".json":
            target = target / ABLATION_NAME
        document = {"schema_version": SCHEMA_VERSION, **self.to_dict()}
        with written_whole(target) as temporary:
            temporary.write_text(json.dumps(document, allow_nan=False), encoding="utf-8")
        return target

    @classmethod
    def load(cls, path: str | Path) -> Ablation:
        """Read what `save` wrote.

        Args:
            path: The ``.json`` file, or the folder that holds ``ablation.json``.

        Raises:
            DataError: If there is no such file, it is damaged, or it was written by a newer seviz.
        """
        source = Path(path)
        if source.suffix != ".json":
            source = source / ABLATION_NAME
        try:
            values = parse(plain_file(source).read_text(encoding="utf-8"))
            version = values.get("schema_version") if isinstance(values, Mapping) else None
            if version == SCHEMA_VERSION:
                return cls.from_dict(values)
        except (OSError, ValueError) as exc:
            raise DataError(
                f"expected the result of an ablation at {source}, found something else ({exc}); make one "
                "with 'seviz ablate'"
            ) from exc
        raise DataError(
            f"expected an ablation of schema version {SCHEMA_VERSION}, found {version!r} in {source}; run "
            "'seviz ablate' again, or update seviz"
        )

    @classmethod
    def beside(cls, record: str | Path, checkpoint_sha256: str) -> tuple[Ablation | None, str]:
        """Read the ablation in the folder of a record, if it is of the same checkpoint.

        Args:
            record: The file of the record.
            checkpoint_sha256: What the record says of its checkpoint.

        Returns:
            The ablation, if there is one that fits; and why one that is there was left out.
        """
        path = Path(record).parent / ABLATION_NAME
        if not path.is_file():
            return None, ""
        try:
            ablation = cls.load(path)
        except DataError:
            return (
                None,
                f"{ABLATION_NAME} beside the record was left out: it is damaged, or another seviz wrote it",
            )
        if ablation.checkpoint_sha256 != checkpoint_sha256:
            return None, f"{ABLATION_NAME} beside the record was left out: it is of another network"
        return ablation, ""


def _check(made: Ablation) -> None:
    """Refuse counts that no images can have given, and what would be drawn twice."""
    for what, value, allowed in (
        ("by", made.by, ("block", "stage")),
        ("gates", made.gates, ("one", "mean", "shuffle")),
    ):
        if value not in allowed:
            raise FieldError(f"expected {' or '.join(allowed)} as ablation.{what}, found {value!r}")
    if not 0 <= made.right <= made.images or not made.images:
        raise FieldError(f"{made.right} right ones of {made.images} images")
    if min(made.params, made.se_params, made.macs) < 0:
        raise FieldError("a negative number of parameters or MACs")
    for part in (*made.single, *made.cumulative):
        check_names((part.name, *part.blocks))
        lost, won = part.lost, part.won
        if not (0 <= lost <= made.right and 0 <= won <= made.images - made.right):
            raise FieldError(
                f"{lost} images lost and {won} won of {made.right} right ones of {made.images} in "
                f"{part.name!r}"
            )
        if min(part.params, part.macs) < 0 or not part.blocks:
            raise FieldError(f"no blocks, or less than no parameters, in {part.name!r}")
    for parts in (made.single, made.cumulative):
        names = Counter(part.name for part in parts)
        if len(names) < len(parts):
            raise FieldError(f"{names.most_common(1)[0][0]!r} twice")
