"""One image with one text: what pre-training data hand to the collator."""

from __future__ import annotations

from typing import TypedDict

from .region_features import RegionFeatures

MATCH, MISMATCH = 0, 1
"""Alignment labels, ViLBERT's."""


class PreTrainingExample(TypedDict):
    """One image with one text, before any masking.

    Attributes:
        image_id: Name of the image.
        regions: The image.
        text: A caption.
        text_pair: A second caption (VisualBERT's two-caption form), or None.
        alignment_label: `MATCH` when the text (in the two-caption form: the second caption) describes the image,
            `MISMATCH` when it was taken from another image, None when there is nothing to judge.
        rng_key: Seed, epoch and caption index. All randomness of the example derives from it, so that an example is
            the same in any batch, in any worker and after a resume.
    """

    image_id: str
    regions: RegionFeatures
    text: str
    text_pair: str | None
    alignment_label: int | None
    rng_key: tuple[int, int, int]
