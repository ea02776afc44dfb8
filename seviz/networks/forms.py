"""Weights that fit two networks: the other one, with the same weights, so that images can tell which."""

from __future__ import annotations

from torch import nn

from seviz.networks.arch import build_architecture
from seviz.networks.architectures.registry import AMBIGUOUS
from seviz.networks.building import no_random_numbers
from seviz.networks.model import LoadedModel


def other_form(loaded: LoadedModel) -> tuple[str, nn.Module] | None:
    """Return the network that the weights fit as well, where nobody said which of the two it is.

    Args:
        loaded: From `seviz.load`.

    Returns:
        What takes it on the command line, and the network, in evaluation mode on the CPU; ``None`` where the
        weights fit one network alone, or parts of it were folded away.
    """
    ambiguous = AMBIGUOUS.get(loaded.arch)
    if ambiguous is None or ambiguous.argument in loaded.arch_args or loaded.folds:
        return None
    with no_random_numbers():
        other = build_architecture(
            loaded.arch, {**loaded.arch_args, ambiguous.argument: ambiguous.other}
        )
    other.load_state_dict(loaded.model.state_dict())
    return ambiguous.option, other.eval()
