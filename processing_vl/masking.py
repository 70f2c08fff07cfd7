"""What is hidden from the model in pre-training, and what it has to predict."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .boxes_vl import pairwise_iou
from .ignored_label import IGNORED_LABEL

_REPLACED_BY_MASK = 0.8
_REPLACED_BY_RANDOM = 0.1
_ZEROED_REGIONS = 0.9


def mask_tokens(
    input_ids: np.ndarray,
    *,
    maskable: np.ndarray,
    mask_token_id: int,
    vocab_size: int,
    rng: np.random.Generator,
    probability: float = 0.15,
) -> tuple[np.ndarray, np.ndarray]:
    """Hide tokens for masked language modelling (BERT paper, section 3.1).

    Of the chosen tokens 80 % become the mask token, 10 % a token drawn uniformly from the whole vocabulary (it may be
    the token itself, or a special one, as in the original loaders), 10 % stay as they are.

    Args:
        input_ids: One text without padding, int64 `[T]`. Not changed.
        maskable: Which tokens may be chosen, bool `[T]`; False for special tokens.
        mask_token_id: Id of the mask token.
        vocab_size: Number of tokens to draw replacements from.
        rng: Source of all randomness.
        probability: Share of maskable tokens to choose.

    Returns:
        The ids with tokens hidden, int64 `[T]`, and the labels, int64 `[T]`: the original id of a chosen token,
        `IGNORED_LABEL` elsewhere.
    """
    draw = rng.random(input_ids.shape[0])
    replacements = rng.integers(vocab_size, size=input_ids.shape[0])
    chosen = maskable & (draw < probability)
    hidden = chosen & (draw < probability * _REPLACED_BY_MASK)
    replaced = chosen & ~hidden & (draw < probability * (_REPLACED_BY_MASK + _REPLACED_BY_RANDOM))
    masked_ids = np.where(hidden, mask_token_id, np.where(replaced, replacements, input_ids))
    return masked_ids, np.where(chosen, input_ids, IGNORED_LABEL)


@dataclass(frozen=True, eq=False, slots=True)
class RegionMask:
    """Which regions of an image are hidden.

    Attributes:
        predicted: Regions the model has to predict, bool `[R]`.
        zeroed: Regions whose feature becomes zero, bool `[R]`; some of the predicted ones.
        uncounted: Regions that do not count in the denominator of the global region's mean, bool `[R]`. Their features
            stay in its sum: vilbert-multi-task and VOLTA divide so.
    """

    predicted: np.ndarray
    zeroed: np.ndarray
    uncounted: np.ndarray

    @property
    def mean_denominator(self) -> int:
        """What the sum of all features is divided by to give the global region; at least 1."""
        return max(int(np.count_nonzero(~self.uncounted)), 1)


def mask_regions(
    boxes: np.ndarray,
    *,
    maskable: np.ndarray,
    rng: np.random.Generator,
    probability: float = 0.15,
    overlap_threshold: float | None = None,
) -> RegionMask:
    """Hide regions for masked region modelling (ViLBERT paper, section 3.1).

    Of the chosen regions 90 % have their feature zeroed, 10 % keep it.

    Args:
        boxes: Corners x1 y1 x2 y2 in pixels, `[R, 4]`.
        maskable: Which regions may be chosen, bool `[R]`; False for the region that stands for the whole image.
        rng: Source of all randomness.
        probability: Share of maskable regions to choose.
        overlap_threshold: None for the rule of vilbert_beta: every region counts in the global region's mean. A number
            (0.4 in vilbert-multi-task and VOLTA) leaves the regions that overlap a chosen one by more than this IoU,
            the chosen one included, out of the mean's denominator, and changes nothing else.

    Returns:
        The mask.
    """
    draw = rng.random(boxes.shape[0])
    predicted = maskable & (draw < probability)
    zeroed = maskable & (draw < probability * _ZEROED_REGIONS)
    if overlap_threshold is None:
        return RegionMask(predicted, zeroed, np.zeros_like(predicted))
    return RegionMask(predicted, zeroed, overlapping_regions(boxes, predicted, overlap_threshold))


def overlapping_regions(boxes: np.ndarray, chosen: np.ndarray, threshold: float) -> np.ndarray:
    """Regions that overlap one of the chosen regions.

    Args:
        boxes: Corners x1 y1 x2 y2 in pixels, `[R, 4]`.
        chosen: bool `[R]`.
        threshold: IoU, in the +1 pixel convention, that an overlap must exceed.

    Returns:
        bool `[R]`; a chosen region overlaps itself.
    """
    return (pairwise_iou(boxes, boxes[chosen]) > threshold).any(axis=1)
