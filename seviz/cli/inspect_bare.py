"""What ``seviz inspect`` says of weights whose network is not known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seviz.cli.console import Speaker, share_of_rest
from seviz.errors import NoSEBlockError

if TYPE_CHECKING:
    from seviz.networks import BareWeights


def show_bare(weights: BareWeights, speaker: Speaker) -> None:
    """Print what the tensors alone tell, and what is needed to know more.

    Raises:
        NoSEBlockError: If no excitation is among them either.
    """
    speaker.document(
        {
            "checkpoint": weights.name,
            "format": weights.format,
            "sha256": weights.sha256,
            "architecture": None,
            "recognised": None,
            "nearest": weights.nearest(),
            "prefix": weights.view.prefix,
            "parts": [part.to_dict() for part in weights.parts],
            "num_classes": weights.outputs,
            "params": weights.params,
            "se_params": weights.se_params,
            "blocks": [b.to_dict() for b in weights.blocks],
            "notes": list(weights.notes),
        }
    )
    _print(weights, speaker)
    for note in weights.notes:
        speaker.remark(f"note: {note}")
    if not weights.blocks:
        raise NoSEBlockError(
            f"expected SE blocks in {weights.name}, found none: no pair of matrices C -> C/r -> C under "
            "one prefix, and no known architecture; give --arch if they are written otherwise"
        )
    speaker.remark(
        "note: the architecture is not known, so this is read off the shapes alone; --arch file.py:factory "
        "gives stages, gates and everything that needs a forward pass"
    )


def _print(weights: BareWeights, speaker: Speaker) -> None:
    from seviz.tables.blocks import excitations_table

    under = f", under {weights.view.prefix}." if weights.view.prefix else ""
    speaker.line(f"checkpoint    {weights.name} ({weights.format})")
    speaker.line("architecture  not known")
    for number, near in enumerate(weights.nearest()):
        speaker.line(
            f"{'nearest' if number == 0 else '':14}{near['architecture']}, {near['share']:.0%} of "
            f"{near['tensors']} tensors{near['difference']}"
        )
    speaker.line(f"tensors       {weights.view.size}{under}")
    if weights.outputs is not None:
        speaker.line(f"classes       {weights.outputs}, if the last matrix is the classifier")
    speaker.line(f"parameters    {weights.params:,}")
    for number, part in enumerate(weights.parts):
        se = f", {part.excitations} excitations" if part.excitations else ""
        like = f"; the names and shapes of {part.like}" if part.like else ""
        speaker.line(
            f"{'parts' if number == 0 else '':14}{part.path}: {part.params:,} parameters in {part.tensors} "
            f"tensors{se}{like}"
        )
    if not weights.blocks:
        return
    share, count = share_of_rest(weights.se_params, weights.params), len(weights.blocks)
    found = f"{count} excitation{'s' * (count != 1)}, {weights.se_params:,} parameters{share}"
    speaker.line(f"SE            {found}")
    speaker.line()
    speaker.table(excitations_table(weights.blocks))
