"""Folding: an SE block replaced by its mean gate, multiplied into the layer before or after it."""

from seviz.pruning.folding.folded import Folded, FoldedBlock, fold, mean_gates

__all__ = ["Folded", "FoldedBlock", "fold", "mean_gates"]
