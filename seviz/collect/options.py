"""How a pass is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from seviz.errors import UsageError

Labels = Literal["model", "data", "sorted", "natural"]


@dataclass(frozen=True)
class PassOptions:
    """How a pass is made.

    Attributes:
        split: Part of the source; its test or validation part by default.
        batch_size: Images per batch; chosen by image size where it is ``None``.
        workers: Processes that decode images; chosen by the source where it is ``None``.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        amp_dtype: ``float16`` or ``bfloat16`` for automatic mixed precision, ``tf32`` for TensorFloat-32 on a
            GPU, ``None`` for neither.
        num_samples: At most that many images of each class.
        strict: Whether an image that cannot be read is an error.
        labels: ``model`` matches folders to the network's classes; ``data`` makes each folder a class;
            ``sorted`` takes the folders in sorted order for the network's outputs, as ImageFolder
            numbers them; ``natural`` in the order in which timm does (``c2`` before ``c10``).
        download: Whether the data set may be fetched.
        mechanism: Kind of gates to read: ``se``, ``eca``, ``cbam``, ..., ``all``, as for `seviz.find`.
        without_squeeze: Read the spatial means of per-pixel gates instead of SE gates.
        require_se: Whether a network without such gates is an error; else its predictions alone are
            recorded.
        blocks: Names (``SE_4_6``) or stages (``SE_4``) of the blocks to read; none for all.
        predictions: Whether to record predictions; without them each pass ends at the last gate.
        shard: Which part of the images, from 1, and of how many: for jobs that know nothing of each other,
            whose records `seviz.merge` adds up.
        fast: Whether a long pass may run on a faster copy of the network, if that gives the same gates and
            answers for the first batch.
        torchcompile: Compile the network first.
    """

    split: str | None = None
    batch_size: int | None = None
    workers: int | None = None
    device: str = "auto"
    amp_dtype: str | None = None
    num_samples: int | None = None
    strict: bool = False
    labels: Labels = "model"
    download: bool = False
    mechanism: str = "se"
    without_squeeze: bool = False
    require_se: bool = True
    blocks: tuple[str, ...] = ()
    predictions: bool = True
    shard: tuple[int, int] | None = None
    fast: bool = True
    torchcompile: bool = False


def require_whole(options: PassOptions) -> None:
    """Refuse a part of the images where a result cannot be added up.

    Raises:
        UsageError: If one is asked for.
    """
    if options.shard is not None:
        raise UsageError(
            "expected --shard where a record is collected, found it where all images are needed; leave "
            "it out"
        )
