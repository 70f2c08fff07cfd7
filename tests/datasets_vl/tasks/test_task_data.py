"""Task examples through everything that pre-training examples go through: training, streaming, evaluation, resume."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from datasets_vl.evaluation import evaluation_batches
from datasets_vl.local import LocalRegions, LocalTrainingData
from datasets_vl.manifest import RegionShardWriter
from datasets_vl.parquet import RegionFeaturesMetadata
from datasets_vl.shard_folder import ShardFolder
from datasets_vl.streaming import StreamedTrainingData
from datasets_vl.tasks.examples import TaskExamples
from datasets_vl.tasks.table import TaskTable
from datasets_vl.training_data import TrainingData
from processing_vl.task_example import TaskExample
from tests.datasets_vl.tasks.task_regions import regions, write_regions

IMAGES = [f"image-{number:02d}" for number in range(30)]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_regions(tmp_path_factory.mktemp("shards"), IMAGES)


def statements(images: Sequence[str] = IMAGES) -> TaskExamples:
    """1 to 3 statements about each image."""
    records = [
        {"example_id": f"{image}/{k}", "image_ids": [image], "sentence": f"{image} {k}", "label": str(k)}
        for number, image in enumerate(images)
        for k in range(1 + number % 3)
    ]
    return TaskExamples(TaskTable.from_records("classification", records, labels=["0", "1", "2"]))


def pairs(images: Sequence[str] = IMAGES, partner: int = 1) -> TaskExamples:
    """A statement or two about each image and the one so many places behind it."""
    records = [
        {
            "example_id": f"{image}/{k}",
            "image_ids": [image, images[(number + partner) % len(images)]],
            "sentence": f"{image} {k}",
            "label": str(k),
        }
        for number, image in enumerate(images)
        for k in range(1 + number % 2)
    ]
    return TaskExamples(TaskTable.from_records("classification", records, labels=["0", "1"]))


def ids(examples: Sequence[TaskExample]) -> list[tuple[int, ...]]:
    """Number of the record and of the images, which their features tell too."""
    for example in examples:
        assert all(image.features[0, 1] == IMAGES.index(image.image_id) for image in example["images"])
    return [(example["index"], *(IMAGES.index(image.image_id) for image in example["images"])) for example in examples]


@pytest.fixture(scope="module")
def told_apart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of three images each, whose features say which image they are of."""
    folder = tmp_path_factory.mktemp("told-apart")
    with RegionShardWriter(folder, RegionFeaturesMetadata(feature_dim=8), shard_size=3) as writer:
        for number, image_id in enumerate(IMAGES):
            image = regions(image_id)
            image.features[:, 1] = number
            writer.write(image)
    return folder


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("partner", [1, 17])
def test_pairs_come_whole_once_an_epoch_and_a_saved_position_goes_on(
    told_apart: Path, partner: int, num_workers: int
) -> None:
    """Whether the second image lies beside the first or in another shard, before it or behind."""

    def data() -> StreamedTrainingData:
        return StreamedTrainingData(
            told_apart, pairs(partner=partner), ids, batch_size=3, shuffle_images=4, num_workers=num_workers
        )

    table = pairs(partner=partner).table
    wanted = [(row, *map(IMAGES.index, table.images_of(row))) for row in range(len(table))]
    whole = data()
    assert whole.examples_per_epoch == len(wanted) == 45
    batches = list(islice(whole, 40))
    if not num_workers:
        assert Counter(sum(batches[:15], [])) == Counter(sum(batches[15:30], [])) == Counter(wanted)
    for stop in (1, 8, 15, 22):
        first = data()
        assert list(islice(first, stop)) == batches[:stop]
        resumed = data()
        resumed.load_state_dict(json.loads(json.dumps(first.state_dict())))
        assert list(islice(resumed, 10)) == batches[stop : stop + 10]
    assert set(sum(batches, [])) == set(wanted)


@pytest.mark.parametrize("source", [LocalRegions, ShardFolder])
@pytest.mark.parametrize(("world_size", "num_workers"), [(1, 0), (2, 2)])
def test_evaluation_sees_every_pair_once(
    told_apart: Path, source: type[LocalRegions | ShardFolder], world_size: int, num_workers: int
) -> None:
    seen = Counter()
    for rank in range(world_size):
        place = {"rank": rank, "world_size": world_size, "num_workers": num_workers}
        for batch in evaluation_batches(source(told_apart), pairs(partner=13), ids, batch_size=7, **place):
            seen.update(batch)
    table = pairs(partner=13).table
    assert seen == Counter((row, *map(IMAGES.index, table.images_of(row))) for row in range(len(table)))


def test_a_stream_reads_pairs_that_lie_side_by_side_once(tmp_path: Path, monkeypatch) -> None:
    images = [f"image-{number:03d}" for number in range(256)]
    folder = ShardFolder(write_regions(tmp_path, images, shard_size=128))
    records = [
        {"example_id": first, "image_ids": [first, second], "sentence": first, "label": "0"}
        for first, second in zip(images[::2], images[1::2], strict=True)
    ]
    task = TaskExamples(TaskTable.from_records("classification", records, labels=["0"]))
    read = Counter()
    monkeypatch.setattr(ShardFolder, "read", counted(ShardFolder.read, read))
    data = StreamedTrainingData(folder, task, list, batch_size=128, shuffle_images=8)
    (epoch,) = islice(data, 1)
    assert {image.image_id for example in epoch for image in example["images"]} == set(images)
    assert read == Counter(range(256))


def counted(read: Callable[..., Any], seen: Counter[int]) -> Callable[..., Any]:
    """`ShardFolder.read`, that tells which images it was asked for."""

    def reading(folder: ShardFolder, rows: Sequence[int]) -> Any:
        seen.update(rows)
        return read(folder, rows)

    return reading


@pytest.mark.parametrize("make", ["local", "streamed", "evaluated", "evaluated as a stream"])
def test_second_images_that_are_not_there_are_named_before_the_start(shards: Path, make: str) -> None:
    task = pairs([*IMAGES, "elsewhere"])
    started = {
        "local": lambda: LocalTrainingData(LocalRegions(shards), task, ids, batch_size=2),
        "streamed": lambda: StreamedTrainingData(shards, task, ids, batch_size=2),
        "evaluated": lambda: evaluation_batches(LocalRegions(shards), task, ids, batch_size=2),
        "evaluated as a stream": lambda: evaluation_batches(ShardFolder(shards), task, ids, batch_size=2),
    }
    with pytest.raises(ValueError, match=f"2 second images are not in {shards}, the first is 'elsewhere': prepare"):
        started[make]()


def test_second_images_do_not_count_as_images_without_record(shards: Path, caplog: pytest.LogCaptureFixture) -> None:
    record = {"example_id": "1", "image_ids": IMAGES[:2], "sentence": "s", "label": "0"}
    task = TaskExamples(TaskTable.from_records("classification", [record], labels=["0"]))
    LocalTrainingData(LocalRegions(shards), task, ids, batch_size=1)
    assert [message.getMessage() for message in caplog.records] == [
        f"28 of 30 images of {shards} are left out: they have no record, the first is 'image-02'"
    ]


def indices(examples: Sequence[TaskExample]) -> dict[str, torch.Tensor]:
    for example in examples:
        assert example["texts"][0].startswith(example["images"][0].image_id)
    return {"index": torch.tensor([example["index"] for example in examples])}


def flat(batches: Sequence[dict[str, torch.Tensor]]) -> list[int]:
    return [index for batch in batches for index in batch["index"].tolist()]


def training_data(shards: Path, reading: str, task: TaskExamples) -> TrainingData:
    if reading == "local":
        return LocalTrainingData(LocalRegions(shards), task, indices, batch_size=5)
    return StreamedTrainingData(shards, task, indices, batch_size=5, shuffle_images=4)


@pytest.mark.parametrize("reading", ["local", "streamed"])
def test_every_record_comes_once_an_epoch_and_a_saved_position_goes_on(shards: Path, reading: str) -> None:
    data = training_data(shards, reading, statements())
    assert data.examples_per_epoch == 60
    first = list(islice(data, 4))
    state = data.state_dict()
    rest = list(islice(data, 8))
    assert Counter(flat(first + rest)) == Counter(range(60))
    resumed = training_data(shards, reading, statements())
    resumed.load_state_dict(state)
    assert flat(list(islice(resumed, 8))) == flat(rest)


def test_a_position_is_refused_by_other_records(shards: Path) -> None:
    state = training_data(shards, "local", statements()).state_dict()
    with pytest.raises(ValueError, match="records was '[0-9a-f]{16}', is '[0-9a-f]{16}'"):
        training_data(shards, "local", statements(IMAGES[1:])).load_state_dict(state)


@pytest.mark.parametrize("source", [LocalRegions, ShardFolder])
def test_evaluation_sees_every_record_once(shards: Path, source: type[LocalRegions | ShardFolder]) -> None:
    seen = Counter()
    for rank in range(2):
        batches = evaluation_batches(source(shards), statements(), indices, batch_size=7, rank=rank, world_size=2)
        seen.update(flat(batches))
    assert seen == Counter(range(60))


def test_what_is_left_out_is_said_in_the_tables_words(shards: Path, caplog: pytest.LogCaptureFixture) -> None:
    LocalTrainingData(LocalRegions(shards), statements(["elsewhere", *IMAGES[:28]]), indices, batch_size=5)
    assert [record.getMessage() for record in caplog.records] == [
        f"1 of 57 records are left out: their images are not in {shards}, the first is 'elsewhere'",
        f"2 of 30 images of {shards} are left out: they have no record, the first is 'image-28'",
    ]
    with pytest.raises(ValueError, match=r"no image of .* has a record: .* the records name 'x'; .*prepare_task"):
        LocalTrainingData(LocalRegions(shards), statements(["x"]), indices, batch_size=5)
