"""Images in each raster format, and containers of images and lists of them that stand after ``--data``."""

from __future__ import annotations

import csv
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fuzz.reader import Content, Reader, equal

Pixels = npt.NDArray[np.uint8]
CLASSES = ("ant", "bee")
SIZE = 20


def pixels(number: int = 0) -> Pixels:
    """Return an image that no format makes nothing of: a gradient and noise, uint8 [H, W, 3]."""
    rng = np.random.default_rng(number)
    ramp = np.linspace(0, 200, SIZE)[:, None, None]
    return (ramp + rng.integers(0, 55, (SIZE, SIZE, 3))).astype(np.uint8)


def encoded(form: str, number: int = 0) -> bytes:
    """Return an image file."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels(number)).save(stream, form)
    return stream.getvalue()


def _make_image(form: str, suffix: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / f"x{suffix}"
        path.write_bytes(encoded(form))
        return path

    return make


def _read(path: Path) -> Content:
    """Read images as a pass does: from a source, by its decoder, to tensors."""
    from seviz.data.base import Source
    from seviz.data.decoding import Decoder
    from seviz.data.sources import open_source
    from seviz.data.transforms import build_transform
    from seviz.errors import DataError
    from seviz.results.preprocessing import Preprocessing

    source = open_source(str(path))
    assert isinstance(source, Source)
    prepared = Preprocessing((3, 12, 12), (0.5,) * 3, (0.25,) * 3, "bilinear", 1.0, "ours")
    shown = np.arange(min(len(source), 4))
    decoder = Decoder(source, build_transform(prepared), shown, source.labels[shown])
    found: dict[str, Any] = {"labels": [source.folders[i] for i in source.labels[:1000]]}
    failed = []
    for place in shown:
        tensor, *_ = decoder[int(place)]
        source.image_name(int(place))
        if isinstance(tensor, str):
            failed.append(tensor)
        else:
            assert tuple(tensor.shape) == (3, 12, 12)
            found[f"image {place}"] = np.asarray(source.image(int(place)))
    if len(failed) == len(shown):
        raise DataError(f"expected images, found {failed[:1]}; none can be read")
    source.fingerprint(shown)
    return found


def _by_torchvision(path: Path) -> Content:
    from torchvision.io import ImageReadMode, decode_image, read_file

    found = decode_image(read_file(str(path)), ImageReadMode.UNCHANGED).permute(1, 2, 0).numpy()
    return {"image 0": found[..., 0] if found.shape[-1] == 1 else found, "labels": ["all"]}


def _by_both(path: Path) -> Content:
    """Read with torchvision, else with Pillow: a JPEG that lacks its end is shown everywhere."""
    try:
        return _by_torchvision(path)
    except RuntimeError:
        return _by_pillow(path)


def _by_pillow(path: Path) -> Content:
    """Read with any of Pillow's decoders: that ours reads no other image."""
    from PIL import Image

    with Image.open(path) as image:
        return {"image 0": np.asarray(image), "labels": ["all"]}


def _fits_image(name: str, value: Any, judged: Content) -> bool:
    """Return whether an image is the judge's; of palettes and bits each library has its own form."""
    own = judged.get(name)
    same_form = (
        isinstance(own, np.ndarray) and own.shape == value.shape and own.dtype == value.dtype
    )
    return equal(value, own) if same_form or name == "labels" else name in judged


def _fits_first(name: str, value: Any, judged: Content) -> bool:
    return name.startswith("image") or equal(value, judged.get(name))


IMAGES = {
    "PNG": (".png", _by_torchvision),
    "JPEG": (".jpg", _by_both),
    "GIF": (".gif", _by_pillow),
    "BMP": (".bmp", _by_pillow),
    "PPM": (".ppm", _by_pillow),
    "TIFF": (".tif", _by_pillow),
    "WEBP": (".webp", _by_pillow),
    "AVIF": (".avif", _by_pillow),
    "JPEG2000": (".jp2", _by_pillow),
    "ICO": (".ico", _by_pillow),
    "PCX": (".pcx", _by_pillow),
    "QOI": (".qoi", _by_pillow),
    "SGI": (".sgi", _by_pillow),
    "TGA": (".tga", _by_pillow),
}


# -------------------------------------------------------------------------------------------------
# Several images in a file, or named in one


def _make_npz(folder: Path) -> Path:
    path = folder / "x.npz"
    images = np.stack([pixels(i) for i in range(6)])
    np.savez(path, images=images, labels=np.arange(6) % 2, names=np.array(CLASSES))
    return path


def _judge_npz(path: Path) -> Content:
    with np.load(path) as loaded:
        images = loaded["images"]
        labels = loaded["labels"].tolist() if "labels" in loaded else ["all"] * len(images)
        if "labels" in loaded and "names" in loaded:
            names = [str(name) for name in loaded["names"]]
            labels = [names[i] for i in labels]
        return {"labels": [str(label) for label in labels], **_numbered(images)}


def _numbered(images: npt.NDArray[Any]) -> dict[str, Any]:
    return {f"image {i}": image for i, image in enumerate(images[:4])}


def _make_npy(folder: Path) -> Path:
    path = folder / "x.npy"
    np.save(path, np.stack([pixels(i) for i in range(6)]))
    return path


def _make_pt(folder: Path) -> Path:
    import torch

    path = folder / "x.pt"
    images = torch.from_numpy(np.stack([pixels(i) for i in range(6)]))
    torch.save({"images": images, "labels": torch.arange(6) % 2, "names": CLASSES}, path)
    return path


def _judge_pt(path: Path) -> Content:
    import torch

    loaded = torch.load(path, weights_only=True)
    images = loaded["images"].numpy()
    labels = loaded["labels"].tolist() if "labels" in loaded else ["all"] * len(images)
    if "labels" in loaded and "names" in loaded:
        labels = [loaded["names"][i] for i in labels]
    return {"labels": [str(label) for label in labels], **_numbered(images)}


def _judge_npy(path: Path) -> Content:
    images = np.load(path)
    return {"labels": ["all"] * len(images), **_numbered(images)}


def _fits_arrays(name: str, value: Any, judged: Content) -> bool:
    """Return whether pixels are those of the array, where it is one of bytes with the channels last."""
    own = judged.get(name)
    same_form = isinstance(own, np.ndarray) and own.shape == value.shape and own.dtype == np.uint8
    return equal(value, own) if same_form or name == "labels" else name in judged


def _make_tar(folder: Path) -> Path:
    path = folder / "x.tar"
    with tarfile.open(path, "w") as archive:
        for i in range(6):
            for suffix, content in ((".png", encoded("PNG", i)), (".txt", CLASSES[i % 2].encode())):
                info = tarfile.TarInfo(f"{i:04}{suffix}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path


def _judge_tar(path: Path) -> Content:
    with tarfile.open(path) as archive:
        content = {m.name: archive.extractfile(m) for m in archive.getmembers() if m.isfile()}
        text = {
            n: f.read().decode().strip() for n, f in content.items() if f and n.endswith(".txt")
        }
    names = [n for n in content if n.endswith(".png")]
    return {"labels": [text[f"{name[:-4]}.txt"] if text else "all" for name in names]}


def _make_zip(folder: Path) -> Path:
    path = folder / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(6):
            info = zipfile.ZipInfo(f"{CLASSES[i % 2]}/{i}.png")
            archive.writestr(info, encoded("PNG", i))
    return path


def _judge_zip(path: Path) -> Content:
    with zipfile.ZipFile(path) as archive:
        names = sorted(n for n in archive.namelist() if n.endswith(".png"))
    return {"labels": [name.rpartition("/")[0].rpartition("/")[2] for name in names]}


def _make_list(folder: Path) -> Path:
    _write_images(folder)
    path = folder / "x.csv"
    rows = [f"images/{i}.png,{CLASSES[i % 2]}" for i in range(6)]
    path.write_text("\n".join(["path,label", *rows]) + "\n")
    return path


def _write_images(folder: Path) -> None:
    (folder / "images").mkdir(exist_ok=True)
    for i in range(6):
        (folder / "images" / f"{i}.png").write_bytes(encoded("PNG", i))


def _judge_list(path: Path) -> Content:
    rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    filled = [row for row in rows[1:] if any(map(str.strip, row))]
    if rows[0][0].endswith(".png"):  # no names of columns
        return {"labels": [row[1].strip() for row in rows if any(map(str.strip, row))]}
    if "label" not in rows[0]:  # of another name: paths alone
        return {"labels": ["all"] * len(filled)}
    place = rows[0].index("label")
    return {"labels": [row[place].strip() for row in filled]}


def _make_list_parquet(folder: Path) -> Path:
    import pyarrow
    from pyarrow import parquet

    _write_images(folder)
    path = folder / "x.parquet"
    labels = [CLASSES[i % 2] for i in range(6)]
    table = pyarrow.table({"path": [f"images/{i}.png" for i in range(6)], "label": labels})
    parquet.write_table(table, path)
    return path


def _make_table(folder: Path) -> Path:
    import pyarrow
    from pyarrow import parquet

    path = folder / "x.parquet"
    images = [{"bytes": encoded("PNG", i), "path": f"{i}.png"} for i in range(6)]
    table = pyarrow.table({"image": images, "label": [CLASSES[i % 2] for i in range(6)]})
    parquet.write_table(table, path)
    return path


def _judge_parquet(path: Path) -> Content:
    from pyarrow import parquet

    return {"labels": parquet.read_table(path)["label"].to_pylist()}


# -------------------------------------------------------------------------------------------------
# Names of classes

NAMES = ["ant", "bee", "čáp", "tench, Tinca tinca"]


def _names(file: str, text: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / file
        path.write_text(text, encoding="utf-8")
        return path

    return make


def _make_names_npy(folder: Path) -> Path:
    np.save(folder / "x.npy", np.array(NAMES))
    return folder / "x.npy"


def _read_names(path: Path) -> Content:
    from seviz.networks.class_files import read_class_names

    return {"names": [info.label for info in read_class_names(path).classes]}


def _judge_names(path: Path) -> Content:
    """Read the list as its kind of file says; other shapes than that which was written are no judge's."""
    if path.suffix == ".npy":
        return {"names": [str(name) for name in np.load(path)]}
    raw = path.read_bytes()
    text = raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    if path.suffix == ".json":
        content = json.loads(text)
    elif path.suffix == ".yaml":
        import yaml  # type: ignore[import-untyped]

        content = yaml.safe_load(text)["names"]
    elif path.suffix == ".csv":
        rows = [row for row in csv.reader(io.StringIO(text, newline="")) if "".join(row).strip()]
        if all(len(row) == 1 for row in rows):
            return {"names": [row[0].strip() for row in rows]}
        content = {row[0]: row[1].strip() for row in rows[not rows[0][0].strip().isdecimal() :]}
    else:
        return {"names": [line.strip() for line in text.splitlines() if line.strip()]}
    if isinstance(content, dict):
        return {"names": [content[key] for key in sorted(content, key=int)]}
    return {"names": content}


_ROWS = "".join(f'{i},"{name}"\n' for i, name in enumerate(NAMES))
_YAML = "names:\n" + "".join(f"  {i}: '{name}'\n" for i, name in enumerate(NAMES))

READERS = (
    *(
        Reader(form, "image", _make_image(form, suffix), _read, judge, fits=_fits_image)
        for form, (suffix, judge) in IMAGES.items()
    ),
    Reader("images.npz", "data", _make_npz, _read, _judge_npz, fits=_fits_arrays),
    Reader("images.npy", "data", _make_npy, _read, _judge_npy, fits=_fits_arrays),
    Reader("images.pt", "data", _make_pt, _read, _judge_pt, fits=_fits_arrays),
    Reader("shard.tar", "data", _make_tar, _read, _judge_tar, fits=_fits_first),
    Reader("images.zip", "data", _make_zip, _read, _judge_zip, fits=_fits_first),
    Reader("list.csv", "data", _make_list, _read, _judge_list, fits=_fits_first),
    Reader("list.parquet", "data", _make_list_parquet, _read, _judge_parquet, fits=_fits_first),
    Reader("images.parquet", "data", _make_table, _read, _judge_parquet, fits=_fits_first),
    Reader(
        "classes.txt", "class list", _names("x.txt", "\n".join(NAMES)), _read_names, _judge_names
    ),
    Reader(
        "classes.json", "class list", _names("x.json", json.dumps(NAMES)), _read_names, _judge_names
    ),
    Reader("classes.yaml", "class list", _names("x.yaml", _YAML), _read_names, _judge_names),
    Reader(
        "classes.csv", "class list", _names("x.csv", "id,name\n" + _ROWS), _read_names, _judge_names
    ),
    Reader("classes.npy", "class list", _make_names_npy, _read_names, _judge_names),
)
