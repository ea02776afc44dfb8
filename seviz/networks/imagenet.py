"""The names of ImageNet-1k's classes, from the tables that come with timm."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from seviz.networks.importing import without_compiler
from seviz.results.classes import ClassInfo, ClassTable

NUM_CLASSES = 1000
# TensorFlow's networks have one output more, before the others: none of these classes.
WITH_BACKGROUND = NUM_CLASSES + 1


@cache
def imagenet_classes() -> ClassTable:
    """Return the 1000 classes of ImageNet-1k in the order of every network's outputs.

    The label is the first lemma of the WordNet synset, the synonyms are its other lemmas.

    >>> imagenet_classes().classes[404].describe()
    'airliner (index 404, n02690373: a commercial airplane that carries passengers)'
    """
    with without_compiler():
        from timm.data.imagenet_info import ImageNetInfo

    info = ImageNetInfo("imagenet-1k")
    classes = []
    for index in range(NUM_CLASSES):
        lemmas = info.index_to_description(index)
        detailed = info.index_to_description(index, detailed=True)
        label, *synonyms = lemmas.split(", ")
        classes.append(
            ClassInfo(
                label=label,
                index=index,
                wnid=info.index_to_label_name(index),
                synonyms=tuple(synonyms),
                definition=detailed.removeprefix(f"{lemmas}: "),
            )
        )
    return ClassTable(tuple(classes))


@cache
def imagenet_with_background() -> ClassTable:
    """Return the classes of TensorFlow's networks of 1001 outputs: background, then ImageNet-1k's.

    >>> imagenet_with_background().classes[405].describe()
    'airliner (index 405, n02690373: a commercial airplane that carries passengers)'
    """
    known = (replace(c, index=c.index + 1) for c in imagenet_classes().classes)
    return ClassTable((ClassInfo("background", 0), *known))
