"""NPY folders of vilbert-multi-task: one pickled dictionary an image."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from datasets_vl.readers.base import FolderReader
from datasets_vl.readers.fields import UnreadableRowError
from datasets_vl.safe_pickle import load_npy


class NpyReader(FolderReader):
    """Reads a folder of NPY files as vilbert-multi-task's `extract_features.py` writes them.

    Args:
        path: The folder, or one file.
        **options: See `RegionReader`.
    """

    suffix = ".npy"

    def _load_file(self, file: Path) -> Mapping[str, Any]:
        try:
            with open(file, "rb") as stream:
                fields = load_npy(stream)
        except (OSError, ValueError, pickle.UnpicklingError) as error:
            raise UnreadableRowError(f"the file cannot be read: {error}") from error
        if not isinstance(fields, dict):
            raise UnreadableRowError(f"the file holds {_describe(fields)}, expected a dictionary of fields")
        return _with_all_objects(fields)


def _with_all_objects(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Undo a slip of the extraction script: it drops region 0 from `objects` where it means the background class."""
    objects, features = fields.get("objects"), fields.get("features")
    if isinstance(objects, np.ndarray) and isinstance(features, np.ndarray) and len(objects) == len(features) - 1:
        return {**fields, "objects": np.concatenate([[-1], objects])}
    return fields


def _describe(value: Any) -> str:
    return f"an array of shape {list(value.shape)}" if isinstance(value, np.ndarray) else type(value).__name__
