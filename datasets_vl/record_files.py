"""What made a model, as a JSON file beside it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from datasets_vl.manifest import write_whole

Record = TypeVar("Record")


def write_record(path: Path, record: Any) -> None:
    """Write a record, whole or not at all.

    Args:
        path: The file.
        record: A dataclass instance whose fields JSON can hold.
    """
    write_whole(path, json.dumps(asdict(record), indent=2) + "\n")


def read_record(path: Path, record_class: type[Record], writer: str) -> Record | None:
    """Read what `write_record` wrote.

    Args:
        path: The file.
        record_class: Class of the record.
        writer: What writes such files, for the error: "a training run".

    Returns:
        The record; None where there is no file.

    Raises:
        ValueError: If the file holds something else.
    """
    if not path.is_file():
        return None
    try:
        return record_class(**json.loads(path.read_text(encoding="utf-8")))
    except (json.JSONDecodeError, TypeError) as error:
        raise ValueError(f"{path} is not what {writer} writes beside its model: {error}") from error
