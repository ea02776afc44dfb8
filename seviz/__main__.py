"""``python -m seviz``, and the command ``seviz`` of an installation."""

import gc
import sys


def main() -> int:
    """Run the command line; return the exit code."""
    # What is imported and drawn stays, and is many small objects: looking through them for cycles after
    # every 700 takes a tenth of the time.
    gc.set_threshold(50_000, 20, 50)
    from seviz.cli import main as run

    code = run()
    # Before it ends Python looks for cycles in all that is loaded, which takes a tenth of a second and
    # frees what the end of the process frees.
    gc.freeze()
    return code


if __name__ == "__main__":
    sys.exit(main())
