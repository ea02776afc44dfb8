"""What several test files share: a small trained-looking network, images of its classes, the command line."""

from __future__ import annotations

import gc
import os
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import numpy as np
import pytest

from seviz.errors import SevizError

if TYPE_CHECKING:
    from torch import nn

    from seviz.results.preprocessing import Preprocessing

Refuses = Callable[..., AbstractContextManager[None]]
# A busy machine makes examples slowly, which is no fault of theirs.
hypothesis.settings.register_profile(
    "seviz", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("seviz")
PACKAGE = Path(__file__).resolve().parent.parent / "seviz"
# How many cases of each test are marked nightly; they are collected, but not run.
NIGHTLY = pytest.StashKey[Counter[str]]()


def sampled(cases: Iterable[Any], of: int) -> list[Any]:
    """Return the cases of a test, of which each ``of``-th is always run and the others at night."""
    return [case if number % of == 0 else at_night(case) for number, case in enumerate(cases)]


def at_night(case: Any) -> Any:
    """Return a case, or a tuple of what makes one, that is run at night alone."""
    values = case if isinstance(case, tuple) else (case,)
    return pytest.param(*values, marks=pytest.mark.nightly)


def crossed(one: Iterable[Any], other: Iterable[Any], of: int = 1) -> list[Any]:
    """Return every pair; those that show each value of both are always run, the others at night.

    Of values of ``one`` that are but examples each ``of``-th is shown.
    """
    first, second = list(one), list(other)
    return [
        pytest.param(a, b, marks=() if by_day else pytest.mark.nightly)
        for i, a in enumerate(first)
        for j, b in enumerate(second)
        for shown in (
            i // of % len(second) == j if len(first) >= len(second) else j % len(first) == i,
        )
        for by_day in (shown and i % of == 0,)
    ]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Count what is marked nightly before it is left out."""
    config.stash[NIGHTLY] = Counter(
        f"{item.path.name}::{item.name.partition('[')[0]}"
        for item in items
        if item.get_closest_marker("nightly") is not None
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Run one worker more than there are processors: in turn, one waits for a browser, a disk, a process."""
    from seviz.data.processors import available

    return None if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ else available() + 1


def pytest_collection_finish() -> None:
    """Look no more for garbage among what was imported and collected: a million objects that stay."""
    gc.freeze()


class Everywhere:
    """What holds for the examples in the package too, which are collected from beside this folder."""

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Leave the files of the package that hold no example alone: to look takes longer than to see."""
        if collection_path.suffix != ".py" or PACKAGE not in collection_path.parents:
            return None
        return True if ">>>" not in collection_path.read_text(encoding="utf-8") else None


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Everywhere())


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Draw the same random numbers in a test and its fixtures, whichever tests ran before; tell no width.

    pytest's workers have the width of their terminal in COLUMNS, which pipes obey.
    """
    os.environ.pop("COLUMNS", None)
    random.seed(0)
    np.random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@dataclass(frozen=True)
class Said:
    """What one run of the command line left behind."""

    code: int
    out: str
    err: str


Run = Callable[..., Said]


@pytest.fixture
def refuses() -> Refuses:
    """Return a context in which this very error is raised, in one line that tells what to do."""

    @contextmanager
    def check(error: type[SevizError], *parts: str) -> Iterator[None]:
        with pytest.raises(error) as caught:
            yield
        assert type(caught.value) is error
        message = str(caught.value)
        assert "\n" not in message
        assert message.startswith("expected ")
        assert ", found " in message
        assert "; " in message
        for part in parts:
            assert part in message

    return check


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Run in an empty folder, with none of the variables that change what is said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))  # folders of a user's code are added to it
    for name in ("SEVIZ_DEBUG", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return the command line, in this process."""
    from seviz.cli import main

    def call(*words: object) -> Said:
        capsys.readouterr()
        code = main([str(w) for w in words])
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return call


@pytest.fixture(autouse=True)
def _halves_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every processor for one with bfloat16, so that a test gets what it asks for on any."""
    monkeypatch.setattr("seviz.data.processors.computes_in", lambda name: True)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Make every look-up of a host fail, and hide what was downloaded before."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError("no network in tests")

    monkeypatch.setattr("socket.getaddrinfo", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch-home"))


@contextmanager
def without_pictures() -> Iterator[None]:
    """Leave the printed figures out of reports: they take most of the time where a test reads the rest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(import_module("seviz.report.build"), "pictures", lambda inputs: {})
        yield


@pytest.fixture
def no_pictures() -> Iterator[None]:
    """Make reports `without_pictures`."""
    with without_pictures():
        yield


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing, neither files nor pictures in reports, where a test reads the rest."""
    monkeypatch.setattr("seviz.figures.catalogue.FIGURES", ())


@dataclass(frozen=True)
class Tiny:
    """A network with four classes and six SE blocks, and its checkpoint."""

    model: nn.Module
    path: Path
    arch: str
    arch_args: dict[str, Any]
    classes: list[str]
    preprocessing: Preprocessing

    @property
    def words(self) -> list[str]:
        """Return how the command line names the architecture."""
        pairs = [f"{k}={v}".replace(" ", "") for k, v in self.arch_args.items()]
        size = [str(n) for n in self.preprocessing.input_size]
        words = ["--arch", self.arch, "--arch-args", *pairs, "num_classes=4", "--input-size", *size]
        return [*words, "--crop-pct", "1"]


def _noises() -> Iterator[tuple[str, np.ndarray]]:
    """Yield twenty pictures of noise for each of three classes, some darker than others."""
    rng = np.random.default_rng(0)
    for level, name in enumerate(("ant", "cat", "dog")):
        for _ in range(20):
            yield name, rng.integers(0, 90 + 80 * level, (12, 12, 3)).astype(np.uint8)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """Build a network whose every tensor matters to its output."""
    import torch

    from seviz.networks import save_checkpoint
    from seviz.networks.architectures.registry import build
    from seviz.results.preprocessing import Preprocessing

    arch_args: dict[str, Any] = {"reduction": 4, "widths": (8, 8, 16)}
    torch.manual_seed(0)
    model = build("se_resnet14", num_classes=4, **arch_args)
    # Its norms remember such pictures as below, so that a pass over those finds that they fit.
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    pixels = torch.from_numpy(np.stack([noise for _, noise in _noises()])).permute(0, 3, 1, 2)
    model((pixels / 255 - 0.5) / 0.25)
    for name, counter in model.named_buffers():
        if name.endswith("num_batches_tracked"):  # of which files keep none
            counter.zero_()
    classes = ["ant", "bee", "cat", "dog"]
    preprocessing = Preprocessing((3, 12, 12), (0.5,) * 3, (0.25,) * 3, "bilinear", 1.0, "ours")
    path = save_checkpoint(
        tmp_path_factory.mktemp("tiny") / "tiny.pt",
        model,
        arch="se_resnet14",
        arch_args=arch_args,
        classes=classes,
        preprocessing=preprocessing,
    )
    return Tiny(model.eval(), path, "se_resnet14", arch_args, classes, preprocessing)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return twenty images in each of three of the tiny network's four classes; no bee."""
    from PIL import Image

    root = tmp_path_factory.mktemp("pictures")
    for i, (name, pixels) in enumerate(_noises()):
        (root / name).mkdir(exist_ok=True)
        Image.fromarray(pixels).save(root / name / f"{i % 20:02}.png")
    return root


@pytest.fixture(scope="session")
def digits_record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a record of the sample network on the digits."""
    import seviz

    folder = tmp_path_factory.mktemp("digits")
    seviz.collect(seviz.load(seviz.sample("se_resnet_digits")), "digits").save(folder)
    return folder
