"""A dispatch mode that sees every operator, and does not load torch's compiler for that."""

from __future__ import annotations

import sys
from functools import wraps
from typing import Any

from torch._compile import _disable_dynamo
from torch.utils._python_dispatch import TorchDispatchMode


class DispatchMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """What `TorchDispatchMode` is, without two seconds of imports at the first operator.

    Torch marks ``__torch_dispatch__`` of every mode as not to be compiled, and to set that mark it loads its
    compiler. Where the compiler is not loaded nothing can be compiled, and there the mark is not set.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # by torch, which does it at once; versions before 2.9 do not ask

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)  # type: ignore[no-untyped-call]
        plain = cls.__torch_dispatch__
        marked = _disable_dynamo(plain, recursive=True)

        @wraps(plain)
        def dispatch(self: DispatchMode, *args: Any, **kwargs: Any) -> Any:
            seen = marked if "torch._dynamo" in sys.modules else plain
            return seen(self, *args, **kwargs)

        cls.__torch_dispatch__ = dispatch  # type: ignore[assignment,method-assign]
