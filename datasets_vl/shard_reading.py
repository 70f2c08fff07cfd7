"""Reading shards: opening one, its rows, its image ids, and whether it is still what was written."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from datasets_vl.parquet import (
    REGION_SCHEMA,
    REQUIRED_COLUMNS,
    ROWS_PER_GROUP,
    RegionFeaturesMetadata,
    regions_from_row,
)
from processing_vl.region_features import RegionFeatures


class DamagedShardError(ValueError):
    """A file that is not, or no longer, a whole shard."""


def open_shard(
    path_or_file: str | os.PathLike[str] | BinaryIO,
    *,
    name: str | None = None,
    footer: pq.FileMetaData | None = None,
    pre_buffer: bool = False,
) -> pq.ParquetFile:
    """Open a Parquet file whose every page is held against its checksum when it is read.

    Args:
        path_or_file: A path, or an open seekable file.
        name: What to call it in errors; `path_or_file` itself when None.
        footer: Its footer, where that was read before.
        pre_buffer: Whether to fetch what is wanted of a row group in one request.

    Returns:
        The open file, a context manager.

    Raises:
        DamagedShardError: Not a whole Parquet file.
    """
    try:
        return pq.ParquetFile(path_or_file, metadata=footer, pre_buffer=pre_buffer, page_checksum_verification=True)
    except pa.ArrowInvalid as error:
        raise DamagedShardError(f"{name or path_or_file} is not a whole Parquet file: {error}") from error


def read_shard_metadata(file: pq.ParquetFile, name: str) -> RegionFeaturesMetadata:
    """Read the metadata of an open shard.

    Args:
        file: From `open_shard`.
        name: What to call the file in errors.

    Returns:
        The metadata.

    Raises:
        ValueError: The file holds no region features.
    """
    return RegionFeaturesMetadata.from_file_metadata(file.metadata.metadata, name)


def iter_shard(
    path_or_file: str | os.PathLike[str] | BinaryIO,
    *,
    start_row: int = 0,
    batch_size: int = ROWS_PER_GROUP,
    columns: Collection[str] | None = None,
) -> Iterator[RegionFeatures]:
    """Read a shard image by image, with memory for one batch of rows.

    Every image owns its bytes, so keeping one (in a shuffle buffer, say) does not keep its batch alive.

    Args:
        path_or_file: A path, or an open seekable file such as fsspec's.
        start_row: First row to yield; row groups before it are not read.
        batch_size: Rows decoded at a time.
        columns: Optional columns to read, all when None. The required ones are always read.

    Yields:
        The images in their order.

    Raises:
        ValueError: The file holds no region features, or a column is unknown.
        DamagedShardError: The file is not whole, or a page is not what was written.
        InvalidRegionFeatures: A row does not fit the metadata.
    """
    if columns is not None:
        unknown = sorted(set(columns) - set(REGION_SCHEMA.names))
        if unknown:
            raise ValueError(f"unknown columns {unknown}, region features have {REGION_SCHEMA.names}")
        columns = [name for name in REGION_SCHEMA.names if name in columns or name in REQUIRED_COLUMNS]
    name = str(path_or_file)
    with open_shard(path_or_file) as file:
        metadata = read_shard_metadata(file, name)
        for row_group in range(file.num_row_groups):
            num_rows = file.metadata.row_group(row_group).num_rows
            rows = range(min(start_row, num_rows), num_rows)
            start_row -= rows.start
            yield from read_rows(file, row_group, rows, metadata, name=name, batch_size=batch_size, columns=columns)


def read_rows(
    file: pq.ParquetFile,
    row_group: int,
    rows: Iterable[int],
    metadata: RegionFeaturesMetadata,
    *,
    name: str,
    batch_size: int = ROWS_PER_GROUP,
    columns: Sequence[str] | None = None,
) -> Iterator[RegionFeatures]:
    """Read images of one row group.

    Args:
        file: From `open_shard`.
        row_group: Number of the row group.
        rows: Numbers of its rows in ascending order; without any, nothing is read.
        metadata: Of the shard.
        name: What to call the file in errors.
        batch_size: Rows decoded at a time.
        columns: Columns to read, all when None.

    Yields:
        The images. Every one owns its bytes.

    Raises:
        DamagedShardError: A page is not what was written.
        OSError: The file cannot be read.
        InvalidRegionFeatures: A row does not fit the metadata.
    """
    wanted = iter(rows)
    row = next(wanted, None)
    if row is None:
        return
    start = 0
    for batch in _read_batches(file, row_group, name, batch_size=batch_size, columns=columns):
        values = list(zip(batch.schema.names, batch.columns, strict=True))
        while row is not None and row < start + batch.num_rows:
            # Plain values are copies: a view would keep the whole batch in memory.
            yield regions_from_row({key: column[row - start].as_py() for key, column in values}, metadata)
            row = next(wanted, None)
        start += batch.num_rows


def read_image_ids(file: pq.ParquetFile, name: str) -> pa.Array:
    """Read the image ids of a shard and nothing else.

    Args:
        file: From `open_shard`.
        name: What to call the file in errors.

    Returns:
        Strings, in the order of the rows.

    Raises:
        DamagedShardError: A page is not what was written.
        OSError: The file cannot be read.
    """
    with _reading(f"the column image_id of {name}"):
        column = file.read(columns=["image_id"], use_threads=False).column(0)
    return column.combine_chunks()


def _read_batches(
    file: pq.ParquetFile,
    row_group: int,
    name: str,
    *,
    batch_size: int = ROWS_PER_GROUP,
    columns: Sequence[str] | None = None,
) -> Iterator[pa.RecordBatch]:
    with _reading(f"row group {row_group} of {name}"):
        yield from file.iter_batches(batch_size=batch_size, row_groups=[row_group], columns=columns)


@contextmanager
def _reading(what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowInvalid) as error:
        # Arrow's own findings have no number; errors of the disk have one, those of the network are subclasses.
        if isinstance(error, pa.ArrowInvalid) or (type(error) is OSError and error.errno is None):
            raise DamagedShardError(f"{what} is damaged: {error}") from error
        raise OSError(f"{what} cannot be read: {error}") from error


def verify_shard(path: str | os.PathLike[str]) -> int:
    """Read every page of a shard against its checksum.

    Args:
        path: The shard.

    Returns:
        The number of rows.

    Raises:
        DamagedShardError: The shard is not whole, or a page has changed.
    """
    with open_shard(path) as file:
        return sum(
            batch.num_rows
            for row_group in range(file.num_row_groups)
            for batch in _read_batches(file, row_group, str(path))
        )
