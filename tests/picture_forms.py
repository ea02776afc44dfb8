"""The same pictures in every form that stands after ``--data``."""

from __future__ import annotations

import csv
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from PIL import Image

Form = Callable[[Path, Path], str]


def files(pictures: Path) -> list[tuple[Path, str]]:
    return [(f, f.parent.name) for f in sorted(pictures.rglob("*.png"))]


BATCH = 8


def as_folder(pictures: Path, out: Path) -> str:
    return str(pictures)


def as_table(pictures: Path, out: Path) -> str:
    rows = (f"{f}\t{n}\n" for f, n in files(pictures))
    (out / "list.tsv").write_text("path\tlabel\n" + "".join(rows))
    return str(out / "list.tsv")


def as_list(pictures: Path, out: Path) -> str:
    with (out / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "label"], *files(pictures)])
    return str(out / "list.csv")


def as_parquet_list(pictures: Path, out: Path) -> str:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = {"path": [str(f) for f, _ in files(pictures)], "label": [n for _, n in files(pictures)]}
    parquet.write_table(pyarrow.table(rows), out / "list.parquet")
    return str(out / "list.parquet")


def as_shards(pictures: Path, out: Path) -> str:
    writers = pytest.importorskip("webdataset")
    with writers.ShardWriter(f"file:{out}/pets-%03d.tar", maxcount=25, verbose=0) as sink:
        for n, (file, name) in enumerate(files(pictures)):
            sink.write({"__key__": f"{n:06}", "png": file.read_bytes(), "cls": name.encode()})
    return str(out / "pets-{000..002}.tar")


def as_glob(pictures: Path, out: Path) -> str:
    for shard in range(3):
        with tarfile.open(out / f"p{shard}.tar", "w", format=tarfile.PAX_FORMAT) as tar:
            for n, (file, name) in enumerate(files(pictures)[shard * 20 : shard * 20 + 20]):
                add(tar, f"a/{n:03}.meta.json", json.dumps({"label": name}).encode())
                add(tar, f"a/{n:03}.png", file.read_bytes())
    return str(out / "p*.tar")


def as_parquet(pictures: Path, out: Path) -> str:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    found = files(pictures)
    table = pyarrow.table(
        {
            "image": [{"bytes": f.read_bytes(), "path": f.name} for f, _ in found],
            "label": [name for _, name in found],
        }
    )
    parquet.write_table(table, out / "pets.parquet", row_group_size=7)
    return str(out / "pets.parquet")


def as_hub(pictures: Path, out: Path) -> str:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    names = ["ant", "cat", "dog"]
    found = files(pictures)
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=names)}
    )
    columns = {
        "image": [{"bytes": f.read_bytes(), "path": None} for f, _ in found],
        "label": [names.index(n) for _, n in found],
    }
    datasets.Dataset.from_dict(columns, features=features).save_to_disk(str(out / "hub"))
    return f"hf:{out / 'hub'}"


def as_zip(pictures: Path, out: Path) -> str:
    with zipfile.ZipFile(out / "pets.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file, name in reversed(files(pictures)):
            archive.write(file, f"pets/val/{name}/{file.name}")
            archive.write(file, f"pets/train/{name}/{file.name}")
            archive.writestr(f"__MACOSX/pets/val/{name}/._{file.name}", b"x")
    return str(out / "pets.zip")


def as_arrays(pictures: Path, out: Path) -> str:
    found = files(pictures)
    pixels = np.stack([np.asarray(Image.open(f)) for f, _ in found])
    np.savez(out / "pets.npz", x=pixels, y=np.array([n for _, n in found]))
    return str(out / "pets.npz")


def as_tensors(pictures: Path, out: Path) -> str:
    import torch

    found = files(pictures)
    pixels = torch.from_numpy(np.stack([np.asarray(Image.open(f)) for f, _ in found]))
    torch.save(
        {"images": pixels.permute(0, 3, 1, 2), "labels": [n for _, n in found]}, out / "pets.pt"
    )
    return str(out / "pets.pt")


# A function of the user's; what stands for the images are prepared by hand, with torchvision alone.
CODE = """
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder


def pets():
    steps = [transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.25,) * 3)]
    return DataLoader(ImageFolder({place!r}, transforms.Compose(steps)), {size})


def place():
    return {place!r}
"""


def as_loader_of_a_function(pictures: Path, out: Path) -> str:
    (out / "own.py").write_text(CODE.format(place=str(pictures), size=BATCH))
    return f"{out / 'own.py'}:pets"


def as_what_a_function_names(pictures: Path, out: Path) -> str:
    as_loader_of_a_function(pictures, out)
    return f"{out / 'own.py'}:place"


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


LABELLED: Mapping[str, Form] = MappingProxyType(
    {
        function.__name__[3:]: function
        for function in (
            *(as_list, as_parquet_list, as_shards, as_glob, as_parquet, as_hub, as_zip, as_arrays),
            *(as_table, as_tensors, as_loader_of_a_function, as_what_a_function_names),
        )
    }
)


# -------------------------------------------------------------------------------------------------
# Without classes


def flat_folder(pictures: Path, out: Path) -> str:
    (out / "flat").mkdir(exist_ok=True)
    for n, (file, _) in enumerate(files(pictures)):
        (out / "flat" / f"{n:03}.png").write_bytes(file.read_bytes())
    return str(out / "flat")


def flat_list(pictures: Path, out: Path) -> str:
    (out / "flat.csv").write_text("\n".join(["path", *(str(f) for f, _ in files(pictures))]))
    return str(out / "flat.csv")


def flat_shards(pictures: Path, out: Path) -> str:
    with tarfile.open(out / "flat.tar", "w") as tar:
        for n, (file, _) in enumerate(files(pictures)):
            add(tar, f"{n:03}.png", file.read_bytes())
    return str(out / "flat.tar")


def flat_array(pictures: Path, out: Path) -> str:
    np.save(out / "flat.npy", np.stack([np.asarray(Image.open(f)) for f, _ in files(pictures)]))
    return str(out / "flat.npy")


def flat_tensor(pictures: Path, out: Path) -> str:
    import torch

    pixels = torch.from_numpy(np.stack([np.asarray(Image.open(f)) for f, _ in files(pictures)]))
    torch.save(pixels, out / "flat.pt")
    return str(out / "flat.pt")


def flat_parquet(pictures: Path, out: Path) -> str:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pyarrow.table({"image": [f.read_bytes() for f, _ in files(pictures)]})
    parquet.write_table(table, out / "flat.parquet")
    return str(out / "flat.parquet")


UNLABELLED: Mapping[str, Form] = MappingProxyType(
    {
        function.__name__[5:]: function
        for function in (flat_list, flat_shards, flat_array, flat_tensor, flat_parquet)
    }
)
