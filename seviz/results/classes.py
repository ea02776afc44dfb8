"""Class names: what a network's outputs are called, and which of them a user means.

A name is looked up as a WordNet id, then as a label, a synonym, an index. What fits two classes is
an error that lists them, never a guess.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from seviz.errors import UsageError

SENET_PAPER = "senet-paper"
# The classes of the paper's figures 6 and 7 with the names they have there: "plane" flies.
PRESETS: Mapping[str, Mapping[str, str]] = {
    SENET_PAPER: {
        "n01443537": "goldfish",
        "n02110958": "pug",
        "n02690373": "plane",
        "n09246464": "cliff",
    }
}
CARPENTERS_PLANE = "n03954731"


class ClassNameWarning(UserWarning):
    """A class name means something else than it seems to."""


@dataclass(frozen=True)
class ClassInfo:
    """One class.

    Attributes:
        label: The name shown.
        index: Position in the network's output.
        wnid: WordNet id (``n01443537``) where there is one.
        synonyms: Further names of the same class.
        definition: WordNet's gloss, to tell namesakes apart.
        folder: Name of the folder that holds its images.
    """

    label: str
    index: int
    wnid: str | None = None
    synonyms: tuple[str, ...] = ()
    definition: str | None = None
    folder: str | None = None

    def describe(self) -> str:
        """Return the class with everything that tells it from a namesake."""
        parts = [f"index {self.index}", *([self.wnid] if self.wnid else [])]
        gloss = f": {self.definition}" if self.definition else ""
        return f"{self.label} ({', '.join(parts)}{gloss})"


@dataclass(frozen=True)
class ClassChoice:
    """A class that the user asked for: its row in the table, and the name to show."""

    row: int
    name: str


def normalise(name: str) -> str:
    """Return a name in the form in which names are compared.

    Letters may be composed (as in names typed) or decomposed (as some file systems keep them).

    >>> normalise(" Great_White-Shark ")
    'great white shark'
    """
    composed = unicodedata.normalize("NFC", name).strip()
    # Only between words: "-1" is not "1", and a class of hyphens keeps its name.
    return re.sub(r"(?<=[^\s_-])[\s_-]+(?=[^\s_-])", " ", composed).casefold()


def _split_wnid(name: str) -> tuple[str | None, str]:
    """Return the WordNet id that a name begins with, and what follows: ``n01443537_goldfish``."""
    found = re.match(r"(n\d{8})(?:[\s_.:,-]+(.*))?$", name.strip(), re.IGNORECASE | re.DOTALL)
    return (found[1].lower(), found[2] or "") if found else (None, name)


def _parts(name: str) -> list[str]:
    """Return the names in ``goldfish, Carassius auratus``, none where there is no comma."""
    parts = [part for p in name.split(",") if (part := p.strip(" _\t"))]
    return parts if "," in name else []


@dataclass(frozen=True)
class ClassTable:
    """Classes in a fixed order, and the look-up of names in them.

    >>> table = ClassTable.from_labels(["cat", "dog"])
    >>> table.find("Dog")
    1
    """

    classes: tuple[ClassInfo, ...]

    @classmethod
    def from_labels(cls, labels: Sequence[str]) -> ClassTable:
        """Build a table of plain labels, index by position."""
        return cls(tuple(ClassInfo(label, i) for i, label in enumerate(labels)))

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def labels(self) -> list[str]:
        """Return the labels by row; namesakes get their WordNet id or index, so that no two are equal."""
        shown = [c.label for c in self.classes]
        # The index beside it where a class is called as a namesake is then, "cat (1)", or has its id as well.
        for more in ([c.wnid or c.index for c in self.classes], [c.index for c in self.classes]):
            seen = Counter(shown)
            if len(seen) == len(shown):
                break
            shown = [
                name if seen[name] == 1 else f"{name} ({own})"
                for name, own in zip(shown, more, strict=True)
            ]
        return shown

    @cached_property
    def _lookups(self) -> tuple[dict[str, list[int]], ...]:
        """Rows by normalised name, one table for each way of naming, in order of precedence."""
        tables: tuple[dict[str, list[int]], ...] = tuple(defaultdict(list) for _ in range(4))
        wnid, label, synonym, index = tables
        for row, (info, shown) in enumerate(zip(self.classes, self.labels, strict=True)):
            for name in {normalise(info.label), normalise(shown)}:
                label[name].append(row)
            for other in info.synonyms:
                synonym[normalise(other)].append(row)
            own, rest = _split_wnid(info.label)
            for known in {normalise(w) for w in (info.wnid, own) if w}:
                wnid[known].append(row)
            for part in {normalise(p) for p in (rest, *_parts(rest))} - {normalise(info.label)}:
                synonym[part].append(row)
            index[str(info.index)].append(row)
        return tables

    def rows(self, name: str) -> list[int]:
        """Return every row that ``name`` may mean: none, one, or several namesakes.

        Labels that differ in nothing but case or separators (the letters "a" and "A") are told
        apart where ``name`` is exactly one of them. Numbers may have leading zeros. The forms of
        ImageNet's lists are understood: ``n01443537_goldfish``, ``goldfish, Carassius auratus``.
        """
        rows = self._rows(name)
        if rows:
            return rows
        wnid, rest = _split_wnid(name)
        if wnid is not None:
            return self._rows(wnid) or self.rows(rest)
        meant = [found for found in map(self._readings, _parts(name)) if found]
        return sorted(set.intersection(*meant)) if meant else []

    def _readings(self, name: str) -> set[int]:
        """Return every row that has this name among others, an index left out."""
        key = normalise(name)
        return {row for table in self._lookups[:-1] for row in table.get(key, ())}

    def _rows(self, name: str) -> list[int]:
        key = normalise(name)
        keys = [key, key.lstrip("0") or "0"] if key.isdecimal() else [key]
        for table in self._lookups:
            for known in keys:
                if known in table:
                    rows = sorted(set(table[known]))
                    exact = [r for r in rows if self.classes[r].label == name]
                    return exact if len(exact) == 1 else rows
        return []

    def find(self, name: str) -> int:
        """Return the row of the one class that ``name`` means.

        Raises:
            UsageError: If no class has this name (the closest are named), or several have.
        """
        rows = self.rows(name)
        if len(rows) == 1:
            return rows[0]
        if rows:
            listed = "; ".join(self.classes[r].describe() for r in rows)
            raise UsageError(
                f"expected one class, found {len(rows)} named {name!r}: {listed}; "
                "use the WordNet id or the index"
            )
        close = self.closest(name)
        hint = f"closest: {', '.join(close)}" if close else f"there are {len(self)} classes"
        raise UsageError(
            "expected a class of this network (label, synonym, WordNet id or index), "
            f"found {name!r}; {hint}"
        )

    def closest(self, name: str, most: int = 3) -> list[str]:
        """Return the labels whose spelling, or whose synonym's, is nearest to ``name``."""
        names: dict[str, str] = {}
        for label, info in zip(self.labels, self.classes, strict=True):
            for known in (info.label, *info.synonyms):
                names.setdefault(normalise(known), label)
        key = normalise(name)
        within = [n for n in names if key in n.split()]
        near = difflib.get_close_matches(key, names, n=2 * most, cutoff=0.6)
        return list(dict.fromkeys(names[n] for n in [*near, *within]))[:most]

    def choose(self, names: Iterable[str]) -> list[ClassChoice]:
        """Return the classes that the user named, in the user's order, each once.

        A preset (``senet-paper``) stands for its classes. ImageNet's "plane" is a carpenter's tool;
        who asks for it by that name is warned.

        Raises:
            UsageError: If a name fits no class, or several.
        """
        chosen: dict[int, ClassChoice] = {}
        for name in names:
            for choice in self._expand(name):
                chosen.setdefault(choice.row, choice)
        return list(chosen.values())

    def _expand(self, name: str) -> list[ClassChoice]:
        if name in PRESETS:
            rows = {wnid: self.rows(wnid) for wnid in PRESETS[name]}
            missing = [f"{PRESETS[name][w]} ({w})" for w, found in rows.items() if not found]
            if missing:
                raise UsageError(
                    f"expected the ImageNet classes of the preset {name!r}, found none for "
                    f"{', '.join(missing)}; name the classes of this network instead"
                )
            return [ClassChoice(rows[w][0], shown) for w, shown in PRESETS[name].items()]
        row = self.find(name)
        info = self.classes[row]
        if info.wnid == CARPENTERS_PLANE and normalise(name) == "plane":
            warnings.warn(
                "ImageNet's 'plane' is the carpenter's plane (n03954731); the aeroplane is "
                f"'airliner', and --classes {SENET_PAPER} draws the classes of the SENet paper",
                ClassNameWarning,
                stacklevel=2,
            )
        return [ClassChoice(row, self.labels[row])]

    def to_list(self) -> list[dict[str, Any]]:
        """Return a JSON-able list that `from_list` reads; empty fields are left out."""
        return [{k: v for k, v in asdict(c).items() if v not in (None, ())} for c in self.classes]

    @classmethod
    def from_list(cls, values: Iterable[Mapping[str, Any]]) -> ClassTable:
        """Build from `to_list`'s output."""
        return cls(
            tuple(ClassInfo(**{**v, "synonyms": tuple(v.get("synonyms", ()))}) for v in values)
        )
