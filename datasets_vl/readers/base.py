"""What all readers of raw region features share: rows, spans of rows, and what happens to a bad row."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

from datasets_vl.bad_rows import BadRow, BadRowError, OnError, RowPlace
from datasets_vl.readers.fields import UnreadableRowError, regions_from_fields
from processing_vl.region_features import InvalidRegionFeatures, RegionFeatures


class Span(NamedTuple):
    """Consecutive rows of a source.

    Attributes:
        start: Where the rows begin, in the reader's unit (rows, or bytes of the file).
        stop: Where they end, exclusive.
        first_row: Number of the first row, from 0.
    """

    start: int
    stop: int
    first_row: int


class RawRow(NamedTuple):
    """One row before it is decoded.

    Attributes:
        file: The file it stands in.
        location: Line or key in that file; empty when the file is the row.
        image_id: The image, where the source names it outside the row; None where the row itself does.
        load: Reads the fields of the row; raises `UnreadableRowError` when it cannot.
    """

    file: Path
    location: str
    image_id: str | None
    load: Callable[[], Mapping[str, Any]]

    @property
    def place(self) -> RowPlace:
        """Where it stands."""
        return RowPlace(str(self.file), self.location)


class RegionReader(ABC):
    """Streams the region features of a raw source in a fixed order, with memory for one row.

    Iterating reads the whole source; `spans` and `read` split the work over processes. Every row is validated. A bad
    row raises under the policy "raise"; under "skip" it is left out and added to `skipped`.

    Args:
        path: The file or folder.
        on_error: "raise" or "skip".
        feature_dim: Numbers a region must have; that of the first good row when None.
        has_global_region: Whether row 0 of every image is the whole image; this is then checked.

    Attributes:
        feature_dim: Numbers a region has, once known.
        skipped: The rows left out so far.
        unit: What `total` and spans count.
    """

    unit: ClassVar[str] = "img"

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        on_error: OnError = "raise",
        feature_dim: int | None = None,
        has_global_region: bool = False,
    ) -> None:
        if on_error not in ("raise", "skip"):
            raise ValueError(f"on_error is {on_error!r}, expected 'raise' or 'skip'")
        self.path = Path(path)
        if not self.path.exists():
            raise FileNotFoundError(f"{self.path} does not exist")
        self.on_error = on_error
        self.feature_dim = feature_dim
        self.has_global_region = has_global_region
        self.skipped: list[BadRow] = []
        self._current: RawRow | None = None

    @property
    @abstractmethod
    def total(self) -> int:
        """Size of the source, in `unit`."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """The same as long as the source is; tells two sources, and two states of one, apart without reading them."""

    @abstractmethod
    def spans(self, num_rows: int) -> Iterator[Span]:
        """Split the source, in order, into spans of `num_rows` rows; the last one may be shorter.

        Args:
            num_rows: Rows a span, good and bad ones.

        Returns:
            The spans, found while they are asked for.
        """

    @abstractmethod
    def _raw_rows(self, span: Span | None) -> Iterator[RawRow]:
        """The rows of a span, of the whole source when None."""

    def read(self, span: Span | None = None) -> Iterator[RegionFeatures]:
        """Decode and validate the rows of a span.

        Args:
            span: One of `spans`; the whole source when None.

        Yields:
            The good rows.

        Raises:
            BadRowError: A row is bad and the policy is "raise".
        """
        with contextlib.closing(self._raw_rows(span)) as rows:
            for row in rows:
                self._current = row
                try:
                    regions = regions_from_fields(
                        row.load(), image_id=row.image_id, has_global_region=self.has_global_region
                    )
                    regions.validate(feature_dim=self.feature_dim)
                except (UnreadableRowError, InvalidRegionFeatures) as error:
                    self.reject(error)
                else:
                    self.feature_dim = regions.feature_dim
                    yield regions

    def places(self, span: Span | None = None) -> Iterator[RowPlace]:
        """Where the rows of a span stand, good and bad ones; nothing is decoded.

        Args:
            span: One of `spans`; the whole source when None.

        Yields:
            Their places, in the order of reading.
        """
        with contextlib.closing(self._raw_rows(span)) as rows:
            for row in rows:
                yield row.place

    def __iter__(self) -> Iterator[RegionFeatures]:
        return self.read()

    def reject(self, error: UnreadableRowError | InvalidRegionFeatures) -> None:
        """Treat the row read last as a bad one.

        Args:
            error: What is wrong with it.

        Raises:
            BadRowError: The policy is "raise".
        """
        row = self._current
        bad = BadRow(*row.place, row.image_id or error.image_id, error.reason)
        if self.on_error == "raise":
            raise BadRowError(bad) from error
        self.skipped.append(bad)


class KeyedReader(RegionReader):
    """A reader of a source whose rows have names: files of a folder, groups of a file, keys of a data base."""

    _names: list[str] | None = None

    @property
    def names(self) -> Sequence[str]:
        """Names of all rows, in the order of reading. The only thing kept in memory for the whole source."""
        if self._names is None:
            self._names = self._list_names()
            if not self._names:
                raise ValueError(f"{self.path} holds no rows{self._expected_content()}")
        return self._names

    @abstractmethod
    def _list_names(self) -> list[str]:
        """Look the names up, in an order that is the same every time."""

    @abstractmethod
    def _files(self) -> Iterable[Path]:
        """All files that hold rows."""

    def _expected_content(self) -> str:
        """What was looked for, as the end of a sentence."""
        return ""

    @property
    def total(self) -> int:
        """Rows of the source."""
        return len(self.names)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all names, and of the size and the time of change of every file."""
        digest = hashlib.sha256("\n".join(self.names).encode())
        for file in self._files():
            digest.update(state_of(file))
        return digest.hexdigest()

    def spans(self, num_rows: int) -> Iterator[Span]:
        """Split the rows in the order of `names`.

        Args:
            num_rows: Rows a span.

        Returns:
            The spans.
        """
        for start in range(0, self.total, num_rows):
            yield Span(start, min(start + num_rows, self.total), start)

    def _names_of(self, span: Span | None) -> Sequence[str]:
        return self.names if span is None else self.names[span.start : span.stop]


class FolderReader(KeyedReader):
    """A reader of a folder with one file an image; the image id is the file's name without its ending.

    The path may also be a single file.
    """

    suffix: ClassVar[str]

    def _list_names(self) -> list[str]:
        if self.path.is_file():
            return [self.path.name]
        return sorted(str(file.relative_to(self.path)) for file in self.path.rglob(f"*{self.suffix}"))

    def _expected_content(self) -> str:
        return f": no file in it ends in {self.suffix}"

    def _file(self, name: str) -> Path:
        return (self.path.parent if self.path.is_file() else self.path) / name

    def _files(self) -> Iterable[Path]:
        return map(self._file, self.names)

    def _raw_rows(self, span: Span | None) -> Iterator[RawRow]:
        for file in map(self._file, self._names_of(span)):
            yield RawRow(file, "", file.stem, lambda file=file: self._load_file(file))

    @abstractmethod
    def _load_file(self, file: Path) -> Mapping[str, Any]:
        """Read the fields of one image."""


def state_of(file: Path) -> bytes:
    """What tells a file from what it was before, without reading it.

    Args:
        file: The file.

    Returns:
        Its size and its time of change.
    """
    status = file.stat()
    return f"{status.st_size} {status.st_mtime_ns}\n".encode()


def import_extra(module: str, purpose: str) -> ModuleType:
    """Import a package that only some formats need.

    Args:
        module: The package.
        purpose: What it is needed for, as the start of a sentence.

    Returns:
        The imported package.

    Raises:
        ImportError: It is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ImportError(f'{purpose} needs {module}: pip install "modeling-vl[formats]"', name=module) from error
