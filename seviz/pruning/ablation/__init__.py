"""Top-1 with the gates of SE blocks replaced: which blocks matter?"""

from seviz.pruning.ablation.run import ablate

__all__ = ["ablate"]
