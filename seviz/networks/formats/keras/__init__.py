"""Networks that Keras saved, rebuilt from their description."""
