"""From a file or a name to a network that is ready to run."""

from seviz.loading.arch import parse_arch_args
from seviz.loading.load import load
from seviz.loading.model import LoadedModel
from seviz.loading.own import save_checkpoint

__all__ = ["LoadedModel", "load", "parse_arch_args", "save_checkpoint"]
