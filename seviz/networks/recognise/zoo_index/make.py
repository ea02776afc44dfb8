"""Write the index of timm's and torchvision's networks.

``python -m seviz.networks.recognise.zoo_index.make`` builds every network on the meta device,
which takes some minutes.
"""

from __future__ import annotations

import sys
import warnings

from seviz.networks.arch import build_architecture
from seviz.networks.building import on_meta
from seviz.networks.recognise.views import whole
from seviz.networks.recognise.zoo_index import FILE, Entry, dumps, histogram, names_hash
from seviz.networks.zoo import zoo_names
from seviz.results.files import written_whole


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
