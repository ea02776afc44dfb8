"""Importing the zoos without PyTorch's compiler, which they load for what is hardly ever called."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch

_PLACE, _FUNCTION = "torch._dynamo.utils", "is_compile_supported"


class _Later(ModuleType):
    """Stands for the compiler's module until somebody needs more of it than that one function's name."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)  # what the machinery of imports asks of every module
        return getattr(_real(self), name)


def _real(stand_in: ModuleType) -> ModuleType:
    if sys.modules.get(_PLACE) is stand_in:
        del sys.modules[_PLACE]
    return importlib.import_module("torch._dynamo.utils")


@contextmanager
def without_compiler() -> Iterator[None]:
    """Return a context in which timm and torchvision are imported in less than half of the time.

    torchvision imports the compiler, a thousand modules, to ask it something when a detector aligns regions,
    and timm to mark functions that it shall not compile. Here both get functions that import it when they
    are called. Nothing is changed where the compiler is loaded already or PyTorch marks its own functions
    in another way than we know, and nothing stays behind but those.
    """
    mark = getattr(importlib.import_module("torch._compile"), "_disable_dynamo", None)
    if mark is None or _PLACE in sys.modules or "torch._dynamo" in sys.modules:
        yield
        return
    stand_in = _Later(_PLACE)

    def asked(*args: Any, **kwargs: Any) -> Any:
        return getattr(_real(stand_in), _FUNCTION)(*args, **kwargs)

    def marked(fn: Any = None, recursive: bool = True, **kwargs: Any) -> Any:
        return mark(fn, recursive)  # PyTorch's own way for its own functions

    setattr(stand_in, _FUNCTION, asked)
    sys.modules[_PLACE] = stand_in
    compiler: Any = torch.compiler
    before, compiler.disable = compiler.disable, marked
    try:
        yield
    finally:
        compiler.disable = before
        if sys.modules.get(_PLACE) is stand_in:
            del sys.modules[_PLACE]
