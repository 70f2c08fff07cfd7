from __future__ import annotations

import multiprocessing
import pickle
from collections import Counter
from itertools import islice
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import pytest

from datasets_vl.local import LocalRegions, LocalTrainingData
from datasets_vl.manifest import Manifest, ShardInfo, write_manifest
from datasets_vl.parquet import RegionFeaturesMetadata, ShardFile
from datasets_vl.shard_reading import iter_shard
from processing_vl.region_features import RegionFeatures
from tests.datasets_vl.small_shards import (
    caption_table,
    endless,
    epochs_and_captions,
    image,
    image_name,
    keys_and_sums,
    matched_task,
    take,
    write_shards,
)

SIZES = [70, 1, 300, 29]
ARRAYS = ("boxes", "features", "class_probs", "object_ids", "object_scores", "attribute_ids", "attribute_scores")


def same(one: RegionFeatures, other: RegionFeatures) -> bool:
    plain = all(getattr(one, name) == getattr(other, name) for name in ("image_id", "width", "height"))
    pairs = [(getattr(one, name), getattr(other, name)) for name in ARRAYS]
    return plain and all(
        a is b or (a is not None and b is not None and a.dtype == b.dtype and np.array_equal(a, b)) for a, b in pairs
    )


def arrow_files(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*.arrow*")}


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    return write_shards(tmp_path / "shards", SIZES)


def test_any_image_is_what_the_shards_hold(shards: Path) -> None:
    regions = LocalRegions(shards)
    stored = [image for path in sorted(shards.glob("*.parquet")) for image in iter_shard(path)]
    assert len(regions) == len(stored) == sum(SIZES)
    for position in np.random.default_rng(0).permutation(len(stored)).tolist():
        assert same(regions[position], stored[position])
        assert regions.index_of(stored[position].image_id) == position


def test_images_are_views_of_the_mapped_files(shards: Path) -> None:
    regions = LocalRegions(shards)
    first, again = regions[100], regions[100]
    for name in ("boxes", "features", "object_ids", "object_scores"):
        view = getattr(first, name)
        assert not view.flags.owndata
        assert not view.flags.writeable
        assert view.ctypes.data == getattr(again, name).ctypes.data
    mapped = [line.split() for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(".arrow")]
    ranges = [tuple(int(end, 16) for end in line[0].split("-")) for line in mapped]
    assert any(start <= first.features.ctypes.data < end for start, end in ranges)


def test_optional_columns_may_be_missing_from_some_images(tmp_path: Path) -> None:
    images = [image(0), image(1), image(2)]
    bare = RegionFeatures(image_id="bare", width=9, height=9, boxes=image(0).boxes / 10, features=image(0).features)
    metadata = RegionFeaturesMetadata(feature_dim=8)
    path = tmp_path / "shard-00000.parquet"
    with ShardFile(path, metadata) as shard:
        for each in (*images, bare):
            shard.write(each)
        shard.finish()
    write_manifest(tmp_path, Manifest(metadata, (ShardInfo.of(path, 4),)))
    regions = LocalRegions(tmp_path)
    assert [regions[i].object_ids is None for i in range(4)] == [False, False, False, True]
    assert all(same(regions[i], each) for i, each in enumerate((*images, bare)))


def test_outside_positions_and_unknown_ids_are_named(shards: Path) -> None:
    regions = LocalRegions(shards)
    for position in (-1, 400):
        with pytest.raises(IndexError, match=f"image {position} of 400"):
            regions[position]
    with pytest.raises(KeyError, match=r"no image 'x' among the 400 of .*, such as 'image-0000'"):
        regions.index_of("x")


def test_pickle_carries_the_address_alone(shards: Path) -> None:
    content = pickle.dumps(LocalRegions(shards))
    assert len(content) < 2000
    assert same(pickle.loads(content)[399], image(399))


def test_arrow_files_are_made_once_and_again_when_a_shard_changes(shards: Path) -> None:
    LocalRegions(shards)
    made = arrow_files(shards)
    assert len(made) == 4
    LocalRegions(shards)
    assert arrow_files(shards) == made

    write_shards(shards, [70, 1, 300, 20])
    assert len(LocalRegions(shards)) == 391
    remade = arrow_files(shards)
    assert len(remade) == 4
    assert len(made.items() & remade.items()) == 3


def test_cache_folder_serves_several_data_sets(tmp_path: Path) -> None:
    folders = [write_shards(tmp_path / name, [5], start=start) for name, start in (("a", 0), ("b", 50))]
    for _ in range(2):
        a, b = (LocalRegions(folder, cache_dir=tmp_path / "cache") for folder in folders)
        assert same(a[0], image(0))
        assert same(b[0], image(50))
    assert len(arrow_files(tmp_path / "cache")) == 2
    assert not arrow_files(folders[0])


def test_interrupted_copy_goes_on(shards: Path) -> None:
    LocalRegions(shards)
    made = arrow_files(shards)
    last = next(path for path in shards.rglob("shard-00003-*.arrow"))
    last.rename(last.with_name(last.name + ".partial"))
    assert same(LocalRegions(shards)[399], image(399))
    found = arrow_files(shards)
    assert found.keys() == made.keys()
    assert len(found.items() & made.items()) == 3


def test_shard_that_is_not_what_the_manifest_says_is_refused(shards: Path) -> None:
    path = shards / "shard-00002.parquet"
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"shard-00002\.parquet is not the file its manifest describes"):
        LocalRegions(shards)


def test_image_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    metadata = RegionFeaturesMetadata(feature_dim=8)
    path = tmp_path / "shard-00000.parquet"
    with ShardFile(path, metadata) as shard:
        for number in (0, 1, 0):
            shard.write(image(number))
        shard.finish()
    write_manifest(tmp_path, Manifest(metadata, (ShardInfo.of(path, 3),)))
    with pytest.raises(ValueError, match=r"more than once, the first is 'image-0000' at positions 0 and 2"):
        LocalRegions(tmp_path)


def open_together(barrier: Barrier, folder: Path, sums: Queue[int]) -> None:
    barrier.wait(timeout=60)
    regions = LocalRegions(folder)
    sums.put(sum(int(regions[position].features[0, 0]) for position in range(len(regions))))


def test_several_processes_may_copy_at_once(tmp_path: Path) -> None:
    folder = write_shards(tmp_path, [200] * 6)
    context = multiprocessing.get_context("fork")
    barrier, sums = context.Barrier(3), context.Queue()
    processes = [context.Process(target=open_together, args=(barrier, folder, sums)) for _ in range(3)]
    for process in processes:
        process.start()
    assert [sums.get(timeout=60) for _ in processes] == [sum(range(1200))] * 3
    for process in processes:
        process.join(timeout=60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len(arrow_files(folder)) == 6


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_every_example_comes_once_an_epoch_over_all_processes(shards: Path, world_size: int) -> None:
    regions, task = LocalRegions(shards), matched_task(range(400))
    count, epochs = len(task.captions), 3
    ranks = [
        LocalTrainingData(regions, task, keys_and_sums, batch_size=7, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    assert {data.examples_per_epoch for data in ranks} == {count} == {799}
    steps = -(-count * epochs // (7 * world_size))
    per_rank = [epochs_and_captions(take(data, steps)) for data in ranks]
    together = [pair for pairs in zip(*per_rank, strict=True) for pair in pairs][: count * epochs]
    assert [epoch for epoch, _ in together] == [epoch for epoch in range(epochs) for _ in range(count)]
    assert all(number == 1 for number in Counter(together).values())
    assert len({tuple(together[epoch * count : (epoch + 1) * count]) for epoch in range(epochs)}) == epochs


def test_processes_together_see_the_sequence_of_one(shards: Path) -> None:
    regions, task = LocalRegions(shards), matched_task(range(400))
    one = LocalTrainingData(regions, task, keys_and_sums, batch_size=6)
    two = [LocalTrainingData(regions, task, keys_and_sums, batch_size=3, rank=r, world_size=2) for r in range(2)]
    merged = [pair for pairs in islice(zip(*map(endless, two), strict=True), 30) for pair in pairs]
    assert merged == list(islice(endless(one), 60))


def test_workers_do_not_change_the_batches(shards: Path) -> None:
    regions, task = LocalRegions(shards), matched_task(range(400))
    plain, helped = (
        take(LocalTrainingData(regions, task, keys_and_sums, batch_size=50, seed=9, num_workers=workers), 40)
        for workers in (0, 2)
    )
    assert all(one.keys() == two.keys() for one, two in zip(plain, helped, strict=True))
    assert all((one[key] == two[key]).all() for one, two in zip(plain, helped, strict=True) for key in one)


def test_epoch_counts_passes(shards: Path) -> None:
    data = LocalTrainingData(LocalRegions(shards), matched_task(range(400)), keys_and_sums, batch_size=100)
    epochs = [data.epoch]
    for _ in islice(data, 16):
        epochs.append(data.epoch)
    assert epochs == [0] * 8 + [1] * 8 + [2]


def test_features_reach_the_collator_with_their_own_caption(shards: Path) -> None:
    regions, task = LocalRegions(shards), matched_task(range(400))
    for batch in take(LocalTrainingData(regions, task, keys_and_sums, batch_size=80), 10):
        for (_, _, caption), total in zip(batch["keys"].tolist(), batch["sums"].tolist(), strict=True):
            described = regions[regions.index_of(task.captions.image_of(caption))]
            assert total == pytest.approx(described.features.astype(np.float64).sum())


def test_captions_without_image_are_left_out_and_counted(shards: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = LocalTrainingData(LocalRegions(shards), matched_task(range(390, 410)), keys_and_sums, batch_size=4)
    missing = len(caption_table(range(400, 410)))
    assert data.examples_per_epoch == len(caption_table(range(390, 410))) - missing
    assert [record.getMessage() for record in caplog.records] == [
        f"{missing} of 39 captions are left out: their images are not in {shards}, the first is 'image-0400'",
        f"390 of 400 images of {shards} are left out: they have no caption, the first is 'image-0000'",
    ]


def test_data_without_a_common_image_are_refused_with_both_names(shards: Path) -> None:
    with pytest.raises(ValueError, match=r"named like 'image-0000', the captions name 'image-0500'"):
        LocalTrainingData(LocalRegions(shards), matched_task(range(500, 510)), keys_and_sums, batch_size=4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"batch_size": 1, "num_workers": -1}, "num_workers must be at least 0, got -1"),
        ({"batch_size": 1, "seed": -3}, "seed must be at least 0, got -3"),
        ({"batch_size": 1, "rank": 2, "world_size": 2}, "got rank 2 of world_size 2"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(shards: Path, arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LocalTrainingData(LocalRegions(shards), matched_task(range(400)), keys_and_sums, **arguments)


def test_image_names_are_those_of_the_shards(shards: Path) -> None:
    assert LocalRegions(shards).image_ids.array.to_pylist() == [image_name(number) for number in range(400)]
