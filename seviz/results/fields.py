"""From JSON that anybody may have written to dataclasses, each field checked against its type.

What is not there and has no default, or is of another type, is named by its place. What is there and is not
known is left out: a newer seviz may write more under the same schema version.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")
Reader = Callable[[object, str], Any]

# What fits NumPy's integers.
_MOST = 2**63


class FieldError(ValueError):
    """A document does not say what it should; the message names the place, what was expected and found."""


def parse(text: str | bytes) -> Any:
    """Return the content of a JSON document.

    Raises:
        FieldError: If it is none, or has a name twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except FieldError:
        raise
    except (ValueError, RecursionError) as exc:
        reason = "it is nested too deeply" if isinstance(exc, RecursionError) else str(exc)
        raise FieldError(f"no JSON: {reason}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(n for n, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise FieldError(f"{_shown(twice)} twice in one object")
    return found


def read(kind: type[T], value: object, where: str) -> T:
    """Return a value of JSON as the type that is expected there.

    Args:
        kind: A dataclass, whose fields may be dataclasses, plain values, tuples and mappings of them; or
            any such type itself. A dataclass that was built already is checked in the same way.
        value: What ``json.loads`` gave.
        where: What the value is called, for messages.

    Raises:
        FieldError: If something is missing or of another type.

    >>> read(tuple[int, ...], [1, 2.5], "sizes")
    Traceback (most recent call last):
    ...
    seviz.results.fields.FieldError: expected a whole number as sizes[1], found 2.5
    """
    result: T = _reader(typing.cast(Any, kind))(value, where)
    return result


@cache
def _reader(hint: Any) -> Reader:
    """Return the function that reads values of a type."""
    if hint in _PLAIN:
        return _PLAIN[hint]
    if hint is Any:
        return lambda value, where: value
    if dataclasses.is_dataclass(hint):
        return _dataclass_reader(hint)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _optional_reader(args)
    if origin is tuple:
        return _tuple_reader(args)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping_reader(args[1])
    if origin is typing.Literal:
        return _literal_reader(args)
    raise TypeError(f"no JSON form of {hint}")


def _whole(value: object, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not -_MOST <= value < _MOST:
        raise _wrong("a whole number", value, where)
    return value


def _number(value: object, where: str) -> float:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _MOST:
        return value  # 1 is how JSON of other tools writes 1.0
    if not isinstance(value, float) or not math.isfinite(value):
        raise _wrong("a number", value, where)
    return value


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise _wrong("text", value, where)
    # Half of a surrogate pair can be written in JSON, and nowhere else.
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def _flag(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong("true or false", value, where)
    return value


def _nothing(value: object, where: str) -> None:
    if value is not None:
        raise _wrong("null", value, where)


_PLAIN: dict[Any, Reader] = {
    int: _whole,
    float: _number,
    str: _text,
    bool: _flag,
    types.NoneType: _nothing,
}


def _dataclass_reader(kind: Any) -> Reader:
    hints = typing.get_type_hints(kind)
    fields = [
        (
            field.name,
            _reader(hints[field.name]),
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
        )
        for field in dataclasses.fields(kind)
    ]

    def read_dataclass(value: object, where: str) -> Any:
        if isinstance(value, kind):
            if type(value) is not kind:  # what a subclass has more is kept
                return _reader(typing.cast(Any, type(value)))(value, where)
            values: Mapping[str, Any] = vars(value)
        elif isinstance(value, Mapping):
            values = value
        else:
            raise _wrong("an object", value, where)
        found = {}
        for name, reader, required in fields:
            if name in values:
                found[name] = reader(values[name], f"{where}.{name}")
            elif required:
                raise FieldError(f"expected {where}.{name}, found none")
        return kind(**found)

    return read_dataclass


def _optional_reader(kinds: tuple[Any, ...]) -> Reader:
    (reader,) = (_reader(kind) for kind in kinds if kind is not types.NoneType)
    return lambda value, where: None if value is None else reader(value, where)


def _tuple_reader(kinds: tuple[Any, ...]) -> Reader:
    endless = kinds[-1] is Ellipsis
    readers = [_reader(kind) for kind in kinds if kind is not Ellipsis]

    def read_tuple(value: object, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise _wrong("a list", value, where)
        if not endless and len(value) != len(readers):
            raise _wrong(f"{len(readers)} values", value, where)
        own = readers * len(value) if endless else readers
        return tuple(
            reader(one, f"{where}[{i}]")
            for i, (reader, one) in enumerate(zip(own, value, strict=True))
        )

    return read_tuple


def _mapping_reader(kind: Any) -> Reader:
    reader = _reader(kind)

    def read_mapping(value: object, where: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise _wrong("an object", value, where)
        return {
            _text(name, where): reader(one, f"{where}.{_shown(name)}")
            for name, one in value.items()
        }

    return read_mapping


def _literal_reader(allowed: tuple[Any, ...]) -> Reader:
    def read_literal(value: object, where: str) -> Any:
        if value not in allowed or type(value) not in {type(one) for one in allowed}:
            raise _wrong(" or ".join(map(repr, allowed)), value, where)
        return value

    return read_literal


def _wrong(expected: str, value: object, where: str) -> FieldError:
    return FieldError(f"expected {expected} as {where}, found {_shown(value)}")


def _shown(value: object) -> str:
    """Return what was found, in a few words."""
    if isinstance(value, Mapping | list | tuple):
        return f"{'an object' if isinstance(value, Mapping) else 'a list'} of {len(value)}"
    if isinstance(value, int) and not -_MOST <= value < _MOST:
        return "a number of more than 18 digits"
    text = json.dumps(value) if isinstance(value, str | bool | None) else repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
