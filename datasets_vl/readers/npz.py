"""NPZ folders of MILVLG's bottom-up-attention.pytorch, and archives of arrays in general."""

from __future__ import annotations

import pickle
import zipfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from datasets_vl.readers.base import FolderReader
from datasets_vl.readers.fields import RAW_NAMES, UnreadableRowError
from datasets_vl.safe_pickle import load_npy


def load_npz(file: Path, names: Collection[str]) -> dict[str, Any]:
    """Read arrays of an NPZ archive without executing anything in it.

    Args:
        file: The archive.
        names: Arrays to read, where the archive has them.

    Returns:
        Arrays, and unpickled objects where the archive has these, by name.

    Raises:
        UnreadableRowError: The archive is broken or holds a pickle that is not allowed.
    """
    arrays = {}
    member = None
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.namelist():
                name = member.removesuffix(".npy")
                if name in names:
                    with archive.open(member) as stream:
                        arrays[name] = load_npy(stream)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
        where = "the archive" if member is None else f"{member} in the archive"
        raise UnreadableRowError(f"{where} cannot be read: {error}") from error
    except pickle.UnpicklingError as error:
        raise UnreadableRowError(f"{member} in the archive cannot be read: {error}") from error
    return arrays


class NpzReader(FolderReader):
    """Reads a folder of NPZ files: `x, bbox, num_bbox, image_h, image_w, info`, and further arrays by their names.

    Args:
        path: The folder, or one file.
        **options: See `RegionReader`.
    """

    suffix = ".npz"

    def _load_file(self, file: Path) -> Mapping[str, Any]:
        fields = load_npz(file, {*RAW_NAMES, "info"})
        info = fields.pop("info", None)
        return {**info, **fields} if isinstance(info, dict) else fields
