"""Boxes in numbers: the location vectors a model reads, and how much two boxes overlap."""

from __future__ import annotations

import numpy as np

from configuration_vl.region_conventions import LOCATION_SIZES


def region_locations(boxes: np.ndarray, width: int, height: int, location_size: int = 5) -> np.ndarray:
    """Express pixel boxes relative to the size of their image.

    The area share is (x2 - x1) * (y2 - y1) / (width * height), without the extra pixel of `pairwise_iou`.

    Args:
        boxes: Corners x1 y1 x2 y2 in pixels, `[R, 4]`.
        width: Image width in pixels.
        height: Image height in pixels.
        location_size: One of `LOCATION_SIZES`.

    Returns:
        Locations, float32 `[R, location_size]`.

    Raises:
        ValueError: If `location_size` is unknown.
    """
    check_location_size(location_size)
    corners = np.asarray(boxes, dtype=np.float64) / (width, height, width, height)
    extent = corners[:, 2:] - corners[:, :2]
    area = extent.prod(axis=1, keepdims=True)
    parts = {4: (corners,), 5: (corners, area), 7: (corners, extent, area)}[location_size]
    return np.concatenate(parts, axis=1, dtype=np.float32)


def whole_image_location(location_size: int = 5) -> np.ndarray:
    """Location of the region that stands for the whole image.

    Args:
        location_size: One of `LOCATION_SIZES`.

    Returns:
        float32 `[location_size]`: 0 0 1 1, then ones.

    Raises:
        ValueError: If `location_size` is unknown.
    """
    return region_locations(np.array([[0, 0, 1, 1]]), 1, 1, location_size)[0]


def pairwise_iou(boxes: np.ndarray, others: np.ndarray, *, plus_one: bool = True) -> np.ndarray:
    """Intersection over union of every box with every other.

    Args:
        boxes: Corners x1 y1 x2 y2 in pixels, `[N, 4]`.
        others: The same, `[M, 4]`.
        plus_one: Whether a box covers the pixels of both its corners, so that it is x2 - x1 + 1 wide, as in
            vilbert-multi-task and VOLTA; False for the geometric overlap.

    Returns:
        float64 `[N, M]` in [0, 1]; 0 where neither box has an area.
    """
    first = np.asarray(boxes, dtype=np.float64)[:, None]
    second = np.asarray(others, dtype=np.float64)[None]
    pixel = float(plus_one)
    shared_extent = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2]) + pixel
    intersection = shared_extent.clip(min=0).prod(axis=-1)
    areas = [(box[..., 2:] - box[..., :2] + pixel).prod(axis=-1) for box in (first, second)]
    union = areas[0] + areas[1] - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)


def check_location_size(location_size: int) -> None:
    """Refuse an unknown location size.

    Args:
        location_size: Should be one of `LOCATION_SIZES`.

    Raises:
        ValueError: It is not.
    """
    if location_size not in LOCATION_SIZES:
        raise ValueError(f"location_size must be one of {LOCATION_SIZES}, got {location_size!r}")
