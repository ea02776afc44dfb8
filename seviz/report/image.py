"""What SE does to single images: one HTML file, its figures and its tables."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seviz.analysis.image import caution, describe_image
from seviz.figures.image_block import image_block
from seviz.figures.image_overview import image_overview
from seviz.figures.look import PLAIN, Look
from seviz.figures.saving import DPI, save_figure
from seviz.figures.style import figure_style
from seviz.report.embedding import stylesheet
from seviz.report.folder import Written
from seviz.report.page import environment
from seviz.report.pictures import Picture
from seviz.results.files import written_whole
from seviz.results.image import ImageExplanation
from seviz.tables.csv_files import write_csv
from seviz.tables.image import answers_table, image_blocks_table, image_channels_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE = "image.html"
# Photographs in vectors are many times the bytes, and no sharper.
FORMATS = ("png",)
_SCREEN = 96
_QUALITY = 90  # of 100; text stays sharp


@dataclass(frozen=True)
class _Drawn:
    name: str
    picture: Picture
    files: tuple[Path, ...]


def write_image(
    explained: ImageExplanation,
    folder: str | Path,
    formats: Sequence[str] = FORMATS,
    *,
    look: Look = PLAIN,
    dpi: float | None = None,
) -> Written:
    """Write what SE does to some images into a folder: ``image.html``, figures and tables.

    Args:
        explained: From `seviz.explain_image`.
        folder: Where files go: ``image.*``, ``image_<block>.*``, ``image_channels.csv``.
        formats: Formats of the figures.
        look: How the figures look.
        dpi: Dots per inch of their files; the page has its own.

    Raises:
        UsageError: If there is no such format.
    """
    target = Path(folder)
    drawn = list(_draw(explained, target, formats, look, dpi))
    tables = (
        write_csv(image_blocks_table(explained), target / "image.csv"),
        write_csv(image_channels_table(explained, every=True), target / "image_channels.csv"),
    )
    page = target / PAGE
    with written_whole(page) as temporary:
        temporary.write_text(_page(explained, drawn), encoding="utf-8", newline="\n")
    files = tuple(path for one in drawn for path in one.files)
    names = tuple(b.block.name for b in explained.images[0].blocks)
    return Written(figures=files, tables=(page, *tables), blocks=names)


def _draw(
    explained: ImageExplanation,
    folder: Path,
    formats: Sequence[str],
    look: Look,
    dpi: float | None,
) -> Iterator[_Drawn]:
    names = ", ".join(image.name for image in explained.images)
    yield _drawn(
        "",
        image_overview(explained, look=look),
        f"{names}: the answer, how far the gates are from their means, and the answer with gates held",
        folder / "image",
        formats,
        dpi,
    )
    for found in explained.images[0].blocks:
        name = found.block.name
        yield _drawn(
            name,
            image_block(explained, name, look=look),
            f"{name}: feature maps before and after the gate over {names}, and all gates",
            folder / f"image_{name}",
            formats,
            dpi,
        )


def _drawn(
    name: str, figure: Figure, text: str, stem: Path, formats: Sequence[str], dpi: float | None
) -> _Drawn:
    files = save_figure(figure, stem, formats, dpi=dpi)
    png = next((f.read_bytes() for f in files if f.suffix == ".png" and dpi is None), None)
    if png is None:
        file = io.BytesIO()
        with figure_style():
            figure.savefig(file, format="png", dpi=DPI)
        png = file.getvalue()
    wide, tall = figure.get_size_inches()
    shown = Picture(_embedded(png), text, round(_SCREEN * wide), round(_SCREEN * tall))
    return _Drawn(name, shown, tuple(files))


def _embedded(png: bytes) -> str:
    """Return a picture as a data URI: as WebP, a tenth of the bytes, where this Pillow writes it."""
    from PIL import Image, features

    kind, content = "png", png
    if features.check("webp"):
        file = io.BytesIO()
        with Image.open(io.BytesIO(png)) as picture:
            picture.convert("RGB").save(file, format="WEBP", quality=_QUALITY, method=2)
        kind, content = "webp", file.getvalue()
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _page(explained: ImageExplanation, drawn: Sequence[_Drawn]) -> str:
    from importlib.metadata import version

    overview, *blocks = drawn
    several = len(explained.images) > 1
    answered = any(image.top for image in explained.images)
    sections: list[dict[str, Any]] = [
        {
            "name": one.name,
            "label": one.name,
            "title": _title(explained, one.name),
            "picture": one.picture,
            "channels": image_channels_table(explained, one.name),
        }
        for one in blocks
    ]
    said = [
        {"name": image.name, "sentences": describe_image(explained, image)}
        for image in explained.images
    ]
    page = environment().get_template("image.html.j2")
    return page.render(
        command="image",
        title=explained.images[0].name if not several else f"{len(explained.images)} images",
        explained=explained,
        said=said,
        caution=caution(explained),
        overview=overview.picture,
        answers=answers_table(explained) if answered else None,
        blocks=image_blocks_table(explained),
        sections=sections,
        styles=stylesheet(),
        made=f"seviz {version('seviz')}",
    )


def _title(explained: ImageExplanation, name: str) -> str:
    block = next(b.block for b in explained.images[0].blocks if b.block.name == name)
    return f"{block.channels} channels of {'x'.join(map(str, block.spatial))}, {block.path}"
