"""seviz: look inside a network with Squeeze-and-Excitation.

    import seviz

    model = seviz.load("sample_checkpoints/se_resnet20_cifar10.pt")
    record = seviz.collect(model, "cifar10:path/to/cifar10")
    seviz.activations(record, ["cat", "dog"]).savefig("gates.pdf")

Importing this package imports neither torch nor matplotlib; each function imports what it needs.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import inspect

    from seviz.analysis import ChannelRanking as ChannelRanking
    from seviz.analysis import ChannelView as ChannelView
    from seviz.analysis import Findings as Findings
    from seviz.analysis import Swap as Swap
    from seviz.analysis import class_share as class_share
    from seviz.analysis import explain_pair as explain_pair
    from seviz.analysis import findings as findings
    from seviz.analysis import gate_confusion as gate_confusion
    from seviz.analysis import ranked_confusions as ranked_confusions
    from seviz.analysis import scores as scores
    from seviz.analysis import selective_channels as selective_channels
    from seviz.api.activations import activations as activations
    from seviz.api.compare import compare as compare
    from seviz.api.confusion import confusion as confusion
    from seviz.api.confusion import evaluate as evaluate
    from seviz.api.monitor import monitor as monitor
    from seviz.api.report import report as report
    from seviz.api.sample import sample as sample
    from seviz.api.shift import shift as shift
    from seviz.api.swap import swap_gates as swap_gates
    from seviz.api.thumbnails import thumbnails as thumbnails
    from seviz.api.track import track as track
    from seviz.collect.image import explain_image as explain_image
    from seviz.collect.options import PassOptions as PassOptions
    from seviz.collect.run import collect as collect
    from seviz.cost.entry import Insertion as Insertion
    from seviz.cost.entry import Timing as Timing
    from seviz.cost.entry import audit as audit
    from seviz.cost.entry import insert as insert
    from seviz.cost.entry import insert_se as insert_se
    from seviz.data.loaders import Loader as Loader
    from seviz.errors import RecordWarning as RecordWarning
    from seviz.errors import SevizError as SevizError
    from seviz.figures import reliability_diagram as reliability_diagram
    from seviz.gates import Tap as Tap
    from seviz.gates import find as find
    from seviz.networks import load as load
    from seviz.networks import save_checkpoint as save_checkpoint
    from seviz.pruning.ablation import ablate as ablate
    from seviz.pruning.channel_study import channel as channel
    from seviz.pruning.channel_study import channels as channels
    from seviz.pruning.folding import Folded as Folded
    from seviz.pruning.folding import fold as fold
    from seviz.report import write_report as write_report
    from seviz.report.channels import write_channel as write_channel
    from seviz.report.channels import write_channels as write_channels
    from seviz.report.folder import write_results as write_results
    from seviz.report.folder import write_swap as write_swap
    from seviz.report.image import write_image as write_image
    from seviz.results.ablation import Ablation as Ablation
    from seviz.results.blocks import GateBlock as GateBlock
    from seviz.results.blocks import SEBlock as SEBlock
    from seviz.results.cost import Audit as Audit
    from seviz.results.evaluation import Evaluation as Evaluation
    from seviz.results.image import ImageExplanation as ImageExplanation
    from seviz.results.merging import merge as merge
    from seviz.results.predictions import read_predictions as read_predictions
    from seviz.results.preprocessing import Preprocessing as Preprocessing
    from seviz.results.record import Record as Record

_HOMES = {
    "Ablation": "seviz.results.ablation",
    "Audit": "seviz.results.cost",
    "ChannelRanking": "seviz.analysis",
    "ChannelView": "seviz.analysis",
    "Evaluation": "seviz.results.evaluation",
    "Folded": "seviz.pruning.folding",
    "Findings": "seviz.analysis",
    "GateBlock": "seviz.results.blocks",
    "ImageExplanation": "seviz.results.image",
    "Insertion": "seviz.cost.entry",
    "Loader": "seviz.data.loaders",
    "PassOptions": "seviz.collect.options",
    "Preprocessing": "seviz.results.preprocessing",
    "Record": "seviz.results.record",
    "RecordWarning": "seviz.errors",
    "SEBlock": "seviz.results.blocks",
    "SevizError": "seviz.errors",
    "Swap": "seviz.analysis",
    "Tap": "seviz.gates",
    "Timing": "seviz.cost.entry",
    "ablate": "seviz.pruning.ablation",
    "activations": "seviz.api.activations",
    "audit": "seviz.cost.entry",
    "channel": "seviz.pruning.channel_study",
    "channels": "seviz.pruning.channel_study",
    "class_share": "seviz.analysis",
    "collect": "seviz.collect.run",
    "compare": "seviz.api.compare",
    "confusion": "seviz.api.confusion",
    "evaluate": "seviz.api.confusion",
    "explain_image": "seviz.collect.image",
    "explain_pair": "seviz.analysis",
    "find": "seviz.gates",
    "fold": "seviz.pruning.folding",
    "findings": "seviz.analysis",
    "gate_confusion": "seviz.analysis",
    "insert": "seviz.cost.entry",
    "insert_se": "seviz.cost.entry",
    "load": "seviz.networks",
    "merge": "seviz.results.merging",
    "monitor": "seviz.api.monitor",
    "ranked_confusions": "seviz.analysis",
    "read_predictions": "seviz.results.predictions",
    "reliability_diagram": "seviz.figures",
    "report": "seviz.api.report",
    "sample": "seviz.api.sample",
    "save_checkpoint": "seviz.networks",
    "scores": "seviz.analysis",
    "selective_channels": "seviz.analysis",
    "shift": "seviz.api.shift",
    "swap_gates": "seviz.api.swap",
    "thumbnails": "seviz.api.thumbnails",
    "track": "seviz.api.track",
    "write_channel": "seviz.report.channels",
    "write_channels": "seviz.report.channels",
    "write_image": "seviz.report.image",
    "write_report": "seviz.report",
    "write_swap": "seviz.report.folder",
    "write_results": "seviz.report.folder",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605  # a test holds it equal to the names above


class _Named(ModuleType):
    """A module that travels by its name, as others do: Ray, Dask and Spark pickle what a function uses."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return import_module, (self.__name__,)


class _NamedLikeAFunction(_Named):
    """A package with the name of a public function, which it is when called: ``seviz.collect(net, data)``.

    Python binds a package to its name in the parent when anything in it is first imported, whatever stood
    there before.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _public(self.__name__.rpartition(".")[2])(*args, **kwargs)

    @property
    def __signature__(self) -> inspect.Signature:
        import inspect

        return inspect.signature(_public(self.__name__.rpartition(".")[2]))


class _Seviz(_Named):
    def __setattr__(self, name: str, value: object) -> None:
        if isinstance(value, ModuleType) and name in _HOMES:
            value.__class__ = _NamedLikeAFunction
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Seviz


def _public(name: str) -> Any:
    return getattr(import_module(_HOMES[name]), name)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("seviz")
    if name not in _HOMES:
        raise AttributeError(f"module 'seviz' has no attribute {name!r}")
    return _public(name)


def shown_in_notebook(result: object) -> str:
    """Return what a notebook shows of a result, as HTML."""
    shown: str = import_module("seviz.tables.notebook").shown(result)
    return shown


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
