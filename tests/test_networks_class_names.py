"""What the outputs are called: in the file, beside it, in a list; ImageNet's forms."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from timm.data.imagenet_info import ImageNetInfo

import seviz
from seviz.errors import UsageError
from seviz.networks.class_files import classes_beside, read_class_names
from seviz.networks.class_names import classes_in, names_from, table_of
from seviz.networks.imagenet import imagenet_classes

NAMES = ["ship", "truck", "airplane", "dog", "cat", "bird", "deer", "frog", "horse", "automobile"]
NUMBERED = dict(enumerate(NAMES))


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    from seviz.networks.architectures.registry import build

    return build("se_resnet14", num_classes=10).state_dict()


def loaded(path: Path, **options):
    return seviz.load(path, arch="se_resnet14", arch_args={"num_classes": 10}, **options)


def saved(path: Path, weights, **extra) -> Path:
    torch.save({"state_dict": weights, **extra}, path)
    return path


IN_THE_FILE = {
    "class_to_idx": {n: i for i, n in NUMBERED.items()},
    "label2id": {n: i for i, n in NUMBERED.items()},
    "idx_to_class": NUMBERED,
    "id2label": {str(i): n for i, n in NUMBERED.items()},
    "classes": NAMES,
    "label_names": tuple(NAMES),
    "names": NUMBERED,
    "CLASSES": tuple(NAMES),
    "class_names": np.array(NAMES),
    "categories": [{"id": i, "name": n} for i, n in reversed(NUMBERED.items())],
    "hyper_parameters": {"datamodule": {"classes": NAMES}},
    "args": {"index_to_class": NUMBERED},
    "meta": {"CLASSES": NAMES, "mean": [0.5, 0.5, 0.5]},
}


@pytest.mark.parametrize("key", IN_THE_FILE)
def test_names_in_the_file(tmp_path, weights, key):
    model = loaded(saved(tmp_path / "c.pt", weights, **{key: IN_THE_FILE[key]}))
    assert model.classes is not None
    assert model.classes.labels == NAMES


def test_imagenets_short_names_in_which_two_are_called_alike(tmp_path):
    short = [label.split(", ")[0] for label in lemmas()]
    assert len(set(short)) < len(short) == 1000
    for given in (short, dict(enumerate(short)), {str(i): n for i, n in enumerate(short)}):
        names = names_from(given)
        assert names == short
        assert table_of(names) is imagenet_classes()
    (tmp_path / "labels.txt").write_text("\n".join(short))
    assert read_class_names(tmp_path / "labels.txt").labels == imagenet_classes().labels
    # In another order the two could not be told apart.
    assert names_from(short[::-1]) is None


def test_names_in_a_safetensors_header(tmp_path, weights):
    from safetensors.torch import save_file

    for key, text in (
        ("id2label", json.dumps(IN_THE_FILE["id2label"])),
        ("classes", json.dumps(NAMES)),
    ):
        save_file(weights, tmp_path / "c.safetensors", metadata={key: text})
        assert loaded(tmp_path / "c.safetensors").classes.labels == NAMES


@pytest.mark.parametrize(
    "facts",
    [
        {"classes": NAMES[:9]},
        {"classes": [*NAMES[:9], NAMES[0]]},
        {"classes": list(range(10))},
        {"names": {i + 3: n for i, n in NUMBERED.items()}},
        {"class_to_idx.cat": 0, "class_to_idx.dog": 5},
        {"classes": 10, "names": "resnet"},
        {"optimizer.names": None},
    ],
)
def test_what_names_no_outputs(facts):
    assert classes_in(facts, 10) is None


def test_the_set_that_fits_is_taken():
    facts = {"coarse.classes": ["a", "b"], "fine.classes": NAMES}
    assert classes_in(facts, 10).labels == NAMES
    assert classes_in(facts, 2).labels == ["a", "b"]


FILES = {
    "classes.txt": "\n".join(NAMES),
    "labels.txt": "".join(f"{i}: {n}\n" for i, n in reversed(NUMBERED.items())),
    "names.txt": "".join(f"/x/{n} {i}\n" for i, n in NUMBERED.items()),
    "class_to_idx.json": json.dumps(IN_THE_FILE["class_to_idx"]),
    "class_indices.json": json.dumps(IN_THE_FILE["id2label"]),
    "config.json": json.dumps({"model_type": "x", "id2label": IN_THE_FILE["id2label"]}),
    "classes.json": json.dumps(NAMES),
    "c_classes.txt": "\n".join(NAMES),
}


@pytest.mark.parametrize("name", FILES)
def test_names_beside_the_checkpoint(tmp_path, weights, name):
    file = saved(tmp_path / "c.pt", weights)
    assert loaded(file).classes is None
    (tmp_path / name).write_text(FILES[name])
    model = loaded(file)
    assert [label.removeprefix("/x/") for label in model.classes.labels] == NAMES
    assert any(name in note for note in model.notes)
    own = loaded(saved(tmp_path / "c.pt", weights, classes=NAMES[::-1]))
    assert own.classes.labels == NAMES[::-1]


def test_a_list_of_another_length_is_said_and_not_used(tmp_path, weights):
    (tmp_path / "classes.txt").write_text("a\nb\n")
    model = loaded(saved(tmp_path / "c.pt", weights))
    assert model.classes is None
    assert any("names 2 classes, the network has 10" in note for note in model.notes)
    for damaged in (b"\xff\xfe\x00", b"[" * 100_000, b"x" * 5_000_000):
        (tmp_path / "classes.txt").write_bytes(damaged)
        assert loaded(tmp_path / "c.pt").classes is None


@pytest.mark.parametrize(
    "key", ["index_to_name", "int2label", "class_map", "labels_dict", "class_dict"]
)
def test_other_words_for_the_names(key):
    by_name = {n: i for i, n in NUMBERED.items()}
    for table in (NUMBERED, by_name):
        facts = {f"{key}.{k}": v for k, v in table.items()}
        assert classes_in(facts, 10).labels == NAMES
        assert classes_in(facts, 9) is None


@pytest.mark.parametrize("name", ["g.names", "d.yaml", "a.csv", "h.json"])
def test_other_files_beside_the_checkpoint(tmp_path, name):
    beside = {"g.names": "obj.names", "d.yaml": "data.yaml", "a.csv": "classes.csv"}
    (tmp_path / beside.get(name, "index_to_name.json")).write_text(TABLES[name], encoding="utf-8")
    found, note = classes_beside(tmp_path / "net.pt", 10)
    assert found is not None
    assert found.labels == NAMES
    assert note is not None
    assert "beside the checkpoint" in note


TABLES = {
    "a.csv": "index,name\n" + "".join(f"{i},{n}\n" for i, n in reversed(NUMBERED.items())),
    "b.csv": "name\n" + "\n".join(NAMES),
    "c.tsv": "".join(f"{n}\t{i}\n" for i, n in NUMBERED.items()),
    "d.yaml": "nc: 10\nnames:\n" + "".join(f"  {i}: {n}\n" for i, n in NUMBERED.items()),
    "e.yml": f"names: [{', '.join(NAMES)}]\n",
    "f.txt": "\ufeff" + "\r\n".join(NAMES) + "\r\n",
    "g.names": "\n".join(NAMES),
    "i.csv": "name;id\n" + "".join(f"{n};{i}\n" for i, n in reversed(NUMBERED.items())),
    "j.txt": str(NAMES),
    "k.txt": str(NUMBERED),
    "l.txt": "".join(f"'{n}',\n" for n in NAMES),
    "h.json": json.dumps({str(i): [f"n{i:08}", n] for i, n in NUMBERED.items()}),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_file_that_the_user_gives(tmp_path, weights, name):
    (tmp_path / name).write_text(TABLES[name], encoding="utf-8")
    assert read_class_names(tmp_path / name).labels == NAMES
    file = saved(tmp_path / "own.pt", weights, classes=NAMES[::-1])
    assert loaded(file, class_names=tmp_path / name).classes.labels == NAMES
    assert loaded(file, class_names=NAMES).classes.labels == NAMES


def test_an_array_of_names(tmp_path):
    np.save(tmp_path / "n.npy", np.array(NAMES))
    assert read_class_names(tmp_path / "n.npy").labels == NAMES


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "none"),
        (b"a\na\n", "none"),
        (b"\xff\xfea", "cannot be read"),
        (b"{", "cannot be read"),
    ],
)
def test_a_file_without_names_is_refused(tmp_path, content, why):
    (tmp_path / "n.txt").write_bytes(content)
    with pytest.raises(UsageError, match=why) as caught:
        read_class_names(tmp_path / "n.txt")
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="class names"):
        read_class_names(tmp_path / "missing.txt")
    with pytest.raises(UsageError, match="class names"):
        read_class_names(tmp_path)


def test_names_with_numbers_stay_names():
    """Street numbers and the like are names where they are no numbering."""
    assert names_from(["7 up", "2 down"]) == ["7 up", "2 down"]
    assert table_of(["10", "20"]).labels == ["10", "20"]


def lemmas() -> list[str]:
    info = ImageNetInfo("imagenet-1k")
    return [info.index_to_description(i) for i in range(1000)]


def test_every_published_label_of_imagenet_is_its_class():
    info, table = ImageNetInfo("imagenet-1k"), imagenet_classes()
    for index, label in enumerate(lemmas()):
        wnid = info.index_to_label_name(index)
        first = label.split(", ")[0].replace(" ", "_")
        for name in (f"{wnid}_{first}", f"{wnid}-{first}", f"{wnid} {label}", f"{wnid}: {label}"):
            assert table.rows(name) == [index], name
        # Two classes are "maillot", to whose other names the list adds nothing new.
        assert index in table.rows(label), label
    assert table.find("goldfish, Carassius auratus") == 1
    assert table.find("great_white_shark,_white_shark") == 2
    with pytest.raises(UsageError):
        table.find("goldfish, pug")


@pytest.mark.parametrize("form", ["{lemmas}", "{wnid}", "{wnid} {lemmas}", "{wnid}_{first}"])
def test_a_thousand_names_of_imagenet_get_its_ids(form):
    info = ImageNetInfo("imagenet-1k")
    names = [
        form.format(lemmas=label, wnid=info.index_to_label_name(i), first=label.split(", ")[0])
        for i, label in enumerate(lemmas())
    ]
    assert table_of(names) == imagenet_classes()
    assert table_of(names[::-1]).labels != imagenet_classes().labels


def test_long_labels_answer_to_their_parts():
    table = table_of(["goldfish, Carassius auratus", "n02110958_pug", "New York, NY"])
    assert table.labels[0] == "goldfish, Carassius auratus"
    assert [table.find(n) for n in ("goldfish", "carassius auratus", "pug", "n02110958")] == [
        0,
        0,
        1,
        1,
    ]
    assert table.find("New York, NY") == 2
    assert table.rows("York") == []


# A data set whose folders are numbers, as text in the order of ImageFolder: 1, 10, 2, ... 9.
FOLDERS = sorted(map(str, range(1, 11)))
FLOWERS = {str(i): f"flower {chr(96 + i)}" for i in range(1, 11)}


def test_names_of_folders_that_are_numbers(tmp_path, weights):
    """Notebooks keep ``class_to_idx`` in the checkpoint, and what the folders show beside."""
    by_folder = {f: i for i, f in enumerate(FOLDERS)}
    wanted = [FLOWERS[f] for f in FOLDERS]
    assert wanted[1] == "flower j"
    inside = saved(tmp_path / "in.pt", weights, class_to_idx=by_folder, cat_to_name=FLOWERS)
    assert loaded(inside).classes.labels == wanted
    alone = saved(tmp_path / "c.pt", weights, class_to_idx=by_folder)
    assert loaded(alone).classes.labels == FOLDERS
    named = tmp_path / "names.json"
    named.write_text(json.dumps(FLOWERS))
    assert loaded(alone, class_names=named).classes.labels == wanted
    named.rename(tmp_path / "cat_to_name.json")
    model = loaded(alone)
    assert model.classes.labels == wanted
    assert "the classes are called as cat_to_name.json beside the checkpoint says" in model.notes
    # Folder "10" is the second output, whatever its number.
    for name in ("10", "flower j", "Flower J"):
        assert model.classes.rows(name) == [1]
    assert model.classes.rows("1") == [0]


def test_numbers_from_one_without_an_order_are_refused(tmp_path, weights):
    (tmp_path / "cat_to_name.json").write_text(json.dumps(FLOWERS))
    file = saved(tmp_path / "c.pt", weights)
    assert loaded(file).classes is None
    with pytest.raises(UsageError, match=r"numbers from 1 to 10, and whether output 0 is number 1"):
        loaded(file, class_names=tmp_path / "cat_to_name.json")


def test_numbers_from_zero_are_those_of_outputs_or_of_folders(tmp_path, weights):
    """``cat_to_name`` is by folder, ``id2label`` by output; either way a folder keeps its output."""
    folders = sorted(map(str, range(12)))[:10]  # 0, 1, 10, 11, 2 ...
    by_folder = {f: i for i, f in enumerate(folders)}
    by_output = {i: f"thing {chr(97 + i)}" for i in range(10)}
    file = saved(tmp_path / "c.pt", weights, class_to_idx=by_folder, id2label=by_output)
    other = saved(tmp_path / "d.pt", weights, id2label=by_output, class_to_idx=by_folder)
    (tmp_path / "names.json").write_text(json.dumps(by_output))
    plain = saved(tmp_path / "e.pt", weights, class_to_idx=by_folder)
    for found in (
        loaded(file),
        loaded(other),
        loaded(plain, class_names=tmp_path / "names.json"),
        loaded(plain, class_names=list(by_output.values())),
    ):
        assert found.classes.labels == list(by_output.values())
        assert found.classes.rows("10") == [2]
        assert found.classes.rows("2") == [4]
    numbers = {str(n): f"thing {n}" for n in range(10)}
    ten = {f: i for i, f in enumerate(sorted(numbers, reverse=True))}
    both = saved(tmp_path / "f.pt", weights, class_to_idx=ten, cat_to_name=numbers)
    assert loaded(both).classes.labels == [f"thing {9 - n}" for n in range(10)]


def test_wordnet_ids_in_the_file_and_names_beside(tmp_path, weights):
    ids = {f"n{i:08}": 9 - i for i in range(10)}
    (tmp_path / "classes.json").write_text(
        json.dumps({k: ["x", f"name {v}"] for k, v in ids.items()})
    )
    model = loaded(saved(tmp_path / "c.pt", weights, class_to_idx=ids))
    assert model.classes.labels == [f"name {i}" for i in range(10)]
    assert model.classes.rows("n00000003") == [6]


def test_the_column_of_names_is_the_one_that_is_called_so(tmp_path):
    rows = "".join(f"{i},latin {i},{n}\n" for i, n in NUMBERED.items())
    (tmp_path / "n.csv").write_text(f"id,latin,name\n{rows}")
    assert read_class_names(tmp_path / "n.csv").labels == NAMES
