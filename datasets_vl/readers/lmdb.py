"""LMDB data bases of ViLBERT, vilbert-multi-task and VOLTA: one pickled dictionary an image, an index under `keys`."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from datasets_vl.readers.base import KeyedReader, RawRow, Span, import_extra
from datasets_vl.readers.fields import UnreadableRowError
from datasets_vl.safe_pickle import load_pickle

if TYPE_CHECKING:
    import lmdb

_INDEX = b"keys"
_TENSORPACK_INDEX = b"__keys__"


class LmdbReader(KeyedReader):
    """Reads one LMDB data base; the image id is the key, as in the original loaders.

    Args:
        path: The folder with `data.mdb`, or a single file.
        **options: See `RegionReader`.
    """

    def _open(self) -> lmdb.Environment:
        module = import_extra("lmdb", "reading LMDB")
        try:
            return module.open(
                str(self.path), subdir=self.path.is_dir(), readonly=True, lock=False, create=False, readahead=False
            )
        except module.Error as error:
            raise ValueError(f"{self.path} is no LMDB data base: {error}") from error

    def _list_names(self) -> list[str]:
        with self._open() as environment, environment.begin() as transaction:
            index = transaction.get(_INDEX)
            if index is not None:
                return self._parse_index(index)
            if transaction.get(_TENSORPACK_INDEX) is not None:
                raise ValueError(
                    f"{self.path} was written by tensorpack, which stores msgpack, not pickles: not readable"
                )
            return [key.decode(errors="replace") for key in transaction.cursor().iternext(values=False)]

    def _parse_index(self, index: bytes) -> list[str]:
        try:
            keys = load_pickle(index)
        except pickle.UnpicklingError as error:
            raise ValueError(f"{self.path}, key 'keys': {error}") from error
        if not isinstance(keys, (list, tuple, np.ndarray)):
            raise ValueError(f"{self.path}, key 'keys': holds a {type(keys).__name__}, expected a list of image ids")
        return [key.decode(errors="replace") if isinstance(key, bytes) else str(key) for key in keys]

    def _files(self) -> Iterable[Path]:
        return [self.path / "data.mdb" if self.path.is_dir() else self.path]

    def _raw_rows(self, span: Span | None) -> Iterator[RawRow]:
        names = self._names_of(span)  # before opening: one process must not open a data base twice
        with self._open() as environment, environment.begin() as transaction:
            for name in names:
                value = transaction.get(name.encode()) if name else None
                yield RawRow(self.path, f"key {name!r}", name, lambda value=value: _parse(value))


def _parse(value: bytes | None) -> Mapping[str, Any]:
    if value is None:
        raise UnreadableRowError("the index names this key, but the data base lacks it")
    try:
        fields = load_pickle(value)
    except pickle.UnpicklingError as error:
        raise UnreadableRowError(str(error)) from error
    if not isinstance(fields, dict):
        raise UnreadableRowError(f"the value is a {type(fields).__name__}, expected a dictionary of fields")
    return fields
