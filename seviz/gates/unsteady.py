"""What a network computes that depends on more than the image, though it is in evaluation mode.

A norm that takes its statistics from the batch at hand makes a gate one of a batch, and images that come
class by class look more alike within a class than they are. Random numbers make it another in each pass.
"""

from __future__ import annotations

from collections.abc import Callable

from seviz.gates.graph import Graph, Op

_NORMS = frozenset(
    {
        "batch_norm",
        "_batch_norm_impl_index",
        "native_batch_norm",
        "_native_batch_norm_legit",
        "_batch_norm_with_update",
        "cudnn_batch_norm",
        "miopen_batch_norm",
    }
)
_FLAGS = ("training", "train")
_RANDOM = frozenset(
    {
        "native_dropout",
        "bernoulli",
        "rand",
        "rand_like",
        "randn",
        "randn_like",
        "randint",
        "randint_like",
        "randperm",
        "multinomial",
        "normal",
        "uniform",
        "exponential",
        "random",
    }
)


def norms_of_the_batch(graph: Graph) -> tuple[str, ...]:
    """Return the modules in which norms take the statistics of the batch, in the order of the pass.

    Norms of single images, which PyTorch computes as batch norms of a batch of one, are none of them.

    Args:
        graph: The recorded pass, in evaluation mode.
    """
    return _paths(graph, lambda op: _takes_batch(op, graph.batch))


def random_numbers(graph: Graph) -> tuple[str, ...]:
    """Return the modules in which random numbers are drawn, in the order of the pass.

    Args:
        graph: The recorded pass, in evaluation mode.
    """
    return _paths(graph, lambda op: op.name in _RANDOM)


def _paths(graph: Graph, wanted: Callable[[Op], bool]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(op.call.path for op in graph.ops if wanted(op)))


def _takes_batch(op: Op, batch: int) -> bool:
    if op.name not in _NORMS or not op.inputs or op.inputs[0].shape[:1] != (batch,):
        return False
    given = dict(zip((a.name for a in op.func._schema.arguments), op.args, strict=False))
    flags = [value for name, value in (given | op.kwargs).items() if name in _FLAGS]
    return op.name == "_batch_norm_with_update" or any(flag is True for flag in flags)
