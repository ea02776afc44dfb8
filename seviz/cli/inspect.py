"""``seviz inspect``: what is in a checkpoint, and its SE blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seviz.cli.console import Speaker, share_of_rest
from seviz.cli.inspect_bare import show_bare
from seviz.cli.options import ModelOptions, OutputOptions
from seviz.cli.shared import open_model
from seviz.errors import UsageError
from seviz.results.spec import open_spec

if TYPE_CHECKING:
    from seviz.gates import Found
    from seviz.networks import LoadedModel
    from seviz.results.blocks import SEBlock


COLUMNS = ("block", "channels", "hidden", "r", "gate", "map", "place", "parameters", "path")


def inspect(
    ckpt: str, *, model: ModelOptions = ModelOptions(), output: OutputOptions = OutputOptions()
) -> None:
    """Show what is in a checkpoint, its SE blocks, and what only looks like SE.

    Args:
        ckpt: A checkpoint file, timm:NAME or torchvision:NAME.
        model: How it becomes a network.
        output: How much is output.
    """
    if open_spec(ckpt).is_record:
        raise UsageError(
            f"expected a checkpoint, found the record {ckpt}; 'seviz activations {ckpt}' draws it"
        )
    from seviz.gates import find
    from seviz.networks import BareWeights

    speaker = Speaker(as_json=output.json, quiet=output.quiet)
    opened = open_model(ckpt, model, mapped=True)
    if isinstance(opened, BareWeights):
        show_bare(opened, speaker)
        return
    found = find(opened.model, opened.preprocessing.input_size)
    speaker.document(_document(opened, found))
    _print(opened, found, speaker)
    for note in opened.notes:
        speaker.remark(f"note: {note}")
    # After everything that can be output has been output: a network without SE is exit code 3.
    found.require_se()


def _document(loaded: LoadedModel, found: Found) -> dict[str, Any]:
    return {
        "checkpoint": loaded.name,
        "format": loaded.format,
        "sha256": loaded.sha256,
        "architecture": loaded.architecture,
        "recognised": loaded.recognised or None,
        "alternatives": list(loaded.alternatives),
        "prefix": loaded.prefix,
        "num_classes": found.outputs,
        "classes": loaded.classes.labels if loaded.classes is not None else None,
        "params": loaded.params,
        "se_params": _se_params(loaded, found),
        "preprocessing": loaded.preprocessing.to_dict(),
        "blocks": [b.to_dict() for b in found.blocks],
        "without_squeeze": [b.to_dict() for b in found.without_squeeze],
        "others": [vars(o) for o in found.others],
        "notes": list(loaded.notes),
    }


def _se_params(loaded: LoadedModel, found: Found) -> int:
    """Count each parameter once: blocks may share a module."""
    names = {name for block in found.blocks for name in block.parameters}
    named = dict(loaded.model.named_parameters(remove_duplicate=False))
    return sum(p.numel() for p in {id(named[n]): named[n] for n in names}.values())


def _print(loaded: LoadedModel, found: Found, speaker: Speaker) -> None:
    table = loaded.classes
    known = f" ({', '.join(table.labels[:3])}, ...)" if table is not None else ", not named"
    se = _se_params(loaded, found)
    speaker.line(f"checkpoint    {loaded.name}{f' ({loaded.format})' if loaded.format else ''}")
    if loaded.recognised:
        speaker.line(f"recognised    {loaded.recognised}")
    speaker.line(f"architecture  {loaded.architecture}")
    if loaded.prefix:
        speaker.line(f"weights       under {loaded.prefix}.")
    speaker.line(f"classes       {found.outputs}{known}")
    speaker.line(f"input         {loaded.preprocessing.describe()}")
    speaker.line(f"parameters    {loaded.params:,}")
    if found.blocks:
        share = share_of_rest(se, loaded.params)
        speaker.line(f"SE            {len(found.blocks)} blocks, {se:,} parameters{share}")
    for title, blocks in (("", found.blocks), ("gates without squeeze", found.without_squeeze)):
        if blocks:
            speaker.line()
            speaker.line(title) if title else None
            speaker.table(
                COLUMNS,
                [_row(b) for b in blocks],
            )
    if found.others:
        speaker.line()
        speaker.line("also found, and not SE")
        speaker.table(
            ["count", "what", "first at"],
            [[str(o.count), o.kind, o.path or "(the network)"] for o in found.others],
        )


def _row(block: SEBlock) -> list[str]:
    return [
        block.name,
        str(block.channels),
        str(block.hidden),
        f"{block.reduction:g}",
        block.gate + (" + shift" if block.shift else ""),
        "x".join(map(str, block.spatial)),
        block.placement,
        f"{block.params:,}",
        block.path or "(the network)",
    ]
