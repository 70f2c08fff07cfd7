"""The fields of one raw row, under all the names they go by, decoded to RegionFeatures."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from processing_vl.region_features import RegionFeatures

NAMES_OF: dict[str, tuple[str, ...]] = {
    "image_id": ("image_id", "img_id"),
    "width": ("image_w", "img_w", "image_width"),
    "height": ("image_h", "img_h", "image_height"),
    "num_boxes": ("num_boxes", "num_bbox"),
    "boxes": ("boxes", "bbox"),
    "features": ("features", "x"),
    "class_probs": ("cls_prob", "soft_labels"),
    "object_ids": ("objects_id", "obj_id", "objects"),
    "object_scores": ("objects_conf", "obj_conf", "conf"),
    "attribute_ids": ("attrs_id", "attr_id"),
    "attribute_scores": ("attrs_conf", "attr_conf"),
}
"""Our names and those of the public formats, the first one found being used."""

RAW_NAMES = frozenset(name for names in NAMES_OF.values() for name in names)

_REQUIRED = ("width", "height", "boxes", "features")
_VECTORS = ("object_ids", "object_scores", "attribute_ids", "attribute_scores")


class UnreadableRowError(ValueError):
    """The fields of a row cannot be decoded.

    Args:
        reason: What was expected and what came.
        image_id: The image, where the row still tells.

    Attributes:
        reason: What was expected and what came.
        image_id: The image, where the row still tells.
    """

    def __init__(self, reason: str, image_id: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.image_id = image_id


def regions_from_fields(
    fields: Mapping[str, Any], *, image_id: str | None = None, has_global_region: bool = False
) -> RegionFeatures:
    """Decode one row, whatever names and encodings its format uses.

    A value is an array, a number, or base64 (text or bytes) of a little-endian array: 32-bit features and class
    probabilities; ids, scores and boxes of 32 or 64 bits, told apart by their length. Scores are left out where the
    row does not say of which classes or attributes (UNITER).

    Args:
        fields: Values under any of the names in `NAMES_OF`; other names are ignored.
        image_id: The image; taken from the fields when None.
        has_global_region: Whether row 0 is the whole image.

    Returns:
        Region features that are not yet validated.

    Raises:
        UnreadableRowError: A field is missing or cannot be decoded.
    """
    values = {
        ours: next(fields[name] for name in names if name in fields)
        for ours, names in NAMES_OF.items()
        if any(name in fields for name in names)
    }
    for kind in ("object", "attribute"):
        if f"{kind}_ids" not in values:
            values.pop(f"{kind}_scores", None)
    if image_id is None:
        image_id = _image_id(values)
    try:
        missing = [f"{name} ({' or '.join(NAMES_OF[name])})" for name in _REQUIRED if name not in values]
        if missing:
            raise UnreadableRowError(f"lacks {', '.join(missing)}")
        count = _whole_number("num_boxes", values["num_boxes"]) if "num_boxes" in values else None
        if count is not None and count < 1:
            raise UnreadableRowError(f"num_boxes is {count}, expected at least one region")
        boxes = _array("boxes", values["boxes"], count, "f4", "f8", columns=4)
        if count is None:
            count = len(boxes)
        features = _floats("features", _array("features", values["features"], count, "f4"))
        if len(features) != count:
            raise UnreadableRowError(f"features have {len(features)} rows, the row says {count} regions")
        return RegionFeatures(
            image_id=image_id,
            width=_whole_number("width", values["width"]),
            height=_whole_number("height", values["height"]),
            boxes=_floats("boxes", boxes, keep_float16=False),
            features=features,
            class_probs=_class_probs(values.get("class_probs"), count),
            has_global_region=has_global_region,
            **{name: _vector(name, values.get(name), count) for name in _VECTORS},
        )
    except UnreadableRowError as error:
        raise UnreadableRowError(error.reason, image_id) from error


def _image_id(values: Mapping[str, Any]) -> str:
    if "image_id" not in values:
        raise UnreadableRowError(f"lacks the image id ({' or '.join(NAMES_OF['image_id'])})")
    value = values["image_id"]
    try:
        image_id = value.decode() if isinstance(value, bytes) else str(value)
    except UnicodeDecodeError as error:
        raise UnreadableRowError(f"the image id {value!r} is not UTF-8 text") from error
    if not image_id:
        raise UnreadableRowError("the image id is empty")
    return image_id


def _whole_number(name: str, value: Any) -> int:
    """Image sizes may be fractions: some tools divide the resized size by the scale again."""
    try:
        number = float(value.item() if isinstance(value, np.ndarray) else value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        shown = repr(value)
        raise UnreadableRowError(f"{name} is {shown[:40] + '...' * (len(shown) > 40)}, expected a number")
    return round(number)


def _array(name: str, value: Any, count: int | None, *dtypes: str, columns: int | None = None) -> np.ndarray:
    """An array of `count` rows and, if given, `columns` columns; base64 is taken for the first dtype that fits it."""
    is_text = isinstance(value, (str, bytes))
    array = _from_base64(name, value, count, dtypes, columns) if is_text else np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise UnreadableRowError(f"{name} is of type {array.dtype}, expected numbers")
    if array.ndim == 1 and columns != 1:
        rows = count or array.size // 4  # only boxes come without a count
        if rows and array.size % rows == 0:
            array = array.reshape(rows, -1)
    return array


def _from_base64(
    name: str, text: str | bytes, count: int | None, dtypes: tuple[str, ...], columns: int | None
) -> np.ndarray:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnreadableRowError(f"{name} is not whole base64: {error}") from error
    is_exact = count is not None and columns is not None
    sizes = {dtype: np.dtype(dtype).itemsize * (columns or 1) * (count or 1) for dtype in dtypes}
    for dtype, size in sizes.items():
        if len(data) == size if is_exact else data and len(data) % size == 0:
            return np.frombuffer(data, dtype=f"<{dtype}")
    expected = ("" if is_exact else "a multiple of ") + " or ".join(map(str, sizes.values()))
    regions = "" if count is None else f" for {count} regions"
    raise UnreadableRowError(f"{name} holds {len(data)} bytes, expected {expected}{regions}")


def _floats(name: str, array: np.ndarray, *, keep_float16: bool = True) -> np.ndarray:
    with np.errstate(over="ignore"):
        return array.astype("<f2" if keep_float16 and array.dtype == np.float16 else "<f4", copy=False)


def _class_probs(value: Any, count: int) -> np.ndarray | None:
    if value is None:
        return None
    return _floats("class_probs", _array("class_probs", value, count, "f4"))


def _vector(name: str, value: Any, count: int) -> np.ndarray | None:
    if value is None:
        return None
    is_id = name.endswith("_ids")
    array = _array(name, value, count, *(("i8", "i4") if is_id else ("f4", "f8")), columns=1)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if not is_id:
        return _floats(name, array, keep_float16=False)
    if array.dtype.kind == "f" and not (array == np.round(array)).all():
        raise UnreadableRowError(f"{name} holds fractions, expected whole numbers")
    return array.astype("<i8", copy=False)
