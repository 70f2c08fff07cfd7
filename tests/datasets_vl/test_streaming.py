from __future__ import annotations

import json
import shutil
import tracemalloc
from collections import Counter
from itertools import islice
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_vl.local import LocalRegions, LocalTrainingData
from datasets_vl.manifest import Manifest, ShardInfo, read_manifest, write_manifest
from datasets_vl.pretraining import PreTrainingTask
from datasets_vl.shard_folder import ShardFolder
from datasets_vl.streaming import ReaderPosition, ShuffledReader, StreamedTrainingData
from tests.datasets_vl.small_shards import (
    caption_table,
    epochs_and_captions,
    image,
    image_name,
    keys_and_sums,
    matched_task,
    take,
    write_shards,
)

SIZES = [70, 1, 130, 29]
IMAGES = sum(SIZES)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(tmp_path_factory.mktemp("shards"), SIZES)


def reader(folder: ShardFolder, task: PreTrainingTask, part: int, parts: int, **settings: object) -> ShuffledReader:
    arguments = {"seed": 1, "shuffle_images": 20, "position": ReaderPosition(), **settings}
    return ShuffledReader(folder, task, part=part, parts=parts, **arguments)


def keys(examples: ShuffledReader, count: int) -> list[tuple[int, int]]:
    return [example["rng_key"][1:] for example in islice(examples, count)]


def epoch_of(examples: ShuffledReader, epoch: int) -> list[int]:
    """The captions of an epoch; reads one example beyond its end."""
    captions = []
    for example in examples:
        _, current, caption = example["rng_key"]
        if current == epoch:
            captions.append(caption)
        if current > epoch:
            return captions
    raise AssertionError("the stream ended")


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
@pytest.mark.parametrize("shuffle_images", [1, 20, 1000])
def test_readers_together_see_every_example_once_an_epoch(shards: Path, parts: int, shuffle_images: int) -> None:
    folder, task = ShardFolder(shards), matched_task(range(IMAGES))
    for epoch in (0, 1):
        seen = Counter(
            caption
            for part in range(parts)
            for caption in epoch_of(reader(folder, task, part, parts, shuffle_images=shuffle_images), epoch)
        )
        assert seen == Counter(range(len(task.captions)))


@pytest.mark.parametrize(("world_size", "num_workers"), [(1, 0), (2, 0), (3, 0), (1, 2), (2, 2)])
def test_processes_and_workers_see_every_example_once_an_epoch(
    shards: Path, world_size: int, num_workers: int
) -> None:
    """An epoch is looked at in full: the stream is followed until every reader is in the next one."""
    task = matched_task(range(IMAGES))
    seen: Counter[int] = Counter()
    for rank in range(world_size):
        data = StreamedTrainingData(
            shards, task, keys_and_sums, batch_size=5, rank=rank, world_size=world_size, num_workers=num_workers
        )
        assert data.examples_per_epoch == len(task.captions)
        for batch in data:
            seen.update(caption for epoch, caption in epochs_and_captions([batch]) if epoch == 0)
            if data.epoch == 1:
                break
    assert seen == Counter(range(len(task.captions)))


def test_an_epoch_is_the_same_set_as_the_local_one_content_included(shards: Path) -> None:
    task = PreTrainingTask(caption_table(range(IMAGES)), seed=7)
    sources = (
        LocalTrainingData(LocalRegions(shards), task, keys_and_sums, batch_size=1),
        StreamedTrainingData(shards, task, keys_and_sums, batch_size=1, shuffle_images=40),
    )
    local, streamed = (
        [
            (*batch["keys"].tolist()[0], batch["labels"].item(), batch["sums"].item())
            for batch in take(source, 2 * len(task.captions))
        ]
        for source in sources
    )
    for epoch in (slice(0, len(task.captions)), slice(len(task.captions), None)):
        assert sorted(local[epoch]) == sorted(streamed[epoch])
        assert local[epoch] != streamed[epoch]


def test_images_come_with_their_own_captions_and_share_their_features(shards: Path) -> None:
    task = matched_task(range(IMAGES))
    arrays: dict[str, set[int]] = {}
    kept = list(islice(reader(ShardFolder(shards), task, 0, 1, shuffle_images=1000), len(task.captions)))
    for example in kept:
        number = int(example["image_id"].removeprefix("image-"))
        assert np.array_equal(example["regions"].features, image(number).features)
        assert example["text"] in {f"caption {k} of image {number}" for k in range(3)}
        arrays.setdefault(example["image_id"], set()).add(id(example["regions"]))
    assert len(arrays) == IMAGES
    assert all(len(objects) == 1 for objects in arrays.values())


def test_order_mixes_shards_and_differs_between_epochs_and_seeds(tmp_path: Path) -> None:
    folder, task = ShardFolder(write_shards(tmp_path, [256] * 4)), matched_task(range(1024))
    orders = [
        [task.captions.position_of(caption) for caption in epoch_of(reader(folder, task, 0, 1, **change), epoch)]
        for change, epoch in (
            ({"seed": 1, "shuffle_images": 256}, 0),
            ({"seed": 1, "shuffle_images": 256}, 1),
            ({"seed": 2, "shuffle_images": 256}, 0),
        )
    ]
    for order in orders:
        windows = [order[start : start + 64] for start in range(0, len(order) - 63, 64)]
        assert all(len({position // 64 for position in window}) >= 4 for window in windows)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert abs(np.corrcoef(orders[one], orders[other])[0, 1]) < 0.3
    assert all(abs(np.corrcoef(order, np.arange(len(order)))[0, 1]) < 0.5 for order in orders)


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 150), min_size=1, max_size=4),
    parts=st.integers(1, 3),
    shuffle_images=st.integers(1, 60),
    stops=st.lists(st.integers(0, 400), min_size=1, max_size=4),
)
def test_position_taken_anywhere_continues_exactly(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], parts: int, shuffle_images: int, stops: list[int]
) -> None:
    """Through JSON, again and again, into later epochs, with shards of any sizes."""
    folder = ShardFolder(write_shards(tmp_path_factory.mktemp("shards"), sizes))
    parts = min(parts, len(folder))
    task = matched_task(range(len(folder)))
    settings = {"shuffle_images": shuffle_images, "seed": 3}
    straight = keys(reader(folder, task, parts - 1, parts, **settings), sum(stops) + 50)
    resumed, position = [], ReaderPosition()
    for stop in (*stops, 50):
        stream = reader(folder, task, parts - 1, parts, position=position, **settings)
        resumed += keys(stream, stop)
        position = ReaderPosition.from_plain(json.loads(json.dumps(stream.position().to_plain())))
    assert resumed == straight


def test_position_does_not_change_when_the_reader_goes_on(shards: Path) -> None:
    stream = reader(ShardFolder(shards), matched_task(range(IMAGES)), 0, 1)
    keys(stream, 10)
    position = stream.position()
    before = position.to_plain()
    keys(stream, 100)
    assert position.to_plain() == before


def test_state_holds_references_and_no_features(tmp_path: Path) -> None:
    folder = write_shards(tmp_path, [200], feature_dim=1024)
    data = StreamedTrainingData(folder, matched_task(range(200)), keys_and_sums, batch_size=8, shuffle_images=100)
    take(data, 3)
    assert len(json.dumps(data.state_dict())) < 5000


def test_memory_does_not_grow_with_the_data(tmp_path: Path) -> None:
    """32 MB of features pass through a buffer of 20 images of 20 kB on average."""
    folder, task = write_shards(tmp_path, [400, 400, 800], feature_dim=4096), matched_task(range(1600))
    size = sum(shard.bytes for shard in read_manifest(folder).shards)
    assert size > 32e6
    stream = reader(ShardFolder(folder), task, 0, 1)
    tracemalloc.start()
    arrow_before, arrow_peak = pa.total_allocated_bytes(), 0
    for _ in islice(stream, len(task.captions)):
        arrow_peak = max(arrow_peak, pa.total_allocated_bytes() - arrow_before)
    python_peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    largest_image = 4 * 4096 * 2
    assert python_peak < 20 * largest_image + 1e6
    assert arrow_peak < 3 * 64 * largest_image


def test_any_address_of_fsspec_is_read(shards: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(str(shards), "/features", recursive=True)
    try:
        task = matched_task(range(IMAGES))
        near = StreamedTrainingData(shards, task, keys_and_sums, batch_size=16, num_workers=0)
        far = StreamedTrainingData("memory://features/", task, keys_and_sums, batch_size=16, num_workers=0)
        assert far.examples_per_epoch == near.examples_per_epoch
        assert epochs_and_captions(take(near, 40)) == epochs_and_captions(take(far, 40))
    finally:
        memory.rm("/features", recursive=True)


def test_row_groups_of_another_size_are_read(shards: Path, tmp_path: Path) -> None:
    """Only the speed depends on how another writer grouped the rows."""
    manifest = read_manifest(shards)
    for shard in manifest.shards:
        table = pq.read_table(shards / shard.name)
        pq.write_table(table, tmp_path / shard.name, row_group_size=50, compression="none")
    infos = tuple(ShardInfo.of(tmp_path / shard.name, shard.rows) for shard in manifest.shards)
    write_manifest(tmp_path, Manifest(manifest.metadata, infos))
    task = matched_task(range(IMAGES))
    one, other = (keys(reader(ShardFolder(folder), task, 1, 3), 500) for folder in (shards, tmp_path))
    assert one == other


def test_images_without_captions_are_passed_over(shards: Path) -> None:
    task = matched_task(range(60, 90))
    captions = epoch_of(reader(ShardFolder(shards), task, 0, 1), 0)
    assert sorted(captions) == list(range(len(task.captions)))


@pytest.mark.parametrize("asked", [False, True])
def test_captions_and_images_without_each_other_are_counted_once(
    shards: Path, caplog: pytest.LogCaptureFixture, asked: bool
) -> None:
    task = matched_task(range(220, 240))
    data = StreamedTrainingData(shards, task, keys_and_sums, batch_size=1, shuffle_images=10)
    without_image = len(caption_table(range(230, 240)))
    count = len(task.captions) - without_image
    if asked:
        assert data.examples_per_epoch == count
    else:
        take(data, count)
        assert not caplog.records
    take(data, 3 * count)
    assert data.epoch >= 2
    streamed = [record.getMessage() for record in caplog.records]
    assert streamed == [
        f"{without_image} of {len(task.captions)} captions are left out: their images are not in {shards}, "
        "the first is 'image-0230'",
        f"220 of 230 images of {shards} are left out: they have no caption, the first is 'image-0000'",
    ]
    caplog.clear()
    LocalTrainingData(LocalRegions(shards), task, keys_and_sums, batch_size=1)
    assert [record.getMessage() for record in caplog.records] == streamed


def test_nothing_is_said_where_every_image_has_its_caption(shards: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = StreamedTrainingData(shards, matched_task(range(IMAGES)), keys_and_sums, batch_size=200)
    take(data, 6)
    assert data.epoch >= 1
    assert not caplog.records


def test_folder_without_manifest_is_named(tmp_path: Path) -> None:
    for address in (tmp_path, "memory://nothing/here"):
        with pytest.raises(FileNotFoundError, match=r"manifest\.json does not exist"):
            ShardFolder(address)


def test_captions_of_other_images_are_an_error_not_a_loop(shards: Path) -> None:
    data = StreamedTrainingData(shards, matched_task(range(500, 510)), keys_and_sums, batch_size=2)
    with pytest.raises(
        ValueError, match=r"no image of .* has a caption: .*'image-0000', the captions name 'image-0500"
    ):
        next(iter(data))


def test_share_without_captions_is_an_error_not_a_loop(tmp_path: Path) -> None:
    folder, task = ShardFolder(write_shards(tmp_path, [10])), matched_task([0])
    with pytest.raises(ValueError, match="no caption for any of the 5 images that reader 1 of 2 has in epoch 0"):
        next(reader(folder, task, 1, 2))


def test_more_readers_than_images_are_refused(tmp_path: Path) -> None:
    folder, task = write_shards(tmp_path, [3]), matched_task(range(3))
    with pytest.raises(ValueError, match="3 images, too few for 2 processes with 2 readers each"):
        StreamedTrainingData(folder, task, keys_and_sums, batch_size=1, world_size=2, num_workers=2)


def test_shard_that_is_not_what_the_manifest_says_is_named(shards: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(shards, folder, ignore=shutil.ignore_patterns(".cache"))
    manifest = read_manifest(folder)
    wrong = [ShardInfo(s.name, s.rows + (s.name == "shard-00002.parquet"), s.sha256, s.bytes) for s in manifest.shards]
    write_manifest(folder, Manifest(manifest.metadata, tuple(wrong)))
    with pytest.raises(ValueError, match=r"shard-00002\.parquet has 130 images, its manifest says 131"):
        list(ShardFolder(folder).read(range(IMAGES)))


def test_image_that_occurs_twice_is_named(tmp_path: Path) -> None:
    write_shards(tmp_path / "b", [5])
    folder = write_shards(tmp_path / "a", [5])
    shutil.copy(tmp_path / "b" / "shard-00000.parquet", folder / "shard-00001.parquet")
    infos = tuple(ShardInfo.of(folder / f"shard-0000{i}.parquet", 5) for i in range(2))
    write_manifest(folder, Manifest(read_manifest(folder).metadata, infos))
    with pytest.raises(ValueError, match=f"more than once, the first is {image_name(0)!r} at positions 0 and 5"):
        _ = ShardFolder(folder).image_ids
