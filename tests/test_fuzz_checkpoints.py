"""Damaged files of every format: read, or refused in one line; never a crash, a hang or another weight."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from seviz.errors import SevizError
from seviz.networks import BareWeights, LoadedModel, LoadOptions, open_checkpoint, save_checkpoint
from seviz.networks.architectures.registry import build

EXAMPLES = settings(max_examples=int(os.environ.get("SEVIZ_FUZZ", "25")))
SUFFIX = {"safetensors": ".safetensors", "export": ".pt2"}
# A damaged file that takes more was made, or let, to fill the memory.
MOST_MEMORY = 1 << 30


# What a file must not make its reader do; "pickle.find_class" is Python's own, unrestricted reader.
FORBIDDEN = {
    *("os.system", "os.exec", "os.fork", "os.posix_spawn", "subprocess.Popen"),
    *("pickle.find_class", "socket.connect", "os.remove", "shutil.rmtree"),
}
watched: list[list[str]] = []


def watch(event: str, args: object) -> None:
    if watched and event in FORBIDDEN:
        watched[-1].append(event)


sys.addaudithook(watch)


@cache
def network() -> nn.Module:
    torch.manual_seed(0)
    return build("se_resnet14", widths=(4, 4, 4), reduction=2, num_classes=3).eval()


def write(form: str, path: Path) -> None:
    from safetensors.torch import save_file

    model = network()
    image = torch.zeros(1, 3, 16, 16)
    if form == "zip":
        torch.save(model.state_dict(), path)
    elif form == "unchecked":  # nothing but the reader notices what was changed
        torch.serialization.set_crc32_options(False)
        try:
            torch.save(model.state_dict(), path)
        finally:
            torch.serialization.set_crc32_options(True)
    elif form == "legacy":
        torch.save(model.state_dict(), path, _use_new_zipfile_serialization=False)
    elif form == "safetensors":
        save_file(model.state_dict(), path)
    elif form == "export":
        torch.export.save(torch.export.export(model, (image,)), path)
    elif form == "scripted":
        torch.jit.trace(model, image).save(str(path))
    else:
        save_checkpoint(
            path,
            model,
            arch="se_resnet14",
            arch_args={"widths": (4, 4, 4), "reduction": 2},
            classes=["ant", "bee", "cat"],
        )


@cache
def content(form: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # legacy saving and TorchScript are deprecated
        path = Path(folder) / f"x{SUFFIX.get(form, '.pt')}"
        write(form, path)
        return path.read_bytes()


FORMATS = ("zip", "unchecked", "legacy", "safetensors", "export", "scripted", "own")
CHECKED = frozenset({"zip", "export", "scripted", "own"})  # zip archives, with checksums


@contextmanager
def written(form: str, damaged: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x{SUFFIX.get(form, '.pt')}"
        path.write_bytes(damaged)
        yield path


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def check(form: str, damaged: bytes) -> None:
    measured = Path("/proc/self/statm").exists()
    before = resident() if measured else 0
    with written(form, damaged) as path:
        done: list[str] = []
        watched.append(done)
        try:
            opened = open_checkpoint(path, LoadOptions())
        except SevizError as exc:
            message = str(exc)
            assert message.startswith("expected ")
            assert message.isprintable()
        else:
            assert isinstance(opened, LoadedModel | BareWeights)
            if form in CHECKED:
                assert isinstance(opened, LoadedModel)
                same_weights(opened.model.state_dict())
        finally:
            watched.remove(done)
    assert not done
    assert not measured or resident() - before < MOST_MEMORY


def test_the_watch_sees() -> None:
    done: list[str] = []
    watched.append(done)
    os.system("true")
    watched.remove(done)
    assert done[0] == "os.system"


def same_weights(weights: dict[str, Tensor]) -> None:
    own = network().state_dict()
    assert weights.keys() == own.keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in own.items())


@pytest.mark.parametrize("form", FORMATS)
def test_the_whole_file(form: str) -> None:
    with written(form, content(form)) as path:
        opened = open_checkpoint(path, LoadOptions())
    assert isinstance(opened, LoadedModel)
    same_weights(opened.model.state_dict())


def flip(data: st.DataObject, whole: bytes) -> bytes:
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[place(data, whole)] ^= data.draw(st.integers(1, 255))
    return bytes(damaged)


def insert(data: st.DataObject, whole: bytes) -> bytes:
    where = place(data, whole)
    return whole[:where] + data.draw(st.binary(min_size=1, max_size=64)) + whole[where:]


def cut(data: st.DataObject, whole: bytes) -> bytes:
    return whole[: place(data, whole)]


def place(data: st.DataObject, whole: bytes) -> int:
    """Draw a position: anywhere, or where the formats keep what describes the rest."""
    end = len(whole) - 1
    near = min(4000, end)
    return data.draw(
        st.one_of(st.integers(0, end), st.integers(0, near), st.integers(end - near, end))
    )


@pytest.mark.parametrize("damage", [cut, flip, insert])
@pytest.mark.parametrize("form", FORMATS)
@EXAMPLES
@given(data=st.data())
def test_damage(
    form: str, damage: Callable[[st.DataObject, bytes], bytes], data: st.DataObject
) -> None:
    check(form, damage(data, content(form)))
