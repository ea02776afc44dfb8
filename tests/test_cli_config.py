"""Defaults of a project: where they are looked for, what goes before what, and what a file may not do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Refuses, Run, Tiny

import seviz
from seviz.cli.config import built_in, config_file, kinds, read_settings, variable
from seviz.cli.settings import Setting
from seviz.errors import UsageError

SAMPLE = seviz.sample("se_resnet_digits")


@pytest.fixture
def project(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a repository that this process is in."""
    for key in kinds():
        monkeypatch.delenv(variable(key), raising=False)
    (elsewhere / ".git").mkdir()
    return elsewhere


def found(folder: Path | None = None, **variables: str) -> dict[str, Any]:
    return {k: s.value for k, s in read_settings(folder, variables).found.items()}


# Where


def test_the_nearest_file_up_to_the_root_of_the_repository(project: Path) -> None:
    deep = project / "a" / "b"
    deep.mkdir(parents=True)
    (project / "seviz.toml").write_text("workers = 1\n")
    assert found(deep) == {"workers": 1}
    (project / "a" / "pyproject.toml").write_text("[tool.seviz]\nworkers = 2\n")
    assert found(deep) == {"workers": 2}
    (project / "a" / "seviz.toml").write_text("workers = 3\n")
    assert found(deep) == {"workers": 3}
    (deep / ".git").mkdir()  # a repository of its own
    assert found(deep) == {}


def test_without_a_repository_the_folder_alone(elsewhere: Path) -> None:
    (elsewhere / "seviz.toml").write_text("workers = 1\n")
    below = elsewhere / "below"
    below.mkdir()
    assert config_file(below) is None
    assert config_file(elsewhere) == elsewhere / "seviz.toml"


@pytest.mark.parametrize("text", ["[tool.ruff]\nx = 1\n", "[tool.ruff\n", ""])
def test_somebody_elses_pyproject_is_let_be(project: Path, text: str) -> None:
    (project / "pyproject.toml").write_text(text)
    assert found() == {}


# What goes before what


def test_flag_variable_file_default(
    project: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "seviz.toml").write_text(
        'data = "nothing-here"\ninput_size = [1, 32, 32]\nbatch-size = 64\noutput = "runs/{name}"\n'
        'formats = "png"\nfast = false\n'
    )
    said = run("collect", SAMPLE)
    assert said.code == 4
    assert "nothing-here" in said.err
    monkeypatch.setenv("SEVIZ_DATA", "digits")
    monkeypatch.setenv("SEVIZ_INPUT_SIZE", "1, 8 8")
    said = run(
        "activations", SAMPLE, "--classes", "3", "5", "--num-samples", "4", "--blocks", "SE_4_2"
    )
    assert said.code == 0, said.err
    assert "1x8x8" in said.err
    folder = project / "runs" / "se_resnet_digits"
    assert {p.name for p in folder.iterdir()} >= {"record.npz", "activations.png"}
    assert not (folder / "activations.svg").exists()
    header = seviz.Record.load(folder).header
    assert header.images == 40
    # What another machine needs to do the same, in the command.
    for words in ("--data digits", "--input-size 1 8 8", "--batch-size 64", "--no-fast"):
        assert words in header.command
    said = run("collect", SAMPLE, "--data", "nowhere")
    assert said.code == 4
    assert "nowhere" in said.err


def test_a_project_says_once_where_its_images_are(
    project: Path, run: Run, tiny: Tiny, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint and the classes are all that is left to say, also from a folder of the project."""
    shutil.copy(tiny.path, project / "ckpt.pt")
    shutil.copytree(pictures, project / "images" / "val")
    (project / "pyproject.toml").write_text(
        '[tool.seviz]\ndata = "images/val"\nnum-samples = 3\nstyle = "lines"\nworkers = 0\n'
    )
    (project / "work").mkdir()
    for place in (project, project / "work"):
        monkeypatch.chdir(place)
        words = os.path.relpath(project / "ckpt.pt", place), "--classes", "cat", "dog"
        said = run("activations", *words)
        assert said.code == 0, said.err
        folder = place / "reports" / "ckpt"
        assert (folder / "activations.png").exists() or (folder / "activations_lines.png").exists()
        record = seviz.Record.load(folder)
        assert (record.header.images, record.classes.labels) == (9, ["ant", "cat", "dog"])


@pytest.mark.usefixtures("no_figures")
def test_a_default_is_no_flag(project: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record is drawn again where --data would be refused, and results stay beside it."""
    assert run("collect", SAMPLE, "--data", "digits", "--num-samples", "3", "-o", "out").code == 0
    monkeypatch.setenv("SEVIZ_DATA", "nothing-here")
    monkeypatch.setenv("SEVIZ_OUTPUT", "elsewhere")
    monkeypatch.setenv("SEVIZ_FORMATS", "svg")
    for words in (
        ("activations", "out"),
        ("activations", SAMPLE, "-o", "out"),
        ("compare", "out", "out", "-o", "both"),
        ("fold", "out", "--checkpoint", SAMPLE, "--blocks", "SE_4_2", "-o", "slim.pt"),
    ):
        said = run(*words)
        assert said.code == 0, said.err
    assert not (project / "elsewhere").exists()
    assert run("compare", SAMPLE, SAMPLE).code == 4  # where it is of use, it is taken
    monkeypatch.setenv("SEVIZ_DATA", "")
    assert run("compare", SAMPLE, SAMPLE).code == 0
    assert run("audit", SAMPLE).code == 0
    assert (project / "elsewhere").is_dir()


def test_an_empty_variable_takes_the_files_default_away(project: Path) -> None:
    (project / "seviz.toml").write_text("workers = 1\n")
    assert found(SEVIZ_WORKERS="2") == {"workers": 2}
    assert found(SEVIZ_WORKERS="") == {}


def test_paths_are_meant_from_the_file(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "data").mkdir()
    below = project / "below"
    below.mkdir()
    file = project / "seviz.toml"
    cases = {
        "data": str(project / "data"),
        "digits": "digits",
        "cifar10:data": f"cifar10:{project / 'data'}",
        "hf:owner/name": "hf:owner/name",
        "s-{000..003}.tar": str(project / "s-{000..003}.tar"),
        "/else/where": "/else/where",
    }
    monkeypatch.chdir(below)
    for written, meant in cases.items():
        file.write_text(f'data = "{written}"\nclass-names = "names.txt"\n')
        assert found() == {"data": meant, "class-names": str(project / "names.txt")}
    monkeypatch.chdir(project)
    file.write_text('data = "./data"\n')
    assert found() == {"data": "data"}


# What no option takes


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("datta = 1", ("'datta'", "did you mean data?")),
        ("wholly-else = 1", ("'wholly-else'", "input-size")),
        ('batch-size = "many"', ("batch-size as a whole number", "'many'")),
        ("batch-size = true", ("batch-size as a whole number", "True")),
        ("batch-size = 2\nbatch_size = 3", ("batch-size once",)),
        ('labels = "mine"', ("one of model, data, sorted, natural", "'mine'")),
        ("data = 3", ("data as text", "3")),
        ("input-size = 224", ("input-size as a list of whole numbers", "224")),
        ("input-size = []", ("a list of whole numbers",)),
        ("mean = [0.5, 'x']", ("mean as a list of numbers",)),
        ('amp = "yes"', ("amp as true or false",)),
        ("[data]\nx = 1", ("data as text",)),
        ("x = ", ("TOML",)),
        ("formats = [1]", ("formats as a list of words",)),
        ("unsafe-load = true", ("--unsafe-load on the command line",)),
        ('import = ["x.py"]', ("--import on the command line",)),
        ("arch-args = ['pretrained=True']", ("--arch-args on the command line",)),
        ("download = true", ("--download on the command line",)),
        ('data = "x.py:load"', ("found code", "SEVIZ_DATA")),
        ('data = "pack.age:load"', ("found code",)),
        ('arch = "x.py:make"', ("found code", "SEVIZ_ARCH")),
        ('arch = "pack.age:make"', ("found code",)),
        ('output = "../out"', ("below the folder of",)),
        ('output = "/tmp/out"', ("below the folder of",)),
    ],
)
def test_what_a_file_may_not_say(
    project: Path, refuses: Refuses, text: str, parts: tuple[str, ...]
) -> None:
    (project / "seviz.toml").write_text(text + "\n")
    with refuses(UsageError, str(project / "seviz.toml"), *parts):
        read_settings(None, {})


def test_output_through_a_link_out_of_the_folder(
    project: Path, refuses: Refuses, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (project / "within").mkdir()
    (project / "inside").symlink_to(project / "within")
    (project / "outside").symlink_to(tmp_path_factory.mktemp("elsewhere"))
    (project / "seviz.toml").write_text('output = "inside/x"\n')
    read_settings(None, {})
    (project / "seviz.toml").write_text('output = "outside/x"\n')
    with refuses(UsageError, "expected output below the folder of", "'outside/x'"):
        read_settings(None, {})


def test_it_is_told_before_anything_is_done(project: Path, run: Run) -> None:
    (project / "seviz.toml").write_text("datta = 1\n")
    for words in (("inspect", "nothing.pt"), ("doctor", "--config")):
        said = run(*words)
        assert said.code == 2
        assert said.out == ""
        assert said.err.count("\n") == 1
        assert "'datta'" in said.err
    assert run("inspect", "--help").code == 0


def test_code_in_a_file_is_not_run(project: Path, run: Run) -> None:
    (project / "evil.py").write_text("open('ran', 'w')\nmake = load = None\n")
    for line in ('data = "evil.py:load"', 'arch = "evil.py:make"', 'import = "evil.py"'):
        (project / "seviz.toml").write_text(line + "\n")
        assert run("collect", SAMPLE).code == 2
    assert not (project / "ran").exists()


def test_a_variable_may_name_code(project: Path) -> None:
    """It is set by the user, as a flag is; what unlocks a file is a flag alone."""
    assert found(SEVIZ_DATA="x.py:load", SEVIZ_ARCH="x.py:make", SEVIZ_OUTPUT="../out") == {
        "data": "x.py:load",
        "arch": "x.py:make",
        "output": "../out",
    }
    assert found(SEVIZ_UNSAFE_LOAD="1", SEVIZ_IMPORT="x.py", SEVIZ_DOWNLOAD="1") == {}


@pytest.mark.parametrize(
    ("name", "value", "parts"),
    [
        ("SEVIZ_BATCH_SIZE", "many", ("a whole number", "'many'")),
        ("SEVIZ_AMP", "perhaps", ("true or false",)),
        ("SEVIZ_LABELS", "mine", ("one of model",)),
        ("SEVIZ_INPUT_SIZE", "3 x 3", ("whole numbers",)),
    ],
)
def test_what_a_variable_may_not_say(
    project: Path, refuses: Refuses, name: str, value: str, parts: tuple[str, ...]
) -> None:
    with refuses(UsageError, name, *parts):
        read_settings(None, {name: value})


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_pipe_is_not_read(project: Path, refuses: Refuses) -> None:
    os.mkfifo(project / "seviz.toml")
    with refuses(UsageError, "a plain file"):
        read_settings(None, {})


# What there is


def test_every_key_is_an_option_with_a_default() -> None:
    assert set(kinds()) == set(built_in())
    assert {
        "data",
        "input-size",
        "class-names",
        "labels",
        "device",
        "batch-size",
        "workers",
    } <= set(kinds())


def test_doctor_shows_where_each_comes_from(
    project: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "pyproject.toml").write_text("[tool.seviz]\nbatch-size = 8\ncrop-pct = 1\n")
    for name in [name for name in os.environ if name.startswith("SEVIZ_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SEVIZ_CROP_PCT", "0.9")
    monkeypatch.setenv("SEVIZ_DATTA", "x")
    shown = json.loads(run("doctor", "--config", "--json").out)["config"]
    file = str(project / "pyproject.toml")
    assert shown["file"] == file
    assert shown["unknown_variables"] == ["SEVIZ_DATTA"]
    assert shown["values"]["batch-size"] == {"value": 8, "from": file}
    assert shown["values"]["crop-pct"] == {"value": 0.9, "from": "SEVIZ_CROP_PCT"}
    assert shown["values"]["labels"] == {"value": "model", "from": "default"}
    lines = run("doctor", "--config").out.splitlines()
    assert lines[0] == f"file: {file}"
    assert ["crop-pct", "0.9", "SEVIZ_CROP_PCT"] in [line.split() for line in lines]
    assert "SEVIZ_DATTA" in lines[-1]


@pytest.mark.parametrize(
    ("setting", "flag"),
    [
        (Setting("input-size", (1, 8, 8)), ("--input-size", "1", "8", "8")),
        (Setting("amp", True), ("--amp",)),
        (Setting("amp", False), ()),
        (Setting("fast", False), ("--no-fast",)),
    ],
)
def test_a_default_as_a_flag(setting: Setting, flag: tuple[str, ...]) -> None:
    assert setting.flag == flag


def test_reading_is_light(project: Path) -> None:
    (project / "seviz.toml").write_text("workers = 1\n")
    code = (
        "from seviz.cli.config import read_settings; read_settings(); import sys;"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'numpy', 'matplotlib'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "value"),
    [("SEVIZ_BATCH_SIZE", "0"), ("SEVIZ_BATCH_SIZE", "-3"), ("SEVIZ_WORKERS", "-1")],
)
def test_a_number_that_is_too_small_is_told_before_any_work(name: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"in {name}, found {value}"):
        read_settings(variables={name: value})
