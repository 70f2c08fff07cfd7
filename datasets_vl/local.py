"""Region features on the local disk: any image at once, in any order, as views of memory-mapped Arrow files."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from filelock import FileLock
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from datasets_vl.image_ids import ImageIds
from datasets_vl.image_table import match_images
from datasets_vl.manifest import ShardInfo, read_manifest
from datasets_vl.order import epoch_permutation
from datasets_vl.parquet import regions_from_row
from datasets_vl.private_folder import private_folder
from datasets_vl.shard_reading import open_shard
from datasets_vl.training_data import (
    Batch,
    Collator,
    ExampleTask,
    TrainingData,
    batch_loader,
    make_example,
)
from processing_vl.region_features import RegionFeatures

# Images an Arrow record batch: few enough to build in little memory, enough that millions of images stay few batches.
_ROWS_PER_BATCH = 256


class LocalRegions(Dataset[RegionFeatures]):
    """The images of a folder of Parquet shards, by position or by id.

    Parquet has to be decoded; Arrow can be used where it lies. So the shards are copied once into Arrow files, whose
    names carry the shards' checksums: changed shards are copied anew, an interrupted copy goes on, and of several
    processes that open a new folder together one copies while the others wait. The files are memory-mapped: processes
    share them, and what is not used takes no memory.

    Args:
        folder: The shards and their manifest.
        cache_dir: Where the Arrow files go. By default beside the shards, in `.cache/huggingface/regions`, which
            uploading the folder to the Hub leaves out.

    Raises:
        FileNotFoundError: If the folder has no manifest.
        ValueError: If a shard is missing or damaged or was changed after the manifest was written, or if an image
            occurs twice.
    """

    def __init__(self, folder: str | Path, cache_dir: str | Path | None = None) -> None:
        self.folder = Path(folder)
        self.cache_dir = None if cache_dir is None else Path(cache_dir)
        manifest = read_manifest(self.folder)
        self.metadata = manifest.metadata
        self.fingerprint = manifest.fingerprint
        if self.cache_dir is None:
            cache = private_folder(self.folder) / "regions"
        else:
            # Several data sets may share a cache folder, and all have a shard number 0.
            cache = self.cache_dir / hashlib.sha256(str(self.folder.resolve()).encode()).hexdigest()[:16]
        batches = [
            batch for path in _arrow_files(self.folder, manifest.shards, cache) for batch in _record_batches(path)
        ]
        self._batches = [_column_readers(batch) for batch in batches]
        self._first_rows = np.cumsum([0, *(batch.num_rows for batch in batches)])
        if len(self) == 0:
            raise ValueError(f"{self.folder} holds no image")
        try:
            self.image_ids = ImageIds(pa.concat_arrays([batch.column("image_id") for batch in batches]))
        except ValueError as error:
            raise ValueError(f"{self.folder}: {error}") from error

    def __reduce__(self) -> tuple[type[LocalRegions], tuple[Path, Path | None]]:
        # A spawned worker maps the files itself; pickling the batches would copy all of them.
        return LocalRegions, (self.folder, self.cache_dir)

    def __len__(self) -> int:
        return int(self._first_rows[-1])

    def __getitem__(self, position: int) -> RegionFeatures:
        """The image at a position, as read-only views of the mapped file."""
        if not 0 <= position < len(self):
            raise IndexError(f"image {position} of {len(self)} in {self.folder}")
        number = int(np.searchsorted(self._first_rows, position, side="right")) - 1
        row = int(position - self._first_rows[number])
        return regions_from_row({name: read(row) for name, read in self._batches[number].items()}, self.metadata)

    def index_of(self, image_id: str) -> int:
        """The position of an image.

        Args:
            image_id: The image.

        Returns:
            Its position.

        Raises:
            KeyError: If there is no such image.
        """
        position = self.image_ids.find(image_id)
        if position is None:
            raise KeyError(
                f"no image {image_id!r} among the {len(self)} of {self.folder}, such as {self.image_ids[0]!r}"
            )
        return position


class LocalExamples(Dataset[Batch]):
    """All examples of local region features: every image with each row that the task's table has of it.

    As a data set its items are batches: `examples[[(epoch, number), ...]]`. Rows without image and images without row
    are left out, with a warning.

    Args:
        regions: The images.
        task: Makes an example of an image and a row of its table.
        collator: Makes a batch of examples.

    Raises:
        ValueError: If no image has a row, or a second image is not there.
    """

    def __init__(self, regions: LocalRegions, task: ExampleTask, collator: Collator) -> None:
        self.regions = regions
        self.task = task
        self.collator = collator
        positions = match_images(str(regions.folder), regions.image_ids, task.table)
        image_of_row = np.repeat(positions, np.diff(task.table.offsets))
        self._rows = np.flatnonzero(image_of_row >= 0)
        self._images = image_of_row[self._rows]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, batch: list[tuple[int, int]]) -> Batch:
        """The batch of the given examples, each an epoch and a number below `len(self)`."""
        return self.collator(
            [
                make_example(
                    self.task,
                    self.regions[int(self._images[number])],
                    int(self._rows[number]),
                    epoch,
                    lambda image_id: self.regions[self.regions.index_of(image_id)],
                )
                for epoch, number in batch
            ]
        )


class LocalTrainingData(TrainingData):
    """Endless training batches over local region features, shuffled over the whole data set.

    The permutations of epoch 0, 1, 2, ... stand one after the other; of this sequence a process takes every
    `world_size`-th example. So every example comes exactly once an epoch, whatever the number of processes, and the
    position is one number: the batches handed out. It is the same in all processes and for any number of workers.

    Args:
        regions: The images.
        task: Makes an example of an image and a row of its table.
        collator: Makes a batch of examples.
        batch_size: Examples a batch of this process.
        seed: Seed of the order.
        rank: Number of this process.
        world_size: Number of processes.
        num_workers: Worker processes that prepare batches; a resumed run may have another number.
    """

    def __init__(
        self,
        regions: LocalRegions,
        task: ExampleTask,
        collator: Collator,
        *,
        batch_size: int,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        num_workers: int = 0,
    ) -> None:
        super().__init__(
            task,
            collator,
            batch_size=batch_size,
            seed=seed,
            rank=rank,
            world_size=world_size,
            num_workers=num_workers,
            settings={"data": regions.fingerprint, "reading": "local"},
        )
        self._examples = LocalExamples(regions, task, collator)
        self._batches = 0

    @property
    def epoch(self) -> int:
        """The pass over the data that the next batch begins in, from 0."""
        return self._batches * self.batch_size * self.world_size // len(self._examples)

    @property
    def examples_per_epoch(self) -> int:
        """Examples of all processes together in one pass."""
        return len(self._examples)

    def __iter__(self) -> Iterator[Batch]:
        """Batches, without end."""
        for batch in batch_loader(self._examples, num_workers=self.num_workers, sampler=self._sequence(self._batches)):
            self._batches += 1
            yield batch

    def _sequence(self, batch: int) -> Iterator[list[tuple[int, int]]]:
        """The examples of the batches from number `batch` on, each as epoch and number."""
        count = len(self._examples)
        epoch, order = -1, np.empty(0, dtype=np.int64)
        while True:
            numbers = []
            for position in range(batch * self.batch_size, (batch + 1) * self.batch_size):
                place = position * self.world_size + self.rank
                if place // count != epoch:
                    epoch = place // count
                    order = epoch_permutation(count, seed=self.seed, epoch=epoch)
                numbers.append((epoch, int(order[place % count])))
            yield numbers
            batch += 1

    def _position(self) -> dict[str, Any]:
        return {"batches": self._batches}

    def _move_to(self, position: dict[str, Any]) -> None:
        self._batches = position["batches"]


def _record_batches(path: Path) -> Iterator[pa.RecordBatch]:
    with pa.ipc.open_file(pa.memory_map(str(path))) as file:
        for number in range(file.num_record_batches):
            yield file.get_batch(number)


def _column_readers(batch: pa.RecordBatch) -> dict[str, Callable[[int], Any]]:
    """For every column that is not empty, what gives its value in a row."""
    columns = zip(batch.schema.names, batch.columns, strict=True)
    return {
        name: _BinaryColumn(column).view if pa.types.is_binary(column.type) else _ValueColumn(column).value
        for name, column in columns
        if column.null_count < len(column)
    }


class _ValueColumn:
    def __init__(self, column: pa.Array) -> None:
        self._column = column

    def value(self, row: int) -> Any:
        return self._column[row].as_py()


class _BinaryColumn:
    """Views of a binary column: Arrow's own scalars hold copies."""

    def __init__(self, column: pa.Array) -> None:
        _, offsets, values = column.buffers()
        self._offsets = np.frombuffer(offsets, dtype=np.int32)[column.offset : column.offset + len(column) + 1]
        # Arrow calls the buffers of a mapped file writable, but to write there is to crash.
        self._values = memoryview(values).toreadonly()
        self._is_valid = column.is_valid() if column.null_count else None

    def view(self, row: int) -> memoryview | None:
        if self._is_valid is not None and not self._is_valid[row].as_py():
            return None
        return self._values[self._offsets[row] : self._offsets[row + 1]]


def _arrow_files(folder: Path, shards: tuple[ShardInfo, ...], cache: Path) -> list[Path]:
    """The Arrow copies of the shards, made where they are not there yet."""
    files = [cache / f"{Path(shard.name).stem}-{shard.sha256[:16]}.arrow" for shard in shards]
    if all(file.is_file() for file in files):
        return files
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / ".lock"):
        for stale in set(cache.glob("*.arrow*")) - set(files):
            stale.unlink()
        missing = [(shard, file) for shard, file in zip(shards, files, strict=True) if not file.is_file()]
        needed, free = sum(shard.bytes for shard, _ in missing), shutil.disk_usage(cache).free
        if needed > free:
            raise OSError(
                f"copying the shards of {folder} for memory-mapping takes {needed / 1e9:.1f} GB, {cache} has "
                f"{free / 1e9:.1f} GB left; name another cache_dir, or read the shards as a stream"
            )
        for shard, file in tqdm(missing, desc="shards to Arrow", unit="shard", disable=not missing):
            _copy_to_arrow(folder / shard.name, shard, file)
    return files


def _copy_to_arrow(source: Path, shard: ShardInfo, target: Path) -> None:
    if ShardInfo.of(source, shard.rows) != shard:
        raise ValueError(f"{source} is not the file its manifest describes: fetch or convert the data again")
    partial = target.with_name(target.name + ".partial")
    with (
        open_shard(source) as parquet,
        pa.OSFile(str(partial), "wb") as sink,
        pa.ipc.new_file(sink, parquet.schema_arrow) as writer,
    ):
        for batch in parquet.iter_batches(batch_size=_ROWS_PER_BATCH):
            writer.write_batch(batch)
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(partial, target)
