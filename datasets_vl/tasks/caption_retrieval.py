"""Caption-based image retrieval: training examples with false candidates, and splits to be ranked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from datasets_vl.captions import CaptionTable
from datasets_vl.image_table import ImageTable, match_images
from datasets_vl.local import LocalRegions
from processing_vl.region_features import RegionFeatures
from processing_vl.retrieval_collator import RetrievalExample

# Last numbers of keys: draws for different purposes never share a stream of random numbers.
_CAPTION_STREAM, _CANDIDATE_STREAM = 4, 5

OWN = (0, 0)
FALSE_TEXT, FALSE_IMAGE, HARD_TEXT = (1, 0), (0, 1), (2, 0)


class ImagesWithCaptions(ImageTable):
    """The images of a caption table, a row for each.

    Args:
        captions: The captions.
    """

    row_name = "image"
    naming_hint = CaptionTable.naming_hint

    def __init__(self, captions: CaptionTable) -> None:
        count = len(captions.image_ids)
        super().__init__(captions.image_ids, np.arange(count + 1), count)
        self.captions = captions

    @property
    def fingerprint(self) -> str:
        """That of the captions."""
        return self.captions.fingerprint


class InBatchRetrieval:
    """An example for each image: one of its captions, to be told from those of the other images of a batch.

    An epoch shows every image once. The captions of an image take turns in an order drawn anew for every round, so
    after as many epochs as it has captions each was seen once. An example depends on seed, epoch and image alone.

    Args:
        captions: The captions of the split.
        seed: Of the order of captions, not negative.

    Raises:
        ValueError: If there is one image only, or `seed` is negative.
    """

    def __init__(self, captions: CaptionTable, *, seed: int = 0) -> None:
        _check(captions, seed)
        self.captions = captions
        self.seed = seed
        self.table = ImagesWithCaptions(captions)

    @property
    def settings(self) -> dict[str, Any]:
        """What, beside the region features, decides which examples come."""
        return {"candidates": "in batch", "task_seed": self.seed, "captions": self.captions.fingerprint}

    def example(self, regions: RegionFeatures, index: int, epoch: int) -> RetrievalExample:
        """The example of image `index` of the table, whose regions are `regions`, in pass `epoch` over the images."""
        own = self.captions.captions_at(index)
        key = np.random.SeedSequence([self.seed, epoch // len(own), index, _CAPTION_STREAM])
        turn = np.random.Generator(np.random.Philox(key)).permutation(len(own))[epoch % len(own)]
        return RetrievalExample(
            texts=[self.captions.text(own[int(turn)])],
            images=[regions],
            candidates=[],
            rng_key=(self.seed, epoch, index),
        )


class CandidateRetrieval:
    """An example for each caption: the right pair among false ones (ViLBERT paper, section 3.2).

    The candidates are the pair; the image with a caption of any other image; the caption with any other image; and,
    where hard negatives are known, the image with a caption of one of those that are taken for it easily.

    Args:
        captions: The captions of the split.
        regions: Where the false images come from.
        hard_images: For each image the ids of those that resemble it, see `read_pool`. None for three candidates.
        seed: Of all draws, not negative.

    Raises:
        ValueError: If there is one image only, `seed` is negative, or an image has no hard negative.
    """

    def __init__(
        self,
        captions: CaptionTable,
        regions: LocalRegions,
        *,
        hard_images: Mapping[str, Sequence[str]] | None = None,
        seed: int = 0,
    ) -> None:
        _check(captions, seed)
        self.captions = captions
        self.regions = regions
        self.seed = seed
        self._positions = match_images(str(regions.folder), regions.image_ids, captions)
        self._present = np.flatnonzero(self._positions >= 0)
        if len(self._present) < 2:
            raise ValueError(f"only one image of {regions.folder} has captions: there is no false image to draw")
        self._hard = None if hard_images is None else self._numbers(hard_images)

    @property
    def table(self) -> CaptionTable:
        """The captions: an example for each."""
        return self.captions

    @property
    def settings(self) -> dict[str, Any]:
        """What, beside the region features, decides which examples come."""
        hard = None if self._hard is None else hashlib.sha256(b"|".join(ids.tobytes() for ids in self._hard))
        return {
            "candidates": "drawn",
            "hard_images": hard and hard.hexdigest()[:16],
            "task_seed": self.seed,
            "captions": self.captions.fingerprint,
        }

    def example(self, regions: RegionFeatures, index: int, epoch: int) -> RetrievalExample:
        """The example of caption `index`, which describes the image `regions`, in pass `epoch` over the captions."""
        captions = self.captions
        own = captions.position_of(index)
        key = np.random.SeedSequence([self.seed, epoch, index, _CANDIDATE_STREAM])
        generator = np.random.Generator(np.random.Philox(key))
        others = len(self._present) - 1
        place = int(np.searchsorted(self._present, own))
        false_text, false_image = (
            int(self._present[drawn + (drawn >= place)]) for drawn in generator.integers(others, size=2)
        )
        texts, candidates = [index, self._caption(generator, false_text)], [OWN, FALSE_TEXT, FALSE_IMAGE]
        if self._hard is not None:
            texts.append(self._caption(generator, int(generator.choice(self._hard[own]))))
            candidates.append(HARD_TEXT)
        return RetrievalExample(
            texts=[captions.text(number) for number in texts],
            images=[regions, self.regions[int(self._positions[false_image])]],
            candidates=candidates,
            rng_key=(self.seed, epoch, index),
        )

    def _caption(self, generator: np.random.Generator, image: int) -> int:
        return int(generator.choice(self.captions.captions_at(image)))

    def _numbers(self, hard_images: Mapping[str, Sequence[str]]) -> list[np.ndarray]:
        numbers = []
        for number, image_id in enumerate(self.captions.image_ids):
            found = [
                self.captions.image_ids.find(other) for other in hard_images.get(image_id, ()) if other != image_id
            ]
            known = np.array([other for other in found if other is not None], dtype=np.int64)
            if not known.size and self._positions[number] >= 0:
                raise ValueError(
                    f"image {image_id!r} has no hard negative with captions: mine the pool on the same split"
                )
            numbers.append(known)
        return numbers


def _check(captions: CaptionTable, seed: int) -> None:
    if len(captions.image_ids) < 2:
        raise ValueError(
            f"all {len(captions)} captions belong to image {captions.image_ids[0]!r}: retrieval needs two images"
        )
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")


def read_pool(path: str | Path) -> dict[str, list[str]]:
    """Hard negatives of each image: a JSON object of an image id to the ids of images that resemble it.

    Args:
        path: A file, such as examples/run_retrieval.py writes with `--pool_size`.

    Returns:
        The pool.

    Raises:
        ValueError: If the file is of another form; the message names it.
    """
    try:
        pool = json.loads(Path(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is no JSON: {error}") from None
    wanted = "expected an object {image id: [ids of images that resemble it]}"
    if not isinstance(pool, dict):
        raise ValueError(f"{path}: {wanted}, got {type(pool).__name__}")
    for image_id, others in pool.items():
        if not isinstance(others, list) or not all(isinstance(other, str) for other in others):
            raise ValueError(f"{path}: {wanted}, got {others!r} for image {image_id!r}")
    return pool


def mine_pool(scores: Any, owners: np.ndarray, image_ids: Sequence[str], size: int) -> dict[str, list[str]]:
    """The images that a model takes most easily for each image: those its captions score highest.

    Args:
        scores: `[N, M]` of N captions and M images, or what hands out slices of its rows.
        owners: int64 `[N]`, the image of each caption.
        image_ids: Of the M images.
        size: Images to keep for each, at most `M - 1`.

    Returns:
        A pool as `read_pool` reads it, the most similar image first.
    """
    best = np.full((len(image_ids), len(image_ids)), -np.inf, dtype=np.float32)
    for start in range(0, len(owners), 1024):
        np.maximum.at(best, owners[start : start + 1024], np.asarray(scores[start : start + 1024]))
    np.fill_diagonal(best, -np.inf)
    order = np.argsort(-best, axis=1, kind="stable")[:, : min(size, len(image_ids) - 1)]
    return {image_id: [image_ids[other] for other in row] for image_id, row in zip(image_ids, order, strict=True)}


@dataclass(frozen=True)
class RetrievalSplit:
    """Captions and images that shall all be scored against each other.

    Attributes:
        captions: The table that the texts are from.
        regions: Where the images lie.
        image_ids: Ids of the M images.
        indices: int64 `[N]`, numbers of the texts in the table.
        owners: int64 `[N]`, the image of each text.
    """

    captions: CaptionTable
    regions: LocalRegions
    image_ids: list[str]
    indices: np.ndarray
    owners: np.ndarray

    @classmethod
    def of(
        cls,
        captions: CaptionTable,
        regions: LocalRegions,
        *,
        num_images: int | None = None,
        captions_per_image: int | None = None,
    ) -> RetrievalSplit:
        """The images that have captions and regions.

        Args:
            captions: The captions.
            regions: The images.
            num_images: Images to take, the first ones of `captions`. All by default.
            captions_per_image: Captions to take of each, its first ones. All by default.

        Returns:
            The split.

        Raises:
            ValueError: If fewer than two images are left, or a number is below 1.
        """
        for name, number in (("num_images", num_images), ("captions_per_image", captions_per_image)):
            if number is not None and number < 1:
                raise ValueError(f"{name} must be at least 1, got {number}")
        positions = match_images(str(regions.folder), regions.image_ids, captions)
        chosen = np.flatnonzero(positions >= 0)[:num_images]
        if len(chosen) < 2:
            raise ValueError(f"retrieval needs two images at least, {len(chosen)} have captions and regions")
        rows = [captions.captions_at(int(position))[:captions_per_image] for position in chosen]
        return cls(
            captions,
            regions,
            [captions.image_ids[int(position)] for position in chosen],
            np.concatenate([np.array(numbers, dtype=np.int64) for numbers in rows]),
            np.repeat(np.arange(len(chosen)), [len(numbers) for numbers in rows]),
        )

    @cached_property
    def fingerprint(self) -> str:
        """Two splits with the same one have the same texts and images in the same order."""
        return f"{self.captions.fingerprint}-{len(self.image_ids)}x{len(self.indices)}-{self.indices[-1]}"

    def texts(self, rows: slice) -> list[str]:
        """Some of the texts."""
        return [self.captions.text(int(index)) for index in self.indices[rows]]

    def images(self, rows: slice) -> list[RegionFeatures]:
        """Some of the images."""
        return [self.regions[self.regions.index_of(image_id)] for image_id in self.image_ids[rows]]
