from __future__ import annotations

import io
import itertools
import tracemalloc
from pathlib import Path

import fsspec
import pyarrow.parquet as pq
import pytest

from datasets_vl.parquet import RegionFeaturesMetadata
from datasets_vl.shard_folder import ShardFolder
from datasets_vl.shard_reading import DamagedShardError, iter_shard, open_shard, read_image_ids, verify_shard
from tests.datasets_vl.parquet_shards import ARRAYS, images, write_shard
from tests.datasets_vl.small_shards import write_shards
from tests.random_regions import random_regions


@pytest.mark.parametrize("start_row", [0, 1, 63, 64, 100, 128, 149, 150, 200])
@pytest.mark.parametrize("batch_size", [7, 64, 1000])
def test_reading_starts_at_any_row(tmp_path: Path, start_row: int, batch_size: int) -> None:
    path = write_shard(tmp_path / "a.parquet", images(150))
    found = [regions.image_id for regions in iter_shard(path, start_row=start_row, batch_size=batch_size)]
    assert found == [f"image-{i}" for i in range(start_row, 150)]


def test_only_the_columns_asked_for_are_read(tmp_path: Path) -> None:
    path = write_shard(tmp_path / "a.parquet", images(3))
    found = next(iter_shard(path, columns=["object_ids"]))
    assert found.object_ids is not None and found.class_probs is None and found.attribute_scores is None
    with pytest.raises(ValueError, match=r"unknown columns \['object_id'\], region features have \['image_id'"):
        next(iter_shard(path, columns=["object_id"]))


def test_a_file_opened_through_fsspec_is_read(tmp_path: Path) -> None:
    path = write_shard(tmp_path / "a.parquet", images(70))
    with fsspec.open(f"file://{path}", "rb") as file:
        assert [regions.image_id for regions in iter_shard(file, start_row=68)] == ["image-68", "image-69"]


def test_kept_images_do_not_keep_their_batches(tmp_path: Path) -> None:
    """A shuffle buffer of one image in 64 must cost what its images cost, not what their batches cost."""
    metadata = RegionFeaturesMetadata(feature_dim=4096)
    names = dict.fromkeys(ARRAYS[2:])
    wide = [random_regions(8, feature_dim=4096, seed=i, **names) for i in range(64)] * 8  # 64 KiB an image
    path = write_shard(tmp_path / "a.parquet", wide, metadata)
    tracemalloc.start()
    kept = list(itertools.islice(iter_shard(path), 0, None, 64))
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(kept) == 8
    assert used < 2 * 8 * (64 << 10)


def test_a_changed_byte_is_found(tmp_path: Path) -> None:
    path = write_shard(tmp_path / "a.parquet", images(70))
    assert verify_shard(path) == 70
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedShardError, match=r"row group 0 of .*a\.parquet is damaged: .*CRC"):
        verify_shard(path)
    path.write_bytes(content[:1000])
    with pytest.raises(DamagedShardError, match=r"a\.parquet is not a whole Parquet file"):
        verify_shard(path)


def test_files_of_others_are_refused_by_name(tmp_path: Path) -> None:
    table = pq.read_table(write_shard(tmp_path / "a.parquet", images(1)))
    pq.write_table(table.replace_schema_metadata({}), tmp_path / "b.parquet")
    with pytest.raises(ValueError, match=r"b\.parquet holds no region features: its metadata lacks feature_dim"):
        next(iter_shard(tmp_path / "b.parquet"))
    with pytest.raises(ValueError, match=r"schema version 2, this package reads 1"):
        RegionFeaturesMetadata(feature_dim=8, schema_version=2)
    with pytest.raises(ValueError, match="feature_dtype is 'bfloat16'"):
        RegionFeaturesMetadata(feature_dim=8, feature_dtype="bfloat16")


def test_image_ids_are_read_alone_also_from_an_empty_shard(tmp_path: Path) -> None:
    for count in (0, 3, 150):
        with open_shard(write_shard(tmp_path / "a.parquet", images(count))) as file:
            assert read_image_ids(file, "a").to_pylist() == [f"image-{i}" for i in range(count)]


@pytest.mark.parametrize("address", ["{}", "file://{}"])
def test_a_changed_byte_is_found_by_every_way_of_reading(tmp_path: Path, address: str) -> None:
    """Checksums are compared where data are read, not only where a conversion goes on."""
    folder = write_shards(tmp_path, [70, 130])
    path = folder / "shard-00001.parquet"
    content = bytearray(path.read_bytes())
    row_group = [image.features.tobytes() for image in iter_shard(path)][64:128]
    features = next(each for each in row_group if content.count(each) == 1)  # others also stand in the statistics
    content[content.index(features) + 1] ^= 0x40
    path.write_bytes(content)
    stream = ShardFolder(address.format(folder))
    message = r"row group 1 of .*shard-00001\.parquet is damaged: .*CRC"
    assert len(list(stream.read(range(134)))) == 134
    with pytest.raises(DamagedShardError, match=message):
        list(stream.read([5, 170]))
    with pytest.raises(DamagedShardError, match=message):
        list(iter_shard(path))
    assert len(stream.image_ids) == 200  # that column is whole


def test_a_lost_connection_is_not_taken_for_damage(tmp_path: Path) -> None:
    class Remote(io.BytesIO):
        is_lost = False

        def read(self, size: int | None = -1) -> bytes:
            if self.is_lost:
                raise ConnectionResetError("reset by peer")
            return super().read(size)

    remote = Remote(write_shard(tmp_path / "a.parquet", images(70)).read_bytes())
    with open_shard(remote) as file:
        remote.is_lost = True
        with pytest.raises(OSError, match=r"the column image_id of far\.parquet cannot be read: reset by peer"):
            read_image_ids(file, "far.parquet")
