"""Networks of Keras that TensorFlow converts to TFLite, against the interpreter: `make nightly`.

``SEVIZ_TENSORFLOW`` names a Python that has tensorflow: it needs other versions of much, so that it is not
installed beside seviz.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_to_tflite import KINDS, NETWORKS, SIZE, images
from test_networks_formats_tflite import both, load

import seviz
from seviz.networks.formats.tflite.schema import read_graph

TENSORFLOW = os.environ.get("SEVIZ_TENSORFLOW", "")
BLOCKS = {"MobileNetV3Small": 9, "MobileNetV3Large": 8, "EfficientNetB0": 16}
# Largest difference of an output, a probability; and what the gates are held to.
OUTPUTS = {"float": 1e-5, "float16": 1e-5, "int8": 0.05, "dynamic": 0.05}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not TENSORFLOW:
        pytest.skip("SEVIZ_TENSORFLOW names no Python that has tensorflow")
    place = tmp_path_factory.mktemp("converted")
    script = Path(__file__).with_name("keras_to_tflite.py")
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [TENSORFLOW, script, place], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return place


def gates_of(content: bytes) -> tuple[int, ...]:
    """Return the tensors that multiply maps and are no maps, in the order of the graph."""
    graph = read_graph(content, "converted")
    found: list[Any] = []
    constants = {n for n, t in enumerate(graph.tensors) if t.numbers is not None}
    for operator in graph.operators:
        if operator.kind == "DEQUANTIZE" and constants.issuperset(operator.inputs):
            constants.update(operator.outputs)
        if operator.kind != "MUL" or constants.intersection(operator.inputs):
            continue
        pair = [graph.tensors[t] for t in operator.inputs]
        sizes = [int(np.prod(t.shape)) for t in pair]
        if sizes[0] != sizes[1]:
            found.append(operator.inputs[int(np.argmin(sizes))])
    return tuple(found)


@pytest.mark.nightly
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NETWORKS)
def test_converted_networks(name: str, kind: str, folder: Path, tmp_path: Path) -> None:
    content = (folder / f"{name}-{kind}.tflite").read_bytes()
    loaded = load(content, tmp_path)
    found = seviz.find(loaded.model, (3, SIZE, SIZE))
    assert len(found.blocks) == BLOCKS[name]
    ours, theirs, mine, their_gates = both(loaded, content, gates_of(content), images(8, seed=3))
    assert np.ptp(theirs) > 0.05  # the answers differ, so that being near says something
    assert np.abs(ours - theirs).max() < OUTPUTS[kind]
    for a, b in zip(mine, their_gates, strict=True):
        assert b.std() > 0.01
        if kind in ("float", "float16"):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)
        else:
            assert np.corrcoef(a.ravel(), b.ravel())[0, 1] >= 0.98
