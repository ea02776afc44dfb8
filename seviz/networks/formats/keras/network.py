"""A Keras model as a PyTorch network: Keras computes, PyTorch owns the layers and their weights."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, as_tensor, nn

# Keras makes a tensor of a number before it computes; the operators of Python keep it a number, and so
# part of an operator that can be replayed.
_ARITHMETIC = {
    "Add": operator.add,
    "Divide": operator.truediv,
    "Multiply": operator.mul,
    "Subtract": operator.sub,
    "TrueDivide": operator.truediv,
}
# What a layer that takes 0..255 divides by is more than this, mostly 255 or 127.5.
_DIVIDES = 1 / 16


class _Shared:
    """Keras' side of a module: it holds no numbers that count, so copies of the module share it."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __deepcopy__(self, memo: Any) -> _Shared:
        return self


class KerasLayer(nn.Module):
    """One Keras layer; its weights are parameters, what it only counts or averages are buffers.

    Args:
        layer: The Keras layer, built.
        values: Numbers of the Keras variables, by ``id``.
    """

    def __init__(self, layer: Any, values: Mapping[int, Tensor]) -> None:
        super().__init__()
        kept = {id(v) for v in layer.non_trainable_weights}
        bound: list[tuple[str, Any]] = []
        for variable in layer.weights:
            name = _free_name(self, variable.path.removeprefix(f"{layer.path}/"))
            if id(variable) in kept:
                self.register_buffer(name, values[id(variable)].detach())
            else:
                self.register_parameter(name, nn.Parameter(values[id(variable)].detach()))
            bound.append((name, variable))
        self._keras = _Shared((layer, bound))

    def bound(self) -> Iterator[tuple[Any, Tensor]]:
        """Yield each Keras variable with the tensor that stands for it."""
        for name, variable in self._keras.value[1]:
            yield variable, getattr(self, name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the layer as for inference, whatever its place in the graph asks for."""
        if "training" in kwargs:
            kwargs["training"] = False
        return self._keras.value[0](*args, **kwargs)

    def extra_repr(self) -> str:
        """Return the class of the Keras layer."""
        return type(self._keras.value[0]).__name__


class KerasGraph(nn.Module):
    """The layers of a functional or sequential model, each a submodule under its Keras name.

    Args:
        model: The Keras model, built.
        values: Numbers of the Keras variables, by ``id``.
    """

    def __init__(self, model: Any, values: Mapping[int, Tensor]) -> None:
        super().__init__()
        names: dict[int, str] = {}
        for layer in model.layers:
            name = names[id(layer)] = _free_name(self, layer.name)
            nested = _is_graph(layer)
            self.add_module(name, (KerasGraph if nested else KerasLayer)(layer, values))
        self._keras = _Shared((model, names))

    def forward(self, inputs: Any, **kwargs: Any) -> Any:
        """Run the layers on what Keras passes between them: tensors, or lists of tensors."""
        model, names = self._keras.value

        def runs(operation: Any) -> Any:
            name = names.get(id(operation))
            if name is None:  # no layer, but an operator on tensors
                return _ARITHMETIC.get(type(operation).__name__, operation)
            return getattr(self, name)

        if hasattr(model, "_run_through_graph"):
            outputs = model._run_through_graph(inputs, operation_fn=runs)
            return outputs[0] if isinstance(outputs, list) and len(outputs) == 1 else outputs
        for layer in model.layers:
            inputs = runs(layer)(inputs)
        return inputs


class KerasNetwork(KerasGraph):
    """A whole Keras model that takes images [N, C, H, W] and returns [N, outputs], always in inference.

    Args:
        model: The Keras model, built.
        values: Numbers of the Keras variables, by ``id``.
        channels_first: Whether its own images are [N, C, H, W] too, and not [N, H, W, C].
    """

    def __init__(self, model: Any, values: Mapping[int, Tensor], *, channels_first: bool) -> None:
        model.trainable = True  # a frozen layer's weights are parameters all the same
        _finish(model, values)
        super().__init__(model, values)
        self._permute = not channels_first

    def forward(self, inputs: Tensor, **kwargs: Any) -> Tensor:
        """Return what the model returns for images [N, C, H, W].

        Raises:
            NotImplementedError: On the meta device, where Keras loses track of its tensors.
        """
        import keras

        if inputs.is_meta:
            raise NotImplementedError("Keras does not compute on the meta device")
        pairs = [p for m in self.modules() if isinstance(m, KerasLayer) for p in m.bound()]
        with (
            keras.device(str(inputs.device)),
            keras.StatelessScope(pairs, initialize_variables=False),
        ):
            result: Tensor = super().forward(
                inputs.permute(0, 2, 3, 1) if self._permute else inputs, **kwargs
            )
        return result


def _finish(model: Any, values: Mapping[int, Tensor]) -> None:
    """Have layers work out what they keep beside their weights (normalisation of the input does)."""
    import keras

    pairs = [(v, values[id(v)]) for v in model.weights]
    with keras.device("cpu"), keras.StatelessScope(pairs, initialize_variables=False):
        for layer in model._flatten_layers():
            if hasattr(layer, "finalize_state"):
                layer.finalize_state()


def has_stray_tensors(model: Any) -> bool:
    """Return whether a layer keeps numbers beside its weights: built on the meta device, it lost them."""
    return any(
        isinstance(value, Tensor) and value.is_meta
        for layer in model._flatten_layers()
        for value in vars(layer).values()
    )


def prepares_images(model: Any) -> bool:
    """Return whether a layer scales the images before the network proper."""
    return _scaling(model) is not None


def largest_pixel(model: Any, values: Mapping[int, Tensor]) -> int | None:
    """Return what white is for a network that scales images itself: 255, or 1; ``None`` if it is not known.

    A layer that divides by tens takes pixels as they are stored, and one that subtracts more than 1 does.

    Args:
        model: The Keras model, built.
        values: Numbers of the Keras variables, by ``id``.
    """
    layer = _scaling(model)
    if layer is None:
        return None
    if type(layer).__name__ == "Rescaling":
        scale = max(abs(float(s)) for s in _numbers(layer.scale))
        return 255 if scale < _DIVIDES else 1
    mean = getattr(layer, "input_mean", None)
    if mean is None:
        kept = [v for v in layer.weights if v.path.rpartition("/")[2] == "mean"]
        mean = values[id(kept[0])] if kept else None
    if mean is None:
        return None
    return 255 if max(abs(float(m)) for m in _numbers(mean)) > 1 else 1


def _scaling(model: Any) -> Any:
    """Return the first layer that scales the images, if there is one."""
    known = {"Normalization", "Rescaling"}
    return next((m for m in model._flatten_layers() if type(m).__name__ in known), None)


def _numbers(value: Any) -> list[float]:
    return list(as_tensor(value).flatten().tolist())


def channels_first(model: Any) -> bool:
    """Return whether the first layer that cares takes images as [N, C, H, W]."""
    return next(_formats(model), None) == "channels_first"


def _formats(model: Any) -> Iterator[str]:
    for layer in model.layers:
        if _is_graph(layer):
            yield from _formats(layer)
        elif isinstance(found := getattr(layer, "data_format", None), str):
            yield found


def _is_graph(layer: Any) -> bool:
    return hasattr(layer, "layers") and hasattr(layer, "inputs")


def _free_name(module: nn.Module, name: str) -> str:
    """Return a name that PyTorch takes: no dots, and none that the module has already."""
    name = name.replace(".", "_") or "_"
    while hasattr(module, name):
        name += "_"
    return name
