"""From annotated boxes to the regions of an image: which regions are meant, and how much."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from processing_vl.boxes_vl import pairwise_iou
from processing_vl.region_features import RegionFeatures


def scores_of_box(
    regions: RegionFeatures, box: Sequence[float], *, zero_below: float = 0.0, plus_one: bool = True
) -> np.ndarray:
    """How much each region is the box that is meant: their intersection over union.

    Args:
        regions: The image.
        box: Corners x1 y1 x2 y2 in pixels.
        zero_below: Overlaps below this count as none. ViLBERT trains on RefCOCO with 0.5 and evaluates with 0.
        plus_one: The pixel convention, see `pairwise_iou`; ViLBERT's is True.

    Returns:
        float32 `[R]` in [0, 1].
    """
    scores = pairwise_iou(regions.boxes, np.array([box]), plus_one=plus_one)[:, 0]
    scores[scores < zero_below] = 0.0
    return scores.astype(np.float32)


def distribution_over_boxes(
    regions: RegionFeatures, boxes: Sequence[Sequence[float]], *, minimum_iou: float = 0.5, plus_one: bool = False
) -> np.ndarray:
    """The regions that show a phrase, all equally likely (VisualBERT, section 4.4: any of the phrase's boxes will do).

    Args:
        regions: The image.
        boxes: Of the phrase, corners x1 y1 x2 y2 in pixels; there may be none.
        minimum_iou: Intersection over union from which a region shows what is in a box.
        plus_one: The pixel convention, see `pairwise_iou`: False in VisualBERT (from BAN), True in vilbert-multi-task.

    Returns:
        float32 `[R]` that adds up to 1, or zeros where no region fits.
    """
    overlaps = pairwise_iou(regions.boxes, np.array(boxes, dtype=np.float64).reshape(-1, 4), plus_one=plus_one)
    fits = (overlaps >= minimum_iou).any(axis=1)
    return fits.astype(np.float32) / np.float32(max(fits.sum(), 1))


def regions_of_objects(
    regions: RegionFeatures, boxes: Sequence[Sequence[float]], *, minimum_iou: float = 0.5
) -> list[int | None]:
    """The region that shows each annotated object: the one that overlaps its box most.

    Where the regions are the annotated boxes themselves, region `i` is object `i` even if two boxes are equal. A
    global region stands for no object.

    Args:
        regions: The image.
        boxes: Of the objects, corners x1 y1 x2 y2 in pixels.
        minimum_iou: Intersection over union below which an object is not among the regions.

    Returns:
        For every object the number of its region, or None.
    """
    first = int(regions.has_global_region)
    if not boxes or regions.num_regions == first:
        return [None] * len(boxes)
    overlaps = pairwise_iou(np.array(boxes), regions.boxes[first:], plus_one=False)
    best = overlaps.argmax(axis=1)
    same = np.arange(len(boxes)).clip(max=overlaps.shape[1] - 1)
    rows = np.arange(len(boxes))
    best = np.where(overlaps[rows, same] == overlaps[rows, best], same, best)
    return [
        int(region) + first if overlap >= minimum_iou else None
        for region, overlap in zip(best, overlaps[rows, best], strict=True)
    ]
