"""``seviz swap``: the gates of one image in another."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from seviz.cli.console import Speaker
from seviz.cli.options import (
    LOOKING,
    DataOptions,
    Formats,
    ModelOptions,
    OutputOptions,
    PrintOptions,
    Seed,
    Words,
)
from seviz.cli.output import check_formats, claim, look_of, output_folder
from seviz.cli.pass_text import say_network
from seviz.cli.process import for_networks
from seviz.cli.shared import load_model, pass_options, require_data, shown_command
from seviz.errors import UsageError
from seviz.results.spec import Spec, open_spec

if TYPE_CHECKING:
    from seviz.analysis import Swap
    from seviz.figures.look import Look
    from seviz.report.folder import Written


@Parameter(name="*", group=LOOKING)
@dataclass(frozen=True)
class SwapOptions:
    """Which gates are exchanged."""

    classes: Annotated[
        tuple[str, ...],
        Words,
        Parameter(
            help="Classes between which gates are exchanged; all by default, of many a sample."
        ),
    ] = ()
    blocks: Annotated[
        tuple[str, ...],
        Words,
        Parameter(help="Block names (SE_4_6) or stages (SE_4); all by default."),
    ] = ()
    pairs: Annotated[
        int | None, Parameter(help="Pairs of images of two classes, at most; 720 by default.")
    ] = None
    seed: Annotated[
        Seed, Parameter(help="Of the sample of images and pairs, and of shuffled channels.")
    ] = 0
    formats: Formats = ("png", "svg")


def swap(
    ckpt: str,
    *,
    asked: SwapOptions = SwapOptions(),
    shown: PrintOptions = PrintOptions(),
    model: ModelOptions = ModelOptions(),
    data: DataOptions = DataOptions(),
    output: OutputOptions = OutputOptions(),
) -> int:
    """Let images pass with the gates of other images, and count whose class is answered.

    Each block alone, and all at once: how often the answer becomes the class
    of the gates, stays that of the image, or is a third class, beside what a
    disturbance alone does: shuffled channels, mean gates of the class, gates of
    another image of the same class. Images and pairs are a sample; intervals
    know that pairs share images.

    Args:
        ckpt: A checkpoint file, timm:NAME or torchvision:NAME.
        asked: Which gates are exchanged.
        shown: How it looks in print.
        model: How the checkpoint becomes a network.
        data: The images.
        output: Where results go.
    """
    speaker = Speaker(as_json=output.json, quiet=output.quiet)
    check_formats(asked.formats)
    look = look_of(shown)
    spec = open_spec(ckpt)
    if spec.is_record:
        raise UsageError(
            f"expected a checkpoint, found the record {spec.name}, which holds no network; name the "
            "checkpoint, with --data"
        )
    require_data(spec.name, data)
    folder = output_folder(spec, output.output)
    found = _swapped(spec, asked, model, data, speaker, look)
    from seviz.report.folder import write_swap

    claim(folder, speaker)
    written = write_swap(found, folder, look=look, dpi=shown.dpi, formats=asked.formats)
    speaker.document(_document(found, written))
    _say(found, written, speaker)
    return 0


def _swapped(
    spec: Spec,
    asked: SwapOptions,
    model: ModelOptions,
    data: DataOptions,
    speaker: Speaker,
    look: Look,
) -> Swap:
    for_networks()
    from seviz.api.swap import swap_gates

    loaded = load_model(spec.name, model)
    say_network(loaded, speaker)

    def progress(total: int) -> AbstractContextManager[Any]:
        return speaker.progress(total, "swapping gates")

    found = swap_gates(
        loaded,
        require_data(spec.name, data),
        pass_options(data, mechanism=model.kind),
        classes=asked.classes,
        blocks=asked.blocks or ("all",),
        pairs=asked.pairs,
        seed=asked.seed,
        command=shown_command(),
        progress=progress,
        check=look.check_names,
    )
    for note in found.swapped.notes:
        if note not in loaded.notes:
            speaker.remark(f"note: {note}")
    return found


def _document(found: Swap, written: Written) -> dict[str, Any]:
    from seviz.analysis.swap import describe
    from seviz.tables.swap import cells_table, rates_records

    return {
        **found.swapped.header(),
        "classes": list(found.classes),
        "rates": [rates_records(rates) for rates in found.rates],
        "matrix": cells_table(found).records(),
        "said": describe(found),
        "figures": [str(f) for f in written.figures],
        "csv": [str(t) for t in written.tables],
    }


def _say(found: Swap, written: Written, speaker: Speaker) -> None:
    from seviz.analysis.swap import describe
    from seviz.tables import tables_of

    speaker.answer(describe(found))
    speaker.line()
    speaker.tables(tables_of(found).values())
    speaker.wrote(written.files)
