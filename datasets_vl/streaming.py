"""Training on shards as a stream: in constant memory, local or from the Hub, shuffled, and resumed exactly."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import IterableDataset, get_worker_info

from datasets_vl.order import SHUFFLE_BUFFER_STREAM, share
from datasets_vl.second_images import PairedImages
from datasets_vl.shard_folder import ShardFolder
from datasets_vl.training_data import Batch, Collator, ExampleTask, TrainingData, batch_loader, make_example


@dataclass
class ReaderPosition:
    """Where one reader of the stream stands: everything needed to go on, and no features.

    Attributes:
        epoch: The pass over the data.
        rows_read: Images of the reader's share that were read in this epoch.
        draws: Examples that were drawn from the shuffle buffer in this epoch; the counter of the random numbers.
        pending_rows: The examples in the buffer, in its order: number of the image.
        pending_captions: The examples in the buffer: number of the row in the task's table. Saved positions know it
            by this name.
    """

    epoch: int = 0
    rows_read: int = 0
    draws: int = 0
    pending_rows: array[int] = field(default_factory=lambda: array("q"))
    pending_captions: array[int] = field(default_factory=lambda: array("q"))

    def copy(self) -> ReaderPosition:
        """The same position, which stays when this one changes."""
        return replace(self, pending_rows=self.pending_rows[:], pending_captions=self.pending_captions[:])

    def to_plain(self) -> dict[str, Any]:
        """Numbers and lists of numbers by attribute."""
        return {name: list(value) if isinstance(value, array) else value for name, value in vars(self).items()}

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> ReaderPosition:
        """The position of which `to_plain` gave `values`."""
        return cls(**{name: array("q", value) if isinstance(value, list) else value for name, value in values.items()})


class ShuffledReader:
    """One reader's share of the stream: examples without end, in an order that seed and share decide.

    Per epoch all row groups of all shards are put in random order, and the sequence of their images is cut into equal
    shares. Of its share a reader holds `shuffle_images` images; it draws among the examples of these that are still to
    come, and replaces an image when all its examples came. An epoch ends with an empty buffer, so no example slips
    into another epoch.

    Args:
        folder: The shards.
        task: Makes an example of an image and a row of its table.
        part: Which share this reader has.
        parts: How many shares there are.
        seed: Seed of the order.
        shuffle_images: Images in the buffer.
        position: Where to go on; the buffered images are read again.

    Raises:
        ValueError: If a second image is not in the folder.
    """

    def __init__(
        self,
        folder: ShardFolder,
        task: ExampleTask,
        *,
        part: int,
        parts: int,
        seed: int,
        shuffle_images: int,
        position: ReaderPosition,
    ) -> None:
        self._folder = folder
        self._task = task
        self._part = part
        self._parts = parts
        self._seed = seed
        self._share = share(len(folder), part, parts)
        self._shuffle_images = shuffle_images
        self._at = position.copy()
        rows, examples_left = np.unique(np.array(position.pending_rows, dtype=np.int64), return_counts=True)
        self._examples_left = dict(zip(rows.tolist(), examples_left.tolist(), strict=True))
        self._source = PairedImages(folder, task.table)
        self._images = {row: (image, second) for row, image, second in self._source.read([rows.tolist()])}
        self._begin_epoch()

    def position(self) -> ReaderPosition:
        """Where the reader stands, after the last example it gave."""
        return self._at.copy()

    def __iter__(self) -> ShuffledReader:
        return self

    def __next__(self) -> Any:
        at = self._at
        self._fill_buffer()
        while not at.pending_rows:
            if at.draws == 0:
                self._folder.match(self._task.table)
                raise ValueError(
                    f"no {self._task.table.row_name} for any of the {len(self._share)} images that reader "
                    f"{self._part} of {self._parts} has in epoch {at.epoch} of {self._folder.source}; use fewer "
                    "processes or workers"
                )
            at.epoch, at.rows_read, at.draws = at.epoch + 1, 0, 0
            self._begin_epoch()
            self._fill_buffer()
        chosen = int(
            np.random.Generator(np.random.Philox(key=self._draw_key, counter=at.draws)).integers(len(at.pending_rows))
        )
        at.draws += 1
        row, index = _take(at.pending_rows, chosen), _take(at.pending_captions, chosen)
        image, second_images = self._images[row]
        self._examples_left[row] -= 1
        if not self._examples_left[row]:
            del self._examples_left[row], self._images[row]
        return make_example(self._task, image, index, at.epoch, second_images.__getitem__)

    def _begin_epoch(self) -> None:
        key = np.random.SeedSequence([self._seed, self._at.epoch, self._part, 0, SHUFFLE_BUFFER_STREAM])
        self._draw_key = key.generate_state(2, np.uint64)
        order = self._folder.row_order(seed=self._seed, epoch=self._at.epoch)
        self._rows = self._source.read(order.pieces(self._share.start + self._at.rows_read, self._share.stop))

    def _fill_buffer(self) -> None:
        while len(self._images) < self._shuffle_images:
            following = next(self._rows, None)
            if following is None:
                return
            row, image, second_images = following
            self._at.rows_read += 1
            indices = self._task.table.rows_of(image.image_id)
            if not indices:
                continue
            self._images[row] = image, second_images
            self._examples_left[row] = len(indices)
            self._at.pending_rows.extend([row] * len(indices))
            self._at.pending_captions.extend(indices)


def _take(values: array[int], place: int) -> int:
    """Removes a value; the last one takes its place, so that nothing else moves."""
    taken = values[place]
    values[place] = values[-1]
    values.pop()
    return taken


class StreamedTrainingData(TrainingData):
    """Endless training batches over shards that are never held as a whole, on this disk or the Hub.

    Every worker of every process reads a share of its own (see `ShuffledReader`), and a process takes their batches in
    fixed rotation. Every example comes exactly once in an epoch of its reader, also with shards of unequal size. As
    readers advance batch by batch and images have unequal numbers of examples, one reader may begin its next epoch a
    few batches before another. Rows without image and images without row are left out, with a warning when
    `examples_per_epoch` is asked for, at the latest when an epoch has ended. In memory are, for every worker,
    `shuffle_images` images, with the second images of their rows, and one row group, and the batches prepared ahead.

    Args:
        source: A folder of shards, its address on the Hub (`hf://datasets/user/name`), or a `ShardFolder`.
        task: Makes an example of an image and a row of its table.
        collator: Makes a batch of examples.
        batch_size: Examples a batch of this process.
        seed: Seed of the order.
        rank: Number of this process.
        world_size: Number of processes.
        num_workers: Worker processes that read; a resumed run must have the same number.
        shuffle_images: Images every reader shuffles among.

    Raises:
        ValueError: If there are fewer images than readers, or a second image is not among them.
    """

    def __init__(
        self,
        source: str | Path | ShardFolder,
        task: ExampleTask,
        collator: Collator,
        *,
        batch_size: int,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        num_workers: int = 0,
        shuffle_images: int = 1024,
    ) -> None:
        self._folder = source if isinstance(source, ShardFolder) else ShardFolder(source)
        super().__init__(
            task,
            collator,
            batch_size=batch_size,
            seed=seed,
            rank=rank,
            world_size=world_size,
            num_workers=num_workers,
            settings={
                "data": self._folder.fingerprint,
                "reading": "streamed",
                "rank": rank,
                "num_workers": num_workers,
                "shuffle_images": shuffle_images,
            },
        )
        if shuffle_images < 1:
            raise ValueError(f"shuffle_images must be at least 1, got {shuffle_images}")
        self._shuffle_images = shuffle_images
        self._readers = max(1, num_workers)
        if len(self._folder) < world_size * self._readers:
            raise ValueError(
                f"{self._folder.source} has {len(self._folder)} images, too few for {world_size} processes with "
                f"{self._readers} readers each"
            )
        # Now, and before there are workers, which would each read the ids of all images.
        PairedImages(self._folder, task.table)
        self._positions = [ReaderPosition() for _ in range(self._readers)]
        self._next_reader = 0
        self._examples_per_epoch: int | None = None

    @property
    def epoch(self) -> int:
        """The pass over the data that this process is in, from 0: that of its reader that is least advanced."""
        return min(position.epoch for position in self._positions)

    @property
    def examples_per_epoch(self) -> int:
        """Examples of all processes together in one pass; the first call reads the image ids of all shards."""
        if self._examples_per_epoch is None:
            found = self._folder.match(self.task.table) >= 0
            self._examples_per_epoch = int(np.diff(self.task.table.offsets)[found].sum())
        return self._examples_per_epoch

    def __iter__(self) -> Iterator[Batch]:
        """Batches, without end."""
        first_epoch = self.epoch
        for reader, position, batch in batch_loader(_BatchStream(self), num_workers=self.num_workers):
            self._positions[reader] = position
            self._next_reader = (reader + 1) % self._readers
            if self.rank == 0 and self.epoch > first_epoch:
                _ = self.examples_per_epoch  # warns, once, of rows and images that did not come
            yield batch

    def batches_of_worker(self, worker: int) -> Iterator[tuple[int, ReaderPosition, Batch]]:
        """What the worker process `worker` makes.

        Yields:
            Which reader of this process made the batch, where it stands after it, and the batch.
        """
        # A loader always begins with its worker 0: the one whose turn it is takes that place.
        reader = (worker + self._next_reader) % self._readers
        examples = ShuffledReader(
            self._folder,
            self.task,
            part=self.rank * self._readers + reader,
            parts=self.world_size * self._readers,
            seed=self.seed,
            shuffle_images=self._shuffle_images,
            position=self._positions[reader],
        )
        while True:
            batch = self.collator(list(islice(examples, self.batch_size)))
            yield reader, examples.position(), batch

    def _position(self) -> dict[str, Any]:
        return {
            "next_reader": self._next_reader,
            "readers": [position.to_plain() for position in self._positions],
        }

    def _move_to(self, position: dict[str, Any]) -> None:
        self._next_reader = position["next_reader"]
        self._positions = [ReaderPosition.from_plain(values) for values in position["readers"]]


class _BatchStream(IterableDataset[tuple[int, ReaderPosition, Batch]]):
    """The data set that torch's loader sees: every worker iterates over its own copy."""

    def __init__(self, data: StreamedTrainingData) -> None:
        self._data = data

    def __iter__(self) -> Iterator[tuple[int, ReaderPosition, Batch]]:
        worker = get_worker_info()
        return self._data.batches_of_worker(0 if worker is None else worker.id)
