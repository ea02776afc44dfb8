"""What a configuration that is kept as text says of the images: Python, YAML or JSON, read and never run.

OpenMMLab's files hold their whole configuration so, others the YAML of their run.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from math import isfinite
from typing import Any

# Of what is searched; a configuration is a few kilobytes.
MOST_TEXT = 1 << 18
_ITEMS = r"[-+\d.eE*/,\s]{1,200}"
# ``to_rgb=False``: images are read as OpenCV reads them, and stay so.
_RGB = re.compile(r"\b(?:to_rgb|bgr_to_rgb)['\"]?\s*[=:]\s*(True|False|true|false)\b")


def told_in(text: str, names: Collection[str]) -> dict[str, Any]:
    r"""Return the lists of numbers that a text gives to names, and whether its images are made RGB.

    A name that is given two different lists tells nothing: nobody knows which counts.

    Args:
        text: A configuration.
        names: What is looked for.

    >>> told_in("img_norm_cfg = dict(mean=[0.5 * 255] * 3, std=[51, 51., 5.1e1])", {"mean", "std"})
    {'mean': [127.5, 127.5, 127.5], 'std': [51.0, 51.0, 51.0]}
    >>> told_in("mean:\n- 0.5\n- 0.4\n- 0.3\n", {"mean", "std"})
    {'mean': [0.5, 0.4, 0.3]}
    """
    if len(text) > MOST_TEXT or not any(name in text.lower() for name in names):
        return {}
    called = "|".join(sorted(map(re.escape, names)))
    listed = rf"(?i)(?<![\w.])({called})['\"]?[ \t]*[=:]\s*[\[(]({_ITEMS})[\])](?:\s*\*\s*(\w+))?"
    lines = rf"(?im)^[ \t]*({called}):[ \t]*\n((?:[ \t]*-[ \t]+[-+\d.e]+[ \t]*(?:\n|\Z)){{1,4}})()"
    found: dict[str, list[list[float] | None]] = {}
    for pattern, between in ((listed, ","), (lines, "\n")):
        for name, items, times in re.findall(pattern, text):
            own = items if between == "," else re.sub(r"(?m)^[ \t]*-", "", items)
            numbers = _numbers([part for part in own.split(between) if part.strip()])
            if times:
                numbers = numbers * int(times) if numbers and times in tuple("1234") else None
            found.setdefault(name.lower(), []).append(numbers)
    told: dict[str, Any] = {
        name: every[0] for name, every in found.items() if all(n == every[0] for n in every)
    }
    told = {name: numbers for name, numbers in told.items() if numbers is not None}
    words = {word.lower() for word in _RGB.findall(text)}
    if told and words == {"false"}:
        told["to_rgb"] = False
    return told


def _numbers(parts: list[str]) -> list[float] | None:
    """Return numbers, or products and quotients of them: ``0.485 * 255``."""
    numbers = []
    for part in parts:
        first, *rest = re.split(r"([*/])", part)
        try:
            number = float(first)
            for sign, other in zip(rest[::2], rest[1::2], strict=True):
                number = number * float(other) if sign == "*" else number / float(other)
        except (ValueError, ZeroDivisionError):
            return None
        if not isfinite(number):
            return None
        numbers.append(number)
    return numbers or None
