import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from datasets_vl.captions import read_captions
from datasets_vl.readers.tsv import LXMERT_FIELDS, TsvReader
from datasets_vl.scene_captions import describe
from datasets_vl.scene_detector import ATTRIBUTE_CLASSES, OBJECT_CLASSES, detect
from datasets_vl.scene_files import CAPTIONS_FILE, regions_file, write_scenes
from datasets_vl.scenes import make_scene

SHA256 = {
    "scenes_train.tsv": "c1a52e4cfbc3c62eb53696869f6a7ff491831e146d0d76d7c7737d31d7435d8e",
    "scenes_val.tsv": "79b81ccb12c47faf4cbcd8fbd90a040b50b7fe7b029cbd9dc79092e0a66a072f",
    "dataset_scenes.json": "4f080e98dec5c52008a711c426f1f527addb890462831edaf954c0346925d4bd",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scenes")
    write_scenes(path, {"train": 6, "val": 3}, seed=5, feature_dim=16, progress=False)
    return path


def digests(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in SHA256}


def test_the_same_bytes_every_time(folder: Path):
    assert digests(folder) == SHA256


def test_the_same_bytes_in_another_process_with_another_hash_seed_and_threads(folder: Path, tmp_path: Path):
    script = (
        "import sys, numpy; numpy.random.seed(3); from datasets_vl.scene_files import write_scenes;"
        "write_scenes(sys.argv[1], {'val': 3, 'train': 6}, seed=5, feature_dim=16)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "77", "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    subprocess.run([sys.executable, "-c", script, tmp_path], check=True, env=environment, capture_output=True)
    assert digests(tmp_path) == digests(folder)


def test_scenes_do_not_depend_on_how_many_are_written(folder: Path, tmp_path: Path):
    write_scenes(tmp_path, {"train": 2, "val": 1}, seed=5, feature_dim=16, progress=False)
    for split, rows in (("train", 2), ("val", 1)):
        few = (tmp_path / regions_file(split)).read_text().splitlines()
        assert few == (folder / regions_file(split)).read_text().splitlines()[: rows + 1]
    few = json.loads((tmp_path / CAPTIONS_FILE).read_text())["images"]
    many = json.loads((folder / CAPTIONS_FILE).read_text())["images"]
    assert few == [*many[:2], many[6]]


def test_the_reader_of_real_data_gives_back_the_detections(folder: Path):
    reader = TsvReader(folder / regions_file("train"))
    assert reader.fields == (*LXMERT_FIELDS, "cls_prob")
    rows = list(reader)
    assert len(rows) == 6
    for index, row in enumerate(rows):
        row.validate(feature_dim=16)
        expected = detect(make_scene(index, seed=5), feature_dim=16).regions
        assert (row.image_id, row.width, row.height) == (expected.image_id, expected.width, expected.height)
        for name in ("boxes", "features", "class_probs", "object_ids", "object_scores"):
            np.testing.assert_array_equal(getattr(row, name), getattr(expected, name))
        np.testing.assert_array_equal(row.attribute_ids, expected.attribute_ids)
        np.testing.assert_array_equal(row.attribute_scores, expected.attribute_scores)


def test_captions_are_read_by_image_id(folder: Path):
    for split, count in (("train", 6), ("val", 3)):
        table = read_captions(folder / CAPTIONS_FILE, split=split)
        assert len(table) == 5 * count
        for index in range(count):
            scene = make_scene(index, split=split, seed=5)
            texts = [table.text(k) for k in table.captions_of(scene.image_id)]
            assert texts == [caption.text for caption in describe(scene)]


def test_karpathy_layout(folder: Path):
    images = json.loads((folder / CAPTIONS_FILE).read_text())["images"]
    assert [image["filename"] for image in images[:2]] == ["scene_train_000000.png", "scene_train_000001.png"]
    assert [image["split"] for image in images] == ["train"] * 6 + ["val"] * 3
    assert len({image["imgid"] for image in images}) == 9
    sentences = [sentence for image in images for sentence in image["sentences"]]
    assert len({sentence["sentid"] for sentence in sentences}) == 45
    for image in images:
        assert image["sentids"] == [sentence["sentid"] for sentence in image["sentences"]]
        for sentence in image["sentences"]:
            assert sentence["tokens"] == sentence["raw"].replace(",", "").split()


def test_class_names(folder: Path):
    assert (folder / "objects_vocab.txt").read_text().splitlines() == list(OBJECT_CLASSES)
    assert (folder / "attributes_vocab.txt").read_text().splitlines() == list(ATTRIBUTE_CLASSES)


def test_an_interrupted_file_does_not_bear_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import datasets_vl.scene_files as module

    def interrupted(index: int, **options: object) -> object:
        if index == 2:
            raise KeyboardInterrupt
        return make_scene(index, **options)

    monkeypatch.setattr(module, "make_scene", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_scenes(tmp_path, {"train": 3}, progress=False)
    assert not (tmp_path / regions_file("train")).exists() and not (tmp_path / CAPTIONS_FILE).exists()


@pytest.mark.parametrize(
    ("num_scenes", "message"),
    [
        ({"train": 1, "dev": 1}, r"unknown splits \['dev'\]"),
        ({"train": 2, "val": -1}, "no negative number, got {'train': 2, 'val': -1}"),
        ({"train": 0}, "at least one scene"),
        ({}, "at least one scene"),
    ],
)
def test_wrong_numbers_are_refused(tmp_path: Path, num_scenes: dict[str, int], message: str):
    with pytest.raises(ValueError, match=message):
        write_scenes(tmp_path / "new", num_scenes)
    assert not (tmp_path / "new").exists()


def test_a_second_start_leaves_identical_files_alone(tmp_path):
    write_scenes(tmp_path, {"train": 3}, progress=False)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.tsv")}
    write_scenes(tmp_path, {"train": 3}, progress=False)
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.tsv")} == before
    write_scenes(tmp_path, {"train": 4}, progress=False)
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.tsv")} != before
