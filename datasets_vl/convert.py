"""From a raw source of region features to Parquet shards and a manifest, in several processes and in several runs.

Shard k holds the good rows among the k-th `shard_size` rows of the source, so every shard can be made alone: by any
process, in any order, now or in a later run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tqdm.auto import tqdm

from datasets_vl.bad_rows import BadRow, BadRowError, OnError, RowPlace
from datasets_vl.manifest import Manifest, ShardInfo, shard_name, write_manifest, write_whole
from datasets_vl.parquet import RegionFeaturesMetadata, ShardFile
from datasets_vl.private_folder import private_folder, sole_writer
from datasets_vl.readers import RegionReader, Span, open_reader
from datasets_vl.shard_reading import DamagedShardError, iter_shard, open_shard, read_image_ids, verify_shard
from datasets_vl.worker_processes import run_in_processes
from processing_vl.region_features import InvalidRegionFeatures, RegionFeatures

_NOTE = "conversion.json"
_SKIPPED = "skipped"
_HOW_TO_SET = {
    "feature_dim": "Say with feature_dim (--feature-dim) which rows to keep.",
    "num_classes": "Say with num_classes (--num-classes) which rows to keep; 0 keeps all and no probabilities.",
}


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
        num_classes: Classes of the class probabilities; those of the first good row when None. 0 leaves class
            probabilities out, so that rows with and without them go together.
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
    num_classes: int | None = None
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

    def note(self, reader: RegionReader, metadata: RegionFeaturesMetadata) -> str:
        """What tells the shards of this conversion from those of another.

        Args:
            reader: Of the source.
            metadata: Of the shards.

        Returns:
            JSON. It is kept beside the shards, not in them: these shall be the same bytes wherever they are made.
        """
        kept = {name: getattr(self, name) for name in ("format", "shard_size", "append_box_numbers")}
        return json.dumps({**kept, "source": reader.fingerprint, **dataclasses.asdict(metadata)}, sort_keys=True)


class MadeShard(NamedTuple):
    """A whole shard, the span of the source it holds, and the rows of the span that were left out."""

    span: Span
    info: ShardInfo
    skipped: list[BadRow]


class ShardMaker:
    """Makes any one shard of a conversion.

    Args:
        conversion: What to do; its `feature_dim` is known.
        folder: Where the shards go.
        metadata: Of the shards.
    """

    def __init__(self, conversion: Conversion, folder: Path, metadata: RegionFeaturesMetadata) -> None:
        self.conversion = conversion
        self.folder = folder
        self.metadata = metadata
        self.reader = conversion.open_reader()

    def claim_folder(self) -> None:
        """Leave a note on this conversion in the folder, if the shards there are not those of another.

        Raises:
            ValueError: They are.
        """
        path = private_folder(self.folder) / _NOTE
        note = self.conversion.note(self.reader, self.metadata)
        if any(self.folder.glob("shard-*.parquet")):
            found = path.read_text(encoding="utf-8") if path.is_file() else "{}"
            if found != note:
                was, now = json.loads(found), json.loads(note)
                changed = [
                    f"{name} was {was.get(name)!r}, is {now[name]!r}" for name in now if was.get(name) != now[name]
                ]
                raise ValueError(
                    f"the shards in {self.folder} were made from another source, before a file of it changed, or with"
                    f" other options ({'; '.join(changed)}): choose an empty folder, or delete this one"
                )
        write_whole(path, note)

    def make(self, index: int, span: Span) -> MadeShard:
        """Make shard `index`, or keep it where it is whole already.

        Args:
            index: Number of the shard.
            span: The rows it holds.

        Returns:
            The shard.

        Raises:
            BadRowError: A row is bad and the policy is "raise".
        """
        path = self.folder / shard_name(index)
        if path.exists():
            with contextlib.suppress(DamagedShardError):
                return self._keep(path, span)
        self.reader.skipped.clear()
        with ShardFile(path, self.metadata) as file:
            for regions in self.reader.read(span):
                try:
                    file.write(prepare(regions, self.conversion))
                except InvalidRegionFeatures as error:
                    self.reader.reject(error)
            return self.finish(file, span, list(self.reader.skipped))

    def _keep(self, path: Path, span: Span) -> MadeShard:
        rows = verify_shard(path)
        with open_shard(path) as file:
            skipped = [BadRow(**row) for row in json.loads(file.metadata.metadata[_SKIPPED.encode()])]
        if skipped and self.conversion.on_error == "raise":
            raise BadRowError(skipped[0])
        return MadeShard(span, ShardInfo.of(path, rows), skipped)

    def finish(self, file: ShardFile, span: Span, skipped: list[BadRow]) -> MadeShard:
        """Close a shard, with the rows left out noted inside.

        Args:
            file: All its rows are written.
            span: The rows of the source it holds.
            skipped: The rows left out.

        Returns:
            The shard.
        """
        file.finish({_SKIPPED: json.dumps([dataclasses.asdict(row) for row in skipped])})
        return MadeShard(span, ShardInfo.of(file.path, file.num_rows), skipped)


def prepare(regions: RegionFeatures, conversion: Conversion) -> RegionFeatures:
    """Append the box numbers to the features and leave class probabilities out, if asked.

    Args:
        regions: As read.
        conversion: What was asked.

    Returns:
        As stored; features float `[R, D]` or `[R, D + 6]`.
    """
    if conversion.num_classes == 0:
        regions = dataclasses.replace(regions, class_probs=None)
    if not conversion.append_box_numbers:
        return regions
    x1, y1, x2, y2 = regions.boxes.T / np.array([[regions.width], [regions.height]] * 2, dtype=np.float32)
    numbers = np.stack([x1, y1, x2, y2, x2 - x1, y2 - y1], axis=1).astype(regions.features.dtype)
    return dataclasses.replace(regions, features=np.concatenate([regions.features, numbers], axis=1))


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
        ValueError: The source is not of the format, has no good row, most rows would be left out because they
            disagree with the first one, or the folder holds another conversion's shards.
        RuntimeError: Another process is writing into the folder, or one of this conversion's died.
    """
    if num_proc < 1:
        raise ValueError(f"num_proc is {num_proc}, expected at least 1")
    folder = Path(folder)
    reader = conversion.open_reader()
    first = _first_good_row(reader, conversion)
    conversion = dataclasses.replace(conversion, feature_dim=first.feature_dim)
    stored = prepare(first, conversion)
    metadata = RegionFeaturesMetadata(
        feature_dim=stored.feature_dim,
        num_classes=conversion.num_classes or stored.num_classes,
        detector=conversion.detector,
        box_policy=conversion.box_policy,
        has_global_region=conversion.has_global_region,
        feature_dtype=conversion.feature_dtype,
    )
    with sole_writer(folder):
        maker = ShardMaker(conversion, folder, metadata)
        maker.claim_folder()
        shards = _make_all(maker, num_proc, show_progress)
        return _finish(maker, _without_duplicates(maker, shards))


def _make_all(maker: ShardMaker, num_proc: int, show_progress: bool) -> list[MadeShard]:
    reader, conversion = maker.reader, maker.conversion
    shards: list[MadeShard] = []
    num_skipped = 0
    with tqdm(total=reader.total, unit=reader.unit, unit_scale=True, disable=not show_progress) as bar:
        spans = enumerate(reader.spans(conversion.shard_size))
        if num_proc == 1:
            made = (maker.make(index, span) for index, span in spans)
        else:
            arguments = (conversion, maker.folder, maker.metadata)
            made = run_in_processes(ShardMaker.make, spans, build=ShardMaker, arguments=arguments, num_proc=num_proc)
        for shard in made:
            shards.append(shard)
            num_skipped += len(shard.skipped)
            bar.set_postfix(skipped=num_skipped, refresh=False)
            bar.update(shard.span.stop - shard.span.start)
    return shards


def _first_good_row(reader: RegionReader, conversion: Conversion) -> RegionFeatures:
    for span in reader.spans(conversion.shard_size):
        with contextlib.closing(reader.read(span)) as rows:
            first = next(rows, None)
            if first is None:
                continue
            if conversion.on_error == "skip":
                _check_that_most_agree(first, rows, reader, conversion)
            return first
    why = f"; the first one: {reader.skipped[0]}" if reader.skipped else ""
    raise ValueError(f"{reader.path} has no good row{why}")


def _check_that_most_agree(
    first: RegionFeatures, others: Iterable[RegionFeatures], reader: RegionReader, conversion: Conversion
) -> None:
    """The first good row says what all must be: where it is the odd one, skipping would leave out the good data."""
    found = {name: [getattr(first, name)] for name in _HOW_TO_SET if getattr(conversion, name) is None}
    reader.feature_dim = conversion.feature_dim
    for regions in others:
        reader.feature_dim = conversion.feature_dim  # so that the next row may differ from this one
        for name, values in found.items():
            values.append(getattr(regions, name))
    for name, values in found.items():
        odd = len(values) - values.count(values[0])
        if 2 * odd > len(values):
            usual = Counter(values).most_common(1)[0][0]
            raise ValueError(
                f"{reader.path}: {name} is {values[0]} in the first row (image {first.image_id!r}), but {odd} of the"
                f" first {len(values)} rows have another, most of them {usual}; on_error='skip' would leave all these"
                f" out. {_HOW_TO_SET[name]}"
            )


def _without_duplicates(maker: ShardMaker, shards: list[MadeShard]) -> list[MadeShard]:
    """Leave every image where it comes first in the source."""
    ids = [_image_ids(maker.folder / shard.info.name) for shard in shards]
    counts = pc.value_counts(pa.chunked_array(ids, pa.string()))
    repeated = set(counts.filter(pc.greater(counts.field("counts"), 1)).field("values").to_pylist())
    if not repeated:
        return shards
    seen: dict[str, RowPlace] = {}
    result = []
    for shard, column in zip(shards, ids, strict=True):
        bad: dict[int, BadRow] = {}
        suspects = {row: image_id for row, image_id in enumerate(column.to_pylist()) if image_id in repeated}
        places = _places_of(maker, shard) if suspects else []
        for row, image_id in suspects.items():
            if image_id in seen:
                reason = f"the image comes a second time, first in {seen[image_id]}"
                bad[row] = BadRow(*places[row], image_id, reason)
            else:
                seen[image_id] = places[row]
        if bad and maker.conversion.on_error == "raise":
            raise BadRowError(next(iter(bad.values())))
        result.append(_rewrite_without(maker, shard, bad) if bad else shard)
    return result


def _places_of(maker: ShardMaker, shard: MadeShard) -> list[RowPlace]:
    """Where the rows of a shard stand in the source."""
    left_out = {row.place for row in shard.skipped}
    return [place for place in maker.reader.places(shard.span) if place not in left_out]


def _image_ids(path: Path) -> pa.Array:
    with open_shard(path) as file:
        return read_image_ids(file, str(path))


def _rewrite_without(maker: ShardMaker, shard: MadeShard, bad: dict[int, BadRow]) -> MadeShard:
    path = maker.folder / shard.info.name
    with ShardFile(path, maker.metadata) as file:
        for row, regions in enumerate(iter_shard(path)):
            if row not in bad:
                file.write(regions)
        return maker.finish(file, shard.span, [*shard.skipped, *bad.values()])


def _finish(maker: ShardMaker, shards: list[MadeShard]) -> Manifest:
    """Remove shards without rows, which streams could stumble over, and write the manifest."""
    for shard in shards:
        if shard.info.rows == 0:
            (maker.folder / shard.info.name).unlink()
    manifest = Manifest(
        maker.metadata,
        tuple(shard.info for shard in shards if shard.info.rows),
        tuple(row for shard in shards for row in shard.skipped),
    )
    write_manifest(maker.folder, manifest)
    return manifest
