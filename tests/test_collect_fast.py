"""Faster ways through a network: the same gates and answers, or the untouched network."""

from __future__ import annotations

import copy
import dataclasses
import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from conftest import crossed, sampled
from dialects import DIALECTS, Dialect, images, settle, true_gates
from test_dialects import ZOO, ZooNet, hooked_gates, trace_of
from torch import Tensor, nn

from seviz.collect.fast import REDUCED, Answer, Choice, Chosen, Eager, Halving, Speed
from seviz.collect.fast.agreement import compare
from seviz.collect.fast.choice import CHANGES, UNTOUCHED
from seviz.collect.fast.halving import out_of_memory
from seviz.collect.forward import run
from seviz.collect.observers import GateSums, Observation
from seviz.errors import DeviceError
from seviz.gates import Tap, evaluating, trace
from seviz.networks.architectures.registry import build
from seviz.results.blocks import SEBlock

CPU = torch.device("cpu")
SIZE = (3, 32, 32)
FLOAT32 = [d for d in DIALECTS if d.dtype is torch.float32]
AS_IT_IS = {"data-parallel"}  # wrapped by the user: run as it is


@pytest.fixture(autouse=True)
def never_too_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time must not decide: these networks are so small that it is noise."""
    monkeypatch.setattr("seviz.collect.fast.trial.SLOWER", float("inf"))


def two_batches(
    model: nn.Module, size: tuple[int, ...], x: Tensor, **options: Any
) -> tuple[Answer, tuple[str, ...]]:
    """Return the second batch's answer, which is no longer the untouched network's, and the notes."""
    traced = trace(model, size)
    speed = Speed(graph=traced.own_size, **{"fast": True, **options})
    with torch.inference_mode(), Chosen(model, traced.found.se_readings, CPU, None, speed) as way:
        way(x)
        return way(x), way.notes


def state_of(model: nn.Module) -> dict[str, Any]:
    """Return everything that a pass must leave alone: bits, memory formats, addresses, flags, hooks."""
    tensors = {
        name: (t.clone(), t.stride(), t.data_ptr(), t.requires_grad)
        for name, t in model.state_dict(keep_vars=True).items()
    }
    return {"tensors": tensors, "rest": trace_of(model), "modules": dict(model.named_modules())}


def assert_untouched(model: nn.Module, before: dict[str, Any]) -> None:
    after = state_of(model)
    assert after["rest"] == before["rest"]
    assert after["modules"] == before["modules"]
    for name, (values, *facts) in after["tensors"].items():
        assert torch.equal(values, before["tensors"][name][0])
        assert facts == list(before["tensors"][name][1:])


def is_fast(notes: tuple[str, ...]) -> bool:
    return any(n.startswith("computed with") for n in notes)


@pytest.mark.parametrize("dialect", sampled(FLOAT32, 9), ids=lambda d: d.name)
def test_every_dialect_is_read_on_its_fast_copy(dialect: Dialect) -> None:
    model = dialect.build()
    x = dialect.example(3, seed=1)
    true, before = true_gates(model, x), state_of(model)
    answer, notes = two_batches(model, dialect.input_size, x)
    assert_untouched(model, before)
    assert is_fast(notes) == (dialect.name not in AS_IT_IS)
    for read, expected in zip(answer.gates.values(), true, strict=True):
        torch.testing.assert_close(read, expected, atol=1e-5, rtol=0)


@pytest.mark.nightly
@pytest.mark.parametrize("net", sampled([z for z in ZOO if z.blocks], 9), ids=lambda z: z.name)
def test_the_zoo_is_read_on_fast_copies(net: ZooNet) -> None:
    model = settle(net.make())
    x = images((3, 96, 96), 2, seed=1)
    true, before = hooked_gates(model, x), state_of(model)
    with torch.no_grad():
        expected = model(x)
    answer, notes = two_batches(model, (3, 96, 96), x)
    assert_untouched(model, before)
    assert any("batch norms folded and channels last" in n for n in notes)
    for read, gate in zip(answer.gates.values(), true.values(), strict=True):
        torch.testing.assert_close(read, gate, atol=1e-5, rtol=0)
    assert torch.equal(answer.logits.argmax(1), expected.argmax(1))
    scale = float(expected.abs().max())
    torch.testing.assert_close(answer.logits, expected, atol=1e-4 * scale, rtol=0)


@dataclasses.dataclass
class Batch:
    images: Tensor
    rows: Tensor


def batches(count: int, size: int = 4) -> list[Batch]:
    x = images(SIZE, count, seed=2)
    return [
        Batch(part, torch.arange(len(part)) % 3) for part in x.split(size)
    ]  # rows 0, 1, 2 in turns


def sums(model: nn.Module, given: list[Batch], speed: Speed | None) -> tuple[Any, Any]:
    found = trace(model, SIZE).found
    observer = GateSums(found.blocks, 3, CPU)
    passed = run(model, found.se_readings, given, [observer], device=CPU, speed=speed)
    return observer.compute(), passed


def network(seed: int = 0) -> nn.Module:
    return settle(build("se_resnet14", num_classes=5, reduction=4), seed)


def test_without_speed_bits_are_those_of_the_network() -> None:
    model, given = network(), batches(12)
    found = trace(model, SIZE).found
    expected = GateSums(found.blocks, 3, CPU)
    with evaluating(model), torch.inference_mode(), Tap(model, found) as tap:
        for batch in given:
            model(batch.images)
            expected.update(Observation(batch.rows, tap.take(), torch.zeros(len(batch.rows), 2)))
    arrays, passed = sums(model, given, None)
    assert passed.notes == ()
    for name, array in expected.compute().items():
        np.testing.assert_array_equal(arrays[name], array)


def test_two_fast_passes_are_equal_bit_by_bit() -> None:
    model, given = network(), batches(40)
    speed = Speed(fast=True, graph=trace(model, SIZE).own_size)
    (one, first), (two, second) = sums(model, given, speed), sums(model, given, speed)
    assert first.notes == second.notes
    assert is_fast(first.notes)
    for name, array in one.items():
        np.testing.assert_array_equal(array, two[name])


def test_fast_sums_are_those_of_the_network() -> None:
    model, given = network(), batches(41)
    expected, _ = sums(model, given, None)
    fast, passed = sums(model, given, Speed(fast=True, graph=trace(model, SIZE).own_size))
    assert passed.images == 41
    np.testing.assert_array_equal(fast["count"], expected["count"])
    count = expected["count"][:, None]
    for name in fast:
        if name.endswith("/sum"):
            np.testing.assert_allclose(fast[name] / count, expected[name] / count, atol=1e-5)
    assert any(not np.array_equal(fast[n], expected[n]) for n in fast), "the copy did nothing else"


class Strided(nn.Module):
    """Gives other numbers where maps lie otherwise in memory."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.1 * x.as_strided((1,), (1,), 1)


class Unfoldable(nn.Module):
    """Looks at its batch norm, which has to be one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(16, 16, 1), nn.BatchNorm2d(16)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)) / self.norm.num_features


class Uncopyable(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 1

    def __deepcopy__(self, memo: Any) -> Any:
        raise RuntimeError("one is enough")


class Original(nn.Module):
    """Computes something else in any copy."""

    def __init__(self) -> None:
        super().__init__()
        self.copied = False

    def __deepcopy__(self, memo: Any) -> Original:
        other = Original()
        other.copied = True
        return other

    def forward(self, x: Tensor) -> Tensor:
        return x * (1.5 if self.copied else 1.0)


def with_extra(extra: nn.Module) -> nn.Module:
    """Return the small network with a module behind its stem."""
    model = network()
    model.conv1 = nn.Sequential(model.get_submodule("conv1"), extra)
    return settle(model)


@pytest.mark.parametrize(
    ("extra", "refused", "taken"),
    [
        (Strided, "channels last: a gate of SE_", "batch norms folded"),
        (Unfoldable, "AttributeError", "channels last"),
        (Original, "channels last: a gate of SE_", None),
        (Uncopyable, "on a copy of the network: RuntimeError", None),
    ],
)
def test_what_does_not_agree_is_not_used(
    extra: type[nn.Module], refused: str, taken: str | None
) -> None:
    model, x = with_extra(extra()), images(SIZE, 6, seed=3)
    with torch.no_grad():
        expected = model(x)
    answer, notes = two_batches(model, SIZE, x)
    assert any(n.startswith("not computed") and refused in n for n in notes)
    chosen = [n for n in notes if n.startswith("computed with")]
    if taken is None:
        assert not chosen
        assert torch.equal(answer.logits, expected)
    else:
        assert taken in chosen[0]
    torch.testing.assert_close(answer.logits, expected, atol=1e-4, rtol=1e-4)


def test_a_slower_copy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seviz.collect.fast.trial.SLOWER", 0.0)
    monkeypatch.setattr("seviz.collect.fast.trial.GAIN", 0.0)
    model, x = network(), images(SIZE, 4, seed=3)
    with torch.no_grad():
        expected = model(x)
    answer, notes = two_batches(model, SIZE, x)
    assert len(notes) == len(CHANGES)
    assert all("slower" in n for n in notes)
    assert torch.equal(answer.logits, expected)


def test_hooks_of_others_see_every_batch() -> None:
    model, x, seen = network(), images(SIZE, 4, seed=3), []
    handle = model.get_submodule("conv1").register_forward_hook(lambda *a: seen.append(1))
    _, notes = two_batches(model, SIZE, x)
    handle.remove()
    assert len(seen) == 2
    assert not is_fast(notes)
    assert any("hooks of others" in n for n in notes)


def test_other_types_are_left_alone() -> None:
    model, x = network().double(), images(SIZE, 4, seed=3, dtype=torch.float64)
    with torch.no_grad():
        expected = model(x)
    answer, notes = two_batches(model, SIZE, x)
    assert notes == ()
    assert torch.equal(answer.logits, expected)


def answer_of(gates: list[float], logits: list[list[float]]) -> Answer:
    return Answer(torch.tensor(logits), {"SE_2_1": torch.tensor([gates])})


@pytest.mark.parametrize(
    ("gates", "logits", "reason"),
    [
        ([0.5, 0.25 + 5e-6], [[1.0, 2.0]], None),
        ([0.5, 0.25 + 2e-5], [[1.0, 2.0]], "a gate of SE_2_1 differs by 2.0e-05"),
        ([0.5, float("nan")], [[1.0, 2.0]], "a gate of SE_2_1 differs by nan"),
        ([0.5, 0.25], [[1.0, 2.001]], "an output differs by 5.0e-04"),
        ([0.5, 0.25], [[1.0, float("inf")]], "an output differs by inf"),
    ],
)
def test_agreement(gates: list[float], logits: list[list[float]], reason: str | None) -> None:
    trusted = answer_of([0.5, 0.25], [[1.0, 2.0]])
    assert compare(trusted, answer_of(gates, logits)).reason() == reason


def test_agreement_of_answers_that_are_nearly_tied() -> None:
    trusted = answer_of([0.5], [[1.0, 1.00001]])
    other = answer_of([0.5], [[1.00001, 1.0]])
    assert compare(trusted, other).reason() == "the answer for 1 images is another"


def test_unbounded_gates_agree_by_their_scale() -> None:
    trusted, near = answer_of([400.0, 3.0], [[1.0]]), answer_of([400.002, 3.0], [[1.0]])
    assert compare(trusted, near).gates == pytest.approx(
        0.002 / 400, rel=0.02
    )  # float32's rounding
    assert compare(trusted, near).reason() is None


# -------------------------------------------------------------------------------------------------
# Mixed precision


@pytest.mark.parametrize("fast", [False, True])
def test_the_deviation_of_bfloat16_is_measured(fast: bool) -> None:
    model, x = network(), images(SIZE, 6, seed=3)
    traced = trace(model, SIZE)
    with torch.no_grad(), Tap(model, traced.found) as tap:
        model(x)
        exact = tap.take()
        with torch.autocast("cpu", torch.bfloat16):
            model(x)
        rounded = tap.take()
    largest = max(float((exact[n] - rounded[n]).abs().max()) for n in exact)
    speed = Speed(fast=fast, graph=traced.own_size)
    readings = traced.found.se_readings
    with torch.inference_mode(), Chosen(model, readings, CPU, REDUCED["bfloat16"], speed) as way:
        first = way(x)
        second = way(x)
    assert all(torch.equal(first.gates[n], second.gates[n]) for n in exact)
    if not fast:
        assert all(torch.equal(first.gates[n], rounded[n]) for n in exact)
    note = next(n for n in way.notes if n.startswith("bfloat16"))
    if not fast:
        assert f"at most {largest:.1e}" in note
    measured = float(note.partition("at most ")[2].split()[0])
    assert 1e-5 < measured <= 2 * largest * 1.05
    own = max(float((exact[n] - second.gates[n]).abs().max()) for n in exact)
    assert measured == pytest.approx(own, rel=0.06)  # two digits are written


# -------------------------------------------------------------------------------------------------
# One choice for a whole pass


def test_every_batch_is_computed_alike() -> None:
    """Also the first: divided anywhere, a pass gives the same numbers to the last bit."""
    model, x = network(), images(SIZE, 6, seed=3)
    traced = trace(model, SIZE)
    speed = Speed(fast=True, graph=traced.own_size)
    with torch.inference_mode(), Chosen(model, traced.found.se_readings, CPU, None, speed) as way:
        first, second = way(x), way(x)
    assert speed.choice.made == 0
    assert torch.equal(first.logits, second.logits)
    assert all(torch.equal(first.gates[n], second.gates[n]) for n in first.gates)


# One bit for each of: folded, channels last, fused.
@pytest.mark.parametrize(("made", "kept"), [(0, 7), (1, 3), (2, 1), (3, 2), (UNTOUCHED, 0)])
def test_a_resumed_pass_goes_on_as_it_began(made: int, kept: int) -> None:
    model, x = network(), images(SIZE, 6, seed=3)
    traced = trace(model, SIZE)
    choice = Choice()
    choice.restore({"change": torch.tensor(kept)})
    assert int(choice.state()["change"]) == kept
    assert not choice.by_time
    speed = Speed(fast=True, graph=traced.own_size, choice=choice)
    with torch.inference_mode(), Chosen(model, traced.found.se_readings, CPU, None, speed) as way:
        way(x)
    assert choice.made == made
    said = " ".join(way.notes)
    change = CHANGES[made] if made != UNTOUCHED else (False, False, False)
    assert ("folded" in said, "channels last" in said, "fused" in said) == change


def test_time_has_no_vote_among_several_processes() -> None:
    assert Choice().by_time
    assert not Choice(shared=True).by_time
    fresh = Choice()
    fresh.restore(Choice().state())  # killed before the first batch
    assert fresh.by_time
    assert fresh.made is None


# -------------------------------------------------------------------------------------------------
# Memory


class Small(nn.Module):
    """Has memory for so many images."""

    def __init__(self, model: nn.Module, most: int, error: Exception) -> None:
        super().__init__()
        self.model, self.most, self.error = model, most, error
        self.sizes: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        if not x.is_meta:
            self.sizes.append(len(x))
            if len(x) > self.most:
                raise self.error
        return self.model(x)


EXHAUSTED = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
    RuntimeError("MPS backend out of memory (MPS allocated: 5 GB)"),
    MemoryError(),
]


@pytest.mark.parametrize(("error", "fast"), crossed(EXHAUSTED, [False, True]))
def test_a_pass_goes_on_in_halves(error: Exception, fast: bool) -> None:
    given = batches(21, 8)
    expected, _ = sums(network(), given, None)
    model = Small(network(), 3, error)
    speed = Speed(fast=True, graph=trace(model, SIZE).own_size) if fast else None
    arrays, passed = sums(model, given, speed)
    assert passed.images == 21
    assert "memory on cpu held 2 images at a time, not a whole batch" in passed.notes
    assert model.sizes[:5] == [8, 4, 2, 2, 2] if not fast else max(model.sizes[2:]) == 2
    np.testing.assert_array_equal(arrays["count"], expected["count"])
    for name in expected:
        if name.endswith("/sum"):
            np.testing.assert_allclose(arrays[name], expected[name], atol=1e-4)


def test_not_even_one_image(refuses: Any) -> None:
    model = Small(network(), 0, torch.OutOfMemoryError("CUDA out of memory"))
    with refuses(DeviceError, "memory for at least one image on cpu"):
        sums(model, batches(8), None)
    assert DeviceError.exit_code == 5
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_other_errors_are_not_taken_for_memory() -> None:
    error = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    assert not out_of_memory(error)
    model = Small(network(), 0, error)
    with pytest.raises(RuntimeError, match="mat1"):
        sums(model, batches(8), None)
    assert model.sizes == [4]


def test_outputs_in_any_container_are_joined() -> None:
    def way(x: Tensor) -> Answer:
        if len(x) > 2:
            raise MemoryError
        return Answer({"a": x, "b": (x + 1,)}, {"SE_2_1": x})  # type: ignore[arg-type]

    x = torch.arange(10.0).reshape(5, 2)
    logits, gates = Halving(way, CPU)(x)  # type: ignore[arg-type]
    assert torch.equal(logits["a"], x)  # type: ignore[call-overload]
    assert torch.equal(logits["b"][0], x + 1)  # type: ignore[call-overload]
    assert torch.equal(gates["SE_2_1"], x)


# -------------------------------------------------------------------------------------------------
# The end of a pass


class Never(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if not x.is_meta:
            raise AssertionError("a module ran that nobody needs")
        return x


class Stubborn(nn.Module):
    """Catches every exception, as networks with a way out do."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        try:
            return self.model(x)
        except Exception:
            return x.new_zeros(len(x), 5)


def early(model: nn.Module, blocks: list[SEBlock]) -> Any:
    traced = trace(model, SIZE)
    chosen = [b for b in traced.found.blocks if b.name in {x.name for x in blocks}]
    observer = GateSums(chosen, 3, CPU)
    speed = Speed(outputs=False)
    run(model, traced.found.only(chosen), batches(9), [observer], device=CPU, speed=speed)
    return observer.compute()


@pytest.mark.parametrize("wrap", [nn.Sequential, Stubborn])
def test_later_modules_never_run(wrap: Any) -> None:
    model = wrap(network())
    found = trace(model, SIZE).found
    first = [b for b in found.blocks if b.stage == 2]
    expected, _ = sums(model, batches(9), None)
    inner = next(m for n, m in model.named_modules() if n.endswith("layer2"))
    inner.insert(0, Never())
    before = state_of(model)
    arrays = early(model, first)
    assert_untouched(model, before)
    assert {n.split("/")[1] for n in arrays if "/" in n} == {b.name for b in first}
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, expected[name])


def test_a_gate_that_no_module_returns_ends_a_pass_too() -> None:
    dialect = next(d for d in FLOAT32 if d.name == "raw-parameters-matmul")
    model = dialect.build()
    found = trace(model, dialect.input_size).found
    x = dialect.example(3, seed=1)
    true = true_gates(model, x)
    head = next(m for n, m in model.named_modules() if n.split(".")[-1] == "head")
    ran: list[int] = []
    handle = head.register_forward_hook(lambda *a: ran.append(1))
    way = Eager(model, found.only(found.blocks[:1]), CPU, outputs=False)
    with way:
        for _ in range(2):
            answer = way(x)
            assert torch.equal(answer.gates[found.blocks[0].name], true[0])
            assert answer.logits.shape == (3, 0)
    handle.remove()
    assert not ran


# -------------------------------------------------------------------------------------------------
# Compiled: dynamo with the eager backend, which needs no compiler; what is compiled is the same graph.


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, while it traces
        yield
    torch._dynamo.reset()


@pytest.mark.nightly
@pytest.mark.usefixtures("no_compiler")
def test_gates_are_outputs_of_the_compiled_network() -> None:
    model, x = network(), images(SIZE, 6, seed=3)
    traced = trace(model, SIZE)
    with torch.no_grad(), Tap(model, traced.found) as tap:
        expected = model(x)
        gates = tap.take()
    before = state_of(model)
    speed = Speed(fast=True, compiled=True, graph=traced.own_size)
    readings = traced.found.se_readings
    with torch.inference_mode(), Chosen(model, readings, CPU, None, speed) as way:
        way(x)
        whole, part = way(x), way(x[:2])
    assert_untouched(model, before)
    assert any("torch.compile took" in n for n in way.notes)
    assert any(n.startswith("computed with torch.compile and") for n in way.notes)
    for answer, size in ((whole, 6), (part, 2)):
        torch.testing.assert_close(answer.logits, expected[:size], atol=1e-4, rtol=0)
        for name, gate in gates.items():
            torch.testing.assert_close(answer.gates[name], gate[:size], atol=1e-5, rtol=0)


@pytest.mark.usefixtures("no_compiler")
def test_a_shared_module_is_compiled_with_all_its_calls() -> None:
    dialect = next(d for d in FLOAT32 if d.name == "shared-module")
    model, x = dialect.build(), dialect.example(3, seed=1)
    answer, notes = two_batches(model, dialect.input_size, x, compiled=True)
    assert any("with torch.compile" in n for n in notes)
    for read, true in zip(answer.gates.values(), true_gates(model, x), strict=True):
        torch.testing.assert_close(read, true, atol=1e-5, rtol=0)


class Dynamic(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.is_meta or float(x.sum()) != 0.5 else x + 1


@pytest.mark.usefixtures("no_compiler")
def test_what_cannot_be_compiled_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    x = images(SIZE, 4, seed=3)
    model = with_extra(Dynamic())
    with torch.no_grad():
        expected = model(x)
    answer, notes = two_batches(model, SIZE, x, compiled=True)
    assert any(n.startswith("--torchcompile is not used: ") for n in notes)
    assert is_fast(notes)
    torch.testing.assert_close(answer.logits, expected, atol=1e-4, rtol=1e-4)
    dialect = next(d for d in FLOAT32 if d.name == "raw-parameters-matmul")
    _, notes = two_batches(
        dialect.build(), dialect.input_size, dialect.example(3, seed=1), compiled=True
    )
    assert any("is no output of a module" in n for n in notes)


def test_state_of_sees_changes() -> None:
    model = network()
    before = state_of(model)
    other = copy.deepcopy(model)
    with pytest.raises(AssertionError):
        assert_untouched(other, before)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with pytest.raises(AssertionError):
        assert_untouched(model, before)
