"""Numbers on the command line: what is one, and how large; the same for every option of every command.

The parser of words takes more than people write: ``1_000``, ``0x10``, digits of any script, 2.7 images as 3.
And Python reads ``nan`` and ``1e400``, which are numbers for nobody who gives one as an option.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from seviz.errors import UsageError

if TYPE_CHECKING:
    from cyclopts.argument import Argument

# More digits than any number of images, channels or seeds has.
_WHOLE = re.compile(r"[+-]?\d{1,40}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
# Up to where numbers go: what a machine counts with, and what any size, share or axis is within.
_MOST_WHOLE, _MOST = 2**31 - 1, 1e9
# And where less is beyond sense already: no machine runs so many processes, holds so many images at once.
MOST: Mapping[str, int] = {"--batch-size": 2**20, "--workers": 1024, "--pairs": 10**6}
# Checked as such, with limits of their own.
_OTHERS = frozenset({"--seed"})


def whole_number(word: str) -> int | None:
    """Return the whole number that a word is, in digits as people write it; ``None`` if it is none.

    >>> whole_number("16"), whole_number("1_6"), whole_number("16.0"), whole_number("\u0661")
    (16, None, None, None)
    """
    return int(word) if _WHOLE.fullmatch(word) else None


def number(word: str) -> float | None:
    """Return the number that a word is; ``None`` if it is none, or not finite.

    >>> number("0.5"), number("5e-1"), number("nan"), number("1e400"), number("1_0")
    (0.5, 0.5, None, None, None)
    """
    value = float(word) if len(word) <= 400 and _NUMBER.fullmatch(word) else math.nan
    return value if math.isfinite(value) else None


def bare(hint: Any) -> Any:
    """Return a type without what is said about it, and without None.

    >>> bare(Annotated[int, "images"] | None)
    <class 'int'>
    """
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) in (Union, UnionType):
        (hint,) = (each for each in get_args(hint) if each is not type(None))
    return bare(hint) if get_origin(hint) is Annotated else hint


def check_numbers(arguments: Iterable[Argument]) -> None:
    """Check every number that was given to a command, by a flag or as a default of the project.

    Raises:
        UsageError: If a word is no number, or one that no option takes.
    """
    for argument in arguments:
        kind = bare(argument.hint)
        kind = bare(get_args(kind)[0]) if get_origin(kind) is tuple else kind
        if kind not in (int, float) or argument.parameter.count:
            continue
        for token in argument.tokens:
            origin = "" if token.source in ("", "cli") else f" in {token.source}"
            called = f"{token.keyword or argument.name}{origin}"
            _check(argument.name, kind, token.value, called)


def _check(option: str, kind: type, word: str, called: str) -> None:
    value = whole_number(word) if kind is int else number(word)
    if value is None:
        wanted = "a whole number in digits" if kind is int else "a number such as 0.5 or 5e-1"
        raise UsageError(f"expected {wanted} for {called}, found {_short(word)}; give one")
    most = MOST.get(option, _MOST_WHOLE if kind is int else _MOST)
    if option not in _OTHERS and abs(value) > most:
        raise UsageError(
            f"expected {called} of at most {most:,.0f}, found {_short(word, quoted=False)}; give a "
            "smaller number"
        )


def _short(word: str, *, quoted: bool = True) -> str:
    shown = word if len(word) <= 40 else f"{word[:40]}..."
    return repr(shown) if quoted else shown
