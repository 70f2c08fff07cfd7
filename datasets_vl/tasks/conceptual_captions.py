"""Conceptual Captions: lines `caption <tab> URL`, in which only the URL names the image."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

from .records import InvalidAnnotation


def image_key(url: str) -> str:
    """The name under which the images and features of this data set are kept: the CRC-32 of `url` in decimals.

    It is that of the usual download script, of ViLBERT and of VOLTA. Among 3.3 million URLs some thousand pairs share
    a key; of the images of such a pair the download keeps one.
    """
    return str(zlib.crc32(url.encode("utf-8")))


def read_conceptual_captions(path: str | Path) -> Iterator[tuple[str, str]]:
    """Reads `Train_GCC-training.tsv` or `Validation_GCC-1.1.0-Validation.tsv`, which have no header.

    Args:
        path: The file.

    Yields:
        Image id (`image_key` of the URL) and caption, line by line.

    Raises:
        InvalidAnnotation: If a line is not a caption, a tab and a URL.
    """
    with Path(path).open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                fields = [field.strip() for field in line.decode("utf-8").split("\t")]
            except UnicodeDecodeError as error:
                raise InvalidAnnotation(path, f"line {number}", f"not UTF-8 text: {error}") from None
            if len(fields) != 2:
                raise InvalidAnnotation(
                    path, f"line {number}", f"expected a caption, a tab and a URL, got {len(fields)} fields: {fields}"
                )
            caption, url = fields
            if not caption or "://" not in url:
                raise InvalidAnnotation(
                    path, f"line {number}", f"expected a caption and a URL, got {caption!r} and {url!r}"
                )
            yield image_key(url), caption
