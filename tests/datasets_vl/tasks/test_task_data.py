"""Task examples through everything that pre-training examples go through: training, streaming, evaluation, resume."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import pytest
import torch

from datasets_vl.evaluation import evaluation_batches
from datasets_vl.local import LocalRegions, LocalTrainingData
from datasets_vl.shard_folder import ShardFolder
from datasets_vl.streaming import StreamedTrainingData
from datasets_vl.tasks.examples import TaskExamples
from datasets_vl.tasks.table import TaskTable
from datasets_vl.training_data import TrainingData
from processing_vl.task_example import TaskExample
from tests.datasets_vl.tasks.task_regions import write_regions

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
