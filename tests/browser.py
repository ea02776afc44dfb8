"""A real browser for tests of the report: the network is blocked, and every complaint is kept."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CHROMIUM = Path("/usr/bin/chromium")
PATIENCE = 300_000  # milliseconds; what hangs ends, what is slow on a busy machine does not fail
REQUIRED = os.environ.get("SEVIZ_BROWSER_TESTS") == "1"
ARGUMENTS = (
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

needs_browser = pytest.mark.skipif(
    not CHROMIUM.exists() and not REQUIRED, reason="needs Debian's Chromium"
)


@dataclass
class Opened:
    """A report in a browser, and what went wrong in it."""

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def show(self, selector: str) -> None:
        """Scroll something into view."""
        self.page.locator(selector).first.scroll_into_view_if_needed()

    def drawn(self, name: str) -> Any:
        """Scroll a chart into view, wait until it is drawn, and return its place."""
        self._begun(name)
        self.settle()
        return self.page.locator(f'[id="canvas-{name}"]')

    def draw_all(self) -> None:
        """Draw every chart that the page shows."""
        for name in self.page.evaluate(
            "[...document.querySelectorAll('.chart')].filter((c) => c.checkVisibility())"
            ".map((c) => c.dataset.chart)"
        ):
            self._begun(name)
        self.settle()

    def _begun(self, name: str) -> None:
        self.show(f'[data-chart="{name}"]')
        self.page.wait_for_selector(f'[id="canvas-{name}"][data-drawn]', timeout=PATIENCE)

    def settle(self) -> None:
        """Wait until what was asked for is painted."""
        self.page.evaluate(
            "async () => { while (renewing !== null) await renewing; "
            "for (let i = 0; i < 3; i++) await new Promise((go) => "
            "requestAnimationFrame(() => setTimeout(go, 20))); }"
        )

    def pixels(self, name: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Return what is seen of a chart, [height, width, 3]."""
        import io

        from PIL import Image

        shot = Image.open(io.BytesIO(self.drawn(name).screenshot())).convert("RGB")
        return np.asarray(shot)

    def hover(self, name: str, across: float, down: float) -> str:
        """Move the pointer over a chart, in shares of its size; return what its tooltip says."""
        box = self.drawn(name).bounding_box()
        x, y = box["x"] + across * box["width"], box["y"] + down * box["height"]
        for aside in (-2, 0):
            self.page.mouse.move(x + aside, y)
        self.settle()
        return str(self.page.evaluate(TOOLTIP))


# Bokeh's tooltips stand in shadow trees.
TOOLTIP = """() => {
  const found = [];
  const walk = (root) => {
    for (const element of root.querySelectorAll('*')) {
      if (element.classList.contains('bk-Tooltip') && getComputedStyle(element).display !== 'none') {
        found.push(element.shadowRoot.textContent);
      }
      if (element.shadowRoot) walk(element.shadowRoot);
    }
  };
  walk(document);
  return found.join('|');
}"""


@contextmanager
def opened(browser: Any, path: Path, said: str = "", **options: Any) -> Iterator[Opened]:
    """Open a report from disk; any request but the file itself is kept, and fails.

    What is said after ``#`` in the address may be given; more options are those of the browser's context.
    """
    options.setdefault("viewport", {"width": 1280, "height": 900})
    options.setdefault("reduced_motion", "reduce")  # a page that glides is drawn 60 times a second
    context = browser.new_context(accept_downloads=True, **options)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    report = Opened(page)

    def route(call: Any) -> None:
        report.requests.append(call.request.url)
        if call.request.url == path.resolve().as_uri():
            call.continue_()
        else:
            call.abort()

    page.route("**/*", route)
    page.on(
        "console",
        lambda m: report.complaints.append(m.text) if m.type in ("error", "warning") else None,
    )
    page.on("pageerror", lambda error: report.complaints.append(str(error)))
    page.on("dialog", lambda dialog: (report.complaints.append("dialog"), dialog.dismiss()))
    try:
        page.goto(path.resolve().as_uri() + f"#{said}" * bool(said))
        page.wait_for_selector(".canvas[data-drawn]", state="attached", timeout=PATIENCE)
        yield report
    finally:
        context.close()


@contextmanager
def running(*more: str) -> Iterator[Any]:
    """Run Chromium without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=[*ARGUMENTS, *more])
        try:
            yield browser
        finally:
            with suppress(Exception):
                browser.close()
