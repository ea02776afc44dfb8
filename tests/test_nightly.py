"""The sweeps that are run at night: the last result of each stands in ``nightly.md``, and is good."""

from __future__ import annotations

from collections import Counter

import pytest
from conftest import NIGHTLY
from nightly import RESULT, page, rows, sweeps

JUNIT = """<testsuites><testsuite>
<testcase classname="tests.test_x" name="test_a[1]" time="60"><properties>
<property name="outcome" value="found"/></properties></testcase>
<testcase classname="tests.test_x" name="test_a[2]" time="30"><failure/></testcase>
<testcase classname="tests.test_x" name="test_a[3]" time="30"><skipped/></testcase>
<testcase classname="tests.test_y" name="test_b" time="0"><error/></testcase>
</testsuite></testsuites>"""


def test_what_is_written_is_read() -> None:
    swept = sweeps(JUNIT).items()
    found = rows("\n".join(page(sweep.row(name, "Python 3") for name, sweep in swept)))
    assert list(found) == ["test_x.py::test_a", "test_y.py::test_b"]
    assert list(found["test_x.py::test_a"].values())[1:] == [
        *("3", "1", "1", "1", "2.0", "1 found", "Python 3")
    ]
    assert list(found["test_y.py::test_b"].values())[1:6] == ["1", "0", "0", "1", "0.0"]


def test_the_last_result_is_of_the_tests_of_today_and_good(request: pytest.FixtureRequest) -> None:
    """Of those that were collected with this one: all, unless some files were named."""
    found = rows(RESULT.read_text(encoding="utf-8"))
    cases: Counter[str] = request.config.stash[NIGHTLY]
    for name, number in cases.items():
        assert name in found, f"{name} has not been run; make nightly"
        assert int(found[name]["cases"]) == number, f"{name} has other cases now; make nightly"
    assert {name: row for name, row in found.items() if row["failed"] != "0"} == {}
    files = {name.partition("::")[0] for name in cases}
    gone = [n for n in found if n.partition("::")[0] in files and n not in cases]
    assert not gone, f"no tests of today: {gone}; make nightly"
