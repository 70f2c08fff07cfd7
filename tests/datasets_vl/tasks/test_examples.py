from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from datasets_vl.tasks.examples import TaskExamples
from datasets_vl.tasks.gqa import read_gqa
from datasets_vl.tasks.nlvr2 import read_nlvr2
from datasets_vl.tasks.records import Record, TaskKind
from datasets_vl.tasks.table import TaskTable
from datasets_vl.tasks.vcr import read_vcr
from datasets_vl.tasks.vqa import read_vqa
from metrics_vl.nlvr2 import LABELS
from processing_vl.region_features import RegionFeatures
from tests.datasets_vl.tasks.sample_files import SAMPLES
from tests.datasets_vl.tasks.task_regions import BOXES, regions
from tests.datasets_vl.tasks.test_gqa import TRAIN
from tests.datasets_vl.tasks.test_vqa import ANNOTATIONS, QUESTIONS

# The objects of the sample, as its metadata give them.
OBJECTS = [(10, 20, 110, 220), (200, 30, 300, 230), (120, 150, 190, 230), (310.5, 40, 400, 240)]


def vqa_table(**changes: Any) -> TaskTable:
    records = [record | changes for record in read_vqa([QUESTIONS], [ANNOTATIONS])]
    return TaskTable.from_records("question_answering", records, labels=["4", "yes", "white", "blue", "no"])


def example_of(
    examples: TaskExamples, example_id: str, image: RegionFeatures | None = None, *second: RegionFeatures
) -> dict[str, Any]:
    index = examples.table.example_ids.index(example_id)
    found = examples.example(image or regions(examples.table.image_of(index)), index, 0, *second)
    assert (found["index"], found["example_id"]) == (index, example_id)
    return dict(found)


@pytest.mark.parametrize(
    ("formula", "of_bowls", "of_vase"),
    [
        # 4 (seven of ten), 5 and 3 are not in the vocabulary; blue is six of ten, white three.
        ("official", {0: 1.0}, {2: 0.9, 3: 1.0}),
        ("closed_form", {0: 1.0}, {2: 0.9, 3: 1.0}),
        ("simple", {0: 1.0}, {2: 1.0, 3: 1.0}),
    ],
)
def test_answers_of_several_people_become_scores_by_number(formula: str, of_bowls: dict, of_vase: dict) -> None:
    examples = TaskExamples(vqa_table(), soft_scores=formula)
    bowls = example_of(examples, "9000")
    assert bowls["texts"] == ["How many bowls are there?"]
    assert bowls["scores"] == pytest.approx(of_bowls)
    assert example_of(examples, "30000")["scores"] == pytest.approx(of_vase)
    assert example_of(examples, "9001")["scores"] == {}
    assert "label" not in bowls
    assert [image.image_id for image in bowls["images"]] == ["COCO_train2014_000000000009"]


def test_the_formulas_differ_on_a_single_answer() -> None:
    # "no" is one of ten.
    scores = [
        example_of(TaskExamples(vqa_table(), soft_scores=formula), "25000")["scores"][4]
        for formula in ("official", "closed_form", "simple")
    ]
    assert scores == pytest.approx([0.3, 0.3, 1 / 3])


def test_one_right_answer_has_its_number_too() -> None:
    table = TaskTable.from_records("question_answering", read_gqa([TRAIN]), labels=["no", "yes"])
    examples = TaskExamples(table)
    known, unknown = (example_of(examples, example_id) for example_id in ("02930152", "07333408"))
    assert (known["scores"], known["label"]) == ({1: 1.0}, 1)
    assert (unknown["scores"], unknown["label"]) == ({}, None)


def test_a_question_without_answers_has_no_scores() -> None:
    assert "scores" not in example_of(TaskExamples(vqa_table(answers=[])), "9000")


def vcr_examples(split: str = "val", **options: Any) -> TaskExamples:
    records = read_vcr(SAMPLES / "vcr" / f"{split}.jsonl", SAMPLES / "vcr" / "vcr1images")
    return TaskExamples(TaskTable.from_records("multiple_choice", records), **options)


def mentioned(example: dict[str, Any], choice: int) -> list[tuple[int, str, list[int]]]:
    texts = example["texts"][choice], example["text_pairs"][choice]
    return [(which, texts[which][start:end], linked) for which, start, end, linked in example["mentions"][choice]]


@pytest.mark.parametrize("has_global_region", [False, True])
def test_answers_are_chosen_with_words_linked_to_the_objects_own_boxes(has_global_region: bool) -> None:
    image = regions("val-7", OBJECTS, has_global_region=has_global_region)
    found = example_of(vcr_examples(), "val-12", image)
    assert found["texts"] == ["Why is Alex smiling at Sam and dog ?"] * 4
    assert found["text_pairs"][:2] == ["Alex is greeting Sam .", "Robin told a joke ."]
    assert found["label"] == 0
    first = int(has_global_region)
    question = [(0, "Alex", [first]), (0, "Sam", [first + 1]), (0, "dog", [first + 2])]
    assert mentioned(found, 0) == [*question, (1, "Alex", [first]), (1, "Sam", [first + 1])]
    assert mentioned(found, 1) == [*question, (1, "Robin", [first + 3])]
    assert mentioned(found, 3) == question


def test_rationales_are_chosen_after_the_right_answer() -> None:
    found = example_of(vcr_examples(choose="rationale"), "val-12", regions("val-7", OBJECTS))
    assert found["texts"] == ["Why is Alex smiling at Sam and dog ? Alex is greeting Sam ."] * 4
    assert found["text_pairs"][2] == "Alex is looking at Sam ."
    assert found["label"] == 2
    of_question = [(0, "Alex", [0]), (0, "Sam", [1]), (0, "dog", [2])]
    of_answer = [(0, "Alex", [0]), (0, "Sam", [1])]
    assert mentioned(found, 2) == [*of_question, *of_answer, (1, "Alex", [0]), (1, "Sam", [1])]
    assert mentioned(found, 0) == of_question + of_answer


def test_question_and_answer_may_be_separated() -> None:
    found = example_of(vcr_examples(choose="rationale", separator="[SEP]"), "val-12", regions("val-7", OBJECTS))
    assert found["texts"][0] == "Why is Alex smiling at Sam and dog ? [SEP] Alex is greeting Sam ."
    of_question = [(0, "Alex", [0]), (0, "Sam", [1]), (0, "dog", [2])]
    assert mentioned(found, 0) == [*of_question, (0, "Alex", [0]), (0, "Sam", [1])]


def test_rationales_for_every_answer_as_the_leaderboard_wants() -> None:
    image = regions("val-7", OBJECTS)
    for answer, text in enumerate(("Alex is greeting Sam .", "Robin told a joke .")):
        found = example_of(vcr_examples(choose="rationale", given_answer=answer), "val-12", image)
        assert found["texts"][0] == f"Why is Alex smiling at Sam and dog ? {text}"
        assert found["label"] is None
    on_test = vcr_examples("test", choose="rationale", given_answer=3)
    assert example_of(on_test, "test-5", regions("test-3"))["label"] is None


def test_detected_regions_are_linked_where_they_overlap_enough() -> None:
    # Near object 1, exactly object 0, and nothing near the dog or Robin.
    image = regions("val-7", [(205, 30, 300, 230), (10, 20, 110, 220)])
    found = example_of(vcr_examples(), "val-12", image)
    assert mentioned(found, 1) == [(0, "Alex", [1]), (0, "Sam", [0])]
    strict = example_of(vcr_examples(mention_iou=0.99), "val-12", image)
    assert mentioned(strict, 1) == [(0, "Alex", [1])]


def test_the_answer_must_be_known_to_choose_a_rationale() -> None:
    with pytest.raises(ValueError, match="example 'test-5' does not say which answer is right: set given_answer"):
        example_of(vcr_examples("test", choose="rationale"), "test-5")
    with pytest.raises(ValueError, match="given_answer is 4, example 'val-12' has 4"):
        example_of(vcr_examples(choose="rationale", given_answer=4), "val-12")


def nlvr2_table() -> TaskTable:
    return TaskTable.from_records("classification", read_nlvr2(SAMPLES / "nlvr2" / "dev.json"), labels=LABELS)


def test_a_second_image_comes_behind_the_first() -> None:
    table = nlvr2_table()
    examples = TaskExamples(table)
    found = example_of(examples, "dev-850-1-0", None, regions("dev-850-1-img1"))
    assert [image.image_id for image in found["images"]] == ["dev-850-1-img0", "dev-850-1-img1"]
    assert (found["label"], found["texts"]) == (1, [table.record(1)["sentence"]])
    assert example_of(examples, "dev-850-0-0", None, regions("dev-850-0-img1"))["label"] == 0
    wanted = "record 1 is about image 'dev-850-1-img0' and 'dev-850-1-img1', got regions of 'dev-850-1-img0'"
    with pytest.raises(ValueError, match=f"{wanted}$"):
        example_of(examples, "dev-850-1-0")
    with pytest.raises(ValueError, match=f"{wanted} and 'x'"):
        example_of(examples, "dev-850-1-0", None, regions("x"))


def test_an_expression_scores_every_region() -> None:
    record = {"example_id": "1", "image_id": "a", "sentence": "left one", "box": [10.0, 20.0, 110.0, 120.0]}
    table = TaskTable.from_records("referring_expressions", [record])
    found = example_of(TaskExamples(table, plus_one=False), "1")
    assert found["texts"] == ["left one"]
    assert found["region_scores"].tolist() == pytest.approx([0.5, 0])
    assert example_of(TaskExamples(table), "1")["region_scores"].tolist() == pytest.approx([101 / 201, 0])
    assert example_of(TaskExamples(table, zero_below=0.6), "1")["region_scores"].tolist() == [0, 0]


def test_phrases_have_distributions_over_regions() -> None:
    phrases = [
        {"start": 0, "end": 5, "phrase_id": "1", "types": ["animals"], "boxes": [list(box) for box in BOXES]},
        {"start": 9, "end": 14, "phrase_id": "2", "types": ["other"], "boxes": [[0.0, 0.0, 5.0, 5.0]]},
        {"start": 15, "end": 17, "phrase_id": "0", "types": ["notvisual"], "boxes": []},
    ]
    record = {"example_id": "1", "image_id": "a", "sentence": "a dog on grass so", "phrases": phrases}
    table = TaskTable.from_records("phrase_grounding", [record])
    found = example_of(TaskExamples(table), "1")
    assert found["phrases"] == [(0, 5), (9, 14), (15, 17)]
    assert found["phrase_targets"].dtype == np.float32
    assert found["phrase_targets"].tolist() == [[0.5, 0.5], [0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("kind", "records", "options", "error", "message"),
    [
        ("classification", nlvr2_table, {"choose": "answer"}, TypeError, "classification have no options, got choose"),
        ("question_answering", vqa_table, {"iou": 1}, TypeError, "have the options soft_scores, got iou"),
        ("question_answering", vqa_table, {"soft_scores": "mean"}, ValueError, "soft_scores must be one of official"),
        (
            "multiple_choice",
            None,
            {"choose": "both"},
            ValueError,
            "choose must be one of answer, rationale, got 'both'",
        ),
        ("multiple_choice", None, {"given_answer": 1}, ValueError, "given_answer=1 goes with choose='rationale' only"),
        (
            "multiple_choice",
            None,
            {"separator": "[SEP]"},
            ValueError,
            r"separator='\[SEP\]' goes with choose='rationale'",
        ),
        ("multiple_choice", None, {"mention_iou": 2}, ValueError, "mention_iou must lie between 0 and 1, got 2"),
    ],
)
def test_options_that_make_no_sense_are_refused(kind: TaskKind, records, options, error, message: str) -> None:
    with pytest.raises(error, match=message):
        vcr_examples(**options) if records is None else TaskExamples(records(), **options)


def one_statement(label: str | None) -> list[Record]:
    return [{"example_id": "1", "image_ids": ["a"], "sentence": "It is.", "label": label}]


def test_labels_must_be_known() -> None:
    with pytest.raises(ValueError, match="the table of x has no labels: prepare it with a vocabulary"):
        TaskExamples(TaskTable.from_records("classification", one_statement("True"), task="x"))
    table = TaskTable.from_records("classification", one_statement("maybe"), labels=LABELS)
    with pytest.raises(ValueError, match=r"example '1' has the label 'maybe', the task has \['False', 'True'\]"):
        example_of(TaskExamples(table), "1")
    hidden = TaskTable.from_records("classification", one_statement(None), labels=LABELS)
    assert example_of(TaskExamples(hidden), "1")["label"] is None


def test_regions_of_another_image_are_refused() -> None:
    with pytest.raises(ValueError, match="record 0 is about image 'COCO_train2014_000000000025', got regions of 'x'"):
        TaskExamples(vqa_table()).example(regions("x"), 0, epoch=0)
