"""The short way for scripts and notebooks: what the command line can, Python can."""
