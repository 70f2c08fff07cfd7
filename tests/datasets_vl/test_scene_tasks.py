"""The tasks on the scenes, read back through the readers of the official files."""

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from datasets_vl.readers.tsv import TsvReader
from datasets_vl.scene_captions import describe
from datasets_vl.scene_detector import detect
from datasets_vl.scene_files import regions_file, write_scenes
from datasets_vl.scene_statements import make_statements
from datasets_vl.scene_tasks import TASKS, write_scene_tasks
from datasets_vl.scenes import Scene, make_scene
from datasets_vl.tasks.records import SCHEMAS, Record, image_ids_of
from datasets_vl.tasks.registry import BENCHMARKS
from processing_vl.boxes_vl import pairwise_iou

SCENES = {"train": 24, "val": 16}
SEED = 5
SHA256 = {
    "vqa": "47ed9d823e45edb20e4e801afec688a42579a3e1f1796e1a19a5773f6065f795",
    "gqa": "aba419c851190b8b21485d13f9f6c43e28135a60c20b59c0527f2c4b358ce7a9",
    "vcr": "aee3b583c610f8bea2b0abf432fbf6507401876b1b2c03146a80e89bbe466a8c",
    "nlvr2": "930e870d527570fe4b609751cb2bae24ad6bd152812b390542ef9cb8b91c0299",
    "snli_ve": "798f996a136917dd182c19670802da1206a10a77516c9059825e527cd24d19d9",
    "refcoco": "18693be1da7f976532a3150ed2d475c877b3f94d294e0b48dbff208d47a11b68",
    "flickr30k_entities": "27992e8cba6b4e2d9a9857cc932441455860a3c1e04d27a5de3def65bc8ac67c",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scenes")
    write_scene_tasks(path, SCENES, seed=SEED, feature_dim=16, progress=False)
    return path


def digests(folder: Path) -> dict[str, str]:
    """One checksum a task, over the names and the content of its files."""
    found = {}
    for task in TASKS:
        digest = hashlib.sha256()
        for path in sorted((folder / task).rglob("*")):
            if path.is_file():
                digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
        found[task] = digest.hexdigest()
    return found


def read(folder: Path, task: str, split: str) -> list[Record]:
    base = folder / task
    arguments = {
        "vqa": {
            "questions": [base / f"v2_OpenEnded_scenes_{split}_questions.json"],
            "annotations": [base / f"v2_scenes_{split}_annotations.json"],
            "image_id": "cocoid",
        },
        "gqa": {"questions": [base / f"{split}_balanced_questions.json"]},
        "vcr": {"annotations": base / f"{split}.jsonl", "images": base / "vcr1images", "image_id": "file_name"},
        "nlvr2": {"annotations": base / f"{split}.json"},
        "snli_ve": {"annotations": base / f"snli_ve_{split}.jsonl"},
        "refcoco": {"refs": base / "refs(scenes).p", "instances": base / "instances.json", "split": split},
        "flickr30k_entities": {"folder": base, "split": split},
    }
    return list(BENCHMARKS[task].read(**arguments[task]))


def scene_of(image_id: str, seed: int = SEED) -> Scene:
    _, split, index = image_id.split("_")
    return make_scene(int(index), split=split, seed=seed)


def test_the_same_bytes_every_time(folder: Path):
    assert digests(folder) == SHA256


def test_the_same_bytes_in_another_process_with_another_hash_seed_and_threads(folder: Path, tmp_path: Path):
    script = (
        "import sys, numpy; numpy.random.seed(3); from datasets_vl.scene_tasks import write_scene_tasks;"
        "write_scene_tasks(sys.argv[1], {'val': 16, 'train': 24}, seed=5, feature_dim=16)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "77", "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    subprocess.run([sys.executable, "-c", script, tmp_path], check=True, env=environment, capture_output=True)
    assert digests(tmp_path) == digests(folder)


@pytest.mark.parametrize("task", TASKS)
def test_the_official_readers_read_every_split(folder: Path, task: str):
    columns = set(SCHEMAS[BENCHMARKS[task].kind].names)
    ids = []
    for split in SCENES:
        records = read(folder, task, split)
        assert records and all(set(record) == columns for record in records)
        ids += [record["example_id"] for record in records]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("task", TASKS)
def test_examples_do_not_depend_on_how_many_scenes_are_written(folder: Path, tmp_path: Path, task: str):
    write_scene_tasks(tmp_path, {"val": 8}, tasks=[task], seed=SEED, feature_dim=16, progress=False)
    few, many = read(tmp_path, task, "val"), read(folder, task, "val")
    assert few == many[: len(few)] and len(few) < len(many)


def test_images_are_those_of_the_region_files(folder: Path, tmp_path: Path):
    write_scenes(tmp_path, SCENES, seed=SEED, feature_dim=16, progress=False)
    for split in SCENES:
        scenes = {row.image_id for row in TsvReader(tmp_path / regions_file(split))}
        pairs = {row.image_id for row in TsvReader(folder / "nlvr2" / f"scenes_nlvr2_{split}.tsv")}
        for task in TASKS:
            used = {image_id for record in read(folder, task, split) for image_id in image_ids_of(record)}
            assert used <= (pairs if task == "nlvr2" else scenes), task
            assert len(used) > 0.5 * SCENES[split]
        assert len(pairs) == SCENES[split]


def test_vqa_answers_are_those_of_ten_people_around_the_true_one(folder: Path):
    records = read(folder, "vqa", "train")
    for record in records:
        (usual, votes), *_ = Counter(record["answers"]).most_common()
        assert usual == record["main_answer"] and votes >= 7 and len(record["answers"]) == 10
    assert any(len(set(record["answers"])) > 1 for record in records)
    assert {record["answer_type"] for record in records} == {"yes/no", "number", "other"}


def test_gqa_asks_other_questions_and_none_of_number(folder: Path):
    questions = {(record["image_id"], record["question"]) for record in read(folder, "gqa", "train")}
    assert not any(text.startswith("How many") for _, text in questions)
    assert len(questions - {(r["image_id"], r["question"]) for r in read(folder, "vqa", "train")}) > len(questions) / 2


def test_vcr_boxes_and_mentions_are_those_of_the_objects(folder: Path):
    for record in read(folder, "vcr", "train"):
        scene = scene_of(record["image_id"])
        np.testing.assert_allclose(record["object_boxes"], [item.box for item in scene.objects], atol=0.006)
        assert record["object_names"] == [item.shape for item in scene.objects]
        for text in (record["question"], *record["answers"], *record["rationales"]):
            for mention in text["mentions"]:
                (number,) = mention["objects"]
                assert text["text"][mention["start"] : mention["end"]] == scene.objects[number].shape


def test_nlvr2_groups_have_four_pairs_of_which_two_are_true(folder: Path):
    groups = defaultdict(list)
    for record in read(folder, "nlvr2", "train"):
        groups[record["group"], record["sentence"]].append(record["label"])
    sentences = [len(make_statements(number, seed=SEED).sentences) for number in range(SCENES["train"] // 8)]
    assert len(groups) == len({group for group, _ in groups}) == sum(sentences)
    assert all(sorted(labels) == ["False", "False", "True", "True"] for labels in groups.values())


def test_nlvr2_regions_are_of_the_detector(folder: Path):
    rows = {row.image_id: row for row in TsvReader(folder / "nlvr2" / "scenes_nlvr2_val.tsv")}
    expected = detect(make_scene(10_000_000 + 11, split="val", seed=SEED), feature_dim=16).regions
    np.testing.assert_array_equal(rows["val-1-1-img1"].features, expected.features)


def test_entailment_has_every_label_once_a_scene(folder: Path):
    by_image = defaultdict(list)
    for record in read(folder, "snli_ve", "val"):
        by_image[record["image_ids"][0]].append(record["label"])
    assert {tuple(sorted(labels)) for labels in by_image.values()} == {("contradiction", "entailment", "neutral")}


def test_expressions_come_with_the_box_of_an_object_of_their_scene(folder: Path):
    for record in read(folder, "refcoco", "val"):
        distances = np.abs(np.array([item.box for item in scene_of(record["image_id"]).objects]) - record["box"])
        assert distances.max(axis=1).min() < 0.02


def test_phrases_are_those_of_the_captions_with_boxes_in_whole_pixels(folder: Path):
    records = read(folder, "flickr30k_entities", "train")
    assert len(records) == 5 * SCENES["train"]
    for record in records:
        scene = scene_of(record["image_id"])
        caption = describe(scene)[int(record["example_id"].rpartition("#")[2])]
        assert record["sentence"].replace(" ,", ",") == caption.text
        assert len(record["phrases"]) == len(caption.phrases)
        for phrase, told in zip(record["phrases"], caption.phrases, strict=True):
            named = record["sentence"][phrase["start"] : phrase["end"]]
            assert named == caption.text[told.start : told.end]
            np.testing.assert_allclose(phrase["boxes"], [scene.objects[told.object_index].box], atol=0.5)


@pytest.mark.parametrize("task", ["refcoco", "flickr30k_entities"])
def test_some_targets_cannot_be_reached(tmp_path: Path, task: str):
    """The detector misses objects: the upper bound of grounding is below 100 %."""
    write_scene_tasks(tmp_path, {"val": 200}, tasks=[task], progress=False)
    regions = {index: detect(make_scene(index, split="val"), feature_dim=16).regions.boxes for index in range(200)}
    reached = []
    for record in read(tmp_path, task, "val"):
        found = regions[int(record["image_id"].rpartition("_")[2])]
        targets = [record["box"]] if "box" in record else [phrase["boxes"][0] for phrase in record["phrases"]]
        reached += (pairwise_iou(np.array(targets), found).max(axis=1) >= 0.5).tolist()
    assert 0.93 < sum(reached) / len(reached) < 0.98


def test_official_fields(folder: Path):
    question = json.loads((folder / "vqa" / "v2_OpenEnded_scenes_val_questions.json").read_text())
    assert set(question) == {"info", "license", "data_type", "data_subtype", "task_type", "questions"}
    assert set(question["questions"][0]) == {"image_id", "question", "question_id"}
    rows = [json.loads(line) for line in (folder / "nlvr2" / "val.json").read_text().splitlines()]
    assert rows[5]["left_url"] == f"{rows[5]['identifier'].rpartition('-')[0]}-img0.png"
    assert (folder / "flickr30k_entities" / "val.txt").read_text().splitlines()[-1] == "scene_val_000015"


def test_unknown_tasks_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r"unknown tasks \['clevr'\], expected some of \['vqa'"):
        write_scene_tasks(tmp_path / "new", {"val": 1}, tasks=["vqa", "clevr"])
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("num_scenes", [{"dev": 1}, {"train": -1}, {}])
def test_wrong_numbers_are_refused(tmp_path: Path, num_scenes: dict[str, int]):
    with pytest.raises(ValueError, match="unknown splits|no negative number"):
        write_scene_tasks(tmp_path / "new", num_scenes)
    assert not (tmp_path / "new").exists()
