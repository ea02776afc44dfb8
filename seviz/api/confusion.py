"""What was taken for what, counted and drawn."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from seviz.analysis.ordering import usual_order
from seviz.api.passes import drawn_record, is_network
from seviz.errors import RecordWarning
from seviz.figures import confusion_matrix
from seviz.figures.look import Look, Width
from seviz.results.classes import ClassTable
from seviz.results.evaluation import Evaluation
from seviz.results.record import Record
from seviz.results.spec import open_spec

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from seviz.collect.meet import Data, Network
    from seviz.collect.options import PassOptions


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
        spec = open_spec(source)
        if spec.kind == "predictions":
            read = spec.predictions
            for note in read.notes:
                warnings.warn(note, RecordWarning, stacklevel=2)
            found = read.evaluation()
        else:
            found = Evaluation.of_record(Record.load(source))
    if not classes:
        return found
    table = ClassTable.from_labels(found.labels)
    if isinstance(source, Record):
        table = source.classes
    return found.only([found.labels[choice.row] for choice in table.choose(classes)])


def confusion(
    source: Record | Evaluation | Network,
    data: Data | None = None,
    classes: Sequence[str] | None = None,
    *,
    normalize: Literal["true", "pred", "all", "none"] = "none",
    order: Literal["index", "cluster", "recall"] | None = None,
    log: bool = False,
    top: int = 20,
    width: Width | None = None,
    font: str | None = None,
    palette: str | Sequence[str] | None = None,
    rename: Mapping[str, str] | None = None,
    ax: Axes | None = None,
    options: PassOptions | None = None,
    **collecting: Any,
) -> Figure:
    """Draw the confusion matrix: rows are true classes, columns predicted ones.

    Args:
        source: What `evaluate` takes; or a network, from which a record is collected first.
        data: Images for the network, as for `seviz.collect`. Of anything else: the classes.
        classes: Evaluate the images of these classes alone.
        normalize: Percentages of the row (``true``), the column (``pred``) or ``all`` images; or counts.
        order: Classes as they are (``index``), similar ones together (``cluster``), or the hardest first
            (``recall``); ``cluster`` by default, ``index`` above 2,000 classes.
        log: Logarithmic colours.
        top: Above 100 classes: how many confusions to list, and most confused classes to draw apart.
        width: As for `activations`.
        font: As for `activations`.
        palette: As for `activations`.
        rename: As for `activations`.
        ax: A panel of your own to draw the matrix on.
        options: How the pass of a network is made.
        collecting: Further arguments of `seviz.collect`. What the labels of batches are called is
            ``class_names`` here; by default the classes, where nothing else says it.

    Returns:
        A matplotlib figure.

    Raises:
        DataError: If there are no predictions.
        UsageError: If a class or an option is unknown.
    """
    look = Look.of(width=width, font=font, palette=palette, rename=rename)
    of: Any = source
    if is_network(source, data):
        chosen = _without_gates(options)
        of, classes = drawn_record(of, data, classes, chosen, collecting)  # type: ignore[assignment]
    else:
        classes = data if classes is None else classes
    found = evaluate(of, classes)
    return confusion_matrix(
        found,
        normalize=normalize,
        order=order or usual_order(found),
        log=log,
        top=top,
        look=look,
        ax=ax,
    )


def _without_gates(options: PassOptions | None) -> PassOptions:
    """Return how a pass is made whose gates nobody asked for."""
    from seviz.collect.options import PassOptions

    return replace(options or PassOptions(), require_se=False)
