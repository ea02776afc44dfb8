"""One HTML file that holds everything a record says. Never imports torch."""

from seviz.report.build import write_report
from seviz.report.index import write_index

__all__ = ["write_index", "write_report"]
