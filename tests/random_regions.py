"""Images of random regions, valid in every respect, for tests that need no pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

from processing_vl.region_features import RegionFeatures


def random_regions(
    num_regions: int, *, feature_dim: int = 8, num_classes: int = 5, seed: int = 0, **changes: Any
) -> RegionFeatures:
    """An image of 640 x 480 pixels with everything a detector may say about it; `changes` replace fields.

    With `has_global_region=True`, row 0 covers the whole image.
    """
    rng = np.random.default_rng([seed, num_regions])
    corners = rng.uniform(0, [400, 300], size=(num_regions, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(20, 160, size=(num_regions, 2))], axis=1)
    if changes.get("has_global_region"):
        boxes[0] = 0, 0, 640, 480
    fields = {
        "image_id": f"image-{seed}",
        "width": 640,
        "height": 480,
        "boxes": boxes.astype(np.float32),
        "features": rng.standard_normal((num_regions, feature_dim)).astype(np.float16),
        "class_probs": rng.dirichlet(np.ones(num_classes), size=num_regions).astype(np.float16),
        "object_ids": rng.integers(num_classes, size=num_regions),
        "object_scores": rng.random(num_regions, dtype=np.float32),
        "attribute_ids": rng.integers(3, size=num_regions),
        "attribute_scores": rng.random(num_regions, dtype=np.float32),
    }
    return RegionFeatures(**{**fields, **changes})
