"""From a raw source of region features to Parquet shards and a manifest, in several processes and in several runs.

Shard k holds the good rows among the k-th `shard_size` rows of the source, so every shard can be made alone: by any
process, in any order, now or in a later run.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import json
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tqdm.auto import tqdm

from datasets_vl.bad_rows import BadRow, BadRowError, OnError
from datasets_vl.manifest import Manifest, ShardInfo, shard_name, write_manifest
from datasets_vl.parquet import (
    DamagedShardError,
    RegionFeaturesMetadata,
    ShardFile,
    iter_shard,
    open_shard,
    read_shard_metadata,
    verify_shard,
)
from datasets_vl.readers import RegionReader, Span, open_reader
from processing_vl.region_features import InvalidRegionFeatures, RegionFeatures


@dataclasses.dataclass(frozen=True, kw_only=True)
class Conversion:
    """What to convert and how: all that decides the content of the shards.

    Attributes:
        source: The raw file or folder.
        format: One of `readers.READERS`.
        shard_size: Rows of the source a shard; rows left out make a shard shorter.
        on_error: "raise" stops at a bad row, "skip" leaves it out and lists it in the manifest.
        feature_dtype: How features are stored.
        feature_dim: Numbers a region has in the source; that of the first good row when None.
        append_box_numbers: Whether to append x1, y1, x2, y2, width and height of the box, as shares of the image, to
            the features (2048 becomes 2054, as in VisualBERT's Flickr30k features).
        has_global_region: Whether row 0 of every image is the whole image.
        detector: Where the features come from, in words.
        box_policy: How regions were chosen, in words.
        fields: Names of the fields of a TSV file; detected when None.
        image_sizes: Table of image sizes, for UNITER.
    """

    source: str
    format: str
    shard_size: int = 1000
    on_error: OnError = "raise"
    feature_dtype: Literal["float16", "float32"] = "float16"
    feature_dim: int | None = None
    append_box_numbers: bool = False
    has_global_region: bool = False
    detector: str | None = None
    box_policy: str | None = None
    fields: tuple[str, ...] | None = None
    image_sizes: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if self.shard_size < 1:
            raise ValueError(f"shard_size is {self.shard_size}, expected at least 1")

    def open_reader(self) -> RegionReader:
        """Open the source.

        Returns:
            Its reader.
        """
        return open_reader(
            self.source,
            self.format,
            on_error=self.on_error,
            feature_dim=self.feature_dim,
            has_global_region=self.has_global_region,
            fields=self.fields,
            image_sizes=self.image_sizes,
        )

    def note(self, reader: RegionReader) -> str:
        """What tells the shards of this conversion from those of another, beside their metadata.

        Args:
            reader: Of the source.

        Returns:
            JSON, kept in every shard.
        """
        kept = {name: getattr(self, name) for name in ("format", "shard_size", "append_box_numbers")}
        return json.dumps({**kept, "source": reader.fingerprint}, sort_keys=True)


def convert(
    conversion: Conversion, folder: str | os.PathLike[str], *, num_proc: int = 1, show_progress: bool = True
) -> Manifest:
    """Convert a raw source; go on where an earlier run of the same conversion stopped.

    Whole shards are verified and kept, so the result is that of an uninterrupted run, byte for byte.

    Args:
        conversion: What to do.
        folder: Where the shards and the manifest go.
        num_proc: Processes that convert.
        show_progress: Whether to show a progress bar.

    Returns:
        The manifest, which is also written into the folder.

    Raises:
        BadRowError: A row is bad, or an image comes twice, and the policy is "raise".
        ValueError: The source is not of the format, has no good row, or the folder holds another conversion's shards.
    """
    if num_proc < 1:
        raise ValueError(f"num_proc is {num_proc}, expected at least 1")
    folder = Path(folder)
    reader = conversion.open_reader()
    first = _first_good_row(reader)
    conversion = dataclasses.replace(conversion, feature_dim=first.feature_dim)
    metadata = RegionFeaturesMetadata(
        feature_dim=_prepare(first, conversion).feature_dim,
        num_classes=first.num_classes,
        detector=conversion.detector,
        box_policy=conversion.box_policy,
        has_global_region=conversion.has_global_region,
        feature_dtype=conversion.feature_dtype,
    )
    folder.mkdir(parents=True, exist_ok=True)
    maker = _ShardMaker(conversion, folder, metadata)
    maker.check_folder()
    shards: list[_MadeShard] = []
    with tqdm(total=reader.total, unit=reader.unit, unit_scale=True, disable=not show_progress) as bar:
        spans = reader.spans(conversion.shard_size)
        made = map(maker.make, *_columns(spans)) if num_proc == 1 else _make_in_processes(maker, spans, num_proc)
        for shard in made:
            shards.append(shard)
            bar.update(shard.span.stop - shard.span.start)
            bar.set_postfix(skipped=sum(len(each.skipped) for each in shards))
    shards = _without_duplicates(maker, shards)
    return _finish(folder, metadata, shards)
