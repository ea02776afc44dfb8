"""``python -m seviz``, and the command ``seviz`` of an installation."""

import gc
import os
import sys


def main() -> int:
    """Run the command line; return the exit code."""
    gc.set_threshold(500_000)  # from the first import on; `for_records` says why
    if sys.path[:1] in ([""], [os.getcwd()] if os.path.exists(".") else [""]):
        # With ``python -m``: a file torch.py where somebody stands is not PyTorch.
        del sys.path[0]
    from seviz.cli import main as run
    from seviz.cli.process import for_files, for_records, for_streams

    for_streams()
    for_records()
    for_files()
    code = run()
    # Before it ends Python looks for cycles in all that is loaded, which takes a tenth of a second and
    # frees what the end of the process frees.
    gc.freeze()
    return code


if __name__ == "__main__":
    sys.exit(main())
