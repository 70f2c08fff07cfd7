from __future__ import annotations

import pickle
from typing import Any

import pyarrow as pa
import pytest

from datasets_vl.tasks.records import SCHEMAS, Record
from datasets_vl.tasks.table import TaskTable


def question(example_id: str, image_id: str, **fields: Any) -> Record:
    return {"example_id": example_id, "image_id": image_id, "question": "why ?", "answers": ["so"], **fields}


def statement(example_id: str, *image_ids: str, label: str | None = "True") -> Record:
    return {"example_id": example_id, "image_ids": list(image_ids), "sentence": "It is.", "label": label}


def table(*records: Record, labels: tuple[str, ...] = ("so", "no")) -> TaskTable:
    return TaskTable.from_records("question_answering", records, task="vqa", labels=labels)


def test_records_are_grouped_by_image() -> None:
    rows = table(question("1", "b"), question("2", "a", answer_type="other"), question("3", "b"))
    assert len(rows) == 3
    assert rows.image_ids.array.to_pylist() == ["b", "a"]
    assert rows.offsets.tolist() == [0, 2, 3]
    assert rows.example_ids == ["1", "3", "2"]
    assert [rows.position_of(row) for row in range(3)] == [0, 0, 1]
    assert rows.rows_of("b") == range(2)
    assert rows.record(2) == {
        **question("2", "a", answer_type="other"),
        "main_answer": None,
        "question_type": None,
    }
    assert rows.label_numbers == {"so": 0, "no": 1}


def test_a_record_about_two_images_counts_with_the_first() -> None:
    records = [statement("1", "a", "b"), statement("2", "b", "c"), statement("3", "a", "d")]
    rows = TaskTable.from_records("classification", records, labels=("False", "True"))
    assert rows.image_ids.array.to_pylist() == ["a", "b"]
    assert [rows.images_of(row) for row in range(3)] == [["a", "b"], ["a", "d"], ["b", "c"]]
    assert rows.second_images.to_pylist() == ["b", "d", "c"]
    assert [rows.second_image_of(row) for row in range(3)] == ["b", "d", "c"]
    one = table(question("1", "a"))
    assert (len(one.second_images), one.second_image_of(0)) == (0, None)


def test_records_about_one_image_and_two_may_be_mixed() -> None:
    rows = TaskTable.from_records("classification", [statement("1", "a"), statement("2", "b", "c")], labels=("True",))
    assert [rows.second_image_of(row) for row in range(2)] == [None, "c"]


def test_every_kind_keeps_its_records() -> None:
    text = {"text": "Alex smiles", "mentions": [{"start": 0, "end": 4, "objects": [1]}]}
    records: dict[str, Record] = {
        "multiple_choice": {
            "example_id": "1",
            "image_id": "a",
            "question": text,
            "answers": [text, {"text": "no", "mentions": []}],
            "answer_label": 1,
            "rationales": [text],
            "rationale_label": None,
            "object_boxes": [[0.5, 1.0, 2.0, 3.0]],
            "object_names": ["person"],
        },
        "classification": {**statement("1", "a", label=None), "group": "g"},
        "referring_expressions": {"example_id": "1", "image_id": "a", "sentence": "it", "box": [0.1, 1.0, 2.0, 3.0]},
        "phrase_grounding": {
            "example_id": "1",
            "image_id": "a",
            "sentence": "a dog",
            "phrases": [
                {"start": 0, "end": 5, "phrase_id": "7", "types": ["animals"], "boxes": [[0.0, 1.0, 2.0, 3.0]]}
            ],
        },
    }
    assert {*records, "question_answering"} == set(SCHEMAS)
    for kind, record in records.items():
        assert TaskTable.from_records(kind, [record]).record(0) == record


def test_the_fingerprint_is_that_of_the_content() -> None:
    records = [question("1", "b"), question("2", "a")]
    same = pickle.loads(pickle.dumps(table(*records)))
    assert same.fingerprint == table(*records).fingerprint
    assert same.record(0) == records[0] | {"main_answer": None, "question_type": None, "answer_type": None}
    others = [
        table(*records[:1]),
        table(*records, labels=("no", "so")),
        table(question("1", "b", question="how ?"), records[1]),
        table(question("1", "c"), records[1]),
    ]
    assert len({same.fingerprint, *(other.fingerprint for other in others)}) == 5


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no record"):
        table()
    with pytest.raises(ValueError, match="2 example ids occur more than once, the first is '1'"):
        table(*(question(name, "a") for name in "12321"))
    with pytest.raises(ValueError, match="kind must be one of question_answering, .*, got 'vqa'"):
        TaskTable.from_records("vqa", [])
    with pytest.raises(ValueError, match="records of classification have the columns"):
        TaskTable("classification", pa.table({"example_id": ["1"]}))
    with pytest.raises(IndexError, match="record 1 of a table of 1"):
        table(question("1", "a")).record(1)
