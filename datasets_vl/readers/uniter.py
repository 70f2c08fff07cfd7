"""NPZ folders of UNITER: float16 features, boxes as shares of the image, image sizes in a table of their own."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from datasets_vl.readers.base import FolderReader
from datasets_vl.readers.fields import UnreadableRowError
from datasets_vl.readers.image_sizes import read_image_sizes
from datasets_vl.readers.npz import load_npz


class UniterReader(FolderReader):
    """Reads a folder of NPZ files with `features, norm_bb, conf, soft_labels`.

    `norm_bb` holds x1, y1, x2, y2 (then width, height and perhaps area) as shares of the image.

    Args:
        path: The folder, or one file.
        image_sizes: A table of image sizes (see `read_image_sizes`); its ids are the file names without their ending.
        **options: See `RegionReader`.
    """

    suffix = ".npz"

    def __init__(self, path: str | os.PathLike[str], *, image_sizes: str | os.PathLike[str], **options: Any) -> None:
        super().__init__(path, **options)
        self.image_sizes = Path(image_sizes)
        self._sizes = read_image_sizes(image_sizes)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all names, the states of all files and the table of sizes."""
        return hashlib.sha256(super().fingerprint.encode() + self.image_sizes.read_bytes()).hexdigest()

    def _load_file(self, file: Path) -> Mapping[str, Any]:
        if file.stem not in self._sizes:
            raise UnreadableRowError(f"{self.image_sizes} has no size for this image")
        fields = load_npz(file, {"features", "norm_bb", "conf", "soft_labels"})
        shares = fields.pop("norm_bb", None)
        if not isinstance(shares, np.ndarray) or shares.dtype.kind != "f" or shares.ndim != 2 or shares.shape[1] < 4:
            raise UnreadableRowError("norm_bb is missing, or is no array [R, 6 or 7] of fractions")
        width, height = self._sizes[file.stem]
        scale = np.array([width, height, width, height], dtype=np.float32)
        return {**fields, "boxes": shares[:, :4].astype(np.float32) * scale, "image_w": width, "image_h": height}
