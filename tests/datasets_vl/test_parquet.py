from __future__ import annotations

import dataclasses
import itertools
import tracemalloc
from pathlib import Path

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets_vl.parquet import (
    DamagedShardError,
    RegionFeaturesMetadata,
    ShardFile,
    iter_shard,
    regions_from_row,
    row_from_regions,
    verify_shard,
)
from processing_vl.region_features import InvalidRegionFeatures, RegionFeatures
from tests.random_regions import random_regions

METADATA = RegionFeaturesMetadata(feature_dim=8, num_classes=5, detector="BUTD", box_policy="1-9")
ARRAYS = ["boxes", "features", "class_probs", "object_ids", "object_scores", "attribute_ids", "attribute_scores"]


def write(path: Path, images: list[RegionFeatures], metadata: RegionFeaturesMetadata = METADATA) -> Path:
    with ShardFile(path, metadata) as file:
        for regions in images:
            file.write(regions)
        file.finish()
    return path


def images(count: int) -> list[RegionFeatures]:
    return [random_regions(1 + i % 4, seed=i) for i in range(count)]


def assert_same(found: RegionFeatures, expected: RegionFeatures) -> None:
    for name in ("image_id", "width", "height", "has_global_region"):
        assert getattr(found, name) == getattr(expected, name)
    for name in ARRAYS:
        if getattr(expected, name) is None:
            assert getattr(found, name) is None
        else:
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name, strict=True)


def test_the_file_is_as_specified(tmp_path: Path) -> None:
    regions = random_regions(2)
    with pq.ParquetFile(write(tmp_path / "a.parquet", images(150))) as file:
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
    path = write(tmp_path / "a.parquet", expected)
    for found, original in zip(iter_shard(path), expected, strict=True):
        assert_same(found, original)
        assert not found.features.flags.writeable


def test_optional_columns_and_the_global_region_come_back(tmp_path: Path) -> None:
    metadata = RegionFeaturesMetadata(feature_dim=8, has_global_region=True, feature_dtype="float32")
    bare = random_regions(3, has_global_region=True, **dict.fromkeys(ARRAYS[2:]))
    bare = dataclasses.replace(bare, features=bare.features.astype(np.float32) + np.float32(1e-6))
    assert_same(next(iter_shard(write(tmp_path / "a.parquet", [bare], metadata))), bare)


@pytest.mark.parametrize("start_row", [0, 1, 63, 64, 100, 128, 149, 150, 200])
@pytest.mark.parametrize("batch_size", [7, 64, 1000])
def test_reading_starts_at_any_row(tmp_path: Path, start_row: int, batch_size: int) -> None:
    path = write(tmp_path / "a.parquet", images(150))
    found = [regions.image_id for regions in iter_shard(path, start_row=start_row, batch_size=batch_size)]
    assert found == [f"image-{i}" for i in range(start_row, 150)]


def test_only_the_columns_asked_for_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", images(3))
    found = next(iter_shard(path, columns=["object_ids"]))
    assert found.object_ids is not None and found.class_probs is None and found.attribute_scores is None
    with pytest.raises(ValueError, match=r"unknown columns \['object_id'\], region features have \['image_id'"):
        next(iter_shard(path, columns=["object_id"]))


def test_a_file_opened_through_fsspec_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", images(70))
    with fsspec.open(f"file://{path}", "rb") as file:
        assert [regions.image_id for regions in iter_shard(file, start_row=68)] == ["image-68", "image-69"]


def test_views_of_a_row_copy_nothing() -> None:
    row = row_from_regions(random_regions(2))
    found = regions_from_row(row, METADATA)
    assert np.shares_memory(found.features, np.frombuffer(row["features"], np.uint8))


def test_kept_images_do_not_keep_their_batches(tmp_path: Path) -> None:
    """A shuffle buffer of one image in 64 must cost what its images cost, not what their batches cost."""
    metadata = RegionFeaturesMetadata(feature_dim=4096)
    names = dict.fromkeys(ARRAYS[2:])
    wide = [random_regions(8, feature_dim=4096, seed=i, **names) for i in range(64)] * 8  # 64 KiB an image
    path = write(tmp_path / "a.parquet", wide, metadata)
    tracemalloc.start()
    kept = list(itertools.islice(iter_shard(path), 0, None, 64))
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(kept) == 8
    assert used < 2 * 8 * (64 << 10)


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


def test_a_changed_byte_is_found(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", images(70))
    assert verify_shard(path) == 70
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedShardError, match=r"a\.parquet is damaged: .*CRC"):
        verify_shard(path)
    path.write_bytes(content[:1000])
    with pytest.raises(DamagedShardError, match=r"a\.parquet is not a whole Parquet file"):
        verify_shard(path)


def test_files_of_others_are_refused_by_name(tmp_path: Path) -> None:
    table = pq.read_table(write(tmp_path / "a.parquet", images(1)))
    pq.write_table(table.replace_schema_metadata({}), tmp_path / "b.parquet")
    with pytest.raises(ValueError, match=r"b\.parquet holds no region features: its metadata lacks feature_dim"):
        next(iter_shard(tmp_path / "b.parquet"))
    with pytest.raises(ValueError, match=r"schema version 2, this package reads 1"):
        RegionFeaturesMetadata(feature_dim=8, schema_version=2)
    with pytest.raises(ValueError, match="feature_dtype is 'bfloat16'"):
        RegionFeaturesMetadata(feature_dim=8, feature_dtype="bfloat16")


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
    expected = [
        random_regions(n, feature_dim=dim, seed=i, image_id=f"{image_id}{i}", **dict.fromkeys(absent))
        for i, n in enumerate(counts)
    ]
    expected = [dataclasses.replace(each, features=each.features.astype(dtype)) for each in expected]
    metadata = RegionFeaturesMetadata(dim, None if "class_probs" in absent else 5, feature_dtype=dtype)
    for found, original in zip(iter_shard(write(tmp_path / "a.parquet", expected, metadata)), expected, strict=True):
        assert_same(found, original)
