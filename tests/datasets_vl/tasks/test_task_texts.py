"""What of a task's records goes into tokenizers and into task-specific pre-training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datasets_vl.captions import read_captions
from datasets_vl.tasks.table import TaskTable
from datasets_vl.tasks.task_texts import pretraining_text, texts_of, write_pretraining_texts

QUESTION = {
    "example_id": "1",
    "image_id": "kitchen",
    "question": "what is red?",
    "answers": ["Apple"] * 6 + ["the apple"] * 4,
    "main_answer": "an Apple",
}


def text(words: str) -> dict[str, Any]:
    return {"text": words, "mentions": []}


CHOICE = {
    "example_id": "2",
    "image_id": "street",
    "question": text("why ?"),
    "answers": [text("no"), text("he runs")],
    "answer_label": 1,
    "rationales": [text("it is late"), text("never")],
    "rationale_label": 0,
    "object_boxes": [],
    "object_names": [],
}
STATEMENT = {"example_id": "3", "image_ids": ["left", "right"], "sentence": "both are dogs", "label": "False"}


def test_all_texts_of_a_record() -> None:
    assert list(texts_of(QUESTION)) == ["what is red?", *["Apple"] * 6, *["the apple"] * 4]
    assert list(texts_of(CHOICE)) == ["why ?", "no", "he runs", "it is late", "never"]
    assert list(texts_of(STATEMENT)) == ["both are dogs"]


def test_a_question_is_followed_by_what_is_right() -> None:
    assert pretraining_text(QUESTION) == "what is red? apple"
    assert pretraining_text(CHOICE) == "why ? he runs it is late"
    assert pretraining_text(STATEMENT) == "both are dogs"
    assert pretraining_text({**QUESTION, "answers": [], "main_answer": None}) is None
    assert pretraining_text({**CHOICE, "rationale_label": None}) is None


def test_the_file_is_a_caption_file(tmp_path: Path) -> None:
    unanswered = {**QUESTION, "example_id": "4", "image_id": "hall", "answers": [], "main_answer": None}
    again = {**QUESTION, "example_id": "5", "question": "what is „grün“?"}
    table = TaskTable.from_records("question_answering", [QUESTION, unanswered, again])
    path = tmp_path / "new" / "texts.jsonl"
    assert write_pretraining_texts(table, path) == 2
    captions = read_captions(path)
    assert captions.image_ids.array.to_pylist() == ["kitchen"]
    assert [captions.text(index) for index in captions.captions_of("kitchen")] == [
        "what is red? apple",
        "what is „grün“? apple",
    ]
    assert [file.name for file in path.parent.iterdir()] == ["texts.jsonl"]


def test_what_cannot_be_pre_trained_on_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    pairs = TaskTable.from_records("classification", [STATEMENT])
    with pytest.raises(ValueError, match="record 3 is about 2 images, pre-training reads one at a time"):
        write_pretraining_texts(pairs, path)
    test_split = TaskTable.from_records("question_answering", [{**QUESTION, "answers": [], "main_answer": None}])
    with pytest.raises(ValueError, match="no record knows its answer"):
        write_pretraining_texts(test_split, path)
    assert not path.exists()
