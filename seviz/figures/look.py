"""What a user may choose of how figures look: width, font, colours, names. Nothing of what they show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from seviz.errors import UsageError
from seviz.figures.layout import COLUMN_WIDTH, PAGE_WIDTH

CM = 2.54
# Below, the names of classes would be all there is room for; above, no printer takes it.
NARROWEST, WIDEST = 5.0, 120.0  # cm
WIDTHS = {"column": COLUMN_WIDTH, "page": PAGE_WIDTH}
Width = float | Literal["column", "page"]


@dataclass(frozen=True)
class Look:
    """How a figure looks; what is not said is seviz's own, or that of matplotlib's settings where changed.

    Attributes:
        width: Of the figure, in inches; as the number of panels needs it by default.
        font: Family of all text.
        palette: Colours: a name that matplotlib knows (``tab10``, ``viridis``, ``gray``, ...), or a list.
        rename: Names to show in place of those of classes.
        letters: Whether panels are lettered, (a), (b), ...
        ylim: Ends of the vertical axis of curves.
        free: Whether each panel of curves has a vertical axis of its own.
    """

    width: float | None = None
    font: str | None = None
    palette: str | tuple[str, ...] | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    letters: bool = False
    ylim: tuple[float, float] | None = None
    free: bool = False

    @classmethod
    def of(
        cls,
        *,
        width: Width | str | None = None,
        font: str | None = None,
        palette: str | Sequence[str] | None = None,
        rename: Mapping[str, str] | Sequence[str] | None = None,
        letters: bool = False,
        ylim: Sequence[float] | None = None,
        free: bool = False,
    ) -> Look:
        """Return a look, checked.

        Args:
            width: In centimetres, or ``column`` (8.9 cm) or ``page`` (18.3 cm) of a paper of two columns.
            font: A font family of this machine.
            palette: Name of a colour map of matplotlib, or colours.
            rename: New names by old ones, or words ``old=new``.
            letters: As the attribute.
            ylim: Lower and upper end.
            free: As the attribute.

        Raises:
            UsageError: If one of them cannot be.
        """
        return cls(
            width=_inches(width),
            font=_known_font(font),
            palette=_known_palette(palette),
            rename=_names(rename or {}),
            letters=letters,
            ylim=_ends(ylim),
            free=free,
        )

    def named(self, name: str) -> str:
        """Return what a class is called in the figure."""
        return self.rename.get(name, name)

    def check_names(self, labels: Iterable[str]) -> None:
        """Make sure that the new names are of classes, and that no two classes are called alike.

        Args:
            labels: Of every class there is, drawn or not; one may come more than once.

        Raises:
            UsageError: If a name is of no class, or two classes would have one name.
        """
        if not self.rename:
            return
        known = dict.fromkeys(labels)
        unknown = [repr(old) for old in self.rename if old not in known]
        if unknown:
            raise UsageError(
                f"expected the names of classes to rename, found {_some(unknown)}; there are "
                f"{_some([*known])}"
            )
        times = Counter(map(self.named, known))
        twice = next((name for name, count in times.items() if count > 1), None)
        if twice is not None:
            alike = [label for label in known if self.named(label) == twice]
            raise UsageError(
                f"expected a name of its own for each class, found {twice!r} twice, for {_some(alike)}; "
                "choose another"
            )


PLAIN = Look()


def _inches(width: Width | str | None) -> float | None:
    if width is None:
        return None
    if width in WIDTHS:
        return WIDTHS[str(width)]
    try:
        found = float(width)
    except ValueError:
        found = float("nan")
    if not NARROWEST <= found <= WIDEST:
        raise UsageError(
            f"expected a width of {NARROWEST:g} to {WIDEST:g} cm, or column or page, found {width!r}; a "
            "column is 8.9 cm, a page 18.3 cm"
        )
    return found / CM


def _known_font(font: str | None) -> str | None:
    if font is None:
        return None
    from matplotlib.font_manager import fontManager

    known = {f.name.casefold(): f.name for f in fontManager.ttflist}
    if font.casefold() not in known:
        raise UsageError(
            f"expected a font of this machine, found {font!r}; {_some(sorted(set(known.values())))} are here"
        )
    return known[font.casefold()]


def _some(names: Sequence[str], most: int = 8) -> str:
    return ", ".join([*names[:most], *(["..."] if len(names) > most else [])])


def _known_palette(palette: str | Sequence[str] | None) -> str | tuple[str, ...] | None:
    if not palette:
        return None
    words = (palette,) if isinstance(palette, str) else tuple(palette)
    if len(words) == 1:
        import matplotlib

        # Either spelling of the one without colours.
        name = {"grey": "gray"}.get(words[0], words[0])
        if name in matplotlib.colormaps:
            return name
    from matplotlib.colors import is_color_like

    wrong = next((w for w in words if not is_color_like(w)), None)
    if wrong is not None:
        raise UsageError(
            "expected a palette as the name of one of matplotlib's colour maps (tab10, viridis, grey) or as "
            f"colours ('#0072B2', 'red'), found {wrong!r}; without one all can tell the colours apart"
        )
    return words


def _names(rename: Mapping[str, str] | Sequence[str]) -> dict[str, str]:
    if isinstance(rename, Mapping):
        return dict(rename)
    found: dict[str, str] = {}
    for word in [rename] if isinstance(rename, str) else rename:
        old, sign, new = word.partition("=")
        if not sign or not old.strip() or not new.strip():
            raise UsageError(
                f"expected a new name as OLD=NEW, found {word!r}; quote a name with spaces, 'old name=new'"
            )
        before = found.setdefault(old.strip(), new.strip())
        if before != new.strip():
            raise UsageError(
                f"expected one new name for {old.strip()!r}, found {before} and {new.strip()}; leave one out"
            )
    return found


def _ends(ylim: Sequence[float] | None) -> tuple[float, float] | None:
    if not ylim:
        return None
    if len(ylim) != 2 or not ylim[0] < ylim[1]:
        raise UsageError(
            f"expected the vertical axis as two ends, the lower first, found {' '.join(map(str, ylim))}; "
            "for instance 0 1"
        )
    return float(ylim[0]), float(ylim[1])
