"""The `instances.json` of COCO, to which other files refer by number."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeVar, get_args

from .official_files import Annotation, read_json_list

_Known = TypeVar("_Known")

ImageName = Literal["file_name", "cocoid"]
"""What names an image: the stem of its file name (`COCO_train2014_000000000009`), or its number (`9`)."""


def image_names(instances: str | Path, image_id: ImageName) -> dict[str, str]:
    """What names each image of a file, by its number there.

    Args:
        instances: `instances.json`.
        image_id: What shall name it.

    Returns:
        Names by number.

    Raises:
        InvalidAnnotation: If the file is not what it should be.
        ValueError: If `image_id` is unknown.
    """
    if image_id not in get_args(ImageName):
        raise ValueError(f"image_id must be one of {', '.join(get_args(ImageName))}, got {image_id!r}")
    images = read_json_list(instances, "images")
    if image_id == "cocoid":
        return {(number := image.identifier("id")): number for image in images}
    return {image.identifier("id"): Path(image.text("file_name")).stem for image in images}


def look_up(record: Annotation, field: str, known: Mapping[str, _Known], instances: str | Path) -> _Known:
    """What a record refers to.

    Args:
        record: The record.
        field: Of the record, a number in `instances`.
        known: What there is, by number.
        instances: Where that comes from, for the error.

    Returns:
        The entry of `known`.

    Raises:
        InvalidAnnotation: If there is none.
    """
    key = record.identifier(field)
    if key not in known:
        raise record.error(f"{field} {key} is not in {instances}")
    return known[key]


def corners(record: Annotation, field: str) -> list[float]:
    """Turns x, y, width, height into x1, y1, x2, y2.

    Args:
        record: The record.
        field: Of the record, a box.

    Returns:
        The corners in pixels.

    Raises:
        InvalidAnnotation: If it is no box with an area.
    """
    box = record.items(field)
    if len(box) != 4 or any(isinstance(n, bool) or not isinstance(n, (int, float)) for n in box) or min(box[2:]) <= 0:
        raise record.error(f"{field} must be x, y, width and height, with an area, got {box!r:.80}")
    x, y, width, height = map(float, box)
    return [x, y, x + width, y + height]
