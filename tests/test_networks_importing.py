"""The zoos without PyTorch's compiler: in half of the time, and whole."""

from __future__ import annotations

import subprocess
import sys

import pytest

CHECKED = """
import sys
import torch
from seviz.networks.importing import without_compiler

before = torch.compiler.disable
with without_compiler():
    import timm
    import torchvision

    @torch.compiler.disable
    def one(x):
        return x + 1

    @torch.compiler.disable(recursive=False)
    def two(x):
        return x + 2

assert "torch._dynamo" not in sys.modules, "the compiler was imported"
assert "torch._dynamo.utils" not in sys.modules, "a stand-in stayed behind"
assert torch.compiler.disable is before
assert "legacy_seresnet50" in timm.list_models()

from torchvision.ops import roi_align
inside = sys.modules["torchvision.ops.roi_align"]
kept = inside.is_compile_supported
boxes = torch.tensor([[0.0, 0.0, 0.0, 4.0, 4.0]])
maps = torch.arange(64.0).reshape(1, 1, 8, 8)
torch.testing.assert_close(
    roi_align(maps, boxes, (1, 1), aligned=True), maps[:, :, :4, :4].mean((2, 3), keepdim=True)
)
answered = kept("cpu")
assert "torch._dynamo.utils" in sys.modules, "nobody was asked"
from torch._dynamo.utils import is_compile_supported
assert answered == is_compile_supported("cpu")
assert (one(1), two(1)) == (2, 3)
assert torch.compile(lambda x: one(x) * 3, backend="eager")(torch.ones(2)).tolist() == [6.0, 6.0]
with without_compiler():
    assert torch.compiler.disable is before, "changed where the compiler is loaded"
"""

NEEDED = """
import sys
from seviz.networks.importing import without_compiler

with without_compiler():
    from torch._dynamo.utils import is_compile_supported, counters
import torch._dynamo
assert torch._dynamo.utils.counters is counters
assert sys.modules["torch._dynamo.utils"] is torch._dynamo.utils
assert torch._dynamo.utils.is_compile_supported("cpu") == is_compile_supported("cpu")
"""


def run(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.nightly
def test_the_zoos_are_whole_without_the_compiler() -> None:
    run(CHECKED)


@pytest.mark.nightly
def test_who_needs_more_of_the_compiler_gets_it() -> None:
    run(NEEDED)


OTHERWISE = """
import sys
import torch
import torch._compile
from seviz.networks.importing import without_compiler

del torch._compile._disable_dynamo
before = torch.compiler.disable
with without_compiler():
    assert torch.compiler.disable is before
    assert "torch._dynamo.utils" not in sys.modules
"""


@pytest.mark.nightly
def test_another_pytorch_is_left_as_it_is() -> None:
    run(OTHERWISE)
