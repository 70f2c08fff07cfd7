from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datasets_vl.local import LocalExamples, LocalRegions
from datasets_vl.tasks.examples import TaskExamples
from datasets_vl.tasks.nlvr2 import NLVR2
from datasets_vl.tasks.prepare import VocabularySource, missing_file, prepare_split
from datasets_vl.tasks.records import InvalidAnnotation, image_ids_of
from datasets_vl.tasks.registry import BENCHMARKS
from datasets_vl.tasks.snli_ve import SNLI_VE
from datasets_vl.tasks.table import read_task_table
from datasets_vl.tasks.vqa import VQA, read_vqa
from tests.datasets_vl.tasks.sample_files import SAMPLES, edited_json
from tests.datasets_vl.tasks.task_regions import write_regions
from tests.datasets_vl.tasks.test_vqa import ANNOTATIONS, QUESTIONS

VQA_IMAGES = [f"COCO_train2014_{number:012d}" for number in (9, 25, 30)]
VQA_FILES = {"questions": [QUESTIONS], "annotations": [ANNOTATIONS]}
NLVR2_FILES = {"annotations": SAMPLES / "nlvr2" / "dev.json"}
BUILD = VocabularySource(min_count=1)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def prepare_vqa(folder: Path, regions: Path, split: str = "train", **arguments: Any):
    arguments = {"vocabulary": BUILD, "options": VQA_FILES} | arguments
    return prepare_split(VQA, folder, split=split, regions=[regions], **arguments)


def test_a_split_is_joined_with_its_regions(tmp_path: Path) -> None:
    shards = write_regions(tmp_path / "shards", VQA_IMAGES)
    report = prepare_vqa(tmp_path / "vqa", shards)
    assert (report.records, report.images, report.outside_vocabulary) == (4, 3, 0)
    assert not report.without_features and not report.without_annotations
    table = read_task_table(tmp_path / "vqa", "train")
    assert (table.kind, table.task, table.labels) == ("question_answering", "vqa", ["4", "blue", "broccoli", "yes"])
    assert sorted((table.record(row) for row in range(4)), key=lambda r: int(r["example_id"])) == sorted(
        read_vqa([QUESTIONS], [ANNOTATIONS]), key=lambda r: int(r["example_id"])
    )
    assert set(files_of(tmp_path / "vqa")) == {"train.parquet", "train.missing.json", "task.json"}


def test_what_is_missing_is_counted_and_listed(tmp_path: Path) -> None:
    folders = [write_regions(tmp_path / name, ids) for name, ids in (("a", VQA_IMAGES[1:]), ("b", ["x", "y"]))]
    report = prepare_split(
        VQA,
        tmp_path / "vqa",
        split="train",
        regions=folders,
        options=VQA_FILES,
        vocabulary=VocabularySource(min_count=1),
    )
    assert (report.records, report.images) == (2, 2)
    assert report.without_features == {VQA_IMAGES[0]: 2}
    assert report.without_annotations == ["x", "y"]
    assert json.loads(missing_file(tmp_path / "vqa", "train").read_text()) == {
        "records_by_image_without_features": {VQA_IMAGES[0]: 2},
        "images_without_annotations": ["x", "y"],
    }
    description = json.loads((tmp_path / "vqa" / "task.json").read_text())
    # The vocabulary is that of all questions, whatever features there are.
    assert description["labels"] == ["4", "blue", "broccoli", "yes"]
    of_split = description["splits"]["train"]
    assert len(of_split.pop("sha256")) == 64
    assert of_split == {
        "records": 2,
        "images": 2,
        "left_out": {},
        "images_without_features": 1,
        "first_images_without_features": [VQA_IMAGES[0]],
        "images_without_annotations": 2,
        "first_images_without_annotations": ["x", "y"],
        "answers_outside_vocabulary": 0,
    }


def test_a_pair_needs_both_its_images(tmp_path: Path) -> None:
    images = ["dev-850-0-img0", "dev-850-0-img1", "dev-850-1-img0", "dev-32-2-img1"]
    shards = write_regions(tmp_path / "shards", images)
    report = prepare_split(NLVR2, tmp_path / "out", split="dev", regions=[shards], options=NLVR2_FILES)
    assert (report.records, report.images) == (1, 2)
    assert report.without_features == {"dev-850-1-img1": 1, "dev-32-2-img0": 1}
    assert report.without_annotations == []
    assert read_task_table(tmp_path / "out", "dev").labels == ["False", "True"]


def test_what_the_reader_leaves_out_is_counted(tmp_path: Path) -> None:
    shards = write_regions(tmp_path / "shards", ["2407214681"])
    options = {"annotations": SAMPLES / "snli_ve" / "snli_ve_dev.jsonl"}
    report = prepare_split(SNLI_VE, tmp_path / "out", split="dev", regions=[shards], options=options)
    assert (report.records, report.left_out) == (3, {"no agreement on the label": 1})


def test_all_splits_have_the_vocabulary_of_the_first(tmp_path: Path) -> None:
    shards, out = write_regions(tmp_path / "shards", VQA_IMAGES), tmp_path / "vqa"
    with pytest.raises(ValueError, match="which answers shall a model of vqa know"):
        prepare_vqa(out, shards, vocabulary=None)
    prepare_vqa(out, shards)
    report = prepare_vqa(out, shards, "val", vocabulary=None, options={"questions": [QUESTIONS]})
    assert report.records == 4
    assert read_task_table(out, "val").labels == read_task_table(out, "train").labels
    assert read_task_table(out, "val").record(0)["answers"] == []
    (tmp_path / "answers.txt").write_text("yes\nno\n")
    other = VocabularySource(file=tmp_path / "answers.txt")
    with pytest.raises(ValueError, match="has train with another vocabulary, of 4 answers, this one has 2: leave the"):
        prepare_vqa(out, shards, "val", vocabulary=other)
    report = prepare_vqa(tmp_path / "other", shards, vocabulary=other)
    assert (read_task_table(tmp_path / "other", "train").labels, report.outside_vocabulary) == (["yes", "no"], 3)


def test_the_only_split_may_be_done_again_with_another_vocabulary(tmp_path: Path) -> None:
    shards = write_regions(tmp_path / "shards", VQA_IMAGES)
    prepare_vqa(tmp_path / "vqa", shards)
    (tmp_path / "answers.json").write_text('["yes"]')
    prepare_vqa(tmp_path / "vqa", shards, vocabulary=VocabularySource(file=tmp_path / "answers.json"))
    assert read_task_table(tmp_path / "vqa", "train").labels == ["yes"]


def test_a_built_vocabulary_wants_the_benchmarks_own_count(tmp_path: Path) -> None:
    shards = write_regions(tmp_path / "shards", VQA_IMAGES)
    with pytest.raises(ValueError, match="no answer occurs 9 times among 4 questions, the most frequent one 1 times"):
        prepare_vqa(tmp_path / "vqa", shards, vocabulary=VocabularySource())
    assert files_of(tmp_path / "vqa") == {}
    with pytest.raises(ValueError, match=r"min_count=3 is for a vocabulary that is built, not read from a\.txt"):
        VocabularySource(file="a.txt", min_count=3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "../train"}, r"a split's name may have letters, digits, '_', '-' and '\.', got '\.\./train'"),
        (
            {"options": {**VQA_FILES, "image_id": "cocoid"}},
            "the annotations name images like '25', .* like 'COCO_train2014_000000000009'; see the options",
        ),
        (
            {"options": {"questions": [QUESTIONS] * 2, "annotations": [ANNOTATIONS] * 2}},
            "4 example ids occur more than once, the first is '25000': is a file given twice?",
        ),
    ],
)
def test_what_cannot_be_prepared_leaves_nothing_behind(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    shards = write_regions(tmp_path / "shards", VQA_IMAGES)
    with pytest.raises(ValueError, match=message):
        prepare_vqa(tmp_path / "vqa", shards, **changes)
    assert not (tmp_path / "vqa").exists() or files_of(tmp_path / "vqa") == {}


def test_a_broken_file_leaves_an_earlier_split_as_it_was(tmp_path: Path) -> None:
    shards, out = write_regions(tmp_path / "shards", VQA_IMAGES), tmp_path / "vqa"
    prepare_vqa(out, shards)
    before = files_of(out)
    broken = edited_json(ANNOTATIONS, tmp_path, lambda content: content["annotations"][3].pop("answers"))
    with pytest.raises(InvalidAnnotation, match=r"annotations\[3\]: has no answers"):
        prepare_vqa(out, shards, options={"questions": [QUESTIONS], "annotations": [broken]})
    assert files_of(out) == before


def test_a_folder_holds_one_benchmark(tmp_path: Path) -> None:
    shards = write_regions(tmp_path / "shards", VQA_IMAGES)
    prepare_vqa(tmp_path / "out", shards)
    with pytest.raises(ValueError, match="holds vqa, not nlvr2: choose another folder"):
        prepare_split(NLVR2, tmp_path / "out", split="dev", regions=[shards], options=NLVR2_FILES)
    with pytest.raises(ValueError, match="nlvr2 has no answer vocabulary: leave the vocabulary out"):
        prepare_split(NLVR2, tmp_path / "n", split="dev", regions=[shards], options=NLVR2_FILES, vocabulary=BUILD)


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    shards, out = write_regions(tmp_path / "shards", VQA_IMAGES), tmp_path / "vqa"
    with pytest.raises(FileNotFoundError, match=r"task\.json does not exist: prepare the data with examples/prepare_"):
        read_task_table(out, "train")
    prepare_vqa(out, shards)
    with pytest.raises(ValueError, match="has no split 'val', only 'train'"):
        read_task_table(out, "val")
    whole = (out / "train.parquet").read_bytes()
    (out / "train.parquet").write_bytes(whole[:-1] + b"?")
    with pytest.raises(ValueError, match=r"train\.parquet is not the file that task\.json beside it describes"):
        read_task_table(out, "train")
    (out / "train.parquet").unlink()
    with pytest.raises(ValueError, match=r"train\.parquet is not the file that task\.json beside it describes"):
        read_task_table(out, "train")
    (out / "task.json").write_text('{"task": "vqa"}')
    with pytest.raises(ValueError, match="does not describe prepared data: it needs task, kind, labels and splits"):
        read_task_table(out, "train")
    (out / "task.json").write_text("{")
    with pytest.raises(ValueError, match=r"task\.json is not JSON"):
        read_task_table(out, "train")


SAMPLE_OPTIONS: dict[str, dict[str, Any]] = {
    "vqa": VQA_FILES,
    "gqa": {"questions": [SAMPLES / "gqa" / "train_balanced_questions.json"]},
    "vcr": {"annotations": SAMPLES / "vcr" / "val.jsonl", "images": SAMPLES / "vcr" / "vcr1images"},
    "nlvr2": NLVR2_FILES,
    "snli_ve": {"annotations": SAMPLES / "snli_ve" / "snli_ve_dev.jsonl"},
    "nlvr1": {"annotations": SAMPLES / "nlvr1" / "dev.json", "image_split": "dev"},
    **{
        name: {"refs": SAMPLES / "refcoco" / "refs(unc).p", "instances": SAMPLES / "refcoco" / "instances.json"}
        for name in ("refcoco", "refcoco+", "refcocog")
    },
    "flickr30k_entities": {"folder": SAMPLES / "flickr30k_entities"},
}


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_goes_from_its_official_files_to_examples(tmp_path: Path, name: str) -> None:
    benchmark, options = BENCHMARKS[name], SAMPLE_OPTIONS[name]
    records = list(benchmark.read(**options, **({"split": "train"} if benchmark.reads_split else {})))
    images = dict.fromkeys(image for record in records for image in image_ids_of(record))
    shards = write_regions(tmp_path / "shards", list(images))
    vocabulary = None if benchmark.min_answer_count is None else BUILD
    report = prepare_split(
        benchmark, tmp_path / "out", split="train", regions=[shards], options=options, vocabulary=vocabulary
    )
    assert (report.records, report.images) == (len(records), len(images))
    table, source = read_task_table(tmp_path / "out", "train"), LocalRegions(shards)
    assert sorted(table.example_ids) == sorted(record["example_id"] for record in records)
    for number in range(len(table)):
        (example,) = LocalExamples(source, TaskExamples(table), list)[[(0, number)]]
        index = example["index"]
        assert [image.image_id for image in example["images"]] == table.images_of(index)
        assert all(example["texts"])


def test_benchmarks_say_what_their_readers_take() -> None:
    for name, benchmark in BENCHMARKS.items():
        assert benchmark.name == name
        taken = benchmark.read.__kwdefaults__ or {}
        positional = benchmark.read.__code__.co_varnames[: benchmark.read.__code__.co_argcount]
        own = [
            flag
            for flag, there in (("split", benchmark.reads_split), ("left_out", benchmark.counts_left_out))
            if there
        ]
        assert {*positional, *taken} == {*benchmark.options, *own}, name
        # What has no default is required, and nothing else is.
        without = len(positional) - len(benchmark.read.__defaults__ or ())
        assert {option for option, it in benchmark.options.items() if it.required} == set(positional[:without]), name
