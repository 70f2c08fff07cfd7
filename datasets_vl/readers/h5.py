"""HDF5 files of VOLTA: one group an image, a data set a field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets_vl.readers.base import KeyedReader, RawRow, Span, import_extra
from datasets_vl.readers.fields import RAW_NAMES, UnreadableRowError

if TYPE_CHECKING:
    import h5py


class H5Reader(KeyedReader):
    """Reads one HDF5 file; the image id is the group's name. Fields are data sets or attributes of the group.

    Args:
        path: The file.
        **options: See `RegionReader`.
    """

    def _open(self) -> h5py.File:
        module = import_extra("h5py", "reading HDF5")
        try:
            return module.File(self.path, "r")
        except OSError as error:
            raise ValueError(f"{self.path} is no HDF5 file: {error}") from error

    def _list_names(self) -> list[str]:
        with self._open() as file:
            try:
                return list(file)
            except RuntimeError as error:
                raise ValueError(f"{self.path} is damaged: {error}") from error

    def _files(self) -> Iterable[Path]:
        return [self.path]

    def _raw_rows(self, span: Span | None) -> Iterator[RawRow]:
        names = self._names_of(span)
        with self._open() as file:
            for name in names:
                yield RawRow(self.path, f"group {name!r}", name, lambda name=name: _load_group(file, name))


def _load_group(file: h5py.File, name: str) -> Mapping[str, Any]:
    try:
        group = file[name]
        if not hasattr(group, "keys"):
            raise UnreadableRowError("is a data set, expected a group with one data set a field")
        fields = {key: value for key, value in group.attrs.items() if key in RAW_NAMES}
        fields.update({key: group[key][()] for key in group if key in RAW_NAMES})
    except (KeyError, OSError, RuntimeError, TypeError) as error:
        raise UnreadableRowError(f"the group cannot be read: {error}") from error
    return fields
