"""From a file or a name to a network that is ready to run."""

from seviz.networks.arch import parse_arch_args
from seviz.networks.formats.own import save_checkpoint
from seviz.networks.load import LoadOptions, load, open_checkpoint
from seviz.networks.model import LoadedModel
from seviz.networks.recognise.bare import BareWeights

__all__ = [
    "BareWeights",
    "LoadOptions",
    "LoadedModel",
    "load",
    "open_checkpoint",
    "parse_arch_args",
    "save_checkpoint",
]
