from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datasets_vl.tasks.records import InvalidAnnotation
from datasets_vl.tasks.vcr import NEUTRAL_NAMES, read_vcr
from tests.datasets_vl.tasks.sample_files import SAMPLES, edited_json, edited_lines

VAL, TEST, IMAGES = (SAMPLES / "vcr" / name for name in ("val.jsonl", "test.jsonl", "vcr1images"))
METADATA = IMAGES / "movieclips_Sample" / "abc@0.json"


def words(text: dict[str, Any]) -> list[tuple[str, list[int]]]:
    return [(text["text"][m["start"] : m["end"]], m["objects"]) for m in text["mentions"]]


def test_tags_become_words_that_know_their_objects() -> None:
    record = next(read_vcr(VAL, IMAGES))
    assert record["question"]["text"] == "Why is Alex smiling at Sam and dog ?"
    assert words(record["question"]) == [("Alex", [0]), ("Sam", [1]), ("dog", [2])]
    assert [answer["text"] for answer in record["answers"]] == [
        "Alex is greeting Sam .",
        "Robin told a joke .",
        "The dog is barking .",
        "They are leaving .",
    ]
    assert [words(answer) for answer in record["answers"]] == [
        [("Alex", [0]), ("Sam", [1])],
        [("Robin", [3])],
        [("dog", [2])],
        [],
    ]
    assert words(record["rationales"][2]) == [("Alex", [0]), ("Sam", [1])]
    assert (record["answer_label"], record["rationale_label"]) == (0, 2)
    assert (record["example_id"], record["image_id"]) == ("val-12", "val-7")
    assert record["object_names"] == ["person", "person", "dog", "person"]
    assert record["object_boxes"][3] == [310.5, 40.0, 400.0, 240.0]


def test_several_people_are_joined() -> None:
    _, record = read_vcr(VAL, IMAGES)
    assert record["question"]["text"] == "Where are Alex and Sam and Robin ?"
    assert words(record["question"]) == [("Alex", [0]), ("Sam", [1]), ("Robin", [3])]


def test_a_crowd_has_names_enough(tmp_path: Path) -> None:
    (tmp_path / "movieclips_Sample").mkdir()
    edited_json(METADATA, tmp_path / "movieclips_Sample", lambda meta: meta.update(boxes=[[0, 0, 9, 9, 1]] * 23))
    names = ["person"] * 23
    file = edited_lines(VAL, tmp_path, 1, lambda row: row.update(objects=names, question=[[19, 20, 22], "?"]))
    record = next(read_vcr(file, tmp_path))
    assert record["question"]["text"] == f"{NEUTRAL_NAMES[19]} and {NEUTRAL_NAMES[0]} and {NEUTRAL_NAMES[2]} ?"
    assert len(set(NEUTRAL_NAMES)) == len(NEUTRAL_NAMES) == 20


def test_a_test_split_has_no_labels() -> None:
    record = next(read_vcr(TEST, IMAGES))
    assert (record["answer_label"], record["rationale_label"]) == (None, None)
    assert len(record["answers"]) == len(record["rationales"]) == 4


def test_images_have_three_names() -> None:
    assert next(read_vcr(VAL, IMAGES, image_id="file_name"))["image_id"] == "abc@0"
    assert next(read_vcr(VAL, IMAGES, image_id="number"))["image_id"] == "1000007"
    assert next(read_vcr(TEST, IMAGES, image_id="number"))["image_id"] == "2000003"
    with pytest.raises(ValueError, match="image_id must be one of img_id, file_name, number, got 'name'"):
        next(read_vcr(VAL, IMAGES, image_id="name"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"question": ["Why", [4]]}, r"question names object 4, the image has the objects 0 to 3"),
        ({"question": "Why?"}, r"question must be a list, got 'Why\?'"),
        ({"question": []}, r"question must be a list of words and of lists of object numbers, got \[\]"),
        ({"rationale_choices": [["a"], ["b", 3]]}, r"rationale_choices\[1\] must hold words and lists of .*, got 3"),
        ({"answer_choices": [["a"], "b"]}, r"answer_choices\[1\] must be a list of words and of lists .*, got 'b'"),
        ({"answer_label": 4}, r"answer_label must be a whole number from 0 to 3, got 4"),
        ({"objects": ["person"]}, r"has 1 objects, .*abc@0\.json has 4 boxes"),
        ({"objects": [1, 2, 3, 4]}, r"objects\[0\] must be the name of a class, got 1"),
        (
            {"metadata_fn": "nowhere.json"},
            r"there is no metadata file .*nowhere\.json: is images the folder vcr1images",
        ),
    ],
)
def test_lines_that_are_not_right_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    file = edited_lines(VAL, tmp_path, 2, lambda row: row.update(changes))
    with pytest.raises(InvalidAnnotation, match=rf"val\.jsonl, line 2: {message}"):
        list(read_vcr(file, IMAGES))


def test_an_image_id_without_number_is_named(tmp_path: Path) -> None:
    file = edited_lines(VAL, tmp_path, 1, lambda row: row.update(img_id="dev-7"))
    with pytest.raises(
        InvalidAnnotation, match=r"line 1: img_id must be train-, val- or test- and a number, got 'dev-7'"
    ):
        next(read_vcr(file, IMAGES, image_id="number"))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda meta: meta.pop("boxes"), "has no boxes; it has height, names, segms, width"),
        (
            lambda meta: meta["boxes"].insert(1, [1, 2, 3]),
            r"boxes\[1\] must be x1, y1, x2, y2 and a score, got \[1, 2, 3\]",
        ),
    ],
)
def test_metadata_that_are_not_right_are_named(tmp_path: Path, edit: Callable, message: str) -> None:
    (tmp_path / "movieclips_Sample").mkdir()
    edited_json(METADATA, tmp_path / "movieclips_Sample", edit)
    with pytest.raises(InvalidAnnotation, match=rf"abc@0\.json: {message}"):
        next(read_vcr(VAL, tmp_path))
