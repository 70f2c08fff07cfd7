from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from datasets_vl.tasks import json_stream
from datasets_vl.tasks.records import InvalidAnnotation
from datasets_vl.tasks.vqa import MINIVAL_SIZE, read_vqa
from tests.datasets_vl.tasks.sample_files import SAMPLES, edited_json

QUESTIONS = SAMPLES / "vqa" / "v2_OpenEnded_mscoco_train2014_questions.json"
ANNOTATIONS = SAMPLES / "vqa" / "v2_mscoco_train2014_annotations.json"


def test_questions_are_joined_with_their_answers_by_id() -> None:
    records = list(read_vqa([QUESTIONS], [ANNOTATIONS]))
    assert [(record["example_id"], record["image_id"], record["question"]) for record in records] == [
        ("25000", "COCO_train2014_000000000025", "Is the giraffe eating?"),
        ("9000", "COCO_train2014_000000000009", "How many bowls are there?"),
        ("9001", "COCO_train2014_000000000009", "What green vegetable is in the bowl?"),
        ("30000", "COCO_train2014_000000000030", "What color is the vase?"),
    ]
    assert records[1] == {
        "example_id": "9000",
        "image_id": "COCO_train2014_000000000009",
        "question": "How many bowls are there?",
        "answers": ["4", "4", "4", "4", "4", "4", "four", "5", "5", "3"],
        "main_answer": "4",
        "question_type": "how many",
        "answer_type": "number",
    }


def test_any_order_joins_and_that_of_the_annotations_counts(tmp_path: Path) -> None:
    usual = [record["example_id"] for record in read_vqa([QUESTIONS], [ANNOTATIONS])]
    for order in permutations(range(4)):
        file = edited_json(
            ANNOTATIONS, tmp_path, lambda content, order=order: content["annotations"].sort(key=ranks(order))
        )
        found = list(read_vqa([QUESTIONS], [file]))
        assert [record["example_id"] for record in found] == [usual[number] for number in order]


def ranks(order: Sequence[int]) -> Callable[[Any], int]:
    ids = (25000, 9000, 9001, 30000)
    return lambda annotation: order.index(ids.index(annotation["question_id"]))


def peak_memory(questions: Path, annotations: Path) -> int:
    """Of reading all records, with what the files need at once."""
    tracemalloc.start()
    count = sum(1 for _ in read_vqa([questions], [annotations], minival="without"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == json.loads(questions.read_text())["questions"][0]["question_id"] - MINIVAL_SIZE
    return peak


def test_memory_does_not_grow_with_files_in_the_same_order(tmp_path: Path, monkeypatch) -> None:
    """But for 8 bytes a question, and a few such columns for a moment; a question that waits takes hundreds."""
    monkeypatch.setattr(json_stream, "_PIECE", 4096)
    small, large = 4000, 16_000
    growth = [peak_memory(*many_questions(tmp_path, count, 1)) for count in (small, large)]
    assert growth[1] - growth[0] < 60 * (large - small)
    questions, annotations = many_questions(tmp_path, large, 1)
    content = json.loads(annotations.read_text())
    content["annotations"].reverse()
    annotations.write_text(json.dumps(content))
    assert peak_memory(questions, annotations) - growth[0] > 300 * (large - small)


def test_images_may_go_by_number() -> None:
    assert {record["image_id"] for record in read_vqa([QUESTIONS], image_id="cocoid")} == {"9", "25", "30"}


def test_a_test_split_has_questions_alone(tmp_path: Path) -> None:
    file = edited_json(QUESTIONS, tmp_path, lambda content: content.update(data_subtype="test-dev2015"))
    records = list(read_vqa([file]))
    assert [record["example_id"] for record in records] == ["9000", "9001", "25000", "30000"]
    assert records[0]["image_id"] == "COCO_test2015_000000000009"
    assert all(record["answers"] == [] and record["main_answer"] is None for record in records)


def many_questions(folder: Path, count: int, first: int) -> tuple[Path, Path]:
    """Questions numbered backwards, so that the file's order is not that of the ids."""
    ids = range(first + count - 1, first - 1, -1)
    questions, annotations = folder / f"questions{first}.json", folder / f"annotations{first}.json"
    asked = [{"question_id": i, "image_id": i // 10, "question": "why?"} for i in ids]
    questions.write_text(json.dumps({"data_subtype": "val2014", "questions": asked}))
    answered = [{"question_id": i, "image_id": i // 10, "answers": [{"answer": "so"}]} for i in ids]
    annotations.write_text(json.dumps({"annotations": answered}))
    return questions, annotations


def test_minival_is_the_last_3000_ids_of_the_last_file(tmp_path: Path) -> None:
    (train, train_answers), (val, val_answers) = (
        many_questions(tmp_path, 50, 1),
        many_questions(tmp_path, 3020, 1000),
    )

    def ids(questions: list[Path], annotations: list[Path], minival: str) -> set[int]:
        return {int(record["example_id"]) for record in read_vqa(questions, annotations, minival=minival)}

    assert ids([val], [val_answers], "only") == set(range(1020, 4020))
    assert ids([train, val], [train_answers, val_answers], "only") == set(range(1020, 4020))
    assert ids([train, val], [train_answers, val_answers], "without") == {*range(1, 51), *range(1000, 1020)}
    assert ids([train, val], [], "without") == {*range(1, 51), *range(1000, 1020)}


def first_question(**changes: Any) -> Callable[[Any], None]:
    return lambda content: content["questions"][0].update(changes)


def first_annotation(**changes: Any) -> Callable[[Any], None]:
    return lambda content: content["annotations"][0].update(changes)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda content: content.pop("questions"),
            r"questions\.json: has no questions; it has data_subtype, data_type",
        ),
        (lambda content: content.pop("data_subtype"), r"questions\.json: has no data_subtype"),
        (lambda content: content["questions"].insert(1, 5), r"questions\[1\]: expected a JSON object, got 5"),
        (first_question(question=" "), r"questions\[0\]: question must be a text that is not empty, got ' '"),
        (first_question(question_id="9000"), r"questions\[0\]: question_id must be a whole number, got '9000'"),
        (first_question(question_id=1 << 63), r"questions\[0\]: question_id must be a whole number, got 9223"),
        (first_question(image_id=None), r"questions\[0\]: image_id must be a text or a whole number, got None"),
        (first_question(question_id=9001), r"questions\[1\]: question_id 9001 occurs a second time"),
        (
            first_question(question_id=1),
            r"annotations\[1\]: question_id 9000 is not among the questions of .*questions",
        ),
        (
            lambda content: content["questions"].append({"question_id": 7, "image_id": 1, "question": "why?"}),
            r"annotations\.json: 1 questions of .*questions\.json have no annotation, such as 7",
        ),
    ],
)
def test_questions_that_are_not_right_are_named(tmp_path: Path, edit: Callable, message: str) -> None:
    with pytest.raises(InvalidAnnotation, match=message):
        list(read_vqa([edited_json(QUESTIONS, tmp_path, edit)], [ANNOTATIONS]))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            first_annotation(image_id=8),
            r"annotations\[0\]: question 25000 is about image 8 here, and about image 25 in",
        ),
        (first_annotation(question_id=9000, image_id=9), r"annotations\[1\]: question_id 9000 occurs a second time"),
        (first_annotation(answers=[]), r"annotations\[0\]: answers is empty"),
        (first_annotation(answers="yes"), r"annotations\[0\]: answers must be a list, got 'yes'"),
        (
            first_annotation(answers=[{"answer": "yes"}, {"answer": 3}]),
            r"annotations\[0\]: answers\[1\] must be an object with an answer, got \{'answer': 3\}",
        ),
        (lambda content: content.pop("annotations"), r"annotations\.json: the JSON object has no list 'annotations'"),
    ],
)
def test_annotations_that_are_not_right_are_named(tmp_path: Path, edit: Callable, message: str) -> None:
    with pytest.raises(InvalidAnnotation, match=message):
        list(read_vqa([QUESTIONS], [edited_json(ANNOTATIONS, tmp_path, edit)]))


def test_a_file_that_is_no_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "q.json").write_text("{")
    with pytest.raises(InvalidAnnotation, match=r"q\.json, character 1: not JSON: expected a key in quotes"):
        list(read_vqa([tmp_path / "q.json"]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"annotations": [ANNOTATIONS, ANNOTATIONS]}, "1 files of questions and 2 of annotations"),
        ({"image_id": "id"}, "image_id must be one of file_name, cocoid, got 'id'"),
        ({"minival": "yes"}, "minival must be one of only, without, got 'yes'"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(read_vqa([QUESTIONS], **arguments))
