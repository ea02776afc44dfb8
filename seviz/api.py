"""The short way for scripts and notebooks: what the command line can, Python can."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack
from weakref import WeakKeyDictionary

from seviz.analysis.curves import default_classes
from seviz.analysis.ordering import usual_order
from seviz.errors import NoSEBlockError, SevizError, UsageError
from seviz.figures import confusion_matrix, gate_curves, heat_map, ridges
from seviz.figures.catalogue import figures_of_style
from seviz.figures.gate_curves import PAPER_CHANNELS
from seviz.figures.look import Look, Width
from seviz.figures.saving import DEFAULT_FORMATS as FORMATS
from seviz.figures.style import Colors, diverging
from seviz.results.blocks import select_blocks
from seviz.results.classes import ClassTable
from seviz.results.evaluation import Evaluation
from seviz.results.files import record_path
from seviz.results.mechanisms import DEFAULT_KIND
from seviz.results.mechanisms import chosen as kinds_of
from seviz.results.record import Record
from seviz.results.spec import open_spec
from seviz.results.subject import Subject

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from seviz.analysis import Comparison, Shift, Track
    from seviz.collect.prepare import Data, Network, PassOptions
    from seviz.data.loaders import Loading
    from seviz.networks import LoadedModel
    from seviz.report.folder import Written
    from seviz.results.cost import Audit

# Reduction ratios that a report sets side by side: those of the paper's table.
SWEEP = (2, 4, 8, 16, 32)
_LOG = logging.getLogger("seviz")


def activations(
    record: Record | Network,
    data: Data | None = None,
    classes: Sequence[str | int] | None = None,
    *,
    blocks: Sequence[str] | None = None,
    style: Literal["heat", "lines", "ridges"] | None = None,
    channels: int | Literal["all"] | None = None,
    spread: bool = False,
    colors: Colors | None = None,
    width: Width | None = None,
    font: str | None = None,
    palette: str | Sequence[str] | None = None,
    rename: Mapping[str, str] | None = None,
    letters: bool = False,
    ylim: tuple[float, float] | None = None,
    own_axes: bool = False,
    ax: Axes | None = None,
    axes: Sequence[Axes] | None = None,
    options: PassOptions | None = None,
    **collecting: Any,
) -> Figure:
    """Draw the gates of some classes: a heat map, or the lines of figures 6 and 7 of the SENet paper.

    Args:
        record: From `seviz.collect` or `Record.load`, or its file or folder; or a network, from which it is
            collected first.
        data: Images for the network, as for `seviz.collect`. Of a record: the classes.
        classes: Labels, synonyms, WordNet ids or indices; by default all in a heat map or as ridges, and
            four of the record as lines.
        blocks: Block names, stages, or ``["all"]``; by default the last block of each stage and every
            block of the last stage.
        style: ``heat``: how much the mean gate of each class differs from that of all, classes by
            channels. ``lines``: the mean gate of each class along the channels, as in the paper.
            ``ridges``: gates of single images by class, of the channels that differ most. ``heat`` by
            default, ``lines`` where ``spread`` or ``colors`` is given.
        channels: How many channels to draw of each block, evenly spaced, or ``all``; by default all in a
            heat map, and 50 as lines. As ridges, the most class-specific ones, six in all by default.
        spread: Draw one standard deviation within each class as a band, with lines.
        colors: One for each class, in their order, or by their labels; lines, bands and legend take them.
        width: Of the figure, in centimetres, or ``column`` or ``page`` of a paper.
        font: Family of all text.
        palette: Name of a colour map of matplotlib's, or colours; of a heat map and ridges a continuous
            one, or two colours.
        rename: Names to show in place of those of classes.
        letters: Letter the panels (a), (b), ...
        ylim: Ends of the vertical axis of lines.
        own_axes: Give each panel of lines a vertical axis of its own.
        ax: A panel of your own to draw a single block on.
        axes: Panels of your own, one for each block.
        options: How the pass of a network is made.
        collecting: Further arguments of `seviz.collect`. What the labels of batches are called is
            ``class_names`` here; by default the classes, where nothing else says it.

    Returns:
        A matplotlib figure.

    Raises:
        UsageError: If a class or a block is not in the record, or a colour is none.
    """
    look = Look.of(
        width=width,
        font=font,
        palette=palette,
        rename=rename,
        letters=letters,
        ylim=ylim,
        free=own_axes,
    )
    how = style or ("lines" if spread or colors is not None else "heat")
    figures_of_style(how, spread)
    if how != "lines":
        diverging(look)  # refuses what is none before the work
    record, classes = _drawn(record, data, classes, options, collecting)
    look.check_names(record.classes.labels)
    panels = [ax] if ax is not None else axes
    drawn = select_blocks(record.blocks, blocks)
    if how == "heat":
        chosen = record.classes.choose(map(str, classes)) if classes else ()
        return heat_map(record, chosen, drawn, channels=channels or "all", look=look, axes=panels)
    if how == "ridges":
        chosen = record.classes.choose(map(str, classes)) if classes else ()
        each = channels if isinstance(channels, int) else None
        return ridges(record, chosen, drawn, channels=each, look=look, axes=panels)
    chosen = record.classes.choose(map(str, classes or default_classes(record)))
    return gate_curves(
        record,
        chosen,
        drawn,
        channels=channels or PAPER_CHANNELS,
        spread=spread,
        colors=colors,
        look=look,
        axes=panels,
    )


def _drawn(
    of: Record | Network,
    data: Data | None,
    classes: Sequence[str | int] | None,
    options: PassOptions | None,
    collecting: dict[str, Any],
) -> tuple[Record, Sequence[str | int] | None]:
    """Return the record that is to be drawn, and the classes; of a network, after a pass."""
    if _is_network(of, data):
        from seviz.collect.prepare import PassOptions
        from seviz.collect.run import collect

        chosen = options or PassOptions()
        loaded, source, chosen = _met(of, data, classes, chosen, collecting)  # type: ignore[arg-type]
        return collect(loaded, source, chosen, **collecting), classes
    if options is not None or collecting:
        raise UsageError(
            f"expected a network for {', '.join(['options', *collecting])}, found a record; leave them out"
        )
    record = of if isinstance(of, Record) else Record.load(of)  # type: ignore[arg-type]
    return record, data if classes is None else classes


def _is_network(of: object, data: object) -> bool:
    """Return whether something is a network with its images, and not a record."""
    if isinstance(of, Record | Evaluation):
        return False
    if not isinstance(of, str | Path):
        if data is None:
            raise UsageError(
                f"expected images for the {type(of).__name__}, found none; give data= as for seviz.collect"
            )
        return True
    return data is not None and not open_spec(of).is_record


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
            found = spec.predictions.evaluation()
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
    if _is_network(source, data):
        chosen = _without_gates(options)
        of, classes = _drawn(of, data, classes, chosen, collecting)  # type: ignore[assignment]
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
    from seviz.collect.prepare import PassOptions

    return replace(options or PassOptions(), require_se=False)


def compare(
    a: Record | Network,
    b: Record | Network,
    data: Data | None = None,
    options: PassOptions | None = None,
    **loading: Unpack[Loading],
) -> Comparison:
    """Compare two networks: accuracy, cost, the classes that gained and lost, gates.

    Args:
        a: A record, a network (any module, or from `seviz.load`), or the file of one of these.
        b: The other; all differences are the second minus the first.
        data: Images for both networks, as for `seviz.collect`: they are then compared image by image.
        options: How the passes are made.
        loading: Of batches of your own: ``classes``, ``inputs`` and ``output``, as for `seviz.collect`.

    Raises:
        DataError: If both were evaluated, and share no image or no class.

    >>> import seviz
    >>> digits = seviz.sample("se_resnet_digits")
    >>> seviz.compare(digits, digits, "digits").top1.delta
    0.0
    """
    from seviz.analysis import compare_subjects

    return compare_subjects(*(_subject(each, data, options, loading) for each in (a, b)))


def _subject(
    of: Record | Network, data: Data | None, options: PassOptions | None, loading: Loading
) -> Subject:
    if isinstance(of, str | Path) and (spec := open_spec(of)).is_record:
        of = spec.record
    if isinstance(of, Record):
        return Subject(of.header.checkpoint, of)
    from seviz.collect.examine import examine

    return examine(of, data, options, loading)


def track(
    checkpoints: Sequence[Record | str | Path],
    data: Data | None = None,
    options: PassOptions | None = None,
    *,
    log: str | Path | None = None,
    folder: str | Path | None = None,
    load: Callable[[str], LoadedModel] | None = None,
    tell: Callable[[str], Any] | None = None,
    **collecting: Any,
) -> Track:
    """Follow the gates of a network over its training: one checkpoint of each epoch, on the same images.

    Args:
        checkpoints: Files, or records of them, in any order: epochs are read off their names.
        data: Images, as for `seviz.collect`; records need none.
        options: How the passes are made.
        log: What the training wrote of itself: CSV with a column ``epoch``.
        folder: Where the record of each checkpoint is kept, in a folder of its name; one that is of the very
            same pass is used again.
        load: Loads a checkpoint; `seviz.load` by default.
        tell: Called with remarks; they are logged by default.
        collecting: Further arguments of `seviz.collect`, such as ``resume``.

    Returns:
        Accuracy and the numbers of each block at each epoch, with intervals; `seviz.tables.tables_of` and
        `seviz.figures.track_figure` take them.

    Raises:
        UsageError: If two are of one epoch, or there are no images for a checkpoint.
        DataError: If they are not of one network and the same images.
        KeyboardInterrupt: If a pass was interrupted; what was collected is used again.

    >>> import seviz
    >>> record = seviz.collect(seviz.load(seviz.sample("se_resnet_digits")), "digits")
    >>> followed = seviz.track([record])
    >>> followed.epochs, print(followed.top1[0])
    99.18% [97.61%, 99.72%]
    ([1], None)
    """
    from seviz.analysis import track_of
    from seviz.results.tracking import epochs_of, read_log, series

    say = tell or _LOG.info
    written = read_log(log) if log is not None else None
    made: list[Record | str | Path] = []
    files = [c for c in checkpoints if not isinstance(c, Record)]
    names = epochs_of(files) if len(files) == len(checkpoints) else None
    for place, one in enumerate(checkpoints):
        spec = None if isinstance(one, Record) else open_spec(one)
        if spec is None or spec.is_record:
            made.append(one if spec is None else spec.file)
            continue
        if data is None:
            raise UsageError(
                f"expected images for the checkpoint {one}, found none; give data= as for seviz.collect"
            )
        from seviz.collect.run import collect
        from seviz.networks import load as open_checkpoint

        name = names[place][0] if names is not None else Path(spec.name).stem
        own = Path(folder) / name if folder is not None else None
        network = (load or open_checkpoint)(spec.name)
        record = collect(network, data, options, folder=own, tell=tell, **collecting)
        if record.header.partial:
            raise KeyboardInterrupt
        made.append(record if own is None else own)
    return track_of(series(made, names, tell=say), written)


def shift(
    network: Record | Network,
    data: Data | None = None,
    *,
    against: Data | Record | None = None,
    against_split: str | None = None,
    corrupt: Sequence[str] = (),
    severity: Sequence[int] = (),
    options: PassOptions | None = None,
    folder: str | Path | None = None,
    **collecting: Any,
) -> Shift:
    """Measure how far the gates move when the images change, block by block, beyond chance.

    Args:
        network: As for `seviz.collect`; or a record, with another as ``against``.
        data: The clean images, as for `seviz.collect`; a record needs none.
        against: Other images, likewise.
        against_split: Part of those; that of ``options`` by default.
        corrupt: What is done to the clean images instead: ``brightness``, ``contrast``, ``noise``, ``blur``,
            ``jpeg``, as in ImageNet-C.
        severity: How much, 1 to 5; 1, 3 and 5 by default, and 0 leaves images as they are.
        options: How the passes are made.
        folder: Where the record of each world is kept, in a folder of its name; one that is of the very
            same pass is used again.
        collecting: Further arguments of `seviz.collect`, such as ``resume`` and ``tell``.

    Returns:
        Drift of each block, accuracy and answers in each world, and which block drifts first;
        `seviz.tables.tables_of` and `seviz.figures.shift_figure` take it.

    Raises:
        UsageError: If neither or both of ``against`` and ``corrupt`` are given, or one is unknown.
        DataError: If two records are not of one network, or there are fewer than two images.
        KeyboardInterrupt: If a pass was interrupted; what was collected is used again.

    >>> import seviz
    >>> digits = seviz.sample("se_resnet_digits")
    >>> moved = seviz.shift(digits, "digits", corrupt=["contrast"], severity=[1])
    >>> len(moved.worlds[0].significant), print(moved.first[0])
    contrast: SE_2_1 is the first block whose gates drift at severity 1
    (6, None)
    """
    from seviz.analysis import shift_of
    from seviz.results.shift import record_worlds

    if isinstance(network, str | Path) and (spec := open_spec(network)).is_record:
        network = spec.record
    if isinstance(network, Record):
        if isinstance(against, str | Path):
            against = Record.load(against)
        if not isinstance(against, Record) or corrupt or data is not None:
            raise UsageError(
                "expected another record as against= of a record, and no images, found something else; "
                "give a network for passes"
            )
        worlds = record_worlds(network, against)
    else:
        from seviz.collect.shift import shifted_worlds

        if data is None:
            raise UsageError("expected images for a network, found none; give data=")
        worlds = shifted_worlds(
            network,
            data,
            against=against,
            against_split=against_split,
            corrupt=corrupt,
            severity=severity,
            options=options,
            folder=folder,
            **collecting,
        )
    return shift_of(worlds[0], worlds[1:])


_CALLS: WeakKeyDictionary[Any, int] = WeakKeyDictionary()


def monitor(
    network: Network,
    data: Data,
    *,
    every: int = 1,
    step: int | None = None,
    options: PassOptions | None = None,
    **loading: Unpack[Loading],
) -> dict[str, float]:
    """Return a few numbers per block for a logger: one line inside of a training loop.

    The network's modes, hooks and weights, and torch's random numbers, are afterwards what they were.

    Args:
        network: The module that is trained.
        data: Images for it, as for `seviz.collect`; a few hundred will do.
        every: Look at every so many calls alone, from the first on; the others return nothing.
        step: Number of the call, such as the epoch; counted by itself where it is not given.
        options: How the pass is made.
        loading: ``classes``, ``inputs`` and ``output``, as for `seviz.collect`.

    Returns:
        ``block/mean``, ``spread``, ``class_share``, ``dead`` and ``saturated`` of each block, and ``top1``,
        as `seviz.analysis.monitoring.gate_numbers` has them.

    Raises:
        UsageError: If ``every`` is not positive.
        SevizError: As `seviz.collect` does.

    >>> import seviz, torch
    >>> network = seviz.load(seviz.sample("se_resnet_digits")).model
    >>> batch = torch.rand(8, 1, 32, 32), torch.arange(8)
    >>> [len(seviz.monitor(network, [batch], every=2)) for epoch in range(3)]
    [25, 0, 25]
    """
    import torch

    from seviz.analysis.monitoring import gate_numbers
    from seviz.collect.prepare import PassOptions
    from seviz.collect.run import collect

    if every < 1:
        raise UsageError(
            f"expected every as at least 1, found {every}; 10 looks at each tenth call"
        )
    if step is None:
        step = _CALLS.get(network, 0)
        _CALLS[network] = step + 1
    if step % every:
        return {}
    with torch.random.fork_rng(devices=()):  # a DataLoader draws a seed whenever it is begun
        # Trying faster ways is for passes that are longer than this.
        chosen = options or PassOptions(fast=False)
        # That a network is at chance is no news while it learns.
        record = collect(network, data, chosen, tell=_LOG.info, **loading)
    return gate_numbers(record)


@dataclass(frozen=True, eq=False)
class Results:
    """What `report` left in a folder.

    Attributes:
        page: The HTML file.
        record: The record of the pass.
        record_file: Its file.
        written: Figures and tables.
    """

    page: Path
    record: Record
    record_file: Path
    written: Written


def report(
    network: Network,
    data: Data,
    folder: str | Path,
    classes: Sequence[str] = (),
    *,
    options: PassOptions | None = None,
    full: bool = False,
    formats: Sequence[str] = FORMATS,
    tell: Callable[[str], Any] | None = None,
    **collecting: Any,
) -> Results:
    """Write everything that one pass says into a folder: record, figures, tables and one HTML file.

    A network without SE is evaluated, and what SE would cost it is counted; one without the kind of gates
    that ``options`` name instead is refused. `write_report` makes the HTML
    file again from a record, `write_results` the figures and tables.

    Args:
        network: Any module, or what `seviz.load` gave or takes.
        data: As for `seviz.collect`.
        folder: Where everything goes.
        classes: Classes that are drawn first; every class can be chosen on the page.
        options: How the pass is made.
        full: As for `write_report`.
        formats: Formats of the figures.
        tell: Called with remarks; they are logged by default.
        collecting: Further arguments of `seviz.collect`, such as ``resume`` and ``reuse``. What the labels
            of batches are called is ``class_names`` here; by default the classes, where nothing else says
            it.

    Raises:
        SevizError: As `seviz.load` and `seviz.collect` do.
    """
    from seviz.collect.distributed import launched
    from seviz.collect.prepare import PassOptions
    from seviz.collect.run import collect
    from seviz.report import write_report
    from seviz.report.build import REPORT_NAME
    from seviz.report.folder import Written, write_audit, write_results
    from seviz.results.ablation import Ablation

    say = tell or _LOG.info
    chosen = options or PassOptions()
    # Who names another kind of gates wants those; SE is looked for, and may be missing.
    chosen = replace(chosen, require_se=chosen.mechanism != DEFAULT_KIND)
    loaded, source, chosen = _met(network, data, classes, chosen, collecting)
    audit = _counted(loaded, source, chosen.mechanism, say)
    record = collect(
        loaded,
        source,
        chosen,
        folder=folder,
        tell=tell,
        **collecting,
    )
    file = record_path(folder)
    if not launched().first:  # of several processes, one writes
        return Results(Path(folder) / REPORT_NAME, record, file, Written())
    ablation, why_not = Ablation.beside(file, record.header.checkpoint_sha256)
    if why_not:
        say(f"note: {why_not}")
    written = write_results(record, folder, classes, ablation=ablation, formats=formats)
    if audit is not None:
        written += write_audit(audit, Path(folder), formats)
    page = write_report(file, folder, classes, audit=audit, full=full)
    return Results(page, record, file, written)


def _met(
    network: Network,
    data: Data,
    classes: Sequence[str | int] | None,
    options: PassOptions,
    collecting: dict[str, Any],
) -> tuple[LoadedModel, Any, PassOptions]:
    """Return a network and its images, opened; what is said of batches is taken from ``collecting``.

    The classes that are to be drawn say what the labels are called, where nothing else does.
    """
    from seviz.collect.prepare import met
    from seviz.collect.streaming import Stream

    loading: Loading = {"classes": collecting.pop("class_names", None)}
    for name in ("inputs", "output", "fingerprint"):
        loading[name] = collecting.pop(name, None)
    loaded, source, options = met(network, data, options, loading)
    if isinstance(source, Stream):
        source = replace(source, wanted=tuple(map(str, classes or ())))
    return loaded, source, options


def _counted(
    loaded: LoadedModel, source: Any, mechanism: str, say: Callable[[str], Any]
) -> Audit | None:
    """Count what the gates cost; for a network without SE, what it would cost."""
    from seviz.cost.entry import Insertion, audit

    example = getattr(source, "example", None)
    sweep = SWEEP if all(kind.has_bottleneck for kind in kinds_of(mechanism)) else ()
    try:
        return audit(loaded, example, sweep=sweep, mechanism=mechanism)
    except NoSEBlockError as exc:
        if mechanism != DEFAULT_KIND:
            raise
        say(f"note: the network has no SE block; the report has no gates ({exc})")
    try:
        return audit(loaded, example, sweep=SWEEP, insertion=Insertion())
    except SevizError:
        return None


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
