"""The records of one split of a benchmark, by number and by image, and the files they are kept in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from datasets_vl.image_table import ImageTable, group_by_image
from datasets_vl.manifest import ShardInfo

from .records import SCHEMAS, Record, TaskKind

TASK_FILE = "task.json"


class TaskTable(ImageTable):
    """All records of a split, numbered so that those of one image stand side by side.

    A record about two images counts with its first. The records stay in Arrow memory, which worker processes share.

    Args:
        kind: Of the task.
        rows: The records, with the columns of `SCHEMAS[kind]`, `N` in all and in any order.
        task: Name of the benchmark.
        labels: Classes or answers in the order of their numbers, where the task has such.

    Attributes:
        kind: As given.
        task: As given.
        labels: As given.
        rows: The records, grouped by image.

    Raises:
        ValueError: If there is no record, the columns are not those of the kind, or an example id occurs twice.
    """

    row_name = "record"
    naming_hint = "examples/prepare_task.py can name images as the region features do"

    def __init__(self, kind: TaskKind, rows: pa.Table, *, task: str = "", labels: Sequence[str] | None = None) -> None:
        if kind not in SCHEMAS:
            raise ValueError(f"kind must be one of {', '.join(SCHEMAS)}, got {kind!r}")
        if not rows.schema.equals(SCHEMAS[kind]):
            raise ValueError(f"records of {kind} have the columns\n{SCHEMAS[kind]}\ngot\n{rows.schema}")
        if not rows.num_rows:
            raise ValueError("there is no record")
        image_ids, offsets, order = group_by_image(_first_images(rows))
        super().__init__(image_ids, offsets, rows.num_rows)
        self.kind = kind
        self.task = task
        self.labels = None if labels is None else list(labels)
        self.rows = rows.take(order).combine_chunks()
        refuse_repeated_ids(self.rows.column("example_id"))

    @classmethod
    def from_records(
        cls, kind: TaskKind, records: Iterable[Record], *, task: str = "", labels: Sequence[str] | None = None
    ) -> TaskTable:
        """Builds the table from records in memory; see the class for the arguments and errors.

        Args:
            kind: Of the task.
            records: With the columns of `SCHEMAS[kind]`; one that may be null may be absent.
            task: Name of the benchmark.
            labels: Classes or answers in the order of their numbers.

        Returns:
            The table.
        """
        if kind not in SCHEMAS:
            raise ValueError(f"kind must be one of {', '.join(SCHEMAS)}, got {kind!r}")
        return cls(kind, pa.Table.from_pylist(list(records), schema=SCHEMAS[kind]), task=task, labels=labels)

    def record(self, index: int) -> Record:
        """Record `index`."""
        if not 0 <= index < len(self):
            raise IndexError(f"record {index} of a table of {len(self)}")
        return {name: column[index].as_py() for name, column in self._columns.items()}

    def images_of(self, index: int) -> list[str]:
        """The images that record `index` is about, the first one first."""
        column = self._columns.get("image_ids")
        return [self.image_of(index)] if column is None else column[index].as_py()

    def second_image_of(self, index: int) -> str | None:
        """See `ImageTable.second_image_of`."""
        return next(iter(self.images_of(index)[1:]), None) if len(self.second_images) else None

    @property
    def example_ids(self) -> list[str]:
        """The benchmark's names of the examples, in the order of the records."""
        return self.rows.column("example_id").to_pylist()

    @cached_property
    def second_images(self) -> pa.Array:
        """See `ImageTable.second_images`."""
        if self.kind != "classification":
            return pa.array([], pa.string())
        return pa.array((ids[1] for ids in self.rows.column("image_ids").to_pylist() if len(ids) > 1), pa.string())

    @cached_property
    def label_numbers(self) -> dict[str, int]:
        """The number of every class or answer; empty for a task without."""
        return {label: number for number, label in enumerate(self.labels or ())}

    @cached_property
    def fingerprint(self) -> str:
        """A checksum of all records and classes."""
        digest = hashlib.sha256(json.dumps([self.kind, self.labels]).encode())
        # Through the IPC format: the buffers of a sliced array hold more than the slice.
        for batch in self.rows.to_batches(max_chunksize=4096):
            digest.update(batch.serialize())
        return digest.hexdigest()[:16]

    @cached_property
    def _columns(self) -> dict[str, pa.ChunkedArray]:
        return dict(zip(self.rows.column_names, self.rows.columns, strict=True))


def split_file(folder: str | Path, split: str) -> Path:
    """Where the records of `split` lie in the prepared `folder`."""
    return Path(folder) / f"{split}.parquet"


def read_task_description(folder: str | Path) -> dict[str, Any]:
    """Reads what a prepared folder says of itself.

    Args:
        folder: Written by `examples/prepare_task.py`.

    Returns:
        `task`, `kind`, `labels` (or None) and `splits`: for every split its counts and what is missing.

    Raises:
        FileNotFoundError: If the folder has no `task.json`.
        ValueError: If that is not what was written.
    """
    path = Path(folder) / TASK_FILE
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: prepare the data with examples/prepare_task.py")
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(description, dict) or not {"task", "kind", "labels", "splits"} <= description.keys():
        raise ValueError(f"{path} does not describe prepared data: it needs task, kind, labels and splits")
    return description


def read_task_table(folder: str | Path, split: str) -> TaskTable:
    """Reads the records of one split of a prepared folder.

    Args:
        folder: Written by `examples/prepare_task.py`.
        split: Name of the split.

    Returns:
        The table, with the labels of the folder.

    Raises:
        FileNotFoundError: If the folder is not a prepared one.
        ValueError: If it has no such split, or the split's file is not the one that was prepared.
    """
    description = read_task_description(folder)
    if split not in description["splits"]:
        raise ValueError(
            f"{folder} has no split {split!r}, only {', '.join(map(repr, description['splits'])) or 'none'}: "
            "prepare it with examples/prepare_task.py"
        )
    path = split_file(folder, split)
    found = description["splits"][split]
    if not path.is_file() or ShardInfo.of(path, found["records"]).sha256 != found["sha256"]:
        raise ValueError(
            f"{path} is not the file that {TASK_FILE} beside it describes: it was damaged, or its preparation was "
            "interrupted; start examples/prepare_task.py again with the same arguments"
        )
    rows = pq.read_table(path, schema=SCHEMAS[description["kind"]])
    return TaskTable(description["kind"], rows, task=description["task"], labels=description["labels"])


def _first_images(rows: pa.Table) -> Iterator[str]:
    """The first image of every record, without a Python string for all of them at once."""
    has_one = "image_id" in rows.column_names
    column = rows.column("image_id") if has_one else pc.list_element(rows.column("image_ids"), 0)
    for batch in pa.table([column], ["image"]).to_batches(max_chunksize=4096):
        yield from batch.column(0).to_pylist()


def refuse_repeated_ids(example_ids: pa.ChunkedArray) -> None:
    """Refuses `example_ids` in which one occurs twice: predictions are kept, joined and judged by them."""
    counts = example_ids.value_counts()
    repeated = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(repeated):
        raise ValueError(
            f"{len(repeated)} example ids occur more than once, the first is {repeated[0]['values'].as_py()!r}: "
            "is a file given twice?"
        )
