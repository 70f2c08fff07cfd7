"""Annotations of images in one long table: its rows are numbered so that those of one image stand side by side."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterable
from typing import ClassVar

import numpy as np
import pyarrow as pa

from datasets_vl.image_ids import ImageIds

logger = logging.getLogger(__name__)


class ImageTable(ABC):
    """The rows of a split, by image.

    Args:
        image_ids: Distinct image ids, `N` of them.
        offsets: int64 `[N + 1]`; image `i` has the rows `offsets[i]` to `offsets[i + 1] - 1`.
        num_rows: How many rows there are.

    Raises:
        ValueError: If the offsets do not divide the rows.
    """

    row_name: ClassVar[str]
    """What a row is called in messages."""
    naming_hint: ClassVar[str]
    """What to do when the rows name images otherwise than the region features."""

    def __init__(self, image_ids: ImageIds, offsets: np.ndarray, num_rows: int) -> None:
        if len(offsets) != len(image_ids) + 1 or offsets[0] != 0 or offsets[-1] != num_rows:
            raise ValueError(
                f"offsets must run from 0 to {num_rows} in {len(image_ids) + 1} steps, got {len(offsets)} steps "
                f"from {offsets[0]} to {offsets[-1]}"
            )
        self.image_ids = image_ids
        self.offsets = offsets

    def __len__(self) -> int:
        return int(self.offsets[-1])

    def rows_of(self, image_id: str) -> range:
        """The numbers of the rows of `image_id`; empty where it has none."""
        position = self.image_ids.find(image_id)
        return range(0) if position is None else self.rows_at(position)

    def rows_at(self, position: int) -> range:
        """The numbers of the rows of the image at `position` in `image_ids`."""
        return range(int(self.offsets[position]), int(self.offsets[position + 1]))

    def position_of(self, index: int) -> int:
        """The position in `image_ids` of the image that row `index` is about."""
        if not 0 <= index < len(self):
            raise IndexError(f"{self.row_name} {index} of a table of {len(self)}")
        return int(np.searchsorted(self.offsets, index, side="right")) - 1

    def image_of(self, index: int) -> str:
        """The id of the image that row `index` is about."""
        return self.image_ids[self.position_of(index)]

    @property
    def second_images(self) -> pa.Array:
        """The second images of the rows that are about two, in the order of the rows."""
        return pa.array([], pa.string())

    def second_image_of(self, index: int) -> str | None:
        """The second image that row `index` is about; None where it is about one."""
        return None

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """A checksum of all ids and rows: a saved position means something only with the same table."""


def group_by_image(image_ids: Iterable[str]) -> tuple[ImageIds, np.ndarray, pa.Array]:
    """Brings the rows of each image together.

    Images keep the order in which they first occur, and so do the rows of an image; the rows of one image need not be
    neighbours.

    Args:
        image_ids: Of every row, `N` in all.

    Returns:
        The distinct ids, the offsets of their rows (see `ImageTable`), and the order, int64 `[N]`: which row goes
        where, for `take`.
    """
    numbers: dict[str, int] = {}
    image_of_row = array("q", (numbers.setdefault(image_id, len(numbers)) for image_id in image_ids))
    owners = np.frombuffer(image_of_row, dtype=np.int64) if image_of_row else np.empty(0, dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=len(numbers)))]).astype(np.int64)
    return ImageIds(numbers), offsets, pa.array(np.argsort(owners, kind="stable"))


def find_second_images(data: str, image_ids: ImageIds, table: ImageTable) -> np.ndarray:
    """Finds the second images of a table.

    Args:
        data: What holds the region features.
        image_ids: Of the images there.
        table: The rows.

    Returns:
        int64 `[N]`, for every one of `table.second_images` its position among `image_ids`.

    Raises:
        ValueError: If one is not there.
    """
    wanted = table.second_images
    positions = image_ids.positions(wanted)
    missing = np.flatnonzero(positions < 0)
    if missing.size:
        raise ValueError(
            f"{missing.size} second images are not in {data}, the first is {wanted[int(missing[0])].as_py()!r}: "
            "prepare the data with these regions"
        )
    return positions


def match_images(data: str, image_ids: ImageIds, table: ImageTable) -> np.ndarray:
    """Finds the images that a table is about, and warns of rows without image and of images without row.

    Args:
        data: What holds the region features.
        image_ids: Of the images there.
        table: The rows, `N` images in all.

    Returns:
        int64 `[N]`, for every image of the table its position among `image_ids`, -1 where it is not there.

    Raises:
        ValueError: If no image has a row, or a second image is not there.
    """
    row = table.row_name
    positions = image_ids.positions(table.image_ids.array)
    missing = np.flatnonzero(positions < 0)
    if missing.size == positions.size:
        raise ValueError(
            f"no image of {data} has a {row}: its images are named like {image_ids[0]!r}, the {row}s name "
            f"{table.image_ids[0]!r}; {table.naming_hint}"
        )
    if missing.size:
        logger.warning(
            "%d of %d %ss are left out: their images are not in %s, the first is %r",
            np.diff(table.offsets)[missing].sum(),
            len(table),
            row,
            data,
            table.image_ids[int(missing[0])],
        )
    second = find_second_images(data, image_ids, table)
    bare = np.setdiff1d(np.arange(len(image_ids)), np.concatenate([positions, second]))
    if bare.size:
        logger.warning(
            "%d of %d images of %s are left out: they have no %s, the first is %r",
            bare.size,
            len(image_ids),
            data,
            row,
            image_ids[int(bare[0])],
        )
    return positions
