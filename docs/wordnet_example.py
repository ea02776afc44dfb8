"""Distances of ImageNet's classes: how many steps their words are apart in WordNet."""

import csv
import itertools

from nltk.corpus import wordnet

import seviz

classes = seviz.Record.load("reports/val").classes.classes
synsets = {
    c.wnid: wordnet.synset_from_pos_and_offset("n", int(c.wnid[1:])) for c in classes if c.wnid
}
with open("wordnet.csv", "w", newline="") as file:
    for (a, one), (b, other) in itertools.combinations(synsets.items(), 2):
        csv.writer(file).writerow((a, b, one.shortest_path_distance(other)))
