"""Names from elsewhere: on one line, whatever is in them, and cut where they are too long for a label."""

from __future__ import annotations

import re

from seviz.errors import printable

LONGEST = 60
# A path of this machine, at the start of a word or after a quote, "=" or ":": only its last part says
# anything to a reader elsewhere.
_FOLDERS = re.compile(
    r"(?<![\w.\\/])(?:[A-Za-z]:|\\)?(?:[\\/][^\\/\s'\"<>|:]+)+[\\/](?=[^\\/\s'\"])"
)


def shown(name: str) -> str:
    r"""Return a name in which nothing changes the line or the direction of writing.

    >>> print(shown("a\u202eb"))
    a\u202eb
    """
    return printable(name)


def short(name: str, longest: int = LONGEST) -> str:
    """Return a name without its middle where it is too long for the label of a chart.

    >>> short("x" * 300, 9)
    'xxxx…xxxx'
    """
    name = shown(name)
    if len(name) <= longest:
        return name
    return f"{name[: longest // 2]}…{name[-(longest - longest // 2 - 1) :]}"


def sentence(text: str) -> str:
    """Return a text as a sentence: with a capital, unless it begins with a name, and a full stop.

    >>> sentence("size: of batch norm"), sentence("SE has 4 gates."), sentence("se_net.pt is small")
    ('Size: of batch norm.', 'SE has 4 gates.', 'se_net.pt is small.')
    """
    word = text.split(maxsplit=1)[0].rstrip(",:;") if text.strip() else ""
    if len(word) > 1 and word.isalpha() and word.islower():
        text = text[0].upper() + text[1:]
    return text if not text or text.endswith((".", "!", "?", ":")) else f"{text}."


def prose_without_folders(text: str) -> str:
    """Return a text without the folders of this machine.

    >>> prose_without_folders("read /home/me/data/cat/1.png; cifar10:/data/c10")
    'read 1.png; cifar10:c10'
    """
    return _FOLDERS.sub("", text)
