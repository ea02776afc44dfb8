"""From a file or a name to a network that is ready to run."""

from seviz.loading.arch import parse_arch_args
from seviz.loading.bare import BareWeights
from seviz.loading.load import LoadOptions, load, open_checkpoint
from seviz.loading.model import LoadedModel
from seviz.loading.own import save_checkpoint

__all__ = [
    "BareWeights",
    "LoadOptions",
    "LoadedModel",
    "load",
    "open_checkpoint",
    "parse_arch_args",
    "save_checkpoint",
]
