"""Write the index of timm's and torchvision's networks: ``python -m seviz.loading.zoo_index.make``.

Builds every network on the meta device, which takes some minutes.
"""

from __future__ import annotations

import sys
import warnings

from seviz.files import written_whole
from seviz.loading.arch import build_architecture
from seviz.loading.building import on_meta
from seviz.loading.views import whole
from seviz.loading.zoo import zoo_names
from seviz.loading.zoo_index import FILE, Entry, dumps, histogram, names_hash


def entry(name: str) -> Entry:
    """Build ``timm:NAME`` or ``torchvision:NAME`` on the meta device and describe it."""
    state = on_meta(lambda: build_architecture(name, {})).state_dict()
    view = whole({k: tuple(v.shape) for k, v in state.items()})
    return Entry(name, histogram(view), names_hash(view))


def main() -> int:
    """Write ``networks.json`` beside this file; name what cannot be built."""
    warnings.simplefilter("ignore")
    found, failed = [], []
    names = zoo_names()
    for number, name in enumerate(names, 1):
        try:
            found.append(entry(name))
        except Exception as exc:
            failed.append(f"{name}: {' '.join(str(exc).split())[:100]}")
        if number % 100 == 0:
            print(f"{number} of {len(names)}", file=sys.stderr)
    with written_whole(FILE) as temporary:
        temporary.write_text(dumps(found), encoding="utf-8")
    print(f"{len(found)} networks in {FILE.name}; not built: {', '.join(failed) or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
