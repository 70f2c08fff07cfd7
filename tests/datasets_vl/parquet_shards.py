"""Shards written by `ShardFile` alone, for the tests of writing and of reading."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from datasets_vl.parquet import RegionFeaturesMetadata, ShardFile
from processing_vl.region_features import RegionFeatures
from tests.random_regions import random_regions

METADATA = RegionFeaturesMetadata(feature_dim=8, num_classes=5, detector="BUTD", box_policy="1-9")
ARRAYS = ["boxes", "features", "class_probs", "object_ids", "object_scores", "attribute_ids", "attribute_scores"]


def write_shard(path: Path, images: list[RegionFeatures], metadata: RegionFeaturesMetadata = METADATA) -> Path:
    with ShardFile(path, metadata) as file:
        for regions in images:
            file.write(regions)
        file.finish()
    return path


def images(count: int) -> list[RegionFeatures]:
    return [random_regions(1 + i % 4, seed=i) for i in range(count)]


def assert_same(found: RegionFeatures, expected: RegionFeatures) -> None:
    for name in ("image_id", "width", "height", "has_global_region"):
        assert getattr(found, name) == getattr(expected, name)
    for name in ARRAYS:
        if getattr(expected, name) is None:
            assert getattr(found, name) is None
        else:
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name, strict=True)
