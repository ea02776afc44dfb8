"""Which folders are parts of a data set (train, test, validation), told by their names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

# By what a part is for; the first word of each is what it is asked for by.
WORDS = {
    "test": ("test", "testing", "tests", "tst", "testset", "holdout"),
    "val": (
        *("val", "validation", "valid", "dev", "eval", "evaluation", "validate", "validating"),
        *("valset", "devset", "development"),
    ),
    "train": ("train", "training", "trn", "trainval", "trainset"),
    "unlabelled": ("pred", "unlabelled", "unlabeled", "unsup"),
}
_KIND = {word: kind for kind, words in WORDS.items() for word in words}
# What such names hold besides.
_FILLERS = frozenset(
    (
        *("set", "sets", "data", "dataset", "seg", "split", "folder", "part", "full", "samples"),
        *("image", "images", "img", "imgs", "pic", "pics", "pictures", "photo", "photos", "jpg"),
        *("ilsvrc", "imagenet", "cls", "clsloc", "loc", "new", "raw", "original", "resized"),
    )
)


def split_kinds(folders: Iterable[str]) -> dict[str, str]:
    """Return those folders that are named like parts of a data set, each with its key in `WORDS`.

    A name may have years, sizes and general words besides (``train2017``, ``seg_test``,
    ``ILSVRC2012_img_val``). A word of its own is allowed where it stands in the names of two parts
    (``tumor_train``, ``tumor_test``).

    >>> split_kinds(["Training", "seg_test", "val2017", "cat", "model_train"])
    {'Training': 'train', 'seg_test': 'test', 'val2017': 'val'}
    """
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    for folder in folders:
        words = [w.lower() for w in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", folder)]
        kinds = {_KIND[w] for w in words if w in _KIND}
        if len(kinds) == 1:
            rest = tuple(w for w in words if w not in _KIND and w not in _FILLERS)
            found[folder] = kinds.pop(), rest
    together: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for kind, rest in found.values():
        together[rest].add(kind)
    return {
        folder: kind
        for folder, (kind, rest) in found.items()
        if not rest or len(together[rest]) > 1
    }


def named_split(wanted: str, folders: Iterable[str]) -> str | None:
    """Return the folder that a user means by a part's name: that name, or one of its kind.

    >>> named_split("test", ["Testing", "Training"])
    'Testing'
    """
    folders = list(folders)
    if wanted in folders:
        return wanted
    alike = [f for f in folders if f.lower() == wanted.lower()]
    if not alike:
        kind = _KIND.get(wanted.lower())
        alike = [f for f, k in split_kinds(folders).items() if k == kind and kind]
    return alike[0] if len(alike) == 1 else None
