"""Region features in Parquet: the columns of a row, the metadata of a file, writing one shard.

The columns are binary and the files uncompressed and without dictionaries: nested lists read 5 to 20 times slower,
the usual writer settings 7 times slower.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from processing_vl.region_features import InvalidRegionFeatures, RegionFeatures

SCHEMA_VERSION = 1
ROWS_PER_GROUP = 64
"""Rows a Parquet row group: small, so that a part of a shard can be read for the price of a part."""

REGION_SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("num_regions", pa.int32(), nullable=False),
        pa.field("boxes", pa.binary(), nullable=False),
        pa.field("features", pa.binary(), nullable=False),
        pa.field("class_probs", pa.binary()),
        pa.field("object_ids", pa.binary()),
        pa.field("object_scores", pa.binary()),
        pa.field("attribute_ids", pa.binary()),
        pa.field("attribute_scores", pa.binary()),
    ]
)
"""One row an image. Binary columns hold little-endian arrays in row-major order."""

REQUIRED_COLUMNS = tuple(field.name for field in REGION_SCHEMA if not field.nullable)
_OPTIONAL_DTYPES = {
    "class_probs": "<f2",
    "object_ids": "<i8",
    "object_scores": "<f4",
    "attribute_ids": "<i8",
    "attribute_scores": "<f4",
}
_FEATURE_DTYPES = {"float16": "<f2", "float32": "<f4"}


@dataclasses.dataclass(frozen=True)
class RegionFeaturesMetadata:
    """What all rows of a data set share; kept in the metadata of every file.

    Attributes:
        feature_dim: D, the numbers a region has.
        num_classes: C, the classes in `class_probs`; None when the data have no `class_probs`.
        detector: Where the features come from, in words; None when nobody said.
        box_policy: How regions were chosen, in words ("10-100 by confidence", "36 fixed"); None when nobody said.
        has_global_region: Whether row 0 of every image is the whole image.
        feature_dtype: How `features` are stored.
        schema_version: Version of the columns.
    """

    feature_dim: int
    num_classes: int | None = None
    detector: str | None = None
    box_policy: str | None = None
    has_global_region: bool = False
    feature_dtype: Literal["float16", "float32"] = "float16"
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        """Refuse what this version cannot write or read."""
        if self.feature_dtype not in _FEATURE_DTYPES:
            raise ValueError(f"feature_dtype is {self.feature_dtype!r}, expected one of {sorted(_FEATURE_DTYPES)}")
        if self.schema_version != SCHEMA_VERSION:
            raise ValueError(
                f"the region features have schema version {self.schema_version}, this package reads {SCHEMA_VERSION}:"
                " install the version of modeling-vl that wrote them, or convert the raw files again"
            )

    def to_file_metadata(self) -> dict[str, str]:
        """Key-value metadata of a Parquet file, each value as JSON."""
        return {key: json.dumps(value) for key, value in dataclasses.asdict(self).items()}

    @classmethod
    def from_file_metadata(cls, stored: Mapping[bytes, bytes] | None, name: str) -> RegionFeaturesMetadata:
        """Read back what `to_file_metadata` made.

        Args:
            stored: Key-value metadata of a Parquet file.
            name: The file, for the error.

        Returns:
            The metadata.

        Raises:
            ValueError: The file was not written by this package, or by another version of it.
        """
        keys = [field.name for field in dataclasses.fields(cls)]
        missing = [key for key in keys if key.encode() not in (stored or {})]
        if missing:
            raise ValueError(f"{name} holds no region features: its metadata lacks {', '.join(missing)}")
        return cls(**{key: json.loads(stored[key.encode()]) for key in keys})


def row_from_regions(regions: RegionFeatures, feature_dtype: str = "float16") -> dict[str, Any]:
    """Turn one image into the columns of `REGION_SCHEMA`.

    Args:
        regions: Valid region features.
        feature_dtype: "float16" or "float32".

    Returns:
        Values by column.

    Raises:
        InvalidRegionFeatures: A feature or class probability is too large for the type it is stored in.
    """
    row: dict[str, Any] = {
        "image_id": regions.image_id,
        "width": regions.width,
        "height": regions.height,
        "num_regions": regions.num_regions,
        "boxes": _to_bytes(regions, "boxes", "<f4"),
        "features": _to_bytes(regions, "features", _FEATURE_DTYPES[feature_dtype]),
    }
    for name, dtype in _OPTIONAL_DTYPES.items():
        row[name] = None if getattr(regions, name) is None else _to_bytes(regions, name, dtype)
    return row


def _to_bytes(regions: RegionFeatures, name: str, dtype: str) -> bytes:
    array: np.ndarray = getattr(regions, name)
    with np.errstate(over="ignore"):
        stored = array.astype(dtype, copy=False)
    if dtype == "<f2" and not np.isfinite(stored).all():
        where = tuple(np.argwhere(~np.isfinite(stored))[0])
        raise InvalidRegionFeatures(
            regions.image_id,
            f"{name} of region {where[0]} holds {array[where]:.6g} at position {where[1]}, which float16 cannot hold"
            " (it ends at 65504): store the features as float32",
        )
    return stored.tobytes()


def regions_from_row(row: Mapping[str, Any], metadata: RegionFeaturesMetadata) -> RegionFeatures:
    """Turn one row back into region features.

    Args:
        row: Columns of `REGION_SCHEMA`; optional ones may be absent. Binary values are bytes or any other buffer.
        metadata: Of the file that holds the row.

    Returns:
        Read-only views of the row's buffers: nothing is copied.

    Raises:
        InvalidRegionFeatures: The length of a buffer does not fit the number of regions.
    """
    num_regions = row["num_regions"]

    def view(name: str, dtype: str, width: int | None) -> np.ndarray | None:
        value = row.get(name)
        if value is None:
            return None
        shape = (num_regions,) if width is None else (num_regions, width)
        expected = math.prod(shape) * np.dtype(dtype).itemsize
        size = memoryview(value).nbytes
        if size != expected:
            reason = f"column {name} holds {size} bytes, expected {expected} for the shape {list(shape)}"
            raise InvalidRegionFeatures(row["image_id"], reason)
        return np.frombuffer(value, dtype=dtype).reshape(shape)

    return RegionFeatures(
        image_id=row["image_id"],
        width=row["width"],
        height=row["height"],
        boxes=view("boxes", "<f4", 4),
        features=view("features", _FEATURE_DTYPES[metadata.feature_dtype], metadata.feature_dim),
        has_global_region=metadata.has_global_region,
        **{
            name: view(name, dtype, metadata.num_classes if name == "class_probs" else None)
            for name, dtype in _OPTIONAL_DTYPES.items()
        },
    )


class ShardFile:
    """Writes one shard under a temporary name and gives it its own name when it is whole.

    Used as a context manager; leaving it through an exception leaves no shard behind.

    Args:
        path: The name the whole shard will have.
        metadata: Of the data set; every row written must agree with it.

    Attributes:
        path: The name the whole shard will have.
        metadata: Of the data set.
        num_rows: Images written so far.
    """

    def __init__(self, path: str | os.PathLike[str], metadata: RegionFeaturesMetadata) -> None:
        self.path = Path(path)
        self.metadata = metadata
        self.num_rows = 0
        self._partial = self.path.with_name(self.path.name + ".partial")
        self._schema = REGION_SCHEMA.with_metadata(metadata.to_file_metadata())
        self._writer = pq.ParquetWriter(
            self._partial, self._schema, compression="none", use_dictionary=False, write_page_checksum=True
        )
        self._rows: list[dict[str, Any]] = []

    def write(self, regions: RegionFeatures) -> None:
        """Validate and add one image.

        Raises:
            InvalidRegionFeatures: The image is not valid, disagrees with the metadata or does not fit the stored type.
        """
        regions.validate(feature_dim=self.metadata.feature_dim)
        for name in ("num_classes", "has_global_region"):
            found, expected = getattr(regions, name), getattr(self.metadata, name)
            if found != expected:
                raise InvalidRegionFeatures(regions.image_id, f"{name} is {found}, the data set has {expected}")
        self._rows.append(row_from_regions(regions, self.metadata.feature_dtype))
        self.num_rows += 1
        if len(self._rows) == ROWS_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
            self._rows.clear()

    def finish(self, notes: Mapping[str, str] | None = None) -> None:
        """Write what is left, bring it to the disk and rename the file.

        Args:
            notes: Further key-value metadata of the file.
        """
        self._flush()
        if notes:
            self._writer.add_key_value_metadata(notes)
        self._writer.close()
        with open(self._partial, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(self._partial, self.path)

    def __enter__(self) -> ShardFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._writer.close()
        self._partial.unlink(missing_ok=True)
