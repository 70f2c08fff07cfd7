"""Cheap data sets for the tests of reading: few regions, recognisable numbers, shards of any sizes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from datasets_vl.captions import CaptionTable
from datasets_vl.manifest import Manifest, ShardInfo, write_manifest
from datasets_vl.parquet import RegionFeaturesMetadata, ShardFile
from datasets_vl.pretraining import PreTrainingTask
from processing_vl.pretraining_example import PreTrainingExample
from processing_vl.region_features import RegionFeatures

FEATURE_DIM = 8


def image_name(number: int) -> str:
    return f"image-{number:04d}"


def image(number: int, *, feature_dim: int = FEATURE_DIM, regions: int | None = None) -> RegionFeatures:
    """Image `number`: 1 to 4 regions, whose first feature is the number."""
    count = 1 + number % 4 if regions is None else regions
    features = np.random.default_rng(number).random((count, feature_dim), dtype=np.float32).astype(np.float16)
    features[:, 0] = number
    return RegionFeatures(
        image_id=image_name(number),
        width=100,
        height=50 + number % 7,
        boxes=np.tile(np.array([[1, 2, 30, 40]], dtype=np.float32), (count, 1)),
        features=features,
        object_ids=np.arange(count, dtype=np.int64),
        object_scores=np.linspace(0, 1, count, dtype=np.float32),
    )


def write_shards(folder: Path, sizes: Sequence[int], *, start: int = 0, feature_dim: int = FEATURE_DIM) -> Path:
    """Writes shards of the given sizes, images numbered through, and their manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    metadata = RegionFeaturesMetadata(feature_dim=feature_dim)
    shards, number = [], start
    for index, size in enumerate(sizes):
        path = folder / f"shard-{index:05d}.parquet"
        with ShardFile(path, metadata) as shard:
            for _ in range(size):
                shard.write(image(number, feature_dim=feature_dim))
                number += 1
            shard.finish()
        shards.append(ShardInfo.of(path, size))
    write_manifest(folder, Manifest(metadata, tuple(shards)))
    return folder


def caption_table(images: Iterable[int], *, most: int = 3) -> CaptionTable:
    """1 to `most` captions for each image."""
    return CaptionTable.from_pairs(
        (image_name(number), f"caption {k} of image {number}") for number in images for k in range(1 + number % most)
    )


def matched_task(images: Iterable[int]) -> PreTrainingTask:
    return PreTrainingTask(caption_table(images), form="matched", seed=5)


def keys_and_sums(examples: Sequence[PreTrainingExample]) -> dict[str, torch.Tensor]:
    """A collator: which examples these are, and a sum that no other features give."""
    return {
        "keys": torch.tensor([example["rng_key"] for example in examples]),
        "labels": torch.tensor([-1 if e["alignment_label"] is None else e["alignment_label"] for e in examples]),
        "sums": torch.tensor([float(e["regions"].features.astype(np.float64).sum()) for e in examples]),
    }


def epochs_and_captions(batches: Iterable[dict[str, torch.Tensor]]) -> list[tuple[int, int]]:
    return [(epoch, caption) for batch in batches for _, epoch, caption in batch["keys"].tolist()]


def take(data: Iterable[dict[str, torch.Tensor]], batches: int) -> list[dict[str, torch.Tensor]]:
    """The next batches; the iterator is left behind, as a training loop that ends leaves it."""
    return list(islice(data, batches))


def endless(data: Iterable[dict[str, torch.Tensor]]) -> Iterator[tuple[int, int]]:
    for batch in data:
        yield from epochs_and_captions([batch])
