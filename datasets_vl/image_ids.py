"""Where an image id stands in a list of millions, without a dictionary of Python strings in every process."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class ImageIds:
    """Distinct image ids with their positions: 8 bytes an id beside the strings themselves.

    Args:
        ids: The ids in order; position `i` is the answer to `position(ids[i])`.

    Raises:
        ValueError: If an id occurs twice; the message names it and both positions.
    """

    def __init__(self, ids: Iterable[str] | pa.Array) -> None:
        self.array = ids if isinstance(ids, pa.Array) else pa.array(ids, pa.string())
        # Arrow orders strings by their UTF-8 bytes, which is the order of Python's own comparison of strings.
        self._order = pc.sort_indices(self.array).to_numpy(zero_copy_only=False).astype(np.int64)
        in_order = self.array.take(pa.array(self._order))
        repeated = np.flatnonzero(pc.equal(in_order[1:], in_order[:-1]).to_numpy(zero_copy_only=False))
        if repeated.size:
            first, second = sorted(int(position) for position in self._order[repeated[0] : repeated[0] + 2])
            raise ValueError(
                f"{repeated.size} image ids occur more than once, the first is {self.array[first].as_py()!r} "
                f"at positions {first} and {second}"
            )

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, position: int) -> str:
        return self.array[position].as_py()

    def __contains__(self, image_id: str) -> bool:
        return self.find(image_id) is not None

    def find(self, image_id: str) -> int | None:
        """The position of `image_id`, or None where it is not among the ids."""
        low, high = 0, len(self._order)
        while low < high:
            middle = (low + high) // 2
            if self[self._order[middle]] < image_id:
                low = middle + 1
            else:
                high = middle
        if low == len(self._order) or self[self._order[low]] != image_id:
            return None
        return int(self._order[low])

    def positions(self, ids: pa.Array) -> np.ndarray:
        """The positions of many ids at once.

        Args:
            ids: Image ids, `[N]`.

        Returns:
            int64 `[N]`; -1 where an id is not among these.
        """
        found = pc.index_in(ids, value_set=self.array)
        return pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)
