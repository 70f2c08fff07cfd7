"""Region shards with the images and boxes that a test wants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from datasets_vl.manifest import RegionShardWriter
from datasets_vl.parquet import RegionFeaturesMetadata
from processing_vl.region_features import RegionFeatures

BOXES = ((10.0, 20.0, 110.0, 220.0), (200.0, 30.0, 300.0, 230.0))


def regions(
    image_id: str, boxes: Sequence[Sequence[float]] = BOXES, *, has_global_region: bool = False
) -> RegionFeatures:
    """An image of 480 x 270 pixels whose first feature is the number of the region."""
    if has_global_region:
        boxes = [(0, 0, 480, 270), *boxes]
    features = np.zeros((len(boxes), 8), dtype=np.float16)
    features[:, 0] = np.arange(len(boxes))
    return RegionFeatures(
        image_id=image_id,
        width=480,
        height=270,
        boxes=np.array(boxes, dtype=np.float32),
        features=features,
        has_global_region=has_global_region,
    )


def write_regions(
    folder: Path, images: Iterable[str] | Mapping[str, Sequence[Sequence[float]]], *, shard_size: int = 2
) -> Path:
    """Shards of a few images each."""
    with RegionShardWriter(folder, RegionFeaturesMetadata(feature_dim=8), shard_size=shard_size) as writer:
        for image_id in images:
            writer.write(regions(image_id, images[image_id] if isinstance(images, Mapping) else BOXES))
    return folder
