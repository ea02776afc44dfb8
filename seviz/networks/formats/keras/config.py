"""The configuration in a Keras checkpoint: read with distrust before Keras sees it.

Only what Keras itself defines and computes with passes. What plays no part in inference (initialisers,
regularisers, constraints, optimisers) is taken out, numbers are float32, and TensorFlow's operators
become layers of `seviz.networks.formats.keras.operators`.
"""

from __future__ import annotations

import copy
import importlib
import json
from dataclasses import dataclass
from typing import Any

from seviz.errors import CheckpointError
from seviz.networks.formats.keras.tensorflow import UnknownOperatorError, is_tensorflow, rewritten

_MODELS = {
    "Functional": "keras.src.models.functional",
    "Model": "keras",
    "Sequential": "keras",
}
# Layers that run code, or read other files, on behalf of the configuration.
_REFUSED = frozenset(
    [
        "FlaxLayer",
        "IntegerLookup",
        "JaxLayer",
        "Lambda",
        "Layer",
        "StringLookup",
        "TFSMLayer",
        "TextVectorization",
        "TorchModuleWrapper",
        "Wrapper",
    ]
)
# Operators that `keras.ops` puts into a functional model.
_OPERATORS = frozenset(f"keras.src.ops.{m}" for m in ("image", "linalg", "math", "nn", "numpy"))
_CORE = ("keras.src.ops.core", "Cast")
# Marks of plain values: tensors between layers, constants, slices; tuples in the format before.
_PLAIN = frozenset(
    [
        "TensorShape",
        "__bytes__",
        "__ellipsis__",
        "__keras_tensor__",
        "__numpy__",
        "__slice__",
        "__tensor__",
        "__tuple__",
    ]
)
_POLICIES = frozenset({"DTypePolicy", "FloatDTypePolicy", "Policy"})
_NARROW = frozenset({"bfloat16", "float16", "float64", "mixed_bfloat16", "mixed_float16"})
_TRAINING = ("_initializer", "_regularizer", "_constraint")


@dataclass(frozen=True)
class Plan:
    """A checked configuration.

    Attributes:
        kind: ``Functional``, ``Model`` or ``Sequential``.
        config: What ``from_config`` of that class takes.
        notes: Remarks on what was changed in it.
        name: Name of the file.
    """

    kind: str
    config: dict[str, Any]
    notes: tuple[str, ...]
    name: str

    @classmethod
    def read(cls, text: str | bytes, name: str) -> Plan:
        """Check the configuration of a file, as it stands there.

        Raises:
            CheckpointError: As `checked_config`.
            ValueError: If it is no JSON.
        """
        kind, config, notes = checked_config(json.loads(text), name)
        return cls(kind, config, tuple(notes), name)

    def build(self, device: str) -> Any:
        """Return the Keras model; on the meta device it takes no memory, whatever is claimed.

        Raises:
            CheckpointError: If Keras cannot build it.
        """
        import keras

        from seviz.networks.formats.keras.operators import layer_class

        builder = keras.Sequential if self.kind == "Sequential" else keras.Model
        config = copy.deepcopy(self.config)  # Keras takes it apart
        try:
            with keras.device(device):
                return builder.from_config(config, custom_objects={"TensorFlowOp": layer_class()})
        except Exception as exc:
            # Keras wraps the message of every level of the network into that of the level above.
            reason = " ".join(str(exc).rpartition("Exception encountered:")[2].split())[:160]
            raise CheckpointError(
                f"expected a configuration that Keras {keras.__version__} can build in {self.name}, "
                f"found {type(exc).__name__}: {reason or 'no message'}; update Keras, or save it again "
                "as .keras"
            ) from exc


def checked_config(config: Any, name: str) -> tuple[str, dict[str, Any], list[str]]:
    """Check a model's configuration, and make it ready for Keras.

    Args:
        config: What the file says, read as JSON.
        name: Name of the file, for messages.

    Returns:
        ``Functional``, ``Model`` or ``Sequential``; the configuration that its ``from_config`` takes;
        remarks for the reader.

    Raises:
        CheckpointError: If it is no functional or sequential model, or uses anything but Keras' own
            layers and operators.
    """
    kind = config.get("class_name") if isinstance(config, dict) else None
    if not isinstance(kind, str) or "config" not in config:
        raise CheckpointError(
            f"expected the configuration of a Keras model in {name}, found something else; save it with "
            "model.save('model.keras')"
        )
    custom = config.get("registered_name") not in (None, kind)
    if kind not in _MODELS or custom or not _from_keras(config.get("module", "keras")):
        raise CheckpointError(
            f"expected a functional or sequential Keras model in {name}, found the class {_shown(kind)}, "
            "whose code is not in the file; build the network from Keras' own layers with "
            "keras.Model(inputs, outputs), and save that"
        )
    body = config["config"]
    if isinstance(body, list):  # sequential models of the first Keras 2
        body = {"name": "sequential", "layers": body}
    check = _Check()
    checked = check.value(body)
    if check.refused:
        names = sorted(map(_shown, check.refused))
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        raise CheckpointError(
            f"expected only Keras' own layers and operators in {name}, found {shown}; build the network "
            "without them, load its weights into it, and save that"
        )
    if not isinstance(checked, dict) or not isinstance(checked.get("layers"), list):
        raise CheckpointError(
            f"expected the list of layers of a Keras model in {name}, found none; save a functional or "
            "sequential model with model.save('model.keras')"
        )
    notes = []
    if check.narrow:
        notes.append(f"computed in float32, not {', '.join(sorted(check.narrow))} as in the file")
    return kind, checked, notes


def _with_axis_kept(entry: Any) -> Any:
    """Return a layer entry of the ``.h5`` format with its axis as a list of one.

    So TensorFlow wrote it. Keras up to 3.5 forgets one that is a number.
    """
    config = entry.get("config") if isinstance(entry, dict) and "module" not in entry else None
    if not isinstance(config, dict) or not isinstance(config.get("axis"), int):
        return entry
    return {**entry, "config": {**config, "axis": [config["axis"]]}}


def _shown(text: str) -> str:
    """Return a name from the file so that it stays on one line."""
    return repr(text)[1:-1][:100]


def _from_keras(module: Any) -> bool:
    return isinstance(module, str) and module.partition(".")[0] == "keras"


class _Check:
    """One walk over a configuration; collects what is refused."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.narrow: set[str] = set()

    def value(self, value: Any) -> Any:
        """Return a value as Keras may see it."""
        if isinstance(value, list):
            return [self.value(v) for v in value]
        if not isinstance(value, dict):
            return value
        if "class_name" in value:
            if is_tensorflow(value):
                try:
                    return rewritten(value)
                except UnknownOperatorError as exc:
                    self.refused.add(str(exc))
                    return None
            value = self._object(value)
        return {k: self._entry(k, v) for k, v in value.items() if k != "compile_config"}

    def _entry(self, key: str, value: Any) -> Any:
        if key.endswith(_TRAINING):
            return "zeros" if key.endswith("_initializer") else None
        if key == "layers" and isinstance(value, list):
            value = [_with_axis_kept(entry) for entry in value]
        if key in {"dtype", "dtype_policy"}:
            return self._dtype(value)
        return self.value(value)

    def _dtype(self, value: Any) -> Any:
        name = value
        if isinstance(value, dict) and value.get("class_name") in _POLICIES:
            inner = value.get("config")
            name = inner.get("name") if isinstance(inner, dict) else None
        if name in _NARROW:
            self.narrow.add(name)
            return "float32"
        return name if isinstance(name, str | None) else self.value(value)

    def _object(self, value: dict[str, Any]) -> dict[str, Any]:
        """Check one object by its class; its modules are named as this Keras names them."""
        kind, module = str(value["class_name"]), value.get("module", "")
        registered = value.get("registered_name")
        if kind == "function":
            known = _functions()
            if str(value.get("config")) not in known or registered not in (None, value["config"]):
                self.refused.add(f"the function {registered or value.get('config')}")
            return {**value, "module": "builtins"}
        if kind in _PLAIN:
            return value
        if registered not in (None, kind) or not (module == "" or _from_keras(module)):
            shown = registered if isinstance(registered, str) else kind
            self.refused.add(shown.strip(">") if module in ("", None) else f"{module}.{kind}")
        elif (module, kind) == _CORE:
            return value
        elif module in _OPERATORS:
            if not _is_operator(module, kind):
                self.refused.add(f"{module}.{kind}")
        elif kind in _MODELS:
            return {**value, "module": _MODELS[kind]} if module else value
        elif kind not in _layers():
            self.refused.add(str(kind))
        elif module:
            return {**value, "module": "keras.layers"}
        return value


def _layers() -> frozenset[str]:
    import keras

    return frozenset(
        name
        for name, layer in vars(keras.layers).items()
        if isinstance(layer, type) and issubclass(layer, keras.layers.Layer)
    ).difference(_REFUSED)


def _functions() -> frozenset[str]:
    import keras

    own = {"deserialize", "get", "serialize"}
    return frozenset(n for n, f in vars(keras.activations).items() if callable(f) and n not in own)


def _is_operator(module: str, name: str) -> bool:
    import keras

    found = getattr(importlib.import_module(module), name, None)
    return isinstance(found, type) and issubclass(found, keras.Operation)
