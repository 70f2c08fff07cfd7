"""What masked region modelling can predict, one entry a target."""

from __future__ import annotations

from typing import NamedTuple


class RegionTarget(NamedTuple):
    """One target of masked region modelling.

    Attributes:
        size_field: Config field that gives the width of the prediction.
        inputs: Model inputs the loss reads besides `region_labels`.
    """

    size_field: str
    inputs: tuple[str, ...]


REGION_TARGETS: dict[str, RegionTarget] = {
    "kl": RegionTarget("num_region_classes", ("region_class_probs",)),
    "mse": RegionTarget("visual_embedding_dim", ("region_features",)),
    "nce": RegionTarget("visual_embedding_dim", ("region_features",)),
    "huber": RegionTarget("visual_embedding_dim", ("region_features",)),
    "class": RegionTarget("num_region_classes", ("object_ids",)),
    "object": RegionTarget("num_object_classes", ("object_ids", "object_scores")),
    "attribute": RegionTarget("num_attribute_classes", ("attribute_ids", "attribute_scores")),
}
"""The targets by name. ViLBERT's KL to the detector's class distribution (section 3.1 of the paper; `visual_target` 0
of vilbert-multi-task); squared error and noise-contrastive estimation of the feature (1 and 2); and VOLTA's further
ones: objects with confidence (3), attributes with confidence (4), Huber (5), the class without confidence (6)."""
