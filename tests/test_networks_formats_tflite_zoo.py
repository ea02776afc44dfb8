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
import torch
from keras_to_tflite import KINDS, NETWORKS, SIZE, images
from test_networks_formats_tflite import both, fed, load
from tflite_models import Reference

import seviz
from seviz.gates import Tap
from seviz.networks.formats.tflite.schema import read_graph

TENSORFLOW = os.environ.get("SEVIZ_TENSORFLOW", "")
BLOCKS = {"MobileNetV3Small": 9, "MobileNetV3Large": 8, "EfficientNetB0": 16}
# Of numbers of floating point: the largest difference of an output, a probability.
NEAR = 1e-4


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
    """As near as the interpreter is to float64, or as its own two sets of kernels are to one another.

    Networks of random numbers make a great difference of a small one, which trained ones do not.
    """
    content = (folder / f"{name}-{kind}.tflite").read_bytes()
    loaded, places, pixels = load(content, tmp_path), gates_of(content), images(8, seed=3)
    found = seviz.find(loaded.model, (3, SIZE, SIZE))
    assert len(found.blocks) == BLOCKS[name]
    ours, theirs, mine, their_gates = both(loaded, content, places, pixels)
    assert np.ptp(theirs) > 0.05  # the answers differ, so that being near says something
    assert all(gates.std() > 0.01 for gates in their_gates)
    if kind == "int8":
        plain = Reference(content, plain=True)
        other = gates_by(plain, places, fed(plain, pixels)[0])
        for a, b, c in zip(mine, their_gates, other, strict=True):
            own, kernels = (float(np.corrcoef(x.ravel(), b.ravel())[0, 1]) for x in (a, c))
            assert own >= min(0.98, kernels - 0.03)
        return
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=NEAR)
    exact = load(content, tmp_path)
    exact.model.double()
    _, real = fed(Reference(content), pixels)
    with Tap(exact.model, found) as tap, torch.no_grad():
        exact.model(torch.from_numpy(real).permute(0, 3, 1, 2).double())
        truth = [gate.numpy() for gate in tap.take().values()]
    for a, b, c in zip(mine, their_gates, truth, strict=True):
        assert np.abs(a - c).mean() <= 1.5 * np.abs(b - c).mean() + 1e-7


def gates_by(reference: Reference, places: tuple[int, ...], pixels: Any) -> list[Any]:
    """Return what an interpreter has for some tensors, [N, C] each."""
    found: list[list[Any]] = []
    for image in pixels:
        reference.run(image)
        found.append([reference.tensor(place).reshape(-1) for place in places])
    return [np.stack(each) for each in zip(*found, strict=True)]
