"""``seviz collect``: one pass, saved as a record."""

from __future__ import annotations

from seviz.cli.console import Speaker
from seviz.cli.options import DataOptions, EarlierOptions, ModelOptions, OutputOptions, ReadOptions
from seviz.cli.output import output_folder
from seviz.cli.record_text import document, found_in, say_summary
from seviz.cli.shared import INTERRUPTED, Asked, obtain_record, require_data, with_default
from seviz.errors import UsageError
from seviz.results.spec import open_spec


def collect(
    ckpt: str,
    *,
    read: ReadOptions = ReadOptions(),
    model: ModelOptions = ModelOptions(),
    data: DataOptions = DataOptions(),
    earlier: EarlierOptions = EarlierOptions(),
    output: OutputOptions = OutputOptions(),
) -> int:
    """Run images through a network once, and save every class's gates as a record.

    Args:
        ckpt: A checkpoint file, timm:NAME or torchvision:NAME.
        read: What is read.
        model: How it becomes a network.
        data: The images.
        earlier: What becomes of an earlier pass.
        output: Where the record goes.
    """
    speaker = Speaker(as_json=output.json, quiet=output.quiet)
    spec = open_spec(ckpt)
    if spec.is_record:
        raise UsageError(
            f"expected a checkpoint, found the record {ckpt}; 'seviz activations {ckpt}' draws it"
        )
    folder = output_folder(spec, output.output)
    asked = Asked(model, with_default(data), earlier, read)
    require_data(ckpt, asked.data)
    made = obtain_record(spec, asked, folder, speaker)
    found = found_in(made.record, made.path, speaker)
    speaker.document(document(made.record, made.path, found))
    say_summary(made.record, found, speaker)
    speaker.line(f"record: {made.path}")
    return INTERRUPTED if made.interrupted else 0
