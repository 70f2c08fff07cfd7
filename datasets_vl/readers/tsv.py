"""Tab-separated files of bottom-up attention, ViLBERT, LXMERT and VOLTA: one line an image, arrays as base64."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from datasets_vl.readers.base import RawRow, RegionReader, Span, state_of
from datasets_vl.readers.fields import NAMES_OF, UnreadableRowError

BOTTOM_UP_FIELDS = ("image_id", "image_w", "image_h", "num_boxes", "boxes", "features")
"""Bottom-up attention and ViLBERT."""
VILBERT_FIELDS = (*BOTTOM_UP_FIELDS, "cls_prob")
"""ViLBERT's Conceptual Captions."""
LXMERT_FIELDS = (
    *("img_id", "img_h", "img_w", "objects_id", "objects_conf", "attrs_id", "attrs_conf"),
    *("num_boxes", "boxes", "features"),
)
"""LXMERT."""
VOLTA_FIELDS = (*LXMERT_FIELDS, "cls_prob", "attrs", "classes")
"""VOLTA."""

_FIELDS_BY_COUNT = {len(fields): fields for fields in (BOTTOM_UP_FIELDS, VILBERT_FIELDS, LXMERT_FIELDS, VOLTA_FIELDS)}
_HOW_TO_NAME = "Name all fields in their order with fields (--fields image_id,image_w,...)"
_MAX_LINE = 1 << 28
"""Bytes: 100 regions of 2048 numbers take 1.1 MB a line; a file without line ends must not fill the memory."""


class TsvReader(RegionReader):
    """Reads one TSV file.

    The fields are those given, or those of a header line, or the public layout with as many fields as the first line.

    Args:
        path: The file.
        fields: Names of the fields in their order, under any name that `fields.NAMES_OF` knows; other fields are
            ignored. Detected when None.
        **options: See `RegionReader`.

    Attributes:
        fields: Names of the fields.
    """

    unit = "B"

    def __init__(self, path: str | os.PathLike[str], *, fields: Sequence[str] | None = None, **options: Any) -> None:
        super().__init__(path, **options)
        if not self.path.is_file():
            raise ValueError(f"{self.path} is a folder, expected a TSV file")
        self._has_header = False
        self.fields = tuple(fields) if fields is not None else self._detect_fields()
        needed = ("image_id", "width", "height", "num_boxes", "boxes", "features")
        missing = [" or ".join(NAMES_OF[name]) for name in needed if not set(NAMES_OF[name]) & set(self.fields)]
        if missing:
            raise ValueError(
                f"the fields of {self.path} are {list(self.fields)}; missing: {', '.join(missing)}. {_HOW_TO_NAME}"
            )

    def _detect_fields(self) -> tuple[str, ...]:
        with open(self.path, "rb") as file:
            first = _split(file.readline(_MAX_LINE))
        if first[0] in {name.encode() for name in NAMES_OF["image_id"]}:
            self._has_header = True
            return tuple(name.decode() for name in first)
        if len(first) not in _FIELDS_BY_COUNT:
            raise ValueError(
                f"the first line of {self.path} has {len(first)} fields and is no header; known layouts have"
                f" {', '.join(map(str, sorted(_FIELDS_BY_COUNT)))}. {_HOW_TO_NAME}"
            )
        return _FIELDS_BY_COUNT[len(first)]

    @property
    def total(self) -> int:
        """Bytes of the file."""
        return self.path.stat().st_size

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the size, the time of change, the beginning, the end and the names of the fields."""
        digest = hashlib.sha256(f"{self.fields}".encode() + state_of(self.path))
        with open(self.path, "rb") as file:
            digest.update(file.read(1 << 20))
            file.seek(max(0, self.total - (1 << 20)))
            digest.update(file.read())
        return digest.hexdigest()

    def spans(self, num_rows: int) -> Iterator[Span]:
        """Look for line ends and split the file there.

        Args:
            num_rows: Rows a span.

        Returns:
            The spans, in bytes.
        """
        start = stop = line_number = first_row = rows = 0
        with open(self.path, "rb") as file:
            while line := self._read_line(file, line_number):
                stop += len(line)
                line_number += 1
                rows += self._is_row(line, line_number - 1)
                if rows == num_rows:
                    yield Span(start, stop, first_row)
                    start, first_row, rows = stop, line_number, 0
        if rows:
            yield Span(start, stop, first_row)

    def _is_row(self, line: bytes, line_number: int) -> bool:
        return bool(line.strip()) and not (self._has_header and line_number == 0)

    def _read_line(self, file: BinaryIO, line_number: int) -> bytes:
        line = file.readline(_MAX_LINE)
        if len(line) == _MAX_LINE:
            raise ValueError(
                f"{self.path}, line {line_number + 1}: longer than {_MAX_LINE} bytes, is this a TSV file?"
            )
        return line

    def _raw_rows(self, span: Span | None) -> Iterator[RawRow]:
        position, stop, line_number = span or Span(0, self.total, 0)
        with open(self.path, "rb") as file:
            file.seek(position)
            while position < stop and (line := self._read_line(file, line_number)):
                if self._is_row(line, line_number):
                    yield RawRow(self.path, f"line {line_number + 1}", None, lambda line=line: self._parse(line))
                position += len(line)
                line_number += 1

    def _parse(self, line: bytes) -> Mapping[str, Any]:
        values = _split(line)
        if len(values) != len(self.fields):
            # An image id in the first field helps to find the row even where the rest is cut off.
            image_id = values[0].decode(errors="replace") if self.fields[0] in NAMES_OF["image_id"] else None
            raise UnreadableRowError(f"{len(values)} fields, expected {len(self.fields)}: cut off?", image_id)
        return dict(zip(self.fields, map(_unquote, values), strict=True))


def _split(line: bytes) -> list[bytes]:
    return line.rstrip(b"\r\n").split(b"\t")


def _unquote(value: bytes) -> bytes:
    """Python 3 scripts that wrote bytes through the csv module left b'...' around them."""
    return value[2:-1] if value.startswith(b"b'") and value.endswith(b"'") else value
