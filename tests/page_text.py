"""A page as a reader without a browser has it."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path


class Words(HTMLParser):
    """The text of a page outside scripts and styles, and the attributes that could load something."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.loads: list[str] = []
        self._mute = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._mute += tag in ("script", "style")
        self.loads += [v for k, v in attrs if k in ("src", "href", "data", "action") and v]

    def handle_endtag(self, tag: str) -> None:
        self._mute -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._mute:
            self.words.append(data)


def read(path: Path) -> tuple[str, list[str]]:
    parser = Words()
    parser.feed(path.read_text(encoding="utf-8"))
    return " ".join(" ".join(parser.words).split()), parser.loads
