"""The names of ImageNet-1k's classes, from the tables that come with timm."""

from __future__ import annotations

from functools import cache

from seviz.results.classes import ClassInfo, ClassTable

NUM_CLASSES = 1000


@cache
def imagenet_classes() -> ClassTable:
    """Return the 1000 classes of ImageNet-1k in the order of every network's outputs.

    The label is the first lemma of the WordNet synset, the synonyms are its other lemmas.

    >>> imagenet_classes().classes[404].describe()
    'airliner (index 404, n02690373: a commercial airplane that carries passengers)'
    """
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
