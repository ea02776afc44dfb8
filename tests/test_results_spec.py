"""What a name stands for is told once, by content."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic import make_record

from seviz.errors import CheckpointError
from seviz.results.files import file_sha256
from seviz.results.spec import check_there, open_spec


def test_a_record_by_its_file_and_by_its_folder(tmp_path: Path) -> None:
    record = make_record(((2, 8),))
    file = record.save(tmp_path)
    for name in (tmp_path, file):
        spec = open_spec(name)
        assert spec.kind == "record"
        assert spec.file == file
        assert spec.record.header == record.header
        assert spec.record is spec.record  # opened once


def test_a_table_of_predictions(tmp_path: Path) -> None:
    (table := tmp_path / "a.csv").write_text("true,predicted\ncat,dog\ncat,cat\n")
    spec = open_spec(table)
    assert (spec.kind, spec.file, len(spec.predictions)) == ("predictions", table, 2)


@pytest.mark.parametrize("name", ["timm:seresnet50", "nothing.pt", "."])
def test_anything_else_is_a_network(name: str) -> None:
    assert open_spec(name).kind == "network"


def test_a_record_in_a_folder_named_like_a_table(tmp_path: Path) -> None:
    make_record(((2, 8),)).save(tmp_path / "run.csv")
    assert open_spec(tmp_path / "run.csv").is_record


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"found nothing at .*net\.pt; give a file"):
        check_there(tmp_path / "net.pt")


def test_the_hash_of_a_file(tmp_path: Path) -> None:
    (file := tmp_path / "abc").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1.
    assert file_sha256(file).startswith("ba7816bf8f01cfea414140de5dae2223")
