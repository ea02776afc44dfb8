"""A dispatch mode that does not load torch's compiler, and is not compiled where it is loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from seviz.gates import Tap, evaluating, find
from seviz.gates.mode import DispatchMode

SEEN = """
import sys
import torch
from seviz.gates.mode import DispatchMode

class Seen(DispatchMode):
    names = []
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))

with Seen():
    torch.ones(2) + 1
assert Seen.names == ["aten.ones.default", "aten.add.Tensor"], Seen.names
assert "torch._dynamo" not in sys.modules, "the compiler is loaded"
"""


@pytest.mark.nightly
def test_operators_are_seen_without_the_compiler() -> None:
    done = subprocess.run([sys.executable, "-c", SEEN], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.nightly  # that it loads a compiler is what it tests
def test_torchs_own_mode_would_load_it() -> None:
    """What the class is for; where this fails, a newer torch has made it unnecessary."""
    if not hasattr(TorchDispatchMode, "_should_skip_dynamo"):
        pytest.skip("this torch does not mark modes")
    own = SEEN.replace(
        "from seviz.gates.mode import DispatchMode",
        "from torch.utils._python_dispatch import TorchDispatchMode as DispatchMode",
    )
    done = subprocess.run([sys.executable, "-c", own], capture_output=True, text=True, check=False)
    assert "the compiler is loaded" in done.stderr


class Excited(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.down, self.up = nn.Linear(8, 2), nn.Linear(2, 8)
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        gate = torch.sigmoid(self.up(torch.relu(self.down(x.mean((2, 3))))))
        return self.head((x * gate[:, :, None, None]).mean((2, 3)))


class Around(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)


@pytest.mark.nightly
def test_a_network_with_a_compiled_part_is_seen_as_without() -> None:
    """The compiler, where it is loaded and runs within the mode, does not compile the mode itself."""
    torch.manual_seed(0)
    plain = Excited().eval()
    images = torch.rand(2, 3, 16, 16)
    expected = find(Around(plain), (3, 16, 16))
    compiled = Around(torch.compile(plain, backend="eager"))
    with torch.no_grad():
        compiled(images)
    found = find(compiled, (3, 16, 16))
    assert [b.channels for b in found.blocks] == [b.channels for b in expected.blocks] == [8]
    with evaluating(plain), torch.no_grad(), Tap(plain, find(plain, (3, 16, 16))) as tap:
        plain(images)
        gates = tap.take()["SE_2_1"]
    squeezed = plain.conv(images).mean((2, 3))
    by_hand = torch.sigmoid(plain.up(torch.relu(plain.down(squeezed))))
    assert torch.allclose(gates, by_hand)


def test_every_mode_is_of_this_class() -> None:
    from seviz.gates import graph, rerun, tap

    for mode in (graph._Recorder, rerun._Pass, tap._Watcher):
        assert issubclass(mode, DispatchMode)
