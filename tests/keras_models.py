"""Small Keras models with SE blocks, and what Keras itself computes with them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
from keras import layers as L


@dataclass
class Built:
    """A Keras model, and the tensor of each of its gates."""

    model: Any
    gates: list[Any] = field(default_factory=list)

    def expected(self, images: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return what Keras computes itself: outputs, and gates [N, C]."""
        last = self.model.inputs[0].shape[-1] in (1, 3)
        x = images.transpose(0, 2, 3, 1) if last else images
        judge = keras.Model(self.model.inputs[0], [self.model.outputs, self.gates])
        outputs, gates = judge(x, training=False)
        (outputs,), gates = ([keras.ops.convert_to_numpy(t) for t in v] for v in (outputs, gates))
        return outputs, [g.reshape(len(images), -1) for g in gates]


def saved(model: Any, path: Path) -> Path:
    """Save a model, and return the path."""
    model.save(path)
    return path


def randomise(model: Any, gain: float = 1.5) -> None:
    """Give every weight, moving statistics included, a number that matters to the output."""
    rng = np.random.default_rng(0)
    for variable in model.weights:
        shape = tuple(variable.shape)
        if variable.name in {"gamma", "moving_variance"}:
            numbers = rng.uniform(0.5, 1.5, shape)
        elif variable.name in {"bias", "beta", "moving_mean"}:
            numbers = rng.normal(0, 0.3, shape)
        else:
            numbers = rng.normal(0, gain / np.sqrt(np.prod(shape[:-1])), shape)
        variable.assign(numbers.astype(np.float32))


def dense_reshape(built: Built, x: Any, c: int, axis: int) -> Any:
    s = L.GlobalAveragePooling2D()(x)
    s = L.Reshape((1, 1, c) if axis == -1 else (c, 1, 1))(s)
    if axis == 1:
        s = L.Permute((2, 3, 1))(s)
    s = L.Dense(c // 2, activation="relu", use_bias=False)(s)
    s = L.Dense(c, activation="sigmoid", use_bias=False)(s)
    if axis == 1:
        s = L.Permute((3, 1, 2))(s)
    built.gates.append(s)
    return L.Multiply()([x, s])


def dense_then_reshape(built: Built, x: Any, c: int, axis: int) -> Any:
    s = L.GlobalAveragePooling2D()(x)
    s = L.Dense(c // 2, activation="swish")(s)
    s = L.Dense(c)(s)
    s = L.Activation("hard_sigmoid")(s)
    built.gates.append(s)
    return L.Multiply()([L.Reshape((1, 1, c) if axis == -1 else (c, 1, 1))(s), x])


def hard_sigmoid_by_hand(built: Built, x: Any, c: int, axis: int) -> Any:
    s = L.GlobalAveragePooling2D(keepdims=True)(x)
    s = L.Conv2D(c // 4, 1, activation="relu")(s)
    s = L.Conv2D(c, 1)(s)
    s = L.ReLU(6.0)(s + 3.0) * (1.0 / 6.0)
    built.gates.append(s)
    return L.Multiply()([x, s])


def keepdims_convolutions(built: Built, x: Any, c: int, axis: int) -> Any:
    s = L.GlobalAveragePooling2D(keepdims=True)(x)
    s = L.Conv2D(c // 4, 1, activation="relu", padding="same")(s)
    s = L.Conv2D(c, 1)(s)
    s = L.Activation("sigmoid")(s)
    built.gates.append(s)
    return L.Multiply()([x, s])


def operators(built: Built, x: Any, c: int, axis: int) -> Any:
    s = keras.ops.mean(x, axis=(1, 2) if axis == -1 else (2, 3), keepdims=True)
    s = L.Conv2D(c // 2, 1)(s)
    s = L.ReLU()(s)
    s = L.Conv2D(c, 1)(s)
    s = keras.ops.cast(keras.ops.sigmoid(s), "float32")
    built.gates.append(s)
    return x * s


def nested(built: Built, x: Any, c: int, axis: int) -> Any:
    inner = keras.Input(x.shape[1:])
    own = Built(None)
    y = L.Conv2D(c, 3, padding="same")(inner)
    y = keepdims_convolutions(own, y, c, axis)
    block = keras.Model(inner, y, name=f"block_{len(built.gates)}")
    built.gates.append(keras.Model(inner, own.gates[0])(x))
    return block(x)


LAYERS = {f.__name__: f for f in (dense_reshape, dense_then_reshape, keepdims_convolutions, nested)}
# Keras writes operators on tensors into .keras files alone.
BY_OPERATORS = {f.__name__: f for f in (operators, hard_sigmoid_by_hand)}
DIALECTS = {**LAYERS, **BY_OPERATORS}


def functional(dialect: str, *, size: Any = 32, first: bool = False) -> Built:
    """Return a network with two residual units of 8 and one of 16 channels, SE in each."""
    keras.config.set_image_data_format("channels_first" if first else "channels_last")
    try:
        built, axis = Built(None), 1 if first else -1
        inputs = keras.Input((3, size, size) if first else (size, size, 3))
        x = L.Conv2D(8, 3, strides=2, padding="same", name="stem")(inputs)
        x = L.BatchNormalization(axis=axis, epsilon=1.001e-5)(x)
        for c, stride in ((8, 1), (8, 1), (16, 2)):
            y = L.Conv2D(c, 3, strides=stride, padding="same", use_bias=False)(x)
            y = L.BatchNormalization(axis=axis)(y)
            y = DIALECTS[dialect](built, y, c, axis)
            short = x if stride == 1 else L.Conv2D(c, 1, strides=stride)(x)
            x = L.Activation("relu")(L.Add()([short, y]))
        x = L.GlobalAveragePooling2D()(x)
        x = L.Dropout(0.5)(x)
        built.model = keras.Model(inputs, L.Dense(5, activation="softmax")(x), name="small")
        randomise(built.model)
        return built
    finally:
        keras.config.set_image_data_format("channels_last")


def preparing(*how: Any) -> Built:
    """Return a network with layers that prepare its images, and one SE block."""
    built = Built(None)
    inputs = keras.Input((16, 16, 3))
    x = inputs
    for layer in how:
        x = layer(x)
    x = keepdims_convolutions(built, L.Conv2D(8, 3)(x), 8, -1)
    built.model = keras.Model(inputs, L.Dense(4)(L.GlobalAveragePooling2D()(x)))
    randomise(keras.Model(built.model.layers[len(how)].output, built.model.output))
    return built


def sequential() -> Built:
    """Return a sequential network whose SE blocks are models of their own."""
    built = Built(None)
    model = keras.Sequential([keras.Input((32, 32, 3)), L.Conv2D(8, 3, strides=2)], name="chain")
    for c in (8, 8):
        inner = keras.Input(model.output_shape[1:])
        own = Built(None)
        block = keras.Model(inner, dense_reshape(own, inner, c, -1))
        built.gates.append(keras.Model(inner, own.gates[0])(model.outputs[0]))
        model.add(block)
        model.add(L.DepthwiseConv2D(3))
        model.add(L.BatchNormalization())
        model.add(L.LeakyReLU())
    model.add(L.Flatten())
    model.add(L.Dense(7))
    built.model = model
    randomise(model)
    return built
