"""``seviz channels``: all channels, ranked, for tools that prune."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from seviz.cli.channel import open_record
from seviz.cli.console import Speaker
from seviz.cli.options import LOOKING, Blocks, DataOptions, ModelOptions, OutputOptions
from seviz.cli.output import check_folder, claim
from seviz.cli.shared import kind_of, load_model, pass_options
from seviz.errors import UsageError
from seviz.results.spec import Spec

if TYPE_CHECKING:
    from seviz.analysis.channels import ChannelRanking
    from seviz.report.folder import Written

# Channels of each block that the terminal shows.
_SHOWN = 3


@Parameter(name="*", group=LOOKING)
@dataclass(frozen=True)
class RankingOptions:
    """What is ranked."""

    blocks: Blocks = ()
    ablate: Annotated[
        Literal["mean", "zero"] | None,
        Parameter(
            help="Hold the gate of one channel after the other at its mean, or at 0 (cut out), and count "
            "answers; needs the checkpoint and --data, and a partial pass for each channel."
        ),
    ] = None


def channels(
    run: str,
    ckpt: str | None = None,
    *,
    ranking: RankingOptions = RankingOptions(),
    model: ModelOptions = ModelOptions(),
    data: DataOptions = DataOptions(),
    output: OutputOptions = OutputOptions(),
) -> int:
    """Rank the channels of each block, and write what pruning tools read.

    Importance is the mean gate times the norm of the weights that read the
    channel next, found by data flow; from a record alone, the mean gate. The
    table (channels.csv) has a row for each channel, the least important of
    each block first: mean, spread and class share of its gate, the weights
    that make and read it, and with --ablate what top-1 does without it.

    Args:
        run: A record.
        ckpt: The checkpoint that the record is of.
        ranking: What is ranked.
        model: How the checkpoint becomes a network.
        data: The images, for --ablate.
        output: Where results go.
    """
    from seviz.report.channels import write_channels

    speaker = Speaker(as_json=output.json, quiet=output.quiet)
    spec = open_record(run)
    _check(ckpt, ranking, data)
    folder = Path(output.output) if output.output is not None else spec.file.parent
    check_folder(folder)
    found = _rank(spec, ckpt, ranking, model, data, speaker)
    claim(folder, speaker)
    written = write_channels(found, folder)
    speaker.document(_document(found, written))
    _say(found, written, speaker)
    return 0


def _check(ckpt: str | None, ranking: RankingOptions, data: DataOptions) -> None:
    """Refuse what cannot be done, before any work."""
    if ranking.ablate is None and data.data is not None:
        raise UsageError(
            f"expected --data with --ablate, found --data {data.data} alone; leave it out, or add "
            "--ablate mean"
        )
    if ranking.ablate is not None and (ckpt is None or data.data is None):
        found = "no checkpoint" if ckpt is None else "no --data"
        raise UsageError(
            f"expected a checkpoint and --data with --ablate, found {found}; give both"
        )


def _rank(
    spec: Spec,
    ckpt: str | None,
    ranking: RankingOptions,
    model: ModelOptions,
    data: DataOptions,
    speaker: Speaker,
) -> ChannelRanking:
    blocks = ranking.blocks or ("all",)
    if ckpt is None:
        from seviz.analysis import rank_channels  # needs no torch
        from seviz.results.blocks import select_blocks

        speaker.remark("no checkpoint: ranked by the mean gate alone; name it for the weights")
        return rank_channels(spec.record, blocks=select_blocks(spec.record.blocks, blocks))
    from seviz.cli.process import for_networks

    for_networks()
    from seviz.pruning.channel_study import channels as rank

    return rank(
        spec.record,
        load_model(ckpt, model),
        data.data,
        pass_options(data, mechanism=kind_of(model, spec.record)),
        blocks=blocks,
        ablate=ranking.ablate or "",
        progress=lambda total: speaker.progress(total, "holding channels"),
    )


def _document(found: ChannelRanking, written: Written) -> dict[str, Any]:
    from dataclasses import asdict

    from seviz.analysis.findings.channel_importance import SOURCE, judge_importance
    from seviz.tables.channels import ranking_table

    return {
        "checkpoint": found.checkpoint,
        "source": found.source,
        "images": found.images,
        "importance": found.by,
        "held": found.held or None,
        "channels": ranking_table(found).records(),
        "statement": {**asdict(judge_importance(found)), "source": SOURCE},
        "notes": list(found.notes),
        "files": [str(path) for path in written.files],
    }


def _say(found: ChannelRanking, written: Written, speaker: Speaker) -> None:
    from seviz.analysis.findings.channel_importance import SOURCE, judge_importance
    from seviz.tables.channels import ranking_table

    for note in found.notes:
        speaker.remark(f"note: {note}")
    count = f"{len(found.channels):,} channels of {len(found.blocks)} blocks"
    speaker.say(
        f"{count}, over {found.images:,} images of {found.source}; shown are the {_SHOWN} least important of "
        "each block.",
        "strong",
    )
    if found.held:
        judged = judge_importance(found)
        speaker.say(f'"{judged.claim}" ({SOURCE}): {judged.verdict}. {judged.reason}')
    speaker.line()
    speaker.table(ranking_table(found, every=False, most=_SHOWN))
    speaker.wrote(written.files)
