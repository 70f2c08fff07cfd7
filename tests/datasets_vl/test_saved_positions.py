"""Positions saved by earlier versions, written out: what they hold must go on meaning the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets_vl.local import LocalRegions, LocalTrainingData
from datasets_vl.pretraining import PreTrainingTask
from datasets_vl.streaming import StreamedTrainingData
from datasets_vl.training_data import TrainingData
from tests.datasets_vl.small_shards import caption_table, epochs_and_captions, keys_and_sums, take, write_shards

SETTINGS = {
    "batch_size": 4,
    "seed": 2,
    "world_size": 1,
    "form": "caption",
    "mismatch_probability": 0.5,
    "task_seed": 3,
}
STREAMED = {"reading": "streamed", "rank": 0, "num_workers": 0, "shuffle_images": 3}
READER = {"epoch": 0, "rows_read": 8, "draws": 12, "pending_rows": [6, 1, 7], "pending_captions": [12, 2, 13]}

# Taken after three batches, with the examples that then followed.
SAVED = {
    "local": (SETTINGS | {"reading": "local"}, {"batches": 3}, [12, 19, 1, 91, 2, 134, 20, 44]),
    "streamed": (SETTINGS | STREAMED, {"next_reader": 0, "readers": [READER]}, [2, 15, 17, 16, 12, 18, 13, 22]),
}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(tmp_path_factory.mktemp("shards"), [70, 9])


def training_data(shards: Path, reading: str) -> TrainingData:
    task = PreTrainingTask(caption_table(range(79)), seed=3)
    if reading == "local":
        return LocalTrainingData(LocalRegions(shards), task, keys_and_sums, batch_size=4, seed=2)
    return StreamedTrainingData(shards, task, keys_and_sums, batch_size=4, seed=2, shuffle_images=3)


@pytest.mark.parametrize("reading", SAVED)
def test_a_saved_position_goes_on_as_it_did(shards: Path, reading: str) -> None:
    settings, position, following = SAVED[reading]
    data = training_data(shards, reading)
    # The checksums of shards and captions depend on the version of pyarrow that wrote them.
    checksums = {name: data.state_dict()["settings"][name] for name in ("captions", "data")}
    data.load_state_dict({"settings": settings | checksums, "position": position})
    assert epochs_and_captions(take(data, 2)) == [(0, caption) for caption in following]


@pytest.mark.parametrize("reading", SAVED)
def test_what_is_saved_has_not_changed(shards: Path, reading: str) -> None:
    settings, position, _ = SAVED[reading]
    data = training_data(shards, reading)
    take(data, 3)
    state = data.state_dict()
    assert {name: state["settings"].pop(name) for name in ("captions", "data")}.keys() == {"captions", "data"}
    assert state == {"settings": settings, "position": position}
