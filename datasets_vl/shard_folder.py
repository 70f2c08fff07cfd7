"""A folder of shards on this disk, on the Hub or behind any fsspec address, read piece by piece in constant memory."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from datasets_vl.image_ids import ImageIds
from datasets_vl.image_table import ImageTable, match_images
from datasets_vl.manifest import MANIFEST_NAME, Manifest, read_manifest
from datasets_vl.order import epoch_permutation
from datasets_vl.parquet import ROWS_PER_GROUP
from datasets_vl.shard_reading import open_shard, read_image_ids, read_rows
from processing_vl.region_features import RegionFeatures

_METADATA_THREADS = 16


class ShardFolder:
    """Region features that are read where they lie, in pieces of one row group.

    The images are numbered through all shards, in the order of the manifest. The object holds the manifest and the
    footers of the shards it has read from, nothing else, and can be sent to other processes.

    Args:
        source: A local folder, a Hub data set (`hf://datasets/user/name` or a folder in it), or any address of fsspec.

    Raises:
        FileNotFoundError: If there is no manifest.
        ValueError: If the manifest cannot be read, or names no image.
    """

    def __init__(self, source: str | Path) -> None:
        self.source = str(source).rstrip("/")
        self._is_local = "://" not in self.source
        self.manifest = read_manifest(self.source) if self._is_local else self._remote_manifest()
        self.metadata = self.manifest.metadata
        self.fingerprint = self.manifest.fingerprint
        self._footers: dict[int, pq.FileMetaData] = {}
        self.first_rows = np.cumsum([0, *(shard.rows for shard in self.manifest.shards)])
        if len(self) == 0:
            raise ValueError(f"{self.source} holds no image")
        self._pieces = np.concatenate(
            [
                np.arange(first, last, ROWS_PER_GROUP)
                for first, last in zip(self.first_rows[:-1], self.first_rows[1:], strict=True)
            ]
        )
        self._piece_sizes = np.diff(np.append(self._pieces, len(self)))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_footers": {}}

    def __len__(self) -> int:
        return int(self.first_rows[-1])

    @cached_property
    def image_ids(self) -> ImageIds:
        """The ids of all images, read from all shards: one small request a row group where the shards are remote."""
        with ThreadPoolExecutor(_METADATA_THREADS) as pool:
            columns = list(pool.map(self._shard_image_ids, range(len(self.manifest.shards))))
        try:
            return ImageIds(pa.concat_arrays(columns))
        except ValueError as error:
            raise ValueError(f"{self.source}: {error}") from error

    def row_order(self, *, seed: int, epoch: int) -> RowOrder:
        """The shuffled order of an epoch.

        Args:
            seed: Seed of the run.
            epoch: Which pass over the data.

        Returns:
            The pieces of all shards in random order, each with its rows in theirs.
        """
        order = epoch_permutation(len(self._pieces), seed=seed, epoch=epoch)
        return RowOrder(self._pieces[order], self._piece_sizes[order])

    def read(self, rows: Sequence[int]) -> Iterator[tuple[int, RegionFeatures]]:
        """Reads images by number; of every row group that holds one, that row group alone.

        Args:
            rows: Numbers of images in ascending order.

        Yields:
            The number and the image. Every image owns its memory.

        Raises:
            DamagedShardError: A shard is not whole, or a page is not what was written; names shard and row group.
            OSError: A shard cannot be read.
        """
        place = 0
        while place < len(rows):
            shard = int(np.searchsorted(self.first_rows, rows[place], side="right")) - 1
            first = int(self.first_rows[shard])
            with self._open(shard) as file:
                row_group, start, stop = _row_group_of(file.metadata, rows[place] - first)
                wanted = rows[place : bisect_left(rows, first + stop, place)]
                inside = [row - first - start for row in wanted]
                images = read_rows(file, row_group, inside, self.metadata, name=self._shard_path(shard))
                yield from zip(wanted, images, strict=True)
            place += len(wanted)

    def rows_of(self, shard_name: str) -> range:
        """The numbers of the images of the shard `shard_name`."""
        shard = [shard.name for shard in self.manifest.shards].index(shard_name)
        return range(int(self.first_rows[shard]), int(self.first_rows[shard + 1]))

    def match(self, table: ImageTable) -> np.ndarray:
        """Finds the images that a table is about, see `image_table.match_images`; reads the ids of all images."""
        return match_images(self.source, self.image_ids, table)

    def _path(self, name: str) -> str:
        return f"{self.source}/{name}"

    def _shard_path(self, shard: int) -> str:
        return self._path(self.manifest.shards[shard].name)

    def _remote_manifest(self) -> Manifest:
        # Always a fresh look-up: a forked worker must not use its parent's connections, and fsspec sees to that.
        filesystem, path = fsspec.core.url_to_fs(self._path(MANIFEST_NAME))
        try:
            text = filesystem.cat_file(path).decode()
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{self._path(MANIFEST_NAME)} does not exist: the address is wrong, or it holds no region features"
            ) from error
        return Manifest.from_json(text, self._path(MANIFEST_NAME))

    @contextmanager
    def _open(self, shard: int) -> Iterator[pq.ParquetFile]:
        path = self._shard_path(shard)
        with ExitStack() as stack:
            source: Any = path
            if not self._is_local:
                filesystem, path_there = fsspec.core.url_to_fs(path)
                # Parquet knows which bytes it wants: with its own buffering a row group is one request.
                source = stack.enter_context(filesystem.open(path_there, "rb", cache_type="none"))
            file = stack.enter_context(
                open_shard(source, name=path, footer=self._footers.get(shard), pre_buffer=not self._is_local)
            )
            if shard not in self._footers:
                expected = self.manifest.shards[shard].rows
                if file.metadata.num_rows != expected:
                    raise ValueError(f"{path} has {file.metadata.num_rows} images, its manifest says {expected}")
                self._footers[shard] = file.metadata
            yield file

    def _shard_image_ids(self, shard: int) -> pa.Array:
        with self._open(shard) as file:
            return read_image_ids(file, self._shard_path(shard))


class RowOrder:
    """An order of all images in which pieces of consecutive ones stay together.

    Args:
        firsts: int64 `[N]`, number of the first image of every piece.
        sizes: int64 `[N]`, images in every piece.
    """

    def __init__(self, firsts: np.ndarray, sizes: np.ndarray) -> None:
        self._firsts = firsts
        self._sizes = sizes
        self._ends = np.cumsum(sizes)

    def pieces(self, start: int, stop: int) -> Iterator[range]:
        """The images at the places `start` to `stop - 1` of the order.

        Args:
            start: First place.
            stop: The place to stop at.

        Yields:
            Numbers of consecutive images of one piece.
        """
        for piece in range(int(np.searchsorted(self._ends, start, side="right")), len(self._ends)):
            if start >= stop:
                return
            end = int(self._ends[piece])
            row_of_place = int(self._firsts[piece] + self._sizes[piece]) - end
            yield range(start + row_of_place, min(end, stop) + row_of_place)
            start = end


def _row_group_of(footer: pq.FileMetaData, row: int) -> tuple[int, int, int]:
    """The row group of a shard that holds row `row` of it, the row group's first row and the row after its last."""
    start = 0
    for row_group in range(footer.num_row_groups):
        stop = start + footer.row_group(row_group).num_rows
        if row < stop:
            return row_group, start, stop
        start = stop
    raise IndexError(f"row {row} of a shard of {start}")
