"""The short way from a record to its figures, for scripts and notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from seviz.analysis.curves import default_classes
from seviz.errors import UsageError
from seviz.figures import confusion_matrix, gate_curves
from seviz.results.blocks import select_blocks
from seviz.results.classes import ClassTable
from seviz.results.evaluation import Evaluation
from seviz.results.files import is_record
from seviz.results.record import Record
from seviz.results.subject import Subject

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from seviz.analysis import Comparison
    from seviz.collect.prepare import PassOptions
    from seviz.data import Source
    from seviz.networks import LoadedModel


def activations(
    record: Record,
    classes: Sequence[str] | None = None,
    *,
    blocks: Sequence[str] | None = None,
    channels: int | Literal["all"] = 50,
    spread: bool = False,
) -> Figure:
    """Draw the gate activations of some classes, as in figures 6 and 7 of the SENet paper.

    Args:
        record: From `seviz.collect` or `Record.load`.
        classes: Labels, synonyms, WordNet ids or indices; four classes of the record by default.
        blocks: Block names, stages, or ``["all"]``; by default the last block of each stage and every
            block of the last stage.
        channels: How many channels to draw of each block, evenly spaced, or ``all``.
        spread: Draw one standard deviation within each class as a band.

    Returns:
        A matplotlib figure.

    Raises:
        UsageError: If a class or a block is not in the record.
    """
    chosen = record.classes.choose(classes or default_classes(record))
    return gate_curves(
        record,
        chosen,
        select_blocks(record.blocks, blocks),
        channels=channels,
        spread=spread,
    )


def evaluate(
    source: Record | Evaluation | str | Path, classes: Sequence[str] | None = None
) -> Evaluation:
    """Return what was taken for what.

    Args:
        source: A record, its file, or a table of predictions (``.csv``, ``.tsv``, ``.parquet``) of any
            tool.
        classes: Evaluate the images of these classes alone; all that have images by default.

    Returns:
        Counts of true and predicted classes; `scores`, `ranked_confusions` and `confusion` take them.

    Raises:
        DataError: If there is no such file, or it holds no predictions.
        UsageError: If a class is unknown.

    >>> import seviz
    >>> record = seviz.collect(seviz.load(seviz.sample("se_resnet_digits")), "digits")
    >>> print(seviz.scores(seviz.evaluate(record)).top1)
    99.18% [97.61%, 99.72%]
    """
    if isinstance(source, Evaluation):
        found = source
    elif isinstance(source, Record):
        found = Evaluation.of_record(source)
    else:
        from seviz.results.predictions import is_predictions, read_predictions

        if is_predictions(source):
            found = read_predictions(source).evaluation()
        else:
            found = Evaluation.of_record(Record.load(source))
    if not classes:
        return found
    table = ClassTable.from_labels(found.labels)
    if isinstance(source, Record):
        table = source.classes
    return found.only([found.labels[choice.row] for choice in table.choose(classes)])


def confusion(
    source: Record | Evaluation | str | Path,
    classes: Sequence[str] | None = None,
    *,
    normalize: Literal["true", "pred", "all", "none"] = "none",
    order: Literal["index", "cluster", "recall"] = "index",
    log: bool = False,
    top: int = 20,
) -> Figure:
    """Draw the confusion matrix: rows are true classes, columns predicted ones.

    Args:
        source: What `evaluate` takes.
        classes: Evaluate the images of these classes alone.
        normalize: Percentages of the row (``true``), the column (``pred``) or ``all`` images; or counts.
        order: Classes as they are, similar ones together (``cluster``), or the hardest first
            (``recall``).
        log: Logarithmic colours.
        top: Above 100 classes: how many confusions to list, and most confused classes to draw apart.

    Returns:
        A matplotlib figure.

    Raises:
        DataError: If there are no predictions.
        UsageError: If a class or an option is unknown.
    """
    return confusion_matrix(
        evaluate(source, classes), normalize=normalize, order=order, log=log, top=top
    )


def compare(
    a: Record | LoadedModel | str | Path,
    b: Record | LoadedModel | str | Path,
    data: str | Source | None = None,
    options: PassOptions | None = None,
) -> Comparison:
    """Compare two networks: accuracy, cost, the classes that gained and lost, gates.

    Args:
        a: A record, a network from `seviz.load`, or the file of one of these.
        b: The other; all differences are the second minus the first.
        data: Images for both networks, as for `seviz.collect`: they are then compared image by image.
        options: How the passes are made.

    Raises:
        DataError: If both were evaluated, and share no image or no class.

    >>> import seviz
    >>> digits = seviz.sample("se_resnet_digits")
    >>> seviz.compare(digits, digits, "digits").top1.delta
    0.0
    """
    from seviz.analysis import compare_subjects

    return compare_subjects(*(_subject(each, data, options) for each in (a, b)))


def _subject(
    of: Record | LoadedModel | str | Path, data: str | Source | None, options: PassOptions | None
) -> Subject:
    if not isinstance(of, Record) and isinstance(of, str | Path) and is_record(of):
        of = Record.load(of)
    if isinstance(of, Record):
        return Subject(of.header.checkpoint, of)
    from seviz.collect.examine import examine
    from seviz.networks import load

    return examine(load(of) if isinstance(of, str | Path) else of, data, options)


def sample(name: str) -> Path:
    """Return the path of a sample checkpoint that comes with seviz.

    ``se_resnet_digits`` is in every installation; the CIFAR-10 samples are in the source tree.

    Raises:
        UsageError: If it is not here.

    >>> sample("se_resnet_digits").name
    'se_resnet_digits.pt'
    """
    package = Path(__file__).resolve().parent
    places = [package / "samples", package.parent / "sample_checkpoints"]
    for place in places:
        if (place / f"{name}.pt").is_file():
            return place / f"{name}.pt"
    known = sorted({p.stem for place in places for p in place.glob("*.pt")})
    raise UsageError(
        f"expected a sample checkpoint ({', '.join(known) or 'none here'}), found {name!r}"
    )
