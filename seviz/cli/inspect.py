"""``seviz inspect``: what is in a checkpoint, and its SE blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seviz.cli.console import Speaker, share_of_rest
from seviz.cli.inspect_bare import show_bare
from seviz.cli.options import ModelOptions, OutputOptions
from seviz.cli.shared import open_model
from seviz.errors import UsageError
from seviz.results.keys import file_key
from seviz.results.mechanisms import DEFAULT_KIND
from seviz.results.spec import open_spec

if TYPE_CHECKING:
    from seviz.gates import Found
    from seviz.networks import LoadedModel


def inspect(
    ckpt: str, *, model: ModelOptions = ModelOptions(), output: OutputOptions = OutputOptions()
) -> None:
    """Show what is in a checkpoint, its SE blocks, and what only looks like SE.

    With --mechanism, its gates of another kind.

    Args:
        ckpt: A checkpoint file, timm:NAME or torchvision:NAME.
        model: How it becomes a network.
        output: How much is output.
    """
    if open_spec(ckpt).is_record:
        raise UsageError(
            f"expected a checkpoint, found the record {ckpt}; 'seviz activations {ckpt}' draws it"
        )
    speaker = Speaker(as_json=output.json, quiet=output.quiet)
    opened = open_model(ckpt, model, mapped=True)
    from seviz.gates import find
    from seviz.networks import BareWeights

    if isinstance(opened, BareWeights):
        show_bare(opened, speaker)
        return
    found = find(opened.model, opened.preprocessing.input_size, model.kind)
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
        "outputs": list(found.heads),
        "classes": loaded.classes.labels if loaded.classes is not None else None,
        "params": loaded.params,
        **_gates(loaded, found),
        "preprocessing": loaded.preprocessing.to_dict(),
        "blocks": [b.to_dict() for b in found.blocks],
        "without_squeeze": [b.to_dict() for b in found.without_squeeze],
        "others": [vars(o) for o in found.others],
        "notes": list(loaded.notes),
    }


def _gates(loaded: LoadedModel, found: Found) -> dict[str, Any]:
    """Return the parameters of the blocks; of another kind than SE under a key that does not say SE."""
    count = _se_params(loaded, found)
    if found.mechanism == DEFAULT_KIND:
        return {"se_params": count}
    return {"mechanism": found.mechanism, file_key("se_params"): count}


def _se_params(loaded: LoadedModel, found: Found) -> int:
    """Count each parameter once: blocks may share a module."""
    names = {name for block in found.blocks for name in block.parameters}
    named = dict(loaded.model.named_parameters(remove_duplicate=False))
    return sum(p.numel() for p in {id(named[n]): named[n] for n in names}.values())


def _print(loaded: LoadedModel, found: Found, speaker: Speaker) -> None:
    from seviz.tables.blocks import blocks_table, others_table

    table = loaded.classes
    known = f" ({', '.join(table.labels[:3])}, ...)" if table is not None else ", not named"
    se = _se_params(loaded, found)
    if found.blocks:
        share, count = share_of_rest(se, loaded.params), len(found.blocks)
        blocks = f"{count} block{'s' * (count != 1)}, {se:,} parameters{share}"
        speaker.say(f"{found.word:<13} {blocks}", "strong")
    speaker.say(f"checkpoint    {loaded.name}{f' ({loaded.format})' if loaded.format else ''}")
    if loaded.recognised:
        speaker.say(f"recognised    {loaded.recognised}")
    speaker.say(f"architecture  {loaded.architecture}")
    if loaded.prefix:
        speaker.say(f"weights       under {loaded.prefix}.")
    if found.heads:
        speaker.say(f"outputs       {', '.join(found.heads)}; --head takes one of them")
    else:
        speaker.say(f"classes       {found.outputs}{known}")
    speaker.say(f"input         {loaded.preprocessing.describe()}")
    speaker.say(f"parameters    {loaded.params:,}")
    speaker.line()
    for caption, listed in (
        (f"{found.word} blocks", found.blocks),
        ("gates without squeeze", found.without_squeeze),
    ):
        if listed and (listed is found.blocks or found.mechanism != "gate"):
            speaker.table(blocks_table(listed, caption))
    if found.others:
        speaker.table(others_table(found.others, found.word))
