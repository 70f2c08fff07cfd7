from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from pathlib import Path

import pytest

from datasets_vl.bad_rows import BadRow
from datasets_vl.manifest import MANIFEST_NAME, Manifest, RegionShardWriter, read_manifest, write_manifest
from datasets_vl.parquet import RegionFeaturesMetadata
from datasets_vl.shard_reading import iter_shard
from processing_vl.region_features import InvalidRegionFeatures
from tests.random_regions import random_regions

METADATA = RegionFeaturesMetadata(feature_dim=8, num_classes=5)
IMAGES = [random_regions(1 + i % 3, seed=i) for i in range(10)]


def fill(folder: Path, stop: int | None = None) -> Manifest:
    with RegionShardWriter(folder, METADATA, shard_size=4) as writer:
        for regions in itertools.islice(IMAGES, writer.num_rows, None):
            if writer.num_rows == stop:
                raise InterruptedError
            writer.write(regions)
    return read_manifest(folder)


def test_the_manifest_lists_shards_rows_and_checksums(tmp_path: Path) -> None:
    manifest = fill(tmp_path)
    assert manifest.metadata == METADATA
    assert manifest.num_rows == 10
    assert [(shard.name, shard.rows) for shard in manifest.shards] == [
        ("shard-00000.parquet", 4),
        ("shard-00001.parquet", 4),
        ("shard-00002.parquet", 2),
    ]
    for shard in manifest.shards:
        content = (tmp_path / shard.name).read_bytes()
        assert (shard.bytes, shard.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    ids = [regions.image_id for shard in manifest.shards for regions in iter_shard(tmp_path / shard.name)]
    assert ids == [regions.image_id for regions in IMAGES]


def test_an_interrupted_writer_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    whole = fill(tmp_path / "whole")
    with pytest.raises(InterruptedError):
        fill(tmp_path / "parts", stop=6)
    assert [path.name for path in (tmp_path / "parts").iterdir() if path.is_file()] == ["shard-00000.parquet"]
    with pytest.raises(FileNotFoundError, match="or their conversion was interrupted"):
        read_manifest(tmp_path / "parts")
    assert fill(tmp_path / "parts") == whole


def test_shards_of_another_data_set_are_not_mixed_in(tmp_path: Path) -> None:
    fill(tmp_path)
    with pytest.raises(ValueError, match=r"shard-00000\.parquet belongs to another data set"):
        RegionShardWriter(tmp_path, RegionFeaturesMetadata(feature_dim=9), shard_size=4)
    with pytest.raises(ValueError, match="shard_size is 0"):
        RegionShardWriter(tmp_path, METADATA, shard_size=0)


def test_an_image_comes_once_also_over_two_runs(tmp_path: Path) -> None:
    with pytest.raises(InterruptedError):
        fill(tmp_path, stop=6)
    with RegionShardWriter(tmp_path, METADATA, shard_size=4) as writer:
        assert writer.num_rows == 4
        for again in (IMAGES[2], IMAGES[3]):
            with pytest.raises(InvalidRegionFeatures, match=f"image '{again.image_id}': comes a second time"):
                writer.write(again)
        writer.write(IMAGES[4])
        with pytest.raises(InvalidRegionFeatures, match=f"image '{IMAGES[4].image_id}': comes a second time"):
            writer.write(IMAGES[4])
        writer.write(IMAGES[5])
    (first, second) = read_manifest(tmp_path).shards
    ids = [regions.image_id for shard in (first, second) for regions in iter_shard(tmp_path / shard.name)]
    assert ids == [regions.image_id for regions in IMAGES[:6]]


def test_a_refused_image_may_come_again_when_it_is_right(tmp_path: Path) -> None:
    with RegionShardWriter(tmp_path, METADATA) as writer:
        with pytest.raises(InvalidRegionFeatures, match="image size is 0"):
            writer.write(dataclasses.replace(IMAGES[0], width=0))
        writer.write(IMAGES[0])
    assert read_manifest(tmp_path).num_rows == 1


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with (
        RegionShardWriter(tmp_path, METADATA),
        pytest.raises(RuntimeError, match="another process is writing into .*: wait until it has ended"),
    ):
        RegionShardWriter(tmp_path, METADATA)
    with pytest.raises(InterruptedError):
        fill(tmp_path, stop=2)
    assert fill(tmp_path).num_rows == 10


def test_skipped_rows_are_kept(tmp_path: Path) -> None:
    skipped = (BadRow("a.tsv", "line 3", "zwölf", "cut off"), BadRow("b.npz", "", None, "empty"))
    write_manifest(tmp_path, Manifest(METADATA, (), skipped))
    assert read_manifest(tmp_path).skipped == skipped
    assert json.loads((tmp_path / MANIFEST_NAME).read_text(encoding="utf-8"))["num_skipped"] == 2
    assert [str(row) for row in skipped] == ["a.tsv, line 3, image 'zwölf': cut off", "b.npz: empty"]


@pytest.mark.parametrize("change", ["missing", "shorter"])
def test_a_shard_that_does_not_fit_its_manifest_is_named(tmp_path: Path, change: str) -> None:
    fill(tmp_path)
    shard = tmp_path / "shard-00001.parquet"
    if change == "missing":
        shard.unlink()
    else:
        shard.write_bytes(shard.read_bytes()[:-1])
    reason = {"missing": "is missing", "shorter": r"has \d+ bytes, expected \d+"}[change]
    with pytest.raises(ValueError, match=rf"shard-00001\.parquet, named by the manifest beside it, {reason}"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"metadata": {}, "shards": [], "skipped": []}'])
def test_what_is_no_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST_NAME).write_text(text)
    with pytest.raises(ValueError, match=r"manifest\.json is no manifest of region features"):
        read_manifest(tmp_path)
