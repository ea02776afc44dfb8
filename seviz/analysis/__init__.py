"""Numbers from records. Never imports torch."""

from seviz.analysis.class_share import ClassShare, class_share

__all__ = ["ClassShare", "class_share"]
