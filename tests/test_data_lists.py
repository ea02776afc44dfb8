"""Images named in a list: the images and classes that the table has, or one line that says what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from seviz.data import match_classes, open_source
from seviz.errors import DataError


@pytest.fixture
def data(tmp_path) -> Path:
    for i in range(4):
        path = tmp_path / f"pics/{i}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (2, 2), (i, i, i)).save(path)
    return tmp_path


def written(data: Path, text: str, name: str = "list.csv", encoding: str = "utf-8") -> Path:
    path = data / name
    path.write_text(text, encoding=encoding)
    return path


def grey(source) -> list[int]:
    return [source.image(i).getpixel((0, 0))[0] for i in range(len(source))]


ROWS = [("pics/2.png", "dog"), ("pics/0.png", "cat"), ("pics/3.png", "dog")]


@pytest.mark.parametrize(
    ("name", "mark", "header"),
    [
        ("list.csv", ",", "path,label"),
        ("list.csv", ";", "Filename;Class Name"),
        ("list.csv", ",", None),
        ("list.tsv", "\t", "image_path\tspecies"),
        ("list.tsv", "\t", None),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_paths_and_classes(data, name, mark, header, encoding):
    text = "\n".join([*([header] if header else []), *(mark.join(row) for row in ROWS)])
    source = open_source(str(written(data, text, name, encoding)))
    assert (source.name, source.split, source.folders) == ("list", "", ("cat", "dog"))
    assert source.labels.tolist() == [1, 0, 1]
    assert grey(source) == [2, 0, 3]
    assert source.image_name(0) == "pics/2.png"
    assert source.labelled
    match = match_classes(source.folders, source.counts, None)
    assert match.table.labels == ["cat", "dog"]


def test_columns_in_any_order_and_absolute_paths(data):
    text = f"id,label,size,path\n7,cat,1,{data / 'pics/1.png'}\n8,dog,1,/elsewhere/x/9.png\n"
    source = open_source(str(written(data, text)))
    assert grey(open_source(str(written(data, text.rsplit("\n", 2)[0], "a.csv")))) == [1]
    # No path of this machine in names.
    assert [source.image_name(i) for i in range(2)] == ["pics/1.png", "x/9.png"]


def test_images_without_classes_and_splits(data):
    source = open_source(str(written(data, "file\npics/0.png\npics/1.png\n")))
    assert (source.labelled, source.folders) == (False, ("all",))
    text = "path,label,split\npics/0.png,a,train\npics/1.png,b,test\npics/2.png,a,test\n"
    table = written(data, text)
    assert len(open_source(str(table))) == 3
    part = open_source(str(table), split="test")
    assert (grey(part), part.folders, part.split) == ([1, 2], ("a", "b"), "test")


def test_the_fingerprint_follows_the_classes(data):
    first, second = (
        open_source(str(written(data, f"path,label\npics/0.png,{name}\n", f"{name}.csv")))
        for name in ("cat", "dog")
    )
    assert first.fingerprint() != second.fingerprint()
    again = open_source(str(written(data, "path,label\npics/0.png,cat\n", "b.csv")))
    assert again.fingerprint() == first.fingerprint()


def test_images_named_twice_are_said(data):
    source = open_source(str(written(data, "path,label\npics/0.png,a\npics/0.png,a\n")))
    assert len(source) == 2
    assert "more than once" in source.notes[0]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty file"),
        ("path,label\n", "header alone"),
        ("a,b,c\n1,2,3\n", "column of paths"),
        ("path,label,path\nx.png,a,y.png\n", "one column 'path'"),
        ("path,label,label\nx.png,a,b\n", "one column 'label'"),
        ("path,label\npics/0.png\n", "line 2"),
        ("path,label\npics/0.png,a\n,b\n", "line 3"),
        ("path,label\npics/0.png,a\npics/1.png,\n", "none for 1 of 2"),
        ("path,label\n" + "x" * 200_000 + ",a\n", "cannot be read"),
        ("path\0,label\n", "cannot be read"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(data, text, why):
    with pytest.raises(DataError, match=why) as caught:
        open_source(str(written(data, text)))
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="no column 'split'"):
        open_source(str(written(data, "path\npics/0.png\n")), split="test")


def test_bytes_that_are_no_text(data):
    (data / "list.csv").write_bytes(b"path,label\n\xff\xfa.png,a\n")
    with pytest.raises(DataError, match="UTF-8"):
        open_source(str(data / "list.csv"))


@pytest.mark.parametrize("name", ["labels.csv", "metadata.csv", "val_annotations.txt"])
def test_a_list_beside_the_images_is_found(data, name):
    mark = "\t" if name.endswith(".txt") else ","
    lines = [f"{i}.png{mark}{'ab'[i % 2]}" for i in range(4)]
    header = [] if name.endswith(".txt") else ["file_name,label"]
    (data / "pics" / name).write_text("\n".join([*header, *lines]))
    source = open_source(str(data / "pics"))
    assert source.folders == ("a", "b")
    assert source.labels.tolist() == [0, 1, 0, 1]
    assert name in source.notes[-1]


def test_a_list_of_other_images_is_not_used(data):
    (data / "pics/labels.csv").write_text("file,label\nother.png,a\n0.png,b\n")
    source = open_source(str(data / "pics"))
    assert not source.labelled
    assert any("labels.csv" in note for note in source.notes)
