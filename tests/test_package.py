"""What `pip install` gets: the wheel, built as a package index would see it."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from email import message_from_string
from email.message import Message
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = "https://example.org/seviz/v1"
TARGET = re.compile(r"\]\(([^)\s]+)\)")


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ZipFile]:
    def built(files_url: str) -> ZipFile:
        folder = tmp_path_factory.mktemp("wheel")
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
        given = {**os.environ, "SEVIZ_FILES_URL": files_url}
        subprocess.run(command, cwd=ROOT, env=given, check=True, capture_output=True)
        (wheel,) = folder.glob("*.whl")
        return ZipFile(wheel)

    return built


def metadata(wheel: ZipFile) -> Message:
    (name,) = (n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
    return message_from_string(wheel.read(name).decode())


def test_the_wheel(build: Callable[[str], ZipFile]) -> None:
    wheel = build("")
    names = wheel.namelist()
    code = {f"seviz/{p.relative_to(ROOT / 'seviz')}" for p in (ROOT / "seviz").rglob("*.py")}
    data = {
        "seviz/py.typed",
        "seviz/samples/se_resnet_digits.pt",
        "seviz/report/static/report.css",
        "seviz/report/templates/report.html.j2",
        "seviz/networks/recognise/zoo_index/networks.json",
    }
    assert code | data <= set(names)
    assert {n.split("/")[0] for n in names} == {"seviz", f"seviz-{version()}.dist-info"}
    assert f"seviz-{version()}.dist-info/licenses/LICENSE" in names
    said = metadata(wheel)
    assert said["License-Expression"] == "Apache-2.0"
    assert said["Author"] == "The seviz authors"
    # Without an address for the files, nothing points to where nothing is.
    text = str(said.get_payload())
    assert "75.00 % top-1" in text
    assert not [t for t in TARGET.findall(text) if not t.startswith("https://")]
    assert "![" not in text


def test_pictures_show_on_an_index_once_it_is_known_where_they_are(
    build: Callable[[str], ZipFile],
) -> None:
    text = str(metadata(build(f"{FILES}/")).get_payload())
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert shown == [f"{FILES}/reports/mobilenet_v3_small_in1k/activations.png"]
    ours = [t for t in TARGET.findall(text) if t.startswith(FILES)]
    assert ours
    assert not [t for t in ours if not (ROOT / t.removeprefix(f"{FILES}/")).exists()]
    assert not [t for t in TARGET.findall(text) if not t.startswith("https://")]
    # Links in code are none.
    assert "[`seviz inspect CKPT`](https://" in text


def version() -> str:
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"])


def test_one_version_everywhere() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {version()}\n" in citation
    assert f"\n## {version()}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_licence_is_whole() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert [int(n) for n in re.findall(r"^   (\d)\. ", text, re.MULTILINE)] == [*range(1, 10)]
    assert "END OF TERMS AND CONDITIONS" in text


# Modules that are not called as what is installed.
INSTALLED = {
    "absl": "absl-py",
    "google": "protobuf",
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}


def imported() -> set[str]:
    """Return what the code imports from elsewhere, at the top of files or within functions, as installed."""
    found = set()
    for path in (ROOT / "seviz").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return {INSTALLED.get(name, name) for name in found - sys.stdlib_module_names - {"seviz"}}


def names_of(requirements: list[str]) -> set[str]:
    return {re.split(r"[^\w-]", each, maxsplit=1)[0] for each in requirements}


def test_each_dependency_is_imported_and_no_other_and_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    always = names_of(project["dependencies"])
    extras = project["optional-dependencies"]
    optional = {
        name
        for e in ("keras", "onnx", "onnxruntime", "tflite", "parquet", "datasets")
        for name in names_of(extras[e])
    }
    assert imported() == always | optional
    page = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| ([\w-]+) \|", page, re.MULTILINE)) - {"library"}
    assert rows == always
