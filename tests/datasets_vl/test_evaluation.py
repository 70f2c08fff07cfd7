from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from datasets_vl.evaluation import evaluation_batches
from datasets_vl.local import LocalRegions
from datasets_vl.pretraining import PreTrainingTask
from datasets_vl.shard_folder import ShardFolder
from tests.datasets_vl.small_shards import (
    caption_table,
    epochs_and_captions,
    keys_and_sums,
    matched_task,
    write_shards,
)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(tmp_path_factory.mktemp("shards"), [70, 1, 130, 29])


@pytest.mark.parametrize("source", [LocalRegions, ShardFolder])
@pytest.mark.parametrize(("world_size", "num_workers"), [(1, 0), (3, 0), (2, 2)])
def test_every_example_comes_exactly_once(
    shards: Path, source: type[LocalRegions | ShardFolder], world_size: int, num_workers: int
) -> None:
    task = matched_task(range(230))
    seen = Counter(
        pair
        for rank in range(world_size)
        for pair in epochs_and_captions(
            evaluation_batches(
                source(shards),
                task,
                keys_and_sums,
                batch_size=16,
                rank=rank,
                world_size=world_size,
                num_workers=num_workers,
            )
        )
    )
    assert seen == Counter((0, caption) for caption in range(len(task.captions)))


def test_local_and_streamed_evaluation_see_the_same_examples(shards: Path) -> None:
    task = PreTrainingTask(caption_table(range(230)), seed=3)
    content = [
        {
            caption: (label, total)
            for batch in evaluation_batches(source, task, keys_and_sums, batch_size=32)
            for (_, _, caption), label, total in zip(
                batch["keys"].tolist(), batch["labels"].tolist(), batch["sums"].tolist(), strict=True
            )
        }
        for source in (LocalRegions(shards), ShardFolder(shards))
    ]
    assert len(content[0]) == len(task.captions)
    assert content[0] == content[1]


@pytest.mark.parametrize("source", [LocalRegions, ShardFolder])
def test_evaluation_can_be_repeated_and_is_the_same(shards: Path, source: type[LocalRegions | ShardFolder]) -> None:
    batches = evaluation_batches(source(shards), matched_task(range(200, 230)), keys_and_sums, batch_size=9)
    first, second = (epochs_and_captions(batches) for _ in range(2))
    assert first == second
    assert len(first) == len(caption_table(range(200, 230)))


def test_local_evaluation_knows_its_length(shards: Path) -> None:
    batches = evaluation_batches(
        LocalRegions(shards), matched_task(range(230)), keys_and_sums, batch_size=16, rank=1, world_size=2
    )
    assert len(batches) == len(list(batches)) == -(-(len(caption_table(range(230))) // 2) // 16)


@pytest.mark.parametrize("source", [LocalRegions, ShardFolder])
def test_evaluation_of_nothing_is_an_error(shards: Path, source: type[LocalRegions | ShardFolder]) -> None:
    with pytest.raises(ValueError, match=r"named like 'image-0000', the captions name 'image-0900'"):
        list(evaluation_batches(source(shards), matched_task(range(900, 903)), keys_and_sums, batch_size=2))


def test_numbers_that_make_no_sense_are_refused(shards: Path) -> None:
    regions, task = LocalRegions(shards), matched_task(range(230))
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        evaluation_batches(regions, task, keys_and_sums, batch_size=0)
    with pytest.raises(ValueError, match="got rank 1 of world_size 1"):
        evaluation_batches(regions, task, keys_and_sums, batch_size=1, rank=1)
