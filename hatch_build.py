"""What the wheel says of itself: the README, made to be read away from the repository.

A package index shows the README alone, and shows images from absolute addresses only. So its relative
links are put behind the address under which the files of the repository are served: ``files-url`` of
``[tool.hatch.metadata.hooks.custom]``, or the environment variable ``SEVIZ_FILES_URL``. Where neither is
set, an image becomes its description and a link its text, so that nothing points nowhere.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

# ![text](target) and [text](target) where the target is no address and no heading of this page. Code in
# backticks may stand in the text.
_LINK = re.compile(
    r"(?P<image>!?)\[(?P<text>[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*)\]\((?!https?:|mailto:|#)(?P<target>[^)\s]+)\)"
)


def standalone(text: str, files_url: str = "") -> str:
    """Return Markdown whose links work without the files around it.

    >>> standalone("![a cat](cat.png) and [more](docs/more.md)", "https://example.org/seviz/")
    '![a cat](https://example.org/seviz/cat.png) and [more](https://example.org/seviz/docs/more.md)'
    >>> standalone("![a cat](cat.png) and [more](docs/more.md)")
    '*a cat* and more'
    """

    def replaced(link: re.Match[str]) -> str:
        image, shown, target = link["image"], link["text"], link["target"]
        if files_url:
            return f"{image}[{shown}]({files_url.rstrip('/')}/{target})"
        return f"*{shown}*" if image else shown

    return _LINK.sub(replaced, text)


class StandaloneReadme(MetadataHookInterface):
    """Hatchling calls this for the one dynamic field, ``readme``."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the long description."""
        url = os.environ.get("SEVIZ_FILES_URL") or self.config.get("files-url", "")
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": standalone(text, url)}
