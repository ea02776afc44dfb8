"""The pass: a network meets images, once, and a record is what is left.

``seviz.collect`` is this package and, called, the function that stands for it: ``seviz.collect(net, data)``.
"""

from __future__ import annotations

import inspect
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seviz.results.record import Record


class _CallablePackage(ModuleType):
    """Python binds a package to its name in the parent, where users expect the function."""

    def __call__(self, *args: Any, **kwargs: Any) -> Record:
        from seviz.collect.run import collect

        return collect(*args, **kwargs)

    @property
    def __signature__(self) -> inspect.Signature:
        from seviz.collect.run import collect

        return inspect.signature(collect)


sys.modules[__name__].__class__ = _CallablePackage
