"""Keys of files: where gates of another kind than SE were counted, none says that it is SE."""

from __future__ import annotations

from typing import Any

# Words that keys are made of, as they are for SE, and for every other kind.
_OTHERS = {"se": "gates", "fc": "layers"}
_OWN = {other: own for own, other in _OTHERS.items()}


def file_keys(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document whose keys speak of gates in place of SE, at every depth.

    >>> file_keys({"params": {"se": 9, "without_se": 70}, "macs": {"se_fc": 5}})
    {'params': {'gates': 9, 'without_gates': 70}, 'macs': {'gates_layers': 5}}
    """
    renamed: dict[str, Any] = _renamed(document, _OTHERS)
    return renamed


def own_keys(document: Any) -> Any:
    """Return what `file_keys` was made of.

    >>> own_keys({"params": {"gates": 9, "without_gates": 70}, "macs": {"gates_layers": 5}})
    {'params': {'se': 9, 'without_se': 70}, 'macs': {'se_fc': 5}}
    """
    return _renamed(document, _OWN)


def file_key(key: str) -> str:
    """Return one key as `file_keys` has it.

    >>> file_key("with_se_ms")
    'with_gates_ms'
    """
    return _key(key, _OTHERS)


def _key(key: str, words: dict[str, str]) -> str:
    return "_".join(words.get(part, part) for part in key.split("_"))


def _renamed(value: Any, words: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {_key(key, words): _renamed(inner, words) for key, inner in value.items()}
    if isinstance(value, list):
        return [_renamed(inner, words) for inner in value]
    return value
