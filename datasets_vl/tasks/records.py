"""What is known of one example of a benchmark: the columns of a record, one schema for every kind of task.

A record is a dictionary with exactly the columns of its kind's schema. Readers make them of official files,
`prepare.prepare_split` writes them into Parquet, `table.TaskTable` reads them there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

TaskKind = Literal[
    "question_answering", "multiple_choice", "classification", "referring_expressions", "phrase_grounding"
]

Record = dict[str, Any]
"""Plain Python values by column name."""

BOX = pa.list_(pa.float64())
"""Corners x1 y1 x2 y2 in pixels."""

MENTION = pa.struct([("start", pa.int32()), ("end", pa.int32()), ("objects", pa.list_(pa.int32()))])
"""Characters `start` to `end - 1` of a text name the objects with these numbers."""

TEXT = pa.struct([("text", pa.string()), ("mentions", pa.list_(MENTION))])

PHRASE = pa.struct(
    [
        ("start", pa.int32()),
        ("end", pa.int32()),
        ("phrase_id", pa.string()),
        ("types", pa.list_(pa.string())),
        ("boxes", pa.list_(BOX)),
    ]
)
"""Characters `start` to `end - 1` of a sentence name what lies in the boxes; there are none for what has no place."""


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


SCHEMAS: dict[TaskKind, pa.Schema] = {
    # `answers`: those of ten people, or one; empty in a test split. `main_answer`: the one that stands for them (VQA's
    # multiple_choice_answer), of which answer vocabularies are made.
    "question_answering": pa.schema(
        [
            _required("example_id", pa.string()),
            _required("image_id", pa.string()),
            _required("question", pa.string()),
            _required("answers", pa.list_(pa.string())),
            pa.field("main_answer", pa.string()),
            pa.field("question_type", pa.string()),
            pa.field("answer_type", pa.string()),
        ]
    ),
    # The rationales give reasons for the right answer. Mentions number the objects. A test split has no labels.
    "multiple_choice": pa.schema(
        [
            _required("example_id", pa.string()),
            _required("image_id", pa.string()),
            _required("question", TEXT),
            _required("answers", pa.list_(TEXT)),
            pa.field("answer_label", pa.int32()),
            _required("rationales", pa.list_(TEXT)),
            pa.field("rationale_label", pa.int32()),
            _required("object_boxes", pa.list_(BOX)),
            _required("object_names", pa.list_(pa.string())),
        ]
    ),
    # One image or two. `group`: examples that consistency judges together (NLVR2).
    "classification": pa.schema(
        [
            _required("example_id", pa.string()),
            _required("image_ids", pa.list_(pa.string())),
            _required("sentence", pa.string()),
            pa.field("label", pa.string()),
            pa.field("group", pa.string()),
        ]
    ),
    "referring_expressions": pa.schema(
        [
            _required("example_id", pa.string()),
            _required("image_id", pa.string()),
            _required("sentence", pa.string()),
            _required("box", BOX),
        ]
    ),
    "phrase_grounding": pa.schema(
        [
            _required("example_id", pa.string()),
            _required("image_id", pa.string()),
            _required("sentence", pa.string()),
            _required("phrases", pa.list_(PHRASE)),
        ]
    ),
}


def image_ids_of(record: Record) -> list[str]:
    """The images that `record` is about, the first one first."""
    return record["image_ids"] if "image_ids" in record else [record["image_id"]]


class InvalidAnnotation(ValueError):
    """An official file, or a record of it, that is not what it should be.

    Args:
        file: The file.
        record: Which record of it: a line, a place in a list, an id. Empty where it is the whole file.
        reason: What was expected and what came.

    Attributes:
        file: As given.
        record: As given.
        reason: As given.
    """

    def __init__(self, file: str | Path, record: str, reason: str) -> None:
        super().__init__(f"{file}, {record}: {reason}" if record else f"{file}: {reason}")
        self.file = str(file)
        self.record = record
        self.reason = reason
