"""``python -m seviz``."""

import sys

from seviz.cli import main

if __name__ == "__main__":
    sys.exit(main())
