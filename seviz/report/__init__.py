"""One HTML file that holds everything a record says. Never imports torch."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seviz.report.build import write_report
    from seviz.report.index import write_index

__all__ = ["write_index", "write_report"]


def __getattr__(name: str) -> Any:
    # When they are asked for: a redraw writes into the folder of results, and needs nothing of the page.
    if name == "write_report":
        from seviz.report.build import write_report

        return write_report
    if name == "write_index":
        from seviz.report.index import write_index

        return write_index
    raise AttributeError(f"module 'seviz.report' has no attribute {name!r}")
