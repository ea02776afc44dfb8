"""Damage to bytes: at random, the same for the same seed."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

import mutants

MAGIC = (
    *(
        b"\0",
        b"\xff",
        b"\x7f",
        b"\x80",
        b"\xff\xff\xff\xff",
        b"\x7f\xff\xff\xff",
        b"\xff\xff\xff\x7f",
    ),
    *(
        b"\0\0\0\0",
        b"\xff" * 8,
        b"\0" * 8,
        b"\0\0\0\x80",
        b"\x00\xca\x9a\x3b",
        b"\xff\xff\xff\xff\xff\xff\xff\x7f",
    ),
)
WORDS = (
    *(
        "",
        "0",
        "-1",
        "1e308",
        "NaN",
        "nan",
        "inf",
        "9" * 5000,
        "1" * 19,
        "=1+1",
        "@SUM(A1)",
        "\t=x",
        "\r",
    ),
    *(
        '"',
        "'",
        ",",
        ";",
        "\0",
        "\ufeff",
        "\u202e",
        "\x1b[2J",
        "null",
        "true",
        "[]",
        "{}",
        "../../x",
        "a" * 3000,
    ),
    *("\n", "\r\n", "\ud7ff", "é", "e\u0301", "!!python/object/apply:os.system [id]", "&a [*a]"),
)
Change = Callable[[bytes, random.Random], bytes]


def damaged(content: bytes, rng: random.Random, *, document: str = "") -> tuple[bytes, str]:
    """Return the content with some damage, and what that is called.

    Args:
        content: A good file.
        rng: Where the damage comes from.
        document: Name of the JSON in an archive of seviz, which has ways of damage of its own.
    """
    if document and rng.random() < 0.6:
        return mutants.archive(mutants.members_of(content), document, rng)
    if content[:2] == b"PK" and rng.random() < 0.5:
        return _inside(content, rng)
    ways = [*_BYTES, *(_TEXTS if _is_text(content) else ())]
    name = rng.choice(ways)
    return _WAYS[name](content, rng), name


def _inside(content: bytes, rng: random.Random) -> tuple[bytes, str]:
    """Damage one member of an archive, whose checksums are right afterwards."""
    members = mutants.members_of(content)
    name = rng.choice(list(members))
    how = rng.choice(["damage", "damage", "damage", "damage", "drop", "twice", "other name"])
    if how == "drop":
        del members[name]
    elif how == "twice":
        members[f"{name}2"] = members[name]
    elif how == "other name":
        members[f"x{name}"] = members.pop(name)
    else:
        members[name], how = damaged(members[name], rng)
    return mutants.packed(members), f"{how}: {name}"


def _is_text(content: bytes) -> bool:
    try:
        return content.decode().isprintable() or b"\n" in content
    except UnicodeDecodeError:
        return False


def _place(size: int, rng: random.Random) -> int:
    """Draw a position: anywhere, or where formats keep what describes the rest."""
    near = min(4000, size)
    return rng.choice(
        [rng.randrange(size + 1), rng.randrange(near + 1), size - rng.randrange(near + 1)]
    )


def _span(size: int, rng: random.Random) -> tuple[int, int]:
    begin = _place(size, rng)
    return begin, min(size, begin + rng.choice([1, 4, 16, 200, 5000]))


def _flip(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        changed[min(_place(len(content), rng), len(content) - 1)] ^= rng.randint(1, 255)
    return bytes(changed)


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: _place(len(content), rng)]


def _insert(content: bytes, rng: random.Random) -> bytes:
    place = _place(len(content), rng)
    return content[:place] + rng.randbytes(rng.randint(1, 64)) + content[place:]


def _drop(content: bytes, rng: random.Random) -> bytes:
    begin, end = _span(len(content), rng)
    return content[:begin] + content[end:]


def _repeat(content: bytes, rng: random.Random) -> bytes:
    begin, end = _span(len(content), rng)
    return content[:end] + content[begin:end] * rng.choice([1, 1, 3, 50]) + content[end:]


def _clear(content: bytes, rng: random.Random) -> bytes:
    begin, end = _span(len(content), rng)
    return content[:begin] + bytes(end - begin) + content[end:]


def _magic(content: bytes, rng: random.Random) -> bytes:
    place, value = _place(len(content), rng), rng.choice(MAGIC)
    return content[:place] + value + content[place + len(value) :]


def _swap(content: bytes, rng: random.Random) -> bytes:
    (a, b), (c, d) = sorted([_span(len(content), rng), _span(len(content), rng)])
    b = min(b, c)
    return content[:a] + content[c:d] + content[b:c] + content[a:b] + content[d:]


def _digit(content: bytes, rng: random.Random) -> bytes:
    """Change one digit of a number in text, and no length."""
    places = [found.start() for found in re.finditer(rb"[0-9]", content[:200_000])]
    if not places:
        return _flip(content, rng)
    place = rng.choice(places)
    return content[:place] + b"%d" % rng.randrange(10) + content[place + 1 :]


def _join(content: bytes, rng: random.Random) -> bytes:
    return content + (content if rng.random() < 0.3 else rng.randbytes(rng.randint(1, 5000)))


def _word(content: bytes, rng: random.Random) -> bytes:
    """Put a word that means something to somebody in the place of one."""
    words = list(re.finditer(rb"[\w.+-]+", content))
    found = rng.choice(words) if words else None
    begin, end = found.span() if found else (0, 0)
    return content[:begin] + rng.choice(WORDS).encode() + content[end:]


def _line(content: bytes, rng: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    if len(lines) < 2:
        return _word(content, rng)
    place, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    how = rng.choice(["drop", "twice", "swap", "often"])
    if how == "drop":
        del lines[place]
    elif how == "swap":
        lines[place], lines[other] = lines[other], lines[place]
    else:
        lines.insert(other, lines[place] * (500 if how == "often" else 1))
    return b"".join(lines)


def _coded(content: bytes, rng: random.Random) -> bytes:
    return content.decode().encode(
        rng.choice(["utf-16", "utf-16-be", "utf-32", "utf-8-sig", "utf-7"])
    )


_WAYS: dict[str, Change] = {
    "flip": _flip,
    "cut": _cut,
    "insert": _insert,
    "drop": _drop,
    "repeat": _repeat,
    "clear": _clear,
    "magic": _magic,
    "swap": _swap,
    "digit": _digit,
    "join": _join,
    "word": _word,
    "line": _line,
    "coded": _coded,
}
_TEXTS = ("word", "word", "word", "line", "coded")
_BYTES = tuple(name for name in _WAYS if name not in _TEXTS)
