"""A folder of shards: its manifest, and the writer that fills such a folder image by image."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from datasets_vl.bad_rows import BadRow
from datasets_vl.parquet import RegionFeaturesMetadata, ShardFile
from datasets_vl.private_folder import sole_writer
from datasets_vl.shard_reading import open_shard, read_image_ids, read_shard_metadata, verify_shard
from processing_vl.region_features import InvalidRegionFeatures, RegionFeatures

MANIFEST_NAME = "manifest.json"


def shard_name(index: int) -> str:
    """File name of shard number `index`."""
    return f"shard-{index:05d}.parquet"


@dataclasses.dataclass(frozen=True)
class ShardInfo:
    """One shard of a data set: its file name, rows, SHA-256 in hexadecimal and size in bytes."""

    name: str
    rows: int
    sha256: str
    bytes: int

    @classmethod
    def of(cls, path: Path, rows: int) -> ShardInfo:
        """Measure a whole shard.

        Args:
            path: The shard.
            rows: Its rows.

        Returns:
            Its entry in the manifest.
        """
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return cls(path.name, rows, digest.hexdigest(), path.stat().st_size)


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a folder of shards holds.

    Attributes:
        metadata: Shared by all rows.
        shards: In the order of the raw data.
        skipped: Rows of the raw data that were left out, and why.
    """

    metadata: RegionFeaturesMetadata
    shards: tuple[ShardInfo, ...]
    skipped: tuple[BadRow, ...] = ()

    @property
    def num_rows(self) -> int:
        """Images in all shards."""
        return sum(shard.rows for shard in self.shards)

    @property
    def fingerprint(self) -> str:
        """A checksum over all shards, 16 hexadecimal digits."""
        text = "\n".join(f"{shard.name} {shard.rows} {shard.sha256}" for shard in self.shards)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """The text of `manifest.json`."""
        content = {
            "metadata": dataclasses.asdict(self.metadata),
            "num_rows": self.num_rows,
            "shards": [dataclasses.asdict(shard) for shard in self.shards],
            "num_skipped": len(self.skipped),
            "skipped": [dataclasses.asdict(row) for row in self.skipped],
        }
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, name: str = MANIFEST_NAME) -> Manifest:
        """Read the text of a manifest.

        Args:
            text: What `to_json` made.
            name: What to call the text in errors.

        Returns:
            The manifest.

        Raises:
            ValueError: The text is no manifest of region features.
        """
        try:
            content = json.loads(text)
            return cls(
                RegionFeaturesMetadata(**content["metadata"]),
                tuple(ShardInfo(**shard) for shard in content["shards"]),
                tuple(BadRow(**row) for row in content["skipped"]),
            )
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(f"{name} is no manifest of region features: {error!r}") from error


def read_manifest(folder: str | os.PathLike[str]) -> Manifest:
    """Read the manifest of a folder of shards.

    Args:
        folder: With the manifest and the shards it names.

    Returns:
        The manifest.

    Raises:
        FileNotFoundError: The folder has none: it holds no region features, or their conversion was interrupted.
        ValueError: It cannot be read, or a shard it names is missing or has another size.
    """
    path = Path(folder) / MANIFEST_NAME
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist: the folder holds no region features, or their conversion was interrupted"
            " (start it again with the same arguments and it goes on)"
        )
    manifest = Manifest.from_json(path.read_text(encoding="utf-8"), str(path))
    for shard in manifest.shards:
        file = path.with_name(shard.name)
        size = file.stat().st_size if file.is_file() else None
        if size != shard.bytes:
            found = "is missing" if size is None else f"has {size} bytes, expected {shard.bytes}"
            raise ValueError(f"{file}, named by the manifest beside it, {found}: fetch or convert the data again")
    return manifest


def write_manifest(folder: str | os.PathLike[str], manifest: Manifest) -> None:
    """Write the manifest of a folder, whole or not at all.

    Args:
        folder: With the shards it names.
        manifest: What they hold.
    """
    write_whole(Path(folder) / MANIFEST_NAME, manifest.to_json())


def write_whole(path: Path, text: str) -> None:
    """Write a small file, whole or not at all.

    Args:
        path: The file.
        text: Its content.
    """
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


class RegionShardWriter:
    """Fills a folder with shards and a manifest, image by image.

    Used as a context manager; until it is left, no other process can write into the folder. Shards that were whole
    when an earlier run ended are kept: `num_rows` then says how many images are already there, and the caller goes on
    with the next one.

    Example:
        >>> with RegionShardWriter("features", RegionFeaturesMetadata(feature_dim=2048)) as writer:
        ...     for regions in itertools.islice(all_regions, writer.num_rows, None):
        ...         writer.write(regions)

    Args:
        folder: Where the shards go; made if need be.
        metadata: Shared by all rows.
        shard_size: Images a shard; the last one may have fewer.

    Raises:
        ValueError: A shard in the folder is damaged or belongs to another data set.
        RuntimeError: Another process is writing into the folder.
    """

    def __init__(
        self, folder: str | os.PathLike[str], metadata: RegionFeaturesMetadata, *, shard_size: int = 1000
    ) -> None:
        if shard_size < 1:
            raise ValueError(f"shard_size is {shard_size}, expected at least 1")
        self.folder = Path(folder)
        self.metadata = metadata
        self.shard_size = shard_size
        self._image_ids: set[str] = set()
        self._file: ShardFile | None = None
        with ExitStack() as held:
            held.enter_context(sole_writer(self.folder))
            self._shards = list(self._whole_shards())
            self._held = held.pop_all()

    def _whole_shards(self) -> Iterable[ShardInfo]:
        index = 0
        while (path := self.folder / shard_name(index)).exists():
            rows = verify_shard(path)
            with open_shard(path) as file:
                found = read_shard_metadata(file, str(path))
                image_ids = read_image_ids(file, str(path)).to_pylist()
            if found != self.metadata or rows > self.shard_size:
                raise ValueError(
                    f"{path} belongs to another data set: it has {rows} rows and {found}, expected at most"
                    f" {self.shard_size} and {self.metadata}; choose an empty folder"
                )
            if rows < self.shard_size:  # the end of a finished run: written again, with what follows
                return
            self._image_ids.update(image_ids)
            yield ShardInfo.of(path, rows)
            index += 1

    @property
    def num_rows(self) -> int:
        """Images written so far, by this run and the ones before it."""
        return sum(shard.rows for shard in self._shards) + (self._file.num_rows if self._file else 0)

    def write(self, regions: RegionFeatures) -> None:
        """Validate and add one image.

        Raises:
            InvalidRegionFeatures: See `ShardFile.write`, or the image was written before; it is not written and the
                writer can go on.
        """
        if regions.image_id in self._image_ids:
            raise InvalidRegionFeatures(
                regions.image_id, "comes a second time, but captions find their image by its id: give each its own"
            )
        if self._file is None:
            self._file = ShardFile(self.folder / shard_name(len(self._shards)), self.metadata)
        self._file.write(regions)
        self._image_ids.add(regions.image_id)
        if self._file.num_rows == self.shard_size:
            self._finish_shard()

    def _finish_shard(self) -> None:
        self._file.finish()
        self._shards.append(ShardInfo.of(self._file.path, self._file.num_rows))
        self._file = None

    def __enter__(self) -> RegionShardWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._held:
            if kind is None:
                if self._file is not None:
                    self._finish_shard()
                write_manifest(self.folder, Manifest(self.metadata, tuple(self._shards)))
            elif self._file is not None:
                self._file.__exit__(kind, error, traceback)
