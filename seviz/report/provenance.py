"""Where every number comes from: the run, the data, and what the words mean."""

from __future__ import annotations

from dataclasses import dataclass, replace

from seviz.report.inputs import Inputs
from seviz.report.names import prose_without_folders, shown
from seviz.results.blocks import SE
from seviz.results.record import CALIBRATION_BINS, Record
from seviz.results.stats import SATURATED_HIGH, SATURATED_LOW
from seviz.tables.table import Column, Table, text_table


@dataclass(frozen=True)
class Fact:
    """One line of provenance."""

    name: str
    text: str
    code: bool = False


@dataclass(frozen=True)
class Definition:
    """What a word of the report means."""

    term: str
    text: str


def facts(inputs: Inputs) -> list[Fact]:
    """Return what made the record, line by line."""
    header = inputs.record.header
    versions = ", ".join(f"{name} {version}" for name, version in header.versions.items())
    images = f"{header.images:,} of {int((inputs.record.count > 0).sum()):,} classes"
    lines = [
        Fact("Command", prose_without_folders(header.command) or "from Python", code=True),
        Fact("Checkpoint", prose_without_folders(header.checkpoint)),
        Fact("SHA-256", header.checkpoint_sha256, code=True),
        Fact("Network", header.architecture),
        Fact("Images", f"{images}, {prose_without_folders(header.source)} {header.split}".rstrip()),
        Fact("Preprocessing", header.preprocessing.describe()),
        Fact("Input", header.fit.sentence if header.fit is not None else ""),
        Fact("Device", f"{header.device}, {header.dtype}"),
        Fact("Collected", header.created),
        Fact("Versions", versions),
    ]
    ablation = inputs.ablation
    if ablation is not None:
        lines.append(
            Fact("Ablation", prose_without_folders(ablation.command) or "from Python", code=True)
        )
    return [Fact(f.name, shown(f.text), f.code) for f in lines if f.text]


def notes(inputs: Inputs) -> list[str]:
    """Return everything that was remarked while the results were made."""
    header = inputs.record.header
    listed = list(header.notes)
    if header.missing:
        listed.append(f"no images of {len(header.missing):,} classes: {_some(header.missing)}")
    if header.extra:
        listed.append(f"left out, no class of the network: {_some(header.extra)}")
    if inputs.audit is not None:
        listed += inputs.audit.notes
        listed += (f"not counted: {n.operator}, {n.count} times" for n in inputs.audit.not_counted)
    if inputs.ablation is not None:
        listed += inputs.ablation.notes
    return [shown(prose_without_folders(note)) for note in dict.fromkeys((*listed, *inputs.notes))]


def counts_table(inputs: Inputs) -> Table:
    """Return the images of every class."""
    record = inputs.record
    infos = record.classes.classes
    rows = zip(
        record.classes.labels, record.count.tolist(), (c.wnid or "" for c in infos), strict=True
    )
    columns = (
        Column("class", "class"),
        Column("images", "images", ","),
        Column("wnid", "WordNet id"),
    )
    return Table("counts", "Images of every class", columns, tuple(rows))


def skipped_table(inputs: Inputs) -> Table | None:
    """Return the images that could not be read; ``None`` if there are none."""
    rows = [tuple(map(prose_without_folders, pair)) for pair in inputs.record.header.skipped]
    return (
        replace(
            text_table("skipped", ["image", "reason"], rows),
            caption="Images that could not be read",
        )
        if rows
        else None
    )


def _some(names: tuple[str, ...], most: int = 20) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _gate(record: Record) -> Definition:
    """Return what a gate is: of SE the paper's formula, of other kinds where they were described."""
    word = record.word
    if word == SE:
        return Definition(
            "Gate",
            "The output s of the excitation of one SE block for one image, one number for each of the "
            "block's C channels, by which the channel is multiplied: s = sigmoid(W2 relu(W1 z)), z being "
            "the mean of each channel over the map (Hu et al., arXiv 1709.01507). For a block with scale "
            "and shift, s is the scale.",
        )
    kinds = dict.fromkeys(b.mechanism for b in record.blocks)
    sources = "; ".join(f"{kind.word}: {kind.title} ({kind.source})" for kind in kinds)
    return Definition(
        "Gate",
        f"What one {word} block makes for one image, one number for each of the block's C channels, by which "
        f"the channel is multiplied. {sources}.",
    )


def _name(record: Record) -> Definition:
    prefix = record.blocks[0].mechanism.prefix if record.blocks else SE
    return Definition(
        f"{prefix}_4_6",
        f"The sixth {prefix} block of stage 4. A stage holds the blocks whose maps are equally large, in "
        "forward order; the stem is stage 1.",
    )


def definitions(inputs: Inputs) -> list[Definition]:
    """Return what the words of this report mean; only of what is in it."""
    found = [
        _gate(inputs.record),
        _name(inputs.record),
        Definition(
            "Mean gate, spread, “all”",
            "Mean and standard deviation (divisor n) over the images of a class. “all” is the mean over "
            "the classes that have images, each weighing the same.",
        ),
        Definition(
            "Class share, selectivity",
            "Eta squared of a channel: the variance of its gate between the means of classes, as a share "
            "of the variance over all images. A block's class share is the mean over the channels that "
            "move. It is seviz's own index: the paper gives figures, not numbers. With few images of each "
            "class it is high by chance; shuffled labels show by how much.",
        ),
        Definition(
            "Hardly moves, dead, stuck",
            "A block hardly moves if the standard deviation of its gates over all images, mean over "
            "channels, is below 0.01: what it says about classes means nothing and is in brackets. A channel "
            "is dead if its own is below 0.01, a block if all of its channels are. A block is stuck if its "
            "gates are the same number for every image.",
        ),
        Definition(
            "Nearly open, nearly closed",
            f"Gates above {SATURATED_HIGH} and below {SATURATED_LOW}, as a share of all gates of all "
            "images.",
        ),
        Definition(
            "Class similarity",
            "The distance between two classes in one block: the root mean square, over channels, of the "
            "difference of their mean gates. 0 is the same profile.",
        ),
    ]
    if not inputs.record.blocks:
        found = []
    if inputs.scores is not None:
        found += [
            Definition(
                "Top-1, top-5",
                "Share of images whose class is the largest, or among the five largest, outputs. Intervals "
                "are Wilson's at 95 %.",
            ),
            Definition(
                "Precision, recall, F1",
                "Of what was taken for a class, the share that is of it; of its images, the share that was "
                "taken for it; their harmonic mean. What is 0/0 is left out.",
            ),
            Definition(
                "Expected calibration error",
                "Mean distance between confidence and accuracy over "
                f"{CALIBRATION_BINS} bins of equal width, weighted by images (Guo et al., arXiv "
                "1706.04599). Confidence is the probability of the predicted class.",
            ),
        ]
    if inputs.audit is not None:
        found.append(
            Definition(
                "Parameters, MACs, bytes",
                "Counted on the recorded forward pass of one image, operator by operator. 1 MAC is one "
                "multiplication with its addition in a convolution, a linear layer or a matrix product; "
                "adding a bias is none. FLOPs are 2 x MACs. Bytes: float32, each operator reads and "
                "writes its tensors once.",
            )
        )
    if inputs.ablation is not None:
        found.append(
            Definition(
                "Change of top-1",
                "The share of right images with gates replaced, less that of the network itself, on the "
                "same images. Interval: Agresti and Min's for paired proportions; test: McNemar's, exact.",
            )
        )
    return found
