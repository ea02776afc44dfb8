"""Networks of Keras with numbers of their own, converted by TensorFlow: run with a Python that has it.

python tests/keras_to_tflite.py FOLDER [NAME ...]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

SIZE, CLASSES = 96, 10
NETWORKS = ("MobileNetV3Small", "MobileNetV3Large", "EfficientNetB0")
KINDS = ("float", "float16", "int8")


def images(number: int, seed: int) -> Any:
    """Return noise of several lightnesses, float32 [N, SIZE, SIZE, 3], 0 to 255."""
    rng = np.random.default_rng(seed)
    level = rng.uniform(0.2, 0.8, (number, 1, 1, 3))
    coarse = rng.uniform(-0.5, 0.5, (number, 6, 6, 3)).repeat(SIZE // 6, 1).repeat(SIZE // 6, 2)
    fine = rng.uniform(-0.2, 0.2, (number, SIZE, SIZE, 3))
    return (255 * np.clip(level + coarse + fine, 0, 1)).astype(np.float32)


def build(name: str) -> Any:
    """Return a network whose norms have seen images and whose gates move."""
    import keras

    keras.utils.set_random_seed(0)
    network = getattr(keras.applications, name)(
        weights=None, input_shape=(SIZE, SIZE, 3), classes=CLASSES
    )
    rng = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
        values = layer.get_weights()
        squeezed = "squeeze_excite" in layer.name or "_se_" in layer.name
        for place, value in enumerate(values):
            if value.ndim == 4 and squeezed:
                values[place] = value * 3
            elif value.ndim == 1 and layer.name != "normalization":
                values[place] = (value + rng.normal(0, 0.1, value.shape)).astype(value.dtype)
        layer.set_weights(values)
    network(images(16, 1), training=True)  # by which the norms fit
    return network


def converted(network: Any, kind: str) -> bytes:
    """Return the network as TFLite."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    if kind != "float":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if kind == "int8":

        def representative() -> Iterator[list[Any]]:
            for image in images(32, 2):
                yield [image[None]]

        converter.representative_dataset = representative
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.uint8
        converter.inference_output_type = tf.uint8
    content: bytes = converter.convert()
    return content


def main() -> None:
    """Write NAME-KIND.tflite."""
    folder, *names = sys.argv[1:]
    for name in names or NETWORKS:
        network = build(name)
        for kind in KINDS:
            Path(folder, f"{name}-{kind}.tflite").write_bytes(converted(network, kind))
            print(name, kind, flush=True)


if __name__ == "__main__":
    main()
