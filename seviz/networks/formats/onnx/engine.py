"""ONNX networks computed by onnxruntime: the same gates and answers, in a fraction of the time on a CPU.

The network stays the PyTorch module that it is: it is traced, counted and watched as ever. Where it is run on
images, and nothing in it was changed since it was read, onnxruntime computes its output together with the
values that somebody's forward hooks wait for, and the hooks are called with those.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seviz.errors import CheckpointError, UsageError
from seviz.networks.formats.graph_network import GraphNetwork, GraphStep
from seviz.networks.formats.onnx.quantised import NOT_ROUNDED, stood_for
from seviz.networks.formats.onnx.write import embedded
from seviz.networks.formats.output_step import MOVES
from seviz.networks.model import LoadedModel
from seviz.results.stats import Array

_FLOAT = 1
_ROUNDED = (
    "the network is quantised: onnxruntime computes it with its whole numbers; where PyTorch does, it is "
    "with the numbers that those stand for, not rounded between layers"
)


class OnnxRuntime:
    """Runs one network's file.

    Args:
        network: The network, as it was read.
        source: Its file.

    Raises:
        CheckpointError: If onnxruntime is not installed.
        UsageError: If the file takes other images, or gives another output, than the network.
    """

    def __init__(self, network: GraphNetwork, source: Path) -> None:
        try:
            import onnxruntime
        except ImportError as exc:
            raise CheckpointError(
                f"expected the package onnxruntime for --engine onnxruntime, found no {exc.name}; "
                "pip install 'seviz[onnxruntime]'"
            ) from exc
        self._library = onnxruntime
        self._model = embedded(source)
        graph = self._model.graph
        self._made = {name for node in graph.node for name in node.output}
        free = [v for v in graph.input if v.name in network.inputs]
        plain = len(free) == 1 and free[0].type.tensor_type.elem_type == _FLOAT
        batch = free[0].type.tensor_type.shape.dim[0] if plain else None
        if batch is None or batch.dim_value > 0 or not self._made.issuperset(network.outputs):
            raise UsageError(
                f"expected float images [N, C, H, W] of any number for --engine onnxruntime, found others in "
                f"{source.name}; leave it out"
            )
        # Sizes that the file has fixed; on others PyTorch computes.
        sizes = [d.dim_value for d in free[0].type.tensor_type.shape.dim]
        self._sizes = {axis: size for axis, size in enumerate(sizes) if size > 0}
        self._weights = self._state(network)
        self._sessions: dict[tuple[str, ...], Any] = {}

    def __deepcopy__(self, memo: Any) -> OnnxRuntime:
        return self  # sessions hold nothing that a pass changes

    @staticmethod
    def _state(network: GraphNetwork) -> dict[int, int]:
        """Return which tensors a network has, and how often each was written to."""
        tensors = (*network.parameters(), *network.buffers())
        return {id(t): 0 if t.is_inference() else t._version for t in tensors}

    def __call__(self, network: GraphNetwork, images: Any) -> Any:
        """Return the output for images; nothing where PyTorch has to compute it.

        Args:
            network: The network, or a copy with the same tensors.
            images: What it was called with.
        """
        plain = type(images) is Tensor and images.device.type == "cpu"
        if not plain or images.dtype != torch.float32 or network.edits:
            return None
        if any(images.dim() <= axis or images.shape[axis] != n for axis, n in self._sizes.items()):
            return None
        if torch._C._len_torch_dispatch_stack() or (
            torch.is_grad_enabled() and images.requires_grad
        ):
            return None
        watched = _watched(network)
        if watched is None or self._state(network) != self._weights:
            return None
        names = (*network.outputs, *(step.outputs[0] for step, _ in watched))
        if not self._made.issuperset(names):
            return None
        results = self._session(names).run(list(names), {network.inputs[0]: images.numpy()})
        results = [_real_numbers(network, n, r) for n, r in zip(names, results, strict=True)]
        if any(result is None for result in results):
            return None
        values = [torch.from_numpy(result) for result in results]
        for (_, module), value in zip(watched, values[len(network.outputs) :], strict=True):
            for hook in list(module._forward_hooks.values()):
                if hook(module, (), value) is not None:
                    raise CheckpointError(
                        "expected hooks that only look with --engine onnxruntime, found one that changes "
                        "what a module gives; leave the engine out"
                    )
        found = tuple(values[: len(network.outputs)])
        return found[0] if len(found) == 1 else found

    def _session(self, names: tuple[str, ...]) -> Any:
        if names not in self._sessions:
            import onnx

            model = onnx.ModelProto()
            model.CopyFrom(self._model)
            there = {v.name for v in model.graph.output}
            for name in dict.fromkeys(n for n in names if n not in there):
                model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
            options = self._library.SessionOptions()
            options.log_severity_level = 3
            options.intra_op_num_threads = torch.get_num_threads()
            # Between batches its threads would wait in a loop, on the cores that the sums are taken on.
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
            self._sessions[names] = self._library.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        return self._sessions[names]


def computed_by_onnxruntime(opened: object) -> LoadedModel:
    """Return an ONNX network that onnxruntime computes.

    Args:
        opened: What loading gave.

    Raises:
        CheckpointError: If onnxruntime is not installed.
        UsageError: If it is no ONNX network, or one that takes other images.
    """
    model = opened.model if isinstance(opened, LoadedModel) else None
    if not isinstance(opened, LoadedModel) or opened.format != "ONNX":
        name = getattr(opened, "name", "a checkpoint")
        raise UsageError(
            f"expected --engine onnxruntime with an ONNX model, found {name}, which is none; leave it out"
        )
    assert isinstance(model, GraphNetwork)
    assert model.source is not None
    model.engine = OnnxRuntime(model, model.source)
    notes = (_ROUNDED if note == NOT_ROUNDED else note for note in opened.notes)
    return replace(opened, notes=(*notes, "computed by onnxruntime where that runs on the CPU"))


def _real_numbers(network: GraphNetwork, name: str, given: Array) -> Array | None:
    """Return the real numbers of a value, as PyTorch's steps give them; nothing where no scale is known."""
    if given.dtype.kind == "f":
        return given
    makers = {output: step for step in network.steps for output in step.outputs}
    step = makers.get(name)
    while step is not None and step.operator in MOVES:
        step = makers.get(step.inputs[0])
    return stood_for(step, given) if step is not None else None


def _watched(network: GraphNetwork) -> list[tuple[Any, GraphStep]] | None:
    """Return the steps that have hooks; nothing where hooks ask for more than what a step gives."""
    found = []
    for step in network.steps:
        module = network.get_submodule(step.name)
        if not isinstance(module, GraphStep) or module._forward_pre_hooks:
            return None
        if module._forward_hooks:
            if len(step.outputs) != 1 or module._forward_hooks_with_kwargs:
                return None
            found.append((step, module))
    return found
