"""``seviz merge``: the records of disjoint parts, added up."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from seviz.cli.console import Speaker
from seviz.cli.options import OutputOptions
from seviz.cli.output import check_folder
from seviz.cli.pass_text import say_what_happened
from seviz.cli.record_text import document, found_in, say_summary
from seviz.cli.shared import shown_command
from seviz.errors import UsageError
from seviz.results.files import record_path


def merge(
    runs: Annotated[tuple[str, ...], Parameter(name="RUN", negative=())],
    *,
    output: OutputOptions = OutputOptions(),
) -> int:
    """Add up the records of disjoint parts of one pass, as if one process had made it.

    For array jobs (Slurm, Ray, Spark): each collects with --shard i/n, and
    nothing but their records is needed here. Records of different networks,
    and parts that share images, are refused by name.

    Args:
        runs: Records, or their folders.
        output: Where the record goes.
    """
    from seviz.results.merging import merge as add_up

    speaker = Speaker(as_json=output.json, quiet=output.quiet)
    if output.output is None:
        raise UsageError("expected a folder for the record, found none; name it with --output")
    folder = Path(output.output)
    check_folder(folder)
    merged = add_up(runs, folder, command=shown_command())
    path = record_path(folder)
    say_what_happened(merged, speaker)
    header = merged.header
    if header.part:
        there = sum(end - begin for begin, end in header.part)
        speaker.remark(f"note: {there:,} of {header.total:,} images; some parts are not here yet")
    found = found_in(merged, path, speaker)
    speaker.document(document(merged, path, found))
    say_summary(merged, found, speaker)
    speaker.line(f"record: {path}")
    return 0
