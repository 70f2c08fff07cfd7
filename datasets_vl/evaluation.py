"""Evaluation batches: every example exactly once over all processes and workers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from datasets_vl.local import LocalExamples, LocalRegions
from datasets_vl.order import share
from datasets_vl.second_images import PairedImages
from datasets_vl.shard_folder import ShardFolder
from datasets_vl.training_data import Batch, Collator, ExampleTask, batch_loader, check_rank, make_example


def evaluation_batches(
    regions: LocalRegions | ShardFolder,
    task: ExampleTask,
    collator: Collator,
    *,
    batch_size: int,
    rank: int = 0,
    world_size: int = 1,
    num_workers: int = 0,
) -> DataLoader[Batch]:
    """One process's batches of an evaluation; what is drawn at random is that of epoch 0, every time.

    The processes get about as many examples, but not exactly: add up sums and counts over the processes, and do not
    evaluate through a wrapper that wants all processes to do the same number of steps.

    Args:
        regions: Where the images come from: local, or as a stream.
        task: Makes an example of an image and a row of its table.
        collator: Makes a batch of examples.
        batch_size: Examples a batch; the last ones may have fewer.
        rank: Number of this process.
        world_size: Number of processes.
        num_workers: Worker processes that prepare batches.

    Returns:
        Finite and iterable again; it knows its length where the images are local.

    Raises:
        ValueError: If no image has a row (with a stream: while iterating), a second image is not there, or a number
            makes no sense.
    """
    check_rank(rank, world_size)
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    if isinstance(regions, ShardFolder):
        stream = _EvaluationStream(regions, task, collator, batch_size, rank, world_size)
        return batch_loader(stream, num_workers=num_workers)
    examples = LocalExamples(regions, task, collator)
    mine = [(0, number) for number in range(rank, len(examples), world_size)]
    batches = [mine[start : start + batch_size] for start in range(0, len(mine), batch_size)]
    return batch_loader(examples, num_workers=num_workers, sampler=batches)


class _EvaluationStream(IterableDataset[Batch]):
    def __init__(
        self,
        folder: ShardFolder,
        task: ExampleTask,
        collator: Collator,
        batch_size: int,
        rank: int,
        world_size: int,
    ) -> None:
        self._folder = folder
        self._images = PairedImages(folder, task.table)
        self._task = task
        self._collator = collator
        self._batch_size = batch_size
        self._rank = rank
        self._world_size = world_size

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        number, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        part, parts = self._rank * workers + number, self._world_size * workers
        batch = []
        made_any = False
        for example in self._examples(part, parts):
            batch.append(example)
            made_any = True
            if len(batch) == self._batch_size:
                yield self._collator(batch)
                batch = []
        if batch:
            yield self._collator(batch)
        if not made_any:
            self._folder.match(self._task.table)

    def _examples(self, part: int, parts: int) -> Iterator[Any]:
        rows = share(len(self._folder), part, parts)
        # A fixed random order: folders often hold one split after the other, and the shares shall weigh the same.
        order = self._folder.row_order(seed=0, epoch=0)
        for _, image, second_images in self._images.read(order.pieces(rows.start, rows.stop)):
            for index in self._task.table.rows_of(image.image_id):
                yield make_example(self._task, image, index, 0, second_images.__getitem__)
