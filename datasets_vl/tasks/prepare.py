"""Joins the official annotations of a benchmark with region features: a folder with one Parquet file a split."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm.auto import tqdm

from datasets_vl.manifest import ShardInfo, write_whole
from datasets_vl.private_folder import sole_writer
from datasets_vl.shard_folder import ShardFolder

from .answer_vocabulary import build_vocabulary, main_answer, read_vocabulary
from .benchmark import Benchmark
from .proposals import ProposalBoxes
from .records import SCHEMAS, Record, TaskKind, image_ids_of
from .table import TASK_FILE, read_task_description, refuse_repeated_ids, split_file

_ROWS_PER_GROUP = 4096
_FIRST = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class VocabularySource:
    """Where the answers come from that a model shall know.

    Attributes:
        file: See `read_vocabulary`; None builds the vocabulary from the split that is prepared.
        min_count: Of a vocabulary that is built, see `build_vocabulary`; the benchmark's own when None.
    """

    file: str | Path | None = None
    min_count: int | None = None

    def __post_init__(self) -> None:
        """Refuse a count that nothing would be counted by."""
        if self.file is not None and self.min_count is not None:
            raise ValueError(
                f"min_count={self.min_count} is for a vocabulary that is built, not read from {self.file}"
            )


@dataclasses.dataclass
class PreparedSplit:
    """What became of the annotations of a split.

    Attributes:
        records: Records that were written: all whose images have features.
        images: Images that the written records are about.
        left_out: Annotations that the reader left out, by reason.
        without_features: Images of the annotations that have no features, with how many records each cost; a record
            about two images counts with each that is missing.
        without_annotations: Images that have features and no annotation.
        outside_vocabulary: Written records whose main answer the vocabulary does not know.
    """

    records: int = 0
    images: int = 0
    left_out: Counter[str] = dataclasses.field(default_factory=Counter)
    without_features: Counter[str] = dataclasses.field(default_factory=Counter)
    without_annotations: list[str] = dataclasses.field(default_factory=list)
    outside_vocabulary: int = 0

    def summary(self) -> dict[str, Any]:
        """Counts and first ids, for `task.json`."""
        return {
            "records": self.records,
            "images": self.images,
            "left_out": dict(self.left_out),
            "images_without_features": len(self.without_features),
            "first_images_without_features": list(self.without_features)[:_FIRST],
            "images_without_annotations": len(self.without_annotations),
            "first_images_without_annotations": self.without_annotations[:_FIRST],
            "answers_outside_vocabulary": self.outside_vocabulary,
        }


def missing_file(folder: str | Path, split: str) -> Path:
    """Where the complete lists of what is missing lie for `split` in the prepared `folder`."""
    return Path(folder) / f"{split}.missing.json"


def prepare_split(
    benchmark: Benchmark,
    folder: str | Path,
    *,
    split: str,
    regions: Sequence[str | Path],
    options: Mapping[str, Any],
    vocabulary: VocabularySource | None = None,
    proposals: ProposalBoxes | None = None,
) -> PreparedSplit:
    """Writes one split: `<split>.parquet`, what is missing into `<split>.missing.json`, all else into `task.json`.

    Records go from the official files to Parquet one by one. Records of images without features are left out and
    reported. Every file is written whole or not at all, `task.json` last: started again after an interruption, it does
    the split anew and leaves the same files.

    Args:
        benchmark: What is prepared.
        folder: Where to; may hold other splits of the benchmark. All have one vocabulary.
        split: Name of the split.
        regions: Folders of region shards, or their addresses, see `ShardFolder`.
        options: Arguments of the benchmark's reader.
        vocabulary: Where the answers come from, for a benchmark with a vocabulary; None takes the folder's.
        proposals: Boxes that the regions of all written images must be; `task.json` then names their source.

    Returns:
        What was written and what is missing.

    Raises:
        InvalidAnnotation: If an official file is not what it should be.
        ValueError: If the folder holds another benchmark or vocabulary, a vocabulary is needed and not given or the
            other way round, no image of the annotations has features, an example occurs twice, or the regions of an
            image are not the `proposals`.
        RuntimeError: If another process is writing into the folder.
    """
    if not re.fullmatch(r"\w[\w.-]*", split):
        raise ValueError(f"a split's name may have letters, digits, '_', '-' and '.', got {split!r}")
    folder = Path(folder)
    with sole_writer(folder):
        description = _description(folder, benchmark)
        labels = _labels_before(benchmark, vocabulary, description, split, folder)
        report = PreparedSplit()
        own = {"split": split} if benchmark.reads_split else {}
        if benchmark.counts_left_out:
            own["left_out"] = report.left_out
        shards = [ShardFolder(source) for source in regions]
        join = _Join(benchmark.kind, _image_ids(shards), report)
        records = tqdm(benchmark.read(**options, **own), desc=f"{benchmark.name} {split}", unit=" records")
        partial = folder / f"{split}.parquet.partial"
        try:
            _write_records(partial, benchmark, join.records(records))
            if not report.records:
                raise ValueError(join.nothing_written(", ".join(map(str, regions))))
            refuse_repeated_ids(pq.read_table(partial, columns=["example_id"]).column(0))
            if labels is None and vocabulary is not None:
                least = benchmark.min_answer_count if vocabulary.min_count is None else vocabulary.min_count
                labels = build_vocabulary(join.answers, min_count=least)
                _check_same_labels(description, labels, split, folder)
            verified = {}
            if proposals is not None:
                verified["proposals"] = proposals.check_folders(shards, join.written)
            join.finish(labels)
            os.replace(partial, split_file(folder, split))
        finally:
            partial.unlink(missing_ok=True)
        missing = {
            "records_by_image_without_features": dict(report.without_features),
            "images_without_annotations": report.without_annotations,
        }
        write_whole(missing_file(folder, split), json.dumps(missing, indent=1, ensure_ascii=False) + "\n")
        written = ShardInfo.of(split_file(folder, split), report.records)
        description["labels"] = labels
        description["splits"][split] = {"sha256": written.sha256, **report.summary(), **verified}
        write_whole(folder / TASK_FILE, json.dumps(description, indent=1, ensure_ascii=False) + "\n")
    return report


class _Join:
    """Passes on the records whose images all have features, `written` then, and counts the others."""

    def __init__(self, kind: TaskKind, image_ids: Sequence[str], report: PreparedSplit) -> None:
        self._has_answers = kind == "question_answering"
        self._has_features = frozenset(image_ids)
        self._image_ids = image_ids
        self._report = report
        self._annotated: set[str] = set()
        self.written: set[str] = set()
        self.answers: Counter[str] = Counter()
        self._written_answers: Counter[str] = Counter()

    def records(self, records: Iterable[Record]) -> Iterator[Record]:
        for record in records:
            images = image_ids_of(record)
            self._annotated.update(images)
            answer = main_answer(record) if self._has_answers else None
            if answer is not None:
                self.answers[answer] += 1
            missing = [image for image in images if image not in self._has_features]
            if missing:
                self._report.without_features.update(missing)
                continue
            if answer is not None:
                self._written_answers[answer] += 1
            self.written.update(images)
            self._report.records += 1
            yield record

    def nothing_written(self, regions: str) -> str:
        """Why nothing was written."""
        if not self._annotated:
            return "the official files hold no record for this split"
        return (
            f"no record has features for all its images: the annotations name images like {min(self._annotated)!r}, "
            f"{regions} like {self._image_ids[0]!r}; see the options of the benchmark for what names an image"
        )

    def finish(self, labels: Sequence[str] | None) -> None:
        """Completes the report."""
        self._report.images = len(self.written)
        self._report.without_annotations = [image for image in self._image_ids if image not in self._annotated]
        known = frozenset(labels or ())
        self._report.outside_vocabulary = sum(
            count for answer, count in self._written_answers.items() if answer not in known
        )


def _image_ids(shards: Sequence[ShardFolder]) -> list[str]:
    """The images of all folders, each once."""
    return list(dict.fromkeys(name for folder in shards for name in folder.image_ids.array.to_pylist()))


def _write_records(path: Path, benchmark: Benchmark, records: Iterator[Record]) -> None:
    schema = SCHEMAS[benchmark.kind]
    with pq.ParquetWriter(path, schema) as writer:
        while group := list(islice(records, _ROWS_PER_GROUP)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))


def _description(folder: Path, benchmark: Benchmark) -> dict[str, Any]:
    """What the folder says of itself, or would say when empty."""
    if not (folder / TASK_FILE).exists():
        return {"task": benchmark.name, "kind": benchmark.kind, "labels": None, "splits": {}}
    description = read_task_description(folder)
    if description["task"] != benchmark.name:
        raise ValueError(f"{folder} holds {description['task']}, not {benchmark.name}: choose another folder")
    return description


def _labels_before(
    benchmark: Benchmark, source: VocabularySource | None, description: dict[str, Any], split: str, folder: Path
) -> list[str] | None:
    """The labels as far as they are known before the records are read."""
    if benchmark.min_answer_count is None:
        if source is not None:
            raise ValueError(f"{benchmark.name} has no answer vocabulary: leave the vocabulary out")
        return None if benchmark.labels is None else list(benchmark.labels)
    if source is None:
        if description["labels"] is None:
            raise ValueError(
                f"which answers shall a model of {benchmark.name} know? Give a vocabulary, have it built from this "
                "split (of training data), or prepare the training split first"
            )
        return description["labels"]
    if source.file is None:
        return None
    labels = read_vocabulary(source.file)
    _check_same_labels(description, labels, split, folder)
    return labels


def _check_same_labels(description: dict[str, Any], labels: list[str], split: str, folder: Path) -> None:
    others = [name for name in description["splits"] if name != split]
    if others and description["labels"] != labels:
        raise ValueError(
            f"{folder} has {', '.join(others)} with another vocabulary, of {len(description['labels'])} answers, this "
            f"one has {len(labels)}: leave the vocabulary out to use the folder's, or choose another folder"
        )
