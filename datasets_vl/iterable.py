"""Shards as a `datasets.IterableDataset`, for those who work with that library's own tools."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets

from datasets_vl.captions import CaptionTable
from datasets_vl.shard_folder import ShardFolder


def as_iterable_dataset(
    source: str | Path | ShardFolder, captions: CaptionTable | None = None
) -> datasets.IterableDataset:
    """Wraps a folder of shards; a row is an image.

    The library's `state_dict` resumes it exactly as long as nothing is shuffled by a buffer (that buffer's content is
    not part of the library's state); for training use `StreamedTrainingData`. Unlike
    `load_dataset("parquet", streaming=True)`, whose interpreter may abort at exit, it reads through
    `ParquetFile.iter_batches`.

    Args:
        source: A folder of shards, its address (`hf://datasets/user/name`), or a `ShardFolder`.
        captions: Adds a column `captions`, and leaves out images without.

    Returns:
        A data set with a shard for every shard. Its columns are the fields of `RegionFeatures` that the data have,
        as numpy arrays: `boxes` `[R, 4]`, `features` `[R, D]`, ...
    """
    folder = source if isinstance(source, ShardFolder) else ShardFolder(source)
    names = [shard.name for shard in folder.manifest.shards]
    return datasets.IterableDataset.from_generator(
        _rows, gen_kwargs={"shards": names, "folder": folder, "captions": captions}
    )


def _rows(shards: list[str], folder: ShardFolder, captions: CaptionTable | None) -> Iterator[dict[str, Any]]:
    for name in shards:
        for _, image in folder.read(folder.rows_of(name)):
            values = {field.name: getattr(image, field.name) for field in dataclasses.fields(image)}
            row = {key: value for key, value in values.items() if value is not None}
            if captions is not None:
                texts = [captions.text(index) for index in captions.captions_of(image.image_id)]
                if not texts:
                    continue
                row["captions"] = texts
            yield row
