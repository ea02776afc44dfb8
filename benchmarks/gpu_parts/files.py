"""From JPEG files to a record: decoding by processes of the host, and by the GPU."""

from __future__ import annotations

import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from endtoend import MEAN, STD, make_files

import seviz
from gpu_parts.clock import Clock, say, seconds_of
from gpu_parts.networks import LARGE, SMALL, Subject
from seviz.collect.options import PassOptions
from seviz.collect.prepare import prepare
from seviz.networks import LoadedModel
from seviz.results.preprocessing import Preprocessing

MADE, LINKS = 1024, 6


def files(device: torch.device, clock: Clock, *, small: bool) -> dict[str, Any]:
    """Measure images per second of decoding alone, of a loop by hand, of `seviz.collect`, of nvJPEG."""
    subject = (SMALL if small else LARGE)[0]
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_files(root, 16 if small else MADE)
        found["images"] = _linked(root, 1 if small else LINKS)
        loaded = _loaded(subject)
        for kind in (None,) if small else (None, "tf32", "bfloat16"):
            options = PassOptions(
                device=str(device), amp_dtype=kind, labels="data", workers=0 if small else None
            )
            images = found["images"]
            if kind is None:
                begin = time.perf_counter()
                for _ in prepare(loaded, folder, options).batches():
                    pass
                found["decoding alone"] = round(images / (time.perf_counter() - begin))
                say(f"decoding: {found['decoding alone']} images/s", clock)
            arrivals = Arrivals()
            took = seconds_of(
                lambda o=options, a=arrivals: seviz.collect(loaded, folder, o, progress=a), device
            )
            name = f"seviz.collect, {kind or 'float32'}"
            found[name] = round(images / took)
            found[f"{name}, after its first batch"] = arrivals.rate
            say(f"{name}: {images / took:.0f} images/s, then {arrivals.rate}", clock)
        if clock.left > 30 and not small:
            found["loop by hand, float32"] = _by_hand(loaded, folder, device)
        found["nvJPEG, resized and cropped there"] = _on_gpu(root, device)
    found["processors"] = os.cpu_count()
    return found


class Arrivals:
    """A progress bar that notes when batches are done."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, int]] = []

    @contextmanager
    def __call__(self, total: int) -> Iterator[Callable[[int], None]]:
        """Yield what is told the size of each batch."""
        yield lambda count: self._seen.append((time.perf_counter(), count))

    @property
    def rate(self) -> int:
        """Return the images per second between the end of the first batch and that of the last."""
        if len(self._seen) < 2:
            return 0
        seconds = self._seen[-1][0] - self._seen[0][0]
        return round(sum(count for _, count in self._seen[1:]) / seconds)


def _linked(root: Path, times: int) -> int:
    """Give every file more names; return how many there are."""
    own = sorted(root.rglob("*.jpg"))
    for number in range(1, times):
        for path in own:
            os.link(path, path.with_name(f"{number}-{path.name}"))
    return len(own) * times


def _loaded(subject: Subject) -> LoadedModel:
    """Return a network as `seviz.load` gives it."""
    model, _ = subject.make(torch.device("cpu"))
    preprocessing = Preprocessing(subject.size, MEAN, STD, "bilinear", 0.875, "ours")
    return LoadedModel(model, subject.name, subject.name, "0" * 64, None, preprocessing)


def _by_hand(loaded: LoadedModel, folder: str, device: torch.device) -> int:
    """What a script does on a GPU: ImageFolder, DataLoader, hooks that bring the gates home."""
    from torch.utils.data import DataLoader
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    prepared = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    images = ImageFolder(folder, prepared)
    model = loaded.model.to(device)
    kept: dict[str, list[Any]] = {}

    def keep(name: str) -> Any:
        return lambda m, a, out: kept.setdefault(name, []).append(
            out.flatten(1).float().cpu().numpy()
        )

    handles = [
        m.register_forward_hook(keep(n)) for n, m in model.named_modules() if n.endswith("sigmoid")
    ]
    loader = DataLoader(images, 256, num_workers=os.cpu_count() or 1, pin_memory=True)
    begin = time.perf_counter()
    with torch.inference_mode():
        for batch, _ in loader:
            model(batch.to(device, non_blocking=True)).cpu()
    took = time.perf_counter() - begin
    for handle in handles:
        handle.remove()
    return round(len(images) / took)


def _on_gpu(root: Path, device: torch.device) -> Any:
    """Decode, resize and crop on the GPU: as fast as files can become images there."""
    from torchvision.io import decode_jpeg
    from torchvision.transforms.v2 import functional

    paths = sorted(root.rglob("*.jpg"))[:1024]
    data = [torch.from_numpy(np.fromfile(p, np.uint8)) for p in paths]

    def decode() -> None:
        for start in range(0, len(data), 128):
            for image in decode_jpeg(data[start : start + 128], device=device):
                functional.center_crop(functional.resize(image, [256], antialias=True), [224, 224])

    try:
        with warnings.catch_warnings():
            # torchvision 0.29 points to torchcodec.
            warnings.simplefilter("ignore", DeprecationWarning)
            decode()
            return round(len(data) / seconds_of(decode, device))
    except RuntimeError as exc:
        print(f"nvJPEG: {exc}", file=sys.stderr)
        return f"not run: {str(exc).splitlines()[0][:100]}"
