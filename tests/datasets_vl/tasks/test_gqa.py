from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datasets_vl.tasks.gqa import read_gqa
from datasets_vl.tasks.records import InvalidAnnotation
from tests.datasets_vl.tasks.sample_files import SAMPLES, edited_json

TRAIN, TEST = (SAMPLES / "gqa" / f"{split}_balanced_questions.json" for split in ("train", "test"))


def test_questions_have_one_answer_and_their_types() -> None:
    assert list(read_gqa([TRAIN, TEST])) == [
        {
            "example_id": "02930152",
            "image_id": "2354786",
            "question": "Is the sky dark?",
            "answers": ["yes"],
            "main_answer": "yes",
            "question_type": "verify",
            "answer_type": "attr",
        },
        {
            "example_id": "07333408",
            "image_id": "2375429",
            "question": "What is on the white wall?",
            "answers": ["pipe"],
            "main_answer": "pipe",
            "question_type": "query",
            "answer_type": "rel",
        },
        {
            "example_id": "201971873",
            "image_id": "n15740",
            "question": "Is the purse to the left or to the right of the person?",
            "answers": [],
            "main_answer": None,
            "question_type": None,
            "answer_type": None,
        },
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"question": None}, r"entry '02930152': question must be a text that is not empty, got None"),
        ({"imageId": 1.5}, r"entry '02930152': imageId must be a text or a whole number, got 1\.5"),
        ({"answer": ["yes"]}, r"entry '02930152': answer must be a text that is not empty, got \['yes'\]"),
        ({"types": "verify"}, r"entry '02930152', types: expected a JSON object, got 'verify'"),
    ],
)
def test_entries_that_are_not_right_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    file = edited_json(TRAIN, tmp_path, lambda content: content["02930152"].update(changes))
    with pytest.raises(InvalidAnnotation, match=rf"train_balanced_questions\.json, {message}"):
        list(read_gqa([file]))


def test_an_entry_that_is_no_object_is_named(tmp_path: Path) -> None:
    file = edited_json(TRAIN, tmp_path, lambda content: content.update({"5": []}))
    with pytest.raises(InvalidAnnotation, match=r"entry '5': expected a JSON object, got \[\]"):
        list(read_gqa([file]))
