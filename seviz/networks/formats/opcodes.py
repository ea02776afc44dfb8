"""What a pickle asks of its reader, told from its opcodes before any of them is run.

PyTorch's restricted reader runs no code from a file, but it builds whatever it is told to build. A few
bytes make it copy one list a million times, allocate ten gigabytes, or nest tuples so deep that hashing
them overflows the stack of the interpreter. The pickle machine is followed here with the sizes of the
objects in place of the objects; its opcodes are those of Python's ``pickletools``.
"""

from __future__ import annotations

import pickletools
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from seviz.networks.formats.archives import MOST_TENSORS

# Deeper than any checkpoint, and far from what overflows a stack.
_DEEPEST = 1000
# A reader that copies more than this for each byte of the file was made to.
_COPIES, _ALWAYS = 10, 1_000_000
_PYTHON_2 = {"__builtin__": "builtins", "copy_reg": "copyreg"}
_PUT = frozenset({"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"})
_GET = frozenset({"GET", "BINGET", "LONG_BINGET"})
_FILL = frozenset({"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"})
_CALL = frozenset({"REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ", "INST"})
# Called with a number, these allocate that many bytes; torch.save calls none of them.
_ALLOCATES = re.compile(r"torch\..*(Tensor|Storage)|torch\._utils\._rebuild_device_tensor_.*")
# Fills what it allocates; torch.save writes it for no tensor.
_FILLS = "builtins.bytearray"
# Calls its first argument, whatever that is.
_CALLS_ANOTHER = "torch._tensor._rebuild_from_type_v2"
_TENSOR = "torch._utils._rebuild_tensor"
_REBUILDS = re.compile(r"torch\._utils\._rebuild_(?!device_tensor_).*")


class HarmfulPickleError(ValueError):
    """Reading would exhaust the memory or the stack; the message says how."""


@dataclass(eq=False, slots=True)
class _Value:
    """An object on the stack: how deep it nests, how large a copy is, and the text or name it is."""

    depth: int = 0
    size: int = 0
    name: str = ""
    parts: list[_Value] = field(default_factory=list)

    def take(self, parts: Iterable[_Value]) -> None:
        for part in parts:
            self.parts.append(part)
            self.size += 1
            self.depth = max(self.depth, part.depth + 1)
        if self.depth > _DEEPEST:
            raise HarmfulPickleError(f"objects nested more than {_DEEPEST:,} deep")


class _Machine:
    """Follows one pickle."""

    def __init__(self) -> None:
        self.stack: list[_Value | None] = []  # None is a mark
        self.memo: dict[int, _Value] = {}
        self.copied = 0
        self.tensors = 0

    def follow(self, opcode: pickletools.OpcodeInfo, argument: Any, position: int) -> str | None:
        """Run one opcode; return the dotted name that it asks for, if it asks for one."""
        kind, stack = opcode.name, self.stack
        if kind in _PUT:
            place = len(self.memo) if argument is None else argument
            if place > position:
                raise HarmfulPickleError(f"place {place:,} in the memory of {position:,} bytes")
            self.memo[place] = self._top()
        elif kind in _GET:
            stack.append(self.memo[argument])
        elif kind == "MARK":
            stack.append(None)
        elif kind == "DUP":
            stack.append(self._top())
        elif kind == "POP":
            stack.pop()
        else:
            return self._build(opcode, argument, position)
        return None

    def _build(self, opcode: pickletools.OpcodeInfo, argument: Any, position: int) -> str | None:
        kind, taken = opcode.name, self._taken(opcode)
        if kind in _FILL:
            target, *parts = taken
            if kind == "BUILD":
                self._count(parts, position)
            target.take(parts)
            self.stack.append(target)
            return None
        for _ in opcode.stack_after:
            made = _Value()
            if isinstance(argument, str):
                made.size, made.name = len(argument), argument
            elif isinstance(argument, bytes | bytearray):
                made.size = len(argument)
            made.take(taken)
            self.stack.append(made)
        name = _name(kind, argument, taken)
        if name == _FILLS:
            raise HarmfulPickleError(f"{name}, which fills memory")
        if kind in {"GLOBAL", "STACK_GLOBAL"}:
            self._top().name = name or ""
        elif kind in _CALL:
            called = [_Value(name=name), *taken] if name is not None else taken
            self._top().size = self._call(called, position)
        return name

    def _call(self, taken: list[_Value], position: int) -> int:
        called, *arguments = taken
        given = [part for argument in arguments for part in argument.parts]
        if called.name == _CALLS_ANOTHER and not _REBUILDS.fullmatch(given[0].name):
            raise HarmfulPickleError(f"a call of {given[0].name[:80]!r} through another")
        if _ALLOCATES.fullmatch(called.name):
            raise HarmfulPickleError(f"a call of {called.name}, which allocates memory")
        if called.name.startswith(_TENSOR):
            self.tensors += 1
            if self.tensors > MOST_TENSORS:
                raise HarmfulPickleError(f"more than {MOST_TENSORS:,} tensors")
        return self._count(arguments, position)

    def _count(self, values: list[_Value], position: int) -> int:
        """Add what a call may copy: its arguments, and what they hold."""
        size = sum(v.size + sum(part.size for part in v.parts) for v in values)
        self.copied += size
        if self.copied > _ALWAYS + _COPIES * position:
            raise HarmfulPickleError(f"{self.copied:,} copies in {position:,} bytes")
        return size

    def _taken(self, opcode: pickletools.OpcodeInfo) -> list[_Value]:
        before = opcode.stack_before
        if pickletools.markobject not in before:
            first = len(self.stack) - len(before)
        else:
            mark = len(self.stack) - 1 - self.stack[::-1].index(None)
            first = mark - before.index(pickletools.markobject)
        if first < 0:
            raise ValueError("a pickle that takes more from its stack than there is")
        taken = [value for value in self.stack[first:] if value is not None]
        del self.stack[first:]
        return taken

    def _top(self) -> _Value:
        top = self.stack[-1]
        if top is None:
            raise ValueError("a pickle with a mark in place of an object")
        return top


def follow(file: BinaryIO, names: set[str]) -> None:
    """Follow one pickle to its end.

    Args:
        file: Positioned at the pickle; left behind it.
        names: The dotted names of the classes and functions that it asks for are added, as far as it
            was followed.

    Raises:
        HarmfulPickleError: If reading it would exhaust the memory or the stack.
        Exception: If it is no pickle, or a damaged one.
    """
    machine = _Machine()
    start: int | None = None
    for opcode, argument, position in pickletools.genops(file):
        start = (position or 0) if start is None else start
        name = machine.follow(opcode, argument, (position or 0) - start)
        if name is not None:
            names.add(name)


def _name(kind: str, argument: Any, taken: list[_Value]) -> str | None:
    if kind in {"GLOBAL", "INST"}:
        module, _, name = str(argument).partition(" ")
        # Python 2's names of what protocol 2 writes.
        return f"{_PYTHON_2.get(module, module)}.{name}"
    if kind == "STACK_GLOBAL":
        return ".".join(value.name for value in taken)
    return None
