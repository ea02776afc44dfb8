"""The SE-ResNet of the TensorFlow notes, and the file that TensorFlow 2 would have written of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
from keras_models import Built, L, keras, randomise

_GLOROT = {"class_name": "GlorotUniform", "config": {"seed": None}}
_ZEROS = {"class_name": "Zeros", "config": {}}
_ONES = {"class_name": "Ones", "config": {}}


class TensorFlow2:
    """A graph of TensorFlow 2.3 layers as its ``model.save`` describes them, beside the same in Keras 3.

    Args:
        size: Height and width of the images.
        squeeze: How ``pooled[:, None, None, :]`` and what follows was written down.
    """

    def __init__(self, size: int, squeeze: str = "TensorFlowOpLayer") -> None:
        self.squeeze = squeeze
        self.entries: list[dict[str, Any]] = []
        self.counts: Counter[str] = Counter()
        self.built = Built(None)
        config = {"batch_input_shape": [None, size, size, 3], "sparse": False, "ragged": False}
        self.input = self.add("InputLayer", "input_1", config, [], keras.Input((size, size, 3)))

    def name(self, base: str) -> str:
        self.counts[base] += 1
        return base if self.counts[base] == 1 else f"{base}_{self.counts[base] - 1}"

    def add(self, kind: str, name: str, config: dict[str, Any], node: Any, tensor: Any) -> Any:
        common = {} if kind == "InputLayer" else {"trainable": True}
        full = {"name": name, **common, "dtype": "float32", **config}
        entry = {"class_name": kind, "config": full, "name": name, "inbound_nodes": node}
        self.entries.append(entry)
        return name, tensor

    def layer(self, kind: str, base: str, config: dict[str, Any], *inputs: Any, **own: Any) -> Any:
        name = self.name(base)
        node = [[[n, 0, 0, {}] for n, _ in inputs]]
        tensors = [t for _, t in inputs]
        made = getattr(L, kind)(name=name, **own)
        tensor = made(tensors if len(tensors) > 1 else tensors[0])
        return self.add(kind, name, config, node, tensor)

    def conv(self, x: Any, filters: int, size: int, stride: int = 1, act: str = "linear") -> Any:
        own = {"strides": stride, "padding": "same", "activation": act}
        config = {
            "filters": filters,
            "kernel_size": [size, size],
            "strides": [stride, stride],
            "padding": "same",
            "data_format": "channels_last",
            "dilation_rate": [1, 1],
            "groups": 1,
            "activation": act,
            "use_bias": True,
            "kernel_initializer": _GLOROT,
            "bias_initializer": _ZEROS,
            "kernel_regularizer": {"class_name": "L2", "config": {"l2": 1e-4}},
            "bias_regularizer": None,
            "activity_regularizer": None,
            "kernel_constraint": None,
            "bias_constraint": None,
        }
        return self.layer("Conv2D", "conv2d", config, x, filters=filters, kernel_size=size, **own)

    def norm(self, x: Any) -> Any:
        config = {
            "axis": [3],
            "momentum": 0.99,
            "epsilon": 1.001e-5,
            "center": True,
            "scale": True,
            "beta_initializer": _ZEROS,
            "gamma_initializer": _ONES,
            "moving_mean_initializer": _ZEROS,
            "moving_variance_initializer": _ONES,
            "beta_regularizer": None,
            "gamma_regularizer": None,
            "beta_constraint": None,
            "gamma_constraint": None,
        }
        base = "batch_normalization"
        return self.layer("BatchNormalization", base, config, x, axis=3, epsilon=1.001e-5)

    def act(self, x: Any, function: str) -> Any:
        own = {"activation": function}
        return self.layer("Activation", "activation", own, x, **own)

    def pool(self, x: Any) -> Any:
        config = {
            "pool_size": [3, 3],
            "padding": "same",
            "strides": [2, 2],
            "data_format": "channels_last",
        }
        own = {"pool_size": 3, "strides": 2, "padding": "same"}
        return self.layer("MaxPooling2D", "max_pooling2d", config, x, **own)

    def join(self, kind: str, *inputs: Any) -> Any:
        return self.layer(kind, kind.lower(), {}, *inputs)

    def mean(self, x: Any) -> Any:
        config = {"data_format": "channels_last"}
        return self.layer("GlobalAveragePooling2D", "global_average_pooling2d", config, x)

    def dense(self, x: Any, units: int) -> Any:
        config = {
            "units": units,
            "activation": "softmax",
            "use_bias": True,
            "kernel_initializer": _GLOROT,
            "bias_initializer": _ZEROS,
        }
        return self.layer("Dense", "dense", config, x, units=units, activation="softmax")

    def node(self, op: str, inputs: Sequence[str], constants: Any, attr: Any) -> tuple[str, Any]:
        name = self.name(op.lower() if op != "StridedSlice" else "strided_slice")
        node: Any = {
            "name": name,
            "op": op,
            "input": [*inputs, *(f"{name}/const_{k}" for k in constants)],
            "attr": {"T": {"type": "DT_FLOAT"}, **attr},
        }
        if self.squeeze.endswith("as text"):
            node = json.dumps(node)
        return name, {"node_def": node, "constants": constants}

    def expanded(self, x: Any) -> Any:
        """Write ``pooled[:, None, None, :]``."""
        pooled, tensor = x
        tensor = L.Reshape((1, 1, tensor.shape[-1]))(tensor)
        if self.squeeze.startswith("TensorFlowOpLayer"):
            attr = {
                "Index": {"type": "DT_INT32"},
                "begin_mask": {"i": "9"},
                "ellipsis_mask": {"i": "0"},
                "end_mask": {"i": "9"},
                "new_axis_mask": {"i": "6"},
                "shrink_axis_mask": {"i": "0"},
            }
            constants = {"1": [0] * 4, "2": [0] * 4, "3": [1] * 4}
            given = [f"{pooled}/Identity"]
            name, config = self.node("StridedSlice", given, constants, attr)
            outer = f"tf_op_layer_{name}"
            node = [[[pooled, 0, 0, {}]]]
            made = self.add("TensorFlowOpLayer", outer, config, node, tensor)
            self.entries[-1]["config"]["name"] = name  # the class adds the prefix again
            return made
        if self.squeeze == "SlicingOpLambda":
            whole = {"start": None, "stop": None, "step": None}
            spec = {"class_name": "__tuple__", "items": [whole, None, None, whole]}
            name = self.name("tf.__operators__.getitem")
            node = [[pooled, 0, 0, {"slice_spec": spec}]]
            config = {"function": "__operators__.getitem"}
            return self.add("SlicingOpLambda", name, config, node, tensor)
        for _ in range(2):
            name = self.name("tf.expand_dims")
            node = [[pooled, 0, 0, {"axis": 1, "name": None}]]
            self.add("TFOpLambda", name, {"function": "expand_dims"}, node, tensor)
            pooled = name
        return pooled, tensor

    def scaled(self, x: Any, gate: Any) -> Any:
        """Write ``x * gate``."""
        self.built.gates.append(gate[1])
        tensor = L.Multiply()([x[1], gate[1]])
        if self.squeeze == "TFOpLambda":
            name = self.name("tf.math.multiply")
            node = [[x[0], 0, 0, {"y": [gate[0], 0, 0], "name": None}]]
            return self.add("TFOpLambda", name, {"function": "math.multiply"}, node, tensor)
        if self.squeeze == "TensorFlowOpLayer as text":
            name, config = self.node("Mul", [x[0], gate[0]], {}, {})
            node = [[[x[0], 0, 0, {}], [gate[0], 0, 0, {}]]]
            return self.add("TensorFlowOpLayer", f"tf_op_layer_{name}", config, node, tensor)
        return self.join("Multiply", x, gate)

    def finish(self, output: Any, name: str) -> Built:
        self.built.model = keras.Model(self.input[1], output[1], name=name)
        self.output = output[0]
        randomise(self.built.model, gain=1.0)
        return self.built

    def save(self, path: Path) -> Path:
        """Write the file; the groups of the weights come in another order than the layers."""
        model = self.built.model
        config = {
            "name": model.name,
            "layers": self.entries,
            "input_layers": [["input_1", 0, 0]],
            "output_layers": [[self.output, 0, 0]],
        }
        training = {"loss": "my_own_loss", "metrics": ["accuracy"], "optimizer_config": {}}
        with h5py.File(path, "w") as file:
            file.attrs["backend"] = "tensorflow"
            file.attrs["keras_version"] = "2.4.0"
            file.attrs["model_config"] = json.dumps({"class_name": "Functional", "config": config})
            file.attrs["training_config"] = json.dumps(training)
            group = file.create_group("model_weights")
            names = [e["name"].encode() for e in reversed(self.entries)]
            group.attrs["layer_names0"], group.attrs["layer_names1"] = names[:7], names[7:]
            group.attrs["backend"] = b"tensorflow"
            group.attrs["keras_version"] = b"2.4.0"
            for entry in self.entries:
                name = entry["name"]
                own = group.create_group(name)
                has = any(layer.name == name for layer in model.layers)
                weights = model.get_layer(name).weights if has else []
                own.attrs["weight_names"] = [f"{name}/{w.name}:0".encode() for w in weights]
                for w in weights:
                    own.create_dataset(f"{name}/{w.name}:0", data=keras.ops.convert_to_numpy(w))
        return path


def notes_se_resnet(
    depths: Sequence[int],
    *,
    width: int = 8,
    size: int = 64,
    reduction: int = 16,
    squeeze: str = "TensorFlowOpLayer",
) -> TensorFlow2:
    """Return the SE-ResNet of the TensorFlow notes (SE-ResNet50 is 3, 4, 6, 3) at any width."""
    tf = TensorFlow2(size, squeeze)
    x = tf.pool(tf.act(tf.norm(tf.conv(tf.input, width, 7, 2)), "relu"))
    for stage, depth in enumerate(depths):
        filters = width * 2**stage
        for block in range(depth):
            stride = 2 if stage and not block else 1
            y = tf.act(tf.norm(tf.conv(x, filters, 1, stride)), "relu")
            y = tf.act(tf.norm(tf.conv(y, filters, 3)), "relu")
            y = tf.norm(tf.conv(y, 4 * filters, 1))
            s = tf.expanded(tf.mean(y))
            s = tf.conv(s, 4 * filters // reduction, 1, act="relu")
            s = tf.conv(s, 4 * filters, 1, act="sigmoid")
            y = tf.scaled(y, s)
            short = x if block else tf.norm(tf.conv(x, 4 * filters, 1, stride))
            x = tf.act(tf.join("Add", y, short), "relu")
    tf.finish(tf.dense(tf.mean(x), 10), "SE-ResNet50")
    return tf
