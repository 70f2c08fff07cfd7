"""The texts of a task's records: all of them for a tokenizer, the true ones for pre-training on the task."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .answer_vocabulary import main_answer
from .records import Record, image_ids_of
from .table import TaskTable

_FIELDS = ("sentence", "question", "answers", "rationales")


def texts_of(record: Record) -> Iterator[str]:
    """Every text of a record, right answers and wrong ones alike.

    Args:
        record: Of any kind of task.

    Yields:
        The texts.
    """
    for name in _FIELDS:
        values = record.get(name, [])
        yield from (_plain(value) for value in (values if isinstance(values, list) else [values]))


def pretraining_text(record: Record) -> str | None:
    """What a record says of its image: the text of VisualBERT's task-specific pre-training (section 3.3).

    A question is followed by its right answer, and that by its right rationale. A statement that is judged stands as
    it is, true or false.

    Args:
        record: Of any kind of task.

    Returns:
        The text. None for a question without a known answer.
    """
    if "sentence" in record:
        return record["sentence"]
    if "rationales" not in record:
        answer = main_answer(record)
        return None if answer is None else f"{record['question']} {answer}"
    if record["answer_label"] is None or record["rationale_label"] is None:
        return None
    right = (record["answers"][record["answer_label"]], record["rationales"][record["rationale_label"]])
    return " ".join(_plain(text) for text in (record["question"], *right))


def write_pretraining_texts(table: TaskTable, path: str | Path) -> int:
    """Write the texts of a split as a caption file that `datasets_vl.captions.read_captions` reads.

    Args:
        table: The records of the split.
        path: The file, JSON lines `{"image_id": ..., "caption": ...}`.

    Returns:
        How many texts there are.

    Raises:
        ValueError: If the records are about two images each, as pre-training reads one; or if no answer is known.
    """
    partial, count = Path(f"{path}.partial"), 0
    partial.parent.mkdir(parents=True, exist_ok=True)
    with partial.open("w", encoding="utf-8") as file:
        for index in range(len(table)):
            record = table.record(index)
            image_ids = image_ids_of(record)
            if len(image_ids) > 1:
                raise ValueError(
                    f"record {record['example_id']} is about {len(image_ids)} images, pre-training reads one at a time"
                )
            text = pretraining_text(record)
            if text is not None:
                row = {"image_id": image_ids[0], "caption": text}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                count += 1
    if not count:
        partial.unlink()
        raise ValueError("no record knows its answer: take the texts of the training split")
    os.replace(partial, path)
    return count


def _plain(text: str | dict[str, Any]) -> str:
    return text if isinstance(text, str) else text["text"]
