"""The card of a data set: region features as Parquet shards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from huggingface_hub import DatasetCard, DatasetCardData

from datasets_vl.hub_dataset import region_files, region_splits, split_configs
from datasets_vl.manifest import MANIFEST_NAME, Manifest, read_manifest
from datasets_vl.parquet import RegionFeaturesMetadata

from .asked import DATASET
from .fields import fill, licence_metadata, licence_text
from .rendering import citations, render

_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
_COLUMNS = {
    "image_id": ("string", "unique in the split"),
    "width": ("int32", "pixels"),
    "height": ("int32", "pixels"),
    "num_regions": ("int32", "R"),
    "boxes": ("binary", "float32 `[R, 4]`, x1 y1 x2 y2 in pixels"),
    "features": ("binary", "{feature_dtype} `[R, {feature_dim}]`"),
    "class_probs": ("binary", "float16 `[R, {num_classes}]`, the detector's distribution over its classes"),
    "object_ids": ("binary", "int64 `[R]`, the detector's most probable class, -1 where there is none"),
    "object_scores": ("binary", "float32 `[R]`, its confidence"),
    "attribute_ids": ("binary", "int64 `[R]`, the detector's most probable attribute, -1 where there is none"),
    "attribute_scores": ("binary", "float32 `[R]`, its confidence"),
}


@dataclass(frozen=True)
class DatasetFolder:
    """Region features.

    Attributes:
        path: The folder.
        splits: Manifest of each split, by its name.
    """

    path: Path
    splits: dict[str, Manifest]

    @classmethod
    def read(cls, path: str | Path) -> DatasetFolder:
        """Read a folder of shards, or of splits that are such folders.

        Args:
            path: The folder.

        Returns:
            What it holds.

        Raises:
            FileNotFoundError: There are no shards.
            ValueError: See `region_splits`, or the splits do not have the same numbers a region and classes.
        """
        path = Path(path)
        folder = cls(path, {name: read_manifest(place) for name, place in region_splits(path).items()})
        kinds = {manifest.metadata for manifest in folder.splits.values()}
        if len(kinds) > 1:
            raise ValueError(f"the splits of {path} are not of one kind: {'; '.join(map(str, kinds))}")
        return folder

    @property
    def metadata(self) -> RegionFeaturesMetadata:
        """Shared by all splits."""
        return next(iter(self.splits.values())).metadata

    @property
    def columns(self) -> list[str]:
        """Columns that hold something in any shard, as the shards' footers tell."""
        filled = set()
        for file in region_files(self.path).values():
            footer = None if file.name == MANIFEST_NAME else pq.read_metadata(file)
            for number in range(footer.num_row_groups if footer else 0):
                group = footer.row_group(number)
                columns = [group.column(column) for column in range(group.num_columns)]
                filled |= {one.path_in_schema for one in columns if one.statistics.null_count < group.num_rows}
        return [name for name in _COLUMNS if name in filled]


def dataset_card(folder: DatasetFolder, name: str, given: Mapping[str, Any]) -> DatasetCard:
    """Write the card of a data set.

    Args:
        folder: The data.
        name: Hub id they shall have.
        given: What a person says, by name of the field.

    Returns:
        The card.

    Raises:
        UnfilledCard: Naming the fields that neither files nor `given` fill.
    """
    metadata = folder.metadata
    known = {"detector": metadata.detector, "box_policy": metadata.box_policy}
    values = fill(DATASET, known, given, folder.path)
    images = sum(manifest.num_rows for manifest in folder.splits.values())
    data = DatasetCardData(
        **licence_metadata(values, "data_license"),
        pretty_name=name.rpartition("/")[2],
        size_categories=[next((size for bound, size in _SIZES if images < bound), "10M<n<100M")],
        tags=["region-features", "vision-language"],
        configs=split_configs(folder.path),
    )
    described = {
        "feature_dim": metadata.feature_dim,
        "feature_dtype": metadata.feature_dtype,
        "num_classes": metadata.num_classes,
    }
    filled = folder.columns
    first, place = next(iter(region_splits(folder.path).items()))
    address = f"hf://datasets/{name}" if place == folder.path else f"hf://datasets/{name}/{place.name}"
    return render(
        DatasetCard,
        "dataset.md",
        data,
        name=name.rpartition("/")[2],
        hub_id=name,
        values=values,
        metadata=metadata,
        splits=folder.splits,
        images=images,
        columns=[
            (column, kind, text.format(**described)) for column, (kind, text) in _COLUMNS.items() if column in filled
        ],
        data_license=licence_text(values, "data_license"),
        first_split=first,
        address=address,
        feature_type="<f2" if metadata.feature_dtype == "float16" else "<f4",
        citations=citations(["lu2019vilbert", "li2019visualbert"]),
    )
