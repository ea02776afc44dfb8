"""The sweeps that are run at night: what is written of them."""

from __future__ import annotations

from nightly import page, rows, sweeps

JUNIT = """<testsuites><testsuite>
<testcase classname="tests.test_x" name="test_a[1]" time="60"><properties>
<property name="outcome" value="found"/></properties></testcase>
<testcase classname="tests.test_x" name="test_a[2]" time="30"><failure/></testcase>
<testcase classname="tests.test_x" name="test_a[3]" time="30"><skipped/></testcase>
<testcase classname="tests.test_y" name="test_b" time="0"><error/></testcase>
</testsuite></testsuites>"""


def test_what_is_written_is_read() -> None:
    found = rows("\n".join(page(sweeps(JUNIT), ["Python 3"])))
    assert list(found) == ["test_x.py::test_a", "test_y.py::test_b"]
    assert list(found["test_x.py::test_a"].values())[1:] == ["3", "1", "1", "1", "2.0", "1 found"]
    assert list(found["test_y.py::test_b"].values())[1:] == ["1", "0", "0", "1", "0.0", ""]
