from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets_vl.parquet import RegionFeaturesMetadata, ShardFile, regions_from_row, row_from_regions
from datasets_vl.shard_reading import iter_shard
from processing_vl.region_features import InvalidRegionFeatures, RegionFeatures
from tests.datasets_vl.parquet_shards import ARRAYS, METADATA, assert_same, images, write_shard
from tests.random_regions import random_regions


def test_the_file_is_as_specified(tmp_path: Path) -> None:
    regions = random_regions(2)
    with pq.ParquetFile(write_shard(tmp_path / "a.parquet", images(150))) as file:
        assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [64, 64, 22]
        for i in range(file.metadata.num_columns):
            column = file.metadata.row_group(0).column(i)
            assert column.compression == "UNCOMPRESSED"
            assert "RLE_DICTIONARY" not in column.encodings and not column.has_dictionary_page
        kept = {k.decode(): v.decode() for k, v in file.metadata.metadata.items() if not k.startswith(b"ARROW")}
        assert kept == {
            "feature_dim": "8",
            "num_classes": "5",
            "detector": '"BUTD"',
            "box_policy": '"1-9"',
            "has_global_region": "false",
            "feature_dtype": '"float16"',
            "schema_version": "1",
        }
        assert {f.name: str(f.type) for f in file.schema_arrow} == {
            **{"image_id": "string", "width": "int32", "height": "int32", "num_regions": "int32"},
            **dict.fromkeys(ARRAYS, "binary"),
        }
    row = row_from_regions(regions)
    assert (row["image_id"], row["width"], row["height"], row["num_regions"]) == ("image-0", 640, 480, 2)
    assert row["boxes"] == regions.boxes.astype("<f4").tobytes()
    assert row["features"] == regions.features.astype("<f2").tobytes()
    assert row["object_ids"] == regions.object_ids.astype("<i8").tobytes()


def test_images_come_back_as_they_went(tmp_path: Path) -> None:
    expected = images(150)
    path = write_shard(tmp_path / "a.parquet", expected)
    for found, original in zip(iter_shard(path), expected, strict=True):
        assert_same(found, original)
        assert not found.features.flags.writeable


def test_optional_columns_and_the_global_region_come_back(tmp_path: Path) -> None:
    metadata = RegionFeaturesMetadata(feature_dim=8, has_global_region=True, feature_dtype="float32")
    bare = random_regions(3, has_global_region=True, **dict.fromkeys(ARRAYS[2:]))
    bare = dataclasses.replace(bare, features=bare.features.astype(np.float32) + np.float32(1e-6))
    assert_same(next(iter_shard(write_shard(tmp_path / "a.parquet", [bare], metadata))), bare)


def test_views_of_a_row_copy_nothing() -> None:
    row = row_from_regions(random_regions(2))
    found = regions_from_row(row, METADATA)
    assert np.shares_memory(found.features, np.frombuffer(row["features"], np.uint8))


@pytest.mark.parametrize("name", ["features", "class_probs"])
def test_a_number_float16_cannot_hold_is_an_error(name: str) -> None:
    array = np.zeros((2, 8), dtype=np.float32)
    array[1, 3] = 70000
    regions = random_regions(2, image_id="cat", **{name: array})
    with pytest.raises(InvalidRegionFeatures, match=f"image 'cat': {name} of region 1 holds 70000 at position 3"):
        row_from_regions(regions)
    if name == "features":
        assert row_from_regions(regions, "float32")["features"] == array.tobytes()


@pytest.mark.parametrize(
    ("regions", "reason"),
    [
        (random_regions(2, feature_dim=9), "features have 9 numbers a region, expected 8"),
        (random_regions(2, num_classes=4), "num_classes is 4, the data set has 5"),
        (random_regions(2, class_probs=None), "num_classes is None, the data set has 5"),
        (random_regions(2, has_global_region=True), "has_global_region is True, the data set has False"),
        (random_regions(2, width=10), "leaves the image"),
    ],
)
def test_a_row_that_disagrees_is_refused_and_others_kept(tmp_path: Path, regions: RegionFeatures, reason: str) -> None:
    with ShardFile(tmp_path / "a.parquet", METADATA) as file:
        file.write(random_regions(1))
        with pytest.raises(InvalidRegionFeatures, match=reason):
            file.write(regions)
        file.write(random_regions(2, seed=1))
        file.finish()
    assert [found.image_id for found in iter_shard(tmp_path / "a.parquet")] == ["image-0", "image-1"]


def test_an_unfinished_shard_has_no_name(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    with pytest.raises(KeyError), ShardFile(path, METADATA) as file:
        file.write(random_regions(1))
        assert not path.exists()
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_a_column_of_the_wrong_length_is_refused() -> None:
    row = {**row_from_regions(random_regions(2)), "boxes": b"\0" * 31}
    with pytest.raises(InvalidRegionFeatures, match=r"column boxes holds 31 bytes, expected 32 for the shape"):
        regions_from_row(row, METADATA)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    counts=st.lists(st.integers(1, 120), min_size=1, max_size=5),
    dim=st.integers(1, 40),
    dtype=st.sampled_from(["float16", "float32"]),
    absent=st.sets(st.sampled_from(ARRAYS[2:])),
    image_id=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
)
def test_any_valid_image_comes_back(
    tmp_path: Path, counts: list[int], dim: int, dtype: str, absent: set[str], image_id: str
) -> None:
    absent |= {name.replace("ids", "scores") for name in absent}
    expected = [
        random_regions(n, feature_dim=dim, seed=i, image_id=f"{image_id}{i}", **dict.fromkeys(absent))
        for i, n in enumerate(counts)
    ]
    expected = [dataclasses.replace(each, features=each.features.astype(dtype)) for each in expected]
    metadata = RegionFeaturesMetadata(dim, None if "class_probs" in absent else 5, feature_dtype=dtype)
    for found, original in zip(
        iter_shard(write_shard(tmp_path / "a.parquet", expected, metadata)), expected, strict=True
    ):
        assert_same(found, original)
