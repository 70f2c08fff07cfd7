"""The control of every measure: images that change places. What is still right then is not owed to the image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
from torch.utils.data import Dataset

from datasets_vl.local import LocalRegions
from metrics_vl.recall import ScoreMatrix
from processing_vl.region_features import RegionFeatures


class ExchangedRegions(Dataset[RegionFeatures]):
    """Images whose regions are those of another one: what a model still gets right, it gets from the text alone.

    Args:
        regions: The images.
        named: Ids of the images whose regions change places.
        seed: Of the exchange.
    """

    def __init__(self, regions: LocalRegions, named: pa.Array, seed: int = 0) -> None:
        self.regions = regions
        self.folder = regions.folder
        self.image_ids = regions.image_ids
        positions = regions.image_ids.positions(named)
        positions = positions[positions >= 0]
        self._source = np.arange(len(regions))
        self._source[positions] = positions[exchange(len(positions), seed)]

    def __len__(self) -> int:
        return len(self.regions)

    def index_of(self, image_id: str) -> int:
        """The position of the image called `image_id`."""
        return self.regions.index_of(image_id)

    def __getitem__(self, position: int) -> RegionFeatures:
        """The image at `position`, with the regions of another one."""
        return replace(self.regions[int(self._source[position])], image_id=self.image_ids[position])


def exchange(count: int, seed: int = 0) -> np.ndarray:
    """A permutation int64 `[count]`, drawn from `seed`, that leaves nothing in its place (unless `count` is 1)."""
    order = np.random.default_rng(seed).permutation(count)
    partner = np.empty(count, dtype=np.int64)
    partner[order] = np.roll(order, -1)
    return partner


class ExchangedImages:
    """Scores in which every image stands for another one: what is right there, is right by chance or by the texts.

    Args:
        scores: `[N, M]`.
        seed: Of the exchange.
    """

    def __init__(self, scores: ScoreMatrix, seed: int = 0) -> None:
        self.shape = scores.shape
        self._scores = scores
        self._columns = exchange(scores.shape[1], seed)

    def __getitem__(self, rows: slice) -> np.ndarray:
        """The scores of some texts."""
        return np.asarray(self._scores[rows])[:, self._columns]
