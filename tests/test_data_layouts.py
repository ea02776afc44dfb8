"""How a folder is laid out: parts, wrappers, folders in folders, lists; never a part for a class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seviz.data import match_classes, open_source
from seviz.data.splits import named_split, split_kinds
from seviz.errors import DataError
from seviz.results.classes import ClassTable


def pngs(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 3)).save(root / file, "PNG")
    return root


def names(source) -> list[str]:
    return [source.image_name(i) for i in range(len(source))]


def refusal(spec: Path, **options) -> str:
    with pytest.raises(DataError) as caught:
        open_source(str(spec), **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


PARTS = [
    ("Training", "Testing"),
    ("training_set", "test_set"),
    ("seg_train", "seg_test"),
    ("train2017", "val2017"),
    ("TRAIN", "VALID"),
    ("TrainingSet", "ValidationSet"),
    ("train_images", "test_images"),
    ("ILSVRC2012_img_train", "ILSVRC2012_img_val"),
    ("tumor_train", "tumor_test"),
    ("dataset-train", "dataset-eval"),
]


@pytest.mark.parametrize("parts", PARTS)
def test_parts_by_name(tmp_path, parts):
    for part in parts:
        pngs(tmp_path, f"{part}/cat/1.png", f"{part}/dog/2.png")
    source = open_source(str(tmp_path))
    assert (source.split, source.folders) == (parts[1], ("cat", "dog"))
    assert names(source) == [f"{parts[1]}/cat/1.png", f"{parts[1]}/dog/2.png"]
    assert "(no --split given)" in source.notes[0]
    assert open_source(str(tmp_path), split="train").split == parts[0]
    assert open_source(str(tmp_path), split=parts[0]).split == parts[0]


def test_what_no_part_is():
    classes = ["train", "bullet_train", "freight-train", "testudo", "valley", "devil", "trainer"]
    assert split_kinds(classes) == {"train": "train"}
    assert named_split("test", ["Testing", "test2"]) is None  # two of them
    assert named_split("TEST", ["test"]) == "test"
    assert named_split("fold3", ["fold3", "fold4"]) == "fold3"


def test_a_part_inside_its_own_name_and_unlabelled_images_beside(tmp_path):
    """The scenes of Intel: seg_pred holds images without classes."""
    for part in ("seg_train", "seg_test"):
        pngs(tmp_path, f"{part}/{part}/forest/1.png", f"{part}/{part}/sea/1.png")
    pngs(tmp_path, "seg_pred/seg_pred/3.png")
    source = open_source(str(tmp_path))
    assert (source.split, source.folders) == ("seg_test", ("forest", "sea"))
    assert names(source)[0] == "seg_test/seg_test/forest/1.png"


def test_parts_inside_an_archive_folder(tmp_path):
    pngs(tmp_path, "fruits-360/Training/Apple 1/a.png", "fruits-360/Test/Apple 1/b.png")
    pngs(tmp_path, "fruits-360/Test/Pear/c.png")
    source = open_source(str(tmp_path))
    assert (source.split, source.folders) == ("Test", ("Apple 1", "Pear"))


@pytest.mark.parametrize("wrapper", ["images", "Images", "data", "JPEGImages"])
def test_classes_one_level_deeper(tmp_path, wrapper):
    pngs(tmp_path, f"{wrapper}/ramen/1.png", f"{wrapper}/apple_pie/2.png")
    (tmp_path / "meta").mkdir()
    source = open_source(str(tmp_path))
    assert source.folders == ("apple_pie", "ramen")
    assert names(source) == [f"{wrapper}/apple_pie/2.png", f"{wrapper}/ramen/1.png"]
    assert repr(wrapper) in source.notes[0]


def test_masks_beside_images_are_no_class(tmp_path):
    pngs(tmp_path, "images/cat/1.png", "images/dog/1.png", "masks/cat/1.png", "masks/dog/1.png")
    assert names(open_source(str(tmp_path))) == ["images/cat/1.png", "images/dog/1.png"]
    pngs(tmp_path / "flat", "images/1.png", "masks/1.png")
    flat = open_source(str(tmp_path / "flat"))
    assert (flat.labelled, names(flat)) == (False, ["images/1.png"])


def test_masks_in_the_class_folders_are_left_out_and_counted(tmp_path):
    pngs(tmp_path, "benign/b (1).png", "benign/b (1)_mask.png", "benign/b (1)_mask_1.png")
    pngs(tmp_path, "normal/1.jpg", "normal/1-Seg.png", "normal/2_mask.png")
    found = open_source(str(tmp_path))
    # The last has no image beside it: a picture whose name ends so.
    assert names(found) == ["benign/b (1).png", "normal/1.jpg", "normal/2_mask.png"]
    assert any("3 masks beside their images" in n and "b (1)_mask.png" in n for n in found.notes)


def test_an_images_folder_inside_each_class(tmp_path):
    """The training images of tiny-imagenet."""
    for wnid in ("n01443537", "n01629819"):
        pngs(tmp_path, f"{wnid}/images/{wnid}_0.JPEG")
        (tmp_path / wnid / f"{wnid}_boxes.txt").write_text("0 0 63 63")
    source = open_source(str(tmp_path))
    assert source.folders == ("n01443537", "n01629819")
    assert "2 files that are no images (first: n01443537/n01443537_boxes.txt)" in source.notes[-1]


def test_tiny_imagenet(tmp_path):
    for wnid in ("n01443537", "n01629819"):
        pngs(tmp_path, f"train/{wnid}/images/{wnid}_0.JPEG")
    pngs(tmp_path, *(f"val/images/val_{i}.JPEG" for i in range(3)), "test/images/test_0.JPEG")
    lines = ["val_0.JPEG\tn01629819", "val_1.JPEG\tn01443537", "val_2.JPEG\tn01629819"]
    listed = "\n".join(f"{line}\t0\t32\t44\t62" for line in lines)
    (tmp_path / "val/val_annotations.txt").write_text(listed)
    source = open_source(str(tmp_path))
    assert (source.split, source.folders) == ("val", ("n01443537", "n01629819"))
    assert source.labels.tolist() == [1, 0, 1]
    assert any("val_annotations.txt" in note for note in source.notes)
    assert source.image(2).size == (4, 3)


def test_a_validation_part_without_a_list_is_no_class_called_images(tmp_path):
    pngs(tmp_path, "train/a/images/1.png", "train/b/images/1.png", "val/images/1.png")
    assert "only train" in refusal(tmp_path)


def test_parts_without_class_folders_are_refused(tmp_path):
    pngs(tmp_path, "train2017/1.png", "val2017/2.png")
    message = refusal(tmp_path)
    assert "train2017, val2017" in message
    assert "list.csv" in message
    assert not open_source(str(tmp_path), split="val").labelled


PLACES = ("a/airfield/1.png", "a/arch/1.png", "b/bar/1.png", "c/canal/natural/1.png")


def test_letters_around_the_classes(tmp_path):
    """Places365."""
    source = open_source(str(pngs(tmp_path, *PLACES)))
    own = match_classes(source.folders, source.counts, None)
    assert own.table.labels == ["airfield", "arch", "bar", "canal/natural"]
    assert "folders inside a, b, c" in own.notes[0]
    # As its list names them.
    listed = ClassTable.from_labels(["/b/bar", "/a/arch", "/c/canal/natural", "/a/airfield"])
    match = match_classes(source.folders, source.counts, listed)
    assert match.row_of_folder.tolist() == [3, 1, 0, 2]
    assert match.extra == ()


def test_groups_around_the_classes_are_told_by_the_network(tmp_path):
    source = open_source(
        str(pngs(tmp_path, "dogs/pug/1.png", "dogs/husky/1.png", "cats/manx/1.png"))
    )
    breeds = ClassTable.from_labels(["husky", "manx", "pug"])
    match = match_classes(source.folders, source.counts, breeds)
    assert source.folders == ("cats/manx", "dogs/husky", "dogs/pug")
    assert match.row_of_folder.tolist() == [1, 0, 2]
    animals = match_classes(source.folders, source.counts, ClassTable.from_labels(["dogs", "cats"]))
    assert animals.row_of_folder.tolist() == [1, 0, 0]
    assert animals.table.labels == ["dogs", "cats"]
    with pytest.raises(DataError, match="folders inside folders"):
        match_classes(source.folders, source.counts, None)
    both = ClassTable.from_labels(["dogs", "cats", "husky", "manx", "pug"])
    with pytest.raises(DataError, match="may be"):
        match_classes(source.folders, source.counts, both)


def test_parts_of_unknown_names_are_not_taken_for_classes(tmp_path):
    source = open_source(str(pngs(tmp_path, *(f"fold{i}/{c}/1.png" for i in (1, 2) for c in "xy"))))
    for model in (None, ClassTable.from_labels(["x", "y"])):
        with pytest.raises(DataError, match="--split fold1"):
            match_classes(source.folders, source.counts, model)
    assert open_source(str(tmp_path), split="fold2").folders == ("x", "y")


def test_sessions_inside_classes_are_merged_where_the_network_knows_the_classes(tmp_path):
    source = open_source(str(pngs(tmp_path, *(f"{c}/day{i}/1.png" for i in (1, 2) for c in "xy"))))
    match = match_classes(source.folders, source.counts, ClassTable.from_labels(["y", "x"]))
    assert match.row_of_folder.tolist() == [1, 1, 0, 0]


def test_one_folder_each_is_a_class_by_its_outer_name(tmp_path):
    source = open_source(str(pngs(tmp_path, "car/red/1.png", "lorry/2020/x/1.png")))
    assert source.folders == ("car", "lorry")


def test_a_photo_and_a_folder_of_photos_have_no_classes(tmp_path):
    pngs(tmp_path, "photos/b.png", "photos/a.png")
    one, several = (open_source(str(tmp_path / s)) for s in ("photos/b.png", "photos"))
    for source, found in ((one, ["b.png"]), (several, ["a.png", "b.png"])):
        assert (source.labelled, source.folders, names(source)) == (False, ("all",), found)
        match = match_classes(
            source.folders, source.counts, ClassTable.from_labels(["all", "b"]), labelled=False
        )
        assert (match.is_model, match.table.labels) == (False, ["all"])
    (tmp_path / "broken.png").write_bytes(b"x")
    assert "broken.png: not an image" in refusal(tmp_path / "broken.png")


def test_a_split_never_leaves_the_folder(tmp_path):
    pngs(tmp_path, "in/cat/1.png", "out/cat/1.png")
    for split in ("../out", str(tmp_path / "out")):
        assert "expected a folder" in refusal(tmp_path / "in", split=split)


def test_counts_equal_torchvisions_where_it_reads_the_same(tmp_path):
    from torchvision.datasets import ImageFolder

    pngs(tmp_path, *(f"{c}/{i}/{c}{i}.png" for c in "abc" for i in range(1)), "a/x.png")
    expected = ImageFolder(str(tmp_path))
    source = open_source(str(tmp_path))
    assert list(source.folders) == expected.classes
    assert np.bincount(expected.targets).tolist() == source.counts.tolist()


def test_folders_that_are_empty_or_no_splits(tmp_path):
    for name in ("ant", "bee"):
        (tmp_path / name).mkdir()
    with pytest.raises(
        DataError, match=r"found folders without images \(ant, bee\); put the images"
    ):
        open_source(str(tmp_path))
    with pytest.raises(DataError, match="no split is among them: leave out --split"):
        open_source(str(tmp_path), split="nope")


def test_a_list_of_ids_beside_the_images(tmp_path):
    """Kaggle's lists have the names of the images without their suffix."""
    for name in ("b1", "b2", "b3"):
        pngs(tmp_path, f"train/{name}.jpg")
    (tmp_path / "labels.csv").write_text("id,breed\nb3,pug\nb1,husky\nb2,pug\n")
    for place in (tmp_path / "train", tmp_path / "images"):
        if place.name == "images":
            (tmp_path / "train").rename(place)
        (place.parent / "labels.csv").rename(place / "labels.csv")
        source = open_source(str(place))
        assert source.folders == ("husky", "pug")
        found = {source.image_name(i): source.folders[n] for i, n in enumerate(source.labels)}
        assert found == {"b1.jpg": "husky", "b2.jpg": "pug", "b3.jpg": "pug"}
        assert all(source.image(i).size for i in range(3))
        (place / "labels.csv").rename(place.parent / "labels.csv")
    listed = open_source(str(tmp_path / "labels.csv"))  # the images lie in images/
    assert [listed.image_name(i) for i in range(3)] == ["b3.jpg", "b1.jpg", "b2.jpg"]
    pngs(tmp_path, "images/b1.png")  # two files of one name: which is meant is not said
    assert open_source(str(tmp_path / "images")).labelled is False


def test_small_copies_that_storage_makes_are_no_samples(tmp_path):
    for name in (
        "a/1.png",
        "a/@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg",
        "a/Thumbnails/1.png",
        "b/1.png",
    ):
        pngs(tmp_path, name)
    pngs(tmp_path, "$RECYCLE.BIN/2.png")
    source = open_source(str(tmp_path))
    assert (source.folders, source.counts.tolist()) == (("a", "b"), [1, 1])
    assert "3 folders of small copies or waste" in source.notes[-1]


def test_what_lies_beside_the_parts_is_named(tmp_path):
    pngs(tmp_path, "train/a/1.png", "test/a/1.png", "augmented/a/1.png", "extra/b/1.png")
    (tmp_path / "docs").mkdir()  # without images
    source = open_source(str(tmp_path))
    assert source.split == "test"
    assert "left out beside the parts: augmented, extra" in source.notes
    assert (
        open_source(str(pngs(tmp_path / "dev", "development/a/1.png", "train/a/1.png"))).split
        == "development"
    )


def test_a_part_among_the_class_folders_that_it_holds_itself(tmp_path):
    pngs(tmp_path, "a/1.png", "b/2.png", "val/a/3.png", "val/b/4.png")
    source = open_source(str(tmp_path))
    assert (source.split, source.folders) == ("val", ("a", "b"))
    assert names(source) == ["val/a/3.png", "val/b/4.png"]
    assert "left out beside the parts: a, b" in source.notes
    # "train" is a class of vehicles where other classes are in it.
    vehicles = pngs(tmp_path / "v", "bus/1.png", "train/ice/2.png", "train/tgv/3.png")
    assert open_source(str(vehicles)).folders == ("bus", "train")


def test_an_archive_folder_with_one_part_and_a_picture_is_no_class(tmp_path):
    pngs(tmp_path, "pets/train/cat/1.png", "pets/train/dog/2.png", "pets/logo.png")
    assert "found only train; name it: --split train" in refusal(tmp_path)
    source = open_source(str(tmp_path), split="train")
    assert (source.folders, source.counts.tolist()) == (("cat", "dog"), [1, 1])
