"""What all training data have in common: endless batches, prepared by workers, and a position that can be resumed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader, Dataset

from datasets_vl.image_table import ImageTable
from processing_vl.region_features import RegionFeatures

Batch = dict[str, torch.Tensor]
Collator = Callable[[Sequence[Any]], Batch]
"""Makes a batch of what a task's `example` returns."""


class ExampleTask(Protocol):
    """Makes an example of an image and a row of a table: a caption (`PreTrainingTask`), a record (`TaskExamples`)."""

    @property
    def table(self) -> ImageTable:
        """The rows, and the images that they are about."""

    @property
    def settings(self) -> dict[str, Any]:
        """What, beside the region features, decides which examples come; compared when a run is resumed."""

    def example(self, regions: RegionFeatures, index: int, epoch: int, *second: RegionFeatures) -> Any:
        """Makes an example of one row.

        Args:
            regions: The image that the row is about.
            index: Number of the row.
            epoch: Which pass over the data.
            *second: The second image of a row for which the table has one; nothing for others.

        Returns:
            What the collator reads.
        """


def make_example(
    task: ExampleTask, regions: RegionFeatures, index: int, epoch: int, find: Callable[[str], RegionFeatures]
) -> Any:
    """Makes an example.

    Args:
        task: Makes it.
        regions: The image.
        index: Number of a row of the image in the task's table.
        epoch: Which pass over the data.
        find: Gives the second image by its id, where the row has one.

    Returns:
        What the task makes.
    """
    second = task.table.second_image_of(index)
    return task.example(regions, index, epoch, *([] if second is None else [find(second)]))


class TrainingData(ABC):
    """An endless iterable of collated batches for one process of a training run.

    Iterating goes on where the state stands, after the last batch that was handed out, in the same process or, through
    `state_dict` and `load_state_dict`, in a new one: batches that workers had prepared ahead are made again. There is
    one position, so iterate once at a time. Do not pass it through `accelerator.prepare`, which would divide the data
    among the processes a second time.

    Args:
        task: Makes an example of an image and a row of its table.
        collator: Makes a batch of examples; must be picklable where workers are spawned.
        batch_size: Examples a batch of this process.
        seed: Seed of the order, not negative.
        rank: Number of this process.
        world_size: Number of processes.
        num_workers: Worker processes that prepare batches; 0 prepares them in this process.
        settings: What else must be the same for a saved position to mean the same.
    """

    def __init__(
        self,
        task: ExampleTask,
        collator: Collator,
        *,
        batch_size: int,
        seed: int,
        rank: int,
        world_size: int,
        num_workers: int,
        settings: dict[str, Any],
    ) -> None:
        for name, value, least in (("batch_size", batch_size, 1), ("seed", seed, 0), ("num_workers", num_workers, 0)):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        check_rank(rank, world_size)
        self.task = task
        self.collator = collator
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.num_workers = num_workers
        self._settings = {
            "batch_size": batch_size,
            "seed": seed,
            "world_size": world_size,
            **task.settings,
            **settings,
        }

    @property
    @abstractmethod
    def epoch(self) -> int:
        """The pass over the data that the next batch begins in, from 0."""

    @property
    @abstractmethod
    def examples_per_epoch(self) -> int:
        """Examples of all processes together in one pass."""

    @abstractmethod
    def __iter__(self) -> Iterator[Batch]:
        """Batches, without end."""

    @abstractmethod
    def _position(self) -> dict[str, Any]:
        """Where this process stands, in plain Python values."""

    @abstractmethod
    def _move_to(self, position: dict[str, Any]) -> None:
        """Takes up what `_position` gave."""

    def state_dict(self) -> dict[str, Any]:
        """The state after the last batch handed out.

        Returns:
            Plain Python values that JSON and `torch.load(weights_only=True)` can carry. Every process has its own.
        """
        return {"settings": dict(self._settings), "position": self._position()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues with the example after the last batch handed out when the state was taken.

        Args:
            state: From `state_dict` of the same process of a run with the same data and settings.

        Raises:
            ValueError: If data or settings differ; the message names what was and what is.
        """
        saved, present = state["settings"], self._settings
        changes = [
            f"{name} was {saved.get(name)!r}, is {present.get(name)!r}"
            for name in dict.fromkeys([*saved, *present])
            if saved.get(name) != present.get(name)
        ]
        if changes:
            raise ValueError(
                f"the saved position means nothing here: {'; '.join(changes)}. Continue with the settings and data "
                "it was saved with, or start the data from the beginning"
            )
        self._move_to(state["position"])


def batch_loader(dataset: Dataset[Any], *, num_workers: int, sampler: Iterable[Any] | None = None) -> DataLoader[Any]:
    """A torch `DataLoader` that hands out what the data set makes, whole batches, as they are.

    Args:
        dataset: Map-style, an item a batch, or iterable.
        num_workers: Worker processes.
        sampler: Indices of the batches of a map-style data set.

    Returns:
        The loader. It draws nothing from torch's global random state, which a resumed run has just restored.
    """
    return DataLoader(
        dataset,
        batch_size=None,
        sampler=sampler,
        num_workers=num_workers,
        collate_fn=_as_it_is,
        generator=torch.Generator().manual_seed(0),
    )


def check_rank(rank: int, world_size: int) -> None:
    """Refuses a process number that does not exist.

    Args:
        rank: Number of the process.
        world_size: Number of processes.

    Raises:
        ValueError: If `rank` is not one of `0 .. world_size - 1`.
    """
    if not 0 <= rank < world_size:
        raise ValueError(f"rank must lie between 0 and world_size - 1, got rank {rank} of world_size {world_size}")


def _as_it_is(item: Any) -> Any:
    return item
