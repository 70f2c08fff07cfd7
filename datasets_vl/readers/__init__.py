"""Readers of raw region features, one file a format; each streams `RegionFeatures`.

Example:
    >>> reader = open_reader("train2014_obj36.tsv", "tsv", on_error="skip")
    >>> for regions in reader:
    ...     print(regions.image_id, regions.num_regions)
    >>> print(len(reader.skipped), "rows left out")
"""

from __future__ import annotations

import inspect
import os
from typing import Any

from datasets_vl.bad_rows import BadRow, BadRowError
from datasets_vl.readers.base import RegionReader, Span
from datasets_vl.readers.h5 import H5Reader
from datasets_vl.readers.image_sizes import read_image_sizes
from datasets_vl.readers.lmdb import LmdbReader
from datasets_vl.readers.npy import NpyReader
from datasets_vl.readers.npz import NpzReader
from datasets_vl.readers.tsv import TsvReader
from datasets_vl.readers.uniter import UniterReader

READERS: dict[str, type[RegionReader]] = {
    "tsv": TsvReader,
    "npz": NpzReader,
    "npy": NpyReader,
    "lmdb": LmdbReader,
    "h5": H5Reader,
    "uniter": UniterReader,
}
"""Readers by the name of their format."""

__all__ = [
    "READERS",
    "BadRow",
    "BadRowError",
    "H5Reader",
    "LmdbReader",
    "NpyReader",
    "NpzReader",
    "RegionReader",
    "Span",
    "TsvReader",
    "UniterReader",
    "open_reader",
    "read_image_sizes",
]


def open_reader(path: str | os.PathLike[str], format: str, **options: Any) -> RegionReader:
    """Open a raw source.

    Args:
        path: The file or folder.
        format: One of `READERS`.
        **options: Arguments of that reader; those that are None are left out.

    Returns:
        The reader.

    Raises:
        ValueError: The format is unknown, does not know an option, or lacks one it needs.
        FileNotFoundError: The path does not exist.
    """
    if format not in READERS:
        raise ValueError(f"unknown format {format!r}, expected one of {', '.join(READERS)}")
    reader = READERS[format]
    options = {name: value for name, value in options.items() if value is not None}
    own = {
        name: parameter
        for name, parameter in inspect.signature(reader.__init__).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    known = {*own, *inspect.signature(RegionReader.__init__).parameters}
    unknown = sorted(set(options) - known)
    if unknown:
        raise ValueError(f"the format {format!r} has no option {', '.join(unknown)}")
    missing = sorted(
        name for name, parameter in own.items() if parameter.default is parameter.empty and name not in options
    )
    if missing:
        options_here = ", ".join(f"{name} (--{name.replace('_', '-')})" for name in missing)
        raise ValueError(f"the format {format!r} needs the option {options_here}")
    return reader(path, **options)
