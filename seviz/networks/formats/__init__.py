"""Files of weights, whatever wrote them: read without running anything from them."""
